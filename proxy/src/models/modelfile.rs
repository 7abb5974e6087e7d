//! Modelfiles: what a model is made from (ollama/docs/modelfile.mdx, parser/parser.go). Ollama's own API takes what stands
//! in them field by field, and `ollama create` reads them; here the proxy does.

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::name::CanonicalName;
use crate::config::Model;

/// Bytes that a Modelfile may have. Templates and licences of some 10 KB are the longest that there are.
pub const LONGEST: usize = 128 * 1024;

/// A Modelfile that makes a model from another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Modelfile {
    /// The model that it begins with.
    pub from: String,
    /// What is said of it, as fields of `/api/create`.
    fields: Map<String, Value>,
}

/// What is wrong with a Modelfile.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}: {problem}")]
pub struct ModelfileError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong there and what would be right.
    pub problem: String,
}

/// A word of the language that says something of the model.
enum Instruction {
    From,
    Parameter,
    Message,
    /// Its text is a field of that name.
    Field(&'static str),
}

/// What a parameter's value is (Options in Ollama's api/types.go).
enum Type {
    Integer,
    Number,
    Boolean,
    /// May be given several times.
    Texts,
}

impl Modelfile {
    /// Reads one.
    ///
    /// # Errors
    /// The first line that can't work.
    pub fn parse(text: &str) -> Result<Self, ModelfileError> {
        if text.len() > LONGEST {
            return Err(wrong(1, format!("a Modelfile may have {LONGEST} bytes at most")));
        }
        let text = text.replace("\r\n", "\n");
        let mut from = None;
        let mut fields = Map::new();
        let mut lines = text.split('\n').enumerate();
        while let Some((index, line)) = lines.next() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let number = index + 1;
            let (word, rest) = split(line);
            let instruction = instruction(word).map_err(|problem| wrong(number, problem))?;
            let (name, rest) = match instruction {
                Instruction::Parameter | Instruction::Message => split(rest),
                Instruction::From | Instruction::Field(_) => ("", rest),
            };
            let value = value(rest, lines.by_ref().map(|(_, line)| line));
            let value = value.ok_or_else(|| wrong(number, "the quotes that begin here have no end"))?;
            if value.is_empty() {
                return Err(wrong(
                    number,
                    format!("{} needs a value", word.to_ascii_uppercase()),
                ));
            }
            let said = match instruction {
                Instruction::From if from.is_some() => Err("there is a FROM already".to_owned()),
                Instruction::From => model(value).map(|model| from = Some(model)),
                Instruction::Parameter => parameter(&mut fields, name, &value),
                Instruction::Message => message(&mut fields, name, &value),
                Instruction::Field(field) => set(&mut fields, field, value),
            };
            said.map_err(|problem| wrong(number, problem))?;
        }
        let from = from.ok_or_else(|| wrong(1, "there is no FROM that names a model"))?;
        Ok(Self { from, fields })
    }

    /// What `/api/create` is asked for, to make a model of that name.
    pub fn request(&self, model: &str) -> Value {
        let mut request = self.fields.clone();
        request.insert("model".to_owned(), model.into());
        request.insert("from".to_owned(), self.from.as_str().into());
        request.insert("stream".to_owned(), true.into());
        Value::Object(request)
    }
}

/// What is wrong with a model that [`circular`] finds.
pub const CIRCULAR: &str = "is made from itself, by way of other models";

/// The first of these models that is made, directly or not, from itself.
pub fn circular(models: &[Model]) -> Option<usize> {
    let bases: Vec<_> = models.iter().map(base).collect();
    let names: Vec<_> = models
        .iter()
        .map(|model| CanonicalName::parse(&model.name))
        .collect();
    let made_from = |index: usize| {
        let base = bases[index].as_ref()?;
        names.iter().position(|name| name.as_ref() == Some(base))
    };
    (0..models.len()).find(|&start| {
        let chain = std::iter::successors(made_from(start), |&next| made_from(next));
        chain.take(models.len()).any(|next| next == start)
    })
}

/// The model that one is made from; none where it is pulled.
pub fn base(model: &Model) -> Option<CanonicalName> {
    let modelfile = Modelfile::parse(model.modelfile.as_deref()?).ok()?;
    CanonicalName::parse(&modelfile.from)
}

fn wrong(line: usize, problem: impl Into<String>) -> ModelfileError {
    ModelfileError {
        line,
        problem: problem.into(),
    }
}

fn split(line: &str) -> (&str, &str) {
    let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    (word, rest.trim_start())
}

fn instruction(word: &str) -> Result<Instruction, String> {
    Ok(match word.to_ascii_uppercase().as_str() {
        "FROM" => Instruction::From,
        "PARAMETER" => Instruction::Parameter,
        "MESSAGE" => Instruction::Message,
        "SYSTEM" => Instruction::Field("system"),
        "TEMPLATE" => Instruction::Field("template"),
        "LICENSE" => Instruction::Field("license"),
        "RENDERER" => Instruction::Field("renderer"),
        "PARSER" => Instruction::Field("parser"),
        word @ ("ADAPTER" | "DRAFT") => {
            return Err(format!(
                "{word} takes a file, and there is none beside Ollama; push the model made from it to a registry, and pull it"
            ));
        }
        _ => {
            return Err(
                "must begin with FROM, PARAMETER, SYSTEM, TEMPLATE, MESSAGE, LICENSE, RENDERER or PARSER"
                    .to_owned(),
            );
        }
    })
}

/// A value: what stands on the line, or all up to the quotes that end it. None where they don't end.
fn value<'a>(first: &str, mut more: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut value = first.trim_end().to_owned();
    loop {
        if let Some(unquoted) = unquoted(value.trim()) {
            return Some(unquoted.to_owned());
        }
        value.push('\n');
        value.push_str(more.next()?);
    }
}

/// Without the quotes around it; none where they don't end yet.
fn unquoted(value: &str) -> Option<&str> {
    for quotes in ["\"\"\"", "\""] {
        if let Some(rest) = value.strip_prefix(quotes) {
            return rest.strip_suffix(quotes);
        }
    }
    Some(value)
}

fn model(name: String) -> Result<String, String> {
    let is_path =
        name.starts_with(['.', '/', '~']) || name.ends_with(".gguf") || name.ends_with(".safetensors");
    if is_path || CanonicalName::parse(&name).is_none() {
        return Err(
            "FROM must name a model as in `ollama pull`, [HOST/][NAMESPACE/]NAME[:TAG]; there are no files beside Ollama"
                .to_owned(),
        );
    }
    Ok(name)
}

fn set(fields: &mut Map<String, Value>, field: &str, value: String) -> Result<(), String> {
    // A model may have several licences, of all else the last counts.
    if field == "license" {
        push(fields, field, value.into());
    } else {
        fields.insert(field.to_owned(), value.into());
    }
    Ok(())
}

fn push(fields: &mut Map<String, Value>, field: &str, value: Value) {
    let list = fields.entry(field).or_insert_with(|| json!([]));
    if let Value::Array(list) = list {
        list.push(value);
    }
}

fn message(fields: &mut Map<String, Value>, role: &str, content: &str) -> Result<(), String> {
    if !matches!(role, "system" | "user" | "assistant") {
        return Err("MESSAGE must be of system, user or assistant".to_owned());
    }
    push(fields, "messages", json!({"role": role, "content": content}));
    Ok(())
}

fn parameter(fields: &mut Map<String, Value>, name: &str, value: &str) -> Result<(), String> {
    let parameters = fields.entry("parameters").or_insert_with(|| json!({}));
    let Value::Object(parameters) = parameters else {
        return Ok(());
    };
    let not = |what: &str| format!("parameter {name} must be {what}");
    let value = match type_of(name).ok_or_else(|| format!("there is no parameter {name}"))? {
        Type::Integer => json!(value.parse::<i64>().map_err(|_| not("a whole number"))?),
        Type::Number => {
            let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
            json!(number.ok_or_else(|| not("a number"))?)
        }
        Type::Boolean => json!(value.parse::<bool>().map_err(|_| not("true or false"))?),
        Type::Texts => {
            push(parameters, name, value.into());
            return Ok(());
        }
    };
    parameters.insert(name.to_owned(), value);
    Ok(())
}

fn type_of(parameter: &str) -> Option<Type> {
    Some(match parameter {
        "num_ctx" | "num_batch" | "num_gpu" | "main_gpu" | "num_thread" | "num_keep" | "num_predict"
        | "seed" | "top_k" | "repeat_last_n" => Type::Integer,
        "temperature" | "top_p" | "min_p" | "repeat_penalty" | "presence_penalty" | "frequency_penalty" => {
            Type::Number
        }
        "use_mmap" => Type::Boolean,
        "stop" => Type::Texts,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modelfile_becomes_what_ollama_is_asked_for() {
        let cases = [
            ("FROM gemma3:270m", json!({"from": "gemma3:270m"})),
            (
                "# who it is\nfrom gemma3\r\n\r\nSystem You are kind.\n",
                json!({"from": "gemma3", "system": "You are kind."}),
            ),
            (
                "FROM a\nSYSTEM \"\"\"\nOne.\n  Two.\n\"\"\"\nSYSTEM \"the last\ncounts\"",
                json!({"from": "a", "system": "the last\ncounts"}),
            ),
            (
                "FROM a\nTEMPLATE \"\"\"{{ .System }}\n# no comment\n{{ .Prompt }}\"\"\"",
                json!({"from": "a", "template": "{{ .System }}\n# no comment\n{{ .Prompt }}"}),
            ),
            (
                "FROM a\nPARAMETER num_ctx 4096\nPARAMETER temperature 0.5\nPARAMETER use_mmap false\n\
                 PARAMETER stop \"<end>\"\nPARAMETER stop AI assistant:",
                json!({"from": "a", "parameters": {
                    "num_ctx": 4096, "temperature": 0.5, "use_mmap": false, "stop": ["<end>", "AI assistant:"]}}),
            ),
            (
                "FROM hf.co/a/b:Q4\nMESSAGE user Is it there?\nMESSAGE assistant \"It is.\"\nLICENSE MIT\nLICENSE \"other\"",
                json!({"from": "hf.co/a/b:Q4", "license": ["MIT", "other"], "messages": [
                    {"role": "user", "content": "Is it there?"}, {"role": "assistant", "content": "It is."}]}),
            ),
            (
                "FROM a\nRENDERER qwen3-coder\nPARSER qwen3-coder",
                json!({"from": "a", "renderer": "qwen3-coder", "parser": "qwen3-coder"}),
            ),
        ];
        for (text, mut expected) in cases {
            expected["model"] = "made".into();
            expected["stream"] = true.into();
            assert_eq!(
                Modelfile::parse(text).unwrap().request("made"),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        let long = format!("FROM a\nSYSTEM {}", "a".repeat(LONGEST));
        let cases = [
            ("", "line 1: there is no FROM"),
            ("SYSTEM a", "line 1: there is no FROM"),
            ("FROM a\nFROM b", "line 2: there is a FROM already"),
            ("FROM", "line 1: FROM needs a value"),
            ("FROM ./model.gguf", "line 1: FROM must name a model"),
            ("FROM /models/a", "line 1: FROM must name a model"),
            ("FROM model.gguf", "line 1: FROM must name a model"),
            ("FROM a b", "line 1: FROM must name a model"),
            ("FROM a\n\nADAPTER ./lora", "line 3: ADAPTER takes a file"),
            ("FROM a\nDRAFT b", "line 2: DRAFT takes a file"),
            ("FROM a\nSYSTM b", "line 2: must begin with FROM"),
            (
                "FROM a\nSYSTEM \"\"\"b\nc\n",
                "line 2: the quotes that begin here",
            ),
            ("FROM a\nSYSTEM \"", "line 2: the quotes that begin here"),
            ("FROM a\nSYSTEM \"\"", "line 2: SYSTEM needs a value"),
            ("FROM a\nPARAMETER", "line 2: PARAMETER needs a value"),
            ("FROM a\nPARAMETER top_k", "line 2: PARAMETER needs a value"),
            (
                "FROM a\nPARAMETER temprature 1",
                "line 2: there is no parameter temprature",
            ),
            (
                "FROM a\nPARAMETER top_k few",
                "line 2: parameter top_k must be a whole number",
            ),
            (
                "FROM a\nPARAMETER top_p inf",
                "line 2: parameter top_p must be a number",
            ),
            (
                "FROM a\nPARAMETER use_mmap 1",
                "line 2: parameter use_mmap must be true or false",
            ),
            ("FROM a\nMESSAGE tool b", "line 2: MESSAGE must be of system"),
            (&long, "bytes at most"),
        ];
        for (text, expected) in cases {
            let error = Modelfile::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_made_from_itself_is_found() {
        let cases = [
            (vec![("a", ""), ("b", "a"), ("c", "b")], None),
            (vec![("a", "a:latest")], Some(0)),
            (vec![("a", ""), ("b", "c"), ("c", "B")], Some(1)),
            (vec![("a", "b"), ("b", "c"), ("c", "b")], Some(1)),
            (vec![("a", "elsewhere")], None),
        ];
        for (models, expected) in cases {
            let models: Vec<_> = models
                .iter()
                .map(|(name, from)| Model {
                    name: (*name).into(),
                    modelfile: (!from.is_empty()).then(|| format!("FROM {from}")),
                    ..Model::default()
                })
                .collect();
            assert_eq!(circular(&models), expected, "{models:?}");
        }
    }
}
