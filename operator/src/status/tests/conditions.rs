//! Every condition in every case.

use corral_proxy::status::{IssuerStatus, KeyStatus};

use super::*;

/// A claim that asks for so much.
fn claim(size: &str, status: &Value) -> (Kind, Value) {
    let spec = json!({"resources": {"requests": {"storage": size}}});
    (
        Kind::PersistentVolumeClaim,
        json!({"spec": spec, "status": status}),
    )
}

/// An issuer whose keys couldn't be fetched the last time.
fn issuer(has_keys: bool) -> IssuerStatus {
    let key = KeyStatus {
        name: None,
        kind: "P-256".to_owned(),
    };
    IssuerStatus {
        issuer: "https://idp.example".to_owned(),
        keys: if has_keys { vec![key] } else { vec![] },
        refreshed_at: None,
        error: Some("no answer".to_owned()),
    }
}

#[test]
fn conditions_say_what_is_known() {
    let tls = json!({"network": {"tls": {"secretName": "cert"}}});
    let models = json!({"models": [{"name": "m"}]});
    let storage = json!({"storage": {"size": "2Gi"}});
    let waiting = |reason: &str| {
        json!({"containerStatuses": [{"name": "proxy", "image": "i", "imageID": "", "ready": false,
        "restartCount": 1, "state": {"waiting": {"reason": reason}}}]})
    };
    let conditions = |ready: &str, containers: &str| {
        json!({"conditions": [
            {"type": "Ready", "status": ready}, {"type": "ContainersReady", "status": containers},
        ]})
    };
    let mut gated = conditions("False", "True");
    gated["conditions"][0]["reason"] = "ReadinessGatesNotReady".into();
    let unschedulable = json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes.",
        "lastTransitionTime": NOW - SignedDuration::from_mins(2)}]});
    let cases = [
        (
            "all is well",
            Case::default(),
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected",
        ),
        (
            "a credential isn't needed",
            Case {
                spec: json!({"auth": {"anonymous": {}, "apiKeys": {"secretRef": {"name": "k"}}}}),
                ..Case::default()
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected AnonymousAccess=True/Configured",
        ),
        (
            "an issuer's keys can't be fetched",
            Case {
                replicas: vec![replica(|says| says.issuers = vec![issuer(false)])],
                ..Case::default()
            },
            "Ready=False/IssuerKeysMissing Available=True/ReplicasReady CredentialsSynced=False/IssuerKeysMissing \
             ModelsReady=True/NoneAsked Degraded=True/IssuerKeysMissing",
        ),
        (
            "an issuer's last good keys count",
            Case {
                replicas: vec![replica(|says| says.issuers = vec![issuer(true)])],
                ..Case::default()
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected",
        ),
        (
            "no Pod runs yet",
            Case {
                ready: 0,
                replicas: vec![],
                ..Case::default()
            },
            "Ready=False/Starting Available=False/Starting CredentialsSynced=Unknown/NoReplicas ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected",
        ),
        (
            "one of two replicas is ready",
            Case {
                spec: json!({"replicas": 2}),
                ..Case::default()
            },
            "Ready=False/SomeReplicasReady Available=True/SomeReplicasReady CredentialsSynced=True/InForce \
             ModelsReady=True/NoneAsked Degraded=False/AsExpected",
        ),
        (
            "one of two finds no node",
            Case {
                spec: json!({"replicas": 2}),
                pod: unschedulable.clone(),
                ..Case::default()
            },
            "Ready=False/Unschedulable Available=True/Unschedulable CredentialsSynced=True/InForce \
             ModelsReady=True/NoneAsked Degraded=True/Unschedulable",
        ),
        (
            "the only one's node is silent",
            Case {
                ready: 0,
                pod: conditions("False", "True"),
                ..Case::default()
            },
            "Ready=False/NodeUnreachable Available=False/NodeUnreachable CredentialsSynced=True/InForce \
             ModelsReady=True/NoneAsked Degraded=True/NodeUnreachable",
        ),
        (
            "the only one waits for a load balancer to have it",
            Case {
                ready: 0,
                pod: gated,
                ..Case::default()
            },
            "Ready=False/Starting Available=False/Starting CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected",
        ),
        (
            "the only one starts",
            Case {
                ready: 0,
                pod: conditions("False", "False"),
                ..Case::default()
            },
            "Ready=False/Starting Available=False/Starting CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected",
        ),
        (
            "the only one finds no node",
            Case {
                ready: 0,
                replicas: vec![],
                pod: unschedulable,
                ..Case::default()
            },
            "Ready=False/Unschedulable Available=False/Unschedulable CredentialsSynced=Unknown/NoReplicas \
             ModelsReady=True/NoneAsked Degraded=True/Unschedulable",
        ),
        (
            "an image can't be pulled",
            Case {
                ready: 0,
                replicas: vec![],
                pod: waiting("ErrImagePull"),
                ..Case::default()
            },
            "Ready=False/ImagePullFailed Available=False/ImagePullFailed CredentialsSynced=Unknown/NoReplicas \
             ModelsReady=True/NoneAsked Degraded=True/ImagePullFailed",
        ),
        (
            "a container is only starting",
            Case {
                ready: 0,
                replicas: vec![],
                pod: waiting("ContainerCreating"),
                ..Case::default()
            },
            "Ready=False/Starting Available=False/Starting CredentialsSynced=Unknown/NoReplicas ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected",
        ),
        (
            "scaled to zero",
            Case {
                spec: json!({"replicas": 0}),
                ready: 0,
                replicas: vec![],
                ..Case::default()
            },
            "Ready=False/ScaledToZero Available=False/ScaledToZero CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected",
        ),
        (
            "a rotation leaves a service ready",
            Case {
                secret: found("2", Ok(1)),
                ..Case::default()
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=False/Rotating ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected",
        ),
        (
            "a broken Secret doesn't",
            Case {
                secret: found("1", Err("line 2")),
                ..Case::default()
            },
            "Ready=False/SecretInvalid Available=True/ReplicasReady CredentialsSynced=False/SecretInvalid \
             ModelsReady=True/NoneAsked Degraded=True/SecretInvalid",
        ),
        (
            "a missing one that others own",
            Case {
                spec: json!({"auth": {"apiKeys": {"secretRef": {"name": "keys"}}}}),
                secret: SecretState::Missing { digest: None },
                ..Case::default()
            },
            "Ready=False/SecretMissing Available=True/ReplicasReady CredentialsSynced=False/SecretMissing \
             ModelsReady=True/NoneAsked Degraded=True/SecretMissing",
        ),
        (
            "missing keys of the CLI",
            Case {
                spec: json!({"auth": {"ollamaKeys": {"secretRef": {"name": "keys"}}}}),
                secret: SecretState::Missing { digest: None },
                ..Case::default()
            },
            "Ready=False/SecretMissing Available=True/ReplicasReady CredentialsSynced=False/SecretMissing \
             ModelsReady=True/NoneAsked Degraded=True/SecretMissing",
        ),
        (
            "a missing one that is about to be made",
            Case {
                secret: SecretState::Missing { digest: None },
                ..Case::default()
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=False/Starting ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected",
        ),
        (
            "Secrets are not looked at",
            Case {
                secret: SecretState::Unread,
                ..Case::default()
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=Unknown/Unverified ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected",
        ),
        (
            "Secrets are not looked at, but the proxy finds one broken",
            Case {
                secret: SecretState::Unread,
                replicas: vec![replica(|says| {
                    says.credentials[0].error = Some("line 2".to_owned());
                })],
                ..Case::default()
            },
            "Ready=False/SecretInvalid Available=True/ReplicasReady CredentialsSynced=False/SecretInvalid \
             ModelsReady=True/NoneAsked Degraded=True/SecretInvalid",
        ),
        (
            "a proxy refuses its configuration",
            Case {
                replicas: vec![replica(|says| {
                    says.configuration.error = Some("words".to_owned());
                })],
                ..Case::default()
            },
            "Ready=False/ConfigurationRefused Available=True/ReplicasReady CredentialsSynced=False/ConfigurationRefused \
             ModelsReady=True/NoneAsked Degraded=True/ConfigurationRefused",
        ),
        (
            "a proxy that doesn't answer",
            Case {
                replicas: vec![Replica {
                    pod: "x-1".to_owned(),
                    answer: Err("words".to_owned()),
                    clients: 0,
                }],
                ..Case::default()
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=False/Rotating ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected",
        ),
        (
            "the certificate is missing",
            Case {
                spec: tls.clone(),
                certificate: Some(CertificateState::Missing),
                ready: 0,
                ..Case::default()
            },
            "Ready=False/CertificateMissing Available=False/Starting CredentialsSynced=True/InForce \
             ModelsReady=True/NoneAsked Degraded=True/CertificateMissing",
        ),
        (
            "a renewed certificate is broken, the last good one is served",
            Case {
                spec: tls.clone(),
                certificate: Some(CertificateState::Found {
                    resource_version: "2".to_owned(),
                    error: Some("tls.key has no private key".to_owned()),
                }),
                ..Case::default()
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=True/CertificateInvalid",
        ),
        (
            "Secrets are not looked at, but the proxy finds its certificate broken",
            Case {
                spec: tls,
                certificate: Some(CertificateState::Unread),
                replicas: vec![replica(|says| {
                    says.certificate = Some(CertificateStatus {
                        fingerprint: None,
                        loaded_at: None,
                        error: Some("words".to_owned()),
                    });
                })],
                ..Case::default()
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=True/CertificateInvalid",
        ),
        (
            "a model is being pulled",
            Case {
                spec: models.clone(),
                ready: 0,
                replicas: vec![replica(|says| says.models = model(ModelState::Pulling, None))],
                ..Case::default()
            },
            "Ready=False/Pulling Available=False/Starting CredentialsSynced=True/InForce ModelsReady=False/Pulling \
             Degraded=False/AsExpected",
        ),
        (
            "a model can't be pulled",
            Case {
                spec: models.clone(),
                ready: 0,
                replicas: vec![replica(|says| {
                    says.models = model(ModelState::Failed, Some("no such file"));
                })],
                ..Case::default()
            },
            "Ready=False/PullFailed Available=False/Starting CredentialsSynced=True/InForce ModelsReady=False/PullFailed \
             Degraded=True/PullFailed",
        ),
        (
            "every model is there",
            Case {
                spec: models,
                replicas: vec![replica(|says| says.models = model(ModelState::Ready, None))],
                ..Case::default()
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/AllThere \
             Degraded=False/AsExpected",
        ),
        (
            "the API server refuses a child",
            Case {
                refused: Some("words"),
                ..Case::default()
            },
            "Ready=False/ApplyRefused Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=True/ApplyRefused",
        ),
        (
            "the claim is not there yet",
            Case {
                spec: storage.clone(),

                ..Case::default()
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected StorageReady=False/VolumePending",
        ),
        (
            "the claim has no volume yet",
            Case {
                spec: storage.clone(),
                children: vec![claim("2Gi", &json!({"phase": "Pending"}))],
                ..Case::default()
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected StorageReady=False/VolumePending",
        ),
        (
            "the volume is as asked",
            Case {
                spec: storage.clone(),
                children: vec![claim(
                    "2Gi",
                    &json!({"phase": "Bound", "capacity": {"storage": "2Gi"}}),
                )],
                ..Case::default()
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected StorageReady=True/VolumeBound",
        ),
        (
            "somebody has made it larger",
            Case {
                spec: storage.clone(),
                children: vec![claim(
                    "3Gi",
                    &json!({"phase": "Bound", "capacity": {"storage": "3Gi"}}),
                )],
                ..Case::default()
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected StorageReady=True/VolumeBound",
        ),
        (
            "a volume that is being made larger",
            Case {
                spec: storage.clone(),
                children: vec![claim(
                    "2Gi",
                    &json!({"phase": "Bound", "conditions": [{"type": "FileSystemResizePending", "status": "True"}], "capacity": {"storage": "1Gi"}}),
                )],
                ..Case::default()
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected StorageReady=False/VolumeGrowing",
        ),
        (
            "the API server refuses a larger claim",
            Case {
                spec: storage.clone(),
                claim_refused: Some("words"),
                ..Case::default()
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=True/VolumeNotGrown StorageReady=False/VolumeNotGrown",
        ),
        (
            "the driver can't make the volume larger",
            Case {
                spec: storage.clone(),
                children: vec![claim(
                    "2Gi",
                    &json!({"phase": "Bound", "conditions": [{"type": "ControllerResizeError", "status": "True", "message": "words"}], "capacity": {"storage": "1Gi"}}),
                )],
                ..Case::default()
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=True/VolumeNotGrown StorageReady=False/VolumeNotGrown",
        ),
        (
            "the volume is gone",
            Case {
                spec: storage.clone(),
                children: vec![claim("2Gi", &json!({"phase": "Lost"}))],
                ..Case::default()
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=True/VolumeLost StorageReady=False/VolumeLost",
        ),
        (
            "a full volume can't grow",
            Case {
                spec: json!({"models": [{"name": "m"}], "storage": {"size": "2Gi"}}),
                ready: 0,
                replicas: vec![replica(|says| {
                    says.models = model(ModelState::Failed, Some("no space left on device"));
                })],
                claim_refused: Some("words"),
                ..Case::default()
            },
            "Ready=False/PullFailed Available=False/Starting CredentialsSynced=True/InForce ModelsReady=False/PullFailed \
             Degraded=True/PullFailed StorageReady=False/VolumeNotGrown",
        ),
    ];
    check(cases);
}

/// What can't be taken back for the size that the volume has says what can be done.
#[test]
fn what_is_said_of_a_volume_is_true_of_it() {
    let failed = json!({"phase": "Bound", "capacity": {"storage": "50Gi"}, "conditions": [
        {"type": "ControllerResizeError", "status": "True", "message": "words"}]});
    let cases = [
        ("60Gi", "can't become what spec.storage says: words"),
        (
            "50Gi",
            "has 50Gi, no less than spec.storage says, but its claim still asks for 500Gi: words",
        ),
        (
            "40Gi",
            "has 50Gi, no less than spec.storage says, but its claim still asks for 500Gi: words",
        ),
    ];
    for (size, expected) in cases {
        let case = Case {
            spec: json!({"storage": {"size": size}}),
            children: vec![claim("500Gi", &failed)],
            ..Case::default()
        };
        let status = case.status(&OllamaServiceStatus::default(), NOW);
        let mut conditions = status.conditions.iter();
        let found = conditions.find(|one| one.type_ == "StorageReady").unwrap();
        assert!(found.message.contains(expected), "{size}: {}", found.message);
    }
}
