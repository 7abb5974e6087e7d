use super::*;

const SHA512: &str =
    "$6$saltstring$ONPmJclPyCQmTKCzrWYIwMAgUDTMI4tQfj7/.LQSqsEFnjb8VfeyD2WMngK0/cphild4N2muccYMezMt9T0Ex1";
const BCRYPT: &str = "$2y$04$Dyx3//5aVUao30GBuLZ5AeUmpeCgB/PFV0n1L2PU0mUn7WYSTSeyy";
/// Of 72 times the letter a.
const BCRYPT_72: &str = "$2y$04$X49iyxAwd.eeLutHq8y7mOE9w5ub5AD7Q609GbjkHOHLFVbLlr5Si";

/// Hashes of `opensesame`, made by htpasswd and openssl.
#[test]
fn every_accepted_kind_is_verified() {
    let cases: &[(&str, &str)] = &[
        ("bcrypt 2y", BCRYPT),
        ("bcrypt 2a", &BCRYPT.replace("2y", "2a")),
        ("bcrypt 2b", &BCRYPT.replace("2y", "2b")),
        ("apr1", "$apr1$VXnvOigl$Lk98Ny4lw0Rq4vJh6.U230"),
        ("apr1 with a short salt", "$apr1$s$zocglCNqS9KLlroJrB8GD1"),
        ("SHA", "{SHA}F2GPAaOiG5EcklvLUlodIavTBnM="),
        ("SSHA", "{SSHA}gF1KnbkcBUDozRkUWyD6w+xaq6BzYWx0MTIzNA=="),
        (
            "SHA-256 crypt",
            "$5$TsXHdCWdeAZbWZ4H$6/1hqSD7wJ6WSHBdZvByu9.hXXUcg/offTYe.oD0.a.",
        ),
        (
            "SHA-256 crypt, 1500 rounds",
            "$5$rounds=1500$rsgh1jnQxqdRzxV8$BjslcSwNT62Ynx5FFrdXXvuaHiumjK10Ox/08bfjvrA",
        ),
        ("SHA-512 crypt", SHA512),
        (
            "SHA-512 crypt, all of the salt's alphabet",
            "$6$a./Z$rj2uYg9JecVU7M2YHaLXNVF/KEgUyRqbu/JTBaszct7vC.g4n4FoW78Xj59/i79/MEWHkcv7rpKBO10tZpanT.",
        ),
    ];
    for (name, text) in cases {
        let hash = StoredHash::parse(text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert!(hash.verify(b"opensesame"), "{name}: the right password");
        for wrong in ["", "o", "opensesam", "opensesame ", "Opensesame", "opensesame\0"] {
            assert!(!hash.verify(wrong.as_bytes()), "{name}: {wrong:?}");
        }
        assert!(
            !format!("{hash:?}").contains(&text[text.len() - 8..]),
            "{name}: Debug shows the hash"
        );
    }
}

#[test]
fn bcrypt_looks_at_the_whole_password() {
    let hash = StoredHash::parse(BCRYPT_72).unwrap();
    let cases: &[(&str, Vec<u8>, bool)] = &[
        ("72 bytes", vec![b'a'; 72], true),
        ("71 bytes", vec![b'a'; 71], false),
        ("the same 72 bytes and one more", vec![b'a'; 73], false),
        ("the same 72 bytes and many more", vec![b'a'; 300], false),
        (
            "NUL in place of the end",
            [vec![b'a'; 71], vec![0]].concat(),
            false,
        ),
    ];
    for (name, password, expected) in cases {
        assert_eq!(hash.verify(password), *expected, "{name}");
    }
}

#[test]
fn what_is_not_accepted_is_refused_with_its_reason() {
    let damaged = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from} isn't in {text}");
        text.replacen(from, to, 1)
    };
    let cases: &[(&str, String, &str)] = &[
        (
            "plain by scheme",
            "{PLAIN}opensesame".into(),
            "{PLAIN} is not accepted",
        ),
        ("plain", "opensesame".into(), "unknown kind of hash"),
        ("DES crypt", "dLgeJqxDYJr4Y".into(), "DES crypt is not accepted"),
        (
            "MD5 crypt",
            "$1$abc$0123456789012345678901".into(),
            "MD5 crypt ($1$) is not accepted",
        ),
        ("bcrypt 2x", BCRYPT.replace("2y", "2x"), "$2x$ is not accepted"),
        ("bcrypt 2", BCRYPT.replace("2y", "2"), "unknown kind"),
        (
            "argon2",
            "$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$aGFzaA".into(),
            "unknown kind",
        ),
        (
            "bcrypt cost 31",
            damaged(BCRYPT, "$04$", "$31$"),
            "cost is 4 to 17",
        ),
        (
            "bcrypt cost 18",
            damaged(BCRYPT, "$04$", "$18$"),
            "cost is 4 to 17",
        ),
        (
            "bcrypt cost 3",
            damaged(BCRYPT, "$04$", "$03$"),
            "cost is 4 to 17",
        ),
        ("bcrypt cost +4", damaged(BCRYPT, "$04$", "$+4$"), "bcrypt hash"),
        (
            "bcrypt without cost",
            damaged(BCRYPT, "04", "xx"),
            "damaged bcrypt hash",
        ),
        ("bcrypt cut short", BCRYPT[..59].into(), "damaged bcrypt hash"),
        ("bcrypt too long", format!("{BCRYPT}y"), "damaged bcrypt hash"),
        (
            "bcrypt with a foreign letter",
            damaged(BCRYPT, "Dyx3", "Dyx!"),
            "damaged bcrypt hash",
        ),
        (
            "bcrypt of two-byte letters",
            format!("$2y$04${}", "é".repeat(27)),
            "damaged bcrypt hash",
        ),
        (
            "apr1 without salt",
            "$apr1$$zocglCNqS9KLlroJrB8GD1".into(),
            "damaged apr1 hash",
        ),
        (
            "apr1 with a long salt",
            "$apr1$123456789$zocglCNqS9KLlroJrB8GD1".into(),
            "damaged apr1 hash",
        ),
        (
            "apr1 cut short",
            "$apr1$s$zocglCNqS9KLlroJrB8GD".into(),
            "damaged apr1 hash",
        ),
        ("apr1 without hash", "$apr1$s".into(), "damaged apr1 hash"),
        (
            "apr1 with a foreign letter",
            "$apr1$s$zocglCNqS9KLlroJrB8GD+".into(),
            "damaged apr1 hash",
        ),
        (
            "SHA cut short",
            "{SHA}F2GPAaOiG5EcklvLUlodIavTBg==".into(),
            "damaged {SHA} hash",
        ),
        (
            "SHA, no base64",
            "{SHA}F2GPAaOiG5EcklvLUlodIavTBnM".into(),
            "damaged {SHA} hash",
        ),
        (
            "SSHA without salt",
            "{SSHA}F2GPAaOiG5EcklvLUlodIavTBnM=".into(),
            "damaged {SSHA} hash",
        ),
        (
            "SHA in small letters",
            "{sha}F2GPAaOiG5EcklvLUlodIavTBnM=".into(),
            "unknown kind",
        ),
        (
            "SHA-512 crypt cut short",
            SHA512[..SHA512.len() - 1].into(),
            "damaged SHA-crypt hash",
        ),
        (
            "SHA-512 crypt called 256",
            damaged(SHA512, "$6$", "$5$"),
            "damaged SHA-crypt hash",
        ),
        (
            "SHA-512 crypt without salt",
            damaged(SHA512, "saltstring", ""),
            "damaged SHA-crypt hash",
        ),
        (
            "SHA-512 crypt, salt too long",
            damaged(SHA512, "saltstring", "saltstringsaltstr"),
            "damaged SHA-crypt",
        ),
        (
            "SHA-512 crypt, 999 rounds",
            damaged(SHA512, "$6$", "$6$rounds=999$"),
            "rounds are 1000 to 1000000",
        ),
        (
            "SHA-512 crypt, too many rounds",
            damaged(SHA512, "$6$", "$6$rounds=1000001$"),
            "rounds are",
        ),
        (
            "SHA-512 crypt, overflowing rounds",
            damaged(SHA512, "$6$", "$6$rounds=4294968296$"),
            "rounds are",
        ),
        (
            "SHA-512 crypt, rounds with a zero",
            damaged(SHA512, "$6$", "$6$rounds=05000$"),
            "rounds are",
        ),
        (
            "SHA-512 crypt, no rounds",
            damaged(SHA512, "$6$", "$6$rounds=$"),
            "rounds are",
        ),
    ];
    for (name, text, expected) in cases {
        let problem = StoredHash::parse(text).expect_err(name).to_string();
        assert!(problem.contains(expected), "{name}: {problem}");
        assert!(
            !problem.contains(&text[text.len() - 6..]),
            "{name}: the message shows the content: {problem}"
        );
    }
}
