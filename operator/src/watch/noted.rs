//! What is kept of Secrets and ConfigMaps: which version there is, and whose it is. There may be tens of thousands of them.

use std::borrow::Cow;
use std::marker::PhantomData;

use kube::api::PartialObjectMeta;
use kube::runtime::reflector;
use kube::{Resource, ResourceExt};

use crate::plan::service_of;

/// An object of which only this is known.
#[derive(Debug)]
pub struct Noted<T> {
    namespace: Option<Box<str>>,
    name: Box<str>,
    version: Option<Box<str>>,
    owner: Option<Box<str>>,
    deleting: bool,
    type_: PhantomData<fn() -> T>,
}

impl<T> Noted<T> {
    /// Its resourceVersion.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The uid of the OllamaService that owns it.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// Whether it is about to go.
    pub fn is_deleting(&self) -> bool {
        self.deleting
    }
}

impl<T> From<PartialObjectMeta<T>> for Noted<T>
where
    PartialObjectMeta<T>: Resource,
{
    fn from(object: PartialObjectMeta<T>) -> Self {
        Self {
            namespace: object.namespace().map(String::into_boxed_str),
            name: object.name_any().into_boxed_str(),
            version: object.resource_version().map(String::into_boxed_str),
            owner: service_of(object.meta()).map(|(_, uid)| uid.into()),
            deleting: object.meta().deletion_timestamp.is_some(),
            type_: PhantomData,
        }
    }
}

impl<T> Clone for Noted<T> {
    fn clone(&self) -> Self {
        Self {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            owner: self.owner.clone(),
            deleting: self.deleting,
            type_: PhantomData,
        }
    }
}

/// Name and namespace are all that a store asks for.
impl<T: Resource<DynamicType = ()>> reflector::Lookup for Noted<T> {
    type DynamicType = ();

    fn kind((): &()) -> Cow<'_, str> {
        T::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        T::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        T::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        T::plural(&())
    }

    fn name(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.name))
    }

    fn namespace(&self) -> Option<Cow<'_, str>> {
        self.namespace.as_deref().map(Cow::Borrowed)
    }

    fn resource_version(&self) -> Option<Cow<'_, str>> {
        None
    }

    fn uid(&self) -> Option<Cow<'_, str>> {
        None
    }
}
