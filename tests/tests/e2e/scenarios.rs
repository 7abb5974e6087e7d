//! What people run today, in a cluster (S1, S3, S8, S10).

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use corral_tests::registry;
use serde_json::{Value, json};

use crate::fixture::{Fixture, KEY, SERVICE, USERS};

/// Longest time that an edit of a Secret may take here; the measured one is in `rotation`.
const SOON: Duration = Duration::from_secs(10);

pub(crate) async fn s1_users_of_an_htpasswd_file_get_in_and_nobody_else(fixture: &Fixture) -> Result<()> {
    let url = format!("{}/api/tags", fixture.url(SERVICE)?);
    for (user, password) in USERS {
        let good = fixture.curl(&url, &["--user", &format!("{user}:{password}")])?;
        ensure!(good.status == 200, "{user}: {good:?}");
        let wrong = fixture.curl(&url, &["--user", &format!("{user}:{password}x")])?;
        ensure!(wrong.status == 401, "{user} with a wrong password: {wrong:?}");
    }
    let (user, password) = USERS[0];
    let foreign = [
        "--user",
        &format!("{user}:{password}"),
        "--header",
        "Host: ollama.example",
    ];
    ensure!(fixture.curl(&url, &foreign)?.status == 200, "a foreign Host");
    let cases: [(&str, &[&str]); 4] = [
        ("no credential", &[]),
        ("an unknown user", &["--user", "mallory:correct horse battery"]),
        ("an empty password", &["--user", "bcrypt:"]),
        (
            "a user's password as a key",
            &["--header", "Authorization: Bearer correct horse battery"],
        ),
    ];
    let mut bodies = Vec::new();
    for (name, arguments) in cases {
        let answer = fixture.curl(&url, arguments)?;
        ensure!(answer.status == 401, "{name}: {answer:?}");
        bodies.push(answer.body);
    }
    ensure!(
        bodies.windows(2).all(|pair| pair[0] == pair[1]),
        "one answer for all causes: {bodies:?}"
    );
    Ok(())
}

pub(crate) async fn s3_api_keys_are_added_and_removed_without_a_restart(fixture: &Fixture) -> Result<()> {
    let url = format!("{}/api/tags", fixture.url(SERVICE)?);
    let with = |key: &str| ["--header".to_owned(), format!("Authorization: Bearer {key}")];
    let status = |key: &str| {
        fixture
            .curl(&url, &with(key).each_ref().map(String::as_str))
            .map(|answer| answer.status)
    };
    let before = fixture.identities()?;
    ensure!(status(KEY)? == 200, "the key of the Secret");
    ensure!(
        status("second-key-0002-of-ci")? == 401,
        "a key that is not in the Secret"
    );

    let version = fixture.secret(
        "team-a-keys",
        &[("ci", &format!("{KEY}\nsecond-key-0002-of-ci\n"))],
    )?;
    fixture.wait_for_secret(SERVICE, "team-a-keys", &version, "30s")?;
    ensure!(
        status(KEY)? == 200 && status("second-key-0002-of-ci")? == 200,
        "both keys of a client"
    );

    let version = fixture.secret("team-a-keys", &[("ci", "second-key-0002-of-ci")])?;
    fixture.wait_for_secret(SERVICE, "team-a-keys", &version, "30s")?;
    ensure!(
        status(KEY)? == 401 && status("second-key-0002-of-ci")? == 200,
        "the first key is gone"
    );

    let version = fixture.secret("team-a-keys", &[("ci", KEY)])?;
    fixture.wait_for_secret(SERVICE, "team-a-keys", &version, "30s")?;
    for header in [format!("X-Ollama-Token: {KEY}"), format!("x-api-key: {KEY}")] {
        fixture.curl_until(&url, &["--header", &header], 200, SOON)?;
    }
    ensure!(fixture.identities()? == before, "a Pod was replaced or restarted");
    Ok(())
}

/// OllaMan's "Test Connection": GET /api/version with Basic headers, a version (green) or 401 (red).
pub(crate) async fn s8_the_connection_test_of_a_desktop_client_tells_right_from_wrong(
    fixture: &Fixture,
) -> Result<()> {
    let url = format!("{}/api/version", fixture.url(SERVICE)?);
    let (user, password) = USERS[1];
    let green = fixture.curl(&url, &["--user", &format!("{user}:{password}")])?;
    let version: Value = serde_json::from_str(&green.body)?;
    ensure!(
        green.status == 200 && version["version"] == json!(corral_tests::tools::OLLAMA),
        "{green:?}"
    );
    let red = fixture.curl(&url, &["--user", &format!("{user}:wrong")])?;
    ensure!(red.status == 401, "{red:?}");
    Ok(())
}

/// A replica takes traffic only once it has the model, and the answer comes line by line.
pub(crate) async fn s10_a_model_is_there_before_traffic_and_streams(fixture: &Fixture) -> Result<()> {
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str())];
    let body = json!({"model": registry::MODEL, "prompt": "Count to ten.", "options": {"num_predict": 24, "seed": 7}});
    for replica in fixture.replicas(SERVICE).await? {
        let start = Instant::now();
        let mut arrivals = Vec::new();
        let mut last = Value::Null;
        replica
            .client()
            .post_lines("/api/generate", &headers, &body, |line| {
                arrivals.push(start.elapsed());
                last = serde_json::from_str(line).unwrap_or_default();
            })
            .await?;
        ensure!(
            last["done"] == json!(true) && last["eval_count"].as_u64() > Some(1),
            "the last line: {last}"
        );
        ensure!(arrivals.len() > 5, "one line a token: {arrivals:?}");
        let spread = arrivals[arrivals.len() - 1] - arrivals[0];
        ensure!(
            spread > Duration::from_millis(20),
            "all {} lines came within {spread:?}",
            arrivals.len()
        );
    }
    Ok(())
}

/// Straight to the Pod: Ollama's own port refuses, and the proxy's asks for a credential.
pub(crate) async fn ollama_itself_is_out_of_reach(fixture: &Fixture) -> Result<()> {
    for pod in fixture.pods(SERVICE)? {
        let address = fixture.field(&pod, "{.status.podIP}")?;
        let direct = fixture.curl(
            &format!("http://{address}:11434/api/tags"),
            &["--connect-timeout", "3"],
        );
        ensure!(direct.is_err(), "{pod} answers on Ollama's own port: {direct:?}");
        let proxy = fixture.curl(&format!("http://{address}:8080/api/tags"), &[])?;
        ensure!(proxy.status == 401, "{pod}: {proxy:?}");
    }
    Ok(())
}

pub(crate) async fn changing_models_is_not_for_everyone(fixture: &Fixture) -> Result<()> {
    let base = fixture.url(SERVICE)?;
    let key = format!("Authorization: Bearer {KEY}");
    let model =
        json!({"model": registry::MODEL, "source": registry::MODEL, "destination": "copy"}).to_string();
    for (method, path) in [
        ("POST", "/api/pull"),
        ("POST", "/api/push"),
        ("POST", "/api/create"),
        ("POST", "/api/copy"),
        ("DELETE", "/api/delete"),
        (
            "POST",
            "/api/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
    ] {
        let answer = fixture.curl(
            &format!("{base}{path}"),
            &["-X", method, "-H", &key, "-d", &model],
        )?;
        ensure!(answer.status == 403, "{method} {path}: {answer:?}");
    }
    let tags = fixture.curl(&format!("{base}/api/tags"), &["-H", &key])?;
    ensure!(
        tags.body.contains(registry::MODEL) && !tags.body.contains("\"copy"),
        "{tags:?}"
    );
    Ok(())
}
