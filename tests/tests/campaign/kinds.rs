//! The kinds of objects that a trial looks at.

use corral_operator::crd::OllamaService;
use corral_operator::plan::Kind;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::ApiResource;

/// Every kind whose history is kept, under the name of its resource.
pub(crate) fn all() -> Vec<ApiResource> {
    let mut kinds = compared();
    kinds.extend([
        ApiResource::erase::<Pod>(&()),
        ApiResource::erase::<ReplicaSet>(&()),
        ApiResource::erase::<Event>(&()),
    ]);
    kinds
}

/// Those whose objects must be the same at the end of two runs: Pods and their kin have random names.
pub(crate) fn compared() -> Vec<ApiResource> {
    let mut kinds: Vec<_> = Kind::ALL.into_iter().map(Kind::resource).collect();
    kinds.extend([
        ApiResource::erase::<OllamaService>(&()),
        ApiResource::erase::<Secret>(&()),
    ]);
    kinds
}
