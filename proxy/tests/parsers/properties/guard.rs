//! The parts that let requests in, from their headers to a client's name.

use std::fs;
use std::path::PathBuf;

use corral_proxy::config::flags::Flags;
use corral_proxy::identify::Verifier;
use corral_proxy::in_force::InForce;
use futures::executor::block_on;
use http::{HeaderMap, Request};
use prometheus_client::metrics::counter::Counter;
use tempfile::TempDir;

pub(super) struct Guard {
    in_force: InForce,
    verifier: Verifier,
}

impl Guard {
    pub(super) fn new(flags: &Flags) -> Self {
        Self {
            in_force: InForce::first(flags.load().expect("a configuration")),
            verifier: Verifier::new(Counter::default()).expect("threads"),
        }
    }

    /// Who is let in with these headers.
    pub(super) fn name(&self, headers: HeaderMap) -> Option<String> {
        let Self { in_force, verifier } = self;
        let address = in_force.addresses.client([192, 0, 2, 1].into(), &headers);
        let address = address.expect("any address may call");
        let (mut head, ()) = Request::new(()).into_parts();
        head.headers = headers;
        let identity = block_on(verifier.identify(&in_force.credentials, &head, None, address));
        identity.ok().map(|identity| identity.name().to_string())
    }
}

pub(super) fn write(folder: &TempDir, name: &str, content: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).expect("a file");
    path
}
