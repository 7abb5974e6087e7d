//! `corral-operator render`: the plan of a file, without a cluster.

use std::collections::BTreeMap;
use std::fmt::Write;

use k8s_openapi::api::core::v1::ConfigMap;
use serde::Deserialize;
use serde_yaml::Value;

use crate::cli::PlanOptions;
use crate::crd::OllamaService;
use crate::plan::{self, ConfigMaps, PlanError};

/// Why a file can't be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// It is no YAML, or neither an OllamaService nor a ConfigMap.
    #[error("document {document}: {source}")]
    Parse {
        /// Which of the file's documents, from 1.
        document: usize,
        /// What is wrong with it.
        source: serde_yaml::Error,
    },
    /// The OllamaService is invalid.
    #[error("OllamaService {name}: {source}")]
    Plan {
        /// Its name.
        name: String,
        /// What is wrong with it.
        source: PlanError,
    },
    /// An object has no YAML form.
    #[error(transparent)]
    Yaml(#[from] serde_yaml::Error),
}

/// The children of every OllamaService in a text of YAML documents, as such a text. ConfigMaps among the documents are those
/// that models are made from.
///
/// # Errors
/// The first document that is wrong.
pub fn render(text: &str, options: &PlanOptions) -> Result<String, RenderError> {
    let config_maps = config_maps(text)?;
    let mut rendered = String::new();
    for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        if config_maps.contains_key(&index) {
            continue;
        }
        let service = OllamaService::deserialize(document).map_err(|source| wrong(index, source))?;
        let config_maps = config_maps.values().cloned().collect();
        rendered.push_str(&render_one(&service, options, &config_maps)?);
    }
    Ok(rendered)
}

fn wrong(index: usize, source: serde_yaml::Error) -> RenderError {
    RenderError::Parse {
        document: index + 1,
        source,
    }
}

/// A ConfigMap's name and what it holds.
type Held = (String, BTreeMap<String, String>);

/// The ConfigMaps among the documents, by their place.
fn config_maps(text: &str) -> Result<BTreeMap<usize, Held>, RenderError> {
    let mut found = BTreeMap::new();
    for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        let document = Value::deserialize(document).map_err(|source| wrong(index, source))?;
        if document.get("kind").and_then(Value::as_str) == Some("ConfigMap") {
            let config_map: ConfigMap =
                serde_yaml::from_value(document).map_err(|source| wrong(index, source))?;
            let name = config_map.metadata.name.unwrap_or_default();
            found.insert(index, (name, config_map.data.unwrap_or_default()));
        }
    }
    Ok(found)
}

fn render_one(
    service: &OllamaService,
    options: &PlanOptions,
    config_maps: &ConfigMaps,
) -> Result<String, RenderError> {
    let plan = plan::plan(service, options, config_maps).map_err(|source| RenderError::Plan {
        name: service.metadata.name.clone().unwrap_or_default(),
        source,
    })?;
    let mut rendered = String::new();
    for secret in &plan.generated {
        let yaml = serde_yaml::to_string(&secret.secret)?;
        // Writing to a String can't fail.
        let _ = write!(
            rendered,
            "---\n# The operator makes this once, with random content.\n{yaml}"
        );
    }
    for child in &plan.children {
        let _ = write!(rendered, "---\n{}", serde_yaml::to_string(&child.object)?);
    }
    Ok(rendered)
}
