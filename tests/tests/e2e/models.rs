//! Models that are made while others answer.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use corral_tests::http_client::HttpClient;
use corral_tests::registry;
use serde_json::{Value, json};

use crate::fixture::{Fixture, KEY, NAMESPACE, SERVICE, clients};

const MADE: &str = "team/kind";

/// From a ConfigMap to what every replica's Ollama says of the model, again after an edit; no Pod restarts or stops
/// serving.
pub(crate) async fn a_model_follows_its_modelfile_without_a_restart(fixture: &Fixture) -> Result<()> {
    let usual = json!({"name": registry::MODEL, "insecure": true, "keepLoaded": true});
    let source = json!({"configMapKeyRef": {"name": "modelfiles"}});
    let (before, ready) = (fixture.identities()?, ready_since(fixture)?);
    let forwards = fixture.replicas(SERVICE).await?;
    modelfile(fixture, "You are kind.")?;
    list(fixture, &json!([usual, {"name": MADE, "modelfile": source}]))?;
    fixture.wait(SERVICE, "jsonpath={.status.readyModels}=2/2", "2m")?;
    for client in clients(&forwards) {
        ensure!(system(&client).await? == "You are kind.");
    }
    modelfile(fixture, "You are brief.")?;
    let edited = Instant::now();
    for client in clients(&forwards) {
        while system(&client).await? != "You are brief." {
            ensure!(
                edited.elapsed() < Duration::from_secs(120),
                "the model is still the earlier one"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    println!(
        "  made again on every replica {:.1} s after the edit",
        edited.elapsed().as_secs_f64()
    );
    let question = json!({"model": MADE, "prompt": "Hi", "stream": false, "options": {"num_predict": 2}});
    for client in clients(&forwards) {
        let answer = client
            .post("/api/generate", &[("x-api-key", KEY)], &question)
            .await?;
        ensure!(answer.contains("\"done\":true"), "{answer}");
    }
    ensure!(fixture.identities()? == before, "Pods have restarted");
    ensure!(ready_since(fixture)? == ready, "a Pod was unready meanwhile");
    list(fixture, &json!([usual]))?;
    fixture.wait(SERVICE, "jsonpath={.status.readyModels}=1/1", "2m")
}

/// Since when each Pod is ready.
fn ready_since(fixture: &Fixture) -> Result<String> {
    let ready = "{.status.conditions[?(@.type==\"Ready\")].lastTransitionTime}";
    let path = format!("{{range .items[*]}}{{.metadata.name}} {ready}{{\"\\n\"}}{{end}}");
    fixture.field("pods", &path)
}

fn modelfile(fixture: &Fixture, system: &str) -> Result<()> {
    let text = format!("FROM {}\nSYSTEM {system}\n", registry::MODEL);
    let config_map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "modelfiles", "namespace": NAMESPACE},
        "data": {"Modelfile": text},
    });
    fixture.kubectl().apply(&config_map.to_string()).map(drop)
}

fn list(fixture: &Fixture, models: &Value) -> Result<()> {
    let patch = json!({"spec": {"models": models}}).to_string();
    fixture
        .run(&[
            "patch",
            "ollamaservice",
            SERVICE,
            "--type=merge",
            &format!("--patch={patch}"),
        ])
        .map(drop)
}

async fn system(client: &HttpClient) -> Result<String> {
    let shown = client
        .post("/api/show", &[("x-api-key", KEY)], &json!({"model": MADE}))
        .await?;
    let shown: Value = serde_json::from_str(&shown)?;
    Ok(shown["system"].as_str().unwrap_or_default().to_owned())
}
