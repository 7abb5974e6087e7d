use super::*;
use crate::jwt::has_shape_of_token;

type Headers<'case> = &'case [(&'case str, &'case [u8])];

/// A signature as the CLI sends it.
const SIGNATURE: &[u8] = b"AAAAC3NzaC1lZDI1NTE5AAAAIAxGSmMrXi+qzIgoLRfNOcaZ8fMnXUvqT4sitE1g1GD3:\
    O7tvfyIgPTPzXXj/uWhgm7dDVwBF117FSCWzMa+5OpB0JcrYSTgEwH2PFQ/Gnh/3UjMM4x/1wbqDGrbvIc3sAQ==";

const TOKEN: &[u8] = b"Bearer eyJ.e30.";
const ACCOUNT_TOKEN: &[u8] = b"Bearer eyJ.account.";

/// What a request shows: a key as it is, a name and password with a bar between, the end of a signature's key.
fn shown(pairs: Headers<'_>) -> Result<String, Unauthenticated> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(
            HeaderName::try_from(*name).unwrap(),
            HeaderValue::from_bytes(value).unwrap(),
        );
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let kind = |shown: &[u8]| match shown {
        b"eyJ.account." => Some(Token::OfServiceAccount),
        shown => has_shape_of_token(shown).then_some(Token::OfIssuer),
    };
    presented(&headers, kind).map(|presented| {
        let password = presented
            .password
            .map(|shown| format!("{}|{}", text(shown.name_bytes()), text(shown.password())));
        let signature = presented
            .signature
            .map(|shown| hex::encode(&shown.public_key[30..]));
        let token = presented.token.map(|token| format!("token {}", text(token)));
        let account = presented
            .account_token
            .map(|token| format!("account {}", text(token)));
        let all = [password, signature, presented.key.map(text), token, account];
        all.into_iter().flatten().collect::<Vec<_>>().join(" ")
    })
}

#[test]
fn one_credential_for_each_means() {
    let cases: &[(&str, Headers<'_>, &str)] = &[
        ("bearer", &[("authorization", b"Bearer sk-1")], "sk-1"),
        ("scheme in any case", &[("authorization", b"bEaReR sk-1")], "sk-1"),
        ("several spaces", &[("authorization", b"Bearer   sk-1")], "sk-1"),
        ("token of Ollama", &[("x-ollama-token", b"sk-1")], "sk-1"),
        ("Anthropic's key", &[("x-api-key", b"sk-1")], "sk-1"),
        (
            "the same key twice",
            &[("x-api-key", b"sk-1"), ("authorization", b"Bearer sk-1")],
            "sk-1",
        ),
        (
            "the same key thrice",
            &[
                ("authorization", b"Bearer sk-1"),
                ("x-api-key", b"sk-1"),
                ("x-ollama-token", b"sk-1"),
            ],
            "sk-1",
        ),
        (
            "basic",
            &[("authorization", b"Basic YWxpY2U6b3BlbnNlc2FtZQ==")],
            "alice|opensesame",
        ),
        (
            "basic in capitals",
            &[("authorization", b"BASIC YWxpY2U6b3BlbnNlc2FtZQ==")],
            "alice|opensesame",
        ),
        (
            "a colon in the password",
            &[("authorization", b"Basic YTpiOmM6")],
            "a|b:c:",
        ),
        ("UTF-8", &[("authorization", b"Basic YTrDqQ==")], "a|é"),
        ("the CLI's signature", &[("authorization", SIGNATURE)], "60f7"),
        ("a token", &[("authorization", TOKEN)], "token eyJ.e30."),
        (
            "the same token twice",
            &[("authorization", TOKEN), ("x-api-key", &TOKEN[7..])],
            "token eyJ.e30.",
        ),
        (
            "a service account's token",
            &[
                ("authorization", ACCOUNT_TOKEN),
                ("x-api-key", &ACCOUNT_TOKEN[7..]),
            ],
            "account eyJ.account.",
        ),
        (
            "a service account's token beside another",
            &[("authorization", ACCOUNT_TOKEN), ("x-api-key", &TOKEN[7..])],
            "token eyJ.e30. account eyJ.account.",
        ),
        (
            "a token beside a key",
            &[("authorization", TOKEN), ("x-api-key", b"sk-1")],
            "sk-1 token eyJ.e30.",
        ),
        (
            "what only begins as a token does",
            &[("authorization", b"Bearer eyJ.e30")],
            "eyJ.e30",
        ),
        ("nothing", &[("accept", b"*/*")], ""),
        (
            "basic beside a key",
            &[("authorization", b"Basic YTpi"), ("x-api-key", b"sk-1")],
            "a|b sk-1",
        ),
        (
            "a signature beside a key",
            &[("authorization", SIGNATURE), ("x-ollama-token", b"sk-1")],
            "60f7 sk-1",
        ),
    ];
    for (name, pairs, expected) in cases {
        assert_eq!(shown(pairs).as_deref(), Ok(*expected), "{name}");
    }
}

#[test]
fn anything_else_is_nobody() {
    use Unauthenticated::{Ambiguous, Malformed};
    let basic = |text: &[u8]| format!("Basic {}", STANDARD.encode(text)).into_bytes();
    let long_name = basic(&[&[b'a'; 254][..], b":b"].concat());
    let long_password = basic(&[&b"a:"[..], &[b'b'; 513]].concat());
    let long_key = [&b"Bearer "[..], &[b'k'; LONGEST_KEY + 1]].concat();
    let (nul, line, empty_name, empty) = (basic(b"a:b\0c"), basic(b"a\n:b"), basic(b":b"), basic(b"a:"));
    let two = "authorization";
    let cases: &[(&str, Headers<'_>, Unauthenticated)] = &[
        (
            "two bearers",
            &[(two, b"Bearer sk-1"), (two, b"Bearer sk-2")],
            Ambiguous,
        ),
        (
            "twice the same",
            &[(two, b"Bearer sk-1"), (two, b"Bearer sk-1")],
            Ambiguous,
        ),
        (
            "good before bad",
            &[(two, b"Bearer sk-1"), (two, b"x")],
            Ambiguous,
        ),
        (
            "bad before good",
            &[(two, b"x"), (two, b"Bearer sk-1")],
            Ambiguous,
        ),
        (
            "basic and bearer",
            &[(two, b"Basic YTpi"), (two, b"Bearer sk-1")],
            Ambiguous,
        ),
        (
            "two x-api-keys",
            &[("x-api-key", b"sk-1"), ("x-api-key", b"sk-1")],
            Ambiguous,
        ),
        (
            "different keys",
            &[(two, b"Bearer sk-1"), ("x-api-key", b"sk-2")],
            Ambiguous,
        ),
        (
            "a longer key",
            &[(two, b"Bearer sk-1"), ("x-api-key", b"sk-11")],
            Ambiguous,
        ),
        (
            "different tokens",
            &[("x-ollama-token", b"sk-1"), ("x-api-key", b"sk-2")],
            Ambiguous,
        ),
        (
            "malformed beside a key",
            &[(two, b"Bearer"), ("x-api-key", b"sk-1")],
            Malformed,
        ),
        (
            "a malformed key beside a good one",
            &[(two, b"Bearer sk-1"), ("x-api-key", b"")],
            Malformed,
        ),
        ("two signatures", &[(two, SIGNATURE), (two, SIGNATURE)], Ambiguous),
        ("half a signature", &[(two, &SIGNATURE[..156])], Malformed),
        ("empty", &[(two, b"")], Malformed),
        ("scheme alone", &[(two, b"Bearer")], Malformed),
        ("scheme and space", &[(two, b"Bearer ")], Malformed),
        ("no scheme", &[(two, b"sk-1")], Malformed),
        ("another scheme", &[(two, b"Digest sk-1")], Malformed),
        ("a longer scheme", &[(two, b"Bearers sk-1")], Malformed),
        ("a space first", &[(two, b" Bearer sk-1")], Malformed),
        ("a tab between", &[(two, b"Bearer\tsk-1")], Malformed),
        ("a tab and a space between", &[(two, b"Bearer \tsk-1")], Malformed),
        ("a space behind", &[(two, b"Bearer sk-1 ")], Malformed),
        ("two tokens", &[(two, b"Bearer sk-1 sk-2")], Malformed),
        (
            "joined by comma and space",
            &[(two, b"Bearer sk-1, Bearer sk-2")],
            Malformed,
        ),
        ("joined by a comma", &[(two, b"Bearer sk-1,sk-2")], Malformed),
        ("joined in x-api-key", &[("x-api-key", b"sk-1, sk-2")], Malformed),
        ("no ASCII", &[("x-api-key", b"sk-\xe9")], Malformed),
        ("an empty token", &[("x-ollama-token", b"")], Malformed),
        ("a key too long", &[(two, &long_key)], Malformed),
        ("bad base64", &[(two, b"Basic !!!!")], Malformed),
        ("base64 without padding", &[(two, b"Basic YTpiYw")], Malformed),
        ("base64 with spare bits", &[(two, b"Basic YTpiYx==")], Malformed),
        (
            "the other base64 alphabet",
            &[(two, b"Basic YTo_Pz8_")],
            Malformed,
        ),
        ("base64 twice", &[(two, b"Basic YTpi YTpi")], Malformed),
        ("no colon", &[(two, b"Basic YWJj")], Malformed),
        ("an empty name", &[(two, &empty_name)], Malformed),
        ("an empty password", &[(two, &empty)], Malformed),
        ("NUL in the password", &[(two, &nul)], Malformed),
        ("a line end in the name", &[(two, &line)], Malformed),
        ("a name too long", &[(two, &long_name)], Malformed),
        ("a password too long", &[(two, &long_password)], Malformed),
    ];
    for (name, pairs, expected) in cases {
        assert_eq!(shown(pairs), Err(*expected), "{name}");
    }
}
