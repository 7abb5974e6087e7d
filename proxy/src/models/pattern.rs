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
        // A valid name with a word in each star's place. The word doesn't end as it begins, so that it can't arise
        // from parts of itself and what stands beside it.
        const STAR: &str = "0star1";
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
        let has_star = whole.contains('*');
        if has_star && whole.to_ascii_lowercase().contains(STAR) {
            return None;
        }
        let name = CanonicalName::parse(&whole.replace('*', STAR))?;
        let glob = |part: &str| {
            if has_star {
                Glob::new(&part.replace(STAR, "*"))
            } else {
                Glob::new(part)
            }
        };
        Some(Self::Parts(name.parts().map(glob)))
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
            // What stands for a star inside, and what looks like a part of it.
            ("0star*", &["0star", "0star0:1"], &["star0", "a0star"]),
            ("0star0", &["0STAR0"], &["a", "star0"]),
            ("0star1", &["0STAR1"], &["a", "star1"]),
        ];
        for (pattern, those, others) in cases {
            let parsed = ModelPattern::parse(pattern).unwrap();
            let matches = |name: &&str| parsed.matches(&CanonicalName::parse(name).unwrap());
            assert!(those.iter().all(matches), "{pattern}");
            assert!(!others.iter().any(matches), "{pattern}");
        }
        for pattern in [
            "", "a b", "a/b/c/d", ":*", "a:", "../*", "gemma3@*", "0star1*", "a0STAR1*",
        ] {
            assert_eq!(ModelPattern::parse(pattern), None, "{pattern}");
        }
    }
}
