//! An operator that runs, and what it takes of the machine and of the API server.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use corral_measure::process::{Resident, children, processor_time, resident};
use corral_tests::cluster::{AuditLog, Mark, Request};
use corral_tests::http_client::HttpClient;
use corral_tests::port::Port;
use corral_tests::process::{Launcher, Process};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::subject::Subject;

/// Under this name the operator asks the API server, with every right: so that the audit log tells it from others, and that
/// the API server's fair queues don't hold it up.
pub(crate) const USER: &str = "operator-under-test";

/// How long the operator may take to start.
const START: Duration = Duration::from_secs(60);
/// Nothing is on its way any more when it has asked for nothing for this long.
const QUIET: Duration = Duration::from_secs(5);

/// Ends when dropped.
pub(crate) struct Running<'a> {
    subject: &'a Subject,
    audit: &'a AuditLog,
    process: Process,
    program: u32,
    http: HttpClient,
    pub(crate) started: Instant,
    _port: Port,
}

impl<'a> Running<'a> {
    /// Starts it and returns at once.
    pub(crate) async fn start(
        subject: &'a Subject,
        kubeconfig: &Path,
        audit: &'a AuditLog,
        launcher: &Launcher,
    ) -> Result<Self> {
        let port = Port::reserve()?;
        let address = format!("127.0.0.1:{}", port.number());
        let environment: [(&str, &OsStr); 2] = [
            ("KUBECONFIG", kubeconfig.as_os_str()),
            ("RUST_LOG", OsStr::new("warn")),
        ];
        let started = Instant::now();
        let process = launcher.start(
            "operator",
            &subject.program,
            (subject.arguments)(&address),
            &environment,
        )?;
        let program = program_of(&process).await?;
        Ok(Self {
            subject,
            audit,
            process,
            program,
            http: HttpClient::new(&format!("http://{address}")),
            started,
            _port: port,
        })
    }

    /// Waits until it works.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        while self.http.get(self.subject.ready_path, &[]).await.is_err() {
            self.process.check()?;
            ensure!(
                self.started.elapsed() < START,
                "{} is not ready",
                self.subject.name
            );
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Waits until so many reconciles have ended and none waits; answers with the time since the start.
    pub(crate) async fn settled(&mut self, reconciles: u32, limit: Duration) -> Result<Duration> {
        loop {
            self.process.check()?;
            if let Ok(metrics) = self.http.get("/metrics", &[]).await {
                let of = |name| sum(&metrics, name);
                let counters = self.subject.counters;
                if of(counters.reconciled) >= f64::from(reconciles) && of(counters.waiting) == 0.0 {
                    return Ok(self.started.elapsed());
                }
            }
            ensure!(
                self.started.elapsed() < limit,
                "{} has not looked at all of them",
                self.subject.name
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Tells it to end and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(self.program.try_into()?), Signal::SIGTERM)?;
        while self.process.check().is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The program's number.
    pub(crate) fn program(&self) -> u32 {
        self.program
    }

    pub(crate) fn processor_time(&self) -> Result<Duration> {
        processor_time(self.program)
    }

    pub(crate) fn memory(&self) -> Result<Resident> {
        resident(self.program)
    }

    /// What it has asked for since then.
    pub(crate) fn requests(&self, since: Mark) -> Result<Requests> {
        Ok(Requests::of(&self.audit.requests_since(since, USER)?))
    }

    /// Waits until it asks for nothing any more.
    pub(crate) async fn quiet(&mut self, limit: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            self.process.check()?;
            let mark = self.audit.mark()?;
            sleep(QUIET).await;
            let requests = self.requests(mark)?;
            if requests.reads() + requests.writes() == 0 {
                return Ok(());
            }
            ensure!(
                start.elapsed() < limit,
                "{} goes on asking: {requests:?}",
                self.subject.name
            );
        }
    }
}

/// The program itself: the launcher's shell has started it first.
async fn program_of(process: &Process) -> Result<u32> {
    for _ in 0..100 {
        if let Some(program) = children(process.id())?.first() {
            return Ok(*program);
        }
        sleep(Duration::from_millis(5)).await;
    }
    anyhow::bail!("the launcher starts nothing")
}

fn sum(metrics: &str, name: &str) -> f64 {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = rest.starts_with([' ', '{']).then(|| rest.rsplit(' ').next())?;
        value?.parse::<f64>().ok()
    });
    values.sum()
}

/// Requests by verb, resource and outcome; watches aside.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Requests(Vec<Count>);

/// Requests of one kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Count {
    resource: String,
    verb: String,
    granted: bool,
    count: usize,
}

impl Requests {
    fn of(requests: &[Request]) -> Self {
        let mut counts = BTreeMap::<_, usize>::new();
        for request in requests.iter().filter(|request| request.verb != "watch") {
            let key = (&request.resource, &request.verb, request.status < 400);
            *counts.entry(key).or_default() += 1;
        }
        let counts = counts.into_iter();
        Self(
            counts
                .map(|((resource, verb, granted), count)| Count {
                    resource: resource.clone(),
                    verb: verb.clone(),
                    granted,
                    count,
                })
                .collect(),
        )
    }

    fn count(&self, wanted: impl Fn(&str, &str, bool) -> bool) -> usize {
        let matching = self
            .0
            .iter()
            .filter(|one| wanted(&one.resource, &one.verb, one.granted));
        matching.map(|one| one.count).sum()
    }

    /// Reads that were answered.
    pub(crate) fn reads(&self) -> usize {
        self.count(|_, verb, granted| is_read(verb) && granted)
    }

    /// Reads of what isn't there, such as of kinds that the cluster doesn't have: whether they have come is asked now and then.
    pub(crate) fn looks(&self) -> usize {
        self.count(|_, verb, granted| is_read(verb) && !granted)
    }

    pub(crate) fn writes(&self) -> usize {
        self.count(|_, verb, _| !is_read(verb))
    }

    /// Writes of that resource.
    pub(crate) fn writes_of(&self, of: &str) -> usize {
        self.count(|resource, verb, _| !is_read(verb) && resource == of)
    }

    /// Resource, verb and count of all writes, and of the refused among them.
    pub(crate) fn all_writes(&self) -> impl Iterator<Item = (&str, &str, bool, usize)> {
        let writes = self.0.iter().filter(|one| !is_read(&one.verb));
        writes.map(|one| (&*one.resource, &*one.verb, one.granted, one.count))
    }
}

fn is_read(verb: &str) -> bool {
    matches!(verb, "get" | "list")
}

impl std::fmt::Display for Requests {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} writes, {} reads, {} looks for what isn't there",
            self.writes(),
            self.reads(),
            self.looks()
        )
    }
}

/// The difference that something makes.
pub(crate) fn since(running: &Running<'_>, before: Duration) -> Result<Duration> {
    running
        .processor_time()?
        .checked_sub(before)
        .context("processor time goes back")
}
