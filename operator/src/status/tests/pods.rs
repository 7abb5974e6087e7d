//! What the conditions say of Pods that don't come to run.

use std::time::Duration;

use super::*;

/// A moment so many seconds after [`NOW`].
fn at(seconds: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(seconds)
}

/// What a kubelet says of a Pod since [`NOW`].
fn waits(says: &str, reason: Option<&str>) -> Value {
    json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "True"},
        {"type": "PodReadyToStartContainers", "status": says, "reason": reason, "lastTransitionTime": NOW},
    ]})
}

fn starts(pod: Value) -> Case {
    Case {
        ready: 0,
        replicas: vec![],
        pod,
        ..Case::default()
    }
}

#[test]
fn a_pod_that_waits_before_its_containers_is_stuck_after_a_while() {
    let exact = Some("PodSandboxNotReady");
    let started = json!({"phase": "Pending", "startTime": NOW,
        "conditions": [{"type": "PodReadyToStartContainers", "status": "False", "reason": exact}]});
    let ended = json!({"phase": "Failed", "conditions": waits("False", exact)["conditions"]});
    let pulling = waits("True", None);
    let cases = [
        ("at first", waits("False", exact), 0, "Starting", false, Some(120)),
        ("for long", waits("False", exact), 119, "Starting", false, Some(1)),
        ("for too long", waits("False", exact), 120, "PodStuck", true, None),
        ("since its start", started, 120, "PodStuck", true, None),
        (
            "perhaps for its image, at first",
            waits("False", None),
            119,
            "Starting",
            false,
            Some(1),
        ),
        (
            "perhaps for its image",
            waits("False", None),
            120,
            "Starting",
            true,
            Some(780),
        ),
        (
            "longer than for an image",
            waits("False", None),
            900,
            "PodStuck",
            true,
            None,
        ),
        ("a slow image", pulling, 86400, "Starting", false, None),
        (
            "a kubelet that says nothing of it",
            json!({"phase": "Pending"}),
            86400,
            "Starting",
            false,
            None,
        ),
        ("one that has ended", ended, 86400, "Starting", false, None),
    ];
    for (what, pod, seconds, reason, named, more_after) in cases {
        let case = starts(pod);
        let status = case.status(&OllamaServiceStatus::default(), at(seconds));
        let available = &status.conditions[1];
        assert_eq!(available.reason, reason, "{what}");
        assert_eq!(status.says("Degraded"), reason == "PodStuck", "{what}");
        let words = "has waited since 1970-01-01T00:00:00Z";
        assert_eq!(
            available.message.contains(words),
            named,
            "{what}: {}",
            available.message
        );
        assert_eq!(
            available.message.contains("kubectl describe pod x-1"),
            named,
            "{what}"
        );
        let more = case.known(|_, known| until_more(known, &status, at(seconds)));
        assert_eq!(more, more_after.map(Duration::from_secs), "{what}");
    }
}

#[test]
fn a_pod_without_a_node_needs_help_only_after_a_while() {
    let words = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.";
    let no_node = json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": words,
        "lastTransitionTime": NOW}]});
    let cases = [
        ("at first", "{}", 0, 0, "Starting", Some(120)),
        ("while another drains", "{}", 0, 119, "Starting", Some(1)),
        ("for too long", "{}", 0, 120, "Unschedulable", None),
        (
            "the second",
            "{replicas: 2}",
            1,
            119,
            "SomeReplicasReady",
            Some(1),
        ),
        (
            "the second, for too long",
            "{replicas: 2}",
            1,
            120,
            "Unschedulable",
            None,
        ),
    ];
    for (what, spec, ready, seconds, reason, more_after) in cases {
        let case = Case {
            spec: serde_yaml::from_str(spec).unwrap(),
            ready,
            pod: no_node.clone(),
            ..Case::default()
        };
        let status = case.status(&OllamaServiceStatus::default(), at(seconds));
        let unready = &status.conditions[0];
        assert_eq!(unready.status, "False", "{what}");
        assert_eq!(unready.reason, reason, "{what}");
        let said = "Pod x-1 finds no node: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu";
        assert!(unready.message.contains(said), "{what}: {}", unready.message);
        assert_eq!(status.says("Degraded"), more_after.is_none(), "{what}");
        let more = case.known(|_, known| until_more(known, &status, at(seconds)));
        assert_eq!(more, more_after.map(Duration::from_secs), "{what}");
    }
}

/// What kubelets say of gates (Kubernetes, pkg/kubelet/status/generate.go).
#[test]
fn the_gates_that_a_pod_waits_for_are_named() {
    let words =
        "corresponding condition of pod readiness gate \"target-health.elbv2.k8s.aws/a\" does not exist.";
    let waits = starts(json!({"conditions": [
        {"type": "ContainersReady", "status": "True"},
        {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady", "message": words},
    ]}));
    let status = waits.status(&OllamaServiceStatus::default(), NOW);
    let message = &status.conditions[1].message;
    assert!(
        message.contains("Pod x-1") && message.contains(words),
        "{message}"
    );
}

/// A Pod of a template that ended when that many seconds had passed.
fn ended(name: &str, template: &str, reason: &str, seconds: i64) -> Value {
    json!({"metadata": {"name": name, "creationTimestamp": NOW, "labels": {"pod-template-hash": template}},
        "status": {"phase": "Failed", "reason": reason, "message": "The node was low on resource: memory. ",
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": at(seconds)}]}})
}

/// One that was made later, in place of those.
fn replacement(template: &str, status: &Value) -> Value {
    json!({"metadata": {"name": "x-9", "creationTimestamp": at(1), "labels": {"pod-template-hash": template}},
        "status": status})
}

#[test]
fn pods_that_their_node_has_ended_are_spoken_of_until_others_are_ready() {
    let unready = Case {
        ready: 0,
        ..Case::default()
    }
    .status(&OllamaServiceStatus::default(), at(1000));
    let well = Case::default().status(&OllamaServiceStatus::default(), at(1000));
    let starting = || replacement("a", &json!({"phase": "Pending"}));
    let no_node = json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes.",
        "lastTransitionTime": at(1)}]});
    let evicted = |seconds| ended("x-2", "a", "Evicted", seconds);
    let refused = ended("x-2", "a", "UnexpectedAdmissionError", 1000);
    let mut leaving = evicted(1000);
    leaving["metadata"]["deletionTimestamp"] = json!(at(1000));
    let cases = [
        (
            "just now",
            vec![evicted(999), starting()],
            0,
            &well,
            "Evicted",
            "low on resource: memory. It",
        ),
        (
            "a while ago",
            vec![evicted(999), starting()],
            0,
            &unready,
            "Evicted",
            "Pod x-2 was evicted",
        ),
        (
            "the only Pod",
            vec![evicted(1000)],
            0,
            &unready,
            "Evicted",
            "Pod x-2",
        ),
        (
            "again and again",
            vec![ended("x-3", "a", "Evicted", 1500), evicted(1200), starting()],
            0,
            &unready,
            "Evicted",
            "Pod x-3 was evicted from its node, the last of 2",
        ),
        (
            "one that wasn't let in",
            vec![refused, starting()],
            0,
            &unready,
            "PodFailed",
            "UnexpectedAdmissionError",
        ),
        (
            "before it was last ready",
            vec![evicted(699), starting()],
            0,
            &unready,
            "Starting",
            "are starting",
        ),
        (
            "with an earlier template",
            vec![evicted(1000), replacement("b", &json!({}))],
            0,
            &unready,
            "Starting",
            "are starting",
        ),
        (
            "one that is cleared away",
            vec![leaving, starting()],
            0,
            &unready,
            "Starting",
            "are starting",
        ),
        (
            "the other is ready",
            vec![evicted(1000), starting()],
            1,
            &unready,
            "ReplicasReady",
            "1 of 1",
        ),
        (
            "the other finds no node",
            vec![evicted(1000), replacement("a", &no_node)],
            0,
            &unready,
            "Unschedulable",
            "Pod x-9 finds no node: 0/1 nodes; Pod x-2 was evicted",
        ),
    ];
    for (what, others, ready, before, reason, words) in cases {
        let case = Case {
            ready,
            others,
            ..Case::default()
        };
        let status = case.status(before, at(1000));
        let available = &status.conditions[1];
        assert_eq!(available.reason, reason, "{what}: {}", available.message);
        assert!(available.message.contains(words), "{what}: {}", available.message);
        let is_wrong = ["Evicted", "PodFailed", "Unschedulable"].contains(&reason);
        assert_eq!(status.says("Degraded"), is_wrong, "{what}");
    }
}

#[test]
fn what_to_do_of_an_evicted_pod_depends_on_what_was_short() {
    let limit = "spec.storage.ephemeral.sizeLimit";
    let volume = |name: &str| format!("Usage of EmptyDir volume \"{name}\" exceeds the limit \"2Gi\". ");
    let cases = [
        ("the models' limit", volume("models"), Some(limit)),
        ("another volume's limit", volume("home"), None),
        (
            "the node's disk",
            "The node was low on resource: ephemeral-storage. ".to_owned(),
            Some("where the node has more"),
        ),
    ];
    for (what, words, expected) in cases {
        let mut evicted = ended("x-2", "a", "Evicted", 0);
        evicted["status"]["message"] = words.clone().into();
        let case = Case {
            ready: 0,
            others: vec![evicted],
            ..Case::default()
        };
        let status = case.status(&OllamaServiceStatus::default(), NOW);
        let message = &status.conditions[1].message;
        let advice = message.split_once(words.trim().trim_end_matches('.')).unwrap().1;
        assert_eq!(advice.is_empty(), expected.is_none(), "{what}: {message}");
        assert!(advice.contains(expected.unwrap_or_default()), "{what}: {message}");
        assert_eq!(
            advice.contains(limit),
            expected == Some(limit),
            "{what}: {message}"
        );
    }
}

#[test]
fn the_words_of_a_kubelet_are_cut_short() {
    let mut evicted = ended("x-2", "a", "Evicted", 0);
    evicted["status"]["message"] = "ä".repeat(10_000).into();
    let case = Case {
        ready: 0,
        others: vec![evicted],
        ..Case::default()
    };
    let status = case.status(&OllamaServiceStatus::default(), NOW);
    let characters = status.conditions[1].message.chars().count();
    assert!((400..1000).contains(&characters), "{characters}");
}
