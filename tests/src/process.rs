//! Servers that run in the background and die with their owner, also when that is killed by SIGKILL.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command;

/// Runs a program until its standard input, a pipe that only the owner holds, comes to its end: the kernel closes
/// it however the owner dies. Then the whole process group goes, with whatever the program has started, such as
/// Ollama's runners. The program itself gets /dev/null.
///
/// A program that ends while the file `$1` is there begins anew once it is gone, as the system's own supervisor would
/// have it.
const TETHER: &str = r#"
away=$1
shift
exec 3<&0
"$@" </dev/null 3<&- &
program=$!
{ cat <&3 >/dev/null; kill -KILL 0; } &
exec 3<&-
while wait "$program"; status=$?; [ -e "$away" ]; do
    while [ -e "$away" ]; do sleep 0.1; done
    "$@" </dev/null &
    program=$!
done
exit "$status"
"#;

/// Starts servers with logs in one folder, each as it is or behind a prefix such as `nsenter …`.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// Put before every command line.
    pub prefix: Vec<OsString>,
    /// Where the logs go.
    pub logs: PathBuf,
}

impl Launcher {
    /// A command behind the prefix.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut words = self
            .prefix
            .iter()
            .map(OsString::as_os_str)
            .chain([program.as_ref()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command
    }

    /// Starts a server under that name.
    ///
    /// # Errors
    /// When the log can't be made or the program can't start.
    pub fn start<I, A>(
        &self,
        name: &str,
        program: &Path,
        arguments: I,
        environment: &[(&str, &OsStr)],
    ) -> Result<Process>
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        let log = self.logs.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("can't write {}", log.display()))?;
        let mut child = Command::new("sh")
            .args(["-c", TETHER, name])
            .arg(away(&log))
            .args(&self.prefix)
            .arg(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            // Ctrl-C on the terminal is for the owner, who ends its servers in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("can't start {name}"))?;
        let tether = child.stdin.take();
        Ok(Process {
            name: name.to_owned(),
            log,
            child,
            tether,
        })
    }
}

/// A server in the background; ends when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
    tether: Option<ChildStdin>,
}

impl Process {
    /// Its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The process that holds the server, its first child.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lets it stay away when it ends, until the answer is dropped: then it begins anew.
    ///
    /// # Errors
    /// When that can't be noted.
    pub fn stay_away(&self) -> Result<Away> {
        let mark = away(&self.log);
        File::create(&mark).with_context(|| format!("can't write {}", mark.display()))?;
        Ok(Away(mark))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Is it still running?
    ///
    /// # Errors
    /// When it has ended; the message has the end of its log.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!(
                "{} ended ({status}); the end of {}:\n{}",
                self.name,
                self.log.display(),
                command::tail(&self.log, 15)
            );
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.tether.take());
        // The tether kills the program and ends with it; there is nothing left to do if it can't be waited for.
        let _ = self.child.wait();
    }
}

/// A server that doesn't begin anew before this is dropped.
#[derive(Debug)]
pub struct Away(PathBuf);

impl Drop for Away {
    fn drop(&mut self) {
        // Where it can't be removed, whoever waits for the server says that it isn't there.
        let _ = fs::remove_file(&self.0);
    }
}

/// What marks that a server with that log stays away.
fn away(log: &Path) -> PathBuf {
    log.with_extension("away")
}

/// Asks again and again until the answer is yes.
///
/// # Errors
/// When a process that the answer depends on has ended, or the time is over: then with the last reason.
pub async fn wait_until<'a, T>(
    what: &str,
    limit: Duration,
    processes: impl IntoIterator<Item = &'a mut Process>,
    mut ask: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let start = Instant::now();
    let mut processes: Vec<&mut Process> = processes.into_iter().collect();
    loop {
        let reason = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(reason) => reason,
        };
        processes.iter_mut().try_for_each(|process| process.check())?;
        if start.elapsed() > limit {
            return Err(reason.context(format!("{what}: not within {} s", limit.as_secs())));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
