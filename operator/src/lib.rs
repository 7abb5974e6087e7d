//! The Kubernetes operator of Corral: turns each `OllamaService` into an Ollama that nobody reaches without a credential.
//!
//! # Privileges
//! The operator uses these verbs and no others; the chart grants exactly them. What it makes carries an owner reference, so
//! that Kubernetes deletes it with its OllamaService. By itself it deletes only kinds that hold nothing, when the spec no
//! longer asks for them, and only the very object that it made.
//!
//! | group | resources | verbs | for |
//! |---|---|---|---|
//! | corral.dev | ollamaservices | get, list, watch | one by name, before what was there is made anew for it |
//! | corral.dev | ollamaservices/status | patch | |
//! | core | serviceaccounts, services, configmaps, persistentvolumeclaims | get, list, watch, create, patch | children; create goes with patch in server-side apply |
//! | apps | deployments | get, list, watch, create, patch | children |
//! | policy | poddisruptionbudgets | get, list, watch, create, patch, delete | `disruption` |
//! | autoscaling | horizontalpodautoscalers | get, list, watch, create, patch, delete | `autoscaling.target` |
//! | keda.sh | scaledobjects | get, list, watch, create, patch, delete | `autoscaling.keda` |
//! | networking.k8s.io | networkpolicies | get, list, watch, create, patch | children |
//! | networking.k8s.io | ingresses | get, list, watch, create, patch, delete | `network.ingress` |
//! | gateway.networking.k8s.io | httproutes | get, list, watch, create, patch, delete | `network.httpRoute` |
//! | cert-manager.io | certificates | get, list, watch, create, patch, delete | `network.tls.certificate` |
//! | core | pods | list, watch, patch | why a Pod doesn't run; the annotation that makes the kubelet refresh mounts |
//! | core | secrets | get, list, watch, create | `--secrets=read` only: metadata is watched; Secrets are read by name, and its own, at the start, by their label |
//! | events.k8s.io | events | create, patch | |
//! | coordination.k8s.io | leases | get, create, patch | `--leader-elect` only, in the operator's own namespace |

pub mod admin;
pub mod apply;
pub mod backoff;
pub mod changes;
pub mod cli;
pub mod compare;
pub mod crd;
pub mod lease;
pub mod memory;
pub mod metrics;
pub mod observe;
pub mod plan;
pub mod quantity;
pub mod queue;
pub mod reconcile;
pub mod render;
pub mod replicas;
pub mod report;
pub mod rotation;
pub mod run;
pub mod status;
pub mod text;
pub mod watch;
