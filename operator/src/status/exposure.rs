//! Whether the way from outside the cluster is there.

use kube::api::DynamicObject;
use serde_json::Value;

use super::Known;
use super::verdict::Verdict;
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
    let list = |value: &Value, field: &str| value[field].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list(&route.data["status"], "parents").iter().find_map(|parent| {
        let conditions = list(parent, "conditions");
        let refused = conditions
            .iter()
            .find(|one| one["type"] == "Accepted" && one["status"] == "False")?;
        Some(Verdict::no(
            "RouteRefused",
            format!(
                "Gateway {} doesn't take the HTTPRoute: {}: {}",
                text(&parent["parentRef"]["name"]),
                text(&refused["reason"]),
                text(&refused["message"])
            ),
        ))
    })
}
