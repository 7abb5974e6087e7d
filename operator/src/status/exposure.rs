//! Exposed: whether the way from outside the cluster is there, where one is asked for.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;

use super::conditions::of_type;
use super::verdict::{Truth, Verdict, refused};
use super::{Known, overdue};
use crate::crd::{OllamaService, OllamaServiceStatus, ServiceType};
use crate::plan::Kind;

/// The condition that is there only where a way from outside is asked for.
pub(super) const EXPOSED: &str = "Exposed";
/// Nobody has said yet at which address it is found.
const ADDRESS_PENDING: &str = "AddressPending";
/// A cloud makes a load balancer within this time.
const PATIENCE: SignedDuration = SignedDuration::from_mins(2);

/// What is known of all ways that are asked for; the worst first.
pub(super) fn exposed(
    service: &OllamaService,
    before: &OllamaServiceStatus,
    known: &Known<'_>,
    now: Timestamp,
) -> Option<Verdict> {
    let ways = [
        load_balancer(service, before, known, now),
        ingress(service, known),
        route(service, known),
    ];
    let mut ways: Vec<_> = ways.into_iter().flatten().collect();
    ways.sort_by_key(|way| match way.truth {
        _ if way.needs_help => 0,
        Truth::False => 1,
        Truth::Unknown => 2,
        Truth::True => 3,
    });
    ways.into_iter().reduce(Verdict::and)
}

/// After what time a load balancer without an address has been so for too long.
pub(super) fn until_more(status: &OllamaServiceStatus, now: Timestamp) -> Option<Duration> {
    let since = no_address_since(status)?;
    overdue::left(since, PATIENCE, now)
}

fn no_address_since(status: &OllamaServiceStatus) -> Option<Timestamp> {
    let exposed = of_type(&status.conditions, EXPOSED)?;
    let waits = exposed.status == Truth::False.text() && exposed.reason == ADDRESS_PENDING;
    waits.then_some(exposed.last_transition_time.0)
}

fn load_balancer(
    service: &OllamaService,
    before: &OllamaServiceStatus,
    known: &Known<'_>,
    now: Timestamp,
) -> Option<Verdict> {
    let asked = service.spec.service.as_ref()?;
    if asked.kind != ServiceType::LoadBalancer {
        return None;
    }
    if let Some(addresses) = addresses(known, Kind::Service) {
        let message = format!("The load balancer has the address {addresses}");
        return Some(Verdict::yes("AddressAssigned", message));
    }
    let name = service.name_any();
    let message = format!(
        "Service {name} is of type LoadBalancer and has no address: the cloud hasn't given it one yet, or nothing in the \
         cluster gives addresses, as MetalLB would; see: kubectl describe service {name}"
    );
    let since = no_address_since(before).unwrap_or(now);
    Some(match overdue::left(since, PATIENCE, now) {
        Some(_) => Verdict::not_yet(ADDRESS_PENDING, message),
        None => Verdict::no(ADDRESS_PENDING, message),
    })
}

/// Many controllers outside clouds never publish an address, so a missing one is nothing wrong.
fn ingress(service: &OllamaService, known: &Known<'_>) -> Option<Verdict> {
    service.spec.network.as_ref()?.ingress.as_ref()?;
    if let Some(addresses) = addresses(known, Kind::Ingress) {
        let message = format!("The Ingress has the address {addresses}");
        return Some(Verdict::yes("AddressAssigned", message));
    }
    let name = service.name_any();
    Some(Verdict::unknown(
        ADDRESS_PENDING,
        format!(
            "Ingress {name} shows no address: no controller has taken it, or its controller shows none, which is well where \
             you know under which address that answers; see: kubectl describe ingress {name}"
        ),
    ))
}

/// The addresses in the status of a Service or an Ingress (core/v1 LoadBalancerStatus; networking.k8s.io/v1 has the same).
fn addresses(known: &Known<'_>, kind: Kind) -> Option<String> {
    let addresses = known.children.get(&kind)?.data["status"]["loadBalancer"]["ingress"].as_array()?;
    let text = |one: &Value| Some(one["hostname"].as_str().or(one["ip"].as_str())?.to_owned());
    let addresses: Vec<_> = addresses.iter().filter_map(text).collect();
    (!addresses.is_empty()).then(|| addresses.join(", "))
}

fn route(service: &OllamaService, known: &Known<'_>) -> Option<Verdict> {
    service.spec.network.as_ref()?.http_route.as_ref()?;
    if known.unserved.contains(&Kind::HttpRoute) {
        return Some(Verdict::no(
            "GatewayAPIMissing",
            "spec.network.httpRoute needs the Gateway API (gateway.networking.k8s.io/v1), which this cluster doesn't have; \
             install it, or use spec.network.ingress",
        ));
    }
    let parents = known
        .children
        .get(&Kind::HttpRoute)
        .and_then(|live| parents(live));
    let parents = parents.unwrap_or_default();
    if let Some(refused) = parents.iter().find_map(route_refused) {
        return Some(refused);
    }
    let takes = |parent: &&Value| {
        let mut conditions = parent["conditions"].as_array().into_iter().flatten();
        conditions.any(|one| one["type"] == "Accepted" && one["status"] == "True")
    };
    let names: Vec<_> = parents.iter().filter(takes).map(gateway).collect();
    Some(if names.is_empty() {
        let name = service.name_any();
        let message = format!(
            "No Gateway has said whether it takes HTTPRoute {name}; are there those of spec.network.httpRoute.parentRefs, and \
             a controller of theirs? See: kubectl describe httproute {name}"
        );
        Verdict::unknown("RoutePending", message)
    } else {
        Verdict::yes(
            "RouteAccepted",
            format!("The HTTPRoute is taken by Gateway {}", names.join(", ")),
        )
    })
}

/// What each Gateway's controller says of the route (Gateway API, RouteParentStatus).
fn parents(route: &DynamicObject) -> Option<&[Value]> {
    route.data["status"]["parents"].as_array().map(Vec::as_slice)
}

fn gateway(parent: &Value) -> &str {
    parent["parentRef"]["name"].as_str().unwrap_or_default()
}

/// A Gateway that doesn't take the route, or can't send anything where the route says, tells why.
fn route_refused(parent: &Value) -> Option<Verdict> {
    let kinds = [
        ("Accepted", "doesn't take the HTTPRoute"),
        ("ResolvedRefs", "can't send requests where the HTTPRoute says"),
    ];
    kinds.into_iter().find_map(|(condition, what)| {
        let (reason, words) = refused(parent, condition)?;
        let message = format!("Gateway {} {what}: {reason}: {words}", gateway(parent));
        Some(Verdict::no("RouteRefused", message))
    })
}
