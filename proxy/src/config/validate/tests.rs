use super::*;
use crate::config::{
    Anonymous, CertificateName, ClientCertificates, CredentialSource, Credentials, JwtIssuer, OllamaKeys,
    Require, Timeouts,
};
use jwt::tests::issuer;

fn valid() -> Config {
    let source = CredentialSource {
        path: "keys".into(),
        key: None,
    };
    let credentials = Credentials {
        api_keys: Some(source),
        ..Credentials::default()
    };
    Config {
        credentials,
        ..Config::default()
    }
}

fn model(name: &str) -> Model {
    Model {
        name: name.into(),
        ..Model::default()
    }
}

fn pinned(digest: &str) -> Model {
    Model {
        digest: Some(digest.into()),
        ..model("a")
    }
}

fn made(name: &str, modelfile: &str) -> Model {
    Model {
        modelfile: Some(modelfile.into()),
        ..model(name)
    }
}

fn ollama_keys(key: Option<&str>, clock_skew_seconds: u32) -> Option<OllamaKeys> {
    Some(OllamaKeys {
        path: "authorized_keys".into(),
        key: key.map(Into::into),
        clock_skew_seconds,
    })
}

fn timeouts([head_seconds, body_idle_seconds, connect_seconds]: [u32; 3]) -> Timeouts {
    Timeouts {
        head_seconds,
        body_idle_seconds,
        connect_seconds,
    }
}

fn cors(origins: &[&str], max_age_seconds: u32) -> Option<Cors> {
    Some(Cors {
        allowed_origins: origins.iter().map(|&origin| origin.into()).collect(),
        max_age_seconds,
    })
}

fn client_certificates() -> Option<ClientCertificates> {
    Some(ClientCertificates {
        path: "ca.crt".into(),
        key: None,
        name: CertificateName::CommonName,
    })
}

fn rule(clients: &[&str]) -> Vec<AccessRule> {
    vec![AccessRule {
        clients: clients.iter().map(|&client| client.into()).collect(),
        ..AccessRule::default()
    }]
}

fn rule_of_groups(groups: &[&str]) -> Vec<AccessRule> {
    vec![AccessRule {
        groups: groups.iter().map(|&group| group.into()).collect(),
        ..AccessRule::default()
    }]
}

fn rule_on(models: &[&str]) -> Vec<AccessRule> {
    vec![AccessRule {
        models: Some(models.iter().map(|&model| model.into()).collect()),
        ..rule(&["a"]).remove(0)
    }]
}

#[test]
fn what_cannot_work_is_named_by_field() {
    type Edit = fn(&mut Config);
    let cases: &[(&str, Edit, Option<&str>)] = &[
        ("as it is", |_| {}, None),
        (
            "pages",
            |config| config.network.cors = cors(&["https://a.example", "*"], 0),
            None,
        ),
        (
            "the PROXY protocol from nobody",
            |config| config.network.proxy_protocol = true,
            Some("network.proxyProtocol"),
        ),
        (
            "no pages",
            |config| config.network.cors = cors(&[], 600),
            Some("network.cors.allowedOrigins"),
        ),
        (
            "a page instead of an origin",
            |config| config.network.cors = cors(&["*", "https://a.example/"], 600),
            Some("network.cors.allowedOrigins[1]"),
        ),
        (
            "remembered too long",
            |config| config.network.cors = cors(&["*"], 86_401),
            Some("network.cors.maxAgeSeconds"),
        ),
        (
            "no credentials",
            |config| config.credentials = Credentials::default(),
            Some("credentials"),
        ),
        (
            "an https upstream",
            |config| config.upstream = "https://a".parse().unwrap(),
            Some("upstream"),
        ),
        (
            "another scheme",
            |config| config.upstream = "unix:/a".parse().unwrap(),
            Some("upstream"),
        ),
        (
            "a path",
            |config| config.upstream = "http://a/b".parse().unwrap(),
            Some("upstream"),
        ),
        (
            "a query",
            |config| config.upstream = "http://a/?b".parse().unwrap(),
            Some("upstream"),
        ),
        (
            "a user",
            |config| config.upstream = "http://u:p@a".parse().unwrap(),
            Some("upstream"),
        ),
        (
            "a host alone",
            |config| config.upstream = "http://ollama".parse().unwrap(),
            None,
        ),
        (
            "an address",
            |config| config.upstream = "http://[::1]:11434".parse().unwrap(),
            None,
        ),
        (
            "admin on the same port",
            |config| config.admin_listen = Some(config.listen),
            Some("adminListen"),
        ),
        (
            "a certificate without its key",
            |config| {
                config.tls = Some(Tls {
                    cert_file: "tls.crt".into(),
                    ..Tls::default()
                });
            },
            Some("tls.keyFile"),
        ),
        (
            "a rule without clients",
            |config| config.access = rule(&[]),
            Some("access[0].clients"),
        ),
        (
            "a rule with an empty client",
            |config| config.access = rule(&["a", ""]),
            Some("access[0].clients[1]"),
        ),
        (
            "a rule of groups alone",
            |config| config.access = rule_of_groups(&["team-*"]),
            None,
        ),
        (
            "a rule with an empty group",
            |config| config.access = rule_of_groups(&["a", ""]),
            Some("access[0].groups[1]"),
        ),
        (
            "patterns of models",
            |config| config.access = rule_on(&["*", "gemma3:*", "user/*", "hf.co/*/*:q4"]),
            None,
        ),
        (
            "a pattern of no model",
            |config| config.access = rule_on(&["gemma3", "a b"]),
            Some("access[0].models[1]"),
        ),
        (
            "an empty list of models",
            |config| config.access = rule_on(&[]),
            Some("access[0].models"),
        ),
        (
            "an empty list of networks",
            |config| {
                config.access = rule(&["a"]);
                config.access[0].allowed_cidrs = Some(vec![]);
            },
            Some("access[0].allowedCIDRs"),
        ),
        (
            "a key that leaves its directory",
            |config| config.credentials.api_keys.as_mut().unwrap().key = Some("../x".into()),
            Some("credentials.apiKeys.key"),
        ),
        (
            "keys of the CLI",
            |config| config.credentials.ollama_keys = ollama_keys(None, 300),
            None,
        ),
        (
            "a key of theirs that leaves its directory",
            |config| config.credentials.ollama_keys = ollama_keys(Some("../x"), 30),
            Some("credentials.ollamaKeys.key"),
        ),
        (
            "no clock skew",
            |config| config.credentials.ollama_keys = ollama_keys(None, 0),
            Some("credentials.ollamaKeys.clockSkewSeconds"),
        ),
        (
            "a long clock skew",
            |config| config.credentials.ollama_keys = ollama_keys(None, 301),
            Some("credentials.ollamaKeys.clockSkewSeconds"),
        ),
        (
            "two means in one header, either of which is enough",
            |config| {
                config.credentials.ollama_keys = ollama_keys(None, 30);
                config.credentials.basic = config.credentials.api_keys.clone();
            },
            None,
        ),
        (
            "two means in one header, both of which are needed",
            |config| {
                config.credentials.ollama_keys = ollama_keys(None, 30);
                config.credentials.basic = config.credentials.api_keys.clone();
                config.credentials.require = Require::All;
            },
            Some("credentials.require"),
        ),
        (
            "nobody but anonymous callers",
            |config| {
                config.credentials = Credentials {
                    anonymous: Some(Anonymous::default()),
                    ..Credentials::default()
                };
            },
            None,
        ),
        (
            "client certificates without HTTPS",
            |config| config.credentials.client_certificates = client_certificates(),
            Some("credentials.clientCertificates"),
        ),
        (
            "client certificates",
            |config| {
                config.credentials.client_certificates = client_certificates();
                config.tls = Some(Tls {
                    cert_file: "tls.crt".into(),
                    key_file: "tls.key".into(),
                });
            },
            None,
        ),
        (
            "anonymous callers without a name",
            |config| {
                config.credentials.anonymous = Some(Anonymous {
                    client: String::new(),
                });
            },
            Some("credentials.anonymous.client"),
        ),
        (
            "anonymous callers where all credentials are needed",
            |config| {
                config.credentials.anonymous = Some(Anonymous::default());
                config.credentials.require = Require::All;
            },
            Some("credentials.require"),
        ),
        (
            "two means in two headers, both of which are needed",
            |config| {
                config.credentials.basic = config.credentials.api_keys.clone();
                config.credentials.require = Require::All;
            },
            None,
        ),
        (
            "a heartbeat",
            |config| config.streams.heartbeat_seconds = Some(15),
            None,
        ),
        (
            "a heartbeat without a pause",
            |config| config.streams.heartbeat_seconds = Some(0),
            Some("streams.heartbeatSeconds"),
        ),
        (
            "the longest timeouts",
            |config| config.limits.timeouts = timeouts([3600; 3]),
            None,
        ),
        (
            "no time for a head",
            |config| config.limits.timeouts = timeouts([0, 1, 1]),
            Some("limits.timeouts.headSeconds"),
        ),
        (
            "more than an hour for a byte",
            |config| config.limits.timeouts = timeouts([1, 3601, 1]),
            Some("limits.timeouts.bodyIdleSeconds"),
        ),
        (
            "no time for a connection",
            |config| config.limits.timeouts = timeouts([1, 1, 0]),
            Some("limits.timeouts.connectSeconds"),
        ),
        (
            "an issuer without a name",
            |config| {
                config.credentials.jwt = vec![JwtIssuer {
                    issuer: String::new(),
                    ..issuer()
                }];
            },
            Some("credentials.jwt[0].issuer"),
        ),
        (
            "an issuer and nothing else",
            |config| {
                config.credentials = Credentials {
                    jwt: vec![issuer()],
                    ..Credentials::default()
                };
            },
            None,
        ),
        (
            "a model",
            |config| config.models = vec![model("gemma3:270m")],
            None,
        ),
        (
            "no model name",
            |config| config.models = vec![model("")],
            Some("models[0].name"),
        ),
        (
            "one model twice",
            |config| config.models = vec![model("llama3"), model("LLAMA3:latest")],
            Some("models[1].name"),
        ),
        (
            "a model of a Modelfile",
            |config| config.models = vec![made("a", "FROM b\nSYSTEM c")],
            None,
        ),
        (
            "a malformed Modelfile",
            |config| config.models = vec![model("a"), made("b", "FROM a\nSYSTM c")],
            Some("models[1].modelfile"),
        ),
        (
            "a model made from itself",
            |config| config.models = vec![made("a", "FROM b"), made("b", "FROM a")],
            Some("models[0].modelfile"),
        ),
        (
            "a digest",
            |config| config.models = vec![pinned(&format!("sha256:{}", "0a".repeat(32)))],
            None,
        ),
        (
            "a short digest",
            |config| config.models = vec![pinned("sha256:0a1b")],
            Some("models[0].digest"),
        ),
        (
            "a digest of what is made",
            |config| {
                config.models = vec![Model {
                    digest: Some("0a".repeat(32)),
                    ..made("a", "FROM b")
                }];
            },
            Some("models[0].digest"),
        ),
        (
            "no pull at a time",
            |config| config.parallel_pulls = 0,
            Some("parallelPulls"),
        ),
        (
            "too many pulls at a time",
            |config| config.parallel_pulls = 17,
            Some("parallelPulls"),
        ),
        (
            "every model to be deleted",
            |config| config.prune_models = true,
            Some("pruneModels"),
        ),
    ];
    for (name, edit, expected) in cases {
        let mut config = valid();
        edit(&mut config);
        let field = validate(&config).err().map(|invalid| invalid.field);
        assert_eq!(field.as_deref(), *expected, "{name}");
    }
}
