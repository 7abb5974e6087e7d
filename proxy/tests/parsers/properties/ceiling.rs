//! Ceilings: whatever a body says, what is forwarded of it asks for no more, as a reader that keeps everything reads it.

use std::collections::BTreeMap;

use bytes::Bytes;
use corral_proxy::ceiling::{Ceiling, CeilingError};
use corral_proxy::config::{Ceilings, OnExcess};
use corral_proxy::routes::Field;
use corral_proxy::routes::{Content, Length};
use serde_json::value::RawValue;

const MOST_CONTEXT: u32 = 4096;
const MOST_TOKENS: u32 = 256;
const LONGEST: &str = "10m";
const LONGEST_SECONDS: f64 = 600.0;

/// What a body can be, in the order of an input's first byte.
const CONTENTS: [Content; 4] = [
    Content::Inference(Field::Messages),
    Content::Compatible(Length::MaxTokens),
    Content::Compatible(Length::MaxOutputTokens),
    Content::Compatible(Length::None),
];

/// The names that the length of an answer has on the routes of the compatible APIs.
const LENGTHS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// What the body is, then the body.
pub(crate) fn check(data: &[u8]) {
    let (number, body) = super::variant(data);
    let content = CONTENTS[number % CONTENTS.len()];
    let body = Bytes::copy_from_slice(body);
    let hold = |on_excess, body: &Bytes| ceiling(on_excess).hold(content, body.clone());
    let clamped = hold(OnExcess::Clamp, &body);
    let refused = hold(OnExcess::Refuse, &body);
    let Ok(held) = clamped else {
        assert!(
            matches!(clamped, Err(CeilingError::Ask(_))),
            "nothing is over that is clamped"
        );
        assert!(refused.is_err(), "what can't be read can't be read");
        return;
    };
    assert_eq!(hold(OnExcess::Clamp, &held).as_ref(), Ok(&held), "once is enough");
    assert_eq!(
        hold(OnExcess::Refuse, &held).as_ref(),
        Ok(&held),
        "and is no more than may be"
    );
    match refused {
        Ok(passed) => assert_eq!(passed, held, "both let pass the same"),
        Err(CeilingError::Over(_)) => assert_ne!(body, held, "what is over is changed"),
        Err(CeilingError::Ask(_)) => panic!("it could be read"),
    }
    if body.is_empty() || content == Content::Compatible(Length::None) {
        assert_eq!(held, body);
        return;
    }
    assert_within(content, &object(&held));
    assert_rest_is_the_same(content, &body, &held);
}

fn ceiling(on_excess: OnExcess) -> Ceiling {
    Ceiling::new(&Ceilings {
        num_ctx: MOST_CONTEXT.try_into().ok(),
        num_predict: MOST_TOKENS.try_into().ok(),
        keep_alive: Some(LONGEST.to_owned()),
        on_excess,
    })
}

type Object<'a> = BTreeMap<String, &'a RawValue>;

fn object(body: &[u8]) -> Object<'_> {
    serde_json::from_slice(body).expect("what is accepted is an object")
}

fn assert_within(content: Content, object: &Object<'_>) {
    let Content::Compatible(length) = content else {
        let options = object.get("options").expect("a length of the answer is put in");
        let options = self::object(options.get().as_bytes());
        let length = number(&options, "num_predict").expect("it has one");
        assert!((1.0..=MOST_TOKENS.into()).contains(&length), "{length}");
        assert!(number(&options, "num_ctx").is_none_or(|context| context <= MOST_CONTEXT.into()));
        assert!(seconds(object.get("keep_alive")).is_none_or(|seconds| seconds <= LONGEST_SECONDS));
        return;
    };
    let own = length.key().expect("it has one");
    assert!(number(object, own).is_some(), "a length of the answer is put in");
    for name in LENGTHS {
        let length = number(object, name);
        assert!(
            length.is_none_or(|length| (1.0..=MOST_TOKENS.into()).contains(&length)),
            "{length:?}"
        );
    }
}

/// Null is no number.
fn number(object: &Object<'_>, key: &str) -> Option<f64> {
    serde_json::from_str(object.get(key)?.get()).expect("a number")
}

/// Without an end where it is negative. Slow and simple: a time in words is a row of numbers, each with its unit.
fn seconds(value: Option<&&RawValue>) -> Option<f64> {
    let value = value?.get();
    if value == "null" {
        return None;
    }
    let endless = |seconds: f64| if seconds < 0.0 { f64::INFINITY } else { seconds };
    let Ok(text) = serde_json::from_str::<String>(value) else {
        return Some(endless(value.parse().expect("a number")));
    };
    let (mut seconds, mut digits, mut unit) = (0.0, String::new(), String::new());
    let unsigned = text.trim_start_matches(['-', '+']);
    for letter in unsigned.chars().chain(['0']) {
        if letter.is_ascii_digit() || letter == '.' {
            if !unit.is_empty() {
                seconds += digits.parse::<f64>().expect("a number") * seconds_of(&unit);
                (digits, unit) = (String::new(), String::new());
            }
            digits.push(letter);
        } else {
            unit.push(letter);
        }
    }
    let negative = text.starts_with('-');
    Some(endless(if negative { -seconds } else { seconds }))
}

fn seconds_of(unit: &str) -> f64 {
    match unit {
        "h" => 3600.0,
        "m" => 60.0,
        "s" => 1.0,
        "ms" => 1e-3,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
        "ns" => 1e-9,
        _ => panic!("{unit:?} is no unit"),
    }
}

/// Nothing is changed but the fields that have a ceiling.
fn assert_rest_is_the_same(content: Content, body: &[u8], held: &[u8]) {
    let (mut before, mut after) = (object(body), object(held));
    if matches!(content, Content::Inference(_)) {
        let options = [&before, &after].map(|object| {
            let options = object.get("options").filter(|options| options.get() != "null");
            let options = options.map(|options| self::object(options.get().as_bytes()));
            rest(options.unwrap_or_default(), &["num_ctx", "num_predict"])
        });
        assert_eq!(options[0], options[1]);
        (before, after) = (
            without(before, &["options", "keep_alive"]),
            without(after, &["options", "keep_alive"]),
        );
    } else {
        (before, after) = (without(before, &LENGTHS), without(after, &LENGTHS));
    }
    assert_eq!(rest(before, &[]), rest(after, &[]));
}

fn without<'a>(mut object: Object<'a>, keys: &[&str]) -> Object<'a> {
    object.retain(|key, _| !keys.contains(&key.as_str()));
    object
}

fn rest(object: Object<'_>, keys: &[&str]) -> BTreeMap<String, String> {
    let rest = without(object, keys).into_iter();
    rest.map(|(key, value)| (key, value.get().to_owned())).collect()
}
