//! HTTPS: which handshakes succeed, and how certificates are renewed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::client::WantsClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, StreamOwned};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::backend::{Backend, Then};
use crate::client::Client;
use crate::proxy::{Proxy, SOON, USER, get, within};

/// A certificate for `localhost` and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pair {
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }

    /// As `/status` has it.
    fn fingerprint(&self) -> String {
        hex::encode(Sha256::digest(self.der()))
    }
}

pub(crate) fn pair() -> Pair {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    Pair {
        certificate: cert.pem(),
        key: signing_key.serialize_pem(),
    }
}

/// Lays a pair out as the kubelet mounts a Secret, in place of the one that is there.
fn mount(directory: &Path, version: usize, pair: &Pair) {
    let data = format!("..{version}");
    fs::create_dir_all(directory.join(&data)).unwrap();
    for (entry, content) in [("tls.crt", &pair.certificate), ("tls.key", &pair.key)] {
        fs::write(directory.join(&data).join(entry), content).unwrap();
        let _ = symlink(Path::new("..data").join(entry), directory.join(entry));
    }
    let before = fs::read_link(directory.join("..data"));
    symlink(&data, directory.join("..data_tmp")).unwrap();
    fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
    if let Ok(before) = before {
        fs::remove_dir_all(directory.join(before)).unwrap();
    }
}

/// A proxy with this certificate in a mounted Secret.
fn start(backend: &Backend, pair: Option<&Pair>) -> (Proxy, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    if let Some(pair) = pair {
        mount(directory.path(), 0, pair);
    }
    let path = directory.path().display();
    let config = format!("tls: {{certFile: {path}/tls.crt, keyFile: {path}/tls.key}}\n");
    (Proxy::configured(backend, &config), directory)
}

/// A client that trusts only these certificates.
pub(crate) fn trusting(pairs: &[&Pair]) -> Arc<ClientConfig> {
    Arc::new(client_of(pairs).with_no_client_auth())
}

/// The same, before it is said what it shows itself.
pub(crate) fn client_of(pairs: &[&Pair]) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    for pair in pairs {
        roots.add(pair.der()).unwrap();
    }
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
}

pub(crate) type Secure = BufReader<StreamOwned<ClientConnection, TcpStream>>;

pub(crate) fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> Secure {
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    BufReader::new(StreamOwned::new(
        ClientConnection::new(config, name).unwrap(),
        stream,
    ))
}

/// The status of one request.
pub(crate) fn status(client: &mut Secure, request: &str) -> std::io::Result<u16> {
    client.get_mut().write_all(request.as_bytes())?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if client.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    client.read_exact(&mut [0; 2])?;
    Ok(head.split(' ').nth(1).unwrap().parse().unwrap())
}

/// Whether `curl` gets an answer with these arguments, and what it prints.
fn curl(proxy: &Proxy, arguments: &[&str]) -> Result<String, i32> {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--insecure",
            "--max-time",
            "10",
            "--noproxy",
            "*",
            "--output",
            "/dev/null",
        ])
        .args(["--header", &format!("x-api-key: {USER}")])
        .args(arguments)
        .arg(format!("https://{}/api/tags", proxy.address))
        .output()
        .unwrap();
    match output.status.code() {
        Some(0) => Ok(String::from_utf8(output.stdout).unwrap()),
        code => Err(code.unwrap_or(-1)),
    }
}

#[test]
fn clients_choose_among_what_is_safe() {
    let backend = Backend::start();
    let (proxy, _directory) = start(&backend, Some(&pair()));
    let written = "%{response_code} %{http_version} %{ssl_verify_result}";
    let cases: &[(&str, &[&str], Option<&str>)] = &[
        ("whatever it likes", &[], Some("2")),
        ("TLS 1.2", &["--tls-max", "1.2"], Some("2")),
        ("TLS 1.3", &["--tlsv1.3"], Some("2")),
        (
            "TLS 1.1",
            &[
                "--tls-max",
                "1.1",
                "--tlsv1.0",
                "--ciphers",
                "DEFAULT:@SECLEVEL=0",
            ],
            None,
        ),
        (
            "TLS 1.0",
            &[
                "--tls-max",
                "1.0",
                "--tlsv1.0",
                "--ciphers",
                "DEFAULT:@SECLEVEL=0",
            ],
            None,
        ),
        ("no ALPN", &["--no-alpn"], Some("1.1")),
        ("HTTP/1.1 by ALPN", &["--http1.1"], Some("1.1")),
    ];
    for (name, arguments, version) in cases {
        let answer = curl(&proxy, &[&["--write-out", written], *arguments].concat());
        assert_eq!(answer.is_ok(), version.is_some(), "{name}: {answer:?}");
        if let (Ok(answer), Some(version)) = (answer, version) {
            assert!(answer.starts_with(&format!("200 {version} ")), "{name}: {answer}");
        }
    }
    for head in backend.heads() {
        assert!(head.contains("\r\nx-forwarded-proto: https\r\n"), "{head}");
    }
}

#[test]
fn plain_http_to_the_port_of_tls_is_told_so() {
    let backend = Backend::start();
    let (proxy, _directory) = start(&backend, Some(&pair()));
    let answer = proxy.exchange(get("/api/tags"));
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (
            400,
            "{\"error\":\"this port speaks HTTPS: call it as https://\"}\n"
        )
    );
    let mut client = proxy.client();
    client.send(get("/api/tags"));
    assert_eq!(client.answer().unwrap().status, 400);
    assert!(client.is_closed(), "and nothing else");
    let mut garbage = proxy.client();
    garbage.send([0xff; 64]);
    assert!(garbage.head().is_none(), "no HTTP to what is no HTTP");
    assert_eq!(backend.lines().len(), 0);
    within(SOON, "a line in the log", || {
        proxy
            .output()
            .contains("400 OTHER - client=- means=- address=127.0.0.1")
    });
}

#[test]
fn a_connection_ends_with_a_word() {
    let backend = Backend::answering(|exchange| exchange.answer("200 OK", "{}").map(|_| Then::Close));
    let pair = pair();
    let (proxy, _directory) = start(&backend, Some(&pair));
    let mut client = connect(proxy.address, trusting(&[&pair]));
    let request = get("/api/tags").replace("Host:", "Connection: close\r\nHost:");
    assert_eq!(status(&mut client, &request).unwrap(), 200);
    // rustls tells an end without close_notify as an error.
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn s2_a_certificate_is_renewed_under_load_and_no_request_fails() {
    let backend = Backend::start();
    let pairs: Vec<_> = (0..6).map(|_| pair()).collect();
    let (proxy, directory) = start(&backend, Some(&pairs[0]));
    let trusted = trusting(&pairs.iter().collect::<Vec<_>>());
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut kept = connect(proxy.address, Arc::clone(&trusted));
    assert_eq!(status(&mut kept, &get("/api/tags")).unwrap(), 200);
    thread::scope(|scope| {
        let load = || {
            while !done.load(Ordering::Relaxed) {
                let mut client = connect(proxy.address, Arc::clone(&trusted));
                for _ in 0..3 {
                    assert_eq!(status(&mut client, &get("/api/tags")).unwrap(), 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let loads = [scope.spawn(load), scope.spawn(load)];
        within(SOON, "the load", || answered.load(Ordering::Relaxed) > 0);
        for (version, pair) in pairs.iter().enumerate().skip(1) {
            mount(directory.path(), version, pair);
            within(SOON, "the renewed certificate", || {
                proxy.status()["certificate"]["fingerprint"] == pair.fingerprint()
            });
            let mut newest = connect(proxy.address, trusting(&[pair]));
            assert_eq!(status(&mut newest, &get("/api/tags")).unwrap(), 200, "{version}");
        }
        done.store(true, Ordering::Relaxed);
        for load in loads {
            load.join().unwrap();
        }
    });
    assert_eq!(
        status(&mut kept, &get("/api/tags")).unwrap(),
        200,
        "its connection lives on"
    );
}

#[test]
fn a_broken_renewal_leaves_the_last_good_certificate() {
    let good = pair();
    let (proxy, directory) = start(&Backend::start(), Some(&good));
    let other = pair();
    let cases = [
        (
            "another's key",
            Pair {
                key: other.key.clone(),
                ..good.clone()
            },
            "tls.key: is not the key",
        ),
        (
            "no certificate",
            Pair {
                certificate: "x".to_owned(),
                ..good.clone()
            },
            "tls.crt: has no certificate",
        ),
        (
            "no key",
            Pair {
                key: String::new(),
                ..good.clone()
            },
            "tls.key: has no private key",
        ),
    ];
    let error = || {
        proxy.status()["certificate"]["error"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    for (version, (name, broken, expected)) in (1..).zip(cases) {
        mount(directory.path(), version, &broken);
        within(SOON, name, || error().contains(expected));
        let mut client = connect(proxy.address, trusting(&[&good]));
        assert_eq!(status(&mut client, &get("/api/tags")).unwrap(), 200, "{name}");
        within(SOON, name, || {
            proxy.output().contains("the certificate stays as it was")
        });
    }
    mount(directory.path(), 9, &other);
    within(SOON, "a good one", || error().is_empty());
    assert_eq!(proxy.status()["certificate"]["fingerprint"], other.fingerprint());
}

#[test]
fn until_there_is_a_certificate_no_handshake_succeeds_and_the_proxy_is_not_ready() {
    let (proxy, directory) = start(&Backend::start(), None);
    assert_eq!(proxy.admin("/readyz").body, "there is no certificate yet\n");
    assert!(proxy.status()["certificate"]["error"].is_string());
    let late = pair();
    let mut client = connect(proxy.address, trusting(&[&late]));
    assert!(status(&mut client, &get("/api/tags")).is_err());
    mount(directory.path(), 1, &late);
    within(SOON, "ready", || proxy.admin("/readyz").status == 200);
    let mut client = connect(proxy.address, trusting(&[&late]));
    assert_eq!(status(&mut client, &get("/api/tags")).unwrap(), 200);
}

#[test]
fn s2_a_costly_hash_is_computed_once() {
    let files = tempfile::tempdir().unwrap();
    let hash = bcrypt::hash("opensesame", 14).unwrap();
    let users = files.path().join("users");
    fs::write(&users, format!("alice:{hash}\n")).unwrap();
    let made = pair();
    let (certificate, key) = (files.path().join("tls.crt"), files.path().join("tls.key"));
    fs::write(&certificate, &made.certificate).unwrap();
    fs::write(&key, &made.key).unwrap();
    let config = format!(
        "tls: {{certFile: {}, keyFile: {}}}\n",
        certificate.display(),
        key.display()
    );
    let backend = Backend::start();
    let proxy = Proxy::with_arguments(&backend, &config, &["--htpasswd", users.to_str().unwrap()]);
    let mut client = connect(proxy.address, trusting(&[&made]));
    // Nearly a second of a processor, which this machine may be busy with otherwise.
    client.get_ref().sock.set_read_timeout(Some(SOON * 4)).unwrap();
    let request =
        "GET /api/tags HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YWxpY2U6b3BlbnNlc2FtZQ==\r\n\r\n";
    for _ in 0..50 {
        assert_eq!(status(&mut client, request).unwrap(), 200);
    }
    let metrics = proxy.admin("/metrics").body;
    assert!(
        metrics.contains("corral_proxy_passwords_hashed_total 1\n"),
        "{metrics}"
    );
}

#[test]
fn a_handshake_that_is_not_finished_holds_up_nobody() {
    let made = pair();
    let (proxy, _directory) = start(&Backend::start(), Some(&made));
    let mut waiting: Vec<_> = (0..50).map(|_| Client::connect(proxy.address)).collect();
    for client in &mut waiting {
        client.send([22, 3, 1]);
    }
    let mut client = connect(proxy.address, trusting(&[&made]));
    assert_eq!(status(&mut client, &get("/api/tags")).unwrap(), 200);
}
