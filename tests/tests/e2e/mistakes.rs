//! What a user sees who has made a mistake.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::fixture::{Fixture, service};

struct Mistake {
    name: &'static str,
    /// The Secret's entries, if there is one: it has the OllamaService's name.
    secret: Option<&'static [(&'static str, &'static str)]>,
    spec: fn(&str) -> Value,
    /// What the message must have.
    words: &'static [&'static str],
}

fn basic(secret: &str) -> Value {
    json!({"auth": {"basic": {"secretRef": {"name": secret}}}})
}

fn basic_with_key(secret: &str) -> Value {
    json!({"auth": {"basic": {"secretRef": {"name": secret, "key": "users"}}}})
}

fn api_keys(secret: &str) -> Value {
    json!({"auth": {"apiKeys": {"secretRef": {"name": secret, "key": "keys"}}}})
}

fn too_many_gpus(_: &str) -> Value {
    json!({"gpu": {"count": 8}})
}

fn no_such_model(_: &str) -> Value {
    json!({"models": [{"name": "registry.models.svc:5000/library/no-such-model", "insecure": true}]})
}

const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "htpasswd-line",
        secret: Some(&[("auth", "# users\nalice\n")]),
        spec: basic,
        words: &["htpasswd-line", "auth", "line 2"],
    },
    Mistake {
        name: "plain-password",
        secret: Some(&[("auth", "alice:{PLAIN}open sesame\n")]),
        spec: basic,
        words: &["plain-password", "line 1"],
    },
    Mistake {
        name: "empty-keys",
        secret: Some(&[("keys", "# none yet\n\n")]),
        spec: api_keys,
        words: &["empty-keys", "keys"],
    },
    Mistake {
        name: "no-secret",
        secret: None,
        spec: basic,
        words: &["no-secret", "missing", "kubectl"],
    },
    Mistake {
        name: "wrong-entry",
        secret: Some(&[("auth", "alice:$apr1$abcdefgh$5bNAt7Z0QnfeFSPEtp7Ed1\n")]),
        spec: basic_with_key,
        words: &["wrong-entry", "users"],
    },
    Mistake {
        name: "no-gpu",
        secret: None,
        spec: too_many_gpus,
        words: &["no node", "nvidia.com/gpu"],
    },
    Mistake {
        name: "no-model",
        secret: None,
        spec: no_such_model,
        words: &["no-such-model"],
    },
];

pub(crate) async fn each_mistake_has_a_message_that_says_what_to_do(fixture: &Fixture) -> Result<()> {
    for Mistake {
        name, secret, spec, ..
    } in MISTAKES
    {
        if let Some(entries) = secret {
            fixture.secret(name, entries)?;
        }
        fixture.apply_service(name, &spec(name))?;
    }
    let mut wrong = Vec::new();
    for Mistake { name, words, .. } in MISTAKES {
        match message(fixture, name, words) {
            Ok(message) => println!("  {name}: {message}"),
            Err(error) => wrong.push(format!("{name}: {error:#}")),
        }
    }
    for Mistake { name, .. } in MISTAKES {
        fixture.run(&["delete", "ollamaservice", name, "--wait=false"])?;
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The message of the condition Ready, once it is false and has all those words.
fn message(fixture: &Fixture, name: &str, words: &[&str]) -> Result<String> {
    let start = Instant::now();
    let path = "{.status.conditions[?(@.type==\"Ready\")].status} {.status.conditions[?(@.type==\"Ready\")].message}";
    loop {
        let said = fixture.field(&format!("ollamaservice/{name}"), path)?;
        if let Some(message) = said.strip_prefix("False ")
            && words.iter().all(|word| message.contains(word))
        {
            return Ok(message.to_owned());
        }
        ensure!(
            start.elapsed() < Duration::from_secs(90),
            "Ready says {said:?}, without {words:?}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

pub(crate) async fn a_deleted_secret_lets_nobody_in_until_it_is_back(fixture: &Fixture) -> Result<()> {
    let (name, key) = ("fragile", "key-of-the-fragile-one");
    fixture.secret(name, &[("me", key)])?;
    fixture.apply_service(name, &json!({"auth": {"apiKeys": {"secretRef": {"name": name}}}}))?;
    fixture.wait(name, "condition=Ready", "120s")?;
    let before = fixture.pods(name)?;
    let url = format!("{}/api/version", fixture.url(name)?);
    let header = format!("Authorization: Bearer {key}");
    let with_key = ["--header", header.as_str()];
    ensure!(fixture.curl(&url, &with_key)?.status == 200, "before");

    fixture.run(&["delete", "secret", name])?;
    let said = message(fixture, name, &[name, "missing"])?;
    println!("  deleted while in use: {said}");
    let deadline = Duration::from_secs(150);
    fixture.curl_until(&url, &with_key, 401, deadline)?;

    let version = fixture.secret(name, &[("me", key)])?;
    fixture.wait_for_secret(name, name, &version, "150s")?;
    ensure!(fixture.curl(&url, &with_key)?.status == 200, "after");
    ensure!(fixture.pods(name)? == before, "the Pod was replaced");
    fixture.run(&["delete", "ollamaservice", name, "--wait=false"])?;
    Ok(())
}

pub(crate) async fn an_invalid_spec_is_refused_with_a_reason(fixture: &Fixture) -> Result<()> {
    let cases: &[(&str, Value, &[&str])] = &[
        ("unknown field", json!({"modells": []}), &["modells"]),
        (
            "no means of auth",
            json!({"auth": {}}),
            &["auth needs at least one of basic, apiKeys, ollamaKeys, jwt, kubernetes or clientCertificates"],
        ),
        (
            "negative replicas",
            json!({"replicas": -1}),
            &["spec.replicas", "greater than or equal to 0"],
        ),
        (
            "two kinds of storage",
            json!({"storage": {"size": "1Gi", "ephemeral": {}}}),
            &["storage needs exactly one"],
        ),
        (
            "tag and digest",
            json!({"image": {"tag": "1", "digest": format!("sha256:{}", "0".repeat(64))}}),
            &["not both"],
        ),
        (
            "a variable of ours",
            json!({"runtime": {"env": [{"name": "OLLAMA_HOST", "value": "0.0.0.0"}]}}),
            &["the operator owns"],
        ),
    ];
    for (name, spec, words) in cases {
        let outcome = fixture.kubectl().apply(&service("invalid", spec));
        let Err(error) = outcome else {
            anyhow::bail!("{name}: accepted: {outcome:?}")
        };
        let message = format!("{error:#}");
        ensure!(
            words.iter().all(|word| message.contains(word)),
            "{name}: {message}"
        );
        println!("  {name}: {}", message.lines().last().unwrap_or_default());
    }
    Ok(())
}
