//! The difference between what should be and what there is: pure.

mod claim;

use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::compare::covers;
use crate::crd::UpgradePolicy;
use crate::observe::{GeneratedState, Live, Observed};
use crate::plan::{
    AUTOSCALED_ANNOTATION, Child, DIGEST_KEY_VOLUME, GeneratedSecret, Kind, Plan, REQUESTED_ANNOTATION,
    TEMPLATE_ANNOTATION, service_of,
};

/// Something to write.
#[derive(Debug)]
pub enum Change<'a> {
    /// A Secret that is not there yet.
    Generate(&'a GeneratedSecret),
    /// A child that is not there yet.
    Create(&'a Child),
    /// A child that is there and says something else.
    Update {
        /// What it should say.
        child: &'a Child,
        /// Which object it must still be.
        uid: String,
        /// What it is to say: the child's own words but for a size that has grown beyond the plan, and for Pods that stay.
        object: Value,
    },
    /// What a claim that is there asks of its volume, after all else that is said of it. Not every volume can become so; the
    /// Pods go on with it as it is.
    Resize {
        /// What it should say.
        child: &'a Child,
        /// Which object it must still be.
        uid: String,
        /// What it is to say: the child's own words but for what stays as it is.
        object: Value,
    },
    /// The number of replicas of the Deployment, before an autoscaler decides on it. What a manager says no more goes back
    /// to the API server's default, so another manager says it first, and never again.
    HandOver {
        /// The Deployment's name.
        name: &'a str,
        /// Which object it must still be.
        uid: String,
        /// And in which state: whoever scales it meanwhile is right.
        resource_version: String,
        /// How many.
        replicas: i32,
    },
    /// A child of an optional kind that the plan no longer has.
    Delete {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Which object it must still be.
        uid: String,
    },
}

impl Change<'_> {
    /// Whether there is an object more by it.
    pub const fn makes_anew(&self) -> bool {
        matches!(self, Self::Generate(_) | Self::Create(_))
    }

    /// Whether it makes the Deployment say all that it should.
    pub fn is_of_deployment(&self) -> bool {
        matches!(self, Self::Create(child) | Self::Update { child, .. } if child.kind == Kind::Deployment)
    }

    /// Whether it waits where another, which comes before it, could not be written: nothing lets anybody in before the
    /// configuration by which that is decided, no Pod comes before all that it needs or protects it, and never do two decide
    /// on the number of replicas.
    pub fn needs(&self, other: &Self) -> bool {
        let Some(kind) = self.written() else {
            return false;
        };
        match other {
            Self::Generate(_) => kind == Kind::Deployment,
            Self::HandOver { .. } => decides_on_replicas(kind),
            Self::Delete { kind: other, .. } => decides_on_replicas(*other) && decides_on_replicas(kind),
            // The Pods go on with the claim as it is.
            Self::Resize { .. } => false,
            Self::Update { child, .. } if child.kind == Kind::PersistentVolumeClaim => {
                matches!(self, Self::Resize { .. })
            }
            Self::Create(child) | Self::Update { child, .. } => needed_by(kind).contains(&child.kind),
        }
    }

    /// The kind of child that it writes.
    const fn written(&self) -> Option<Kind> {
        match self {
            Self::Create(child) | Self::Update { child, .. } | Self::Resize { child, .. } => Some(child.kind),
            Self::HandOver { .. } => Some(Kind::Deployment),
            Self::Generate(_) | Self::Delete { .. } => None,
        }
    }
}

const fn decides_on_replicas(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Deployment | Kind::HorizontalPodAutoscaler | Kind::ScaledObject
    )
}

/// What has to be as it should before a child of that kind is written.
const fn needed_by(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::Service | Kind::NetworkPolicy => &[Kind::ConfigMap],
        Kind::Deployment => &[
            Kind::ServiceAccount,
            Kind::ConfigMap,
            Kind::NetworkPolicy,
            Kind::PersistentVolumeClaim,
        ],
        Kind::HorizontalPodAutoscaler | Kind::ScaledObject => &[Kind::Deployment],
        Kind::Ingress | Kind::HttpRoute => &[Kind::ConfigMap, Kind::Service, Kind::NetworkPolicy],
        Kind::ServiceAccount
        | Kind::ConfigMap
        | Kind::PersistentVolumeClaim
        | Kind::PodDisruptionBudget
        | Kind::Certificate => &[],
    }
}

/// What an object was to be whose name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant {
    /// A child.
    Child(Kind),
    /// A Secret of the operator's.
    Generated,
    /// The Secret with cert-manager's certificate.
    Certificate,
}

/// A name that something else has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collision {
    /// What was to have it.
    pub meant: Meant,
    /// Its name.
    pub name: String,
    /// It is about to go.
    pub deleting: bool,
}

/// All that is to be written, in order; or the names that are taken, and then nothing may be written at all.
///
/// # Errors
/// When an object of a child's name belongs to something else.
pub fn changes<'a>(
    plan: &'a Plan,
    observed: &Observed,
    uid: &str,
) -> Result<Vec<Change<'a>>, Vec<Collision>> {
    let mut collisions = Vec::new();
    // What is no longer wanted goes first: an autoscaler would undo the Deployment's next number of replicas, and two of
    // them would fight.
    let surplus = observed.surplus.iter().map(|(kind, live)| Change::Delete {
        kind: *kind,
        name: live.name_any(),
        uid: live.uid().unwrap_or_default(),
    });
    let mut changes: Vec<_> = surplus.collect();
    for secret in &plan.generated {
        match observed.generated.get(secret.name()) {
            Some(GeneratedState::Ours) => {}
            Some(GeneratedState::Foreign { deleting }) => {
                collisions.push(Collision {
                    meant: Meant::Generated,
                    name: secret.name().to_owned(),
                    deleting: *deleting,
                });
            }
            None => changes.push(Change::Generate(secret)),
        }
    }
    for child in &plan.children {
        match observed.children.get(&child.kind) {
            Some(live) if !is_ours(live, uid) && !was_kept(child, live) => collisions.push(Collision {
                meant: Meant::Child(child.kind),
                name: child.name.clone(),
                deleting: live.metadata.deletion_timestamp.is_some(),
            }),
            Some(live) => {
                changes.extend(hand_over(plan, child, live));
                changes.extend(update(plan, child, live));
            }
            // Nothing can be made of a kind that isn't there; the status says so.
            None if observed.unserved.contains(&child.kind) => {}
            None => match certificate_taken(plan, child, observed) {
                Some(taken) => collisions.push(taken),
                None => changes.push(Change::Create(child)),
            },
        }
    }
    if collisions.is_empty() {
        Ok(changes)
    } else {
        Err(collisions)
    }
}

/// A certificate that is somebody else's would be lost, and its key with it, once cert-manager makes one in its place.
fn certificate_taken(plan: &Plan, child: &Child, observed: &Observed) -> Option<Collision> {
    let Some(GeneratedState::Foreign { deleting }) = observed.certificate_secret else {
        return None;
    };
    (child.kind == Kind::Certificate).then(|| Collision {
        meant: Meant::Certificate,
        name: plan.tls_secret.clone().unwrap_or_default(),
        deleting,
    })
}

fn is_ours(live: &DynamicObject, uid: &str) -> bool {
    service_of(&live.metadata).is_some_and(|(_, owner)| owner == uid)
}

/// A claim that says all that the operator says of it, but has no owner: an OllamaService of that name has kept it.
fn was_kept(child: &Child, live: &DynamicObject) -> bool {
    let owners = live.metadata.owner_references.as_deref().unwrap_or_default();
    child.kind == Kind::PersistentVolumeClaim
        && owners.is_empty()
        && covers(&json!(live.labels()), &child.object["metadata"]["labels"])
}

/// Once: afterwards the Deployment says that its replicas are the autoscaler's.
fn hand_over<'a>(plan: &Plan, child: &'a Child, live: &Live) -> Option<Change<'a>> {
    let done = live.annotations().contains_key(AUTOSCALED_ANNOTATION);
    if child.kind != Kind::Deployment || done {
        return None;
    }
    Some(Change::HandOver {
        name: &child.name,
        uid: live.uid().unwrap_or_default(),
        resource_version: live.resource_version().unwrap_or_default(),
        replicas: plan.replicas.handed_over(live)?,
    })
}

/// Whether the operator, and not the user, would change the Pods, and is to wait.
pub fn upgrade_waits(plan: &Plan, child: &Child, live: &DynamicObject) -> bool {
    let same = |annotation: &str| {
        let live = live.annotations().get(annotation)?;
        Some(child.object["metadata"]["annotations"][annotation] == **live)
    };
    child.kind == Kind::Deployment
        && plan.upgrade_policy == UpgradePolicy::OnNextRollout
        && same(REQUESTED_ANNOTATION) == Some(true)
        && same(TEMPLATE_ANNOTATION) == Some(false)
        && (has_digest_key(&live.data) || !has_digest_key(&child.object))
}

/// Without the key nobody can tell what Pods have in force, so they come to have it at once; too much of it does no harm.
fn has_digest_key(deployment: &Value) -> bool {
    let volumes = deployment["spec"]["template"]["spec"]["volumes"].as_array();
    let mut volumes = volumes.into_iter().flatten();
    volumes.any(|volume| volume["name"] == DIGEST_KEY_VOLUME)
}

/// The Pods stay as they are, and the Deployment goes on saying which operator made them.
fn keep_template(desired: &mut Value, live: &DynamicObject) {
    desired["spec"]["template"] = live.data["spec"]["template"].clone();
    desired["metadata"]["annotations"][TEMPLATE_ANNOTATION] =
        json!(live.annotations().get(TEMPLATE_ANNOTATION));
}

fn update<'a>(plan: &Plan, child: &'a Child, live: &Live) -> Vec<Change<'a>> {
    let metadata = json!({
        "labels": live.metadata.labels,
        "annotations": live.metadata.annotations,
        "ownerReferences": live.metadata.owner_references,
        "name": live.metadata.name,
        "namespace": live.metadata.namespace,
    });
    let mut object = child.object.clone();
    if child.kind == Kind::PersistentVolumeClaim {
        claim::keep_what_stays(&mut object, &live.data);
    }
    if upgrade_waits(plan, child, live) {
        keep_template(&mut object, live);
    }
    let uid = live.uid().unwrap_or_default();
    let is_named = covers(&metadata, &object["metadata"]);
    let is_specified = object.as_object().is_some_and(|fields| {
        fields.iter().all(|(field, desired)| match field.as_str() {
            // A store's objects don't repeat them.
            "apiVersion" | "kind" | "metadata" => true,
            _ => live.data.get(field).is_some_and(|live| covers(live, desired)),
        })
    });
    if child.kind == Kind::PersistentVolumeClaim && !is_specified {
        return claim::changes(child, &uid, object, live, is_named);
    }
    if is_named && is_specified {
        return Vec::new();
    }
    vec![Change::Update { child, uid, object }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(kind: Kind) -> Child {
        Child::new(kind, &json!({"metadata": {"name": "x"}})).unwrap()
    }

    fn update(child: &Child) -> Change<'_> {
        Change::Update {
            child,
            uid: String::new(),
            object: Value::Null,
        }
    }

    fn resize(child: &Child) -> Change<'_> {
        Change::Resize {
            child,
            uid: String::new(),
            object: Value::Null,
        }
    }

    #[test]
    fn a_write_waits_for_those_that_it_needs() {
        let all = Kind::ALL.map(child);
        let of = |kind: Kind| all.iter().find(|child| child.kind == kind).unwrap();
        let delete = |kind| Change::Delete {
            kind,
            name: String::new(),
            uid: String::new(),
        };
        let hand_over = || Change::HandOver {
            name: "x",
            uid: String::new(),
            resource_version: String::new(),
            replicas: 2,
        };
        let scaled = [
            Kind::Deployment,
            Kind::HorizontalPodAutoscaler,
            Kind::ScaledObject,
        ];
        let outside = [Kind::Ingress, Kind::HttpRoute];
        let behind_config_map = [
            Kind::Service,
            Kind::NetworkPolicy,
            Kind::Deployment,
            Kind::Ingress,
            Kind::HttpRoute,
        ];
        let behind_policy = [Kind::Deployment, Kind::Ingress, Kind::HttpRoute];
        let cases = [
            (
                "the configuration",
                update(of(Kind::ConfigMap)),
                &behind_config_map[..],
            ),
            ("the policy", update(of(Kind::NetworkPolicy)), &behind_policy),
            ("the Service", update(of(Kind::Service)), &outside),
            (
                "a claim",
                Change::Create(of(Kind::PersistentVolumeClaim)),
                &[Kind::Deployment],
            ),
            (
                "a claim that changes",
                update(of(Kind::PersistentVolumeClaim)),
                &[],
            ),
            ("a claim that grows", resize(of(Kind::PersistentVolumeClaim)), &[]),
            ("the Deployment", update(of(Kind::Deployment)), &scaled[1..]),
            ("the hand-over", hand_over(), &scaled),
            (
                "an autoscaler's end",
                delete(Kind::HorizontalPodAutoscaler),
                &scaled,
            ),
            ("an Ingress's end", delete(Kind::Ingress), &[]),
            ("a certificate", update(of(Kind::Certificate)), &[]),
        ];
        for (what, other, expected) in cases {
            let waits = |kind: &Kind| update(of(*kind)).needs(&other);
            let waiting: Vec<_> = Kind::ALL.into_iter().filter(waits).collect();
            assert_eq!(waiting, expected, "{what}");
            assert!(!delete(Kind::Ingress).needs(&other), "{what}: what is to go goes");
        }
        assert!(hand_over().needs(&update(of(Kind::NetworkPolicy))));
        let claim = of(Kind::PersistentVolumeClaim);
        assert!(resize(claim).needs(&update(claim)));
    }
}
