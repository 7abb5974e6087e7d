//! What the stores have of an object: where it is, and as much of it as is held.

use std::borrow::Cow;
use std::marker::PhantomData;

use kube::Resource;
use kube::core::ObjectMeta;
use kube::runtime::reflector::Lookup;

/// An object of the type `R` of which `H` is held. Name and namespace are all that a store asks for.
#[derive(Debug)]
pub struct Stored<R, H> {
    namespace: Option<Box<str>>,
    name: Box<str>,
    pub(super) held: H,
    type_: PhantomData<fn() -> R>,
}

impl<R, H> Stored<R, H> {
    pub(super) fn new(metadata: &ObjectMeta, held: H) -> Self {
        Self {
            namespace: metadata.namespace.as_deref().map(Box::from),
            name: metadata.name.as_deref().unwrap_or_default().into(),
            held,
            type_: PhantomData,
        }
    }
}

impl<R, H: Clone> Clone for Stored<R, H> {
    fn clone(&self) -> Self {
        Self {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            held: self.held.clone(),
            type_: PhantomData,
        }
    }
}

impl<R: Resource, H> Lookup for Stored<R, H> {
    type DynamicType = R::DynamicType;

    fn kind(type_: &R::DynamicType) -> Cow<'_, str> {
        R::kind(type_)
    }

    fn group(type_: &R::DynamicType) -> Cow<'_, str> {
        R::group(type_)
    }

    fn version(type_: &R::DynamicType) -> Cow<'_, str> {
        R::version(type_)
    }

    fn plural(type_: &R::DynamicType) -> Cow<'_, str> {
        R::plural(type_)
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
