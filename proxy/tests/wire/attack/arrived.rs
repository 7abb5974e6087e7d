//! What arrives, read as strictly as HTTP/1.1 can be read: anything that two readers could understand differently is an
//! error, and so is a credential.

/// The body of a request as it stands on a connection.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    pub(super) body: Vec<u8>,
    /// Whether the body has come to its end.
    pub(super) whole: bool,
}

/// Headers that stay with the proxy, whoever sends them.
const NEVER: [&str; 10] = [
    "authorization",
    "x-api-key",
    "x-ollama-token",
    "proxy-authorization",
    "cookie",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "expect",
];

/// The requests of a connection, but for the proxy's own questions, which tell of no client.
pub(super) fn requests(bytes: &[u8]) -> Result<Vec<Arrived>, String> {
    let (mut rest, mut requests) = (bytes, Vec::new());
    while !rest.is_empty() {
        let Some((head, after)) = split(rest, b"\r\n\r\n") else {
            return Err(format!("half a head: {:?}", text(rest)));
        };
        let headers = read_head(head)?;
        let ((body, whole), after) = read_body(&headers, after)?;
        rest = after;
        let is_forwarded = headers.iter().any(|(name, _)| name == "x-forwarded-for");
        if is_forwarded {
            requests.push(Arrived { body, whole });
        }
    }
    Ok(requests)
}

type Headers = Vec<(String, String)>;

fn read_head(head: &[u8]) -> Result<Headers, String> {
    let head = std::str::from_utf8(head).map_err(|_| format!("not UTF-8: {:?}", text(head)))?;
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let words: Vec<_> = line.split(' ').collect();
    let well_formed = matches!(words[..], [method, path, "HTTP/1.1"]
        if method.bytes().all(|byte| byte.is_ascii_uppercase())
            && path.starts_with('/')
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\'));
    if !well_formed {
        return Err(format!("the request line {line:?}"));
    }
    let headers = lines.map(read_header).collect::<Result<Headers, _>>()?;
    check_once(&headers)?;
    Ok(headers)
}

fn read_header(line: &str) -> Result<(String, String), String> {
    let fault = || format!("the header {line:?}");
    let (name, value) = line.split_once(": ").ok_or_else(fault)?;
    let token = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let plain = !value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t');
    if token && plain && value.trim_ascii() == value && !NEVER.contains(&name) {
        Ok((name.to_owned(), value.to_owned()))
    } else {
        Err(fault())
    }
}

/// One Host, and one way at most to tell where the body ends (RFC 9112, section 6.3).
fn check_once(headers: &Headers) -> Result<(), String> {
    let count = |wanted: &str| headers.iter().filter(|(name, _)| name == wanted).count();
    if count("host") == 1 && count("content-length") + count("transfer-encoding") <= 1 {
        Ok(())
    } else {
        Err(format!("ambiguous: {headers:?}"))
    }
}

type Body = (Vec<u8>, bool);

fn read_body<'bytes>(headers: &Headers, rest: &'bytes [u8]) -> Result<(Body, &'bytes [u8]), String> {
    for (name, value) in headers {
        match name.as_str() {
            "content-length" => {
                let length: usize = value.parse().map_err(|_| format!("the length {value:?}"))?;
                if length.to_string() != *value {
                    return Err(format!("the length {value:?}"));
                }
                let (body, after) = rest.split_at(length.min(rest.len()));
                return Ok(((body.to_vec(), body.len() == length), after));
            }
            "transfer-encoding" if value == "chunked" => return read_chunks(rest),
            "transfer-encoding" => return Err(format!("the encoding {value:?}")),
            _ => {}
        }
    }
    Ok(((Vec::new(), true), rest))
}

/// Without extensions, trailers or zeros before a size.
fn read_chunks(bytes: &[u8]) -> Result<(Body, &[u8]), String> {
    let (mut rest, mut body) = (bytes, Vec::new());
    while let Some((size, after)) = split(rest, b"\r\n") {
        let digits = text(size);
        let size = usize::from_str_radix(&digits, 16).map_err(|_| format!("the chunk size {digits:?}"))?;
        if !format!("{size:x}").eq_ignore_ascii_case(&digits) {
            return Err(format!("the chunk size {digits:?}"));
        }
        let Some((data, after)) = after.split_at_checked(size + 2) else {
            body.extend_from_slice(after);
            return Ok(((body, false), &[]));
        };
        if !data.ends_with(b"\r\n") {
            return Err(format!("the chunk {:?}", text(data)));
        }
        rest = after;
        if size == 0 {
            return Ok(((body, true), rest));
        }
        body.extend_from_slice(&data[..size]);
    }
    Ok(((body, false), &[]))
}

fn split<'bytes>(bytes: &'bytes [u8], end: &[u8]) -> Option<(&'bytes [u8], &'bytes [u8])> {
    let at = bytes.windows(end.len()).position(|window| window == end)?;
    Some((&bytes[..at], &bytes[at + end.len()..]))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
#[rustfmt::skip] // one case a line
fn what_is_ambiguous_is_an_error() {
    const FORWARDED: &str = "host: a\r\nx-forwarded-for: b\r\n";
    let post = |headers: &str, body: &str| format!("POST /api/chat HTTP/1.1\r\n{FORWARDED}{headers}\r\n{body}");
    let cases = [
        ("no body", post("", ""), Some(1)),
        ("a length", post("content-length: 2\r\n", "{}"), Some(1)),
        ("half a body", post("content-length: 9\r\n", "{}"), Some(1)),
        ("chunks", post("transfer-encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"), Some(1)),
        ("two requests", post("content-length: 2\r\n", "{}") + &post("", ""), Some(2)),
        ("the proxy's own", "GET /api/version HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), Some(0)),
        ("half a head", "POST /api/chat HTTP/1.1\r\n".to_owned(), None),
        ("a body that is longer", post("content-length: 1\r\n", "{}"), None),
        ("both", post("content-length: 2\r\ntransfer-encoding: chunked\r\n", "{}"), None),
        ("zeros before a length", post("content-length: 02\r\n", "{}"), None),
        ("a plus", post("content-length: +2\r\n", "{}"), None),
        ("another encoding", post("transfer-encoding: xchunked\r\n", "0\r\n\r\n"), None),
        ("an extension", post("transfer-encoding: chunked\r\n", "2;a\r\n{}\r\n0\r\n\r\n"), None),
        ("a trailer", post("transfer-encoding: chunked\r\n", "0\r\na: b\r\n\r\n"), None),
        ("two hosts", post("host: b\r\n", ""), None),
        ("a credential", post("x-api-key: a\r\n", ""), None),
        ("a bare line feed", post("a: b\nc: d\r\n", ""), None),
        ("a folded line", post("a: b\r\n c\r\n", ""), None),
        ("a space before the colon", post("a : b\r\n", ""), None),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(requests(bytes.as_bytes()).ok().map(|requests| requests.len()), expected, "{name}");
    }
}
