//! What a plan says of a wrong OllamaService.

use corral_operator::render::render;

use crate::options;

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        (
            "{storage: {size: 1Gi, existingClaim: x}}",
            "spec.storage: exactly one of",
        ),
        (
            "{storage: {existingClaim: x, storageClassName: y}}",
            "spec.storage: storageClassName, accessModes and retain go with",
        ),
        (
            "{storage: {existingClaim: x-models}}",
            "spec.storage.existingClaim: the operator made that claim",
        ),
        (
            "{runtime: {env: [{name: A, valueFrom: {secretKeyRef: {name: x-credentials, key: default}}}]}}",
            "spec.runtime.env: A is from a Secret with this service's credentials",
        ),
        (
            "{runtime: {env: [{name: A, valueFrom: {secretKeyRef: {name: x-digest-key, key: key}}}]}}",
            "spec.runtime.env: A is from a Secret with this service's credentials",
        ),
        (
            "{registryKey: {secretKeyRef: {name: x-credentials, key: default}}}",
            "spec.registryKey.secretKeyRef: is a Secret with this service's credentials",
        ),
        ("{auth: {}}", "spec.auth: at least one of"),
        (
            "{auth: {jwt: [{issuer: '', audiences: [a], secretRef: {name: x}}]}}",
            "spec.auth.jwt[0].issuer: must not be empty",
        ),
        (
            "{auth: {jwt: [{issuer: a, audiences: [a], secretRef: {name: x}, algorithms: [HS256, RS256]}]}}",
            "spec.auth.jwt[0].algorithms: must not mix HS",
        ),
        ("{auth: {require: All}}", "spec.auth: at least one of"),
        (
            "{auth: {clientCertificates: {secretRef: {name: a}}}}",
            "spec.auth.clientCertificates: needs spec.network.tls",
        ),
        (
            "{auth: {anonymous: {}, apiKeys: {secretRef: {name: a}}, require: All}}",
            "spec.auth.require: can't be All with anonymous",
        ),
        (
            "{auth: {anonymous: {client: ' '}}}",
            "spec.auth.anonymous.client: a name has",
        ),
        (
            "{auth: {basic: {secretRef: {name: a}}, ollamaKeys: {secretRef: {name: b}}, require: All}}",
            "spec.auth.require: can't be All: basic and ollamaKeys are each carried in Authorization",
        ),
        ("{auth: {require: Both}}", "unknown variant `Both`"),
        (
            "{network: {allowedCIDRs: [10.0.0.1]}}",
            "spec.network.allowedCIDRs: `10.0.0.1` is no network",
        ),
        (
            "{network: {trustedProxies: [x]}}",
            "spec.network.trustedProxies: `x` is no network",
        ),
        (
            "{network: {policy: {clients: []}}}",
            "spec.network.policy.clients: at least one",
        ),
        (
            "{network: {policy: {clients: [{}]}}}",
            "spec.network.policy: a peer needs cidr, or",
        ),
        (
            "{network: {policy: {clients: [{cidr: 10.0.0.0/8, podSelector: {}}]}}}",
            "spec.network.policy: a peer needs cidr, or",
        ),
        (
            "{network: {policy: {dns: [{cidr: 10.0.0.1}]}}}",
            "spec.network.policy: `10.0.0.1` is no network",
        ),
        (
            "{network: {policy: {egress: [{to: [{cidr: 10.0.0.0/8, except: [x]}]}]}}}",
            "spec.network.policy: `x` is no network",
        ),
        (
            "{network: {policy: {egress: [{to: []}]}}}",
            "spec.network.policy.egress: each rule needs to",
        ),
        (
            "{network: {policy: {egress: []}}, auth: {kubernetes: {audiences: [ollama]}}}",
            "spec.network.policy.egress: with no rule at all the proxies can't ask the API server",
        ),
        (
            "{network: {policy: {egress: []}}, auth: {jwt: [{issuer: 'https://idp.example', audiences: [a]}]}}",
            "spec.network.policy.egress: with no rule at all the proxies can't fetch the keys",
        ),
        (
            "{rollout: {surge: true}, storage: {size: 1Gi}}",
            "spec.rollout.surge: needs spec.storage.accessModes",
        ),
        (
            "{network: {tls: {}}}",
            "spec.network.tls: exactly one of secretName and certificate",
        ),
        (
            "{network: {tls: {certificate: {issuerRef: {name: a}}}}, podTemplate: {volumes: [{name: a, secret: {secretName: x-tls}}]}}",
            "spec.podTemplate.volumes: a is a Secret with this service's credentials",
        ),
        ("{image: {tag: x, digest: y}}", "spec.image: give tag or digest"),
        (
            "{runtime: {env: [{name: OLLAMA_HOST, value: x}]}}",
            "spec.runtime.env: the operator owns OLLAMA_HOST",
        ),
        (
            "{autoscaling: {maxReplicas: 2}}",
            "spec.autoscaling: exactly one of",
        ),
        (
            "{autoscaling: {maxReplicas: 2, target: {}}}",
            "spec.autoscaling.target: ",
        ),
        (
            "{autoscaling: {minReplicas: 3, maxReplicas: 2, target: {requestsInFlight: 1}}}",
            "minReplicas can't be more",
        ),
        (
            "{autoscaling: {minReplicas: 0, maxReplicas: 2, target: {requestsInFlight: 1}}}",
            "spec.autoscaling.minReplicas: 0 with keda",
        ),
        ("{disruption: {}}", "spec.disruption: exactly one of"),
        (
            "{storage: {ephemeral: {storageClassName: x}}}",
            "spec.storage.ephemeral: storageClassName needs sizeLimit",
        ),
        (
            "{gpu: {count: 2, resourceName: nvidia.com/mig-1g.10gb}}",
            "spec.gpu.count: 1 with MIG slices",
        ),
        (
            "{gpu: {count: 2, resourceClaims: [{name: gpu, resourceClaimName: x}]}}",
            "spec.gpu: resourceClaims goes without",
        ),
        (
            "{gpu: {resourceClaims: [{name: gpu}]}}",
            "spec.gpu.resourceClaims: gpu needs exactly one of",
        ),
        (
            "{runtime: {maxQueue: 2, env: [{name: OLLAMA_MAX_QUEUE, value: '1'}]}}",
            "spec.runtime.env: OLLAMA_MAX_QUEUE has a field of its own",
        ),
        (
            "{runtime: {kvCacheType: q8_0, flashAttention: false}}",
            "spec.runtime.kvCacheType: f16 only with flashAttention: false",
        ),
        (
            "{runtime: {maxLoadedModels: 1}, models: [{name: a, keepLoaded: true}, {name: b, keepLoaded: true}]}",
            "spec.runtime.maxLoadedModels: 2 models have keepLoaded, and only 1",
        ),
        (
            "{resources: {limits: {nvidia.com/gpu: 1}}}",
            "spec.resources: nvidia.com/gpu is asked for by spec.gpu",
        ),
        (
            "{resources: {requests: {nvidia.com/mig-1g.10gb: 1}}}",
            "spec.resources: nvidia.com/mig-1g.10gb is asked for by spec.gpu",
        ),
        (
            "{gpu: {}, resources: {requests: {amd.com/gpu: 1}}}",
            "spec.resources: amd.com/gpu is asked for by spec.gpu",
        ),
        (
            "{resources: {limits: {gpu.intel.com/xe: 1}}}",
            "spec.resources: gpu.intel.com/xe is asked for by spec.gpu",
        ),
        (
            "{podTemplate: {supplementalGroups: [44, 0]}}",
            "spec.podTemplate.supplementalGroups: 0 is not between 1 and",
        ),
        (
            "{podTemplate: {supplementalGroups: [2147483648]}}",
            "spec.podTemplate.supplementalGroups: 2147483648 is not between",
        ),
        (
            "{podTemplate: {hostAliases: [{ip: here, hostnames: [a]}]}}",
            "spec.podTemplate.hostAliases: `here` is no address",
        ),
        (
            "{podTemplate: {hostAliases: [{ip: 192.0.2.7, hostnames: [a, localhost]}]}}",
            "spec.podTemplate.hostAliases: localhost is the Pod itself",
        ),
        (
            "{podTemplate: {dnsConfig: {nameservers: [dns.example]}}}",
            "spec.podTemplate.dnsConfig.nameservers: `dns.example` is no address",
        ),
        (
            "{podTemplate: {dnsPolicy: None, dnsConfig: {searches: [a]}}}",
            "spec.podTemplate.dnsPolicy: None needs dnsConfig.nameservers",
        ),
        (
            "{podTemplate: {dnsPolicy: ClusterFirstWithHostNet}}",
            "unknown variant `ClusterFirstWithHostNet`",
        ),
        (
            "{podTemplate: {labels: {app.kubernetes.io/name: other}}}",
            "spec.podTemplate.labels: app.kubernetes.io/name is the operator's",
        ),
        (
            "{podTemplate: {annotations: {corral.dev/nudge: x}}}",
            "spec.podTemplate.annotations: corral.dev/nudge is the operator's",
        ),
        (
            "{podTemplate: {annotations: {kubectl.kubernetes.io/default-container: x}}}",
            "spec.podTemplate.annotations: kubectl.kubernetes.io/default-container is",
        ),
        (
            "{podTemplate: {volumes: [{name: api-keys, emptyDir: {sizeLimit: 1Mi}}]}}",
            "spec.podTemplate.volumes: api-keys is the operator's volume",
        ),
        (
            "{podTemplate: {volumes: [{name: a}]}}",
            "spec.podTemplate.volumes: a needs exactly one of",
        ),
        (
            "{podTemplate: {volumes: [{name: a, secret: {secretName: x-credentials}}]}}",
            "spec.podTemplate.volumes: a is a Secret with this service's credentials",
        ),
        (
            "{podTemplate: {volumes: [{name: a, secret: {secretName: x-digest-key}}]}}",
            "spec.podTemplate.volumes: a is a Secret with this service's credentials",
        ),
        (
            "{network: {tls: {secretName: cert}}, podTemplate: {volumes: [{name: a, secret: {secretName: cert}}]}}",
            "spec.podTemplate.volumes: a is a Secret with this service's credentials",
        ),
        (
            "{podTemplate: {sidecars: [{name: proxy, image: x}]}}",
            "spec.podTemplate.sidecars: proxy is the operator's container",
        ),
        (
            "{podTemplate: {sidecars: [{name: ollama, image: x}]}}",
            "spec.podTemplate.sidecars: ollama is the operator's container",
        ),
        (
            "{podTemplate: {sidecars: [{name: a, image: x, volumeMounts: [{name: api-keys, mountPath: /keys}]}]}}",
            "spec.podTemplate: there is no api-keys in volumes",
        ),
        (
            "{podTemplate: {ollamaMounts: [{name: tls, mountPath: /keys}]}}",
            "spec.podTemplate: there is no tls in volumes",
        ),
        (
            "{podTemplate: {ollamaMounts: [{name: a, mountPath: /models/a}]}}",
            "spec.podTemplate.ollamaMounts: /models/a lies in or over",
        ),
        (
            "{podTemplate: {ollamaMounts: [{name: a, mountPath: /home}]}}",
            "spec.podTemplate.ollamaMounts: /home lies in or over",
        ),
        (
            "{podTemplate: {ollamaMounts: [{name: a, mountPath: /}]}}",
            "spec.podTemplate.ollamaMounts: / lies in or over",
        ),
        (
            "{podTemplate: {terminationGracePeriodSeconds: 30}}",
            "spec.podTemplate.terminationGracePeriodSeconds: 120 at least",
        ),
        ("{gpu: {vendor: other}}", "unknown variant `other`"),
        ("{service: {nodePort: 30000}}", "spec.service: nodePort"),
        (
            "{service: {type: NodePort, loadBalancerClass: x}}",
            "spec.service: loadBalancerClass",
        ),
        ("{network: {ingress: {hosts: []}}}", "spec.network.ingress.hosts"),
        (
            "{access: [{clients: [a], allow: [Read], models: ['a b']}]}",
            "spec.access[0].models[0]: ",
        ),
        (
            "{models: [{name: llama3}, {name: 'LLAMA3:latest'}]}",
            "spec.models[1].name: is the same model as an earlier one",
        ),
        (
            "{models: [{name: a, digest: abc, modelfile: {configMapKeyRef: {name: x}}}]}",
            "spec.models: a has digest and modelfile",
        ),
        (
            "{models: [{name: a, digest: sha256:0a}]}",
            "spec.models[0].digest: ",
        ),
        ("{parallelPulls: 17}", "spec.parallelPulls: must be 1 to 16"),
        ("{pruneModels: true}", "spec.pruneModels: needs models"),
        (
            "{pruneModels: true, models: [{name: a}], storage: {existingClaim: x}}",
            "spec.pruneModels: not with spec.storage.existingClaim",
        ),
    ];
    for (spec, expected) in cases {
        let text = format!(
            "{{metadata: {{name: x}}, kind: OllamaService, apiVersion: corral.dev/v1alpha1, spec: {spec}}}"
        );
        let error = render(&text, &options("")).unwrap_err().to_string();
        assert!(error.contains(expected), "{spec}: {error}");
    }
    for name in ["1a", "a.b", "a-", "A", &"a".repeat(51)] {
        let text = format!(
            "{{metadata: {{name: \"{name}\"}}, kind: OllamaService, apiVersion: corral.dev/v1alpha1, spec: {{}}}}"
        );
        let error = render(&text, &options("")).unwrap_err().to_string();
        assert!(error.contains("metadata.name: at most 50"), "{name}: {error}");
    }
}
