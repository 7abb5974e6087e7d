//! The API server's audit log: who asked for what.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

/// Every request once it is answered, without bodies.
const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted, Panic]
rules: [{level: Metadata}]
";

/// The log of a cluster.
#[derive(Clone, Debug)]
pub struct AuditLog {
    path: PathBuf,
}

/// A place in the log.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

impl Mark {
    /// The log's beginning.
    pub const START: Self = Self(0);
}

/// A request, whether it was granted or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asked, such as `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// The resource's group; empty for the core.
    pub group: String,
    /// The resource, with the subresource if there is one: `pods`, `ollamaservices/status`.
    pub resource: String,
    /// The namespace; empty for what has none.
    pub namespace: String,
    /// The object's name; empty when the server was to choose it.
    pub name: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// Nothing grants it to that user. Other answers have the status 403 as well, such as those about what can't be made in
    /// a namespace that is being deleted.
    pub denied: bool,
}

#[derive(Deserialize)]
struct Event {
    verb: String,
    user: User,
    #[serde(rename = "objectRef", default)]
    object: Object,
    #[serde(rename = "responseStatus", default)]
    response: Response,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Default, Deserialize)]
struct Annotations {
    /// `allow` or `forbid` (k8s.io/apiserver/pkg/endpoints/filters, `decisionAnnotationKey`).
    #[serde(rename = "authorization.k8s.io/decision", default)]
    decision: String,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    #[serde(rename = "apiGroup")]
    group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response {
    code: u16,
}

impl AuditLog {
    /// Prepares a log in that folder.
    pub(super) fn create(folder: &Path) -> Result<Self> {
        fs::write(folder.join("audit-policy.yaml"), POLICY)?;
        let path = folder.join("audit.log");
        File::create(&path)?;
        Ok(Self { path })
    }

    /// What the API server has to be told.
    pub(super) fn arguments(&self) -> [String; 3] {
        [
            format!(
                "--audit-policy-file={}",
                self.path.with_file_name("audit-policy.yaml").display()
            ),
            format!("--audit-log-path={}", self.path.display()),
            "--audit-log-maxsize=10000".to_owned(),
        ]
    }

    /// The log's present end.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn mark(&self) -> Result<Mark> {
        Ok(Mark(fs::metadata(&self.path)?.len()))
    }

    /// Every write since then, by anybody.
    ///
    /// # Errors
    /// When the log can't be read or understood.
    pub fn writes_since(&self, mark: Mark) -> Result<Vec<Request>> {
        let mut writes = self.since(mark, "")?;
        writes.retain(|request| !matches!(request.verb.as_str(), "get" | "list" | "watch"));
        Ok(writes)
    }

    /// Every request since then by that user; a watch is there when it has ended.
    ///
    /// # Errors
    /// When the log can't be read or understood.
    pub fn requests_since(&self, mark: Mark, user: &str) -> Result<Vec<Request>> {
        let mut requests = self.since(mark, user)?;
        requests.retain(|request| request.user == user);
        Ok(requests)
    }

    /// The requests in whose lines that stands.
    fn since(&self, mark: Mark, containing: &str) -> Result<Vec<Request>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(mark.0))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let complete = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let lines = complete.lines().filter(|line| line.contains(containing));
        lines
            .map(|line| {
                let event: Event =
                    serde_json::from_str(line).with_context(|| format!("audit line {line}"))?;
                Ok(event.into())
            })
            .collect()
    }
}

impl From<Event> for Request {
    fn from(event: Event) -> Self {
        let Event {
            verb,
            user,
            object,
            response,
            annotations,
        } = event;
        let resource = match object.subresource.as_str() {
            "" => object.resource,
            subresource => format!("{}/{subresource}", object.resource),
        };
        Self {
            user: user.username,
            verb,
            group: object.group,
            resource,
            namespace: object.namespace,
            name: object.name,
            status: response.code,
            denied: annotations.decision == "forbid",
        }
    }
}
