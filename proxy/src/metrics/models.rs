//! The models that metrics tell apart.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

/// Whoever may create models can make up names without end.
const MOST: usize = 200;
/// Stands for all further models. A model's name has a tag, so that none is called this.
const OTHER: &str = "other";

/// The models that have answered, up to a limit.
#[derive(Debug, Default)]
pub(crate) struct ModelNames(RwLock<HashSet<Arc<str>>>);

impl ModelNames {
    /// The label of a model, empty where none is known.
    pub(crate) fn label(&self, model: Option<&Arc<str>>) -> Arc<str> {
        let Some(model) = model else {
            return "".into();
        };
        if self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(model)
        {
            return Arc::clone(model);
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MOST || known.contains(model) {
            known.insert(Arc::clone(model));
            return Arc::clone(model);
        }
        OTHER.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_beyond_the_limit_are_one() {
        let names = ModelNames::default();
        let model = |number: usize| Arc::from(format!("model:{number}"));
        for number in 0..MOST {
            assert_eq!(names.label(Some(&model(number))), model(number));
        }
        let cases = [
            ("one too many", Some(model(MOST)), "other"),
            ("a known one", Some(model(7)), "model:7"),
            ("none", None, ""),
        ];
        for (name, model, label) in cases {
            assert_eq!(&*names.label(model.as_ref()), label, "{name}");
        }
    }
}
