//! Which objects name something: of Pods their OllamaService, of OllamaServices their Secrets.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use kube::runtime::reflector::Lookup;
use kube::runtime::watcher::Event;

use crate::memory::{Key, key_of};

/// An index that the events of a watch keep up to date. What is named is in the namespace of the object that names it.
#[derive(Debug, Default)]
pub struct Index(RwLock<Lists>);

#[derive(Debug, Default)]
struct Lists {
    now: List,
    /// The one that is being read anew.
    coming: List,
}

#[derive(Debug, Default)]
struct List {
    names: HashMap<Key, Vec<String>>,
    /// In order: mostly one, for which a tree is large.
    naming: HashMap<Key, Vec<String>>,
}

impl Index {
    /// Notes what a watch has seen; `names` says what an object names.
    pub(super) fn note<K: Lookup>(&self, event: &Event<K>, names: impl Fn(&K) -> Vec<String>) {
        let mut lists = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Apply(object) => lists.now.set(object, names(object)),
            Event::Delete(object) => lists.now.set(object, Vec::new()),
            Event::Init => lists.coming = List::default(),
            Event::InitApply(object) => lists.coming.set(object, names(object)),
            Event::InitDone => lists.now = std::mem::take(&mut lists.coming),
        }
    }

    /// The names of the objects in that namespace that name it, in order.
    pub fn naming(&self, namespace: &str, name: &str) -> Vec<String> {
        let lists = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let naming = lists.now.naming.get(&(namespace.to_owned(), name.to_owned()));
        naming.into_iter().flatten().cloned().collect()
    }
}

impl List {
    fn set(&mut self, object: &impl Lookup, names: Vec<String>) {
        let (namespace, object) = key_of(object);
        let key = (namespace.clone(), object.clone());
        if self.names.get(&key) == Some(&names) {
            return;
        }
        for gone in self.names.remove(&key).into_iter().flatten() {
            self.forget(&(namespace.clone(), gone), &object);
        }
        for name in &names {
            let naming = self.naming.entry((namespace.clone(), name.clone())).or_default();
            if let Err(place) = naming.binary_search(&object) {
                naming.insert(place, object.clone());
            }
        }
        if !names.is_empty() {
            self.names.insert(key, names);
        }
    }

    fn forget(&mut self, named: &Key, object: &str) {
        if let Some(naming) = self.naming.get_mut(named) {
            if let Ok(place) = naming.binary_search_by(|one| one.as_str().cmp(object)) {
                naming.remove(place);
            }
            if naming.is_empty() {
                self.naming.remove(named);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::ResourceExt;
    use kube::core::ObjectMeta;

    use super::*;

    fn pod(name: &str, names: &str) -> Pod {
        Pod {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some("ml".to_owned()),
                labels: Some([("names".to_owned(), names.to_owned())].into()),
                ..ObjectMeta::default()
            },
            ..Pod::default()
        }
    }

    fn names(pod: &Pod) -> Vec<String> {
        let names = pod.labels()["names"].split(' ');
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn it_follows_the_events_of_a_watch() {
        let index = Index::default();
        type Case<'a> = (&'a str, Event<Pod>, &'a [&'a str], &'a [&'a str]);
        let cases: [Case<'_>; 9] = [
            ("one", Event::Apply(pod("x", "a")), &["x"], &[]),
            ("two", Event::Apply(pod("w", "a b")), &["w", "x"], &["w"]),
            ("again", Event::Apply(pod("w", "a b")), &["w", "x"], &["w"]),
            ("another", Event::Apply(pod("x", "b")), &["w"], &["w", "x"]),
            ("gone", Event::Delete(pod("w", "a b")), &[], &["x"]),
            ("a new list begins", Event::Init, &[], &["x"]),
            (
                "it is not there yet",
                Event::InitApply(pod("y", "a")),
                &[],
                &["x"],
            ),
            ("it is there", Event::InitDone, &["y"], &[]),
            ("nothing named", Event::Apply(pod("y", "")), &[], &[]),
        ];
        for (what, event, a, b) in cases {
            index.note(&event, names);
            assert_eq!(index.naming("ml", "a"), a, "{what}");
            assert_eq!(index.naming("ml", "b"), b, "{what}");
            assert!(index.naming("other", "a").is_empty(), "{what}");
        }
    }
}
