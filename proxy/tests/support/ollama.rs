//! A stand-in for Ollama: answers at once, streams without end on `/api/generate`, and remembers every request.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Runs until the test process ends.
pub(crate) struct Ollama {
    pub(super) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Ollama {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ollama = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
        };
        let requests = Arc::clone(&ollama.requests);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let requests = Arc::clone(&requests);
                thread::spawn(move || answer(stream, &requests));
            }
        });
        ollama
    }

    /// The heads of all requests that have reached it, but for those by which the proxy itself sees whether it is
    /// there: they are on nobody's behalf.
    pub(crate) fn requests(&self) -> Vec<String> {
        let mut requests = self.requests.lock().unwrap().clone();
        requests.retain(|head| !head.starts_with("GET /api/version ") || head.contains("x-forwarded-for"));
        requests
    }
}

fn answer(mut stream: TcpStream, requests: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(head) = head(&mut reader)? else {
        return Ok(());
    };
    let length = head
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    io::copy(&mut reader.take(length.unwrap_or(0)), &mut io::sink())?;
    let streams = head.starts_with("POST /api/generate ");
    requests.lock().unwrap().push(head);
    if streams {
        generate(&mut stream)
    } else {
        answer_at_once(&mut stream)
    }
}

/// Up to the empty line; none where the connection ends before.
fn head(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(head))
}

fn answer_at_once(stream: &mut TcpStream) -> io::Result<()> {
    let body = r#"{"version":"0.17.4"}"#;
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// A line every 20 ms, for a minute at most.
fn generate(stream: &mut TcpStream) -> io::Result<()> {
    let line = "{\"response\":\"word \",\"done\":false}\n";
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    )?;
    for _ in 0..3000 {
        write!(stream, "{:x}\r\n{line}\r\n", line.len())?;
        thread::sleep(Duration::from_millis(20));
    }
    write!(stream, "0\r\n\r\n")
}
