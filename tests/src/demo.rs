//! `make run`: Corral at work, from nothing to a key rotated under load.

use std::io::{IsTerminal, Write};
use std::time::Instant;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cluster::{Kubectl, node};
use crate::forward::Forward;
use crate::http_client::HttpClient;
use crate::lab::{Lab, Place};
use crate::rotation::{self, Credential};
use crate::{model, progress, registry};

const NAMESPACE: &str = "corral-demo";
const SECRET: &str = "demo-credentials";
/// The client whose key the operator makes.
const CLIENT: &str = "default";

/// How `run` runs.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Which cluster: one of its own on this machine, or that of the current context.
    #[arg(long, env = "CLUSTER", value_enum, default_value = "own")]
    pub cluster: Cluster,
    /// With --cluster current: where to push Corral's images, such as registry.example/team. Without it the cluster
    /// must have them already.
    #[arg(long, env = "REGISTRY")]
    pub registry: Option<String>,
    /// The model. Default: gemma3:270m, from a registry in the cluster if that is our own.
    #[arg(long, env = "MODEL")]
    pub model: Option<String>,
    /// The model's registry speaks HTTP, or has a certificate that Ollama doesn't know.
    #[arg(long, env = "INSECURE", requires = "model")]
    pub insecure: bool,
    /// End when everything has been shown, also on a terminal.
    #[arg(long)]
    pub once: bool,
}

/// Which cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cluster {
    /// One of its own.
    Own,
    /// That of the current context.
    Current,
}

/// Shows it all.
///
/// # Errors
/// When a step fails.
pub async fn run(options: &Options) -> Result<()> {
    announce(options)?;
    let lab = Lab::start(&place(options)).await?;
    let demo = Demo::deploy(&lab, options).await?;
    demo.table()?;
    demo.generate().await?;
    demo.refuse().await?;
    demo.rotate().await?;
    demo.explain(&lab);
    if !options.once && std::io::stdout().is_terminal() {
        println!("\nThis goes on until Ctrl-C, which removes everything.");
        std::future::pending::<()>().await;
    }
    println!("\nThe end; everything is removed again.");
    Ok(())
}

fn place(options: &Options) -> Place {
    match options.cluster {
        Cluster::Own => Place::OwnNode { gpus: 0 },
        Cluster::Current => Place::Current {
            registry: options.registry.clone(),
        },
    }
}

fn announce(options: &Options) -> Result<()> {
    match options.cluster {
        Cluster::Own => {
            if let Some(reason) = node::unsupported() {
                anyhow::bail!(reason);
            }
            progress::say(
                "This starts a Kubernetes of its own on this machine, apart from everything else on it, installs Corral by
helm and shows it with a real Ollama and a real model. About 2 minutes; the first time, when everything is built
from source, up to half an hour on two cores. Ctrl-C removes everything but the cache.",
            );
        }
        Cluster::Current => progress::say(
            "This installs Corral by helm into the cluster of your current context (namespaces corral-system and
corral-demo), shows it, and uninstalls it again at the end or at Ctrl-C.",
        ),
    }
    Ok(())
}

/// A deployed OllamaService with two replicas and a way to each.
struct Demo {
    kubectl: Kubectl,
    model: String,
    pods: Vec<String>,
    forwards: Vec<Forward>,
    _namespace: Option<TheirNamespace>,
}

/// The namespace in the user's own cluster: deleted when dropped, before Corral is uninstalled.
struct TheirNamespace(Kubectl);

impl Drop for TheirNamespace {
    fn drop(&mut self) {
        let step = progress::step("what was shown is removed");
        match self.delete() {
            Ok(()) => step.done(),
            Err(error) => progress::say(&format!("could not delete the namespace {NAMESPACE}: {error:#}")),
        }
    }
}

impl TheirNamespace {
    /// The Pods first: a namespace with Pods in it is looked at again only after half of their grace period, a minute
    /// (kubernetes/pkg/controller/namespace/namespace_controller.go).
    fn delete(&self) -> Result<()> {
        let (namespace, limit) = (format!("--namespace={NAMESPACE}"), "--timeout=150s");
        self.0
            .run(&["delete", "ollamaservices", "--all", &namespace, limit])?;
        self.0
            .run(&["wait", "pods", "--all", "--for=delete", &namespace, limit])?;
        self.0
            .run(&["delete", "namespace", NAMESPACE, "--ignore-not-found", limit])
            .map(drop)
    }
}

impl Demo {
    async fn deploy(lab: &Lab, options: &Options) -> Result<Self> {
        let kubectl = lab.kubectl().clone();
        let (model, insecure) = match &options.model {
            Some(name) => (name.as_str(), options.insecure),
            None if options.cluster == Cluster::Own => (registry::MODEL, true),
            None => (model::NAME, false),
        };
        kubectl.run(&["create", "namespace", NAMESPACE])?;
        let theirs = (options.cluster == Cluster::Current).then(|| TheirNamespace(kubectl.clone()));
        let restricted = "pod-security.kubernetes.io/enforce=restricted";
        kubectl.run(&["label", "namespace", NAMESPACE, restricted])?;
        let manifest = include_str!("../manifests/demo.yaml")
            .replace("$MODEL", model)
            .replace("$INSECURE", if insecure { "true" } else { "false" });
        println!("\n$ kubectl apply -f - <<EOF\n{manifest}EOF");
        println!("{}", kubectl.apply(&manifest)?);
        let step =
            progress::step("OllamaService ready: Ollama started, model pulled and loaded on two replicas");
        let resource = "ollamaservice/demo";
        let namespace = format!("--namespace={NAMESPACE}");
        let waited = kubectl.run(&[
            "wait",
            &namespace,
            resource,
            "--for=condition=Ready",
            "--timeout=5m",
        ]);
        if let Err(error) = waited {
            let state = kubectl
                .run(&["describe", &namespace, resource])
                .unwrap_or_default();
            anyhow::bail!("{error:#}\n{state}");
        }
        step.done();
        let pods = pods(&kubectl)?;
        let mut forwards = Vec::new();
        for pod in &pods {
            forwards.push(Forward::start(&kubectl, NAMESPACE, pod, 8080).await?);
        }
        Ok(Self {
            kubectl,
            model: model.to_owned(),
            pods,
            forwards,
            _namespace: theirs,
        })
    }

    fn table(&self) -> Result<()> {
        let namespace = format!("--namespace={NAMESPACE}");
        println!("\n$ kubectl get ollamaservices,pods -n {NAMESPACE}");
        println!(
            "{}",
            self.kubectl.run(&["get", "ollamaservices,pods", &namespace])?
        );
        let path = "--output=jsonpath={.status.endpoint}";
        let endpoint = self
            .kubectl
            .run(&["get", "ollamaservice/demo", &namespace, path])?;
        println!("\nEndpoint in the cluster: {endpoint}");
        println!("Its API key was made by the operator:\n  {}", key_command());
        Ok(())
    }

    /// A stream through the proxy, shown as it arrives.
    async fn generate(&self) -> Result<()> {
        let key = bearer(&self.key()?);
        let body = json!({
            "model": self.model,
            "prompt": "Explain in two sentences why the sky is blue.",
            "options": {"num_predict": 60, "temperature": 0.2},
        });
        println!("\nPOST /api/generate with the key, shown as it arrives:\n");
        let start = Instant::now();
        let mut first = None;
        let mut tokens = 0;
        self.client(0)
            .post_lines("/api/generate", &[(&key.0, &key.1)], &body, |line| {
                first.get_or_insert_with(|| start.elapsed());
                tokens += 1;
                show(line);
            })
            .await?;
        let first = first.context("the stream was empty")?;
        println!(
            "\n\n{tokens} lines, the first after {:.2} s, the last after {:.2} s",
            first.as_secs_f64(),
            start.elapsed().as_secs_f64()
        );
        Ok(())
    }

    async fn refuse(&self) -> Result<()> {
        let wrong = bearer("not-the-key");
        let status = self
            .client(0)
            .status("/api/tags", &[(&wrong.0, &wrong.1)])
            .await?;
        println!("\nGET /api/tags with a wrong key: {status}");
        anyhow::ensure!(
            status == http::StatusCode::UNAUTHORIZED,
            "a wrong key must get 401"
        );
        Ok(())
    }

    /// A new key, timed on every replica; the Pods stay the same ones and no container of theirs restarts.
    async fn rotate(&self) -> Result<()> {
        let before = identities(&self.kubectl)?;
        let old = bearer(&self.key()?);
        let mut random = [0; 24];
        getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let key = format!("corral_{}", hex::encode(random));
        let new = bearer(&key);
        let replicas: Vec<HttpClient> = self.forwards.iter().map(Forward::client).collect();
        let kubectl = self.kubectl.clone();
        let patch = json!({"stringData": {CLIENT: key}}).to_string();
        let edit = move || {
            let path = "--output=jsonpath={.metadata.resourceVersion}";
            kubectl.run(&[
                "patch",
                "secret",
                SECRET,
                "--namespace",
                NAMESPACE,
                "--patch",
                &patch,
                path,
            ])
        };
        let (version, latency) = rotation::measure(edit, &replicas, &old, &new).await?;
        println!(
            "\nThe key was replaced in the Secret {SECRET}. From then until all {} replicas refused the old key and took\nthe new one: {:.0} ms.",
            replicas.len(),
            latency.as_secs_f64() * 1000.0
        );
        self.wait_for_status(&version)?;
        anyhow::ensure!(
            identities(&self.kubectl)? == before,
            "a Pod was replaced or restarted"
        );
        println!("No Pod was replaced or restarted: {}.", self.pods.join(", "));
        Ok(())
    }

    fn wait_for_status(&self, version: &str) -> Result<()> {
        let start = Instant::now();
        let path = format!("--for=jsonpath={}={version}", status_path());
        self.kubectl.run(&[
            "wait",
            "ollamaservice/demo",
            "--namespace",
            NAMESPACE,
            &path,
            "--timeout=60s",
        ])?;
        println!(
            "The status named the new version {version} of the Secret {:.0} ms later.",
            start.elapsed().as_secs_f64() * 1000.0
        );
        Ok(())
    }

    fn explain(&self, lab: &Lab) {
        println!("\nTo go on by hand, in another terminal:");
        if let Some(node) = lab.node() {
            println!("  export KUBECONFIG={}", node.kubeconfig().display());
        }
        println!("  key=$({})", key_command());
        println!("  kubectl port-forward -n {NAMESPACE} service/demo 8880:11434 &");
        println!("  curl http://127.0.0.1:8880/api/generate -H \"Authorization: Bearer $key\" \\");
        println!(
            "    -d '{{\"model\": \"{}\", \"prompt\": \"Why is the sky blue?\"}}'",
            self.model
        );
    }

    fn client(&self, replica: usize) -> HttpClient {
        self.forwards[replica].client()
    }

    fn key(&self) -> Result<String> {
        let path = format!("--output=jsonpath={{.data.{CLIENT}}}");
        let encoded = self
            .kubectl
            .run(&["get", "secret", SECRET, "--namespace", NAMESPACE, &path])?;
        Ok(String::from_utf8(STANDARD.decode(encoded)?)?)
    }
}

fn show(line: &str) {
    if let Ok(Value::Object(answer)) = serde_json::from_str(line) {
        print!(
            "{}",
            answer.get("response").and_then(Value::as_str).unwrap_or_default()
        );
        // Nobody is left to show it to when standard output is closed.
        let _ = std::io::stdout().flush();
    }
}

fn bearer(key: &str) -> Credential {
    ("authorization".to_owned(), format!("Bearer {key}"))
}

fn key_command() -> String {
    format!("kubectl get secret {SECRET} -n {NAMESPACE} -o jsonpath='{{.data.{CLIENT}}}' | base64 -d")
}

fn status_path() -> String {
    format!("{{.status.credentials.secrets[?(@.name==\"{SECRET}\")].resourceVersion}}")
}

fn pods(kubectl: &Kubectl) -> Result<Vec<String>> {
    let selector = "--selector=app.kubernetes.io/instance=demo";
    let names = kubectl.run(&["get", "pods", "--namespace", NAMESPACE, selector, "--output=name"])?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// Which Pods there are and how often their containers have started.
fn identities(kubectl: &Kubectl) -> Result<String> {
    let path = "--output=jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount} \
                {.status.initContainerStatuses[*].restartCount}{\"\\n\"}{end}";
    kubectl.run(&["get", "pods", "--namespace", NAMESPACE, path])
}
