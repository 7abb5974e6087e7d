//! Inputs by chance: most of them made of parts that belong together, so that much is accepted, the others of words in any
//! order.

mod words;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::sample::select;

use crate::properties::credential::KEY;
use words::{
    OF_ANSWERS, OF_BODIES, OF_CHUNKS, OF_CONFIGURATIONS, OF_FILES, OF_KEYS, OF_NAMES, OF_TARGETS, OF_TOKENS,
};

/// An input that begins with the number of its variant.
pub(crate) fn numbered(most: usize, rest: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (0..most, rest).prop_map(|(number, rest)| {
        let number = u8::try_from(number).unwrap();
        [&[number][..], &rest].concat()
    })
}

/// Words in a row, a few times broken by any bytes.
fn words(words: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        20 => select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(word, 0..most).prop_map(|words| words.concat())
}

/// A value of a credential's header.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let password = STANDARD.encode("alice:opensesame");
    let parts: Vec<String> = [
        KEY, "Bearer ", "bearer  ", "Basic ", "BASIC ", " ", "\t", ",", "", "Digest ", &password, "x", "=",
        "alice",
    ]
    .map(str::to_owned)
    .to_vec();
    let part = prop_oneof![
        12 => select(parts).prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..3),
    ];
    prop::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
}

/// Headers, each by the number of its name.
pub(crate) fn headers() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(numbered(4, value()), 0..4).prop_map(|lines| lines.join(&b'\n'))
}

/// `KEY:VALUE`, as JSON has it.
fn members(keys: &'static [&'static str], values: &'static [&'static str]) -> impl Strategy<Value = String> {
    let member = (select(keys), select(values)).prop_map(|(key, value)| format!("{key}{value}"));
    prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(",")))
}

/// Requests for paths that there are or nearly are, with the headers that matter.
pub(crate) fn targets() -> impl Strategy<Value = Vec<u8>> {
    let routes = &corral_proxy::routes::ROUTES;
    let path = (0..routes.len()).prop_map(move |route| {
        let route = &routes[route];
        let method = route.methods.split(", ").next().unwrap_or_default();
        let path = route
            .pattern
            .replace(":model", "gemma3:270m")
            .replace(":key", "AAAA-_=");
        format!(
            "{method} {}",
            path.replace(":digest", &format!("sha256:{}", "0a".repeat(32)))
        )
    });
    let behind = select(
        &[
            "", "", "", "?", "?ts=1", "?a=%00&b", "#a", "?a\\", "/", ";a", "%00", "?a=\"b\"",
        ][..],
    );
    let headers = select(
        &[
            "\nhost: a",
            "\nhost: a",
            "\nhost: a",
            "",
            "\nhost: a\nhost: b",
            "\nhost: u@a",
        ][..],
    );
    let framing = select(
        &[
            "",
            "",
            "\ncontent-length: 1",
            "\ntransfer-encoding: chunked",
            "\ntransfer-encoding: x",
            "\nupgrade: h2c",
        ][..],
    );
    let near = (path, behind, headers, framing)
        .prop_map(|(path, behind, host, framing)| format!("{path}{behind}{host}{framing}").into_bytes());
    prop_oneof![2 => near, 1 => words(OF_TARGETS, 12)]
}

/// Names of models.
pub(crate) fn names() -> impl Strategy<Value = Vec<u8>> {
    words(OF_NAMES, 8)
}

/// Responses of HTTP/1, most of them framed in one way.
pub(crate) fn responses() -> impl Strategy<Value = Vec<u8>> {
    const LINES: &[&str] = &[
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 OK",
        "HTTP/1.1 404 Not Found",
        "HTTP/1.0 200 OK",
        "HTTP/1.1 204 No Content",
        "HTTP/1.1 304",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
        "HTTP/2 200 OK",
        "HTTP/1.1 101 Switching Protocols",
    ];
    const FRAMINGS: &[&str] = &[
        "Content-Length: 3",
        "Content-Length: 3",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: Chunked",
        "X: y",
        "Content-Length: 3\r\nContent-Length: 3",
        "Content-Length: 0",
        "Content-Length: 3, 3",
        "Content-Length: +3",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Transfer-Encoding : chunked",
    ];
    const FIELDS: &[&str] = &[
        "",
        "Connection: close\r\n",
        "X: \u{e9}\r\n",
        "X:\r\n",
        "X: a\r\n b\r\n",
        "X: a\rb\r\n",
    ];
    let head = (select(LINES), select(FRAMINGS), select(FIELDS))
        .prop_map(|(line, framing, field)| format!("{line}\r\n{framing}\r\n{field}\r\n").into_bytes());
    let near = (head, words(OF_CHUNKS, 10)).prop_map(|(head, body)| [head, body].concat());
    numbered(3, near)
}

/// Files of lines that are good, with a few that aren't.
pub(crate) fn credential_files() -> impl Strategy<Value = Vec<u8>> {
    const LINES: &[&str] = &[
        "alice:{SHA}F2GPAaOiG5EcklvLUlodIavTBnM=",
        "bob:$2y$04$Dyx3//5aVUao30GBuLZ5AeUmpeCgB/PFV0n1L2PU0mUn7WYSTSeyy",
        "carol:$apr1$VXnvOigl$Lk98Ny4lw0Rq4vJh6.U230:comment",
        "# comment",
        "",
        "  ",
        "desk:sk-0123456789",
        "sk-unnamed-1",
        "lab : sha256:ccaebe50b8f1a22c3de58569ef2a814c286f65c0514f238e176598f0640e12bb",
        "key-2:sk-another-0",
        "none",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAxGSmMrXi+qzIgoLRfNOcaZ8fMnXUvqT4sitE1g1GD3 laptop",
    ];
    let near = prop::collection::vec(select(LINES), 0..4).prop_map(|lines| lines.join("\n").into_bytes());
    numbered(3, prop_oneof![2 => near, 1 => words(OF_FILES, 24)])
}

/// Headers and claims of tokens: all of a good one or nearly, and more of what could stand there.
pub(crate) fn tokens() -> impl Strategy<Value = Vec<u8>> {
    const HEADERS: &[&str] = &[
        "{\"alg\":\"HS256\"}",
        "{\"typ\":\"at+jwt\",\"alg\":\"HS256\",\"kid\":\"a\"}",
        "{\"alg\":\"none\"}",
        "{\"alg\":\"HS512\"}",
        "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"HS256\",\"alg\":\"none\"}",
    ];
    const GOOD: [&str; 4] = [
        "\"iss\":\"https://idp.example\"",
        "\"aud\":[\"ollama\",\"b\"]",
        "\"sub\":\"bob\"",
        "\"exp\":4102444800.5",
    ];
    let good = prop_oneof![
        4 => Just(GOOD.to_vec()),
        1 => prop::sample::subsequence(GOOD.to_vec(), 0..=GOOD.len()),
    ];
    let claims = (good, prop::collection::vec(select(OF_TOKENS), 0..3))
        .prop_map(|(good, more)| [good, more].concat())
        .prop_shuffle();
    (select(HEADERS), claims)
        .prop_map(|(header, claims)| format!("{header}\n{{{}}}", claims.join(",")).into_bytes())
}

/// Sets of keys and keys in PEM, most of them whole.
pub(crate) fn token_keys() -> impl Strategy<Value = Vec<u8>> {
    const JWKS: &[&str] = &[
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\",\
         \"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\",\"kid\":\"a\\nb\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\",\
         \"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\",\"kid\":\"a\\nb\"}",
        "{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}",
        "{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":1}",
        "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\",\"use\":\"enc\"}",
        "{\"a\\nb\":1,\"a\\nb\":2}",
    ];
    const BLOCKS: &[&str] = &[
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nMCow\n-----END PRIVATE KEY-----\n",
        "comment\n",
        "\n",
    ];
    let sets = prop::collection::vec(select(JWKS), 0..4);
    prop_oneof![
        3 => sets.prop_map(|keys| format!("{{\"keys\":[{}]}}", keys.join(",\n")).into_bytes()),
        1 => prop::collection::vec(select(BLOCKS), 0..4).prop_map(|blocks| blocks.concat().into_bytes()),
        1 => words(OF_KEYS, 12),
    ]
}

/// JSON of the fields that are looked at.
pub(crate) fn bodies() -> impl Strategy<Value = Vec<u8>> {
    const KEYS: &[&str] = &[
        "\"model\":",
        "\"model\" : ",
        "\"name\":",
        "\"MODEL\":",
        "\"\\u006dodel\":",
        "\"from\":",
        "\"source\":",
        "\"destination\":",
        "\"keep_alive\":",
        "\"prompt\":",
        "\"messages\":",
        "\"input\":",
        "\"stream\":",
    ];
    const VALUES: &[&str] = &[
        "\"a\"",
        "\"B:1\"",
        "\"\"",
        "0",
        "-1",
        "\"0s\"",
        "\"5m\"",
        "null",
        "true",
        "[]",
        "[ ]",
        "{\"model\":1}",
        "\"\\u0061\"",
        "\"a/b/c/d\"",
    ];
    let near = members(KEYS, VALUES).prop_map(String::into_bytes);
    numbered(7, prop_oneof![3 => near, 1 => words(OF_BODIES, 16)])
}

/// JSON of the fields that have ceilings.
pub(crate) fn ceilings() -> impl Strategy<Value = Vec<u8>> {
    const KEYS: &[&str] = &[
        "\"options\":",
        "\"options\" : ",
        "\"keep_alive\":",
        "\"keep\\u005falive\": ",
        "\"max_tokens\":",
        "\"max_completion_tokens\":",
        "\"max_output_tokens\":",
        "\"num_predict\":",
        "\"stream\":",
    ];
    const VALUES: &[&str] = &[
        "256",
        "257 ",
        "0",
        "-1",
        "0.5",
        "1e2",
        "1e300",
        "18446744073709551616",
        "null",
        "true",
        "[{\"max_tokens\":1}]",
        "\"10m\"",
        "\"10m0.1s\"",
        "\"\\u0031h\"",
        "\"-1ns\"",
        "\"5\"",
        "600",
        "600.5",
        "{}",
        "{ \"num_predict\" : 257, \"num_ctx\":4097}",
        "{\"num_ctx\":1e9,\"seed\":1.50e+1}",
        "{\"num_ctx\":4096,\"num_predict\":null}",
        "{\"num_predict\":-2,\"a\":\"}\"}",
        "{\"NUM_CTX\":1}",
        "{\"num_ctx\":1,\"num_ctx\":2}",
    ];
    let near = members(KEYS, VALUES).prop_map(String::into_bytes);
    numbered(4, prop_oneof![3 => near, 1 => words(OF_BODIES, 16)])
}

/// Streams of documents, with where to cut them.
pub(crate) fn answers() -> impl Strategy<Value = Vec<u8>> {
    const KEYS: &[&str] = &[
        "\"model\":",
        "\"done\":",
        "\"prompt_eval_count\":",
        "\"eval_count\":",
        "\"usage\":",
        "\"choices\":",
        "\"type\":",
        "\"message\":",
        "\"response\":",
    ];
    const VALUES: &[&str] = &[
        "\"gemma3\"",
        "true",
        "false",
        "12",
        "3",
        "1.5",
        "null",
        "{\"prompt_tokens\":5,\"completion_tokens\":2}",
        "{\"input_tokens\":7,\"output_tokens\":1}",
        "[{\"finish_reason\":null}]",
        "\"message_start\"",
        "\"a\\\"}{\"",
        "{\"usage\":{\"input_tokens\":9}}",
    ];
    let line = (
        select(&["", "data: ", "data:", "event: x\ndata: "][..]),
        members(KEYS, VALUES),
    );
    let line = line.prop_map(|(before, document)| format!("{before}{document}\n"));
    let near = prop::collection::vec(line, 0..6).prop_map(|lines| lines.concat().into_bytes());
    numbered(
        8,
        numbered(256, prop_oneof![3 => near, 1 => words(OF_ANSWERS, 40)]),
    )
}

/// The lines of a configuration, each good by itself.
pub(crate) const OF_CONFIGURATION: [&str; 12] = [
    "listen: 127.0.0.1:1",
    "upstream: http://a:1",
    "threads: 2",
    "credentials: {apiKeys: {path: a}, basic: {path: b, key: c}}",
    "access: [{clients: [a, \"b-*\"], allow: [Read], models: [\"*\", \"gemma3:*\"], notAfter: 2026-01-02T03:04:05Z}]",
    "limits: {body: {inference: 1, manage: 2, read: 3}, timeouts: {headSeconds: 1, bodyIdleSeconds: 2, connectSeconds: 3}}",
    "network: {allowedCIDRs: [10.0.0.0/8], trustedProxies: [\"::1/128\"]}",
    "models: [{name: gemma3, keepLoaded: true}]",
    "log: {format: json, audit: true}",
    "shutdown: {drainSeconds: 1}",
    "tls: {certFile: a, keyFile: b}",
    "adminListen: 127.0.0.1:2",
];

/// Configurations that are good, and some in which something is missing or wrong.
pub(crate) fn configurations() -> impl Strategy<Value = Vec<u8>> {
    let lines = prop::sample::subsequence(OF_CONFIGURATION.to_vec(), 0..=OF_CONFIGURATION.len());
    let near = lines
        .prop_shuffle()
        .prop_map(|lines| lines.join("\n").into_bytes());
    let broken = (
        near.clone(),
        any::<prop::sample::Index>(),
        words(OF_CONFIGURATIONS, 2),
    )
        .prop_map(|(mut file, at, word)| {
            let at = at.index(file.len() + 1);
            file.splice(at..at, word);
            file
        });
    prop_oneof![2 => near, 2 => broken, 1 => words(OF_CONFIGURATIONS, 20)]
}
