//! How many replicas there are, and who decides on it: the spec or an autoscaler.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior,
    HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec, MetricTarget, PodsMetricSource,
};
use k8s_openapi::api::core::v1::TopologySpreadConstraint;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::DynamicObject;
use serde::Serialize;

use super::Prepared;
use super::names::{metadata, selector_labels};
use crate::crd::{
    Autoscaling, AutoscalingTarget, Disruption, Keda, KedaTrigger, OllamaServiceSpec, TopologySpread,
    WhenUnsatisfiable,
};

/// The proxy's metrics as an adapter serves them for Pods (docs/metrics.md): the gauge as it is, and of the counter its rate
/// under its name without `_total`, as prometheus-adapter's own rules have it.
const REQUESTS_IN_FLIGHT: &str = "http_server_active_requests";
const TOKENS_PER_SECOND: &str = "gen_ai_client_inference_usage_output_tokens";

/// How many replicas there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// So many.
    Fixed(i32),
    /// What the autoscaler says, who changes the Deployment by itself.
    Autoscaled {
        /// No fewer.
        minimum: i32,
        /// No more.
        maximum: i32,
    },
}

impl Replicas {
    pub(super) fn of(spec: &OllamaServiceSpec) -> Self {
        match &spec.autoscaling {
            _ if spec.suspend => Self::Fixed(0),
            None => Self::Fixed(spec.replicas),
            Some(autoscaling) => Self::Autoscaled {
                minimum: autoscaling.min_replicas,
                maximum: autoscaling.max_replicas,
            },
        }
    }

    /// How many there should be now, by the Deployment as it is.
    pub fn wanted(self, deployment: Option<&DynamicObject>) -> i32 {
        match self {
            Self::Fixed(replicas) => replicas,
            Self::Autoscaled { minimum, .. } => deployment.and_then(live_replicas).unwrap_or(minimum),
        }
    }

    /// With how many an autoscaler takes a Deployment over: with as many as there are. One that was scaled to zero by hand
    /// would stay there, since a HorizontalPodAutoscaler leaves such a Deployment alone.
    pub fn handed_over(self, deployment: &DynamicObject) -> Option<i32> {
        match self {
            Self::Fixed(_) => None,
            Self::Autoscaled { minimum, maximum } => {
                let live = live_replicas(deployment).unwrap_or(minimum);
                Some(live.max(minimum).min(maximum))
            }
        }
    }

    /// The Deployment's field; none where it is the autoscaler's.
    pub(super) fn field(self) -> Option<i32> {
        match self {
            Self::Fixed(replicas) => Some(replicas),
            Self::Autoscaled { .. } => None,
        }
    }
}

fn live_replicas(deployment: &DynamicObject) -> Option<i32> {
    let replicas = deployment.data["spec"]["replicas"].as_i64()?;
    i32::try_from(replicas).ok()
}

/// The autoscaler that there is to be: none while the service is suspended.
fn autoscaling<'a>(prepared: &Prepared<'a>) -> Option<&'a Autoscaling> {
    prepared
        .spec
        .autoscaling
        .as_ref()
        .filter(|_| !prepared.spec.suspend)
}

pub(super) fn horizontal_pod_autoscaler(prepared: &Prepared<'_>) -> Option<HorizontalPodAutoscaler> {
    let Autoscaling {
        min_replicas,
        max_replicas,
        target,
        behavior,
        keda: _,
    } = autoscaling(prepared)?;
    Some(HorizontalPodAutoscaler {
        metadata: metadata(prepared, prepared.name),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: target_of(prepared),
            min_replicas: Some(*min_replicas),
            max_replicas: *max_replicas,
            metrics: Some(metrics(target.as_ref()?)),
            behavior: behavior.clone(),
        }),
        ..HorizontalPodAutoscaler::default()
    })
}

fn target_of(prepared: &Prepared<'_>) -> CrossVersionObjectReference {
    CrossVersionObjectReference {
        api_version: Some("apps/v1".to_owned()),
        kind: "Deployment".to_owned(),
        name: prepared.name.to_owned(),
    }
}

fn metrics(target: &AutoscalingTarget) -> Vec<MetricSpec> {
    let AutoscalingTarget {
        requests_in_flight,
        tokens_per_second,
    } = *target;
    let targets = [
        (REQUESTS_IN_FLIGHT, requests_in_flight),
        (TOKENS_PER_SECOND, tokens_per_second),
    ];
    let given = targets
        .into_iter()
        .filter_map(|(name, average)| average.map(|average| pods_metric(name, average)));
    given.collect()
}

fn pods_metric(name: &str, average: i32) -> MetricSpec {
    MetricSpec {
        type_: "Pods".to_owned(),
        pods: Some(PodsMetricSource {
            metric: MetricIdentifier {
                name: name.to_owned(),
                selector: None,
            },
            target: MetricTarget {
                type_: "AverageValue".to_owned(),
                average_value: Some(Quantity(average.to_string())),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}

/// The part of a ScaledObject (keda.sh/v1alpha1) that is needed here.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScaledObject {
    api_version: &'static str,
    kind: &'static str,
    metadata: ObjectMeta,
    spec: ScaledObjectSpec,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScaledObjectSpec {
    scale_target_ref: CrossVersionObjectReference,
    min_replica_count: i32,
    max_replica_count: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    polling_interval: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cooldown_period: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advanced: Option<Advanced>,
    triggers: Vec<KedaTrigger>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Advanced {
    horizontal_pod_autoscaler_config: AutoscalerConfig,
}

#[derive(Serialize)]
struct AutoscalerConfig {
    behavior: HorizontalPodAutoscalerBehavior,
}

pub(super) fn scaled_object(prepared: &Prepared<'_>) -> Option<ScaledObject> {
    let Autoscaling {
        min_replicas,
        max_replicas,
        keda,
        behavior,
        target: _,
    } = autoscaling(prepared)?;
    let Keda {
        triggers,
        polling_interval_seconds,
        cooldown_period_seconds,
    } = keda.clone()?;
    Some(ScaledObject {
        api_version: "keda.sh/v1alpha1",
        kind: "ScaledObject",
        metadata: metadata(prepared, prepared.name),
        spec: ScaledObjectSpec {
            scale_target_ref: target_of(prepared),
            min_replica_count: *min_replicas,
            max_replica_count: *max_replicas,
            polling_interval: polling_interval_seconds,
            cooldown_period: cooldown_period_seconds,
            advanced: behavior.clone().map(|behavior| Advanced {
                horizontal_pod_autoscaler_config: AutoscalerConfig { behavior },
            }),
            triggers,
        },
    })
}

/// Where more than one replica may come to be, one may be away unless the spec says otherwise. A budget for a single one
/// would either allow everything or hold up every drain of its node.
pub(super) fn disruption_budget(prepared: &Prepared<'_>) -> Option<PodDisruptionBudget> {
    let usual = || Disruption {
        min_available: None,
        max_unavailable: Some(IntOrString::Int(1)),
    };
    let several = prepared.spec.most_replicas() > 1;
    let disruption = prepared.spec.disruption.clone();
    let Disruption {
        min_available,
        max_unavailable,
    } = disruption.or_else(|| several.then(usual))?;
    Some(PodDisruptionBudget {
        metadata: metadata(prepared, prepared.name),
        spec: Some(PodDisruptionBudgetSpec {
            selector: Some(selector(prepared)),
            min_available,
            max_unavailable,
            // A Pod that isn't ready serves nobody, and may not hold up a drain.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        }),
        ..PodDisruptionBudget::default()
    })
}

/// Softly over nodes, unless the spec says otherwise. It is the same for one replica and for many: scaling must not change
/// the Pods' template, since that would replace them all.
pub(super) fn topology_spread(prepared: &Prepared<'_>) -> Vec<TopologySpreadConstraint> {
    let usual = || {
        vec![TopologySpread {
            topology_key: "kubernetes.io/hostname".to_owned(),
            max_skew: 1,
            when_unsatisfiable: WhenUnsatisfiable::ScheduleAnyway,
        }]
    };
    let spread = prepared.spec.topology_spread.clone().unwrap_or_else(usual);
    let constraint = |spread: TopologySpread| TopologySpreadConstraint {
        topology_key: spread.topology_key,
        max_skew: spread.max_skew,
        when_unsatisfiable: format!("{:?}", spread.when_unsatisfiable),
        label_selector: Some(selector(prepared)),
        ..TopologySpreadConstraint::default()
    };
    spread.into_iter().map(constraint).collect()
}

fn selector(prepared: &Prepared<'_>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(selector_labels(prepared.name)),
        ..LabelSelector::default()
    }
}
