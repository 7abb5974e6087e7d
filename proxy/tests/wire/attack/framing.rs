//! What a head says of where its message ends.

use super::{Case, SMUGGLED, case, check, get_with, post};

/// A whole body in chunks.
const CHUNK: &str = "2\r\n{}\r\n0\r\n\r\n";

/// A request whose length or encoding is refused, with the head that a client may send before the body is read.
fn refused(name: &'static str, headers: &str, body: &str) -> Case {
    case(name, post(headers, body), &[400], 0)
}

/// The encoding counts, the length is dropped, and the connection isn't used again (RFC 9112, section 6.3).
#[test]
fn row_01_a_length_before_an_encoding() {
    let smuggled = format!("0\r\n\r\n{SMUGGLED}");
    let both = |length| {
        post(
            &format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
            &smuggled,
        )
    };
    check([
        case("shorter than the body", both(5), &[200], 1),
        case("as long as all that follows", both(smuggled.len()), &[200], 1),
        case("nothing", both(0), &[200], 1),
        refused(
            "no number",
            "Content-Length: x\r\nTransfer-Encoding: chunked",
            &smuggled,
        ),
    ]);
}

#[test]
fn row_02_a_length_behind_an_encoding() {
    let smuggled = format!("0\r\n\r\n{SMUGGLED}");
    let both = |length| {
        post(
            &format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"),
            &smuggled,
        )
    };
    check([
        case("shorter than the body", both(5), &[200], 1),
        case("as long as all that follows", both(smuggled.len()), &[200], 1),
        case("nothing", both(0), &[200], 1),
    ]);
}

#[test]
fn row_03_two_lengths() {
    let length = SMUGGLED.len() + 2;
    check([
        refused(
            "short and long",
            &format!("Content-Length: 2\r\nContent-Length: {length}"),
            &format!("{{}}{SMUGGLED}"),
        ),
        refused(
            "long and short",
            &format!("Content-Length: {length}\r\nContent-Length: 2"),
            &format!("{{}}{SMUGGLED}"),
        ),
        refused(
            "none and some",
            &format!("Content-Length: 0\r\nContent-Length: {}", SMUGGLED.len()),
            SMUGGLED,
        ),
        refused(
            "apart from each other",
            "Content-Length: 2\r\nAccept: a\r\nContent-Length: 3",
            "{}x",
        ),
        case(
            "the same twice",
            post("Content-Length: 2\r\nContent-Length: 2", "{}"),
            &[200],
            1,
        ),
    ]);
}

#[test]
fn row_04_a_length_with_a_plus() {
    check([
        refused("a plus", "Content-Length: +2", "{}"),
        refused("a plus and a zero", "Content-Length: +0", SMUGGLED),
    ]);
}

#[test]
fn row_05_a_list_of_lengths() {
    check([
        refused("of equal ones", "Content-Length: 2, 2", "{}"),
        refused("without a space", "Content-Length: 2,2", "{}"),
        refused("of different ones", "Content-Length: 2, 3", "{}x"),
        refused("with nothing at its end", "Content-Length: 2,", "{}"),
        refused("with nothing at its start", "Content-Length: ,2", "{}"),
        refused(
            "beside a length",
            "Content-Length: 2\r\nContent-Length: 2, 2",
            "{}",
        ),
    ]);
}

#[test]
fn row_06_a_length_that_is_no_number() {
    let zeros = "0".repeat(30);
    check([
        refused("negative", "Content-Length: -1", "{}"),
        refused("minus nothing", "Content-Length: -0", SMUGGLED),
        refused("hexadecimal", "Content-Length: 0x2", "{}"),
        refused("hexadecimal without a prefix", "Content-Length: a", "{}        "),
        refused("octal", "Content-Length: 0o2", "{}"),
        refused("a fraction", "Content-Length: 2.0", "{}"),
        refused("an exponent", "Content-Length: 2e0", "{}"),
        refused("an underscore", "Content-Length: 1_0", "{}        "),
        refused(
            "one more than there can be",
            "Content-Length: 18446744073709551616",
            "{}",
        ),
        refused(
            "one that comes to two",
            "Content-Length: 18446744073709551618",
            "{}",
        ),
        refused("far too many digits", &format!("Content-Length: 1{zeros}"), "{}"),
        refused("empty", "Content-Length: ", "{}"),
        refused("a space inside", "Content-Length: 1 2", "{}"),
        refused("a tab inside", "Content-Length: 1\t2", "{}"),
        refused("quoted", "Content-Length: \"2\"", "{}"),
        refused("a digit of another script", "Content-Length: \u{662}", "{}"),
        // Decimal to everybody, and forwarded without its zeros.
        case(
            "zeros before it",
            post("Content-Length: 010", "{}        "),
            &[200],
            1,
        ),
    ]);
}

#[test]
fn row_07_several_encodings() {
    let two =
        |first: &str, second: &str| format!("Transfer-Encoding: {first}\r\nTransfer-Encoding: {second}");
    check([
        refused("the same twice", &two("chunked", "chunked"), CHUNK),
        refused("another first", &two("gzip", "chunked"), CHUNK),
        refused("another last", &two("chunked", "gzip"), CHUNK),
        refused("identity last", &two("chunked", "identity"), CHUNK),
        refused("an empty one first", &two("", "chunked"), CHUNK),
        refused(
            "apart from each other",
            "Transfer-Encoding: chunked\r\nAccept: a\r\nTransfer-Encoding: x",
            CHUNK,
        ),
        refused("in one list", "Transfer-Encoding: chunked, chunked", CHUNK),
    ]);
}

#[test]
fn row_08_a_disguised_encoding() {
    check([
        refused("a longer word", "Transfer-Encoding: xchunked", CHUNK),
        refused("a word that goes on", "Transfer-Encoding: chunkedx", CHUNK),
        refused("a list", "Transfer-Encoding: gzip, chunked", CHUNK),
        refused("identity", "Transfer-Encoding: identity", CHUNK),
        refused("nothing", "Transfer-Encoding: ", CHUNK),
        refused("a comma", "Transfer-Encoding: chunked,", CHUNK),
        refused("a comma before", "Transfer-Encoding: ,chunked", CHUNK),
        refused("a vertical tab", "Transfer-Encoding: \x0bchunked", CHUNK),
        refused("a form feed", "Transfer-Encoding: \x0cchunked", CHUNK),
        refused("a NUL", "Transfer-Encoding: chunked\0", CHUNK),
        refused("a parameter", "Transfer-Encoding: chunked;a=b", CHUNK),
        refused("quoted", "Transfer-Encoding: \"chunked\"", CHUNK),
        refused("in quotes of another kind", "Transfer-Encoding: 'chunked'", CHUNK),
        refused("a space in the name", "Transfer-Encoding : chunked", CHUNK),
        refused("a tab in the name", "Transfer-Encoding\t: chunked", CHUNK),
        refused("a byte before the name", "\x0bTransfer-Encoding: chunked", CHUNK),
        refused("a folded line", "Transfer-Encoding:\r\n chunked", CHUNK),
        // Space around a value belongs to nobody (RFC 9110, section 5.5), and encodings have no case.
        case(
            "a tab around it",
            post("Transfer-Encoding:\tchunked\t", CHUNK),
            &[200],
            1,
        ),
        case("capitals", post("TRANSFER-ENCODING: CHUNKED", CHUNK), &[200], 1),
        // Another name, which is not forwarded: the length is the only framing.
        case(
            "an underscore in the name",
            post("Transfer_Encoding: chunked\r\nContent-Length: 12", CHUNK),
            &[400],
            0,
        ),
    ]);
}

#[test]
fn row_09_chunked_is_not_the_last_encoding() {
    check([
        refused("before identity", "Transfer-Encoding: chunked, identity", CHUNK),
        refused("before gzip", "Transfer-Encoding: chunked, gzip", CHUNK),
        refused(
            "before gzip in another line",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
            CHUNK,
        ),
    ]);
}

#[test]
fn row_10_http_1_0() {
    let old = |request: String| request.replacen("HTTP/1.1", "HTTP/1.0", 1);
    check([
        case(
            "an encoding",
            old(post("Transfer-Encoding: chunked", CHUNK)),
            &[400],
            0,
        ),
        case(
            "an encoding on a kept connection",
            old(post(
                "Connection: keep-alive\r\nTransfer-Encoding: chunked",
                CHUNK,
            )),
            &[400],
            0,
        ),
        case(
            "a length and an encoding",
            old(post("Content-Length: 12\r\nTransfer-Encoding: chunked", CHUNK)),
            &[400],
            0,
        ),
        // Without a length there is no body, and what follows on a connection that closes is read by nobody.
        case(
            "a body up to the end",
            old(post("Connection: close", SMUGGLED)),
            &[200],
            1,
        ),
        case(
            "a body after a request that is kept",
            old(post("Connection: keep-alive", SMUGGLED)),
            &[200, 401],
            1,
        ),
    ]);
}

#[test]
fn row_11_an_upgrade_and_another_request() {
    let h2c = "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA";
    check([
        case(
            "an upgrade",
            get_with("Connection: upgrade\r\nUpgrade: websocket") + SMUGGLED,
            &[400],
            0,
        ),
        case(
            "an upgrade that Connection doesn't name",
            get_with("Upgrade: websocket") + SMUGGLED,
            &[400],
            0,
        ),
        case(
            "one of two",
            get_with(&format!("Connection: upgrade\r\n{h2c}\r\nUpgrade: websocket")) + SMUGGLED,
            &[400],
            0,
        ),
        // Ignored, as RFC 9113 has it: what follows is another request, and one of nobody.
        case(
            "h2c",
            get_with(&format!("Connection: upgrade, http2-settings\r\n{h2c}")) + SMUGGLED,
            &[200, 401],
            1,
        ),
        case(
            "Connection alone",
            get_with("Connection: upgrade") + SMUGGLED,
            &[200, 401],
            1,
        ),
    ]);
}
