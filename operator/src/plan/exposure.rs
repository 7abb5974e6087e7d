//! How clients find the Pods: Service, Ingress and HTTPRoute.

use std::collections::BTreeMap;

use corral_proxy::config::{OLLAMA_PORT, PROXY_PORT};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
    IngressSpec, IngressTLS, ServiceBackendPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;

use super::Prepared;
use super::credentials::tls_secret;
use super::names::{metadata, selector_labels};
use crate::crd::{self, HttpRouteTimeouts, OllamaService, ParentRef, ServiceExposure, ServiceType};

/// Where clients in the cluster find the service.
pub fn endpoint(service: &OllamaService) -> String {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let scheme = scheme(tls_secret(service).as_deref());
    format!("{scheme}://{name}.{namespace}.svc:{OLLAMA_PORT}")
}

/// What clients speak, as a scheme and as the name of the ports.
pub(super) fn scheme(tls_secret: Option<&str>) -> &'static str {
    if tls_secret.is_some() { "https" } else { "http" }
}

pub(super) fn service(prepared: &Prepared<'_>) -> Service {
    let ServiceExposure {
        kind,
        annotations,
        labels,
        node_port,
        load_balancer_class,
        load_balancer_source_ranges,
        external_traffic_policy,
        session_affinity,
    } = prepared.spec.service.clone().unwrap_or_default();
    let mut metadata = with_annotations(metadata(prepared, prepared.name), annotations);
    metadata.labels.get_or_insert_default().extend(labels);
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(format!("{kind:?}")),
            selector: Some(selector_labels(prepared.name)),
            ports: Some(vec![ServicePort {
                node_port: node_port.filter(|_| kind != ServiceType::ClusterIP),
                ..port(scheme(prepared.tls_secret.as_deref()))
            }]),
            load_balancer_class,
            load_balancer_source_ranges: Some(load_balancer_source_ranges)
                .filter(|ranges| !ranges.is_empty()),
            external_traffic_policy: external_traffic_policy.map(|policy| format!("{policy:?}")),
            session_affinity: session_affinity.map(|affinity| format!("{affinity:?}")),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn port(scheme: &str) -> ServicePort {
    ServicePort {
        name: Some(scheme.to_owned()),
        port: OLLAMA_PORT.into(),
        target_port: Some(IntOrString::Int(PROXY_PORT.into())),
        protocol: Some("TCP".to_owned()),
        app_protocol: Some(scheme.to_owned()),
        ..ServicePort::default()
    }
}

fn with_annotations(mut metadata: ObjectMeta, annotations: BTreeMap<String, String>) -> ObjectMeta {
    metadata.annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
    metadata
}

/// What lets streams through as they are: an hour of silence instead of a minute, since a large model may load before the
/// first token; nothing held back; bodies of any size, since images and blobs are large. Each controller reads its own.
const FOR_STREAMS: [(&str, &str); 12] = [
    ("nginx.ingress.kubernetes.io/proxy-read-timeout", "3600"),
    ("nginx.ingress.kubernetes.io/proxy-send-timeout", "3600"),
    ("nginx.ingress.kubernetes.io/proxy-buffering", "off"),
    ("nginx.ingress.kubernetes.io/proxy-request-buffering", "off"),
    ("nginx.ingress.kubernetes.io/proxy-body-size", "0"),
    ("nginx.org/proxy-read-timeout", "3600s"),
    ("nginx.org/proxy-send-timeout", "3600s"),
    ("nginx.org/proxy-buffering", "false"),
    ("nginx.org/client-max-body-size", "0"),
    ("haproxy.org/timeout-server", "3600s"),
    ("haproxy-ingress.github.io/timeout-server", "3600s"),
    // Contour's is of the whole answer.
    ("projectcontour.io/response-timeout", "infinity"),
];

/// What has each controller speak HTTPS to the proxy. Traefik goes by the name of the Service's port; Contour wants an
/// annotation on the Service, which `spec.service.annotations` takes.
fn for_tls(service: &str) -> [(&str, &str); 4] {
    [
        ("nginx.ingress.kubernetes.io/backend-protocol", "HTTPS"),
        ("nginx.org/ssl-services", service),
        ("haproxy.org/server-ssl", "true"),
        ("haproxy-ingress.github.io/backend-protocol", "h1-ssl"),
    ]
}

pub(super) fn ingress(prepared: &Prepared<'_>) -> Option<Ingress> {
    let crd::Ingress {
        class_name,
        hosts,
        annotations,
        tls_secret_name,
    } = prepared.spec.network.as_ref()?.ingress.clone()?;
    let for_tls = prepared.tls_secret.as_ref().map(|_| for_tls(prepared.name));
    let owned = FOR_STREAMS.into_iter().chain(for_tls.into_iter().flatten());
    let mut all: BTreeMap<_, _> = owned
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    all.extend(annotations);
    let rule = |host: &String| IngressRule {
        host: Some(host.clone()),
        http: Some(to_service(prepared.name)),
    };
    let tls = tls_secret_name.map(|secret| {
        vec![IngressTLS {
            hosts: Some(hosts.clone()),
            secret_name: Some(secret),
        }]
    });
    Some(Ingress {
        metadata: with_annotations(metadata(prepared, prepared.name), all),
        spec: Some(IngressSpec {
            ingress_class_name: class_name,
            rules: Some(hosts.iter().map(rule).collect()),
            tls,
            ..IngressSpec::default()
        }),
        ..Ingress::default()
    })
}

fn to_service(name: &str) -> HTTPIngressRuleValue {
    HTTPIngressRuleValue {
        paths: vec![HTTPIngressPath {
            path: Some("/".to_owned()),
            path_type: "Prefix".to_owned(),
            backend: IngressBackend {
                service: Some(IngressServiceBackend {
                    name: name.to_owned(),
                    port: Some(ServiceBackendPort {
                        number: Some(OLLAMA_PORT.into()),
                        ..ServiceBackendPort::default()
                    }),
                }),
                ..IngressBackend::default()
            },
        }],
    }
}

/// The part of an HTTPRoute (gateway.networking.k8s.io/v1) that is needed here.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HttpRoute {
    api_version: &'static str,
    kind: &'static str,
    metadata: ObjectMeta,
    spec: HttpRouteSpec,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HttpRouteSpec {
    parent_refs: Vec<ParentRef>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hostnames: Vec<String>,
    rules: [HttpRouteRule; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HttpRouteRule {
    backend_refs: [BackendRef; 1],
    timeouts: HttpRouteTimeouts,
}

#[derive(Serialize)]
struct BackendRef {
    name: String,
    port: u16,
}

pub(super) fn http_route(prepared: &Prepared<'_>) -> Option<HttpRoute> {
    let crd::HttpRoute {
        parent_refs,
        hostnames,
        annotations,
        timeouts,
    } = prepared.spec.network.as_ref()?.http_route.clone()?;
    let backend = BackendRef {
        name: prepared.name.to_owned(),
        port: OLLAMA_PORT,
    };
    Some(HttpRoute {
        api_version: "gateway.networking.k8s.io/v1",
        kind: "HTTPRoute",
        metadata: with_annotations(metadata(prepared, prepared.name), annotations),
        spec: HttpRouteSpec {
            parent_refs,
            hostnames,
            rules: [HttpRouteRule {
                backend_refs: [backend],
                timeouts,
            }],
        },
    })
}
