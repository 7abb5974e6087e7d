//! Names of models, written in one way (ollama/types/model/name.go).

use std::fmt;

/// A model's name with all its parts, so that equal models have equal names: `gemma3:270m` is
/// `registry.ollama.ai/library/gemma3:270m`, in any case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CanonicalName(String);

const DEFAULT_HOST: &str = "registry.ollama.ai";
const DEFAULT_NAMESPACE: &str = "library";
const DEFAULT_TAG: &str = "latest";

impl CanonicalName {
    /// Reads `[HOST/][NAMESPACE/]NAME[:TAG]`; `None` for what Ollama would refuse.
    pub fn parse(name: &str) -> Option<Self> {
        let (path, tag) = match name.rsplit_once(':') {
            // A colon before the last slash belongs to the host's port.
            Some((path, tag)) if !tag.contains('/') => (path, tag),
            _ => (name, DEFAULT_TAG),
        };
        let parts: Vec<&str> = path.split('/').collect();
        let (host, namespace, model) = match parts[..] {
            [model] => (DEFAULT_HOST, DEFAULT_NAMESPACE, model),
            [namespace, model] => (DEFAULT_HOST, namespace, model),
            [host, namespace, model] => (host, namespace, model),
            _ => return None,
        };
        let valid = is_part(host, true, 350)
            && is_part(namespace, false, 80)
            && is_part(model, false, 80)
            && is_part(tag, false, 80);
        valid.then(|| Self(format!("{host}/{namespace}/{model}:{tag}").to_ascii_lowercase()))
    }

    /// Host, namespace, model and tag.
    pub fn parts(&self) -> [&str; 4] {
        let (path, tag) = self.0.rsplit_once(':').unwrap_or((&self.0, ""));
        let (path, model) = path.rsplit_once('/').unwrap_or(("", path));
        let (host, namespace) = path.rsplit_once('/').unwrap_or(("", path));
        [host, namespace, model, tag]
    }

    /// Without the host and namespace that Ollama assumes, as `ollama list` shows it.
    pub fn shortest(&self) -> &str {
        let Some(path) = self
            .0
            .strip_prefix(DEFAULT_HOST)
            .and_then(|path| path.strip_prefix('/'))
        else {
            return &self.0;
        };
        path.strip_prefix(DEFAULT_NAMESPACE)
            .and_then(|model| model.strip_prefix('/'))
            .unwrap_or(path)
    }
}

fn is_part(part: &str, colon: bool, longest: usize) -> bool {
    let inner = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') || (colon && byte == b':')
    };
    let first = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    part.len() <= longest && part.as_bytes().first().is_some_and(first) && part.bytes().all(inner)
}

impl fmt::Display for CanonicalName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_models_have_equal_names() {
        let cases = [
            ("gemma3:270m", Some("registry.ollama.ai/library/gemma3:270m")),
            ("gemma3", Some("registry.ollama.ai/library/gemma3:latest")),
            ("LLAMA3:Latest", Some("registry.ollama.ai/library/llama3:latest")),
            ("user/model", Some("registry.ollama.ai/user/model:latest")),
            ("hf.co/user/model:Q4_K_M", Some("hf.co/user/model:q4_k_m")),
            (
                "127.0.0.1:5000/library/tiny",
                Some("127.0.0.1:5000/library/tiny:latest"),
            ),
            (
                "127.0.0.1:5000/library/tiny:1",
                Some("127.0.0.1:5000/library/tiny:1"),
            ),
            ("", None),
            (":tag", None),
            ("model:", None),
            ("a/b/c/d", None),
            ("../model", None),
            ("mo del", None),
            ("http://host/library/model", None),
        ];
        for (name, expected) in cases {
            let canonical = CanonicalName::parse(name).map(|name| name.to_string());
            assert_eq!(canonical.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn the_shortest_form_leaves_out_what_is_assumed() {
        let cases = [
            ("gemma3:270m", "gemma3:270m"),
            ("LLAMA3", "llama3:latest"),
            ("registry.ollama.ai/library/gemma3", "gemma3:latest"),
            ("user/model", "user/model:latest"),
            (
                "library.example/library/model:1",
                "library.example/library/model:1",
            ),
            ("registry.ollama.ai/librarian/model:1", "librarian/model:1"),
        ];
        for (name, shortest) in cases {
            assert_eq!(CanonicalName::parse(name).unwrap().shortest(), shortest, "{name}");
        }
    }
}
