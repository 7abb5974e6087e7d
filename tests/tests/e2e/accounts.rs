//! Service accounts: the kubelet gives the proxy the token by which it asks the API server whose a client's is; or the
//! proxy checks them itself, by the keys that the cluster publishes.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::fixture::{Fixture, NAMESPACE};

const SERVICE: &str = "accounts";
/// One that checks tokens by the cluster's published keys.
const OFFLINE: &str = "offline";
/// Who makes them, as its tokens say and as Pods reach it.
const ISSUER: &str = "https://kubernetes.default.svc";
const ACCOUNT: &str = "client";
/// Longer than the proxy and the API server remember whose a token is.
const FORGOTTEN: Duration = Duration::from_secs(120);

pub(crate) async fn pods_call_with_the_tokens_of_their_accounts(fixture: &Fixture) -> Result<()> {
    let client = format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
    fixture.apply_service(
        SERVICE,
        &json!({
            "auth": {"kubernetes": {"audiences": ["ollama"]}},
            "access": [{"clients": [client], "allow": ["Read"]}],
        }),
    )?;
    fixture.run(&["create", "serviceaccount", ACCOUNT])?;
    allow_as_the_status_says(fixture)?;
    fixture.wait(SERVICE, "condition=Ready", "120s")?;

    let url = format!("{}/api/version", fixture.url(SERVICE)?);
    let [good, other] = ["ollama", "another"].map(|audience| header(fixture, audience));
    let (good, other) = (good?, other?);
    fixture.curl_until(&url, &["--header", &good], 200, FORGOTTEN)?;
    for (name, arguments) in [("no token", &[][..]), ("another audience", &["--header", &other])] {
        let answer = fixture.curl(&url, arguments)?;
        ensure!(answer.status == 401, "{name}: {answer:?}");
    }
    fixture.run(&["delete", "serviceaccount", ACCOUNT])?;
    fixture.curl_until(&url, &["--header", &good], 401, FORGOTTEN)?;
    delete(fixture, SERVICE)
}

/// The proxy's image holds nothing but the proxy: it finds the issuer by the cluster's DNS, and trusts it by the Secret.
pub(crate) async fn keys_come_by_name_from_an_issuer_with_an_authority_of_its_own(
    fixture: &Fixture,
) -> Result<()> {
    let authority = fixture.field("configmap/kube-root-ca.crt", "{.data.ca\\.crt}")?;
    fixture.secret("cluster-authority", &[("ca.crt", &authority)])?;
    // What an administrator allows who lets others check the cluster's tokens.
    fixture.kubectl().run(&[
        "create",
        "clusterrolebinding",
        "issuer-discovery",
        "--clusterrole=system:service-account-issuer-discovery",
        "--group=system:unauthenticated",
    ])?;
    fixture.run(&["create", "serviceaccount", ACCOUNT])?;
    fixture.apply_service(
        OFFLINE,
        &json!({
            "auth": {"jwt": [{
                "issuer": ISSUER, "audiences": ["ollama"], "caSecretRef": {"name": "cluster-authority"}
            }]},
            "access": [{"clients": [format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}")], "allow": ["Read"]}],
        }),
    )?;
    fixture.wait(OFFLINE, "condition=Ready", "120s")?;
    fixture.wait(OFFLINE, "condition=CredentialsSynced", "60s")?;

    let url = format!("{}/api/version", fixture.url(OFFLINE)?);
    let [good, other] = ["ollama", "another"].map(|audience| header(fixture, audience));
    let (good, other) = (good?, other?);
    fixture.curl_until(&url, &["--header", &good], 200, Duration::from_secs(60))?;
    let answer = fixture.curl(&url, &["--header", &other])?;
    ensure!(answer.status == 401, "another audience: {answer:?}");
    fixture.run(&["delete", "serviceaccount", ACCOUNT])?;
    delete(fixture, OFFLINE)
}

/// Cases that follow look at which Pods there are.
fn delete(fixture: &Fixture, service: &str) -> Result<()> {
    let selector = format!("--selector=app.kubernetes.io/instance={service}");
    fixture.run(&["delete", "ollamaservice", service])?;
    fixture.run(&["wait", "--for=delete", "pod", &selector, "--timeout=120s"])?;
    Ok(())
}

/// Runs the commands by which an administrator gives the right to ask.
fn allow_as_the_status_says(fixture: &Fixture) -> Result<()> {
    let condition = "{.status.conditions[?(@.type==\"CredentialsSynced\")]";
    fixture.wait(
        SERVICE,
        &format!("jsonpath={condition}.reason}}=TokenReviewsForbidden"),
        "120s",
    )?;
    let message = fixture.field(
        &format!("ollamaservice/{SERVICE}"),
        &format!("{condition}.message}}"),
    )?;
    println!("  {message}");
    fixture.kubectl().allow_as_said(&message)
}

fn header(fixture: &Fixture, audience: &str) -> Result<String> {
    let token = fixture.run(&["create", "token", ACCOUNT, &format!("--audience={audience}")])?;
    Ok(format!("Authorization: Bearer {}", token.trim()))
}
