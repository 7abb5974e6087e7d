use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const PLACES: &[Place] = &[
    Place {
        path: &["model"],
        field: Field::Model,
    },
    Place {
        path: &["usage", "in"],
        field: Field::Input,
    },
    Place {
        path: &["a", ELEMENT, "b"],
        field: Field::FinishReason,
    },
];

/// What a reader has told, a line each.
#[derive(Debug, Default, PartialEq)]
struct Told(Vec<String>);

impl Listener for Told {
    fn value(&mut self, field: Field, value: Scalar<'_>) {
        self.0.push(format!("{field:?} {value:?}"));
    }

    fn end(&mut self) {
        self.0.push("end".to_owned());
    }
}

fn told(pieces: &[&[u8]]) -> Vec<String> {
    let (mut reader, mut told) = (Reader::new(PLACES), Told::default());
    for piece in pieces {
        reader.read(piece, &mut told);
    }
    told.0
}

#[test]
fn values_are_told_by_their_place() {
    let long = format!(r#"{{"model":"{}"}}"#, "m".repeat(513));
    let cases: &[(&str, &str, &[&str])] = &[
        ("text", r#"{"model":"m"}"#, &["Model Text(\"m\")", "end"]),
        ("spaces", " { \"model\" : \"m\" } ", &["Model Text(\"m\")", "end"]),
        ("a number", r#"{"usage":{"in":12}}"#, &["Input Number(12)", "end"]),
        ("a fraction", r#"{"usage":{"in":1.5}}"#, &["Input Other", "end"]),
        (
            "less than nothing",
            r#"{"usage":{"in":-1}}"#,
            &["Input Other", "end"],
        ),
        (
            "too large a number",
            r#"{"usage":{"in":99999999999999999999}}"#,
            &["Input Other", "end"],
        ),
        ("null", r#"{"model":null}"#, &["Model Null", "end"]),
        ("true", r#"{"model":true}"#, &["Model Bool(true)", "end"]),
        ("an escape", r#"{"model":"a\"b"}"#, &["Model Other", "end"]),
        (
            "an escaped backslash",
            r#"{"x":"\\","model":"m"}"#,
            &["Model Text(\"m\")", "end"],
        ),
        ("a key with an escape", r#"{"mod\u0065l":"m"}"#, &["end"]),
        ("too long", &long, &["Model Other", "end"]),
        (
            "elsewhere",
            r#"{"x":{"model":"m"},"in":1,"usage":{"usage":{"in":2}}}"#,
            &["end"],
        ),
        (
            "an object in its place",
            r#"{"model":{"model":"m"},"usage":[{"in":1}]}"#,
            &["end"],
        ),
        (
            "elements",
            r#"{"a":[{"b":1,"c":[{"b":5}]},2,{"b":null}]}"#,
            &["FinishReason Number(1)", "FinishReason Null", "end"],
        ),
        (
            "an object where elements are",
            r#"{"a":{"[]":{"c":1}}}"#,
            &["end"],
        ),
        (
            "brackets in a text",
            r#"{"x":["}]{\"",["}"]],"model":"m"}"#,
            &["Model Text(\"m\")", "end"],
        ),
        (
            "what follows the end",
            r#"{"model":"m"}{"model":"n"}"#,
            &["Model Text(\"m\")", "end"],
        ),
        ("an array", r#"[{"model":"m"}]"#, &[]),
        ("a word", "null", &[]),
        ("no JSON", "}]{\"model\":\"m\"}", &[]),
        ("half", r#"{"model":"m","usage":{"in":1"#, &["Model Text(\"m\")"]),
    ];
    for (name, document, expected) in cases {
        assert_eq!(told(&[document.as_bytes()]), *expected, "{name}");
        for cut in 0..document.len() {
            let (first, second) = document.as_bytes().split_at(cut);
            assert_eq!(told(&[first, second]), *expected, "{name}, cut at {cut}");
        }
    }
}

/// Any JSON, with the keys that matter in it now and then.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("model".to_owned()),
        Just("usage".to_owned()),
        Just("in".to_owned()),
        Just("a".to_owned()),
        Just("b".to_owned()),
        ".{0,4}",
    ];
    leaf.prop_recursive(5, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The same by a parser that reads the whole document.
fn expected(document: &Value) -> Vec<String> {
    let Value::Object(members) = document else {
        return Vec::new();
    };
    let mut told = Vec::new();
    for (key, value) in members {
        match (key.as_str(), value) {
            ("model", value) => told.extend(line(Field::Model, value)),
            ("usage", Value::Object(usage)) => {
                told.extend(usage.get("in").and_then(|value| line(Field::Input, value)));
            }
            ("a", Value::Array(elements)) => told.extend(
                elements
                    .iter()
                    .filter_map(|element| line(Field::FinishReason, element.as_object()?.get("b")?)),
            ),
            _ => {}
        }
    }
    told.push("end".to_owned());
    told
}

fn line(field: Field, value: &Value) -> Option<String> {
    let text = value.to_string();
    let scalar = match value {
        Value::Null => Scalar::Null,
        Value::Bool(value) => Scalar::Bool(*value),
        Value::Number(number) => number.as_u64().map_or(Scalar::Other, Scalar::Number),
        Value::String(_) if text.contains('\\') => Scalar::Other,
        Value::String(value) => Scalar::Text(value),
        Value::Array(_) | Value::Object(_) => return None,
    };
    Some(format!("{field:?} {scalar:?}"))
}

proptest! {
    #[test]
    fn any_document_cut_anywhere_is_read_as_a_parser_would(
        document in any_json(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        pretty in any::<bool>(),
    ) {
        let text = if pretty {
            serde_json::to_string_pretty(&document).unwrap()
        } else {
            document.to_string()
        };
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]).collect();
        prop_assert_eq!(told(&pieces), expected(&document));
    }

    #[test]
    fn no_bytes_make_it_panic_or_keep_more(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..8)) {
        let mut reader = Reader::new(PLACES);
        for piece in &pieces {
            reader.read(piece, &mut Told::default());
        }
        prop_assert!(reader.kept() <= LONGEST);
    }

    #[test]
    fn no_structure_makes_it_panic(text in r#"[\[\]{}",:\\a1 ]{0,64}"#) {
        told(&[text.as_bytes()]);
    }
}

#[test]
fn the_reference_is_one() {
    let document = json!({"model": "m", "usage": {"in": 3}, "a": [{"b": null}]});
    assert_eq!(
        expected(&document),
        ["FinishReason Null", "Model Text(\"m\")", "Input Number(3)", "end"]
    );
}
