//! Service account tokens where the API server fails or is flooded. What a real one says of them is tried in the tests of the
//! operator.

mod fake_api_server;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::backend::Backend;
use crate::client::{Answer, Client};
use crate::proxy::{Proxy, SOON, get, within};
use crate::tokens::issuer::{Issuer, claims, now, with};
use fake_api_server::{FakeApiServer, Fault};

const ALICE: &str = "system:serviceaccount:ml:alice";

/// A token as a cluster makes them; its signature is nobody's business here.
fn token(idp: &Issuer, name: &str) -> String {
    let members = json!({
        "iss": "https://kubernetes.default.svc", "aud": ["ollama"], "sub": name, "jti": name, "exp": now() + 3600
    });
    idp.sign(
        &json!({"alg": "ES256", "kid": "a"}),
        &with(&claims(name), &members),
    )
}

/// A proxy that asks the fake one. It has API keys as well.
fn start(backend: &Backend, server: &FakeApiServer, more: &str) -> Proxy {
    let proxy = Proxy::start(backend);
    fs::write(proxy.path("own-token"), "own-token\n").unwrap();
    configure(&proxy, server, more);
    proxy
}

fn configure(proxy: &Proxy, server: &FakeApiServer, more: &str) {
    let (url, own) = (server.url(), proxy.path("own-token").display().to_string());
    let config =
        format!("  kubernetes: {{audiences: [ollama], server: \"{url}\", tokenFile: {own}, {more}}}\n");
    proxy.configure(&config);
    within(SOON, "the API server is in force", || {
        proxy.status()["kubernetes"]["server"] == json!(url)
    });
}

fn bearer(method: &str, path: &str, token: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: ollama\r\nAuthorization: Bearer {token}\r\n\r\n")
}

fn ask(proxy: &Proxy, token: &str) -> Answer {
    proxy.exchange(bearer("GET", "/api/tags", token))
}

#[test]
fn what_cant_be_checked_is_told_apart_from_what_is_wrong() {
    let (idp, backend, server) = (Issuer::new("a"), Backend::start(), FakeApiServer::start());
    let proxy = start(&backend, &server, "");
    let known = token(&idp, "known");
    server.let_pass(&known, ALICE);
    assert_eq!(ask(&proxy, &known).status, 200);
    server.fail(Fault::HangsUp);
    assert_eq!(ask(&proxy, &known).status, 200, "what was said counts on");
    let review = r#"{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":true}"#;
    let cases = [
        (Fault::HangsUp, "no answer from http://127.0.0.1", false),
        (Fault::SaysNothing, "no whole answer from", false),
        (
            Fault::Answers(403, "{}"),
            "forbids the proxy to create TokenReviews",
            true,
        ),
        (
            Fault::Answers(401, "{}"),
            "doesn't accept the proxy's own token",
            false,
        ),
        (Fault::Answers(500, "{}"), "answers 500", false),
        (Fault::Answers(429, "{}"), "answers 429", false),
        (Fault::Answers(302, ""), "answers 302", false),
        (Fault::Answers(200, "<html>"), "is no TokenReview", false),
        (Fault::Answers(201, review), "is no TokenReview", false),
    ];
    for (number, (fault, error, forbidden)) in cases.into_iter().enumerate() {
        server.fail(fault);
        let before = backend.heads().len();
        let answer = ask(&proxy, &token(&idp, &number.to_string()));
        assert_eq!(answer.status, 503, "{fault:?}");
        assert_eq!(answer.header("retry-after"), Some("1"), "{fault:?}");
        assert!(answer.body.contains("can't be checked now"), "{}", answer.body);
        assert_eq!(backend.heads().len(), before, "{fault:?}: something has arrived");
        within(SOON, error, || {
            let status = proxy.status()["kubernetes"].clone();
            let said = status["error"].to_string();
            said.contains(error) && (status["forbidden"] == json!(true)) == forbidden
        });
    }
    server.fail(None);
    assert_eq!(ask(&proxy, &token(&idp, "wrong")).status, 401);
    within(SOON, "it is asked again", || {
        proxy.status()["kubernetes"]["error"].is_null()
    });
    let metrics = proxy.admin("/metrics").body;
    let count = cases.len();
    assert!(
        metrics.contains(&format!("reason=\"unverifiable\"}} {count}\n")),
        "{metrics}"
    );
    // Whether it can be asked the proxy has tried out by itself, before and while it failed.
    let reviews = |outcome: &str| -> Option<usize> {
        let begin = format!("corral_proxy_token_reviews_total{{outcome=\"{outcome}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&begin));
        line.map(|number| number.parse().unwrap())
    };
    assert_eq!(
        (reviews("authenticated"), reviews("refused")),
        (Some(1), Some(1)),
        "{metrics}"
    );
    assert!(
        reviews("failed") >= Some(count) && reviews("tried_out") >= Some(1),
        "{metrics}"
    );
    let said = [
        proxy.output(),
        proxy.status().to_string(),
        metrics,
        backend.heads().concat(),
    ]
    .concat();
    for secret in [&known[..40], "own-token\n", "Bearer own"] {
        assert!(!said.contains(secret), "{secret} has got out");
    }
}

#[test]
fn what_the_proxy_itself_lacks_is_named() {
    let (idp, backend, server) = (Issuer::new("a"), Backend::start(), FakeApiServer::start());
    let proxy = start(&backend, &server, "");
    within(SOON, "its first question is answered", || {
        proxy.status()["kubernetes"]["answeredAt"].is_string()
    });
    let own = |audience: &str| idp.sign(&idp.header(), &with(&claims("own"), &json!({"aud": audience})));
    let cases = [
        ("its own token", None, "own-token: No such file"),
        (
            "a token of its own",
            Some("a\nb".to_owned()),
            "own-token: is no token",
        ),
        (
            "a name of its own",
            Some(own("ollama")),
            "audiences name the API server itself",
        ),
    ];
    for (name, content, error) in cases {
        match content {
            Some(content) => fs::write(proxy.path("own-token"), content).unwrap(),
            None => fs::remove_file(proxy.path("own-token")).unwrap(),
        }
        assert_eq!(ask(&proxy, &token(&idp, name)).status, 503, "{name}");
        within(SOON, error, || {
            let said = proxy.status()["kubernetes"]["error"].to_string();
            said.contains(error)
        });
    }
    let asked = server.asked();
    assert!(asked.iter().all(|asked| asked == "own-token"), "{asked:?}");

    fs::write(proxy.path("own-token"), "own-token").unwrap();
    assert_eq!(
        ask(&proxy, &token(&idp, "wrong")).status,
        401,
        "at once when it is there"
    );
}

#[test]
fn tokens_that_cant_count_cost_no_question() {
    let (idp, backend, server) = (Issuer::new("a"), Backend::start(), FakeApiServer::start());
    let proxy = start(&backend, &server, "");
    let good = json!({"iss": "https://kubernetes.default.svc", "aud": ["ollama"]});
    let made = |members| idp.sign(&idp.header(), &with(&with(&claims("x"), &good), &members));
    let cases = [
        ("for another audience", made(json!({"aud": ["api"]}))),
        ("for none", made(json!({"aud": null}))),
        ("ended", made(json!({"exp": now() - 1}))),
        ("without an end", made(json!({"exp": null}))),
        (
            "of no algorithm",
            idp.sign(&json!({"alg": "none"}), &with(&claims("x"), &good)),
        ),
        ("of something else", "eyJ.e30.".to_owned()),
        ("too long", made(json!({"jti": "x".repeat(8192)}))),
    ];
    for (name, token) in cases {
        assert_eq!(ask(&proxy, &token).status, 401, "{name}");
        assert_eq!(server.asked_about(&token), 0, "{name}");
    }
    assert_eq!(
        proxy.exchange(get("/api/tags")).status,
        200,
        "an API key beside them"
    );
}

#[test]
fn streams_outlast_an_outage_and_end_by_the_next_word() {
    let (idp, backend, server) = (Issuer::new("a"), Backend::generating(), FakeApiServer::start());
    let proxy = start(&backend, &server, "cacheSeconds: 1");
    let alice = token(&idp, "alice");
    server.let_pass(&alice, ALICE);
    let mut stream = proxy.client();
    stream.send(bearer("POST", "/api/generate", &alice));
    assert_eq!(stream.head().unwrap().status, 200);
    let asked = server.asked_about(&alice);
    within(SOON, "the stream's token is asked about again", || {
        server.asked_about(&alice) > asked
    });

    server.fail(Fault::HangsUp);
    within(SOON, "its word counts no longer for requests", || {
        ask(&proxy, &alice).status == 503
    });
    configure(&proxy, &server, "cacheSeconds: 2");
    within(SOON, "another configuration has had no answer yet", || {
        let status = proxy.status()["kubernetes"].clone();
        status["answeredAt"].is_null() && status["error"].is_string()
    });
    assert!(
        stream.chunk().is_some_and(|chunk| !chunk.is_empty()),
        "the stream goes on meanwhile"
    );

    server.let_nobody_pass();
    server.fail(None);
    while let Some(chunk) = stream.chunk() {
        assert!(!chunk.is_empty(), "the stream came to its end");
    }
    within(SOON, "it is nobody's", || ask(&proxy, &alice).status == 401);
    let metrics = proxy.admin("/metrics").body;
    assert!(
        metrics.contains("corral_proxy_requests_cut_total 1\n"),
        "{metrics}"
    );
}

#[test]
fn a_flood_of_made_up_tokens_neither_reaches_the_api_server_nor_keeps_anybody_out() {
    const CALLERS: usize = 24;
    const FLOOD: usize = 120;
    let (idp, backend, server) = (Issuer::new("a"), Backend::start(), FakeApiServer::start());
    let proxy = start(&backend, &server, "cacheSeconds: 1");
    let (alice, bob) = (token(&idp, "alice"), token(&idp, "bob"));
    server.let_pass(&alice, ALICE);
    server.let_pass(&bob, "system:serviceaccount:ml:bob");
    assert_eq!(ask(&proxy, &alice).status, 200);

    let (made_up, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let mut client = proxy.client();
                while !over.load(Ordering::Relaxed) {
                    let number = made_up.fetch_add(1, Ordering::Relaxed);
                    let token = token(&idp, &format!("made up {number}"));
                    let status = client.exchange(bearer("GET", "/api/tags", &token)).status;
                    assert!(matches!(status, 401 | 503), "{status}");
                }
            });
        }
        let asked = |about: &str| server.asked_about(about);
        let before = asked(&alice);
        let mut known = 0;
        while made_up.load(Ordering::Relaxed) < FLOOD || asked(&alice) < before + 2 {
            assert_eq!(ask(&proxy, &alice).status, 200, "who is known is let in");
            known += 1;
            assert!(start.elapsed() < 4 * SOON, "{known} requests, and no flood");
        }
        let new = Client::connect_from("127.0.0.2".parse().unwrap(), proxy.address).exchange(bearer(
            "GET",
            "/api/tags",
            &bob,
        ));
        assert_eq!(new.status, 200, "who comes for the first time is let in");
        over.store(true, Ordering::Relaxed);
    });
    // Eight at once, each for a fifth of a second at least.
    let most = 8 * (1 + start.elapsed().as_millis() as usize / 200);
    let asked = server.asked();
    let flood = asked
        .iter()
        .filter(|&asked| ![&alice, &bob].contains(&asked) && asked != "own-token")
        .count();
    assert!(flood <= most, "{flood} questions, of {most} at most");
}

#[test]
fn a_refused_token_is_remembered_for_a_while() {
    const TIMES: usize = 10;
    let (idp, backend, server) = (Issuer::new("a"), Backend::start(), FakeApiServer::start());
    let proxy = start(&backend, &server, "");
    let (early, start) = (token(&idp, "early"), Instant::now());
    let ask_often = || (0..TIMES).for_each(|_| assert_eq!(ask(&proxy, &early).status, 401));
    thread::scope(|scope| (0..TIMES).for_each(|_| drop(scope.spawn(ask_often))));
    let most = 1 + start.elapsed().as_secs() as usize / 5;
    let asked = server.asked_about(&early);
    assert!(
        (1..=most).contains(&asked),
        "{asked} questions, of {most} at most"
    );
    server.let_pass(&early, ALICE);
    within(SOON, "it is asked about again", || {
        ask(&proxy, &early).status == 200
    });
    let asked = server.asked_about(&early);
    for _ in 0..TIMES {
        assert_eq!(ask(&proxy, &early).status, 200);
    }
    let most = asked + start.elapsed().as_secs() as usize / 45;
    assert!(
        server.asked_about(&early) <= most,
        "what is let pass counts for 45 seconds"
    );
}
