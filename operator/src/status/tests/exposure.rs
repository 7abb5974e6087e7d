//! What the conditions say of the way from outside the cluster.

use super::*;

fn route(accepted: &str, resolved: &str) -> (Kind, Value) {
    let condition = |type_: &str, status: &str| json!({"type": type_, "status": status, "reason": format!("Not{type_}"), "message": "words"});
    let conditions = [
        condition("Accepted", accepted),
        condition("ResolvedRefs", resolved),
    ];
    let parents = json!([{"parentRef": {"name": "public"}, "conditions": conditions}]);
    (Kind::HttpRoute, json!({"status": {"parents": parents}}))
}

fn addressed(kind: Kind, addresses: &Value) -> (Kind, Value) {
    (kind, json!({"status": {"loadBalancer": {"ingress": addresses}}}))
}

/// Exposed, and then Degraded, as `Status/Reason`; `-` for a condition that is not there.
fn said(status: &OllamaServiceStatus) -> String {
    let words = ["Exposed", "Degraded"].map(|type_| {
        let found = status.conditions.iter().find(|one| one.type_ == type_);
        found.map_or("-".to_owned(), |one| format!("{}/{}", one.status, one.reason))
    });
    words.join(" ")
}

#[test]
fn the_way_from_outside_is_spoken_of_where_one_is_asked_for() {
    const WELL: &str = "False/AsExpected";
    let balanced = || json!({"service": {"type": "LoadBalancer"}});
    let ingress = || json!({"network": {"ingress": {"hosts": ["a.example"]}}});
    let routed = || json!({"network": {"httpRoute": {"parentRefs": [{"name": "public"}]}}});
    let both = json!({"service": {"type": "LoadBalancer"}, "network": ingress()["network"]});
    let ip = json!([{"ip": "192.0.2.7"}, {"hostname": "lb.example"}]);
    let service = |addresses| addressed(Kind::Service, addresses);
    let cases: [(_, _, Vec<(Kind, Value)>, _, _); 14] = [
        ("nothing asked for", json!({}), vec![service(&json!([]))], "-", ""),
        (
            "no Service yet",
            balanced(),
            vec![],
            "False/AddressPending",
            "kubectl describe service x",
        ),
        (
            "no address",
            balanced(),
            vec![service(&json!([]))],
            "False/AddressPending",
            "has no address",
        ),
        (
            "addresses",
            balanced(),
            vec![service(&ip)],
            "True/AddressAssigned",
            "192.0.2.7, lb.example",
        ),
        (
            "an Ingress",
            ingress(),
            vec![],
            "Unknown/AddressPending",
            "kubectl describe ingress x",
        ),
        (
            "an Ingress with an address",
            ingress(),
            vec![addressed(Kind::Ingress, &ip)],
            "True/AddressAssigned",
            "The Ingress has the address 192.0.2.7",
        ),
        (
            "a load balancer before an Ingress",
            both.clone(),
            vec![addressed(Kind::Ingress, &ip)],
            "False/AddressPending",
            "Service x is of type LoadBalancer",
        ),
        (
            "an Ingress behind one",
            both,
            vec![service(&ip)],
            "Unknown/AddressPending",
            "192.0.2.7",
        ),
        (
            "a route",
            routed(),
            vec![],
            "Unknown/RoutePending",
            "kubectl describe httproute x",
        ),
        (
            "a route that was just made",
            routed(),
            vec![(Kind::HttpRoute, json!({"status": {"parents": []}}))],
            "Unknown/RoutePending",
            "No Gateway",
        ),
        (
            "it is accepted",
            routed(),
            vec![route("True", "True")],
            "True/RouteAccepted",
            "public",
        ),
        (
            "it is refused",
            routed(),
            vec![route("False", "True")],
            "False/RouteRefused",
            "Gateway public doesn't take the HTTPRoute: NotAccepted: words",
        ),
        (
            "it leads nowhere",
            routed(),
            vec![route("True", "False")],
            "False/RouteRefused",
            "Gateway public can't send requests where the HTTPRoute says: NotResolvedRefs: words",
        ),
        (
            "nobody knows yet",
            routed(),
            vec![route("Unknown", "Unknown")],
            "Unknown/RoutePending",
            "",
        ),
    ];
    for (what, spec, children, exposed, words) in cases {
        let case = Case {
            spec,
            children,
            ..Case::default()
        };
        let status = case.status(&OllamaServiceStatus::default(), NOW);
        let degraded = if exposed == "False/RouteRefused" {
            "True/RouteRefused"
        } else {
            WELL
        };
        assert_eq!(said(&status), format!("{exposed} {degraded}"), "{what}");
        assert!(status.says("Ready"), "{what}: inside it answers");
        let found = status.conditions.iter().find(|one| one.type_ == "Exposed");
        let message = found.map_or("", |found| &found.message);
        assert!(message.contains(words), "{what}: {message}");
    }
    let unserved = Case {
        spec: routed(),
        unserved: &[Kind::HttpRoute],
        ..Case::default()
    };
    let status = unserved.status(&OllamaServiceStatus::default(), NOW);
    assert_eq!(said(&status), "False/GatewayAPIMissing True/GatewayAPIMissing");
}

#[test]
fn a_load_balancer_without_an_address_needs_help_after_a_while() {
    let case = |spec: Value| Case {
        spec,
        ..Case::default()
    };
    let at = |seconds| NOW + SignedDuration::from_secs(seconds);
    let balanced = case(json!({"service": {"type": "LoadBalancer"}}));
    let first = balanced.status(&OllamaServiceStatus::default(), NOW);
    let left = |status: &OllamaServiceStatus, seconds| {
        let left = balanced.known(|_, known| until_more(known, status, at(seconds)));
        left.map(|left| left.as_secs())
    };
    assert_eq!(left(&first, 0), Some(120));
    let later = balanced.status(&first, at(119));
    assert_eq!((later.clone(), left(&later, 119)), (first, Some(1)));
    let over = balanced.status(&later, at(120));
    assert_eq!(said(&over), "False/AddressPending True/AddressPending");
    assert!(over.says("Ready"));
    assert_eq!(left(&over, 120), None);
    let ingress = case(json!({"network": {"ingress": {"hosts": ["a.example"]}}}));
    let first = ingress.status(&OllamaServiceStatus::default(), NOW);
    assert_eq!(ingress.status(&first, at(86400)), first, "many never show one");
}
