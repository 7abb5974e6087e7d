//! An identity provider that publishes its keys over HTTP.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use crate::backend::listen;

/// Runs until the test process ends.
pub(crate) struct Provider {
    address: SocketAddr,
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
        let address = listen(move |stream| answer(stream, &served));
        Self { address, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
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

fn answer(stream: &TcpStream, state: &Mutex<State>) {
    let mut head = String::new();
    let mut reader = BufReader::new(stream);
    while !head.ends_with("\r\n\r\n") {
        if !matches!(reader.read_line(&mut head), Ok(1..)) {
            return;
        }
    }
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let answer = {
        let mut state = state.lock().unwrap();
        let answer = state.answers.get(&path).cloned();
        state.asked.push(path);
        answer
    };
    let mut stream = stream;
    let _ = stream.write_all(answer.unwrap_or_default().as_bytes());
}
