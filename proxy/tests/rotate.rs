//! Credentials change under the running proxy: by each way of editing, with faults, and with streams under way.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use support::{Files, Ollama, Proxy, SOON, Stream, within};

const OLD: &str = "sk-old-key-01";
const NEW: &str = "sk-new-key-02";

/// Lays out a Secret with one client, `alice`, as the kubelet does, in place of the one that is there.
fn mount(files: &Files, version: &str, key: &str) {
    let directory = files.path("mount");
    let data = format!("..{version}");
    fs::create_dir_all(directory.join(&data)).unwrap();
    fs::write(directory.join(&data).join("alice"), key).unwrap();
    let before = fs::read_link(directory.join("..data"));
    symlink(&data, directory.join("..data_tmp")).unwrap();
    fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
    match before {
        Ok(before) => fs::remove_dir_all(directory.join(before)).unwrap(),
        Err(_) => symlink("..data/alice", directory.join("alice")).unwrap(),
    }
}

/// Turns the credentials of [`OLD`] into those of [`NEW`].
type Edit = fn(&Files);

#[test]
fn s3_each_way_of_editing_is_in_force_without_a_restart() {
    let cases: &[(&str, &str, Edit)] = &[
        ("written in place", "keys", |files| {
            files.write("keys", &format!("alice:{NEW}\n"));
        }),
        ("renamed over", "keys", |files| {
            files.write("keys.new", &format!("alice:{NEW}\n"));
            fs::rename(files.path("keys.new"), files.path("keys")).unwrap();
        }),
        ("removed and made anew", "keys", |files| {
            fs::remove_file(files.path("keys")).unwrap();
            files.write("keys", &format!("alice:{NEW}\n"));
        }),
        ("a mounted Secret swapped", "mount", |files| {
            mount(files, "2", NEW);
        }),
    ];
    for (name, source, edit) in cases {
        let (files, ollama) = (Files::new(), Ollama::start());
        files.write("keys", &format!("alice:{OLD}\n"));
        mount(&files, "1", OLD);
        let mut proxy = Proxy::start(&ollama, &["--api-keys", &files.argument(source)]);
        assert_eq!(
            [proxy.code_of_key(OLD), proxy.code_of_key(NEW)],
            [200, 401],
            "{name}: before"
        );
        edit(&files);
        let took = within(SOON, name, || proxy.code_of_key(NEW) == 200);
        assert_eq!(proxy.code_of_key(OLD), 401, "{name}: the old key");
        assert!(proxy.runs(), "{name}: no restart");
        println!("{name}: in force after {took:?}");
    }
}

#[test]
fn s3_a_mounted_secret_is_swapped_again_and_again() {
    let (files, ollama) = (Files::new(), Ollama::start());
    mount(&files, "0", OLD);
    let proxy = Proxy::start(&ollama, &["--api-keys", &files.argument("mount")]);
    for version in 1..=10 {
        let key = format!("sk-rotated-{version}");
        mount(&files, &version.to_string(), &key);
        within(SOON, &key, || proxy.code_of_key(&key) == 200);
    }
}

#[test]
fn s3_a_faulty_file_lets_nobody_in_until_it_is_mended() {
    let good = format!("alice:{OLD}\nbob:sk-bob-00001\n");
    let cases: &[(&str, Option<String>, &str)] = &[
        (
            "a malformed line at the end",
            Some(format!("{good}carol:\n")),
            "line 3: no key",
        ),
        (
            "a key of two clients",
            Some(format!("{good}carol:{OLD}\n")),
            "line 3: the same key as that of client `alice`",
        ),
        ("empty", Some(String::new()), "holds no credential"),
        ("comments only", Some("# none\n".into()), "holds no credential"),
        ("removed", None, "No such file"),
    ];
    let (files, ollama) = (Files::new(), Ollama::start());
    let mut proxy = Proxy::start(&ollama, &["--api-keys", &files.write("keys", &good)]);
    for (name, content, expected) in cases {
        match content {
            Some(content) => drop(files.write("keys", content)),
            None => fs::remove_file(files.path("keys")).unwrap(),
        }
        within(SOON, name, || proxy.code_of_key(OLD) == 401);
        assert_eq!(
            proxy.code_of_key("sk-bob-00001"),
            401,
            "{name}: the lines before the fault don't count either"
        );
        let reached = ollama.requests().len();
        let source = &proxy.status()["credentials"][0];
        assert_eq!(source["clients"], 0, "{name}");
        let message = source["error"].as_str().unwrap_or_default();
        assert!(
            message.contains(expected) && !message.contains(OLD),
            "{name}: {message}"
        );

        files.write("keys", &good);
        within(SOON, "the mended file", || proxy.code_of_key(OLD) == 200);
        assert_eq!(
            proxy.status()["credentials"][0]["error"],
            serde_json::Value::Null,
            "{name}: mended"
        );
        assert!(ollama.requests().len() > reached && proxy.runs(), "{name}");
    }
    assert!(!proxy.output().contains("sk-"), "a key in {}", proxy.output());
}

#[test]
fn s3_a_revoked_clients_stream_is_cut_and_anothers_goes_on() {
    let (files, ollama) = (Files::new(), Ollama::start());
    let keys = files.write("keys", &format!("alice:{OLD}\nbob:sk-bob-00001\nsk-unnamed-1\n"));
    let proxy = Proxy::start(&ollama, &["--api-keys", &keys]);
    let (mut alice, mut bob, mut unnamed) = (
        Stream::start(&proxy, OLD),
        Stream::start(&proxy, "sk-bob-00001"),
        Stream::start(&proxy, "sk-unnamed-1"),
    );
    within(SOON, "all are under way", || {
        [&alice, &bob, &unnamed].iter().all(|stream| stream.lines() > 2)
    });

    files.write("keys", &format!("bob:sk-bob-00001\nsk-unnamed-1\nalice:{NEW}\n"));
    let took = within(SOON, "alice's stream is cut", || alice.ended().is_some());
    println!("cut after {took:?}");
    assert!(
        !alice.ended().unwrap().success(),
        "curl is told that the answer isn't whole"
    );
    let lines = [bob.lines(), unnamed.lines()];
    within(SOON, "bob's stream goes on", || bob.lines() > lines[0] + 5);
    within(SOON, "that of an unnamed key on another line too", || {
        unnamed.lines() > lines[1] + 5
    });
    assert!(bob.ended().is_none() && unnamed.ended().is_none());
    assert_eq!(
        proxy.code_of_key(NEW),
        200,
        "alice comes in again with the new key"
    );
}

/// The answer to a client with the old key on a connection of its own.
fn asked(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(SOON))?;
    let head = "GET /api/version HTTP/1.1\r\nhost: proxy\r\nconnection: close";
    write!(connection, "{head}\r\nauthorization: Bearer {OLD}\r\n\r\n")?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_client_whose_key_is_just_going_is_answered() {
    const ROTATIONS: usize = 100;
    let (files, ollama) = (Files::new(), Ollama::start());
    let keys = files.write("keys", &format!("alice:{OLD}\n"));
    let proxy = Proxy::start(&ollama, &["--api-keys", &keys]);
    let over = AtomicBool::new(false);
    let ask = || {
        let mut answers = Vec::new();
        while !over.load(Ordering::Relaxed) {
            answers.push(asked(proxy.address()).unwrap());
        }
        answers
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        for key in [NEW, OLD].into_iter().cycle().take(ROTATIONS) {
            files.write("keys", &format!("alice:{key}\n"));
            within(SOON, "the rotation", || proxy.code_of_key(key) == 200);
        }
        over.store(true, Ordering::Relaxed);
        for answer in clients.into_iter().flat_map(|client| client.join().unwrap()) {
            let head = answer.get(..12).unwrap_or_default();
            let text = String::from_utf8_lossy(&answer);
            assert!(
                [b"HTTP/1.1 200", b"HTTP/1.1 401"]
                    .iter()
                    .any(|begin| head == *begin),
                "{text:?}"
            );
        }
    });
}

#[test]
fn a_remembered_password_is_forgotten_when_it_changes() {
    let (files, ollama) = (Files::new(), Ollama::start());
    let line = |name: &str, salt: u8| {
        format!(
            "{name}:{}\n",
            bcrypt::hash_with_salt("opensesame", 4, [salt; 16]).unwrap()
        )
    };
    let users = files.write("users", &[line("alice", 1), line("bob", 2)].concat());
    let proxy = Proxy::start(&ollama, &["--htpasswd", &users]);
    let (alice, bob) = (["-u", "alice:opensesame"], ["-u", "bob:opensesame"]);
    assert_eq!([proxy.code(&alice), proxy.code(&bob)], [200, 200]);
    let other = bcrypt::hash_with_salt("another", 4, [3; 16]).unwrap();
    files.write("users", &[format!("alice:{other}\n"), line("bob", 2)].concat());
    within(
        SOON,
        "the old password is refused though it was remembered",
        || proxy.code(&alice) == 401,
    );
    assert_eq!(
        [proxy.code(&["-u", "alice:another"]), proxy.code(&bob)],
        [200, 200]
    );
}
