//! Credentials, configuration and certificate change once a second.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::connection::{INTRODUCER, WELCOME};
use crate::credentials::{AUDIENCE, Credential, ISSUER, Ledger, Means, NONE, ROTATED, Standing};
use crate::process::Process;
use crate::tally::Tally;

/// From one change to the next.
const PACE: Duration = Duration::from_secs(1);
/// Far longer than any reload takes.
const LONGEST_RELOAD: Duration = Duration::from_secs(30);
/// Credentials of each means at a time. The first is never taken away.
const AT_A_TIME: u64 = 5;

/// A certificate for `localhost` and its key, in PEM.
pub(crate) struct Pair {
    pub(crate) der: CertificateDer<'static>,
    certificate: String,
    key: String,
}

pub(crate) fn pair() -> Pair {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    Pair {
        der: cert.der().clone(),
        certificate: cert.pem(),
        key: signing_key.serialize_pem(),
    }
}

/// The files that the proxy reads, and who is in them.
pub(crate) struct Rotation {
    files: tempfile::TempDir,
    ledger: Ledger,
    pairs: [Pair; 2],
    step: u64,
    next: u64,
}

impl Rotation {
    /// Lays out the first files.
    pub(crate) fn begin(ledger: &Ledger, pairs: [Pair; 2]) -> io::Result<Self> {
        let mut rotation = Self {
            files: tempfile::tempdir()?,
            ledger: ledger.clone(),
            pairs,
            step: 0,
            next: 0,
        };
        let now = Instant::now();
        for means in ROTATED {
            for _ in 0..AT_A_TIME {
                let credential = rotation.new_credential(means);
                ledger.put(credential, Standing::InForce(now));
            }
            rotation.write(means, &ledger.current(means))?;
        }
        ledger.put(NONE, Standing::InForce(now));
        rotation.replace("proxy.yaml", &rotation.configuration(true))?;
        rotation.swap_certificate()?;
        Ok(rotation)
    }

    pub(crate) fn files(&self) -> &Path {
        self.files.path()
    }

    /// Goes on until it is over.
    pub(crate) async fn run(
        mut self,
        process: Arc<Process>,
        tally: Tally,
        over: CancellationToken,
    ) -> io::Result<Self> {
        let mut pace = tokio::time::interval(PACE);
        while !over.is_cancelled() {
            pace.tick().await;
            self.step += 1;
            let which = usize::try_from(self.step).unwrap_or_default() % ROTATED.len();
            self.rotate(ROTATED[which], &process).await?;
            tally.count("credentials changed");
            if self.step.is_multiple_of(3) {
                self.swap_certificate()?;
                tally.count("certificates changed");
            }
            if self.step.is_multiple_of(4) {
                self.configure(&process).await?;
                tally.count("configurations changed");
            }
        }
        Ok(self)
    }

    /// One comes, another goes; neither answer is wrong until the proxy says that it is in force.
    async fn rotate(&mut self, means: Means, process: &Process) -> io::Result<()> {
        let before = self.ledger.current(means);
        let (comes, goes) = (self.new_credential(means), before[1]);
        self.ledger.put(comes, Standing::Changing);
        self.ledger.put(goes, Standing::Changing);
        let after: Vec<_> = before
            .into_iter()
            .filter(|other| *other != goes)
            .chain([comes])
            .collect();
        let source = |status: &Value| {
            let sources = status["credentials"].as_array().cloned().unwrap_or_default();
            let found = sources.iter().find(|source| source["means"] == means.name());
            found.map(|source| source["loadedAt"].clone())
        };
        let loaded = source(&process.status().await?);
        self.write(means, &after)?;
        until_changed(process, &comes.name(), loaded, source).await?;
        let now = Instant::now();
        self.ledger.put(comes, Standing::InForce(now));
        self.ledger.put(goes, Standing::Revoked(now));
        Ok(())
    }

    /// Whoever comes without a credential may come in, or may no more; nothing else that a request would notice.
    async fn configure(&self, process: &Process) -> io::Result<()> {
        let opens = self.ledger.current(Means::Nothing).is_empty();
        self.ledger.put(NONE, Standing::Changing);
        let digest = |status: &Value| Some(status["configuration"]["digest"].clone());
        let before = digest(&process.status().await?);
        self.replace("proxy.yaml", &self.configuration(opens))?;
        until_changed(process, "the configuration", before, digest).await?;
        let now = Instant::now();
        let standing = if opens {
            Standing::InForce(now)
        } else {
            Standing::Revoked(now)
        };
        self.ledger.put(NONE, standing);
        Ok(())
    }

    fn new_credential(&mut self, means: Means) -> Credential {
        let number = self.next;
        self.next += 1;
        Credential { means, number }
    }

    fn write(&self, means: Means, credentials: &[Credential]) -> io::Result<()> {
        self.replace(means.name(), &means.file(credentials))
    }

    fn configuration(&self, is_open: bool) -> String {
        let source = |means: Means| {
            let path = self.files.path().join(means.name());
            format!("{{path: {}}}", path.display())
        };
        let anonymous = if is_open { "anonymous: {}" } else { "" };
        format!(
            "credentials:\n  \
               apiKeys: {keys}\n  \
               basic: {users}\n  \
               ollamaKeys: {signatures}\n  \
               jwt: [{{issuer: {ISSUER}, audiences: [{AUDIENCE}], keys: {tokens}}}]\n  \
               clientCertificates: {certificates}\n  \
               {anonymous}\n\
             network:\n  \
               trustedProxies: [{INTRODUCER}/32]\n  \
               proxyProtocol: true\n  \
               allowedCIDRs: [127.0.0.0/8, {WELCOME}/32]\n\
             limits: {{body: {{read: {read}}}}}\n\
             log: {{format: json, audit: true}}\n",
            keys = source(Means::Key),
            users = source(Means::Password),
            signatures = source(Means::Signature),
            tokens = source(Means::Token),
            certificates = source(Means::Certificate),
            read = 65_536 + self.step,
        )
    }

    /// A file is whole at any moment.
    fn replace(&self, name: &str, content: &str) -> io::Result<()> {
        let written = self.files.path().join("written");
        fs::write(&written, content)?;
        fs::rename(written, self.files.path().join(name))
    }

    /// As the kubelet does: certificate and key change in one.
    fn swap_certificate(&self) -> io::Result<()> {
        let directory = self.files.path().join("tls");
        let data = format!("..{}", self.step);
        fs::create_dir_all(directory.join(&data))?;
        let pair = &self.pairs[usize::from(self.step % 2 == 1)];
        for (entry, content) in [("tls.crt", &pair.certificate), ("tls.key", &pair.key)] {
            fs::write(directory.join(&data).join(entry), content)?;
            let _ = symlink(Path::new("..data").join(entry), directory.join(entry));
        }
        let before = fs::read_link(directory.join("..data"));
        symlink(&data, directory.join("..new"))?;
        fs::rename(directory.join("..new"), directory.join("..data"))?;
        before.map_or(Ok(()), |before| fs::remove_dir_all(directory.join(before)))
    }
}

/// Waits until what `part` takes of the status is no longer what it was.
async fn until_changed<T: PartialEq>(
    process: &Process,
    what: &str,
    before: T,
    part: impl Fn(&Value) -> T,
) -> io::Result<()> {
    let start = Instant::now();
    while part(&process.status().await?) == before {
        if start.elapsed() > LONGEST_RELOAD {
            return Err(io::Error::other(format!(
                "{what} isn't in force after {LONGEST_RELOAD:?}"
            )));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
