//! How a claim that is there changes: only its size ever can, and not every volume's.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::Change;
use crate::plan::{CLAIM_CAPACITY, CLAIM_SIZE, Child};
use crate::quantity::thousandths;

const CLASS: &str = "/spec/storageClassName";

/// Of a claim whose volume is to become another: its owner and labels by a write of their own, which comes first. The volume
/// may never become so, and a claim that is to be kept is deleted with its owner.
pub(super) fn changes<'a>(
    child: &'a Child,
    uid: &str,
    object: Value,
    live: &DynamicObject,
    is_named: bool,
) -> Vec<Change<'a>> {
    let named = (!is_named).then(|| Change::Update {
        child,
        uid: uid.to_owned(),
        object: with_volume_of(&object, &live.data),
    });
    let resized = Change::Resize {
        child,
        uid: uid.to_owned(),
        object,
    };
    named.into_iter().chain([resized]).collect()
}

/// The claim asking for the volume that it has: all fields of which a plan may speak, since what is said no more would be
/// taken away, and that is refused too.
fn with_volume_of(object: &Value, live: &Value) -> Value {
    let mut object = object.clone();
    object["spec"] = json!({
        "accessModes": live["spec"]["accessModes"],
        "resources": {"requests": {"storage": live.pointer(CLAIM_SIZE)}},
    });
    if let Some(class) = live.pointer(CLASS) {
        object["spec"]["storageClassName"] = class.clone();
    }
    object
}

/// What stays as it is whatever the plan says: the class that it doesn't name, and some sizes.
pub(super) fn keep_what_stays(desired: &mut Value, live: &Value) {
    if let Some(class) = live.pointer(CLASS).filter(|_| desired.pointer(CLASS).is_none()) {
        desired["spec"]["storageClassName"] = class.clone();
    }
    let has = live.pointer(CLAIM_CAPACITY);
    if let (Some(wanted), Some(asked)) = (desired.pointer_mut(CLAIM_SIZE), live.pointer(CLAIM_SIZE))
        && size_stays(wanted, asked, has)
    {
        *wanted = asked.clone();
    }
}

/// Whether a claim goes on asking for a size that is more than is wanted: one that its volume has come to, which somebody has
/// made larger, or is to come to before anything is known of it. What it can't grow to may be taken back, but only to more
/// than it has: so Kubernetes lets it recover (ValidatePersistentVolumeClaimUpdate in pkg/apis/core/validation, from 1.32 on).
fn size_stays(wanted: &Value, asked: &Value, has: Option<&Value>) -> bool {
    let value = |size: &Value| size.as_str().and_then(thousandths);
    let (wanted, asked, has) = (value(wanted), value(asked), has.and_then(value));
    wanted < asked && has.is_none_or(|has| asked <= Some(has) || wanted <= Some(has))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::update;
    use super::*;
    use crate::cli::{Cli, Command};
    use crate::crd::OllamaService;
    use crate::plan::{ConfigMaps, Kind, Plan, plan};

    fn plan_for(storage: &Value) -> Plan {
        let Command::Render(options) = <Cli as clap::Parser>::parse_from(["operator", "render", "-"]).command
        else {
            panic!("render was asked for");
        };
        let service: OllamaService = serde_json::from_value(json!({
            "apiVersion": "corral.dev/v1alpha1", "kind": "OllamaService",
            "metadata": {"name": "x", "namespace": "ml", "uid": "1"}, "spec": {"storage": storage},
        }))
        .unwrap();
        plan(&service, &options.plan, &ConfigMaps::new()).unwrap()
    }

    fn claim_of(plan: &Plan) -> &Child {
        let mut children = plan.children.iter();
        children
            .find(|child| child.kind == Kind::PersistentVolumeClaim)
            .unwrap()
    }

    /// A change as `Kind size class owners`.
    fn summary(change: &Change<'_>) -> String {
        let (kind, object) = match change {
            Change::Update { object, .. } => ("Update", object),
            Change::Resize { object, .. } => ("Resize", object),
            other => panic!("{other:?}"),
        };
        let text = |path| object.pointer(path).and_then(Value::as_str).unwrap_or("-");
        let owners = object["metadata"]["ownerReferences"].as_array();
        format!(
            "{kind} {} {} {}",
            text(CLAIM_SIZE),
            text(CLASS),
            owners.map_or(0, Vec::len)
        )
    }

    #[test]
    fn an_owner_goes_before_the_volume_changes() {
        let made = json!({"size": "1Gi", "storageClassName": "a"});
        let without_class = json!({"size": "1Gi"});
        let class = json!({"spec": {"storageClassName": "by-default"}});
        let none = json!({});
        let cases = [
            (
                "nothing",
                &made,
                &none,
                json!({"size": "1Gi", "storageClassName": "a"}),
                &[][..],
            ),
            (
                "it is to be kept",
                &made,
                &none,
                json!({"size": "1Gi", "storageClassName": "a", "retain": "Retain"}),
                &["Update 1Gi a 0"],
            ),
            (
                "it grows",
                &made,
                &none,
                json!({"size": "2Gi", "storageClassName": "a"}),
                &["Update 1Gi a 1", "Resize 2Gi a 1"],
            ),
            (
                "it grows and is to be kept",
                &made,
                &none,
                json!({"size": "2Gi", "storageClassName": "a", "retain": "Retain"}),
                &["Update 1Gi a 0", "Resize 2Gi a 0"],
            ),
            (
                "another class, and to be kept",
                &made,
                &none,
                json!({"size": "1Gi", "storageClassName": "b", "retain": "Retain"}),
                &["Update 1Gi a 0", "Resize 1Gi b 0"],
            ),
            (
                "no class any more",
                &made,
                &none,
                json!({"size": "1Gi", "retain": "Retain"}),
                &["Update 1Gi a 0"],
            ),
            (
                "a class that is the cluster's default",
                &without_class,
                &class,
                json!({"size": "2Gi", "retain": "Retain"}),
                &["Update 1Gi by-default 0", "Resize 2Gi by-default 0"],
            ),
            (
                "a class where there is none",
                &without_class,
                &none,
                json!({"size": "1Gi", "storageClassName": "a"}),
                &["Update 1Gi - 1", "Resize 1Gi a 1"],
            ),
        ];
        for (what, made, others, asked, expected) in cases {
            let (before, after) = (plan_for(made), plan_for(&asked));
            let mut live = claim_of(&before).object.clone();
            for (field, value) in others["spec"].as_object().into_iter().flatten() {
                live["spec"][field] = value.clone();
            }
            let live = Arc::new(serde_json::from_value(live).unwrap());
            let changes = update(&after, claim_of(&after), &live);
            assert_eq!(
                changes.iter().map(summary).collect::<Vec<_>>(),
                expected,
                "{what}"
            );
        }
    }

    #[test]
    fn a_size_stays_where_the_volume_has_it() {
        let cases = [
            ("what was asked for", "60Gi", "60Gi", Some("60Gi"), "60Gi"),
            ("more", "70Gi", "60Gi", Some("60Gi"), "70Gi"),
            (
                "less than somebody has made of it",
                "50Gi",
                "60Gi",
                Some("60Gi"),
                "60Gi",
            ),
            ("the same, rounded up", "50Gi", "60Gi", Some("61Gi"), "60Gi"),
            ("less, before there is a volume", "50Gi", "60Gi", None, "60Gi"),
            (
                "less than it can't grow to",
                "60Gi",
                "500Gi",
                Some("50Gi"),
                "60Gi",
            ),
            ("as much as it has", "50Gi", "500Gi", Some("50Gi"), "500Gi"),
            ("less than it has", "40Gi", "500Gi", Some("50Gi"), "500Gi"),
            (
                "the same in other words",
                "51200Mi",
                "50Gi",
                Some("1Gi"),
                "51200Mi",
            ),
        ];
        let claim = |size: &str| json!({"spec": {"resources": {"requests": {"storage": size}}}});
        for (what, wanted, asked, has, expected) in cases {
            let mut desired = claim(wanted);
            let mut live = claim(asked);
            if let Some(has) = has {
                live["status"] = json!({"capacity": {"storage": has}});
            }
            keep_what_stays(&mut desired, &live);
            assert_eq!(desired, claim(expected), "{what}");
        }
    }
}
