use super::*;
use crate::config::CredentialSource;

/// A good one.
pub(in crate::config::validate) fn issuer() -> JwtIssuer {
    JwtIssuer {
        issuer: "https://idp.example".into(),
        audiences: vec!["ollama".into()],
        keys: Some(CredentialSource {
            path: "jwks.json".into(),
            key: None,
        }),
        jwks_uri: None,
        ca: None,
        insecure: false,
        algorithms: JwtAlgorithm::with_key_pair(),
        client_claim: "sub".into(),
        groups_claim: None,
        leeway_seconds: 30,
    }
}

#[test]
fn what_cannot_work_is_named_by_field() {
    let cases: Vec<(&str, Vec<JwtIssuer>, Option<&str>)> = vec![
        ("one", vec![issuer()], None),
        (
            "an issuer without a name",
            vec![JwtIssuer {
                issuer: String::new(),
                ..issuer()
            }],
            Some("credentials.jwt[0].issuer"),
        ),
        (
            "an issuer twice",
            vec![issuer(), issuer()],
            Some("credentials.jwt[1].issuer"),
        ),
        (
            "tokens for anyone",
            vec![JwtIssuer {
                audiences: vec![],
                ..issuer()
            }],
            Some("credentials.jwt[0].audiences"),
        ),
        (
            "no algorithms",
            vec![JwtIssuer {
                algorithms: vec![],
                ..issuer()
            }],
            Some("credentials.jwt[0].algorithms"),
        ),
        (
            "algorithms of a secret and of a key pair",
            vec![JwtIssuer {
                algorithms: vec![JwtAlgorithm::RS256, JwtAlgorithm::HS256],
                ..issuer()
            }],
            Some("credentials.jwt[0].algorithms"),
        ),
        (
            "a path of claims with a gap",
            vec![JwtIssuer {
                client_claim: "a..b".into(),
                ..issuer()
            }],
            Some("credentials.jwt[0].clientClaim"),
        ),
        (
            "a path of groups that is empty",
            vec![JwtIssuer {
                groups_claim: Some(String::new()),
                ..issuer()
            }],
            Some("credentials.jwt[0].groupsClaim"),
        ),
        (
            "a long leeway",
            vec![JwtIssuer {
                leeway_seconds: 301,
                ..issuer()
            }],
            Some("credentials.jwt[0].leewaySeconds"),
        ),
        (
            "keys outside their directory",
            vec![JwtIssuer {
                keys: Some(CredentialSource {
                    path: "jwks.json".into(),
                    key: Some("../x".into()),
                }),
                ..issuer()
            }],
            Some("credentials.jwt[0].keys.key"),
        ),
    ];
    for (name, issuers, expected) in cases {
        let field = check(&issuers).err().map(|invalid| invalid.field);
        assert_eq!(field.as_deref(), expected, "{name}");
    }
}

#[test]
fn keys_of_tokens_are_in_files_or_at_a_safe_address() {
    let at = |issuer: &str, address: Option<&str>, insecure| JwtIssuer {
        issuer: issuer.into(),
        keys: None,
        jwks_uri: address.map(|address| address.parse().unwrap()),
        insecure,
        ..self::issuer()
    };
    let cases = [
        (
            "an address",
            at("a", Some("https://idp.example/keys"), false),
            None,
        ),
        (
            "found by the issuer",
            at("https://idp.example/realm/", None, false),
            None,
        ),
        (
            "an issuer that is no address",
            at("gateway", None, false),
            Some("issuer"),
        ),
        (
            "an issuer without TLS",
            at("http://idp.example", None, false),
            Some("issuer"),
        ),
        (
            "the same, spelled out",
            at("http://idp.example", None, true),
            None,
        ),
        (
            "an address without TLS",
            at("a", Some("http://idp.example"), false),
            Some("jwksURI"),
        ),
        (
            "the same, spelled out",
            at("a", Some("http://idp.example"), true),
            None,
        ),
        (
            "this machine",
            at("a", Some("http://127.0.0.1:8000/keys"), false),
            None,
        ),
        (
            "this machine by IPv6",
            at("a", Some("http://[::1]/keys"), false),
            None,
        ),
        (
            "a name that may lead anywhere",
            at("a", Some("http://localhost/keys"), false),
            Some("jwksURI"),
        ),
        (
            "a file",
            at("a", Some("file:///etc/passwd"), true),
            Some("jwksURI"),
        ),
        (
            "a secret that is fetched",
            JwtIssuer {
                algorithms: vec![JwtAlgorithm::HS256],
                ..at("https://idp.example", None, false)
            },
            Some("algorithms"),
        ),
        (
            "an authority of one's own",
            JwtIssuer {
                ca: issuer().keys,
                ..at("https://idp.example", None, false)
            },
            None,
        ),
        (
            "an authority for an address without TLS",
            JwtIssuer {
                ca: issuer().keys,
                ..at("a", Some("http://127.0.0.1:8000/keys"), false)
            },
            Some("ca"),
        ),
        (
            "an authority for keys in files",
            JwtIssuer {
                ca: issuer().keys,
                ..issuer()
            },
            Some("ca"),
        ),
        (
            "both",
            JwtIssuer {
                keys: issuer().keys,
                ..at("a", Some("https://idp.example/keys"), false)
            },
            Some("jwksURI"),
        ),
    ];
    for (name, issuer, field) in cases {
        let wrong = check_issuer(&issuer).err().map(|(field, _)| field);
        assert_eq!(wrong, field, "{name}");
    }
}
