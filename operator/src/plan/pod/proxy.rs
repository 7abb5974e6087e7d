//! The container of the proxy.

use corral_proxy::config::{ADMIN_PORT, PROXY_PORT, paths};
use k8s_openapi::api::core::v1::{Container, ContainerPort, HTTPGetAction, Probe, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{container_security, volumes};
use crate::plan::Prepared;
use crate::plan::exposure::scheme;

pub(super) const CONTAINER: &str = "proxy";

/// The proxy's image has `corral-proxy` as its entry point.
pub(super) fn container(prepared: &Prepared<'_>) -> Container {
    Container {
        name: CONTAINER.to_owned(),
        image: Some(prepared.proxy_image.to_owned()),
        image_pull_policy: Some(format!("{:?}", prepared.pull_policy)),
        args: Some(vec![
            "--config".to_owned(),
            format!("{}/{}", paths::CONFIG_DIRECTORY, paths::CONFIG_FILE),
        ]),
        ports: Some(vec![
            port(scheme(prepared.tls_secret.as_deref()), PROXY_PORT),
            port("admin", ADMIN_PORT),
        ]),
        liveness_probe: Some(Probe {
            failure_threshold: Some(6),
            ..probe("/livez", 10)
        }),
        readiness_probe: Some(Probe {
            failure_threshold: Some(2),
            ..probe("/readyz", 2)
        }),
        resources: Some(resources()),
        security_context: Some(container_security()),
        volume_mounts: Some(volumes::of_proxy(prepared)),
        ..Container::default()
    }
}

fn port(name: &str, port: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: port.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(ADMIN_PORT.into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}

/// Enough for thousands of streams; little enough to be sure of a place beside Ollama.
fn resources() -> ResourceRequirements {
    let list = |cpu: &str, memory: &str| {
        Some(
            [
                ("cpu".to_owned(), Quantity(cpu.to_owned())),
                ("memory".to_owned(), Quantity(memory.to_owned())),
            ]
            .into(),
        )
    };
    ResourceRequirements {
        requests: list("50m", "64Mi"),
        limits: list("2", "512Mi"),
        claims: None,
    }
}
