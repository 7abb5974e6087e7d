//! What the API server keeps in other words than it was told in is not written again for that.

use std::time::Duration;

use serde_json::json;

use crate::lab::Lab;

#[tokio::test]
async fn what_is_kept_in_other_words_is_written_once() {
    let lab = Lab::new("compared").await;
    let mounts = json!({
        "volumes": [{"name": "a", "emptyDir": {"sizeLimit": "1Gi"}}],
        "ollamaMounts": [{"name": "a", "mountPath": "/a"}, {"name": "a", "mountPath": "/b"}],
    });
    let divisor = json!([{"name": "MEMORY", "valueFrom": {"resourceFieldRef":
        {"containerName": "ollama", "resource": "limits.memory", "divisor": "1024Ki"}}}]);
    let names = json!({
        "hostAliases": [
            {"ip": "2001:DB8::7", "hostnames": ["b.example", "a.example", "b.example"]},
            {"ip": "192.0.2.7", "hostnames": ["a.example"]}],
        "dnsConfig": {"nameservers": ["2001:DB8::53", "192.0.2.53"], "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]},
        "supplementalGroups": [109, 44],
    });
    let cases = [
        ("one-volume-twice", json!({"podTemplate": mounts})),
        (
            "thousandths",
            json!({"resources": {"requests": {"cpu": "0.5m", "memory": "1.3333Gi"}}}),
        ),
        (
            "exponents",
            json!({"resources": {"requests": {"cpu": "+1500e-3", "memory": "1.5e+9"}}}),
        ),
        (
            "billionths",
            json!({"resources": {"requests": {"cpu": "1500000u", "memory": "1000000000000001n"}}}),
        ),
        (
            "a-limit",
            json!({"storage": {"ephemeral": {"sizeLimit": "1.3333Gi"}}}),
        ),
        (
            "the-largest",
            json!({"storage": {"ephemeral": {"sizeLimit": "16Ei"}}}),
        ),
        ("a-claim", json!({"storage": {"size": "1.3333Gi"}})),
        ("a-divisor", json!({"runtime": {"env": divisor}})),
        ("names", json!({"podTemplate": names})),
        (
            "no-names",
            json!({"podTemplate": {"dnsConfig": {}, "hostAliases": []}}),
        ),
    ];
    let mut operator = lab.operator(&[]).await;
    for (name, spec) in &cases {
        lab.create(name, spec.clone()).await;
    }
    for (name, _) in &cases {
        lab.condition(name, "Available", "False", "Starting").await;
    }
    lab.settled().await;

    let mark = lab.cluster.audit().mark().unwrap();
    let _ = operator.kill().await;
    let _operator = lab.operator(&[]).await;
    // Long enough for the new one to look at everything.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let writes = lab.cluster.audit().writes_since(mark).unwrap();
    let ours: Vec<_> = writes
        .iter()
        .filter(|write| write.namespace == lab.namespace)
        .map(|write| format!("{} {} {}", write.verb, write.resource, write.name))
        .collect();
    assert!(ours.is_empty(), "{ours:#?}");
}
