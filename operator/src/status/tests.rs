//! Named cases: what is known, and what the conditions then say.

use std::sync::Arc;

use corral_proxy::config::Require;
use corral_proxy::credentials::Means;
use corral_proxy::status::{
    CertificateStatus, ConfigurationStatus, ModelState, ModelStatus, SourceStatus, Status,
};
use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::cli::{Cli, Command};
use crate::observe::Content;
use crate::plan::{ConfigMaps, plan};

mod conditions;
mod documentation;
mod exposure;
mod gpu;
mod models;
mod pods;
mod registry_key;
mod reviews;
mod scale;

const CONFIGURATION: &str = "the configuration's digest";
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// What is known in a case; the default is a service of one replica where all is well.
struct Case {
    spec: Value,
    secret: SecretState,
    certificate: Option<CertificateState>,
    registry_key: Option<RegistryKeyState>,
    ready: i32,
    /// What the Pod `x-1` says of itself.
    pod: Value,
    /// Pods beside it.
    others: Vec<Value>,
    replicas: Vec<Replica>,
    refused: Option<&'static str>,
    claim_refused: Option<&'static str>,
    unserved: &'static [Kind],
    /// Children that there are, as far as the status looks at them.
    children: Vec<(Kind, Value)>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            spec: json!({}),
            secret: found("1", Ok(1)),
            certificate: None,
            registry_key: None,
            ready: 1,
            pod: json!({}),
            others: Vec::new(),
            replicas: vec![replica(|_| {})],
            refused: None,
            claim_refused: None,
            unserved: &[],
            children: Vec::new(),
        }
    }
}

fn found(version: &str, clients: Result<usize, &str>) -> SecretState {
    SecretState::Found(Content {
        resource_version: version.to_owned(),
        digest: Some(version.to_owned()),
        clients: clients.map_err(str::to_owned),
    })
}

/// A replica that has version 1 in force, and says otherwise where it is told to.
fn replica(change: impl FnOnce(&mut Status)) -> Replica {
    let mut says = Status {
        version: String::new(),
        ready: true,
        draining: false,
        require: Require::Any,
        configuration: ConfigurationStatus {
            digest: Some(CONFIGURATION.to_owned()),
            loaded_at: NOW,
            error: None,
        },
        certificate: None,
        credentials: vec![SourceStatus {
            means: Means::ApiKeys,
            issuer: None,
            digest: Some("1".to_owned()),
            clients: 1,
            loaded_at: NOW,
            error: None,
        }],
        issuers: Vec::new(),
        kubernetes: None,
        clients: Vec::new(),
        limits: vec![],
        models: Vec::new(),
        loaded: Vec::new(),
    };
    change(&mut says);
    Replica {
        pod: "x-1".to_owned(),
        answer: Ok(says),
        clients: 0,
    }
}

fn model(state: ModelState, message: Option<&str>) -> Vec<ModelStatus> {
    let progress = (state == ModelState::Pulling).then_some(42);
    vec![ModelStatus {
        name: "m".to_owned(),
        state,
        progress,
        completed: progress.map(|_| 84),
        total: progress.map(|_| 200),
        digest: None,
        size: None,
        message: message.map(str::to_owned),
        displaced: 0,
    }]
}

fn service(spec: &Value) -> OllamaService {
    serde_json::from_value(json!({
        "apiVersion": "corral.dev/v1alpha1", "kind": "OllamaService",
        "metadata": {"name": "x", "namespace": "ml", "generation": 7}, "spec": spec,
    }))
    .unwrap()
}

impl Case {
    fn children(&self) -> Children {
        let child = |(kind, object): &(Kind, Value)| {
            let mut object = object.clone();
            object["metadata"] = json!({"name": "x"});
            (*kind, Arc::new(serde_json::from_value(object).unwrap()))
        };
        self.children.iter().map(child).collect()
    }

    fn status(&self, before: &OllamaServiceStatus, now: Timestamp) -> OllamaServiceStatus {
        self.known(|service, known| status(service, before, known, now))
    }

    /// What comes of what is known in this case.
    fn known<T>(&self, then: impl FnOnce(&OllamaService, &Known<'_>) -> T) -> T {
        let Command::Render(options) = <Cli as clap::Parser>::parse_from(["operator", "render", "-"]).command
        else {
            panic!("render was asked for");
        };
        let service = service(&self.spec);
        let mut plan = plan(&service, &options.plan, &ConfigMaps::new()).unwrap();
        plan.configuration_digest = CONFIGURATION.to_owned();
        let secrets = vec![self.secret.clone(); plan.sources.len()];
        let pod = json!({"metadata": {"name": "x-1"}, "status": self.pod});
        let pods = [&pod].into_iter().chain(&self.others);
        let pods: Vec<Pod> = pods
            .map(|pod| serde_json::from_value(pod.clone()).unwrap())
            .collect();
        let children = self.children();
        let deployment = DeploymentStatus {
            ready_replicas: Some(self.ready),
            updated_replicas: Some(
                plan.replicas
                    .wanted(children.get(&Kind::Deployment).map(|live| &**live)),
            ),
            ..DeploymentStatus::default()
        };
        let known = Known {
            plan: &plan,
            secrets: &secrets,
            digest_key_problem: None,
            certificate: self.certificate.as_ref(),
            registry_key: self.registry_key.as_ref(),
            deployment: Some(&deployment),
            pods: &pods,
            children: &children,
            unserved: &self.unserved.iter().copied().collect(),
            replicas: &self.replicas,
            progress: &Progress::of(&plan, &secrets, &self.replicas, false),
            refused: self.refused,
            claim_refused: self.claim_refused,
        };
        then(&service, &known)
    }
}

fn check<'a>(cases: impl IntoIterator<Item = (&'a str, Case, &'a str)>) {
    for (name, case, expected) in cases {
        let status = case.status(&OllamaServiceStatus::default(), NOW);
        assert_eq!(summary(&status), expected, "{name}");
    }
}

/// Each condition as `Type=Status/Reason`, in order.
fn summary(status: &OllamaServiceStatus) -> String {
    let conditions = status.conditions.iter();
    let words: Vec<_> = conditions
        .map(|one| format!("{}={}/{}", one.type_, one.status, one.reason))
        .collect();
    words.join(" ")
}

#[test]
fn times_change_only_with_what_they_speak_of() {
    let first = Case::default().status(&OllamaServiceStatus::default(), NOW);
    let later = NOW + SignedDuration::from_secs(60);
    assert_eq!(
        Case::default().status(&first, later),
        first,
        "nothing new, nothing to write"
    );
    let rotating = Case {
        secret: found("2", Ok(1)),
        ..Case::default()
    }
    .status(&first, later);
    let time = |status: &OllamaServiceStatus, type_: &str| {
        let found = status.conditions.iter().find(|one| one.type_ == type_);
        found.unwrap().last_transition_time.0
    };
    assert_eq!(time(&rotating, "CredentialsSynced"), later);
    assert_eq!(time(&rotating, "Ready"), NOW);
}

#[test]
fn a_version_counts_once_every_replica_has_it() {
    let secrets = |status: &OllamaServiceStatus| status.credentials.clone().unwrap().secrets;
    let first = Case::default().status(&OllamaServiceStatus::default(), NOW);
    assert_eq!(secrets(&first)[0].resource_version, "1");
    let two = |other: &str| {
        let other = other.to_owned();
        vec![
            replica(|_| {}),
            replica(|says| says.credentials[0].digest = Some(other)),
        ]
    };
    let cases = [
        (
            "a newer one is on no replica yet",
            found("2", Ok(1)),
            vec![replica(|_| {})],
            Some("1"),
        ),
        (
            "a newer one is on one of two",
            found("2", Ok(1)),
            two("2"),
            Some("1"),
        ),
        (
            "a replica has something older than what was claimed",
            found("1", Ok(1)),
            two("0"),
            None,
        ),
        (
            "a replica doesn't answer",
            found("1", Ok(1)),
            vec![Replica {
                pod: "x".to_owned(),
                answer: Err(String::new()),
                clients: 0,
            }],
            None,
        ),
        (
            "the Secret is gone",
            SecretState::Missing {
                digest: Some("1".to_owned()),
            },
            vec![replica(|_| {})],
            None,
        ),
        ("no replica is left", found("2", Ok(1)), vec![], Some("1")),
    ];
    for (name, secret, replicas, expected) in cases {
        let status = Case {
            secret,
            replicas,
            ..Case::default()
        }
        .status(&first, NOW);
        let found = secrets(&status);
        assert_eq!(
            found.first().map(|one| one.resource_version.as_str()),
            expected,
            "{name}"
        );
    }
}

#[test]
fn events_tell_what_matters_once() {
    let none = OllamaServiceStatus::default();
    let well = Case::default().status(&none, NOW);
    let broken = Case {
        secret: found("1", Err("line 2")),
        ..Case::default()
    }
    .status(&well, NOW);
    let rotating = Case {
        secret: found("2", Ok(1)),
        ..Case::default()
    }
    .status(&well, NOW);
    let not_ready = |spec| Case {
        spec,
        ready: 0,
        ..Case::default()
    };
    let suspended = not_ready(json!({"suspend": true})).status(&well, NOW);
    let starting = not_ready(json!({})).status(&well, NOW);
    let cases = [
        (
            "it comes to be ready",
            &none,
            &well,
            vec![("Ready", false), ("InForce", false)],
        ),
        ("nothing changes", &well, &well, vec![]),
        (
            "a Secret breaks",
            &well,
            &broken,
            vec![("SecretInvalid", true), ("SecretInvalid", true)],
        ),
        (
            "it is well again",
            &broken,
            &well,
            vec![("Ready", false), ("InForce", false)],
        ),
        ("a rotation begins", &well, &rotating, vec![]),
        ("a rotation is done", &rotating, &well, vec![("InForce", false)]),
        (
            "it is suspended, as was asked for",
            &well,
            &suspended,
            vec![("Suspended", false)],
        ),
        ("it starts again", &well, &starting, vec![("Starting", true)]),
    ];
    for (name, before, after, expected) in cases {
        let changed = changed(before, after);
        let found: Vec<_> = changed
            .iter()
            .map(|one| (one.reason.as_str(), one.warning))
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}
