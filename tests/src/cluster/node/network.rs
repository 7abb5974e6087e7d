//! The wire between the host and a node: a pair of interfaces with a network of four addresses to itself, out of
//! 198.18.0.0/15, which RFC 2544 sets aside for tests. It is gone with the node's network namespace.

use std::fs::File;
use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Result, bail};

use super::sandbox::Sandbox;
use crate::cache;
use crate::command;
use crate::process::Launcher;

/// How many nodes can run side by side.
const NETWORKS: u32 = 4096;

/// Address of the cluster's DNS server.
pub(super) const DNS: &str = "10.96.0.10";

/// The node's end of the wire.
pub(super) struct Network {
    address: Ipv4Addr,
    _lock: File,
}

impl Network {
    pub(super) fn create(id: &str, sandbox: &Sandbox, launcher: &Launcher) -> Result<Self> {
        let (network, lock) = reserve()?;
        let host = Ipv4Addr::from(network + 1);
        let node = Ipv4Addr::from(network + 2);
        let outside = format!("corral{id}");
        let init = sandbox.init().to_string();
        let ip = |arguments: &[&str]| command::output(Command::new("ip").args(arguments)).map(drop);
        let inside = |arguments: &[&str]| command::output(launcher.command("ip").args(arguments)).map(drop);
        ip(&[
            "link", "add", &outside, "type", "veth", "peer", "name", "uplink", "netns", &init,
        ])?;
        ip(&["address", "add", &format!("{host}/30"), "dev", &outside])?;
        ip(&["link", "set", &outside, "up"])?;
        inside(&["address", "add", &format!("{node}/30"), "dev", "uplink"])?;
        inside(&["link", "set", "uplink", "up"])?;
        // The kubelet and kube-proxy look for a default route to learn which addresses are the node's.
        inside(&["route", "add", "default", "via", &host.to_string()])?;
        // CoreDNS listens at the address that Pods ask, so that DNS doesn't hang on any other part.
        inside(&["address", "add", &format!("{DNS}/32"), "dev", "lo"])?;
        command::output(launcher.command("sysctl").args(["-qw", "net.ipv4.ip_forward=1"]))?;
        Ok(Self {
            address: node,
            _lock: lock,
        })
    }

    /// The node's address, reachable from the host and from Pods.
    pub(super) fn address(&self) -> Ipv4Addr {
        self.address
    }
}

/// A network that neither another node nor an interface of the host has.
fn reserve() -> Result<(u32, File)> {
    let locks = cache::folder("networks")?;
    let taken = command::output(Command::new("ip").args(["-oneline", "-family", "inet", "address"]))?;
    for number in 0..NETWORKS {
        let network = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + number * 4;
        let Some(lock) = cache::try_lock(&locks.join(number.to_string()))? else {
            continue;
        };
        if !taken.contains(&format!(" {}/", Ipv4Addr::from(network + 1))) {
            return Ok((network, lock));
        }
    }
    bail!("all {NETWORKS} networks for nodes are taken")
}
