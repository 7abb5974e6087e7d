//! What the API server says to a wrong OllamaService.

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::lab::Lab;

#[tokio::test]
async fn a_wrong_spec_is_refused_with_words_that_help() {
    let lab = Lab::new("definition").await;
    let cases = [
        (
            json!({"storage": {"size": "1Gi", "existingClaim": "x"}}),
            "exactly one of size",
        ),
        (json!({"storage": {}}), "exactly one of size"),
        (
            json!({"storage": {"existingClaim": "x", "storageClassName": "y"}}),
            "storageClassName, accessModes and retain go with size",
        ),
        (json!({"storage": {"size": "much"}}), "spec.storage.size"),
        (
            json!({"storage": {"size": "1Gi", "accessModes": ["All"]}}),
            "spec.storage.accessModes",
        ),
        (
            json!({"auth": {}}),
            "auth needs at least one of basic, apiKeys, ollamaKeys, jwt, kubernetes or clientCertificates",
        ),
        (
            json!({"auth": {"require": "All"}}),
            "auth needs at least one of basic, apiKeys, ollamaKeys, jwt, kubernetes or clientCertificates",
        ),
        (
            json!({"auth": {"clientCertificates": {"secretRef": {"name": "a"}}}}),
            "auth.clientCertificates needs network.tls",
        ),
        (
            json!({"auth": {"anonymous": {}, "require": "All"}}),
            "auth.require can't be All with anonymous",
        ),
        (
            json!({"auth": {
                "basic": {"secretRef": {"name": "a"}}, "ollamaKeys": {"secretRef": {"name": "b"}}, "require": "All"
            }}),
            "auth.require can't be All with basic and ollamaKeys",
        ),
        (
            json!({"auth": {"jwt": []}}),
            "spec.auth.jwt in body should have at least 1 items",
        ),
        (
            json!({"auth": {"jwt": [{"issuer": "a", "audiences": [], "secretRef": {"name": "a"}}]}}),
            "audiences in body should have at least 1 items",
        ),
        (
            json!({"auth": {"jwt": [{
                "issuer": "a", "audiences": ["b"], "secretRef": {"name": "a"}, "algorithms": ["RS256", "HS256"]
            }]}}),
            "algorithms must not mix HS… with others",
        ),
        (
            json!({"auth": {"jwt": [{
                "issuer": "a", "audiences": ["b"], "secretRef": {"name": "a"}, "algorithms": ["none"]
            }]}}),
            "Unsupported value: \"none\"",
        ),
        (
            json!({"auth": {"jwt": [{"issuer": "gateway", "audiences": ["b"]}]}}),
            "must be an https address to fetch keys from",
        ),
        (
            json!({"auth": {"jwt": [{"issuer": "a", "audiences": ["b"], "jwksURI": "http://idp.example/keys"}]}}),
            "must be an https address to fetch keys from",
        ),
        (
            json!({"auth": {"jwt": [{
                "issuer": "a", "audiences": ["b"], "jwksURI": "https://idp.example/keys", "secretRef": {"name": "a"}
            }]}}),
            "give secretRef or jwksURI, not both",
        ),
        (
            json!({"auth": {"jwt": [{
                "issuer": "https://idp.example", "audiences": ["b"], "secretRef": {"name": "a"}, "caSecretRef": {"name": "a"}
            }]}}),
            "caSecretRef is for an https address that keys are fetched from",
        ),
        (
            json!({"auth": {"jwt": [{"issuer": "https://idp.example", "audiences": ["b"], "algorithms": ["HS256"]}]}}),
            "algorithms must not list HS… without secretRef",
        ),
        (
            json!({"auth": {"jwt": [
                {"issuer": "a", "audiences": ["b"], "secretRef": {"name": "a"}},
                {"issuer": "a", "audiences": ["c"], "secretRef": {"name": "a"}},
            ]}}),
            "Duplicate value",
        ),
        (
            json!({"auth": {"kubernetes": {"audiences": []}}}),
            "spec.auth.kubernetes.audiences in body should have at least 1 items",
        ),
        (
            json!({"auth": {"kubernetes": {"audiences": ["two words"]}}}),
            "spec.auth.kubernetes.audiences[0]",
        ),
        (
            json!({"auth": {"kubernetes": {"audiences": ["ollama", "https://kubernetes.default.svc"]}}}),
            "audiences must not name the API server itself",
        ),
        (
            json!({"auth": {"basic": {"secretRef": {}}}}),
            "spec.auth.basic.secretRef.name: Required value",
        ),
        (
            json!({"auth": {"basic": {"secretRef": {"name": "Not_A_Name"}}}}),
            "spec.auth.basic.secretRef.name",
        ),
        (
            json!({"network": {"allowedCIDRs": ["10.0.0.1"]}}),
            "allowedCIDRs must be networks such as 10.0.0.0/8",
        ),
        (
            json!({"network": {"trustedProxies": ["10.0.0.0/33"]}}),
            "trustedProxies must be networks such as 10.0.0.0/8",
        ),
        (
            json!({"network": {"policy": {"clients": []}}}),
            "spec.network.policy.clients in body should have at least 1 items",
        ),
        (
            json!({"network": {"policy": {"clients": [{}]}}}),
            "give cidr, or namespaceSelector, podSelector or both",
        ),
        (
            json!({"network": {"policy": {"dns": [{"cidr": "10.0.0.0/8", "podSelector": {}}]}}}),
            "give cidr, or namespaceSelector, podSelector or both",
        ),
        (
            json!({"network": {"policy": {"clients": [{"cidr": "10.0.0.1"}]}}}),
            "cidr must be a network such as 10.0.0.0/8",
        ),
        (
            json!({"network": {"policy": {"egress": [{"to": [{"cidr": "10.0.0.0/8", "except": ["x"]}]}]}}}),
            "except must be networks such as 10.0.0.0/8",
        ),
        (
            json!({"network": {"policy": {"egress": [{"to": [{"podSelector": {}, "except": ["10.0.0.0/8"]}]}]}}}),
            "except goes with cidr",
        ),
        (
            json!({"network": {"policy": {"egress": [{"ports": [443]}]}}}),
            "spec.network.policy.egress[0].to: Required value",
        ),
        (
            json!({"network": {"policy": {"egress": [{"to": [{"cidr": "10.0.0.0/8"}], "ports": [0]}]}}}),
            "greater than or equal to 1",
        ),
        (
            json!({"rollout": {"surge": true}, "storage": {"size": "1Gi"}}),
            "rollout.surge needs a volume that both Pods may have",
        ),
        (
            json!({"network": {"tls": {}}}),
            "network.tls needs exactly one of secretName",
        ),
        (
            json!({"network": {"tls": {"secretName": "a", "certificate": {"issuerRef": {"name": "b"}}}}}),
            "network.tls needs exactly one of secretName",
        ),
        (
            json!({"network": {"tls": {"certificate": {}}}}),
            "spec.network.tls.certificate.issuerRef: Required value",
        ),
        (
            json!({"network": {"tls": {"certificate": {"issuerRef": {"name": "a"}, "duration": "90d"}}}}),
            "spec.network.tls.certificate.duration",
        ),
        (
            json!({"streams": {"heartbeatSeconds": 0}}),
            "spec.streams.heartbeatSeconds",
        ),
        (
            json!({"image": {"tag": "x", "digest": format!("sha256:{}", "a".repeat(64))}}),
            "tag or digest, not both",
        ),
        (json!({"image": {"digest": "sha256:a"}}), "spec.image.digest"),
        (
            json!({"image": {"pullPolicy": "Sometimes"}}),
            "supported values: \"Always\"",
        ),
        (
            json!({"runtime": {"env": [{"name": "OLLAMA_HOST", "value": "0.0.0.0"}]}}),
            "the operator owns HOME",
        ),
        (
            json!({"runtime": {"env": [
                {"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}}),
            "a value or a valueFrom",
        ),
        (
            json!({"runtime": {"env": [{"name": "A", "valueFrom": {}}]}}),
            "a valueFrom names one source",
        ),
        (
            json!({"runtime": {"env": [{"name": "A"}, {"name": "A"}]}}),
            "Duplicate value",
        ),
        (
            json!({"runtime": {"flashAttention": true, "env": [{"name": "OLLAMA_FLASH_ATTENTION", "value": "0"}]}}),
            "keep the field",
        ),
        (
            json!({"runtime": {"kvCacheType": "q2"}}),
            "supported values: \"f16\"",
        ),
        (
            json!({"runtime": {"httpsProxy": "http://user:word@proxy.example"}}),
            "spec.runtime.httpsProxy",
        ),
        (
            json!({"podTemplate": {"labels": {"app.kubernetes.io/name": "x"}}}),
            "are the operator's",
        ),
        (
            json!({"podTemplate": {"annotations": {"corral.dev/nudge": "x"}}}),
            "are the operator's",
        ),
        (
            json!({"podTemplate": {"volumes": [{"name": "tls", "emptyDir": {"sizeLimit": "1Mi"}}]}}),
            "are the operator's volumes",
        ),
        (
            json!({"podTemplate": {"volumes": [{"name": "a"}]}}),
            "a volume needs exactly one of",
        ),
        (
            json!({"podTemplate": {"ollamaMounts": [{"name": "a", "mountPath": "/models/a"}]}}),
            "nothing may lie in them or over them",
        ),
        (
            json!({"podTemplate": {"ollamaMounts": [{"name": "a", "mountPath": "/home"}]}}),
            "nothing may lie in them or over them",
        ),
        (
            json!({"podTemplate": {"ollamaMounts": [{"name": "a", "mountPath": "/"}]}}),
            "nothing may lie in them or over them",
        ),
        (
            json!({"podTemplate": {"ollamaMounts": [{"name": "a", "mountPath": "/a/../models"}]}}),
            "spec.podTemplate.ollamaMounts[0].mountPath",
        ),
        (
            json!({"podTemplate": {"sidecars": [{"name": "proxy", "image": "x"}]}}),
            "ollama and proxy are the operator's containers",
        ),
        (
            json!({"podTemplate": {"terminationGracePeriodSeconds": 30}}),
            "greater than or equal to 120",
        ),
        (
            json!({"runtime": {"keepAlive": "soon"}}),
            "spec.runtime.keepAlive",
        ),
        (
            json!({"runtime": {"contextLength": 0}}),
            "greater than or equal to 1",
        ),
        (
            json!({"models": [{"name": "a", "digest": "sha256:0a"}]}),
            "spec.models[0].digest",
        ),
        (
            json!({"models": [{"name": "a", "digest": "0a".repeat(32), "modelfile": {"configMapKeyRef": {"name": "x"}}}]}),
            "digest goes with a model that is pulled",
        ),
        (
            json!({"models": [{"name": "a", "modelfile": {"configMapKeyRef": {"name": "x", "key": "a/b"}}}]}),
            "spec.models[0].modelfile.configMapKeyRef.key",
        ),
        (
            json!({"models": [{"name": "user:word@registry.example/library/a"}]}),
            "name can't hold a user and a password",
        ),
        (json!({"parallelPulls": 0}), "greater than or equal to 1"),
        (json!({"pruneModels": true}), "pruneModels needs models"),
        (
            json!({"pruneModels": true, "models": [{"name": "a"}], "storage": {"existingClaim": "x"}}),
            "pruneModels can't go with storage.existingClaim",
        ),
        (
            json!({"gpu": {"vendor": "other"}}),
            "supported values: \"nvidia\"",
        ),
        (
            json!({"storage": {"ephemeral": {"storageClassName": "fast"}}}),
            "storageClassName needs sizeLimit",
        ),
        (
            json!({"storage": {"existingClaim": "x", "retain": "Retain"}}),
            "storageClassName, accessModes and retain go with size",
        ),
        (
            json!({"gpu": {"count": 2, "resourceName": "nvidia.com/mig-1g.10gb"}}),
            "gpu.count must be 1 with MIG slices",
        ),
        (
            json!({"gpu": {"resourceName": "a/b", "resourceClaims": [{"name": "gpu", "resourceClaimName": "x"}]}}),
            "gpu.resourceClaims goes without count and resourceName",
        ),
        (
            json!({"gpu": {"resourceClaims": [{"name": "gpu", "resourceClaimName": "x", "resourceClaimTemplateName": "y"}]}}),
            "exactly one of resourceClaimTemplateName and resourceClaimName",
        ),
        (json!({"gpu": {"count": 0}}), "greater than or equal to 1"),
        (json!({"gpu": {"resourceName": "gpu"}}), "spec.gpu.resourceName"),
        (
            json!({"models": [{"name": "a"}, {"name": "a"}]}),
            "Duplicate value",
        ),
        (json!({"models": [{"name": "two words"}]}), "spec.models[0].name"),
        (
            json!({"access": [{"clients": [], "allow": []}]}),
            "spec.access[0].clients",
        ),
        (
            json!({"access": [{"clients": ["a"], "allow": ["Everything"]}]}),
            "supported values: \"Health\"",
        ),
        (
            json!({"access": [{"clients": ["a"], "allow": [], "limits": {"burst": 5}}]}),
            "burst goes with requestsPerMinute",
        ),
        (
            json!({"access": [{"clients": ["a"], "allow": [], "limits": {"concurrent": 0}}]}),
            "spec.access[0].limits.concurrent",
        ),
        (
            json!({"access": [{"clients": ["a"], "allow": [], "limits": {"tokensPerDay": 1_000_000_000_001_u64}}]}),
            "spec.access[0].limits.tokensPerDay",
        ),
        (
            json!({"access": [{"clients": ["a"], "allow": [], "ceilings": {"keepAlive": "for ever"}}]}),
            "spec.access[0].ceilings.keepAlive",
        ),
        (
            json!({"access": [{"allow": []}]}),
            "a rule of access needs clients, groups or both",
        ),
        (
            json!({"access": [{"clients": ["a"], "allow": [], "ceilings": {"onExcess": "Cut"}}]}),
            "supported values: \"Refuse\"",
        ),
        (
            json!({"network": {"proxyProtocol": true}}),
            "proxyProtocol needs trustedProxies",
        ),
        (
            json!({"network": {"cors": {"allowedOrigins": ["https://a.example/"]}}}),
            "spec.network.cors.allowedOrigins[0]",
        ),
        (json!({"replicas": -1}), "greater than or equal to 0"),
        (
            json!({"service": {"nodePort": 30000}}),
            "service.nodePort goes with type NodePort or LoadBalancer",
        ),
        (
            json!({"service": {"externalTrafficPolicy": "Local"}}),
            "service.externalTrafficPolicy goes with type NodePort or LoadBalancer",
        ),
        (
            json!({"service": {"type": "NodePort", "loadBalancerSourceRanges": ["10.0.0.0/8"]}}),
            "go with type LoadBalancer",
        ),
        (
            json!({"service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.1"]}}),
            "loadBalancerSourceRanges must be networks",
        ),
        (
            json!({"service": {"labels": {"app.kubernetes.io/name": "x"}}}),
            "are the operator's",
        ),
        (
            json!({"service": {"annotations": {"corral.dev/plan": "x"}}}),
            "are the operator's",
        ),
        (
            json!({"network": {"ingress": {"hosts": []}}}),
            "spec.network.ingress.hosts",
        ),
        (
            json!({"network": {"ingress": {"hosts": ["Ollama_1"]}}}),
            "spec.network.ingress.hosts[0]",
        ),
        (
            json!({"network": {"httpRoute": {"parentRefs": []}}}),
            "spec.network.httpRoute.parentRefs",
        ),
        (
            json!({"network": {"httpRoute": {"parentRefs": [{"name": "g"}], "timeouts": {"request": "for ever"}}}}),
            "spec.network.httpRoute.timeouts.request",
        ),
        (json!({"version": "not a tag"}), "spec.version"),
        (
            json!({"autoscaling": {"maxReplicas": 2}}),
            "exactly one of target",
        ),
        (
            json!({"autoscaling": {"maxReplicas": 2, "target": {}}}),
            "target needs requestsInFlight, tokensPerSecond or both",
        ),
        (
            json!({"autoscaling": {"maxReplicas": 2, "target": {"requestsInFlight": 1},
                "keda": {"triggers": [{"type": "cron", "metadata": {}}]}}}),
            "exactly one of target",
        ),
        (
            json!({"autoscaling": {"minReplicas": 3, "maxReplicas": 2, "target": {"requestsInFlight": 1}}}),
            "minReplicas can't be more than",
        ),
        (
            json!({"autoscaling": {"minReplicas": 0, "maxReplicas": 2, "target": {"requestsInFlight": 1}}}),
            "0 with keda only",
        ),
        (
            json!({"autoscaling": {"maxReplicas": 2, "keda": {"triggers": []}}}),
            "spec.autoscaling.keda.triggers",
        ),
        (
            json!({"disruption": {"minAvailable": 1, "maxUnavailable": 1}}),
            "exactly one of minAvailable and maxUnavailable",
        ),
        (
            json!({"topologySpread": [{"topologyKey": "a"}, {"topologyKey": "a"}]}),
            "Duplicate value",
        ),
    ];
    for (spec, expected) in cases {
        let words = refusal(&lab, "x", &spec).await;
        assert!(words.contains(expected), "{spec}: {words}");
    }
}

/// What would open a way round the proxy has no field: the API server drops it.
#[tokio::test]
async fn what_would_open_a_way_round_the_proxy_can_not_be_said() {
    let lab = Lab::new("round").await;
    let sidecar = |extra: Value| {
        let mut sidecar = json!({"name": "a", "image": "x"});
        sidecar
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        json!({"sidecars": [sidecar]})
    };
    let cases = [
        ("the node's network", json!({"hostNetwork": true})),
        ("the node's processes", json!({"hostPID": true})),
        ("the Pod's processes", json!({"shareProcessNamespace": true})),
        (
            "the proxy's container",
            json!({"containers": [{"name": "proxy", "command": ["x"]}]}),
        ),
        ("a service account", json!({"serviceAccountName": "other"})),
        ("a token", json!({"automountServiceAccountToken": true})),
        ("a security context", json!({"securityContext": {"runAsUser": 0}})),
        (
            "a node's path",
            json!({"volumes": [{"name": "a", "emptyDir": {"sizeLimit": "1Mi"}, "hostPath": {"path": "/"}}]}),
        ),
        (
            "a port",
            sidecar(json!({"ports": [{"containerPort": 11434, "hostPort": 11434}]})),
        ),
        (
            "a container's security context",
            sidecar(json!({"securityContext": {"privileged": true}})),
        ),
        (
            "a Secret's entry",
            sidecar(json!({"envFrom": [{"secretRef": {"name": "x-credentials"}}]})),
        ),
    ];
    for (index, (name, template)) in cases.into_iter().enumerate() {
        let service = object(&format!("x{index}"), &json!({"podTemplate": template}));
        let path = format!(
            "/apis/corral.dev/v1alpha1/namespaces/{}/ollamaservices?fieldValidation=Strict",
            lab.namespace
        );
        let request = http::Request::post(path).header("content-type", "application/json");
        let request = request.body(service.to_string().into_bytes()).unwrap();
        let outcome = lab.client.request::<Value>(request).await;
        let words = outcome.map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
        assert!(words.contains("unknown field"), "{name}: {words}");
    }
}

#[tokio::test]
async fn a_name_that_no_service_can_have_is_refused() {
    let lab = Lab::new("names").await;
    for (name, expected) in [
        ("1st", "must begin with a lower-case letter"),
        ("a.b", "must begin with a lower-case letter"),
        (&*"a".repeat(51), "at most 50 characters"),
    ] {
        let words = refusal(&lab, name, &json!({})).await;
        assert!(words.contains(expected), "{name}: {words}");
    }
    lab.create(&"a".repeat(50), json!({})).await;
}

#[tokio::test]
async fn a_volume_neither_shrinks_nor_changes_its_kind() {
    let lab = Lab::new("volumes").await;
    lab.create(
        "x",
        json!({"storage": {"size": "2Gi", "storageClassName": "a", "accessModes": ["ReadWriteOnce"]}}),
    )
    .await;
    let cases = [
        (json!({"size": "1Gi"}), Some("may grow, not shrink")),
        (
            json!({"storageClassName": "b"}),
            Some("storageClassName can't change"),
        ),
        (
            json!({"storageClassName": null}),
            Some("storageClassName can't change"),
        ),
        (
            json!({"accessModes": ["ReadWriteMany"]}),
            Some("accessModes can't change"),
        ),
        (json!({"size": "2048Mi"}), None),
        (json!({"size": "3Gi"}), None),
    ];
    for (storage, expected) in cases {
        let patch = Patch::Merge(json!({"spec": {"storage": storage}}));
        let services = lab.api::<corral_operator::crd::OllamaService>();
        let outcome = services
            .patch("x", &PatchParams::default(), &patch)
            .await
            .map_err(|error| error.to_string());
        match expected {
            Some(expected) => assert!(
                outcome.clone().is_err_and(|words| words.contains(expected)),
                "{storage}: {outcome:?}"
            ),
            None => assert!(outcome.is_ok(), "{storage}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn an_unknown_field_is_refused_where_asked_and_else_warned_of() {
    let lab = Lab::new("unknown").await;
    let service = object("x", &json!({"modles": []}));
    let path = format!(
        "/apis/corral.dev/v1alpha1/namespaces/{}/ollamaservices?fieldValidation=Strict",
        lab.namespace
    );
    let request = http::Request::post(path).header("content-type", "application/json");
    let outcome = lab
        .client
        .request::<Value>(request.body(service.to_string().into_bytes()).unwrap())
        .await;
    assert!(
        outcome
            .unwrap_err()
            .to_string()
            .contains("unknown field \"spec.modles\"")
    );
    let kubectl = corral_tests::cluster::Kubectl::new(Some(lab.cluster.kubeconfig())).unwrap();
    let mut apply = kubectl.command(&["create", "--validate=warn", "-n", &lab.namespace, "-f", "-"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), service.to_string()).unwrap();
    let output = apply
        .stdin(std::fs::File::open(file.path()).unwrap())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && words.contains("unknown field \"spec.modles\""),
        "{words}"
    );
}

fn object(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "corral.dev/v1alpha1", "kind": "OllamaService", "metadata": {"name": name}, "spec": spec})
}

async fn refusal(lab: &Lab, name: &str, spec: &Value) -> String {
    use kube::api::{Api, ApiResource, DynamicObject};
    let resource = ApiResource::erase::<corral_operator::crd::OllamaService>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(lab.client.clone(), &lab.namespace, &resource);
    let object: DynamicObject = serde_json::from_value(object(name, spec)).unwrap();
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => panic!("{name} {spec} was accepted"),
        Err(error) => error.to_string(),
    }
}
