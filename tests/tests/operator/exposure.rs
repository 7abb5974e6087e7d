//! How clients outside the cluster find a service, and what goes when it is no longer asked for.

use corral_operator::plan::Kind;
use corral_tests::foreign::Foreign;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::lab::{Lab, eventually};

async fn gone(lab: &Lab, what: &str) {
    eventually(what, || async {
        match lab.api::<Ingress>().get_opt("x").await.unwrap() {
            None => Ok(()),
            Some(ingress) => Err(format!("{:?}", ingress.metadata)),
        }
    })
    .await;
}

/// What a controller says that gives addresses (a fake of it: there is none in the cluster).
fn addressed() -> Patch<Value> {
    Patch::Merge(json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}))
}

#[tokio::test]
async fn an_ingress_comes_is_kept_and_goes_with_the_field() {
    let lab = Lab::new("ingress").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({"network": {"ingress": {"hosts": ["a.example"]}}}))
        .await;
    lab.condition("x", "Available", "False", "Starting").await;
    let ingresses = lab.api::<Ingress>();
    let made = ingresses.get("x").await.unwrap();
    assert_eq!(
        made.annotations()["nginx.ingress.kubernetes.io/proxy-buffering"],
        "off"
    );

    let message = lab.condition("x", "Exposed", "Unknown", "AddressPending").await;
    assert!(message.contains("Ingress x shows no address"), "{message}");
    ingresses
        .patch_status("x", &PatchParams::default(), &addressed())
        .await
        .unwrap();
    lab.condition("x", "Exposed", "True", "AddressAssigned").await;

    let edit = json!({"spec": {"rules": [{"host": "elsewhere.example"}]}});
    ingresses
        .patch("x", &PatchParams::default(), &Patch::Merge(edit))
        .await
        .unwrap();
    eventually("the host is set right", || async {
        let now = ingresses.get("x").await.unwrap();
        if now.spec == made.spec {
            Ok(())
        } else {
            Err(format!("{:?}", now.spec))
        }
    })
    .await;

    let mark = lab.cluster.audit().mark().unwrap();
    lab.patch("x", json!({"network": {"ingress": null}})).await;
    gone(&lab, "the Ingress goes").await;
    lab.settled().await;
    let writes = lab.cluster.audit().writes_since(mark).unwrap();
    let deleted: Vec<_> = writes
        .iter()
        .filter(|write| write.namespace == lab.namespace && write.verb.starts_with("delete"))
        .map(|write| format!("{} {}", write.resource, write.name))
        .collect();
    assert_eq!(deleted, ["ingresses x"], "nothing else is ever deleted");
}

#[tokio::test]
async fn what_others_made_under_that_name_is_not_deleted() {
    let lab = Lab::new("theirs").await;
    let _operator = lab.operator(&[]).await;
    let labels = json!({"app.kubernetes.io/managed-by": "corral-operator", "app.kubernetes.io/name": "ollamaservice",
        "app.kubernetes.io/instance": "x"});
    let theirs = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "x", "labels": labels},
        "spec": {"rules": [{"host": "theirs.example"}]}});
    let theirs: Ingress = lab.apply("x", theirs).await;
    lab.create("x", json!({})).await;
    lab.condition("x", "Available", "False", "Starting").await;
    lab.settled().await;
    assert_eq!(lab.api::<Ingress>().get("x").await.unwrap(), theirs);

    lab.patch("x", json!({"network": {"ingress": {"hosts": ["a.example"]}}}))
        .await;
    let message = lab.condition("x", "Ready", "False", "NameTaken").await;
    assert!(message.contains("Ingress x is there"), "{message}");
    lab.api::<Ingress>()
        .delete("x", &DeleteParams::default())
        .await
        .unwrap();
    lab.condition("x", "Available", "False", "Starting").await;
}

#[tokio::test]
async fn the_service_becomes_what_is_asked_for_and_goes_back() {
    let lab = Lab::new("service").await;
    let _operator = lab.operator(&[]).await;
    let service = json!({"type": "LoadBalancer", "annotations": {"a": "b"}, "labels": {"c": "d"},
        "externalTrafficPolicy": "Local", "loadBalancerSourceRanges": ["10.0.0.0/8"]});
    lab.create("x", json!({"service": service})).await;
    lab.condition("x", "Available", "False", "Starting").await;
    let services = lab.api::<Service>();
    let made = services.get("x").await.unwrap();
    assert_eq!(
        (&*made.annotations()["a"], &*made.labels()["c"]),
        ("b", "d"),
        "{:?}",
        made.metadata
    );
    assert_eq!(made.spec.unwrap().type_.as_deref(), Some("LoadBalancer"));
    let message = lab.condition("x", "Exposed", "False", "AddressPending").await;
    assert!(message.contains("Service x is of type LoadBalancer"), "{message}");
    services
        .patch_status("x", &PatchParams::default(), &addressed())
        .await
        .unwrap();
    let message = lab.condition("x", "Exposed", "True", "AddressAssigned").await;
    assert!(message.contains("192.0.2.7"), "{message}");

    lab.patch("x", json!({"service": null})).await;
    eventually("it is of type ClusterIP again, without a node's port", || async {
        let now = services.get("x").await.unwrap();
        let plain = !now.annotations().contains_key("a") && !now.labels().contains_key("c");
        let spec = now.spec.unwrap();
        let port = spec.ports.unwrap_or_default()[0].node_port;
        if plain && spec.type_.as_deref() == Some("ClusterIP") && port.is_none() {
            Ok(())
        } else {
            Err(format!("{:?} {port:?}", spec.type_))
        }
    })
    .await;
    lab.settled().await;
    lab.condition("x", "Degraded", "False", "AsExpected").await;
    let conditions = lab.status("x").await.conditions;
    assert!(
        conditions.iter().all(|one| one.type_ != "Exposed"),
        "{conditions:?}"
    );
}

#[tokio::test]
async fn an_http_route_waits_for_the_gateway_api() {
    let lab = Lab::new("route").await;
    let _operator = lab.operator(&[]).await;
    let route = json!({"parentRefs": [{"name": "public"}], "hostnames": ["a.example"]});
    lab.create("x", json!({"network": {"httpRoute": route}})).await;
    let message = lab.condition("x", "Degraded", "True", "GatewayAPIMissing").await;
    assert!(message.contains("spec.network.httpRoute"), "{message}");
    lab.condition("x", "Available", "False", "Starting").await;

    lab.define(Foreign::HttpRoute).await;
    lab.condition("x", "Degraded", "False", "AsExpected").await;
    let routes: Api<DynamicObject> =
        Api::namespaced_with(lab.client.clone(), &lab.namespace, &Kind::HttpRoute.resource());
    let made = routes.get("x").await.unwrap();
    let rule = &made.data["spec"]["rules"][0];
    assert_eq!(rule["timeouts"], json!({"request": "0s"}));
    // With what the definition adds.
    let backend = json!({"group": "", "kind": "Service", "name": "x", "port": 11434, "weight": 1});
    assert_eq!(rule["backendRefs"], json!([backend]));

    lab.condition("x", "Exposed", "Unknown", "RoutePending").await;

    // What a Gateway's controller says (a fake of it: there is none in the cluster).
    let says = async |accepted: &str, resolved: &str| {
        let condition = |type_: &str, status: &str| {
            json!({"type": type_, "status": status, "lastTransitionTime": "2026-01-02T03:04:05Z", "reason": "AsFound",
                "message": format!("{type_} is {status}")})
        };
        let conditions = [
            condition("Accepted", accepted),
            condition("ResolvedRefs", resolved),
        ];
        let parent = json!({"parentRef": {"name": "public"}, "controllerName": "gateway.example/fake",
            "conditions": conditions});
        let status = Patch::Merge(json!({"status": {"parents": [parent]}}));
        let said = routes.patch_status("x", &PatchParams::default(), &status).await;
        drop(said.unwrap());
    };
    for (accepted, resolved, words) in [
        (
            "False",
            "True",
            "doesn't take the HTTPRoute: AsFound: Accepted is False",
        ),
        (
            "True",
            "False",
            "where the HTTPRoute says: AsFound: ResolvedRefs is False",
        ),
    ] {
        says(accepted, resolved).await;
        eventually(words, || async {
            let conditions = lab.status("x").await.conditions;
            let says = |type_: &str, status: &str| {
                let mut conditions = conditions.iter();
                conditions
                    .any(|one| one.type_ == type_ && one.status == status && one.message.ends_with(words))
            };
            let said = says("Exposed", "False") && says("Degraded", "True");
            said.then_some(()).ok_or_else(|| format!("{conditions:?}"))
        })
        .await;
    }
    says("True", "True").await;
    lab.condition("x", "Exposed", "True", "RouteAccepted").await;
    lab.condition("x", "Degraded", "False", "AsExpected").await;

    // Two listeners of one Gateway have the same name, and are still what was asked for.
    let listeners =
        json!([{"name": "public", "sectionName": "http"}, {"name": "public", "sectionName": "https"}]);
    lab.patch("x", json!({"network": {"httpRoute": {"parentRefs": listeners}}}))
        .await;
    eventually("the HTTPRoute has both", || async {
        let parents = routes.get("x").await.unwrap().data["spec"]["parentRefs"].clone();
        let all = parents.as_array().unwrap().iter();
        let names: Vec<_> = all.map(|one| &one["sectionName"]).collect();
        if names == ["http", "https"] {
            Ok(())
        } else {
            Err(parents.to_string())
        }
    })
    .await;
    lab.settled().await;
    let mark = lab.cluster.audit().mark().unwrap();
    lab.patch("x", json!({"service": {"labels": {"seen": "yes"}}}))
        .await;
    eventually("the operator has looked at all", || async {
        let service = lab.api::<Service>().get("x").await.unwrap();
        let seen = service.labels().contains_key("seen");
        seen.then_some(())
            .ok_or_else(|| format!("{:?}", service.labels()))
    })
    .await;
    lab.settled().await;
    let mut writes = lab.cluster.audit().writes_since(mark).unwrap();
    writes.retain(|write| write.namespace == lab.namespace && write.resource == "httproutes");
    assert!(writes.is_empty(), "{writes:?}");

    lab.patch("x", json!({"network": {"httpRoute": null}})).await;
    eventually("the HTTPRoute goes", || async {
        match routes.get_opt("x").await.unwrap() {
            None => Ok(()),
            Some(route) => Err(format!("{:?}", route.metadata)),
        }
    })
    .await;
    lab.condition("x", "Degraded", "False", "AsExpected").await;
}

#[tokio::test]
async fn a_policy_becomes_what_is_asked_for_and_goes_back() {
    let lab = Lab::new("policy").await;
    let _operator = lab.operator(&[]).await;
    let policy = json!({"clients": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}, {"cidr": "10.0.0.0/8"}],
        "egress": [{"to": [{"cidr": "192.0.2.0/24"}], "ports": [443]}]});
    lab.create("x", json!({"network": {"policy": policy}})).await;
    lab.condition("x", "Available", "False", "Starting").await;
    let policies = lab.api::<NetworkPolicy>();
    let made = policies.get("x").await.unwrap().spec.unwrap();
    assert_eq!(made.policy_types.unwrap(), ["Ingress", "Egress"]);
    let clients = made.ingress.unwrap()[0].from.clone().unwrap();
    assert_eq!(clients.len(), 2, "{clients:?}");
    assert_eq!(made.egress.unwrap().len(), 2, "names, and the registry");

    lab.patch("x", json!({"network": {"policy": null}})).await;
    eventually("everyone may connect again, and the Pods anywhere", || async {
        let spec = policies.get("x").await.unwrap().spec.unwrap();
        let open = spec.ingress.as_ref().unwrap()[0].from.is_none() && spec.egress.is_none();
        if open && spec.policy_types.as_deref() == Some(&["Ingress".to_owned()]) {
            Ok(())
        } else {
            Err(format!("{spec:?}"))
        }
    })
    .await;
    lab.settled().await;
    lab.condition("x", "Degraded", "False", "AsExpected").await;
}

#[tokio::test]
async fn a_certificate_waits_for_cert_manager() {
    let lab = Lab::new("certificate").await;
    let _operator = lab.operator(&[]).await;
    let tls = json!({"certificate": {"issuerRef": {"name": "internal", "kind": "ClusterIssuer"}}});
    lab.create("x", json!({"network": {"tls": tls}})).await;
    let message = lab.condition("x", "Degraded", "True", "CertManagerMissing").await;
    assert!(message.contains("spec.network.tls.certificate"), "{message}");
    lab.condition("x", "Ready", "False", "CertManagerMissing").await;

    lab.define(Foreign::Certificate).await;
    let message = lab.condition("x", "Ready", "False", "CertificatePending").await;
    assert!(message.contains("kubectl describe certificate x"), "{message}");
    lab.condition("x", "Degraded", "False", "AsExpected").await;
    let certificates: Api<DynamicObject> =
        Api::namespaced_with(lab.client.clone(), &lab.namespace, &Kind::Certificate.resource());
    let made = certificates.get("x").await.unwrap();
    let service = format!("x.{}.svc", lab.namespace);
    assert_eq!(made.data["spec"]["dnsNames"][2], service);
    let issuer = json!({"name": "internal", "kind": "ClusterIssuer", "group": "cert-manager.io"});
    assert_eq!(made.data["spec"]["issuerRef"], issuer);

    // What cert-manager does (a fake of it: there is none in the cluster).
    let failed = json!({"status": {"conditions": [{"type": "Issuing", "status": "False", "reason": "Failed",
        "message": "no such issuer"}]}});
    certificates
        .patch_status("x", &PatchParams::default(), &Patch::Merge(failed))
        .await
        .unwrap();
    let message = lab.condition("x", "Degraded", "True", "CertificateFailed").await;
    assert!(message.contains("Failed: no such issuer"), "{message}");
    let issued = json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}]}});
    certificates
        .patch_status("x", &PatchParams::default(), &Patch::Merge(issued))
        .await
        .unwrap();
    let certificate = rcgen::generate_simple_self_signed([service]).unwrap();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "x-tls"},
        "stringData": {"tls.crt": certificate.cert.pem(), "tls.key": certificate.signing_key.serialize_pem()}});
    let _: Secret = lab.apply("x-tls", secret).await;
    lab.condition("x", "Degraded", "False", "AsExpected").await;
    lab.condition("x", "Ready", "False", "Starting").await;

    lab.patch("x", json!({"network": null})).await;
    eventually("the Certificate goes, its Secret stays", || async {
        match certificates.get_opt("x").await.unwrap() {
            None => Ok(()),
            Some(certificate) => Err(format!("{:?}", certificate.metadata)),
        }
    })
    .await;
    assert!(lab.api::<Secret>().get_opt("x-tls").await.unwrap().is_some());
    certificates_of_others_stay(&lab, &certificates).await;
}

/// Where a Secret of that name has a certificate from elsewhere, cert-manager would put its own in its place.
async fn certificates_of_others_stay(lab: &Lab, certificates: &Api<DynamicObject>) {
    lab.patch("x", json!({"network": {"tls": {"secretName": "x-tls"}}}))
        .await;
    lab.condition("x", "Ready", "False", "Starting").await;
    let issued = json!({"secretName": null, "certificate": {"issuerRef": {"name": "internal"}}});
    lab.patch("x", json!({"network": {"tls": issued}})).await;
    let message = lab.condition("x", "Ready", "False", "NameTaken").await;
    assert!(
        message.contains("Secret x-tls") && message.contains("spec.network.tls.secretName"),
        "{message}"
    );
    lab.settled().await;
    assert!(certificates.get_opt("x").await.unwrap().is_none());

    let written = json!({"metadata": {"annotations": {"cert-manager.io/certificate-name": "x"}}});
    lab.api::<Secret>()
        .patch("x-tls", &PatchParams::default(), &Patch::Merge(written))
        .await
        .unwrap();
    lab.condition("x", "Ready", "False", "Starting").await;
    assert!(certificates.get_opt("x").await.unwrap().is_some());
}
