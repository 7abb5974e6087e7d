//! The models, with what is to be made of ConfigMaps' Modelfiles.

use std::collections::BTreeMap;

use corral_proxy::config;
use corral_proxy::models::modelfile::{CIRCULAR, Modelfile, circular};

use crate::crd::{ConfigMapKeyRef, Model, ModelfileSource, OllamaService, OllamaServiceSpec};

/// The ConfigMaps in which models' Modelfiles stand, by name; one that isn't there is missing here.
pub type ConfigMaps = BTreeMap<String, BTreeMap<String, String>>;

/// A model that can't be made as it is defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelProblem {
    /// The model's name.
    pub model: String,
    /// What is wrong, and where.
    pub problem: String,
}

/// The names of the ConfigMaps that an OllamaService's models are made from.
pub fn config_map_names(service: &OllamaService) -> impl Iterator<Item = &str> {
    let sources = service
        .spec
        .models
        .iter()
        .filter_map(|model| model.modelfile.as_ref());
    sources.map(|source| source.config_map_key_ref.name.as_str())
}

/// What is wrong with what the spec says of models.
pub(super) fn model_problems(spec: &OllamaServiceSpec) -> Vec<String> {
    let existing_claim = spec
        .storage
        .as_ref()
        .and_then(|storage| storage.existing_claim.as_ref());
    let pruned = (spec.prune_models && existing_claim.is_some()).then(|| {
        "spec.pruneModels: not with spec.storage.existingClaim, where others may keep their models".to_owned()
    });
    let both = |model: &&Model| model.digest.is_some() && model.modelfile.is_some();
    let both = spec.models.iter().filter(both);
    let both = both.map(|model| {
        format!(
            "spec.models: {} has digest and modelfile; give one of them",
            model.name
        )
    });
    pruned.into_iter().chain(both).collect()
}

/// What the proxies are told of the models. A model with a problem is named to them with it, so that they leave it alone.
pub(super) fn models(models: &[Model], config_maps: &ConfigMaps) -> Vec<config::Model> {
    let mut models: Vec<_> = models.iter().map(|model| told(model, config_maps)).collect();
    while let Some(index) = circular(&models) {
        let model = &mut models[index];
        model.modelfile = None;
        model.problem = Some(format!("its Modelfile: {CIRCULAR}"));
    }
    models
}

fn told(model: &Model, config_maps: &ConfigMaps) -> config::Model {
    let Model {
        name,
        keep_loaded,
        insecure,
        digest,
        modelfile,
    } = model;
    let text = modelfile.as_ref().map(|source| text(source, config_maps));
    let (modelfile, problem) = match text {
        None => (None, None),
        Some(Ok(text)) => (Some(text.to_owned()), None),
        Some(Err(problem)) => (None, Some(problem)),
    };
    config::Model {
        name: name.clone(),
        keep_loaded: *keep_loaded,
        insecure: *insecure,
        digest: digest.clone(),
        modelfile,
        problem,
    }
}

fn text<'a>(source: &ModelfileSource, config_maps: &'a ConfigMaps) -> Result<&'a str, String> {
    let ConfigMapKeyRef { name, key } = &source.config_map_key_ref;
    let config_map = config_maps
        .get(name)
        .ok_or_else(|| format!("ConfigMap {name} of its Modelfile is missing"))?;
    let text = config_map
        .get(key)
        .ok_or_else(|| format!("ConfigMap {name} has no entry {key} with its Modelfile"))?;
    match Modelfile::parse(text) {
        Ok(_) => Ok(text),
        Err(error) => Err(format!("entry {key} of ConfigMap {name}: {error}")),
    }
}

/// What is wrong with models, of what the proxies are told.
pub(super) fn problems(models: &[config::Model]) -> Vec<ModelProblem> {
    let problem = |model: &config::Model| {
        Some(ModelProblem {
            model: model.name.clone(),
            problem: model.problem.clone()?,
        })
    };
    models.iter().filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str, key: &str) -> Model {
        Model {
            name: name.to_owned(),
            modelfile: Some(ModelfileSource {
                config_map_key_ref: ConfigMapKeyRef {
                    name: "files".to_owned(),
                    key: key.to_owned(),
                },
            }),
            ..Model::default()
        }
    }

    #[test]
    fn what_can_not_be_made_says_why_and_holds_up_nothing_else() {
        let entries = [
            ("good", "FROM a"),
            ("bad", "FROM a\nSYSTM b"),
            ("self", "FROM x"),
            ("round", "FROM y"),
        ]
        .map(|(key, text)| (key.to_owned(), text.to_owned()));
        let config_maps = ConfigMaps::from([("files".to_owned(), entries.into())]);
        let listed = [
            made("good", "good"),
            made("bad", "bad"),
            made("none", "absent"),
            made("x", "self"),
            made("v", "round"),
        ];
        let told = models(&listed, &config_maps);
        let said: Vec<_> = told
            .iter()
            .map(|model| {
                (
                    model.modelfile.as_deref(),
                    model.problem.clone().unwrap_or_default(),
                )
            })
            .collect();
        assert_eq!(said[0], (Some("FROM a"), String::new()));
        assert!(
            said[1].1.starts_with("entry bad of ConfigMap files: line 2: "),
            "{said:?}"
        );
        assert_eq!(
            said[2].1,
            "ConfigMap files has no entry absent with its Modelfile"
        );
        assert!(said[3].1.contains(CIRCULAR), "{said:?}");
        assert_eq!(said[4], (Some("FROM y"), String::new()));
        let problems: Vec<_> = problems(&told).into_iter().map(|problem| problem.model).collect();
        assert_eq!(problems, ["bad", "none", "x"]);

        let missing = models(&listed[..1], &ConfigMaps::new());
        assert_eq!(
            missing[0].problem.as_deref(),
            Some("ConfigMap files of its Modelfile is missing")
        );
    }
}
