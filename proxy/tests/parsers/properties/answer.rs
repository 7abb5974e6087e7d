//! The tokens of an answer: the same however its bytes are cut, and those that stand in its last document.

use corral_proxy::usage::Meter;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};

/// Routes and media types, in the order of an input's first byte.
pub(crate) const KINDS: [(&str, &str); 8] = [
    ("/api/chat", "application/x-ndjson"),
    ("/api/generate", "application/json"),
    ("/api/embed", "application/json"),
    ("/v1/chat/completions", "text/event-stream"),
    ("/v1/chat/completions", "application/json"),
    ("/v1/responses", "text/event-stream"),
    ("/v1/messages", "text/event-stream"),
    ("/v1/messages", "application/json"),
];

/// What a meter says at the end.
type Read = (u64, u64, bool, Option<String>, u64);

/// The kind, where to cut, and the body.
pub(crate) fn check(data: &[u8]) {
    let (number, rest) = super::variant(data);
    let (seed, body) = super::variant(rest);
    let (route, media_type) = KINDS[number % KINDS.len()];
    let whole = read(route, media_type, [body]);
    assert_eq!(read(route, media_type, body.chunks(1)), whole, "byte by byte");
    let length = seed % 61 + 2;
    assert_eq!(
        read(route, media_type, body.chunks(length)),
        whole,
        "{length} bytes at a time"
    );
    let (one, other) = body.split_at(seed.min(body.len()));
    assert_eq!(
        read(route, media_type, [one, &[], other]),
        whole,
        "with an empty piece"
    );
    let (.., model, _) = whole;
    assert!(
        model.is_none_or(|model| model.len() <= 512),
        "a model's name is kept only if it is short"
    );
}

/// What a meter says of these pieces.
pub(crate) fn read<'body>(
    route: &str,
    media_type: &'static str,
    pieces: impl IntoIterator<Item = &'body [u8]>,
) -> Read {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    let mut meter = Meter::of(route, StatusCode::OK, &headers).expect("a route with numbers");
    for piece in pieces {
        meter.read(piece);
    }
    let usage = meter.usage();
    let model = meter.model().map(str::to_owned);
    (usage.input, usage.output, usage.estimated, model, meter.chunks())
}
