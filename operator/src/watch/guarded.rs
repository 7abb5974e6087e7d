//! An OllamaService as it comes from the API server: one that can't be read doesn't stop the others.

use std::borrow::Cow;

use kube::Resource;
use kube::core::ObjectMeta;
use kube::core::error_boundary::InvalidObject;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::kept::without_managed_fields;
use crate::crd::OllamaService;

/// What [`kube::core::DeserializeGuard`] is too, with one copy of the object instead of three.
#[derive(Clone, Debug)]
pub struct Guarded(pub Result<OllamaService, InvalidObject>);

impl Guarded {
    /// Whether its status says that it is ready.
    pub(super) fn is_ready(&self) -> bool {
        let status = self.0.as_ref().ok().and_then(|service| service.status.as_ref());
        status.is_some_and(|status| status.says("Ready"))
    }
}

impl<'de> Deserialize<'de> for Guarded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = without_managed_fields(Value::deserialize(deserializer)?);
        match OllamaService::deserialize(&object) {
            Ok(service) => Ok(Self(Ok(service))),
            Err(error) => Ok(Self(Err(InvalidObject {
                error: error.to_string(),
                metadata: ObjectMeta::deserialize(&object["metadata"]).map_err(D::Error::custom)?,
            }))),
        }
    }
}

impl Resource for Guarded {
    type DynamicType = ();
    type Scope = <OllamaService as Resource>::Scope;

    fn group(kind: &()) -> Cow<'_, str> {
        OllamaService::group(kind)
    }

    fn version(kind: &()) -> Cow<'_, str> {
        OllamaService::version(kind)
    }

    fn kind(kind: &()) -> Cow<'_, str> {
        OllamaService::kind(kind)
    }

    fn plural(kind: &()) -> Cow<'_, str> {
        OllamaService::plural(kind)
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(service) => service.meta(),
            Err(invalid) => &invalid.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(service) => service.meta_mut(),
            Err(invalid) => &mut invalid.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use serde_json::json;

    use super::*;

    #[test]
    fn one_that_cannot_be_read_still_has_a_name() {
        for (spec, readable) in [(json!({}), true), (json!({"models": "many"}), false)] {
            let object = json!({"apiVersion": "corral.dev/v1alpha1", "kind": "OllamaService", "spec": spec,
                "metadata": {"name": "x", "namespace": "ml", "managedFields": []}});
            let service: Guarded = serde_json::from_value(object).unwrap();
            assert_eq!(service.0.is_ok(), readable, "{spec}");
            assert_eq!(service.name_any(), "x");
            assert_eq!(service.meta().managed_fields, None);
        }
    }
}
