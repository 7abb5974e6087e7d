//! How many replicas there are, on which nodes, and how many may go at a time.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OllamaServiceSpec, one};

impl OllamaServiceSpec {
    /// The most replicas that there may come to be while the spec stays as it is: what is divided among replicas is
    /// divided by this, so that it never sums up to more.
    pub fn most_replicas(&self) -> i32 {
        self.autoscaling
            .as_ref()
            .map_or(self.replicas, |autoscaling| autoscaling.max_replicas)
    }
}

/// As many replicas as the load needs: exactly one of target and keda.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.minReplicas <= self.maxReplicas")
        .message("autoscaling.minReplicas can't be more than autoscaling.maxReplicas"),
    validation = Rule::new("has(self.target) != has(self.keda)")
        .message("autoscaling needs exactly one of target (a HorizontalPodAutoscaler) and keda (a ScaledObject)"),
    validation = Rule::new("has(self.keda) || self.minReplicas > 0")
        .message("autoscaling.minReplicas can be 0 with keda only: a HorizontalPodAutoscaler doesn't scale to zero"),
)]
pub struct Autoscaling {
    /// Fewest replicas; 0 with keda only.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub min_replicas: i32,
    /// Most replicas.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// What each replica should bear: makes a HorizontalPodAutoscaler (autoscaling/v2), for which the cluster needs an
    /// adapter that serves the Pods' metrics, such as prometheus-adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<AutoscalingTarget>,
    /// Makes a ScaledObject of KEDA (keda.sh/v1alpha1), where the cluster has KEDA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keda: Option<Keda>,
    /// How fast replicas come and go, as in a HorizontalPodAutoscaler. Kubernetes' own default is to wait five minutes
    /// before any goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
}

/// What each replica should bear on average. With both, whichever needs more replicas decides.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.requestsInFlight) || has(self.tokensPerSecond)")
    .message("autoscaling.target needs requestsInFlight, tokensPerSecond or both"))]
pub struct AutoscalingTarget {
    /// Requests on their way (the metric http_server_active_requests).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_in_flight: Option<i32>,
    /// Tokens written each second (the rate of gen_ai_client_inference_usage_output_tokens_total, which
    /// prometheus-adapter's own rules name gen_ai_client_inference_usage_output_tokens).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub tokens_per_second: Option<i32>,
}

/// A ScaledObject of KEDA.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Keda {
    /// What the number of replicas follows. A service without a replica has no metrics of its own: to come back from zero
    /// it takes a trigger that asks something else, such as the ingress controller's.
    #[schemars(length(min = 1, max = 16))]
    pub triggers: Vec<KedaTrigger>,
    /// Seconds from one look at the triggers to the next; KEDA's default without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub polling_interval_seconds: Option<i32>,
    /// Seconds without load before the last replica goes; KEDA's default without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub cooldown_period_seconds: Option<i32>,
}

/// A trigger of a ScaledObject, in KEDA's words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KedaTrigger {
    /// Which scaler, such as prometheus or cron.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// What that scaler wants to know.
    #[schemars(extend("maxProperties" = 64))]
    pub metadata: BTreeMap<String, String>,
    /// AverageValue, Value or Utilization; the scaler's default without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["AverageValue", "Value", "Utilization"]))]
    pub metric_type: Option<String>,
    /// A TriggerAuthentication in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication_ref: Option<KedaAuthentication>,
}

/// A TriggerAuthentication in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KedaAuthentication {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A number of replicas that is a text is a share of them.
const PERCENTAGE: &str = r"^(100|[1-9]?[0-9])%$";

/// How many replicas may be away while nodes are drained: exactly one of both. Makes a PodDisruptionBudget.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.minAvailable) != has(self.maxUnavailable)")
    .message("disruption needs exactly one of minAvailable and maxUnavailable"))]
pub struct Disruption {
    /// How many replicas must stay, as a number or a percentage.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0, "pattern" = PERCENTAGE))]
    pub min_available: Option<IntOrString>,
    /// How many replicas may be away, as a number or a percentage.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0, "pattern" = PERCENTAGE))]
    pub max_unavailable: Option<IntOrString>,
}

/// How replicas are spread over nodes that differ in a label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopologySpread {
    /// The label, such as topology.kubernetes.io/zone.
    #[schemars(length(min = 1, max = 317))]
    pub topology_key: String,
    /// How many more replicas one value of the label may have than another.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_skew: i32,
    /// What happens to a Pod that can't be placed so.
    #[serde(default)]
    pub when_unsatisfiable: WhenUnsatisfiable,
}

/// What happens to a Pod that can't be placed as its spread asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenUnsatisfiable {
    /// It is placed elsewhere.
    #[default]
    ScheduleAnyway,
    /// It waits.
    DoNotSchedule,
}
