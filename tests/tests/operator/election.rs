//! Of two operators one acts; when it goes, the other does.

use k8s_openapi::api::coordination::v1::Lease;
use serde_json::json;

use crate::lab::{Lab, eventually};

async fn holder(lab: &Lab) -> Option<String> {
    let lease = lab.api::<Lease>().get_opt("corral-operator").await.unwrap()?;
    lease.spec?.holder_identity.filter(|holder| !holder.is_empty())
}

#[tokio::test]
async fn one_acts_at_a_time() {
    let lab = Lab::new("election").await;
    let namespace = format!("--pod-namespace={}", lab.namespace);
    let first = lab
        .operator(&["--leader-elect", &namespace, "--pod-name=first"])
        .await;
    eventually("the first holds the Lease", || async {
        match holder(&lab).await.as_deref() {
            Some("first") => Ok(()),
            holder => Err(format!("{holder:?}")),
        }
    })
    .await;
    let _second = lab
        .operator(&["--leader-elect", &namespace, "--pod-name=second"])
        .await;
    lab.create("x", json!({})).await;
    lab.condition("x", "Available", "False", "Starting").await;
    assert_eq!(holder(&lab).await.as_deref(), Some("first"));

    // SIGTERM: it gives the Lease back, and the other need not wait for its end.
    let pid = nix::unistd::Pid::from_raw(first.id().unwrap().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let status = first.wait_with_output().await.unwrap().status;
    assert!(status.success(), "{status}");
    lab.create("y", json!({})).await;
    lab.condition("y", "Available", "False", "Starting").await;
    assert_eq!(holder(&lab).await.as_deref(), Some("second"));
}

#[tokio::test]
async fn one_that_is_killed_is_followed() {
    let lab = Lab::new("killed").await;
    let namespace = format!("--pod-namespace={}", lab.namespace);
    let mut first = lab
        .operator(&["--leader-elect", &namespace, "--pod-name=first"])
        .await;
    eventually("the first holds the Lease", || async {
        holder(&lab).await.ok_or_else(|| "nobody".to_owned())
    })
    .await;
    let _second = lab
        .operator(&["--leader-elect", &namespace, "--pod-name=second"])
        .await;
    first.kill().await.unwrap();
    lab.create("x", json!({})).await;
    lab.condition("x", "Available", "False", "Starting").await;
    assert_eq!(holder(&lab).await.as_deref(), Some("second"));
}

/// As whoever cleans up a namespace does, or restores it without.
#[tokio::test]
async fn one_that_waits_makes_a_lease_that_was_deleted() {
    let lab = Lab::new("deleted-lease").await;
    let namespace = format!("--pod-namespace={}", lab.namespace);
    let mut first = lab
        .operator(&["--leader-elect", &namespace, "--pod-name=first"])
        .await;
    eventually("the first holds the Lease", || async {
        holder(&lab).await.ok_or_else(|| "nobody".to_owned())
    })
    .await;
    let _second = lab
        .operator(&["--leader-elect", &namespace, "--pod-name=second"])
        .await;
    // Until the second seeks the Lease that there is.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    first.kill().await.unwrap();
    lab.api::<Lease>()
        .delete("corral-operator", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    lab.create("x", json!({})).await;
    lab.condition("x", "Available", "False", "Starting").await;
    assert_eq!(holder(&lab).await.as_deref(), Some("second"));
}

#[tokio::test]
async fn one_that_loses_the_lease_ends() {
    let lab = Lab::new("lost").await;
    let namespace = format!("--pod-namespace={}", lab.namespace);
    let first = lab
        .operator(&["--leader-elect", &namespace, "--pod-name=first"])
        .await;
    lab.create("x", json!({})).await;
    lab.condition("x", "Available", "False", "Starting").await;
    let usurped = json!({"spec": {"holderIdentity": "somebody-else", "acquireTime": "2999-01-01T00:00:00.000000Z",
        "renewTime": "2999-01-01T00:00:00.000000Z", "leaseDurationSeconds": 15}});
    let patch = kube::api::Patch::Merge(usurped);
    lab.api::<Lease>()
        .patch("corral-operator", &kube::api::PatchParams::default(), &patch)
        .await
        .unwrap();
    let status = first.wait_with_output().await.unwrap().status;
    assert_eq!(status.code(), Some(2));
}
