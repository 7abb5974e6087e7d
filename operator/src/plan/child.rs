//! An object that an OllamaService should have.

use kube::api::ApiResource;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::names::PLAN_ANNOTATION;

/// The kinds of objects that are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The identity of the Pods; it has no token.
    ServiceAccount,
    /// The proxy's configuration.
    ConfigMap,
    /// Where clients connect.
    Service,
    /// Who reaches which port.
    NetworkPolicy,
    /// The models' volume.
    PersistentVolumeClaim,
    /// The Pods.
    Deployment,
    /// How many Pods may be away while nodes are drained.
    PodDisruptionBudget,
    /// Scales the Deployment by what the Pods bear.
    HorizontalPodAutoscaler,
    /// The same by KEDA; not every cluster has the kind.
    ScaledObject,
    /// How a controller of Ingresses leads clients to the Service.
    Ingress,
    /// How a Gateway leads clients to the Service; not every cluster has the kind.
    HttpRoute,
    /// The certificate that clients see, made by cert-manager; not every cluster has the kind.
    Certificate,
}

impl Kind {
    /// All of them, in the order in which they are applied.
    pub const ALL: [Self; 12] = [
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Service,
        Self::NetworkPolicy,
        Self::PersistentVolumeClaim,
        Self::Deployment,
        Self::PodDisruptionBudget,
        Self::HorizontalPodAutoscaler,
        Self::ScaledObject,
        Self::Ingress,
        Self::HttpRoute,
        Self::Certificate,
    ];

    /// Those that hold nothing and are made only where the spec asks for them. When it no longer does they are deleted;
    /// no other kind ever is.
    pub const OPTIONAL: [Self; 6] = [
        Self::PodDisruptionBudget,
        Self::HorizontalPodAutoscaler,
        Self::ScaledObject,
        Self::Ingress,
        Self::HttpRoute,
        Self::Certificate,
    ];

    /// The kind's name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::ConfigMap => "ConfigMap",
            Self::Service => "Service",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::Deployment => "Deployment",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::HorizontalPodAutoscaler => "HorizontalPodAutoscaler",
            Self::ScaledObject => "ScaledObject",
            Self::Ingress => "Ingress",
            Self::HttpRoute => "HTTPRoute",
            Self::Certificate => "Certificate",
        }
    }

    /// Whether a cluster may be without the kind: it is no part of Kubernetes.
    pub const fn may_be_unserved(self) -> bool {
        matches!(self, Self::HttpRoute | Self::ScaledObject | Self::Certificate)
    }

    /// Group, version and plural.
    pub(crate) const fn path(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::ServiceAccount => ("", "v1", "serviceaccounts"),
            Self::ConfigMap => ("", "v1", "configmaps"),
            Self::Service => ("", "v1", "services"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "networkpolicies"),
            Self::PersistentVolumeClaim => ("", "v1", "persistentvolumeclaims"),
            Self::Deployment => ("apps", "v1", "deployments"),
            Self::PodDisruptionBudget => ("policy", "v1", "poddisruptionbudgets"),
            Self::HorizontalPodAutoscaler => ("autoscaling", "v2", "horizontalpodautoscalers"),
            Self::ScaledObject => ("keda.sh", "v1alpha1", "scaledobjects"),
            Self::Ingress => ("networking.k8s.io", "v1", "ingresses"),
            Self::HttpRoute => ("gateway.networking.k8s.io", "v1", "httproutes"),
            Self::Certificate => ("cert-manager.io", "v1", "certificates"),
        }
    }

    /// Where the API has it.
    pub fn resource(self) -> ApiResource {
        let (group, version, plural) = self.path();
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: if group.is_empty() {
                version.to_owned()
            } else {
                format!("{group}/{version}")
            },
            kind: self.name().to_owned(),
            plural: plural.to_owned(),
        }
    }
}

/// An object that an OllamaService should have, as it is sent to the API server.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// All that the operator says of it, with an annotation that tells this plan from an earlier one.
    pub object: Value,
}

impl Child {
    /// Takes a typed object.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn new(kind: Kind, object: &impl Serialize) -> Result<Self, serde_json::Error> {
        let mut object = serde_json::to_value(object)?;
        let digest = hex::encode(&Sha256::digest(serde_json::to_vec(&object)?)[..8]);
        let metadata = &mut object["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default().to_owned();
        metadata["annotations"][PLAN_ANNOTATION] = digest.into();
        Ok(Self { kind, name, object })
    }
}
