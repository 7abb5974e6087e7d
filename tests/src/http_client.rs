//! A plain HTTP client that shows answers as they arrive.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Longest wait for the head of an answer: a model may have to be loaded first.
const LIMIT: Duration = Duration::from_secs(120);

/// A client of one server.
#[derive(Clone, Debug)]
pub struct HttpClient {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// A header's name and value.
pub type Header<'a> = (&'a str, &'a str);

impl HttpClient {
    /// Of the server at `http://HOST:PORT`.
    pub fn new(base: &str) -> Self {
        Self {
            base: base.to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Sends a request and answers as soon as the head of the answer is there.
    ///
    /// # Errors
    /// When there is none.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[Header<'_>],
        body: Bytes,
    ) -> Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.client.request(request.body(Full::new(body))?);
        Ok(tokio::time::timeout(LIMIT, answer)
            .await
            .context("no answer in time")??)
    }

    /// The status of a GET.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn status(&self, path: &str, headers: &[Header<'_>]) -> Result<StatusCode> {
        let answer = self.send(Method::GET, path, headers, Bytes::new()).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        Ok(status)
    }

    /// The body of a GET.
    ///
    /// # Errors
    /// When the answer isn't 200.
    pub async fn get(&self, path: &str, headers: &[Header<'_>]) -> Result<String> {
        text(self.send(Method::GET, path, headers, Bytes::new()).await?).await
    }

    /// The body of the answer to JSON that is posted.
    ///
    /// # Errors
    /// When the answer isn't 200.
    pub async fn post(&self, path: &str, headers: &[Header<'_>], body: &Value) -> Result<String> {
        text(
            self.send(Method::POST, path, headers, serde_json::to_vec(body)?.into())
                .await?,
        )
        .await
    }

    /// Posts JSON and hands over each line of the answer as it arrives.
    ///
    /// # Errors
    /// When the answer isn't 200 or breaks off.
    pub async fn post_lines(
        &self,
        path: &str,
        headers: &[Header<'_>],
        body: &Value,
        mut line: impl FnMut(&str),
    ) -> Result<()> {
        let answer = self
            .send(Method::POST, path, headers, serde_json::to_vec(body)?.into())
            .await?;
        if answer.status() != StatusCode::OK {
            text(answer).await?;
            return Ok(());
        }
        let mut body = answer.into_body();
        let mut buffer = Vec::new();
        while let Some(frame) = body.frame().await {
            buffer.extend_from_slice(frame?.data_ref().map(Bytes::as_ref).unwrap_or_default());
            while let Some(end) = buffer.iter().position(|&byte| byte == b'\n') {
                let rest = buffer.split_off(end + 1);
                line(String::from_utf8_lossy(&buffer).trim_end());
                buffer = rest;
            }
        }
        Ok(())
    }
}

async fn text(answer: Response<Incoming>) -> Result<String> {
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    ensure!(status == StatusCode::OK, "{status}: {text}");
    Ok(text)
}
