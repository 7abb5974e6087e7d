use super::*;
use http::Request;

fn rules(origins: &[&str]) -> CorsRules {
    CorsRules::new(&Cors {
        allowed_origins: origins.iter().map(ToString::to_string).collect(),
        max_age_seconds: 600,
    })
}

fn head(method: &str, path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

#[test]
fn origins_are_those_that_browsers_write() {
    let cases = [
        ("https://app.example", true),
        ("http://localhost:3000", true),
        ("http://127.0.0.1:8080", true),
        ("http://[::1]:3000", true),
        ("https://*.example.com", true),
        ("https://*.example.com:8443", true),
        ("chrome-extension://abcdefghijklmnop", true),
        ("tauri://localhost", true),
        ("https://app.example/", false),
        ("https://app.example/path", false),
        ("https://App.example", false),
        ("HTTPS://app.example", false),
        ("https://app.example:443", false),
        ("http://app.example:80", false),
        ("http://app.example:", false),
        ("http://app.example:080", false),
        ("http://app.example:99999", false),
        ("https://user@app.example", false),
        ("https://*", false),
        ("https://*.", false),
        ("https://app.*.example", false),
        ("https://*app.example", false),
        ("https://*.*.example", false),
        ("https://.example", false),
        ("*://app.example", false),
        ("app.example", false),
        ("null", false),
        ("", false),
    ];
    for (text, valid) in cases {
        assert_eq!(OriginPattern::parse(text).is_some(), valid, "{text}");
    }
}

#[test]
fn an_origin_is_named_back_or_not_at_all() {
    const EXACT: &[&str] = &["https://app.example", "http://localhost:3000"];
    const LABEL: &[&str] = &["https://*.example.com"];
    const ANY: &[&str] = &["*"];
    /// A name, the rules, the `Origin` headers, and the origin that is named.
    type Case = (
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
        Option<&'static str>,
    );
    let cases: &[Case] = &[
        (
            "the very origin",
            EXACT,
            &["https://app.example"],
            Some("https://app.example"),
        ),
        (
            "the other",
            EXACT,
            &["http://localhost:3000"],
            Some("http://localhost:3000"),
        ),
        ("another scheme", EXACT, &["http://app.example"], None),
        ("another port", EXACT, &["https://app.example:8443"], None),
        ("more behind it", EXACT, &["https://app.example.evil"], None),
        ("less", EXACT, &["https://app.exampl"], None),
        ("in capitals", EXACT, &["https://APP.example"], None),
        ("none", EXACT, &[], None),
        (
            "two",
            EXACT,
            &["https://app.example", "https://app.example"],
            None,
        ),
        ("null", EXACT, &["null"], None),
        ("a star", EXACT, &["*"], None),
        (
            "one label",
            LABEL,
            &["https://a.example.com"],
            Some("https://a.example.com"),
        ),
        ("two labels", LABEL, &["https://a.b.example.com"], None),
        ("no label", LABEL, &["https://example.com"], None),
        ("an empty label", LABEL, &["https://.example.com"], None),
        (
            "another host before it",
            LABEL,
            &["https://evil/a.example.com"],
            None,
        ),
        ("a user before it", LABEL, &["https://a@b.example.com"], None),
        ("every one", ANY, &["https://anything.example"], Some("*")),
        ("every one, without an origin", ANY, &[], None),
        ("a page without an origin", ANY, &["null"], Some("*")),
    ];
    for (name, allowed, origins, expected) in cases {
        let fields: Vec<_> = origins.iter().map(|origin| ("origin", *origin)).collect();
        let mut answer = HeaderMap::new();
        answer.insert(VARY, HeaderValue::from_static("Accept"));
        if let Some(grant) = rules(allowed).grant(head("GET", "/", &fields).headers()) {
            grant.note(&mut answer);
        }
        let named = answer.get(ACCESS_CONTROL_ALLOW_ORIGIN);
        assert_eq!(named.map(|origin| origin.to_str().unwrap()), *expected, "{name}");
        let varies = answer.get_all(VARY).iter().any(|value| value == "Origin");
        assert_eq!(varies, expected.is_some_and(|origin| origin != "*"), "{name}");
        assert!(!answer.contains_key("access-control-allow-credentials"), "{name}");
    }
}

#[test]
fn a_browser_that_asks_is_told_what_a_page_may() {
    const ORIGIN: (&str, &str) = ("origin", "https://app.example");
    const POST: (&str, &str) = ("access-control-request-method", "POST");
    let asks = |names| ("access-control-request-headers", names);
    /// A name, method and path, further headers, and the methods and headers that are allowed.
    type Case<'a> = (
        &'a str,
        (&'a str, &'a str),
        Vec<(&'a str, &'a str)>,
        Option<(&'a str, Option<&'a str>)>,
    );
    let cases: Vec<Case<'_>> = vec![
        (
            "a generation",
            ("OPTIONS", "/api/chat"),
            vec![POST],
            Some(("POST", None)),
        ),
        (
            "another method",
            ("OPTIONS", "/api/delete"),
            vec![POST],
            Some(("DELETE", None)),
        ),
        (
            "credentials",
            ("OPTIONS", "/v1/messages"),
            vec![
                POST,
                asks("authorization,x-api-key,x-ollama-token,anthropic-version,content-type"),
            ],
            Some((
                "POST",
                Some("authorization, x-api-key, x-ollama-token, anthropic-version, content-type"),
            )),
        ),
        (
            "what a library says of itself",
            ("OPTIONS", "/v1/chat/completions"),
            vec![POST, asks("X-Stainless-OS, x-stainless-retry-count")],
            Some(("POST", Some("x-stainless-os, x-stainless-retry-count"))),
        ),
        (
            "what goes nowhere",
            ("OPTIONS", "/api/chat"),
            vec![POST, asks("cookie, x-forwarded-for, content-type, x y")],
            Some(("POST", Some("content-type"))),
        ),
        ("nothing", ("OPTIONS", "/api/chat"), vec![], None),
        (
            "another method than OPTIONS",
            ("POST", "/api/chat"),
            vec![POST],
            None,
        ),
        ("no route", ("OPTIONS", "/api/nothing"), vec![POST], None),
        ("an encoded path", ("OPTIONS", "/api/%63hat"), vec![POST], None),
    ];
    for (name, (method, path), mut fields, expected) in cases {
        fields.push(ORIGIN);
        let head = head(method, path, &fields);
        let grant = rules(&["https://app.example"]).grant(head.headers()).unwrap();
        let answer = grant.preflight(&head.into_parts().0);
        let told = answer.as_ref().map(|answer| {
            assert_eq!(answer.status(), 204, "{name}");
            assert_eq!(answer.headers()[ACCESS_CONTROL_MAX_AGE], "600", "{name}");
            let said = |name| Some(answer.headers().get(name)?.to_str().unwrap());
            (
                said(ACCESS_CONTROL_ALLOW_METHODS).unwrap(),
                said(ACCESS_CONTROL_ALLOW_HEADERS),
            )
        });
        assert_eq!(told, expected, "{name}");
    }
}
