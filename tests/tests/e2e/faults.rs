//! What breaks on a node, and what the users' streams see of it.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use corral_tests::ollama::Ollama;
use corral_tests::{command, registry};
use serde_json::json;

use crate::fixture::{Fixture, KEY, SERVICE, bearer, secret_path};
use crate::stream::{Stream, Traffic};

/// Longest time that anything here may take to be well again.
const RECOVERY: Duration = Duration::from_secs(180);
/// How long the API server is away.
const AWAY: Duration = Duration::from_secs(60);
/// How long a rotation isn't proven that can't be: longer than any that can takes.
const UNPROVEN: Duration = Duration::from_secs(15);
const KEYS: &str = "team-a-keys";

/// The stream of the Pod breaks off and can't be taken for a whole answer, the other's goes on; Ollama keeps the model.
pub(crate) async fn a_killed_proxy_cuts_its_own_streams_only(fixture: &Fixture) -> Result<()> {
    let [struck, other] = two_pods(fixture)?;
    let before = restarts(fixture, &struck)?;
    let (mut cut, mut whole) = (Stream::of(fixture, &struck)?, Stream::of(fixture, &other)?);
    cut.wait_for_lines(3)?;
    whole.wait_for_lines(3)?;
    let url = fixture.url(SERVICE)?;
    let (recovered, traffic) = Traffic::during(fixture, &url, || {
        kill(fixture, &struck, "corral-proxy")?;
        let start = Instant::now();
        wait_for(fixture, "the proxy runs again", || {
            Ok(restarts(fixture, &struck)?.proxy > before.proxy && is_ready(fixture, &struck)?)
        })?;
        Ok(start.elapsed())
    })?;
    println!("  the stream of the killed proxy: {}", cut.end()?);
    println!("  the stream of the other replica: {}", whole.end()?);
    println!("  ready again after {recovered:.1?}; through the Service meanwhile: {traffic}");
    ensure!(!cut.is_whole(), "a stream that was cut looks whole");
    ensure!(whole.is_whole(), "another replica's stream was cut");
    let after = restarts(fixture, &struck)?;
    ensure!(after.ollama == before.ollama, "Ollama was restarted: {after:?}");
    let loaded = fixture.curl(
        &format!("{}/api/ps", fixture.proxy(&struck)?),
        &["--header", &bearer(KEY)],
    )?;
    ensure!(
        loaded.body.contains(registry::MODEL),
        "the model has left memory: {loaded:?}"
    );
    settled(fixture)
}

/// The proxy says so, takes no traffic until Ollama is back, and goes on without being restarted.
pub(crate) async fn a_killed_ollama_comes_back_behind_its_proxy(fixture: &Fixture) -> Result<()> {
    let [struck, _] = two_pods(fixture)?;
    let before = restarts(fixture, &struck)?;
    let mut cut = Stream::of(fixture, &struck)?;
    cut.wait_for_lines(3)?;
    let url = fixture.url(SERVICE)?;
    let (recovered, traffic) = Traffic::during(fixture, &url, || {
        kill(fixture, &struck, "ollama")?;
        let start = Instant::now();
        wait_for(fixture, "Ollama runs again", || {
            Ok(restarts(fixture, &struck)?.ollama > before.ollama && is_ready(fixture, &struck)?)
        })?;
        Ok(start.elapsed())
    })?;
    println!("  the stream of the killed Ollama: {}", cut.end()?);
    println!("  ready again after {recovered:.1?}; through the Service meanwhile: {traffic}");
    ensure!(!cut.is_whole(), "a stream that was cut looks whole");
    let after = restarts(fixture, &struck)?;
    ensure!(after.proxy == before.proxy, "the proxy was restarted: {after:?}");
    settled(fixture)
}

/// Answers go on; a rotation that no kubelet carries is not called proven; a node that is NotReady shows in the status; and
/// all of it is well again once the kubelet is back.
pub(crate) async fn a_node_without_its_kubelet_serves_on_and_proves_nothing(fixture: &Fixture) -> Result<()> {
    let before = fixture.identities()?;
    let url = fixture.url(SERVICE)?;
    let new = "key-while-the-kubelet-is-away";
    let kubelet = fixture.node()?.take_away("kubelet")?;
    let (version, traffic) = Traffic::during(fixture, &url, || {
        let version = fixture.secret(KEYS, &[("ci", new)])?;
        thread::sleep(UNPROVEN);
        Ok(version)
    })?;
    println!("  without a kubelet: {traffic}");
    ensure!(
        traffic.is_unharmed(),
        "a request failed without a kubelet: {traffic}"
    );
    ensure!(
        reported(fixture)? != version,
        "a rotation is called proven that can't have been carried"
    );
    println!(
        "  CredentialsSynced: {}",
        condition(fixture, "CredentialsSynced")?
    );
    let (not_ready, traffic) = Traffic::during(fixture, &url, || {
        let start = Instant::now();
        wait_for(fixture, "the status tells of the node", || {
            Ok(condition(fixture, "Available")?.starts_with("False NodeUnreachable"))
        })?;
        Ok(start.elapsed())
    })?;
    println!(
        "  after {not_ready:.1?} more the node is NotReady; Available: {}",
        condition(fixture, "Available")?
    );
    println!("  until then: {traffic}");
    let pod = fixture.pods(SERVICE)?.pop().context("no Pod")?;
    let mut stream = Stream::of(fixture, &pod)?;
    stream.wait_for_lines(1)?;
    wait_for(fixture, "Kubernetes sends no new ones", || {
        Ok(fixture
            .curl(&format!("{url}/api/tags"), &["--header", &bearer(KEY)])
            .is_err())
    })?;
    println!("  no new one comes; a stream under way: {}", stream.end()?);
    ensure!(stream.is_whole(), "a stream was cut for its node being NotReady");
    drop(kubelet);
    let start = Instant::now();
    fixture.wait(SERVICE, "condition=Ready", "180s")?;
    fixture.wait_for_secret(SERVICE, KEYS, &version, "120s")?;
    println!(
        "  ready, and the rotation proven, {:.1?} after the kubelet's return",
        start.elapsed()
    );
    rotated(fixture, new, &before)?;
    settled(fixture)
}

/// A key is rotated, and the API server is gone before anybody has heard of it.
pub(crate) async fn an_api_server_that_is_away_for_a_minute_delays_a_rotation_and_nothing_else(
    fixture: &Fixture,
) -> Result<()> {
    let before = fixture.identities()?;
    let url = fixture.url(SERVICE)?;
    let new = "key-while-the-api-server-is-away";
    let (version, traffic) = Traffic::during(fixture, &url, || {
        let version = fixture.secret(KEYS, &[("ci", new)])?;
        let api_server = fixture.node()?.take_away("kube-apiserver")?;
        thread::sleep(AWAY);
        drop(api_server);
        Ok(version)
    })?;
    println!("  without an API server: {traffic}");
    ensure!(
        traffic.is_unharmed(),
        "a request failed without an API server: {traffic}"
    );
    wait_for(fixture, "the API server answers", || {
        Ok(fixture.run(&["get", "--raw", "/readyz"]).is_ok())
    })?;
    let start = Instant::now();
    fixture.wait_for_secret(SERVICE, KEYS, &version, "120s")?;
    println!(
        "  the rotation is proven {:.1?} after the API server's return",
        start.elapsed()
    );
    rotated(fixture, new, &before)?;
    settled(fixture)
}

/// The status says what is full; with room the pull comes to its end by itself; and a disk that fills up later stops no
/// stream.
pub(crate) async fn a_full_disk_is_named_and_stops_no_stream(fixture: &Fixture) -> Result<()> {
    let (service, folder) = ("full-disk", "/run/containerd/small-disk");
    let node = fixture.node()?;
    command::output(node.command("mkdir").arg(folder))?;
    command::output(node.command("mount").args([
        "-t",
        "tmpfs",
        "-o",
        "size=64m,mode=0777",
        "small-disk",
        folder,
    ]))?;
    fixture.kubectl().apply(&small_volume(folder))?;
    // It changes nothing here: Ollama has to live with a key that it can't write.
    let account = Ollama::without_models().await?;
    let key = fs::read_to_string(account.home().join(".ollama/id_ed25519"))?;
    fixture.secret("account", &[("id_ed25519", &key)])?;
    fixture.apply_service(
        service,
        &json!({
            "models": [{"name": registry::MODEL, "insecure": true}],
            "registryKey": {"secretKeyRef": {"name": "account"}},
            "storage": {"size": "1Gi", "storageClassName": "small"},
            "auth": {"apiKeys": {"secretRef": {"name": KEYS}}},
        }),
    )?;
    wait_for(fixture, "the status tells of the full disk", || {
        Ok(condition_of(fixture, service, "ModelsReady")?.contains("no space left"))
    })?;
    println!(
        "  ModelsReady: {}",
        condition_of(fixture, service, "ModelsReady")?
    );
    command::output(node.command("mount").args(["-o", "remount,size=1g", folder]))?;
    let start = Instant::now();
    fixture.wait(service, "condition=Ready", "240s")?;
    println!("  ready {:.1?} after there was room", start.elapsed());

    let fill = format!("cat /dev/zero >{folder}/fill || true");
    command::output(node.command("sh").args(["-c", &fill]))?;
    let pod = fixture.pods(service)?.pop().context("no Pod")?;
    let mut stream = Stream::of(fixture, &pod)?;
    println!("  the stream of an Ollama whose disk is full: {}", stream.end()?);
    ensure!(stream.is_whole(), "the stream broke");
    fixture.wait(service, "condition=Ready", "1s")?;

    let selector = format!("--selector=app.kubernetes.io/instance={service}");
    fixture.run(&["delete", "ollamaservice", service])?;
    fixture.run(&["wait", "--for=delete", "pod", &selector, "--timeout=120s"])?;
    Ok(())
}

fn small_volume(folder: &str) -> String {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "small"},
        "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer",
    });
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "small"},
        "spec": {
            "storageClassName": "small",
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "local": {"path": folder},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "Exists"},
            ]}]}},
        },
    });
    format!("{class}\n---\n{volume}")
}

/// The new key is in force and the old one isn't, in the very Pods that there were before.
fn rotated(fixture: &Fixture, new: &str, before: &str) -> Result<()> {
    let tags = format!("{}/api/tags", fixture.url(SERVICE)?);
    for (key, status) in [(new, 200), (KEY, 401)] {
        let answer = fixture.curl(&tags, &["--header", &bearer(key)])?;
        ensure!(answer.status == status, "{key}: {answer:?}");
    }
    ensure!(fixture.identities()? == before, "a Pod was replaced or restarted");
    Ok(())
}

/// Everything as other cases want it.
fn settled(fixture: &Fixture) -> Result<()> {
    let version = fixture.secret(KEYS, &[("ci", KEY)])?;
    fixture.wait_for_secret(SERVICE, KEYS, &version, "120s")?;
    fixture.wait(SERVICE, "condition=Ready", "180s")
}

fn two_pods(fixture: &Fixture) -> Result<[String; 2]> {
    let pods = fixture.pods(SERVICE)?;
    pods.try_into()
        .map_err(|pods| anyhow::anyhow!("not two Pods: {pods:?}"))
}

/// How often the containers of a Pod were restarted.
#[derive(Debug)]
struct Restarts {
    proxy: u32,
    ollama: u32,
}

fn restarts(fixture: &Fixture, pod: &str) -> Result<Restarts> {
    let of = |list: &str, name: &str| -> Result<u32> {
        let path = format!("{{.status.{list}[?(@.name==\"{name}\")].restartCount}}");
        let count = fixture.field(pod, &path)?;
        count
            .parse()
            .with_context(|| format!("{name}'s restarts: {count:?}"))
    };
    Ok(Restarts {
        proxy: of("containerStatuses", "proxy")?,
        ollama: of("initContainerStatuses", "ollama")?,
    })
}

fn is_ready(fixture: &Fixture, pod: &str) -> Result<bool> {
    Ok(fixture.field(pod, "{.status.conditions[?(@.type==\"Ready\")].status}")? == "True")
}

/// Kills a Pod's processes of that name, as the kernel does when memory is short. A container's processes know the Pod's
/// name as their host's.
fn kill(fixture: &Fixture, pod: &str, program: &str) -> Result<()> {
    const SCRIPT: &str = "
        killed=no
        for process in $(pgrep -x \"$1\"); do
            if tr '\\0' '\\n' </proc/$process/environ | grep -qx \"HOSTNAME=$2\"; then
                kill -KILL $process && killed=yes
            fi
        done
        [ $killed = yes ]";
    let pod = pod.trim_start_matches("pod/");
    let mut script = fixture.node()?.command("sh");
    command::output(script.args(["-c", SCRIPT, "sh", program, pod]))
        .with_context(|| format!("no {program} of {pod} to kill"))?;
    Ok(())
}

/// `True`, `False` or `Unknown`, the reason and the message.
fn condition(fixture: &Fixture, condition: &str) -> Result<String> {
    condition_of(fixture, SERVICE, condition)
}

fn condition_of(fixture: &Fixture, service: &str, condition: &str) -> Result<String> {
    let one = format!(".status.conditions[?(@.type==\"{condition}\")]");
    let path = format!("{{{one}.status}} {{{one}.reason}}: {{{one}.message}}");
    fixture.field(&format!("ollamaservice/{service}"), &path)
}

fn reported(fixture: &Fixture) -> Result<String> {
    fixture.field(&format!("ollamaservice/{SERVICE}"), &secret_path(KEYS))
}

fn wait_for(fixture: &Fixture, what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !is_so()? {
        ensure!(
            start.elapsed() < RECOVERY,
            "not within {RECOVERY:?}: {what}\n{}",
            fixture.state()
        );
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
