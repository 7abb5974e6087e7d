//! Children and Pods as the watches keep them: as text, packed against another of its kind. A tree of every field takes a hundred
//! times as much memory, and there are thousands of them of which one is looked at now and then.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use kube::api::DynamicObject;
use kube::core::{DynamicResourceScope, NamespaceResourceScope, ObjectMeta};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::packed::{Template, Text};
use crate::plan::{Kind, instance_of, service_of};

/// Objects of which some fields are kept.
pub trait Keep: 'static {
    /// Tells apart kinds that have the same type.
    type Kind: Clone + Send + Sync;
    /// Whether the kinds are known when this is compiled.
    type Scope;
    /// Fields that nobody here reads.
    const LEFT_OUT: &'static [&'static str];

    /// Group, version, kind and plural: where the API has it.
    fn place(kind: &Self::Kind) -> [Cow<'_, str>; 4];
}

/// A child of any kind.
#[derive(Clone, Copy, Debug)]
pub struct AnyChild;

impl Keep for AnyChild {
    type Kind = Kind;
    type Scope = DynamicResourceScope;
    const LEFT_OUT: &'static [&'static str] = &[];

    fn place(kind: &Kind) -> [Cow<'_, str>; 4] {
        let (group, version, plural) = kind.path();
        [group, version, kind.name(), plural].map(Cow::Borrowed)
    }
}

impl Keep for Pod {
    type Kind = ();
    type Scope = NamespaceResourceScope;
    const LEFT_OUT: &'static [&'static str] = &["spec"];

    fn place((): &()) -> [Cow<'_, str>; 4] {
        [
            Self::group(&()),
            Self::version(&()),
            Self::kind(&()),
            Self::plural(&()),
        ]
    }
}

/// An object without the fields that nobody here reads. Copies share its text.
pub struct Kept<T> {
    /// Name, namespace, uid and resourceVersion alone.
    metadata: ObjectMeta,
    /// The OllamaService that it belongs to.
    service: Option<String>,
    text: Text,
    type_: PhantomData<fn() -> T>,
}

impl<T> Kept<T> {
    /// The OllamaService that it belongs to: its owner, or whom its labels name, since a claim that is to be kept has no owner
    /// and a Pod belongs to a ReplicaSet.
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }
}

impl<T> Kept<T> {
    /// Has it take less memory, as others of its kind do.
    pub(super) fn pack(&mut self, template: &mut Option<Template>) {
        self.text.pack(template);
    }

    fn text(&self) -> Result<Arc<str>, serde_json::Error> {
        self.text.unpacked().map_err(serde_json::Error::custom)
    }
}

impl Kept<AnyChild> {
    /// The object as a tree.
    ///
    /// # Errors
    /// Never in practice: the text was written and packed here.
    pub fn object(&self) -> Result<DynamicObject, serde_json::Error> {
        let mut data: Value = serde_json::from_str(&self.text()?)?;
        Ok(DynamicObject {
            types: None,
            metadata: serde_json::from_value(data["metadata"].take())?,
            data,
        })
    }
}

impl Kept<Pod> {
    /// The Pod.
    ///
    /// # Errors
    /// When it is no Pod.
    pub fn pod(&self) -> Result<Pod, serde_json::Error> {
        serde_json::from_str(&self.text()?)
    }
}

impl<'de, T: Keep> Deserialize<'de> for Kept<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = without_managed_fields(Value::deserialize(deserializer)?);
        if let Some(object) = object.as_object_mut() {
            for field in T::LEFT_OUT {
                object.remove(*field);
            }
        }
        let all = ObjectMeta::deserialize(&object["metadata"]).map_err(D::Error::custom)?;
        let owner = service_of(&all).map(|(name, _)| name);
        let service = owner.or_else(|| instance_of(&all)).map(str::to_owned);
        let metadata = ObjectMeta {
            name: all.name,
            namespace: all.namespace,
            uid: all.uid,
            resource_version: all.resource_version,
            ..ObjectMeta::default()
        };
        Ok(Self {
            metadata,
            service,
            text: Text::Plain(object.to_string().into()),
            type_: PhantomData,
        })
    }
}

/// Who wrote which field is half of an object, and nobody here reads it.
pub(super) fn without_managed_fields(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self {
            metadata: self.metadata.clone(),
            service: self.service.clone(),
            text: self.text.clone(),
            type_: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Kept<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(formatter)
    }
}

impl<T: Keep> Resource for Kept<T> {
    type DynamicType = T::Kind;
    type Scope = T::Scope;

    fn group(kind: &T::Kind) -> Cow<'_, str> {
        let [group, ..] = T::place(kind);
        group
    }

    fn version(kind: &T::Kind) -> Cow<'_, str> {
        let [_, version, ..] = T::place(kind);
        version
    }

    fn kind(kind: &T::Kind) -> Cow<'_, str> {
        let [.., name, _] = T::place(kind);
        name
    }

    fn plural(kind: &T::Kind) -> Cow<'_, str> {
        let [.., plural] = T::place(kind);
        plural
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_kept_is_what_there_was_but_for_what_nobody_reads() {
        let owner =
            json!({"apiVersion": "corral.dev/v1alpha1", "kind": "OllamaService", "name": "x", "uid": "u"});
        let cases = [
            ("an owner", json!({"ownerReferences": [owner]}), Some("x")),
            (
                "a label",
                json!({"labels": {"app.kubernetes.io/instance": "y"}}),
                Some("y"),
            ),
            ("neither", json!({}), None),
        ];
        for (what, mut metadata, service) in cases {
            for (field, value) in [
                ("name", "a"),
                ("namespace", "ml"),
                ("uid", "1"),
                ("resourceVersion", "2"),
            ] {
                metadata[field] = value.into();
            }
            let mut sent = json!({"metadata": metadata, "spec": {"a": [1]}, "status": {"phase": "Running"}});
            sent["metadata"]["managedFields"] = json!([{"manager": "m"}]);
            let child: Kept<AnyChild> = serde_json::from_value(sent.clone()).unwrap();
            assert_eq!(child.service(), service, "{what}");
            assert_eq!(child.name_any(), "a");
            let object = child.object().unwrap();
            assert_eq!(
                serde_json::to_value(&object.metadata).unwrap(),
                metadata,
                "{what}"
            );
            assert_eq!(object.data["spec"], sent["spec"]);

            let pod: Kept<Pod> = serde_json::from_value(sent).unwrap();
            let pod = pod.pod().unwrap();
            assert_eq!(serde_json::to_value(&pod.metadata).unwrap(), metadata, "{what}");
            assert!(pod.spec.is_none());
            assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Running"));
        }
    }
}
