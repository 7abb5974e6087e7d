//! Names of models: equal models have equal names, and a name has one form.

use corral_proxy::models::name::CanonicalName;
use corral_proxy::models::pattern::ModelPattern;

/// A name as a client writes it.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // A pattern is read whatever it is.
    let pattern = ModelPattern::parse(text);
    let name = CanonicalName::parse(text);
    assert_eq!(name.as_ref().map(ToString::to_string), expected(text));
    let Some(name) = name else { return };
    let same =
        |spelling: &str| assert_eq!(CanonicalName::parse(spelling).as_ref(), Some(&name), "{spelling}");
    same(&name.to_string());
    same(name.shortest());
    same(&text.to_ascii_uppercase());
    let [host, namespace, model, tag] = name.parts();
    same(&format!("{host}/{namespace}/{model}:{tag}"));
    // A name is the pattern of itself, and only a name without a tag is one of others too.
    let pattern = pattern.unwrap_or_else(|| panic!("{text} is a name and no pattern"));
    assert!(pattern.matches(&name), "{text}");
}

/// Slow and simple: from the right, what is missing is put in.
fn expected(text: &str) -> Option<String> {
    let last = text.rsplit('/').next()?;
    let (path, tag) = if last.contains(':') {
        text.rsplit_once(':')?
    } else {
        (text, "latest")
    };
    let mut parts = vec!["registry.ollama.ai", "library"];
    let given: Vec<_> = path.split('/').collect();
    if given.len() > 3 {
        return None;
    }
    parts.truncate(3 - given.len());
    parts.extend(given);
    let fits = |part: &str, longest: usize, others: &str| {
        let first = part.chars().next();
        first.is_some_and(|first| first.is_ascii_alphanumeric() || first == '_')
            && part.len() <= longest
            && part
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || others.contains(character))
    };
    let well_formed =
        fits(parts[0], 350, "-_.:") && [parts[1], parts[2], tag].iter().all(|part| fits(part, 80, "-_."));
    well_formed.then(|| format!("{}:{tag}", parts.join("/")).to_lowercase())
}
