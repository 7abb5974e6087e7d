use super::*;
use crate::routes::Field;

const CHAT: Content = Content::Inference(Field::Messages);
const COMPLETION: Content = Content::Compatible(Length::MaxTokens);
const RESPONSE: Content = Content::Compatible(Length::MaxOutputTokens);
const EMBEDDING: Content = Content::Compatible(Length::None);

fn ceiling(on_excess: &str) -> Ceiling {
    let text = format!("{{numCtx: 8192, numPredict: 100, keepAlive: 30m, onExcess: {on_excess}}}");
    Ceiling::new(&serde_yaml::from_str(&text).unwrap())
}

fn held(on_excess: &str, content: Content, body: &str) -> Result<String, String> {
    match ceiling(on_excess).hold(content, Bytes::copy_from_slice(body.as_bytes())) {
        Ok(held) => Ok(String::from_utf8(held.to_vec()).unwrap()),
        Err(CeilingError::Over(over)) => Err(over.to_string()),
        Err(CeilingError::Ask(error)) => Err(error.to_string()),
    }
}

/// What a body of too much becomes, and the field that is named where it is refused.
#[test]
fn what_is_over_is_clamped_or_refused() {
    let cases = [
        (
            CHAT,
            r#"{"options":{"num_ctx":8193,"num_predict":1}}"#,
            r#"{"options":{"num_ctx":8192,"num_predict":1}}"#,
            "`num_ctx` over 8192",
        ),
        (
            CHAT,
            r#"{"options":{"num_predict":101}}"#,
            r#"{"options":{"num_predict":100}}"#,
            "`num_predict` over 100",
        ),
        (
            CHAT,
            r#"{"options":{"num_predict":-1}}"#,
            r#"{"options":{"num_predict":100}}"#,
            "`num_predict` over 100",
        ),
        (
            CHAT,
            r#"{"options":{"num_predict":-2}}"#,
            r#"{"options":{"num_predict":100}}"#,
            "`num_predict` over 100",
        ),
        (
            CHAT,
            r#"{"options":{"num_predict":0}}"#,
            r#"{"options":{"num_predict":100}}"#,
            "`num_predict` over 100",
        ),
        (
            CHAT,
            r#"{"options":{"num_predict":0.5}}"#,
            r#"{"options":{"num_predict":100}}"#,
            "`num_predict` over 100",
        ),
        (
            CHAT,
            r#"{"options":{"num_predict":1e300}}"#,
            r#"{"options":{"num_predict":100}}"#,
            "`num_predict` over 100",
        ),
        (
            CHAT,
            r#"{"options":{"num\u005fpredict": 18446744073709551616 }}"#,
            r#"{"options":{"num\u005fpredict": 100 }}"#,
            "`num_predict` over 100",
        ),
        (
            CHAT,
            r#"{"keep_alive":"31m","options":{"num_predict":1}}"#,
            r#"{"keep_alive":"30m","options":{"num_predict":1}}"#,
            "`keep_alive` over \"30m\"",
        ),
        (
            CHAT,
            r#"{"keep_alive":-1,"options":{"num_predict":1}}"#,
            r#"{"keep_alive":"30m","options":{"num_predict":1}}"#,
            "`keep_alive` over \"30m\"",
        ),
        (
            CHAT,
            r#"{"keep_alive":1e300,"options":{"num_predict":1}}"#,
            r#"{"keep_alive":"30m","options":{"num_predict":1}}"#,
            "`keep_alive` over \"30m\"",
        ),
        (
            CHAT,
            r#"{"keep_alive":1801,"options":{"num_predict":1}}"#,
            r#"{"keep_alive":"30m","options":{"num_predict":1}}"#,
            "`keep_alive` over \"30m\"",
        ),
        (
            CHAT,
            " {\"options\" : { \"num_predict\":9999,\"x\":[1.50e+1,\"\\u00e9\\/\"],\r\n\t\"num_ctx\":1e5 } , \"keep_alive\":\"-1s\"}\n",
            " {\"options\" : { \"num_predict\":100,\"x\":[1.50e+1,\"\\u00e9\\/\"],\r\n\t\"num_ctx\":8192 } , \"keep_alive\":\"30m\"}\n",
            "`keep_alive` over \"30m\"",
        ),
        (
            COMPLETION,
            r#"{"max_tokens":101}"#,
            r#"{"max_tokens":100}"#,
            "`max_tokens` over 100",
        ),
        (
            COMPLETION,
            r#"{"max_tokens":0}"#,
            r#"{"max_tokens":100}"#,
            "`max_tokens` over 100",
        ),
        (
            COMPLETION,
            r#"{"max_completion_tokens":500}"#,
            r#"{"max_tokens":100,"max_completion_tokens":100}"#,
            "`max_completion_tokens` over 100",
        ),
        (
            RESPONSE,
            r#"{"max_output_tokens":-5}"#,
            r#"{"max_output_tokens":100}"#,
            "`max_output_tokens` over 100",
        ),
    ];
    for (content, body, clamped, refused) in cases {
        assert_eq!(held("Clamp", content, body).as_deref(), Ok(clamped), "{body}");
        let refusal = held("Refuse", content, body).unwrap_err();
        assert_eq!(refusal, format!("may not have {refused}"), "{body}");
    }
}

#[test]
fn what_is_not_over_stays_and_an_answer_gets_an_end() {
    // What comes, and what is forwarded.
    let cases = [
        (
            CHAT,
            r#"{"options":{"num_ctx":8192,"num_predict":100},"keep_alive":"30m"}"#,
            None,
        ),
        (
            CHAT,
            r#"{"options":{"num_ctx":null,"num_predict":1},"keep_alive":null}"#,
            None,
        ),
        (
            CHAT,
            r#"{"options":{"num_ctx":-1,"num_predict":1.0},"keep_alive":0}"#,
            None,
        ),
        (
            CHAT,
            r#"{"options":{"num_predict":1},"messages":[{"num_ctx":1000000}]}"#,
            None,
        ),
        (
            CHAT,
            r#"{"options":{"num_predict":1},"max_tokens":1000000}"#,
            None,
        ),
        (CHAT, "", None),
        (CHAT, "{}", Some(r#"{"options":{"num_predict":100}}"#)),
        (CHAT, "\n{ }", Some("\n{\"options\":{\"num_predict\":100} }")),
        (
            CHAT,
            r#"{"model":"a"}"#,
            Some(r#"{"options":{"num_predict":100},"model":"a"}"#),
        ),
        (
            CHAT,
            r#"{"options":null}"#,
            Some(r#"{"options":{"num_predict":100}}"#),
        ),
        (
            CHAT,
            r#"{"options":{}}"#,
            Some(r#"{"options":{"num_predict":100}}"#),
        ),
        (
            CHAT,
            r#"{"options":{"seed":1}}"#,
            Some(r#"{"options":{"num_predict":100,"seed":1}}"#),
        ),
        (
            CHAT,
            r#"{"options":{"num_predict":null}}"#,
            Some(r#"{"options":{"num_predict":100}}"#),
        ),
        (COMPLETION, r#"{"max_tokens":7}"#, None),
        (COMPLETION, r#"{"max_tokens":7,"max_completion_tokens":8}"#, None),
        (COMPLETION, "{}", Some(r#"{"max_tokens":100}"#)),
        (
            COMPLETION,
            r#"{"max_tokens":null,"n":1}"#,
            Some(r#"{"max_tokens":100,"n":1}"#),
        ),
        (
            COMPLETION,
            r#"{"max_completion_tokens":8}"#,
            Some(r#"{"max_tokens":8,"max_completion_tokens":8}"#),
        ),
        (
            COMPLETION,
            r#"{"options":{"num_predict":-1},"max_tokens":1}"#,
            None,
        ),
        (
            RESPONSE,
            r#"{"input":"a"}"#,
            Some(r#"{"max_output_tokens":100,"input":"a"}"#),
        ),
        (EMBEDDING, r#"{"max_tokens":1000}"#, None),
        (Content::Form, "--a", None),
    ];
    for (content, body, forwarded) in cases {
        for on_excess in ["Clamp", "Refuse"] {
            assert_eq!(
                held(on_excess, content, body).as_deref(),
                Ok(forwarded.unwrap_or(body)),
                "{body}"
            );
        }
    }
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let cases = [
        (
            CHAT,
            r#"{"options":{"num_ctx":1},"options":{"num_ctx":99999}}"#,
            "`options` stands twice",
        ),
        (
            CHAT,
            r#"{"options":{"num_ctx":1},"Options":{"num_ctx":99999}}"#,
            "`options` must be written like this",
        ),
        (
            CHAT,
            r#"{"options":{"num_ctx":1,"num_ctx":99999}}"#,
            "`num_ctx` stands twice",
        ),
        (
            CHAT,
            r#"{"options":{"num_predict":1,"NUM_PREDICT":99999}}"#,
            "`num_predict` must be written like this",
        ),
        (CHAT, r#"{"options":[]}"#, "expected an object"),
        (
            CHAT,
            r#"{"options":{"num_ctx":"99999"}}"#,
            "`num_ctx` must be a number",
        ),
        (
            CHAT,
            r#"{"options":{"num_predict":[1]}}"#,
            "`num_predict` must be a number",
        ),
        (
            CHAT,
            r#"{"keep_alive":"for ever"}"#,
            "`keep_alive` must be seconds",
        ),
        (
            CHAT,
            r#"{"options":{"num_ctx":1}} {"options":{"num_ctx":99999}}"#,
            "trailing characters",
        ),
        (
            COMPLETION,
            r#"{"max_tokens":1,"max_tokens":99999}"#,
            "`max_tokens` stands twice",
        ),
        (
            COMPLETION,
            r#"{"max_tokens":1,"max_to\u212aens":99999}"#,
            "`max_tokens` must be written like this",
        ),
        (
            COMPLETION,
            r#"{"max_tokens":true}"#,
            "`max_tokens` must be a number",
        ),
        (COMPLETION, "[]", "expected an object"),
    ];
    for (content, body, expected) in cases {
        let refusal = held("Clamp", content, body).unwrap_err();
        assert!(refusal.contains(expected), "{body}: {refusal}");
    }
}

#[test]
fn only_what_has_a_ceiling_is_held_to_it() {
    let body = r#"{"options":{"num_ctx":1000000,"num_predict":-1},"keep_alive":-1}"#;
    let cases = [
        ("{}", body.to_owned()),
        ("numCtx: 4", body.replace("1000000", "4")),
        (
            "numPredict: 4",
            body.replace("\"num_predict\":-1", "\"num_predict\":4"),
        ),
        (
            "keepAlive: 0s",
            body.replace("\"keep_alive\":-1", "\"keep_alive\":\"0s\""),
        ),
    ];
    for (text, expected) in cases {
        let ceilings = Ceilings {
            on_excess: OnExcess::Clamp,
            ..serde_yaml::from_str(text).unwrap()
        };
        let held = Ceiling::new(&ceilings).hold(CHAT, Bytes::from_static(body.as_bytes()));
        assert_eq!(held, Ok(Bytes::from(expected)), "{text}");
    }
}
