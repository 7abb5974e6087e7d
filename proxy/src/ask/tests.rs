use super::*;
use crate::routes::Length;
use proptest::prelude::*;
use serde_json::Value;

const GENERATE: Content = Content::Inference(Field::Prompt);
const CHAT: Content = Content::Inference(Field::Messages);
const EMBED: Content = Content::Inference(Field::Input);

#[test]
fn models_are_named_once_in_one_way() {
    let cases: &[(Content, &str, Option<&[&str]>)] = &[
        (
            GENERATE,
            r#"{"model":"LLAMA3","prompt":"x"}"#,
            Some(&["llama3:latest"]),
        ),
        (
            GENERATE,
            r#" {"\u006dodel":"registry.ollama.ai/library/llama3"} "#,
            Some(&["llama3:latest"]),
        ),
        (
            GENERATE,
            r#"{"model":"a","name":"b","x":{"model":"c","model":"d","Model":"e"}}"#,
            Some(&["a:latest"]),
        ),
        (GENERATE, r#"{"model":null}"#, Some(&[])),
        (GENERATE, r#"{"model":""}"#, Some(&[])),
        (GENERATE, "{}", Some(&[])),
        (GENERATE, "", Some(&[])),
        (GENERATE, r#"{"model":"a","model":"b"}"#, None),
        (GENERATE, r#"{"model":"a","\u006dodel":"a"}"#, None),
        (GENERATE, r#"{"MODEL":"a"}"#, None),
        (GENERATE, r#"{"model":"a","Model":"b"}"#, None),
        (GENERATE, "{\"model\":\"a\",\"\u{212a}eep_alive\":0}", None),
        (GENERATE, "{\"model\":\"a\",\"me\u{17f}\u{17f}ages\":[]}", None),
        (GENERATE, r#"{"model":"a"}{"model":"b"}"#, None),
        (GENERATE, r#"{"model":"a"} x"#, None),
        (GENERATE, r#"[{"model":"a"}]"#, None),
        (GENERATE, r#""model""#, None),
        (GENERATE, "null", None),
        (GENERATE, " ", None),
        (GENERATE, "{", None),
        (GENERATE, r#"{"model":"a",}"#, None),
        (GENERATE, r#"{"model":1}"#, None),
        (GENERATE, r#"{"model":["a"]}"#, None),
        (GENERATE, r#"{"model":"../a"}"#, None),
        (GENERATE, r#"{"model":"http://a/b/c"}"#, None),
        (
            Content::Compatible(Length::MaxTokens),
            r#"{"model":"a","max_tokens":1}"#,
            Some(&["a:latest"]),
        ),
        (Content::Named, r#"{"name":"a"}"#, Some(&["a:latest"])),
        (Content::Named, r#"{"model":"","name":"a"}"#, Some(&["a:latest"])),
        (
            Content::Named,
            r#"{"model":"a","name":"A:latest"}"#,
            Some(&["a:latest"]),
        ),
        (Content::Named, r#"{"model":"a","name":"b"}"#, None),
        (
            Content::Create,
            r#"{"model":"a","from":"b"}"#,
            Some(&["a:latest", "b:latest"]),
        ),
        (Content::Create, r#"{"model":"a","From":"b"}"#, None),
        (
            Content::Copy,
            r#"{"source":"a","destination":"b"}"#,
            Some(&["a:latest", "b:latest"]),
        ),
        (Content::Copy, "{\"source\":\"a\",\"\u{17f}ource\":\"b\"}", None),
    ];
    for (content, body, expected) in cases {
        let ask = Ask::of_body(*content, body.as_bytes()).ok();
        let models: Option<Vec<_>> = ask
            .as_ref()
            .map(|ask| ask.models.iter().map(CanonicalName::shortest).collect());
        assert_eq!(models.as_deref(), *expected, "{body}");
    }
    assert_eq!(
        Ask::of_body(GENERATE, b"{\"x\":\"\xff\"}"),
        Err(AskError::NotUtf8)
    );
}

#[test]
fn an_unload_is_told_in_every_spelling() {
    let cases = [
        (GENERATE, r#"{"keep_alive":0}"#, true),
        (GENERATE, r#"{"prompt":"","keep_alive":0}"#, true),
        (GENERATE, r#"{"prompt":null,"keep_alive":"0m"}"#, true),
        (
            GENERATE,
            r#"{"prompt":"","keep_alive":"0","messages":[{}]}"#,
            true,
        ),
        (GENERATE, r#"{"prompt":" ","keep_alive":0}"#, false),
        (GENERATE, r#"{"prompt":"x","keep_alive":0}"#, false),
        (GENERATE, r#"{"prompt":"","keep_alive":-1}"#, false),
        (GENERATE, r#"{"prompt":"","keep_alive":"5m"}"#, false),
        (GENERATE, r#"{"prompt":"","keep_alive":null}"#, false),
        (GENERATE, r#"{"prompt":""}"#, false),
        (CHAT, r#"{"messages":[],"keep_alive":0}"#, true),
        (CHAT, r#"{"messages":[ ],"keep_alive":0.0,"prompt":"x"}"#, true),
        (CHAT, r#"{"messages":[{}],"keep_alive":0}"#, false),
        (EMBED, r#"{"input":[],"keep_alive":"0s"}"#, true),
        (EMBED, r#"{"input":"","keep_alive":0}"#, true),
        (EMBED, r#"{"input":["a"],"keep_alive":0}"#, false),
        (
            Content::Compatible(Length::MaxTokens),
            r#"{"keep_alive":0}"#,
            false,
        ),
    ];
    for (content, body, unloads) in cases {
        assert_eq!(
            Ask::of_body(content, body.as_bytes()).unwrap().unloads,
            unloads,
            "{body}"
        );
    }
    let wrong = AskError::Type("keep_alive", KeepAlive::SHAPE);
    assert_eq!(Ask::of_body(GENERATE, br#"{"keep_alive":"soon"}"#), Err(wrong));
}

/// What Go's decoder keeps of an object for the key that it knows: the last of all that fold to it, but for nulls.
fn go_sees(pairs: &[(String, Value)], known: &str) -> Option<Value> {
    let fold = |key: &str| {
        key.replace('\u{212a}', "k")
            .replace('\u{17f}', "s")
            .to_lowercase()
    };
    let of_key = pairs.iter().filter(|(key, _)| fold(key) == known);
    of_key
        .map(|(_, value)| value.clone())
        .rfind(|value| !value.is_null())
}

fn pair() -> impl Strategy<Value = (String, Value)> {
    let key = prop::sample::select(vec![
        "model",
        "Model",
        "MODEL",
        "name",
        "prompt",
        "Prompt",
        "keep_alive",
        "\u{212a}eep_alive",
        "other",
        "stream",
    ]);
    let value = prop::sample::select(vec![
        Value::Null,
        "a".into(),
        "B:1".into(),
        "".into(),
        0.into(),
        (-1).into(),
        "0s".into(),
        "5m".into(),
        true.into(),
    ]);
    (key.prop_map(str::to_owned), value)
}

proptest! {
    #[test]
    fn what_is_accepted_is_what_ollama_sees(pairs in prop::collection::vec(pair(), 0..6)) {
        let members: Vec<_> = pairs.iter().map(|(key, value)| format!("{}:{value}", Value::from(key.as_str()))).collect();
        let body = format!("{{{}}}", members.join(","));
        if let Ok(ask) = Ask::of_body(GENERATE, body.as_bytes()) {
            let model = go_sees(&pairs, "model");
            let model = model.as_ref().and_then(Value::as_str).and_then(CanonicalName::parse);
            prop_assert_eq!(ask.models.first(), model.as_ref());
            let prompt = go_sees(&pairs, "prompt");
            let empty = prompt.is_none_or(|prompt| prompt == "");
            let keep_alive = go_sees(&pairs, "keep_alive");
            let ends = keep_alive.is_some_and(|value| value == 0 || value == "0s");
            prop_assert_eq!(ask.unloads, empty && ends);
        }
    }
}
