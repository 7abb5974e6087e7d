//! What a request asks for, and how it went.

use bytes::Bytes;
use http::{Method, Uri};
use serde_json::Value;

/// What a request to the API server asks for, in the words of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: &'static str,
    /// The resource, with the subresource if there is one: `pods`, `ollamaservices/status`.
    pub resource: String,
    /// The namespace; empty for what has none.
    pub namespace: String,
    /// The object's name; empty where the request names none.
    pub name: String,
}

impl Target {
    /// Reads it from the method, the path and query, and the name in the body of what is to be made; none for what is no
    /// object, such as `/version`.
    pub(super) fn parse(method: &Method, uri: &Uri, body: &[u8]) -> Option<Self> {
        let mut segments = uri.path().split('/').filter(|segment| !segment.is_empty());
        match segments.next()? {
            "api" => segments.next()?,
            "apis" => segments.nth(1)?,
            _ => return None,
        };
        let mut rest: Vec<&str> = segments.collect();
        let mut namespace = String::new();
        if rest.first() == Some(&"namespaces") && rest.len() > 2 {
            namespace = rest[1].to_owned();
            rest.drain(..2);
        }
        let mut resource = (*rest.first()?).to_owned();
        let mut name = rest.get(1).map(|name| (*name).to_owned()).unwrap_or_default();
        if let Some(subresource) = rest.get(2) {
            resource = format!("{resource}/{subresource}");
        }
        let verb = verb(method, uri, !name.is_empty());
        if verb == "create" && name.is_empty() {
            name = name_in(body);
        }
        Some(Self {
            verb,
            resource,
            namespace,
            name,
        })
    }

    /// Whether it asks for a change.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }
}

fn verb(method: &Method, uri: &Uri, named: bool) -> &'static str {
    let watches = uri.query().is_some_and(|query| {
        query
            .split('&')
            .any(|pair| matches!(pair, "watch=true" | "watch=1"))
    });
    match *method {
        Method::GET if watches => "watch",
        Method::GET if named => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        _ => "deletecollection",
    }
}

fn name_in(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let metadata = &body["metadata"];
    let name = metadata["name"].as_str().or(metadata["generateName"].as_str());
    name.unwrap_or_default().to_owned()
}

/// The version of the object in a body.
pub(super) fn version_in(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body["metadata"]["resourceVersion"].as_str().map(str::to_owned)
}

/// A request and how it went.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What it asked for.
    pub target: Target,
    /// Its body.
    pub body: Bytes,
    /// What the API server answered; none where the request was not passed on.
    pub status: Option<u16>,
    /// The version of the object that a write was answered with.
    pub version: Option<String>,
}

impl Exchange {
    /// Whether it is a write that was granted; not one that names the version which it is to change, and has left it.
    pub fn took_effect(&self) -> bool {
        let granted = self.target.is_write() && self.status.is_some_and(|status| status < 300);
        granted && (self.version.is_none() || self.version != version_in(&self.body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_what_is_asked_for() {
        let cases = [
            ("GET", "/api/v1/namespaces/a/pods/x", "get pods a x"),
            ("GET", "/api/v1/namespaces/a/pods?limit=5", "list pods a "),
            ("GET", "/api/v1/pods?watch=true", "watch pods  "),
            ("GET", "/api/v1/namespaces/a", "get namespaces  a"),
            (
                "PATCH",
                "/apis/corral.dev/v1alpha1/namespaces/a/ollamaservices/x/status?force=true",
                "patch ollamaservices/status a x",
            ),
            (
                "DELETE",
                "/apis/apps/v1/namespaces/a/deployments/x",
                "delete deployments a x",
            ),
            ("POST", "/api/v1/namespaces/a/secrets", "create secrets a made"),
        ];
        for (method, uri, expected) in cases {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let body = br#"{"metadata": {"name": "made"}}"#;
            let Target {
                verb,
                resource,
                namespace,
                name,
            } = Target::parse(&method, &uri.parse().unwrap(), body).unwrap();
            assert_eq!(format!("{verb} {resource} {namespace} {name}"), expected);
        }
        assert_eq!(
            Target::parse(&Method::GET, &"/version".parse().unwrap(), b""),
            None
        );
    }
}
