//! A cluster with Corral and one OllamaService `team-a` of two replicas, on which most cases work.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use corral_tests::cluster::{Kubectl, Node};
use corral_tests::forward::Forward;
use corral_tests::http_client::HttpClient;
use corral_tests::lab::{Lab, Place, SYSTEM};
use corral_tests::{command, progress, registry};
use serde_json::json;

/// The namespace of the cases, under Pod Security `restricted`.
pub(crate) const NAMESPACE: &str = "ml";
/// The OllamaService that most cases work on.
pub(crate) const SERVICE: &str = "team-a";
/// GPUs that the node says it has.
pub(crate) const GPUS: u32 = 1;

/// Names and passwords of the users of `team-a`, each hashed in its own way.
pub(crate) const USERS: &[(&str, &str)] = &[
    ("bcrypt", "correct horse battery"),
    ("apr1", "a longer pass phrase"),
    ("sha", "never do this one"),
];
/// The key of the client `ci`.
pub(crate) const KEY: &str = "corral-test-key-0001";

pub(crate) struct Fixture {
    lab: Lab,
}

/// What curl saw.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Fixture {
    pub(crate) async fn start() -> Result<Self> {
        let fixture = Self {
            lab: Lab::start(&Place::OwnNode { gpus: GPUS }).await?,
        };
        let kubectl = fixture.kubectl();
        kubectl.apply(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}, labels: \
             {{pod-security.kubernetes.io/enforce: restricted}}}}}}"
        ))?;
        fixture.secret("team-a-users", &[("auth", &htpasswd()?)])?;
        fixture.secret("team-a-keys", &[("ci", KEY)])?;
        let step = progress::step("OllamaService team-a: two replicas with gemma3:270m");
        fixture.apply_service(
            SERVICE,
            &json!({
                "replicas": 2,
                "models": [{"name": registry::MODEL, "insecure": true, "keepLoaded": true}],
                "auth": {
                    "basic": {"secretRef": {"name": "team-a-users"}},
                    "apiKeys": {"secretRef": {"name": "team-a-keys"}},
                },
            }),
        )?;
        if let Err(error) = fixture.wait(SERVICE, "condition=Ready", "5m") {
            return Err(error.context(fixture.state()));
        }
        step.done();
        Ok(fixture)
    }

    pub(crate) fn kubectl(&self) -> &Kubectl {
        self.lab.kubectl()
    }

    pub(crate) fn node(&self) -> Result<&Node> {
        self.lab.node().context("the cluster is our own")
    }

    pub(crate) fn kubeconfig(&self) -> String {
        self.lab
            .node()
            .map(|node| node.kubeconfig().display().to_string())
            .unwrap_or_default()
    }

    /// kubectl in the namespace of the cases.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl()
            .run(&[&["--namespace", NAMESPACE], arguments].concat())
    }

    /// A value of an object.
    pub(crate) fn field(&self, object: &str, path: &str) -> Result<String> {
        self.run(&["get", object, &format!("--output=jsonpath={path}")])
    }

    /// Makes a Secret or replaces its content; answers with its resourceVersion.
    pub(crate) fn secret(&self, name: &str, entries: &[(&str, &str)]) -> Result<String> {
        let entries: serde_json::Map<_, _> = entries
            .iter()
            .map(|(name, content)| ((*name).to_owned(), json!(content)))
            .collect();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE},
            "stringData": entries,
        });
        let path = "--output=jsonpath={.metadata.resourceVersion}";
        // Not apply: it would keep entries that it didn't make.
        let verb = if self.field(&format!("secret/{name}"), "{.kind}").is_ok() {
            "replace"
        } else {
            "create"
        };
        self.kubectl()
            .run_with(&[verb, "-f", "-", path], &secret.to_string())
    }

    pub(crate) fn apply_service(&self, name: &str, spec: &serde_json::Value) -> Result<String> {
        self.kubectl().apply(&service(name, spec))
    }

    /// `kubectl wait` for an OllamaService.
    pub(crate) fn wait(&self, service: &str, condition: &str, limit: &str) -> Result<()> {
        let [condition, limit] = [format!("--for={condition}"), format!("--timeout={limit}")];
        self.run(&["wait", &format!("ollamaservice/{service}"), &condition, &limit])
            .map(drop)
    }

    /// Waits as a user does, until the status names that version of the Secret.
    pub(crate) fn wait_for_secret(
        &self,
        service: &str,
        secret: &str,
        version: &str,
        limit: &str,
    ) -> Result<()> {
        self.wait(
            service,
            &format!("jsonpath={}={version}", secret_path(secret)),
            limit,
        )
    }

    /// The Pods of an OllamaService, as `pod/NAME`.
    pub(crate) fn pods(&self, service: &str) -> Result<Vec<String>> {
        let selector = format!("--selector=app.kubernetes.io/instance={service}");
        Ok(self
            .run(&["get", "pods", &selector, "--output=name"])?
            .lines()
            .map(str::to_owned)
            .collect())
    }

    /// A way to the proxy of each replica.
    pub(crate) async fn replicas(&self, service: &str) -> Result<Vec<Forward>> {
        let mut forwards = Vec::new();
        for pod in self.pods(service)? {
            forwards.push(Forward::start(self.kubectl(), NAMESPACE, &pod, 8080).await?);
        }
        Ok(forwards)
    }

    /// The address of the proxy of one Pod, for programs that run inside the node.
    pub(crate) fn proxy(&self, pod: &str) -> Result<String> {
        Ok(format!("http://{}:8080", self.field(pod, "{.status.podIP}")?))
    }

    /// Which Pods there are and how often their containers have started.
    pub(crate) fn identities(&self) -> Result<String> {
        let path = "{range .items[*]}{.metadata.name} {.metadata.uid} {.status.containerStatuses[*].restartCount} \
                    {.status.initContainerStatuses[*].restartCount}{\"\\n\"}{end}";
        self.field("pods", path)
    }

    /// The Service's address and port, for programs that run inside the node, once it takes connections: kube-proxy is a
    /// moment behind the status.
    pub(crate) fn url(&self, service: &str) -> Result<String> {
        let address = self.field(&format!("service/{service}"), "{.spec.clusterIP}")?;
        let url = format!("http://{address}:11434");
        let patience = ["--retry", "60", "--retry-delay", "1", "--retry-connrefused"];
        self.curl(&url, &patience)?;
        Ok(url)
    }

    /// The real curl, inside the node's network.
    pub(crate) fn curl(&self, url: &str, arguments: &[&str]) -> Result<Answer> {
        let mut curl = self.node()?.command("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--max-time",
            "120",
            "--write-out",
            "\n%{http_code}",
        ]);
        let output = command::output(curl.args(arguments).arg(url))?;
        let (body, status) = output.rsplit_once('\n').unwrap_or(("", &output));
        Ok(Answer {
            status: status.parse().context("curl's status")?,
            body: body.to_owned(),
        })
    }

    /// Asks until the answer has that status.
    pub(crate) fn curl_until(
        &self,
        url: &str,
        arguments: &[&str],
        status: u16,
        limit: Duration,
    ) -> Result<Answer> {
        let start = Instant::now();
        loop {
            let answer = self.curl(url, arguments)?;
            if answer.status == status {
                return Ok(answer);
            }
            ensure!(
                start.elapsed() < limit,
                "{url} {arguments:?} still answers {answer:?}, not {status}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What to look at when something went wrong.
    pub(crate) fn state(&self) -> String {
        let say = |arguments: &[&str]| {
            self.kubectl()
                .run(arguments)
                .unwrap_or_else(|error| error.to_string())
        };
        [
            say(&["get", "ollamaservices,pods", "--all-namespaces", "--output=wide"]),
            say(&[
                "get",
                "events",
                "--all-namespaces",
                "--field-selector=type=Warning",
            ]),
            say(&["logs", "--namespace", SYSTEM, "deployment/corral", "--tail=30"]),
        ]
        .join("\n\n")
    }
}

/// The header that carries a key.
pub(crate) fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}")
}

/// An OllamaService.
pub(crate) fn service(name: &str, spec: &serde_json::Value) -> String {
    json!({
        "apiVersion": "corral.dev/v1alpha1", "kind": "OllamaService",
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
    })
    .to_string()
}

/// Where the status names the version of a Secret that every replica has.
pub(crate) fn secret_path(secret: &str) -> String {
    format!("{{.status.credentials.secrets[?(@.name==\"{secret}\")].resourceVersion}}")
}

/// One line for each of [`USERS`], in the format that the user is named after.
fn htpasswd() -> Result<String> {
    let mut lines = String::new();
    for (user, password) in USERS {
        let hash = match *user {
            "bcrypt" => bcrypt::hash(password, 10)?,
            "apr1" => openssl(&["passwd", "-apr1", password])?,
            _ => format!("{{SHA}}{}", openssl_sha1(password)?),
        };
        lines.push_str(&format!("{user}:{hash}\n"));
    }
    Ok(lines)
}

fn openssl(arguments: &[&str]) -> Result<String> {
    command::output(std::process::Command::new("openssl").args(arguments))
}

fn openssl_sha1(password: &str) -> Result<String> {
    let script = "printf %s \"$1\" | openssl dgst -sha1 -binary | openssl base64";
    command::output(std::process::Command::new("sh").args(["-c", script, "sh", password]))
}

/// A client of each replica.
pub(crate) fn clients(forwards: &[Forward]) -> Vec<HttpClient> {
    forwards.iter().map(Forward::client).collect()
}
