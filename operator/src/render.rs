//! `corral-operator render`: the plan of a file, without a cluster.

use std::fmt::Write;

use serde::Deserialize;

use crate::cli::PlanOptions;
use crate::crd::OllamaService;
use crate::plan::{self, PlanError};

/// Why a file can't be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// It is no YAML, or no OllamaService.
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

/// The children of every OllamaService in a text of YAML documents, as such a text.
///
/// # Errors
/// The first document that is wrong.
pub fn render(text: &str, options: &PlanOptions) -> Result<String, RenderError> {
    let mut rendered = String::new();
    for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        let service = OllamaService::deserialize(document).map_err(|source| RenderError::Parse {
            document: index + 1,
            source,
        })?;
        rendered.push_str(&render_one(&service, options)?);
    }
    Ok(rendered)
}

fn render_one(service: &OllamaService, options: &PlanOptions) -> Result<String, RenderError> {
    let plan = plan::plan(service, options).map_err(|source| RenderError::Plan {
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
