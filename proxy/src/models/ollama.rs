//! The part of Ollama's API that looks after models (ollama/api/types.go).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::timeout;

use super::board::Progress;
use crate::upstream::{Content, Upload, Upstream, UpstreamError};

/// How long a question may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a pull may be silent: checking the digest of a large file takes minutes.
const PULL_TIMEOUT: Duration = Duration::from_secs(900);
/// How long a load may take; Ollama gives up after OLLAMA_LOAD_TIMEOUT, 5 minutes.
const LOAD_TIMEOUT: Duration = Duration::from_secs(900);
/// Bytes that an answer, or a line of one, may have.
const LARGEST_ANSWER: usize = 8 * 1024 * 1024;

/// Asks an Ollama.
pub(super) struct Ollama {
    upstream: Arc<Upstream>,
}

/// Why Ollama didn't do it. Shown in `/status`.
#[derive(Debug, Error)]
pub(super) enum OllamaError {
    #[error("{0}")]
    Upstream(#[from] UpstreamError),
    #[error("no answer in time")]
    Timeout,
    /// In Ollama's words.
    #[error("{0}")]
    Said(String),
    #[error("an answer that can't be read: {0}")]
    Unreadable(String),
    #[error("the pull ended without the model being there")]
    NotThere,
    #[error(
        "its digest is {digest}, not {pinned} as it must be; the registry has another version now, so name that one's digest \
         or another tag"
    )]
    OtherDigest { digest: String, pinned: String },
    /// Nobody can say what it is to be.
    #[error("{0}")]
    Undefined(String),
}

/// A model that Ollama has.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Installed {
    pub(super) name: String,
    #[serde(default)]
    pub(super) digest: String,
    #[serde(default)]
    pub(super) size: u64,
    /// Bytes in GPU memory, of a model that is loaded.
    #[serde(default)]
    pub(super) size_vram: u64,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    models: Option<Vec<Installed>>,
}

/// A line of the answer to a pull or a creation, or an error.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Step {
    status: String,
    error: Option<String>,
    digest: Option<String>,
    total: u64,
    completed: u64,
}

impl Ollama {
    pub(super) const fn new(upstream: Arc<Upstream>) -> Self {
        Self { upstream }
    }

    /// Whether it answers at all.
    pub(super) async fn version(&self) -> Result<(), OllamaError> {
        self.ask::<Value>(Method::GET, "/api/version", None, ANSWER_TIMEOUT)
            .await
            .map(drop)
    }

    /// The models that it has.
    pub(super) async fn installed(&self) -> Result<Vec<Installed>, OllamaError> {
        let list: List = self.ask(Method::GET, "/api/tags", None, ANSWER_TIMEOUT).await?;
        Ok(list.models.unwrap_or_default())
    }

    /// The models that are in memory.
    pub(super) async fn loaded(&self) -> Result<Vec<Installed>, OllamaError> {
        let list: List = self.ask(Method::GET, "/api/ps", None, ANSWER_TIMEOUT).await?;
        Ok(list.models.unwrap_or_default())
    }

    /// Loads a model, for ever. One that only embeds is loaded by embedding nothing.
    pub(super) async fn load(&self, model: &str) -> Result<(), OllamaError> {
        let generate = json!({ "model": model, "keep_alive": -1, "stream": false });
        match self
            .ask::<Value>(Method::POST, "/api/generate", Some(&generate), LOAD_TIMEOUT)
            .await
        {
            Err(OllamaError::Said(words)) if words.contains("does not support generate") => {
                let embed = json!({ "model": model, "keep_alive": -1, "input": "" });
                self.ask::<Value>(Method::POST, "/api/embed", Some(&embed), LOAD_TIMEOUT)
                    .await
                    .map(drop)
            }
            outcome => outcome.map(drop),
        }
    }

    /// Pulls a model and tells how much of it has come.
    pub(super) async fn pull(
        &self,
        model: &str,
        insecure: bool,
        tell: impl Fn(Progress),
    ) -> Result<(), OllamaError> {
        let body = json!({ "model": model, "insecure": insecure, "stream": true });
        let mut layers = Layers::default();
        self.follow("/api/pull", &body, |step| tell(layers.note(step)))
            .await
    }

    /// Makes a model as `/api/create` is asked for it.
    pub(super) async fn create(&self, request: &Value) -> Result<(), OllamaError> {
        self.follow("/api/create", request, drop).await
    }

    /// Deletes a model, and what no other needs of it.
    pub(super) async fn delete(&self, model: &str) -> Result<(), OllamaError> {
        let body = json!({ "model": model });
        self.send(Method::DELETE, "/api/delete", Some(&body), ANSWER_TIMEOUT)
            .await
            .map(drop)
    }

    /// Has something done that takes its time, and follows its steps to the good end.
    async fn follow(
        &self,
        path: &'static str,
        body: &Value,
        mut note: impl FnMut(Step),
    ) -> Result<(), OllamaError> {
        let mut content = self.send(Method::POST, path, Some(body), PULL_TIMEOUT).await?;
        let mut lines = Lines::default();
        let mut succeeded = false;
        while let Some(chunk) = next_chunk(&mut content).await? {
            lines.push(&chunk)?;
            while let Some(step) = lines.next()? {
                if let Some(error) = step.error {
                    return Err(OllamaError::Said(error));
                }
                succeeded |= step.status == "success";
                note(step);
            }
        }
        if succeeded {
            Ok(())
        } else {
            Err(OllamaError::NotThere)
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &'static str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<T, OllamaError> {
        let answer = async {
            let content = self.send(method, path, body, limit).await?;
            let bytes = collect(content).await?;
            serde_json::from_slice(&bytes).map_err(|error| OllamaError::Unreadable(error.to_string()))
        };
        timeout(limit, answer).await.map_err(|_| OllamaError::Timeout)?
    }

    /// Sends a question and waits for the head of a good answer; a bad one becomes its error.
    async fn send(
        &self,
        method: Method,
        path: &'static str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Content, OllamaError> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let json = HeaderValue::from_static("application/json");
        let fields = [(&HOST, self.upstream.host_header()), (&CONTENT_TYPE, &json)];
        let target = PathAndQuery::from_static(path);
        let body = Full::new(Bytes::from(body)).map_err(|never: Infallible| match never {});
        let request = Upload::new(&method, &target, fields, body);
        let sent = timeout(limit, self.upstream.send(request))
            .await
            .map_err(|_| OllamaError::Timeout)?;
        let response = sent?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let bytes = timeout(ANSWER_TIMEOUT, collect(response.into_body())).await;
        Err(refusal(status, &bytes.map_err(|_| OllamaError::Timeout)??))
    }
}

fn refusal(status: StatusCode, bytes: &[u8]) -> OllamaError {
    let said = serde_json::from_slice::<Step>(bytes)
        .ok()
        .and_then(|answer| answer.error);
    OllamaError::Said(said.unwrap_or_else(|| format!("Ollama answered {status}")))
}

async fn collect(content: Content) -> Result<Bytes, OllamaError> {
    let collected = Limited::new(content, LARGEST_ANSWER).collect().await;
    collected
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| OllamaError::Unreadable(error.to_string()))
}

async fn next_chunk(content: &mut Content) -> Result<Option<Bytes>, OllamaError> {
    let frame = timeout(PULL_TIMEOUT, content.frame())
        .await
        .map_err(|_| OllamaError::Timeout)?;
    let Some(frame) = frame else { return Ok(None) };
    let frame = frame.map_err(|error| OllamaError::Upstream(error.into()))?;
    Ok(Some(frame.into_data().unwrap_or_default()))
}

/// Chunks end anywhere, lines at their end.
#[derive(Default)]
struct Lines(BytesMut);

impl Lines {
    fn push(&mut self, chunk: &[u8]) -> Result<(), OllamaError> {
        if self.0.len() + chunk.len() > LARGEST_ANSWER {
            return Err(OllamaError::Unreadable("a line without end".into()));
        }
        self.0.extend_from_slice(chunk);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Step>, OllamaError> {
        let Some(end) = self.0.iter().position(|&byte| byte == b'\n') else {
            return Ok(None);
        };
        let line = self.0.split_to(end);
        self.0.advance(1);
        serde_json::from_slice(&line)
            .map(Some)
            .map_err(|error| OllamaError::Unreadable(error.to_string()))
    }
}

/// What has come of each layer, out of how much.
#[derive(Default)]
struct Layers(BTreeMap<String, (u64, u64)>);

impl Layers {
    /// Ollama tells of one layer after the other.
    fn note(&mut self, step: Step) -> Progress {
        if let Some(digest) = step.digest {
            self.0.insert(digest, (step.completed, step.total));
        }
        let sum = |sum: Progress, (completed, total): &(u64, u64)| Progress {
            completed: sum.completed.saturating_add(*completed),
            total: sum.total.saturating_add(*total),
        };
        self.0.values().fold(Progress::default(), sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_counted_over_all_layers() {
        let lines = [
            (r#"{"status":"pulling manifest"}"#, 0, 0),
            (
                r#"{"status":"pulling a","digest":"sha256:a","total":100}"#,
                0,
                100,
            ),
            (
                r#"{"status":"pulling a","digest":"sha256:a","total":100,"completed":50}"#,
                50,
                100,
            ),
            (
                r#"{"status":"pulling b","digest":"sha256:b","total":300,"completed":7}"#,
                57,
                400,
            ),
            (
                r#"{"status":"pulling a","digest":"sha256:a","total":100,"completed":100}"#,
                107,
                400,
            ),
            (r#"{"status":"verifying sha256 digest"}"#, 107, 400),
        ];
        let mut layers = Layers::default();
        for (line, completed, total) in lines {
            assert_eq!(
                layers.note(serde_json::from_str(line).unwrap()),
                Progress { completed, total },
                "{line}"
            );
        }
    }

    #[test]
    fn lines_are_put_together_from_chunks() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for chunk in ["{\"status\":\"a\"}\n{\"sta", "tus\":\"b\"}", "\n"] {
            lines.push(chunk.as_bytes()).unwrap();
            while let Some(progress) = lines.next().unwrap() {
                seen.push(progress.status);
            }
        }
        assert_eq!(seen, ["a", "b"]);
    }

    #[test]
    fn a_refusal_is_in_ollamas_words() {
        let cases = [
            (
                r#"{"error":"pull model manifest: file does not exist"}"#,
                "pull model manifest: file does not exist",
            ),
            ("<html>", "Ollama answered 500 Internal Server Error"),
        ];
        for (body, words) in cases {
            let error = refusal(StatusCode::INTERNAL_SERVER_ERROR, body.as_bytes());
            assert_eq!(error.to_string(), words);
        }
    }
}
