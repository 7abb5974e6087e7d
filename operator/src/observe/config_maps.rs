//! The ConfigMaps with the Modelfiles that models are made from.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::reflector::ObjectRef;

use super::Place;
use crate::crd::OllamaService;
use crate::plan::{ConfigMaps, config_map_names};
use crate::watch::Noted;

/// What a ConfigMap held when it was last read.
#[derive(Clone, Debug)]
pub(super) struct Held {
    resource_version: String,
    data: BTreeMap<String, String>,
}

/// Reads the ConfigMaps that an OllamaService's models are made from; none where no model is. One that hasn't changed is
/// not read again.
///
/// # Errors
/// When the API server doesn't answer.
pub async fn config_maps(place: Place<'_>, service: &OllamaService) -> Result<ConfigMaps, kube::Error> {
    let names: BTreeSet<_> = config_map_names(service).collect();
    let mut found = ConfigMaps::new();
    for name in names {
        if let Some(data) = place.config_map(name).await? {
            found.insert(name.to_owned(), data);
        }
    }
    Ok(found)
}

impl Place<'_> {
    async fn config_map(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, kube::Error> {
        let index = (self.namespace.to_owned(), name.to_owned());
        let reference = ObjectRef::new(name).within(self.namespace);
        let stored = self.stores.config_maps.get(&reference);
        if let Some(known) = self.readings.config_maps.get(&index)
            && stored.as_deref().and_then(Noted::version) == Some(&known.resource_version)
        {
            return Ok(Some(known.data));
        }
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.namespace);
        let Some(config_map) = api.get_opt(name).await? else {
            self.readings.config_maps.forget(|one| *one == index);
            return Ok(None);
        };
        let entries = Held {
            resource_version: config_map.resource_version().unwrap_or_default(),
            data: config_map.data.unwrap_or_default(),
        };
        self.readings.config_maps.insert(index, entries.clone());
        Ok(Some(entries.data))
    }
}
