//! What the types of the API server's configuration can't say.

use url::Url;

use super::Invalid;
use crate::config::{KeyAddress, Kubernetes};

/// Most characters of an audience.
const LONGEST_AUDIENCE: usize = 253;

/// What the API servers of most clusters call themselves.
const API_SERVER: &str = "https://kubernetes.default.svc";

/// Checks the API server of the configuration.
pub(super) fn check(kubernetes: Option<&Kubernetes>) -> Result<(), Invalid> {
    let Some(kubernetes) = kubernetes else {
        return Ok(());
    };
    let Kubernetes {
        audiences,
        server,
        token_file,
        ca_file,
        cache_seconds,
    } = kubernetes;
    let invalid =
        |field: &str, problem: &str| Err(Invalid::new(format!("credentials.kubernetes.{field}"), problem));
    if let Some(problem) = audiences_problem(audiences) {
        return invalid("audiences", problem);
    }
    if server.as_ref().is_some_and(|server| !is_api_server(server)) {
        return invalid(
            "server",
            "must be the https address of an API server, or http to 127.0.0.1 as of kubectl proxy, without a user and a \
             query",
        );
    }
    for (field, file) in [("tokenFile", token_file), ("caFile", ca_file)] {
        if file.as_os_str().is_empty() {
            return invalid(field, "must not be empty");
        }
    }
    if !(1..=Kubernetes::MOST_CACHE_SECONDS).contains(cache_seconds) {
        let most = Kubernetes::MOST_CACHE_SECONDS;
        let problem = format!("must be 1 to {most}: as long, whoever is deleted is still let in");
        return invalid("cacheSeconds", &problem);
    }
    Ok(())
}

/// Why tokens made for these audiences can't let anybody in, if they can't.
pub fn audiences_problem(audiences: &[String]) -> Option<&'static str> {
    let well_formed = |audience: &String| {
        (1..=LONGEST_AUDIENCE).contains(&audience.len())
            && audience.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if audiences.is_empty() || !audiences.iter().all(well_formed) {
        return Some(
            "must name at least one, each of 1 to 253 visible ASCII characters: a token must be made for one of them",
        );
    }
    let is_api_server = |audience: &String| audience.starts_with(API_SERVER);
    audiences.iter().any(is_api_server).then_some(
        "must not name the API server itself: whoever sees such a token on its way here could use it there; choose a name \
         of your own, such as ollama",
    )
}

/// Nobody on the way may see the tokens that are asked about.
fn is_api_server(url: &Url) -> bool {
    KeyAddress::is_safe(url)
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_cluster() -> Kubernetes {
        Kubernetes::in_cluster(vec!["ollama".to_owned()])
    }

    #[test]
    fn an_api_server_that_cant_be_asked_is_named_by_its_field() {
        let with = |change: fn(&mut Kubernetes)| {
            let mut kubernetes = in_cluster();
            change(&mut kubernetes);
            kubernetes
        };
        let audiences = |audiences: &[&str]| Kubernetes {
            audiences: audiences.iter().map(|&name| name.to_owned()).collect(),
            ..in_cluster()
        };
        let server = |address: &str| Kubernetes {
            server: Some(address.parse().unwrap()),
            ..in_cluster()
        };
        let long = "x".repeat(LONGEST_AUDIENCE + 1);
        let cases = [
            ("the defaults", in_cluster(), None),
            (
                "several audiences",
                audiences(&["a", "https://b.example/c"]),
                None,
            ),
            ("no audience", audiences(&[]), Some("audiences")),
            ("an empty one", audiences(&["a", ""]), Some("audiences")),
            ("one with a space", audiences(&["a b"]), Some("audiences")),
            ("one in other letters", audiences(&["ä"]), Some("audiences")),
            ("a long one", audiences(&[&long]), Some("audiences")),
            (
                "the API server's",
                audiences(&["a", "https://kubernetes.default.svc"]),
                Some("audiences"),
            ),
            (
                "its longer name",
                audiences(&["https://kubernetes.default.svc.cluster.local"]),
                Some("audiences"),
            ),
            ("an address", server("https://10.0.0.1:6443"), None),
            (
                "one with a path",
                server("https://rancher.example/k8s/clusters/a"),
                None,
            ),
            ("kubectl proxy", server("http://127.0.0.1:8001"), None),
            ("no TLS", server("http://10.0.0.1"), Some("server")),
            ("another scheme", server("unix:///run/api"), Some("server")),
            ("a user", server("https://a:b@10.0.0.1"), Some("server")),
            ("a query", server("https://10.0.0.1/?a"), Some("server")),
            (
                "no token",
                with(|config| config.token_file = "".into()),
                Some("tokenFile"),
            ),
            (
                "no authorities",
                with(|config| config.ca_file = "".into()),
                Some("caFile"),
            ),
            (
                "no time",
                with(|config| config.cache_seconds = 0),
                Some("cacheSeconds"),
            ),
            (
                "much time",
                with(|config| config.cache_seconds = 61),
                Some("cacheSeconds"),
            ),
            ("a second", with(|config| config.cache_seconds = 1), None),
        ];
        for (name, kubernetes, field) in cases {
            let found = check(Some(&kubernetes)).err().map(|invalid| invalid.field);
            let expected = field.map(|field| format!("credentials.kubernetes.{field}"));
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn what_is_right_in_a_pod_need_not_be_said() {
        let read: Kubernetes = serde_yaml::from_str("audiences: [ollama]").unwrap();
        assert_eq!(read, in_cluster());
        let written = serde_yaml::to_string(&read).unwrap();
        assert_eq!(written, "audiences:\n- ollama\ncacheSeconds: 45\n");
    }
}
