//! Kinds that other projects bring, as they define them: what is made of such a kind has to be what they take.

use std::fs;

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use crate::tools::go;

/// A kind that is no part of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the kind of that name")]
pub enum Foreign {
    Certificate,
    HttpRoute,
    ScaledObject,
    PodMonitor,
    ServiceMonitor,
}

impl Foreign {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Certificate,
        Self::HttpRoute,
        Self::ScaledObject,
        Self::PodMonitor,
        Self::ServiceMonitor,
    ];

    /// The Go module that publishes it, and the file in it.
    const fn published(self) -> (&'static str, &'static str) {
        const PROMETHEUS_OPERATOR: &str = "github.com/prometheus-operator/prometheus-operator@v0.85.0";
        match self {
            Self::Certificate => (
                "github.com/cert-manager/cert-manager@v1.21.2",
                "deploy/crds/cert-manager.io_certificates.yaml",
            ),
            Self::HttpRoute => (
                "sigs.k8s.io/gateway-api@v1.4.1",
                "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
            ),
            Self::ScaledObject => (
                "github.com/kedacore/keda/v2@v2.21.0",
                "config/crd/bases/keda.sh_scaledobjects.yaml",
            ),
            Self::PodMonitor => (
                PROMETHEUS_OPERATOR,
                "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
            ),
            Self::ServiceMonitor => (
                PROMETHEUS_OPERATOR,
                "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
            ),
        }
    }

    /// Its definition.
    ///
    /// # Errors
    /// Go can't fetch the module, or the file isn't what it was.
    pub fn definition(self) -> Result<CustomResourceDefinition> {
        let (module, file) = self.published();
        let path = go::source(module)?.join(file);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_yaml::from_str(&text).with_context(|| path.display().to_string())
    }
}
