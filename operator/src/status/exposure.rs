//! Whether the way from outside the cluster is there.

use kube::api::DynamicObject;

use super::Known;
use super::verdict::{Verdict, refused};
use crate::plan::Kind;

/// What is wrong with it; none where all is well or nothing was asked for.
pub(super) fn exposed(known: &Known<'_>) -> Option<Verdict> {
    if known.unserved.contains(&Kind::HttpRoute) {
        return Some(Verdict::no(
            "GatewayAPIMissing",
            "spec.network.httpRoute needs the Gateway API (gateway.networking.k8s.io/v1), which this cluster doesn't have; \
             install it, or use spec.network.ingress",
        ));
    }
    route_refused(known.children.get(&Kind::HttpRoute)?)
}

/// A Gateway that doesn't take the route says why in its status (Gateway API, RouteParentStatus).
fn route_refused(route: &DynamicObject) -> Option<Verdict> {
    let parents = route.data["status"]["parents"].as_array()?;
    parents.iter().find_map(|parent| {
        let (reason, words) = refused(parent, "Accepted")?;
        let name = parent["parentRef"]["name"].as_str().unwrap_or_default();
        Some(Verdict::no(
            "RouteRefused",
            format!("Gateway {name} doesn't take the HTTPRoute: {reason}: {words}"),
        ))
    })
}
