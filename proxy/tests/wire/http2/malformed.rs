//! Requests that would mean something else once they are HTTP/1.1 (row 84). Each is refused, by an answer or by a reset
//! of its stream, nothing of it arrives, and the connection goes on, or the next one.

use super::attack::{ask, head};
use super::frames::{self, Connection, END_HEADERS, END_STREAM, block, frame, status};
use crate::backend::Backend;
use crate::proxy::{Proxy, USER};

const PROTOCOL_ERROR: u32 = 1;

#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Answer(u16),
    /// With PROTOCOL_ERROR, of the stream or of the whole connection (RFC 9113, section 8.1.1).
    Broken,
}

/// A GET with these fields beside the usual ones.
fn with(fields: &[(&str, &str)]) -> Vec<u8> {
    [head("GET", "/api/tags"), block(fields)].concat()
}

/// A GET with these pseudo-header fields.
fn of(fields: &[(&str, &str)]) -> Vec<u8> {
    [block(fields), block(&[("x-api-key", USER)])].concat()
}

/// Whether the next request has its answer.
fn goes_on(connection: &mut Connection) -> bool {
    connection.send(&ask(3, "GET", "/api/tags"));
    let mut heads = std::iter::from_fn(|| connection.next_of(&[frames::HEADERS]));
    heads
        .find(|head| head.stream == 3)
        .is_some_and(|head| status(&head) == 200)
}

#[test]
fn row_84_heads_that_http_1_would_read_otherwise() {
    use Refused::{Answer, Broken};
    const METHOD: (&str, &str) = (":method", "GET");
    const SCHEME: (&str, &str) = (":scheme", "http");
    const AUTHORITY: (&str, &str) = (":authority", "ollama");
    const PATH: (&str, &str) = (":path", "/api/tags");
    let cases: Vec<(&str, Vec<u8>, Refused)> = vec![
        (
            "Transfer-Encoding",
            with(&[("transfer-encoding", "chunked")]),
            Broken,
        ),
        ("Connection", with(&[("connection", "x-api-key")]), Broken),
        ("Keep-Alive", with(&[("keep-alive", "timeout=5")]), Broken),
        ("Proxy-Connection", with(&[("proxy-connection", "close")]), Broken),
        ("Upgrade", with(&[("upgrade", "h2c")]), Broken),
        ("TE", with(&[("te", "chunked")]), Broken),
        ("a name in capitals", with(&[("X-Api-Key", "x")]), Broken),
        ("a space in a name", with(&[("x y", "x")]), Broken),
        ("a colon in a name", with(&[("x:y", "x")]), Broken),
        ("an end of line in a name", with(&[("x\r\ny", "x")]), Broken),
        (
            "an end of line in a value",
            with(&[("accept", "a\r\nx-api-key: b")]),
            Broken,
        ),
        ("a line feed in a value", with(&[("accept", "a\nb")]), Broken),
        ("NUL in a value", with(&[("accept", "a\0b")]), Broken),
        ("no name", with(&[("", "x")]), Broken),
        (
            "an end of line in the path",
            of(&[METHOD, SCHEME, AUTHORITY, (":path", "/api/tags HTTP/1.1\r\nx: y")]),
            Broken,
        ),
        (
            "an end of line in the method",
            of(&[(":method", "GET / HTTP/1.1\r\nx: y"), SCHEME, AUTHORITY, PATH]),
            Broken,
        ),
        (
            "an end of line in the authority",
            of(&[METHOD, SCHEME, (":authority", "a\r\nx: y"), PATH]),
            Broken,
        ),
        (
            "a URL as the scheme",
            of(&[METHOD, (":scheme", "http://evil/?"), AUTHORITY, PATH]),
            Broken,
        ),
        ("no scheme", of(&[METHOD, AUTHORITY, PATH]), Broken),
        ("no path", of(&[METHOD, SCHEME, AUTHORITY]), Broken),
        (
            "an empty path",
            of(&[METHOD, SCHEME, AUTHORITY, (":path", "")]),
            Broken,
        ),
        (
            "two paths",
            of(&[METHOD, SCHEME, AUTHORITY, PATH, (":path", "/api/delete")]),
            Broken,
        ),
        (
            "two authorities",
            of(&[METHOD, SCHEME, AUTHORITY, AUTHORITY, PATH]),
            Broken,
        ),
        (
            "a protocol",
            of(&[
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                SCHEME,
                AUTHORITY,
                PATH,
            ]),
            Broken,
        ),
        (
            "a path that is none",
            of(&[METHOD, SCHEME, AUTHORITY, (":path", "api/tags")]),
            Broken,
        ),
        (
            "a URL as the path",
            of(&[METHOD, SCHEME, AUTHORITY, (":path", "http://evil/api/tags")]),
            Broken,
        ),
        (
            "an asterisk",
            of(&[(":method", "OPTIONS"), SCHEME, AUTHORITY, (":path", "*")]),
            Answer(404),
        ),
        (
            "an encoded path",
            of(&[METHOD, SCHEME, AUTHORITY, (":path", "/api/%74ags")]),
            Answer(404),
        ),
        (
            "CONNECT",
            of(&[(":method", "CONNECT"), (":authority", "evil:443")]),
            Answer(501),
        ),
        ("another Host", with(&[("host", "evil")]), Answer(400)),
        (
            "two Hosts",
            with(&[("host", "ollama"), ("host", "evil")]),
            Answer(400),
        ),
        (
            "a user in the authority",
            of(&[METHOD, SCHEME, (":authority", "u@ollama"), PATH]),
            Answer(400),
        ),
        ("no authority", of(&[METHOD, SCHEME, PATH]), Answer(400)),
        (
            "a length that isn't true",
            with(&[("content-length", "5")]),
            Broken,
        ),
        (
            "two lengths",
            with(&[("content-length", "0"), ("content-length", "5")]),
            Broken,
        ),
        (
            "one length twice",
            with(&[("content-length", "0"), ("content-length", "0")]),
            Answer(400),
        ),
        ("a list of lengths", with(&[("content-length", "0, 0")]), Broken),
        ("a length with a sign", with(&[("content-length", "+0")]), Broken),
    ];
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    for (name, block, expected) in cases {
        let before = backend.lines().len();
        let mut connection = Connection::open(proxy.address);
        connection.send(&frame(frames::HEADERS, END_HEADERS | END_STREAM, 1, &block));
        let answer = connection
            .next_of(&[frames::HEADERS, frames::RST_STREAM, frames::GOAWAY])
            .expect(name);
        let refused = match answer.kind {
            frames::HEADERS => Answer(status(&answer)),
            frames::RST_STREAM | frames::GOAWAY if answer.error_code() == PROTOCOL_ERROR => Broken,
            _ => panic!("{name}: {answer:?}"),
        };
        assert_eq!(refused, expected, "{name}");
        if answer.kind == frames::GOAWAY {
            connection = Connection::open(proxy.address);
        }
        assert!(goes_on(&mut connection), "{name}: the next request");
        assert_eq!(backend.lines().len() - before, 1, "{name}");
    }
    let heads = backend.heads().concat();
    assert!(
        !heads.contains("evil") && !heads.contains("/api/delete"),
        "{heads}"
    );
}

#[test]
fn row_84_bodies_that_contradict_their_head() {
    const TRAILERS: &[(&str, &str)] = &[("x-api-key", "x"), ("content-length", "9"), ("host", "evil")];
    let begin = |fields: &[(&str, &str)]| {
        frame(
            frames::HEADERS,
            END_HEADERS,
            1,
            &[head("POST", "/api/generate"), block(fields)].concat(),
        )
    };
    let data = |flags, bytes: &[u8]| frame(frames::DATA, flags, 1, bytes);
    let long: &[(&str, &str)] = &[("content-length", "5")];
    let cases: Vec<(&str, Vec<u8>, bool)> = vec![
        (
            "shorter than announced",
            [begin(long), data(END_STREAM, b"{}")].concat(),
            false,
        ),
        (
            "longer than announced",
            [begin(long), data(END_STREAM, b"{      }")].concat(),
            false,
        ),
        (
            "as announced",
            [begin(long), data(END_STREAM, b"{   }")].concat(),
            true,
        ),
        (
            "trailers",
            [
                begin(&[]),
                data(0, b"{}"),
                frame(frames::HEADERS, END_HEADERS | END_STREAM, 1, &block(TRAILERS)),
            ]
            .concat(),
            true,
        ),
        (
            "pseudo-header fields as trailers, which end here like all trailers",
            [
                begin(&[]),
                data(0, b"{}"),
                frame(
                    frames::HEADERS,
                    END_HEADERS | END_STREAM,
                    1,
                    &block(&[(":path", "/")]),
                ),
            ]
            .concat(),
            true,
        ),
    ];
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    for (name, sent, accepted) in cases {
        let mut connection = Connection::open(proxy.address);
        connection.send(&sent);
        let answer = connection
            .next_of(&[frames::HEADERS, frames::RST_STREAM])
            .expect(name);
        let is_accepted = answer.kind == frames::HEADERS && status(&answer) == 200;
        assert_eq!(is_accepted, accepted, "{name}: {answer:?}");
        assert!(goes_on(&mut connection), "{name}: the next request");
    }
    let heads = backend.heads().concat();
    assert!(!heads.contains("evil"), "{heads}");
}
