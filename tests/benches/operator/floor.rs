//! What an operator can't do without: the same objects, made by a bare client that waits for nothing but the API server's
//! answers, while no operator runs.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use corral_operator::cli::{Cli, Command, PlanOptions};
use corral_operator::crd::OllamaService;
use corral_operator::plan::{ConfigMaps, Plan, plan};
use corral_operator::run::AT_A_TIME;
use corral_tests::progress;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DynamicObject, PostParams};
use tokio::time::Instant;

use crate::ground::{self, Ground, NAMESPACE, named_after};
use crate::subject::Subject;
use crate::{SPARE_PODS, limit};

/// Makes that many OllamaServices and their children in a control plane of their own, as many at a time as the operator
/// reconciles, and answers with how long it took until the last Deployment was there.
pub(crate) async fn measure(subject: &Subject, count: u32) -> Result<Duration> {
    let ground = Ground::prepare(subject, count + SPARE_PODS).await?;
    let step = progress::step(format!("the objects of {count} made by a bare client"));
    let options = options(subject)?;
    let mut listener = ground.journal.listen();
    let mut there = HashSet::new();
    let start = Instant::now();
    let last = listener.until("all Deployments are there", limit(count), |seen| {
        if *seen.kind == *"Deployment" {
            there.extend(named_after(&seen.key.1).map(str::to_owned));
        }
        (there.len() >= count as usize).then_some(seen.at)
    });
    let made = stream::iter(0..count)
        .map(|number| make(&ground.client, &options, subject.object(&ground::name(number))))
        .buffer_unordered(AT_A_TIME)
        .try_collect::<()>();
    let (last, ()) = tokio::try_join!(last, made)?;
    step.done();
    Ok(last - start)
}

/// The options that the operator is started with.
fn options(subject: &Subject) -> Result<PlanOptions> {
    let arguments = (subject.arguments)("127.0.0.1:0");
    let words = std::iter::once("corral-operator".to_owned()).chain(arguments);
    match Cli::try_parse_from(words)?.command {
        Command::Run(options) => Ok(options.plan),
        Command::Crds | Command::Render(_) => bail!("the operator is not started to run"),
    }
}

async fn make(client: &Client, options: &PlanOptions, service: DynamicObject) -> Result<()> {
    let parameters = PostParams::default();
    let services: Api<OllamaService> = Api::namespaced(client.clone(), NAMESPACE);
    let service = services.create(&parameters, &service.try_parse()?).await?;
    let Plan {
        generated, children, ..
    } = plan(&service, options, &ConfigMaps::new())?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    for secret in generated {
        secrets.create(&parameters, &secret.with_content()?).await?;
    }
    for child in children {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &child.kind.resource());
        let object = serde_json::from_value(child.object)?;
        api.create(&parameters, &object)
            .await
            .with_context(|| format!("{} {}", child.kind.name(), child.name))?;
    }
    Ok(())
}
