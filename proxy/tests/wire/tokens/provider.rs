//! An identity provider that publishes its keys over HTTP or HTTPS.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::crypto::aws_lc_rs;
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::backend::listen;
use crate::client_certificates::Certified;

/// Runs until the test process ends.
pub(crate) struct Provider {
    origin: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Whole answers by path.
    answers: BTreeMap<String, String>,
    asked: Vec<String>,
}

impl Provider {
    pub(crate) fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let served = Arc::clone(&state);
        let address = listen(move |stream| answer(&mut &*stream, &served));
        Self::at(format!("http://{address}"), state)
    }

    /// One that shows this certificate, which is for `localhost`.
    pub(crate) fn start_https(certified: &Certified) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let served = Arc::clone(&state);
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certified.chain.clone(), certified.key.clone_key());
        let config = Arc::new(config.unwrap());
        let address: SocketAddr = listen(move |stream| {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            answer(&mut Stream::new(&mut connection, &mut &*stream), &served);
            connection.send_close_notify();
            let _ = connection.complete_io(&mut &*stream);
        });
        Self::at(format!("https://localhost:{}", address.port()), state)
    }

    fn at(origin: String, state: Arc<Mutex<State>>) -> Self {
        Self { origin, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Answers a path with this from now on.
    pub(crate) fn publish(&self, path: &str, body: &str) {
        let head = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.answer(path, &[head.as_str(), body].concat());
    }

    pub(crate) fn answer(&self, path: &str, answer: &str) {
        let mut state = self.state.lock().unwrap();
        state.answers.insert(path.to_owned(), answer.to_owned());
    }

    /// Hangs up on everyone from now on.
    pub(crate) fn go_down(&self) {
        self.state.lock().unwrap().answers.clear();
    }

    /// How often a path was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.asked.iter().filter(|asked| *asked == path).count()
    }
}

fn answer(stream: &mut (impl Read + Write), state: &Mutex<State>) {
    let mut head = String::new();
    let mut reader = BufReader::new(&mut *stream);
    while !head.ends_with("\r\n\r\n") {
        if !matches!(reader.read_line(&mut head), Ok(1..)) {
            return;
        }
    }
    // The API server of Kubernetes gives its keys to nobody else.
    if !head.contains("application/jwk-set+json") {
        let _ = stream
            .write_all(b"HTTP/1.1 406 Not Acceptable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let answer = {
        let mut state = state.lock().unwrap();
        let answer = state.answers.get(&path).cloned();
        state.asked.push(path);
        answer
    };
    let _ = stream.write_all(answer.unwrap_or_default().as_bytes());
}
