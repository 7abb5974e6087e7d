//! What a person reads when something is wrong.

use std::future::ready;

use corral_operator::crd::OllamaService;
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::lab::Lab;
use crate::replica::{Replica, ready_pods};

#[tokio::test]
async fn what_is_wrong_with_a_secret_is_said_and_what_to_do() {
    let lab = Lab::new("wrong").await;
    let _operator = lab.operator(&[]).await;
    let basic = |key: Option<&str>| json!({"auth": {"basic": {"secretRef": {"name": "users", "key": key}}}});
    type Case<'a> = (&'a str, Value, Option<Value>, &'a str, &'a [&'a str]);
    let cases: [Case; 5] = [
        (
            "missing",
            basic(None),
            None,
            "SecretMissing",
            &["Secret users is missing", "kubectl -n", "--from-file=auth="],
        ),
        (
            "no-key",
            basic(None),
            Some(json!({"other": "x"})),
            "SecretInvalid",
            &["entry `auth`", "but `other`"],
        ),
        (
            "named-key",
            basic(Some("list")),
            Some(json!({"auth": "x"})),
            "SecretInvalid",
            &["entry `list`", "`auth`"],
        ),
        (
            "empty",
            basic(None),
            Some(json!({"auth": "# nobody\n"})),
            "SecretInvalid",
            &["`auth` holds no credential"],
        ),
        (
            "line",
            basic(None),
            Some(json!({"auth": "# users\nno-colon-here\n"})),
            "SecretInvalid",
            &["line 2", "no colon"],
        ),
    ];
    for (name, spec, secret, reason, words) in cases {
        let users = lab.api::<Secret>();
        let _ = users.delete("users", &DeleteParams::default()).await;
        if let Some(entries) = secret {
            lab.secret("users", entries).await;
        }
        lab.create(name, spec).await;
        let message = lab.condition(name, "CredentialsSynced", "False", reason).await;
        assert!(
            words.iter().all(|word| message.contains(word)),
            "{name}: {message}"
        );
        assert!(
            !message.contains("no-colon-here"),
            "what stands in the Secret is never said: {message}"
        );
        assert_eq!(lab.condition(name, "Ready", "False", reason).await, message);
        assert_eq!(lab.condition(name, "Degraded", "True", reason).await, message);
        lab.api::<OllamaService>()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }
    let events = lab.api::<Event>().list(&ListParams::default()).await.unwrap();
    let reasons: Vec<_> = events
        .iter()
        .filter_map(|event| event.reason.as_deref())
        .collect();
    assert!(
        reasons.contains(&"SecretMissing") && reasons.contains(&"SecretInvalid"),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn a_secret_that_comes_is_noticed() {
    let lab = Lab::new("comes").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({"auth": {"apiKeys": {"secretRef": {"name": "keys"}}}}))
        .await;
    lab.condition("x", "Degraded", "True", "SecretMissing").await;
    lab.secret(
        "keys",
        json!({"alice": "a-long-enough-key", "bob": "another-long-key"}),
    )
    .await;
    lab.condition("x", "Degraded", "False", "AsExpected").await;
    assert_eq!(lab.status("x").await.credentials.unwrap().clients, 2);
    lab.api::<Secret>()
        .delete("keys", &DeleteParams::default())
        .await
        .unwrap();
    lab.condition("x", "Degraded", "True", "SecretMissing").await;
}

/// What an operator has seen of an OllamaService it must not say of the next one of that name, which another has made while
/// the proxies were being asked.
#[tokio::test]
async fn a_status_reaches_no_other_of_the_same_name() {
    let lab = Lab::new("again").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({})).await;
    lab.condition("x", "Available", "False", "Starting").await;
    let replica = Replica::start(&lab, "x", 1).await;
    ready_pods(&lab, "x", 1).await;
    lab.condition("x", "Ready", "True", "Ready").await;
    let services = lab.api::<OllamaService>();
    let (seen, mut history) = mpsc::unbounded_channel();
    let watched = watcher(services.clone(), watcher::Config::default()).applied_objects();
    let watching = tokio::spawn(
        watched.try_for_each(move |one| ready(seen.send(one).map_err(|_| watcher::Error::NoResourceVersion))),
    );
    history.recv().await.unwrap();
    let next = replica
        .before_it_answers(ready_pods(&lab, "x", 0), async {
            services.delete("x", &DeleteParams::default()).await.unwrap();
            lab.create("x", json!({})).await
        })
        .await;
    let reason = loop {
        let seen = history.recv().await.unwrap();
        let conditions = seen.status.clone().unwrap_or_default().conditions;
        let first = conditions.into_iter().find(|one| one.type_ == "Ready");
        if let Some(first) = first.filter(|_| seen.uid() == next.uid()) {
            break first.reason;
        }
    };
    watching.abort();
    // Its names are those of children whose owner has gone, and nobody collects them here.
    assert_eq!(reason, "NameTaken");
}
