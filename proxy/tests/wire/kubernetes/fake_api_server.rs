//! A fake API server, for what a real one can't be made to do: to fail, and to count what it is asked. What a real one says
//! of tokens is tried with a real one.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

use crate::backend::listen;

/// Runs until the test process ends.
pub(crate) struct FakeApiServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    /// Tokens that it lets pass, with whose they are.
    accounts: BTreeMap<String, String>,
    asked: Vec<String>,
}

/// What it does in place of answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    HangsUp,
    SaysNothing,
    Answers(u16, &'static str),
}

impl FakeApiServer {
    pub(crate) fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let served = Arc::clone(&shared);
        let address = listen(move |stream| {
            // A proxy that hangs up has had enough.
            let _ = serve(stream, &served);
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets this token pass from now on, as this account's.
    pub(crate) fn let_pass(&self, token: &str, account: &str) {
        let mut state = self.shared.state.lock().unwrap();
        state.accounts.insert(token.to_owned(), account.to_owned());
    }

    /// Lets no token pass from now on.
    pub(crate) fn let_nobody_pass(&self) {
        self.shared.state.lock().unwrap().accounts.clear();
    }

    /// Does this in place of answering from now on.
    pub(crate) fn fail(&self, fault: impl Into<Option<Fault>>) {
        self.shared.state.lock().unwrap().fault = fault.into();
        self.shared.changed.notify_all();
    }

    /// The tokens that it was asked about so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().asked.clone()
    }

    /// How often it was asked about a token.
    pub(crate) fn asked_about(&self, token: &str) -> usize {
        self.asked().iter().filter(|asked| *asked == token).count()
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut stream = stream;
    while let Some(question) = question(&mut reader)? {
        let (fault, answer) = shared.answer(&question);
        let (code, text) = match fault {
            None => (201, answer),
            Some(Fault::Answers(code, text)) => (code, text.to_owned()),
            Some(Fault::HangsUp) => return Ok(()),
            Some(Fault::SaysNothing) => return shared.wait_for_another_fault(),
        };
        let length = text.len();
        write!(
            stream,
            "HTTP/1.1 {code} X\r\nContent-Length: {length}\r\n\r\n{text}"
        )?;
    }
    Ok(())
}

impl Shared {
    /// What it does, and what it would answer.
    fn answer(&self, question: &Value) -> (Option<Fault>, String) {
        let token = question["spec"]["token"].as_str().unwrap();
        let mut state = self.state.lock().unwrap();
        state.asked.push(token.to_owned());
        let status = match state.accounts.get(token) {
            None => json!({"error": "[invalid bearer token]"}),
            Some(account) => json!({
                "authenticated": true,
                "user": {"username": account, "groups": ["system:serviceaccounts"]},
                "audiences": question["spec"]["audiences"],
            }),
        };
        let mut review = question.clone();
        review["status"] = status;
        (state.fault, review.to_string())
    }

    fn wait_for_another_fault(&self) -> io::Result<()> {
        let state = self.state.lock().unwrap();
        let silent = |state: &mut State| state.fault == Some(Fault::SaysNothing);
        drop(self.changed.wait_while(state, silent).unwrap());
        Ok(())
    }
}

/// The next TokenReview on a connection; none at its end.
fn question(reader: &mut impl BufRead) -> io::Result<Option<Value>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    assert!(
        head.starts_with("POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("authorization: Bearer own-token\r\n"), "{head}");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    reader.read_exact(&mut body)?;
    Ok(Some(serde_json::from_slice(&body).unwrap()))
}
