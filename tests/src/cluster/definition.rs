//! Definitions of kinds in a cluster.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::{conditions, wait};
use kube::{Api, Client, ResourceExt};

/// How long that may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Has the API server serve a kind by this definition, which replaces an earlier one.
///
/// # Errors
/// The API server refuses it, or doesn't serve it in time.
pub async fn define(client: &Client, definition: &CustomResourceDefinition) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = definition.name_any();
    let parameters = PatchParams::apply("test").force();
    api.patch(&name, &parameters, &Patch::Apply(definition)).await?;
    let established = wait::await_condition(api, &name, conditions::is_crd_established());
    let in_time = tokio::time::timeout(LIMIT, established).await;
    in_time.with_context(|| format!("{name} is not served"))??;
    Ok(())
}
