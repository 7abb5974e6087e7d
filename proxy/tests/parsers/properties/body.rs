//! What a JSON body asks for: what is accepted has one reading, and it is that of a parser that keeps everything.

use std::collections::BTreeMap;

use corral_proxy::ask::Ask;
use corral_proxy::models::name::CanonicalName;
use corral_proxy::routes::{Content, Field, Length};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What a body can be, in the order of an input's first byte.
pub(crate) const CONTENTS: [Content; 7] = [
    Content::Inference(Field::Prompt),
    Content::Inference(Field::Messages),
    Content::Inference(Field::Input),
    Content::Compatible(Length::MaxTokens),
    Content::Named,
    Content::Create,
    Content::Copy,
];

/// What the body is, then the body.
pub(crate) fn check(data: &[u8]) {
    let (number, body) = super::variant(data);
    let content = CONTENTS[number % CONTENTS.len()];
    let asked = Ask::of_body(content, body);
    let again = |around: [&[u8]; 2]| Ask::of_body(content, &[around[0], body, around[1]].concat());
    let Ok(ask) = asked else {
        // Nothing makes a body good that isn't, and the reason is said in one line.
        assert!(body.is_ascii() || again([b"", b" "]).is_err());
        return;
    };
    if body.is_empty() {
        assert_eq!(ask, Ask::default());
        return;
    }
    let object = object(body);
    assert_eq!(ask.models, models(content, &object), "{object:?}");
    assert_eq!(
        again([b" \n", b"\t\r\n"]).as_ref(),
        Ok(&ask),
        "space around it says nothing"
    );
    assert!(
        again([b"", b"{}"]).is_err() && again([b"[", b"]"]).is_err(),
        "anything more is refused"
    );
    assert!(!ask.unloads || matches!(content, Content::Inference(_)));
    assert!(!ask.unloads || object.contains_key("keep_alive"));
}

/// All of it. Half a surrogate pair or a number beyond all bounds is null here: Ollama's reader lets them pass where it
/// doesn't look either, and the value of a field that is looked at can be neither.
fn object(body: &[u8]) -> Map<String, Value> {
    let object: BTreeMap<String, &RawValue> =
        serde_json::from_slice(body).expect("what is accepted is an object");
    let read = |value: &RawValue| serde_json::from_str(value.get()).unwrap_or_default();
    object
        .into_iter()
        .map(|(key, value)| (key, read(value)))
        .collect()
}

/// Slow and simple: each field that names a model on this route.
fn models(content: Content, object: &Map<String, Value>) -> Vec<CanonicalName> {
    let name = |key: &str| {
        object
            .get(key)
            .and_then(Value::as_str)
            .and_then(CanonicalName::parse)
    };
    let model = || name("model").or_else(|| name("name"));
    let names = match content {
        Content::Inference(_) | Content::Compatible(_) => vec![name("model")],
        Content::Named => vec![model()],
        Content::Create => vec![model(), name("from")],
        Content::Copy => vec![name("source"), name("destination")],
        Content::Nothing | Content::Blob | Content::Path | Content::Form => vec![],
    };
    names.into_iter().flatten().collect()
}
