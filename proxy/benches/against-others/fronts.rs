//! What stands before the fake Ollama: nothing, a rival, or corral-proxy; each with one worker thread.

mod caddy;
mod corral;
pub(crate) mod forwarder;
pub(crate) mod haproxy;
pub(crate) mod nginx;

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use corral_measure::process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

pub(crate) use corral::{Corral, KEYS_FILE, PROGRAM as CORRAL_PROGRAM};

/// The API key of the benchmark's client. Fronts that ask for no credential are sent it too, so that requests are alike.
pub(crate) const KEY: &str = "a-key-of-the-benchmark-alone-2c3f0d";
/// The benchmark's user, and the password.
pub(crate) const USER: &str = "bench";
pub(crate) const PASSWORD: &str = "a-password-of-the-benchmark-alone";

/// Whose tokens are taken, signed with the benchmark's key, and for whom they are.
pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "ollama";

/// How long a front may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A server that clients call. It is stopped when dropped.
pub(crate) struct Front {
    /// As in the report.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What its clients send as `Authorization`.
    pub(crate) authorization: String,
    /// Whether others are refused.
    pub(crate) asks_for_credentials: bool,
    /// From the start of the process to the first connection that it takes.
    pub(crate) started_in: Duration,
    process: Option<Child>,
}

/// What a front asks of its clients.
enum Clients {
    /// Nothing.
    Anybody,
    /// The benchmark's key.
    WithKey,
    /// The benchmark's user and password.
    WithPassword,
    /// A token of the benchmark's issuer.
    WithToken,
}

/// How a front is run.
pub(crate) struct Place<'a> {
    /// For its files.
    pub(crate) folder: &'a Path,
    /// The fake Ollama.
    pub(crate) backend: SocketAddr,
    /// The program that the front's own runs in: one that keeps it on a processor, or one that counts instructions.
    pub(crate) wrapper: Vec<String>,
}

impl<'a> Place<'a> {
    /// On certain processors.
    pub(crate) fn pinned(folder: &'a Path, backend: SocketAddr, processors: &str) -> Self {
        let wrapper = ["taskset", "--cpu-list", processors].map(str::to_owned);
        Self {
            folder,
            backend,
            wrapper: wrapper.into(),
        }
    }

    /// The program, in its wrapper.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        match self.wrapper.split_first() {
            None => Command::new(program),
            Some((wrapper, arguments)) => {
                let mut command = Command::new(wrapper);
                command.args(arguments).arg(program);
                command
            }
        }
    }
}

/// Every front that requests are sent to, as a function that starts it.
pub(crate) type Start = fn(&Place<'_>) -> Result<Front>;

/// All of them: first what asks for no credential, then rivals that do, then corral-proxy.
pub(crate) const ALL: [Start; 11] = [
    Front::none,
    forwarder::start,
    nginx::open,
    haproxy::open,
    nginx::apr1,
    nginx::bcrypt,
    nginx::lua,
    caddy::bcrypt,
    Corral::api_key,
    Corral::password,
    Corral::token,
];

/// Those that are compared in all that isn't a small request: the direct way, the fronts that ask for no credential, and
/// corral-proxy.
pub(crate) const OPEN_AND_CORRAL: [Start; 5] = [
    Front::none,
    forwarder::start,
    nginx::open,
    haproxy::open,
    Corral::api_key,
];

impl Front {
    /// The fake Ollama itself: what the client and Ollama cost without a front.
    pub(crate) fn none(place: &Place<'_>) -> Result<Self> {
        Ok(Self {
            name: "none (the fake Ollama itself)".into(),
            address: place.backend,
            authorization: bearer(),
            asks_for_credentials: false,
            started_in: Duration::ZERO,
            process: None,
        })
    }

    /// Its process; none where there is no front.
    pub(crate) fn process(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Processor time that the front has used; none where there is no front.
    pub(crate) fn processor_time(&self) -> Result<Option<Duration>> {
        self.process().map(process::processor_time).transpose()
    }

    /// What of it the system took.
    pub(crate) fn system_time(&self) -> Result<Option<Duration>> {
        self.process().map(process::system_time).transpose()
    }

    /// Ends it and waits for its end.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.terminate()
    }

    fn start(name: String, mut command: Command, address: SocketAddr, clients: &Clients) -> Result<Self> {
        let program = format!("{command:?}");
        let begin = Instant::now();
        let process = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("start {program}"))?;
        let mut front = Self {
            name,
            address,
            authorization: match clients {
                Clients::Anybody | Clients::WithKey => bearer(),
                Clients::WithPassword => basic(),
                Clients::WithToken => token()?,
            },
            asks_for_credentials: !matches!(clients, Clients::Anybody),
            started_in: Duration::ZERO,
            process: Some(process),
        };
        front.wait_until_it_listens(begin)?;
        front.started_in = begin.elapsed();
        Ok(front)
    }

    fn wait_until_it_listens(&mut self, begin: Instant) -> Result<()> {
        while std::net::TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.process.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("{} ended at once: {status}", self.name);
            }
            ensure!(
                begin.elapsed() < START_LIMIT,
                "{} does not listen on {}",
                self.name,
                self.address
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    fn terminate(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        // SIGTERM, so that nginx's master stops its worker too.
        kill(Pid::from_raw(i32::try_from(process.id())?), Signal::SIGTERM)?;
        process.wait()?;
        Ok(())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // Whatever went wrong, there is nobody left to tell.
        let _ = self.terminate();
    }
}

fn bearer() -> String {
    format!("Bearer {KEY}")
}

fn basic() -> String {
    format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")))
}

/// A JSON Web Token of the benchmark's issuer, for a day.
fn token() -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": USER, "exp": now + 24 * 3600});
    let [header, claims] =
        [json!({"alg": "HS256"}), claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let signature = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes()),
        message.as_bytes(),
    );
    Ok(format!("Bearer {message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// A port of 127.0.0.1 that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
