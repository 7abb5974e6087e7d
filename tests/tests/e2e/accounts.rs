//! Service accounts: the kubelet gives the proxy the token by which it asks the API server whose a client's is.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::fixture::{Fixture, NAMESPACE};

const SERVICE: &str = "accounts";
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
    let selector = format!("--selector=app.kubernetes.io/instance={SERVICE}");
    fixture.run(&["delete", "ollamaservice", SERVICE])?;
    // Cases that follow look at which Pods there are.
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
