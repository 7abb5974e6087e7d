//! Clients that show certificates in the handshake: which are taken, and what becomes of them when authorities change.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, date_time_ymd,
};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tempfile::TempDir;

use crate::backend::Backend;
use crate::process::corral_proxy;
use crate::proxy::{Proxy, SOON, get, within};
use crate::tls::{Pair, Secure, client_of, connect, pair, status};

pub(crate) const WITHOUT_KEY: &str = "GET /api/tags HTTP/1.1\r\nHost: ollama\r\n\r\n";
const GENERATE: &str = "POST /api/generate HTTP/1.1\r\nHost: ollama\r\nContent-Length: 2\r\n\r\n{}";

/// Who certifies clients.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a client shows, and its key.
pub(crate) struct Certified {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

type Change = fn(&mut CertificateParams);

pub(crate) fn authority(name: &str) -> Authority {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    Authority {
        pem: parameters.self_signed(&key).unwrap().pem(),
        issuer: Issuer::new(parameters, key),
    }
}

impl Authority {
    pub(crate) fn certify(&self, name: &str) -> Certified {
        self.certify_with(name, |_| {})
    }

    /// Its list of revoked certificates, by serial numbers, which is good to the end of that year.
    fn list(&self, revoked: &[u64], year: i32) -> String {
        let revoked = revoked.iter().map(|number| RevokedCertParams {
            serial_number: (*number).into(),
            revocation_time: date_time_ymd(2001, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2001, 1, 1),
            next_update: date_time_ymd(year, 12, 31),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    pub(crate) fn certify_with(&self, name: &str, change: Change) -> Certified {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.remove(DnType::CommonName);
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        Certified {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    }
}

/// A proxy that takes certificates of these authorities, with its own certificate and the folder of both.
pub(crate) struct Guarded {
    proxy: Proxy,
    own: Pair,
    files: TempDir,
}

impl Guarded {
    pub(crate) fn start(backend: &Backend, authorities: &[&Authority]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let own = pair();
        let path = |name: &str| files.path().join(name);
        fs::write(path("tls.crt"), &own.certificate).unwrap();
        fs::write(path("tls.key"), &own.key).unwrap();
        trust(files.path(), authorities);
        let folder = files.path().display();
        let config = format!(
            "  clientCertificates: {{path: {folder}}}\n\
             tls: {{certFile: {folder}/tls.crt, keyFile: {folder}/tls.key}}\n"
        );
        Self {
            proxy: Proxy::configured(backend, &config),
            own,
            files,
        }
    }

    pub(crate) fn trust(&self, authorities: &[&Authority]) {
        trust(self.files.path(), authorities);
    }

    /// Says what the authorities have revoked, in an entry beside them.
    fn revoke(&self, lists: &str) {
        put(self.files.path(), "ca.crl", lists);
    }

    /// What the status says is wrong with the authorities.
    fn error(&self) -> String {
        let status = self.proxy.status();
        let sources = status["credentials"].as_array().unwrap();
        let source = sources
            .iter()
            .find(|source| source["means"] == "clientCertificates");
        source.unwrap()["error"].as_str().unwrap_or_default().to_owned()
    }

    /// How a client of its is set up that shows this, or nothing.
    pub(crate) fn client(&self, shows: Option<&Certified>) -> Arc<ClientConfig> {
        showing(&self.own, shows)
    }

    pub(crate) fn connect(&self, client: &Arc<ClientConfig>) -> Secure {
        connect(self.proxy.address, Arc::clone(client))
    }

    /// The status of a request on a connection of its own; none where the handshake is refused.
    pub(crate) fn answers(&self, shows: Option<&Certified>, request: &str) -> Option<u16> {
        status(&mut self.connect(&self.client(shows)), request).ok()
    }
}

/// A client that trusts this certificate only and shows that one, or none.
pub(crate) fn showing(trusted: &Pair, shows: Option<&Certified>) -> Arc<ClientConfig> {
    let config = client_of(&[trusted]);
    Arc::new(match shows {
        None => config.with_no_client_auth(),
        Some(Certified { chain, key }) => config
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .unwrap(),
    })
}

fn trust(folder: &Path, authorities: &[&Authority]) {
    let bundle: String = authorities
        .iter()
        .map(|authority| authority.pem.as_str())
        .collect();
    put(folder, "ca.crt", &bundle);
}

/// Whole at once, as the kubelet does it.
fn put(folder: &Path, entry: &str, content: &str) {
    let new = folder.join(format!("..{entry}"));
    fs::write(&new, content).unwrap();
    fs::rename(new, folder.join(entry)).unwrap();
}

#[test]
fn s7_a_good_certificate_comes_in_and_no_other() {
    let (good, other) = (authority("good"), authority("other"));
    let guarded = Guarded::start(&Backend::start(), &[&good]);
    let alice = good.certify("alice");
    let nameless = good.certify_with("alice", |parameters| {
        parameters.distinguished_name.remove(DnType::CommonName);
    });
    let expired = good.certify_with("alice", |parameters| {
        parameters.not_before = date_time_ymd(2001, 1, 1);
        parameters.not_after = date_time_ymd(2002, 1, 1);
    });
    let early = good.certify_with("alice", |parameters| {
        parameters.not_before = date_time_ymd(4000, 1, 1);
    });
    let servers = good.certify_with("alice", |parameters| {
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let (foreign, impostor) = (other.certify("alice"), authority("good").certify("alice"));
    let cases: &[(&str, Option<&Certified>, &str, Option<u16>)] = &[
        ("a good one", Some(&alice), WITHOUT_KEY, Some(200)),
        ("none", None, WITHOUT_KEY, Some(401)),
        ("none, and a key", None, &get("/api/tags"), Some(200)),
        (
            "a good one, and a key",
            Some(&alice),
            &get("/api/tags"),
            Some(401),
        ),
        (
            "one without a common name",
            Some(&nameless),
            WITHOUT_KEY,
            Some(401),
        ),
        ("another authority's", Some(&foreign), WITHOUT_KEY, None),
        (
            "that of an authority of the same name",
            Some(&impostor),
            WITHOUT_KEY,
            None,
        ),
        ("expired", Some(&expired), WITHOUT_KEY, None),
        ("not yet good", Some(&early), WITHOUT_KEY, None),
        ("a server's", Some(&servers), WITHOUT_KEY, None),
    ];
    for (name, shows, request, expected) in cases {
        assert_eq!(guarded.answers(*shows, request), *expected, "{name}");
    }
    within(SOON, "the subject names the client", || {
        guarded
            .proxy
            .output()
            .contains("client=\"alice\" means=clientCertificates")
    });
}

#[test]
fn s9_who_has_shown_a_certificate_is_seen() {
    let good = authority("good");
    let guarded = Guarded::start(&Backend::start(), &[&good]);
    let clients = || {
        let status = guarded.proxy.status();
        let clients = status["clients"].as_array().unwrap().clone();
        let shown = clients.into_iter();
        let shown = shown.filter(|client| client["means"] == "clientCertificates");
        shown.collect::<Vec<_>>()
    };
    assert_eq!(clients(), [] as [Value; 0], "nobody has come");
    for name in ["alice", "bob", "alice"] {
        let certificate = good.certify(name);
        assert_eq!(guarded.answers(Some(&certificate), WITHOUT_KEY), Some(200));
    }
    let names: Vec<_> = clients().iter().map(|client| client["name"].clone()).collect();
    assert_eq!(names, ["alice", "bob"]);
    assert!(clients().iter().all(|client| client["lastUsed"].is_string()));
    let metrics = guarded.proxy.admin("/metrics").body;
    for (name, requests) in [("alice", 2), ("bob", 1)] {
        let line =
            format!("{{client=\"{name}\",route=\"/api/tags\",class=\"Read\",code=\"200\"}} {requests}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
}

#[test]
fn s7_flags_alone_set_it_up() {
    let (good, own, files) = (authority("good"), pair(), tempfile::tempdir().unwrap());
    let path = |name: &str| files.path().join(name).display().to_string();
    fs::write(path("tls.crt"), &own.certificate).unwrap();
    fs::write(path("tls.key"), &own.key).unwrap();
    fs::write(path("ca.pem"), &good.pem).unwrap();
    let (certificate, key, authorities) = (path("tls.crt"), path("tls.key"), path("ca.pem"));
    let backend = Backend::start();
    let arguments = [
        "--tls-cert",
        &certificate,
        "--tls-key",
        &key,
        "--client-ca",
        &authorities,
    ];
    let proxy = Proxy::with_arguments(&backend, "", &arguments);
    let answers = |shows: Option<&Certified>| {
        let mut connection = connect(proxy.address, showing(&own, shows));
        status(&mut connection, WITHOUT_KEY).ok()
    };
    assert_eq!(answers(Some(&good.certify("alice"))), Some(200));
    assert_eq!(answers(None), Some(401));
    assert_eq!(answers(Some(&authority("other").certify("alice"))), None);

    let plain = ["--client-ca", &authorities];
    let missing = [
        "--tls-cert",
        &certificate,
        "--tls-key",
        &key,
        "--client-ca",
        &path("missing"),
    ];
    let cases: [(&str, &[&str], &str); 2] = [
        ("without TLS", &plain, "credentials.clientCertificates: needs tls"),
        ("a file that isn't there", &missing, "missing: No such file"),
    ];
    for (name, arguments, expected) in cases {
        let output = corral_proxy(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), said.lines().count()),
            (Some(2), 1),
            "{name}: {said}"
        );
        assert!(said.contains(expected), "{name}: {said}");
    }
}

#[test]
fn s7_an_authority_that_is_taken_out_has_certified_nobody() {
    let (leaving, staying) = (authority("leaving"), authority("staying"));
    let guarded = Guarded::start(&Backend::generating(), &[&leaving, &staying]);
    let (alice, bob) = (leaving.certify("alice"), staying.certify("bob"));
    let (alice, bob) = (guarded.client(Some(&alice)), guarded.client(Some(&bob)));
    let begin = |client: &Arc<ClientConfig>| {
        let mut stream = guarded.connect(client);
        stream.get_mut().write_all(GENERATE.as_bytes()).unwrap();
        stream.read_exact(&mut [0; 400]).unwrap();
        stream
    };
    let (cut, mut goes_on) = (begin(&alice), begin(&bob));
    let mut kept = guarded.connect(&alice);
    assert_eq!(status(&mut kept, WITHOUT_KEY).ok(), Some(200));

    guarded.trust(&[&staying]);
    within(
        SOON,
        "a new connection is refused, though its session could be resumed",
        || status(&mut guarded.connect(&alice), WITHOUT_KEY).is_err(),
    );
    const FAR_MORE: u64 = 16 << 20;
    let mut rest = Vec::new();
    let ended = cut.take(FAR_MORE).read_to_end(&mut rest);
    assert!(
        (rest.len() as u64) < FAR_MORE && !rest.ends_with(b"0\r\n\r\n"),
        "alice's stream is cut: {ended:?}"
    );
    assert_eq!(
        status(&mut kept, WITHOUT_KEY).ok(),
        Some(401),
        "on a connection that is there"
    );
    goes_on.read_exact(&mut [0; 4000]).unwrap();
    assert_eq!(status(&mut guarded.connect(&bob), WITHOUT_KEY).ok(), Some(200));

    guarded.trust(&[&leaving, &staying]);
    within(SOON, "it is trusted again", || {
        status(&mut guarded.connect(&alice), WITHOUT_KEY).ok() == Some(200)
    });
}

#[test]
fn a_bundle_with_a_mistake_lets_nobody_in() {
    let good = authority("good");
    let guarded = Guarded::start(&Backend::start(), &[&good]);
    let alice = good.certify("alice");
    let cases = [
        ("empty", String::new(), "no certificate: it must be PEM"),
        ("no PEM", "x".to_owned(), "no certificate: it must be PEM"),
        (
            "cut off",
            format!("{}{}", good.pem, &good.pem[..200]),
            "malformed PEM",
        ),
        (
            "no certificate within",
            format!(
                "{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                good.pem
            ),
            "certificate 2 can't be read",
        ),
    ];
    for (name, bundle, expected) in cases {
        fs::write(guarded.files.path().join("ca.crt"), bundle).unwrap();
        within(SOON, name, || guarded.error().contains(expected));
        assert_eq!(guarded.answers(Some(&alice), WITHOUT_KEY), Some(401), "{name}");
        assert_eq!(
            guarded.answers(None, &get("/api/tags")),
            Some(200),
            "{name}: other means"
        );
        guarded.trust(&[&good]);
        within(SOON, name, || guarded.error().is_empty());
        assert_eq!(
            guarded.answers(Some(&alice), WITHOUT_KEY),
            Some(200),
            "{name}: mended"
        );
    }
}

const ALICE: u64 = 7;
const BOB: u64 = 8;
/// A year that a list lasts to.
const LATER: i32 = 4000;

#[test]
fn s7_a_revoked_certificate_lets_nobody_in() {
    let good = authority("good");
    let guarded = Guarded::start(&Backend::generating(), &[&good]);
    let alice = good.certify_with("alice", |parameters| {
        parameters.serial_number = Some(ALICE.into());
    });
    let bob = good.certify_with("bob", |parameters| parameters.serial_number = Some(BOB.into()));
    let client = guarded.client(Some(&alice));
    let mut cut = guarded.connect(&client);
    cut.get_mut().write_all(GENERATE.as_bytes()).unwrap();
    cut.read_exact(&mut [0; 400]).unwrap();
    let mut kept = guarded.connect(&client);
    assert_eq!(status(&mut kept, WITHOUT_KEY).ok(), Some(200));

    guarded.revoke(&good.list(&[ALICE], LATER));
    within(
        SOON,
        "a new connection is refused, though its session could be resumed",
        || status(&mut guarded.connect(&client), WITHOUT_KEY).is_err(),
    );
    const FAR_MORE: u64 = 16 << 20;
    let mut rest = Vec::new();
    let ended = cut.take(FAR_MORE).read_to_end(&mut rest);
    assert!((rest.len() as u64) < FAR_MORE, "the stream is cut: {ended:?}");
    assert_eq!(
        status(&mut kept, WITHOUT_KEY).ok(),
        Some(401),
        "on a connection that is there"
    );
    assert_eq!(guarded.answers(Some(&bob), WITHOUT_KEY), Some(200), "not revoked");

    guarded.revoke(&good.list(&[], LATER));
    within(SOON, "it is taken off the list", || {
        guarded.answers(Some(&alice), WITHOUT_KEY) == Some(200)
    });
}

#[test]
fn a_revocation_list_is_understood_or_lets_nobody_in() {
    let (good, other) = (authority("good"), authority("other"));
    let guarded = Guarded::start(&Backend::start(), &[&good]);
    let alice = good.certify_with("alice", |parameters| {
        parameters.serial_number = Some(ALICE.into());
    });
    let list = good.list(&[], LATER);
    // What the status says, and what alice gets: nothing where the handshake is refused.
    let cases = [
        ("empty", String::new(), "`ca.crl`: no revocation list", Some(401)),
        ("cut off", list[..200].to_owned(), "malformed PEM", Some(401)),
        (
            "no list within",
            format!("{list}-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"),
            "revocation list 2 can't be used",
            Some(401),
        ),
        (
            "two of one authority",
            format!("{list}{}", good.list(&[ALICE], LATER)),
            "revocation list 2 is the second of one authority",
            Some(401),
        ),
        (
            "ended",
            good.list(&[], 2002),
            "a revocation list ended at 2002-12-31T00:00:00Z",
            None,
        ),
        (
            "another one has ended",
            format!("{list}{}", other.list(&[], 2002)),
            "a revocation list ended at 2002-12-31T00:00:00Z",
            Some(401),
        ),
    ];
    for (name, lists, expected, answer) in cases {
        guarded.revoke(&lists);
        within(SOON, name, || guarded.error().contains(expected));
        assert_eq!(guarded.answers(Some(&alice), WITHOUT_KEY), answer, "{name}");
        assert_eq!(
            guarded.answers(None, &get("/api/tags")),
            Some(200),
            "{name}: other means"
        );
        guarded.revoke(&list);
        within(SOON, name, || guarded.error().is_empty());
        assert_eq!(
            guarded.answers(Some(&alice), WITHOUT_KEY),
            Some(200),
            "{name}: mended"
        );
    }
    guarded.revoke(&other.list(&[], LATER));
    within(SOON, "no list speaks of its authority's certificates", || {
        guarded.answers(Some(&alice), WITHOUT_KEY).is_none()
    });
    assert_eq!(guarded.error(), "");

    // In the bundle too, for those who have no place beside it.
    fs::remove_file(guarded.files.path().join("ca.crl")).unwrap();
    let both = format!("{}{}", good.pem, good.list(&[ALICE], LATER));
    put(guarded.files.path(), "ca.crt", &both);
    within(SOON, "a list in the bundle", || {
        guarded.answers(Some(&alice), WITHOUT_KEY).is_none()
    });
}

#[test]
fn s7_a_certificate_and_a_key_together() {
    let good = authority("good");
    let guarded = Guarded::start(&Backend::start(), &[&good]);
    let folder = guarded.files.path().display();
    guarded.proxy.configure(&format!(
        "  clientCertificates: {{path: {folder}}}\n  require: All\n\
         tls: {{certFile: {folder}/tls.crt, keyFile: {folder}/tls.key}}\n"
    ));
    let alice = good.certify("alice");
    within(SOON, "both are needed", || {
        guarded.answers(Some(&alice), &get("/api/tags")) == Some(200)
    });
    assert_eq!(
        guarded.answers(Some(&alice), WITHOUT_KEY),
        Some(401),
        "the certificate alone"
    );
    assert_eq!(
        guarded.answers(None, &get("/api/tags")),
        Some(401),
        "the key alone"
    );
}
