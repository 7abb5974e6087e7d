//! Patterns of models' names, compared part by part with the canonical form: `*` can't reach into another namespace.

use wildmatch::WildMatchPattern;

use super::name::CanonicalName;

/// `*` stands for any characters; nothing stands for one character, for NUL is in no name.
type Glob = WildMatchPattern<'*', '\0'>;

/// Some models.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelPattern {
    /// `*`: every model.
    Every,
    /// Those of which each part matches: host, namespace, model, tag.
    Parts([Glob; 4]),
}

impl ModelPattern {
    /// Reads `[HOST/][NAMESPACE/]NAME[:TAG]` with `*` in its parts. What is left out is what Ollama assumes, but a name
    /// with `*` and without a tag has any tag. `None` for what can't match a model.
    pub fn parse(pattern: &str) -> Option<Self> {
        if pattern == "*" {
            return Some(Self::Every);
        }
        // A valid name with each star in its place: a star is a letter that only patterns have.
        const STAR: &str = "0star0";
        let has_tag = pattern.rfind(':') > pattern.rfind('/');
        let any_tag = !has_tag
            && pattern
                .rsplit('/')
                .next()
                .is_some_and(|model| model.contains('*'));
        let whole = if any_tag {
            format!("{pattern}:*")
        } else {
            pattern.to_owned()
        };
        if whole.contains(STAR) {
            return None;
        }
        let name = CanonicalName::parse(&whole.replace('*', STAR))?;
        Some(Self::Parts(
            name.parts().map(|part| Glob::new(&part.replace(STAR, "*"))),
        ))
    }

    /// Whether a model is one of them.
    pub fn matches(&self, name: &CanonicalName) -> bool {
        match self {
            Self::Every => true,
            Self::Parts(globs) => globs
                .iter()
                .zip(name.parts())
                .all(|(glob, part)| glob.matches(part)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_parts() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("*", &["gemma3", "user/model", "hf.co/a/b:q4"], &[]),
            (
                "gemma3:*",
                &["gemma3", "GEMMA3:270m", "registry.ollama.ai/library/gemma3:1b"],
                &["gemma3n", "user/gemma3", "hf.co/library/gemma3"],
            ),
            (
                "gemma*",
                &["gemma3:270m", "gemma"],
                &["gemma/evil", "gemma3/evil:1", "agemma"],
            ),
            ("llama3", &["llama3", "LLAMA3:latest"], &["llama3:8b"]),
            ("llama3:8b*", &["llama3:8b", "llama3:8b-q4"], &["llama3"]),
            ("user/*", &["user/model:1"], &["model", "user2/model"]),
            ("hf.co/*/*", &["hf.co/a/b:q4"], &["a/b", "hf.com/a/b"]),
            ("*/*/*", &["gemma3", "hf.co/a/b:q4"], &[]),
        ];
        for (pattern, those, others) in cases {
            let parsed = ModelPattern::parse(pattern).unwrap();
            let matches = |name: &&str| parsed.matches(&CanonicalName::parse(name).unwrap());
            assert!(those.iter().all(matches), "{pattern}");
            assert!(!others.iter().any(matches), "{pattern}");
        }
        for pattern in ["", "a b", "a/b/c/d", ":*", "a:", "../*", "gemma3@*"] {
            assert_eq!(ModelPattern::parse(pattern), None, "{pattern}");
        }
    }
}
