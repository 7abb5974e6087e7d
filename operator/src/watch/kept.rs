//! Children and Pods as the watches keep them: as text, packed against another of its kind. A tree of every field takes a hundred
//! times as much memory, and there are thousands of them of which one is looked at now and then.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use kube::api::DynamicObject;
use kube::core::{DynamicResourceScope, NamespaceResourceScope, ObjectMeta};
use kube::runtime::watcher::Event;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::packed::{Packed, Template};
use super::stored::Stored;
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

/// An object as a watch reads it, without the fields that nobody here reads.
pub struct Came<T> {
    metadata: ObjectMeta,
    text: String,
    type_: PhantomData<fn() -> T>,
}

impl<T> Came<T> {
    /// The OllamaService that it belongs to: its owner, or whom its labels name, since a claim that is to be kept has no owner
    /// and a Pod belongs to a ReplicaSet.
    pub(super) fn service(&self) -> Option<&str> {
        let owner = service_of(&self.metadata).map(|(name, _)| name);
        owner.or_else(|| instance_of(&self.metadata))
    }
}

/// An object of which this is kept. Copies share its text.
pub type Kept<T> = Stored<Came<T>, Packed>;

impl<T> Kept<T> {
    /// Packs an object against the first of its kind.
    pub(super) fn pack(came: &Came<T>, template: &mut Option<Template>) -> Self {
        Self::new(&came.metadata, Packed::new(&came.text, template))
    }

    fn text(&self) -> Result<String, serde_json::Error> {
        self.held.unpacked().map_err(serde_json::Error::custom)
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

impl<'de, T: Keep> Deserialize<'de> for Came<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = without_managed_fields(Value::deserialize(deserializer)?);
        if let Some(object) = object.as_object_mut() {
            for field in T::LEFT_OUT {
                object.remove(*field);
            }
        }
        Ok(Self {
            metadata: ObjectMeta::deserialize(&object["metadata"]).map_err(D::Error::custom)?,
            text: object.to_string(),
            type_: PhantomData,
        })
    }
}

/// The same event of what is kept.
pub(super) fn event<C, K>(event: &Event<C>, keep: impl FnOnce(&C) -> K) -> Event<K> {
    match event {
        Event::Apply(object) => Event::Apply(keep(object)),
        Event::Delete(object) => Event::Delete(keep(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(keep(object)),
        Event::InitDone => Event::InitDone,
    }
}

/// Who wrote which field is half of an object, and nobody here reads it.
pub(super) fn without_managed_fields(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

impl<T> Clone for Came<T> {
    fn clone(&self) -> Self {
        Self {
            metadata: self.metadata.clone(),
            text: self.text.clone(),
            type_: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Came<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl<T: Keep> Resource for Came<T> {
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
    use serde_json::json;

    use super::*;
    use crate::memory::key_of;

    fn came<T: Keep>(sent: Value) -> Came<T> {
        serde_json::from_value(sent).unwrap()
    }

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
            let child: Came<AnyChild> = came(sent.clone());
            assert_eq!(child.service(), service, "{what}");
            let child = Kept::pack(&child, &mut None);
            assert_eq!(key_of(&child), ("ml".to_owned(), "a".to_owned()));
            let object = child.object().unwrap();
            assert_eq!(
                serde_json::to_value(&object.metadata).unwrap(),
                metadata,
                "{what}"
            );
            assert_eq!(object.data["spec"], sent["spec"]);

            let pod = Kept::<Pod>::pack(&came(sent), &mut None).pod().unwrap();
            assert_eq!(serde_json::to_value(&pod.metadata).unwrap(), metadata, "{what}");
            assert!(pod.spec.is_none());
            assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Running"));
        }
    }
}
