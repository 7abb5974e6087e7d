//! A fake Ollama: it records every request as it comes over the wire, and answers as the test says.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Runs until the test process ends.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<Vec<Bytes>>>,
}

/// All bytes that have come on a connection.
type Bytes = Arc<Mutex<Vec<u8>>>;

/// A connection whose bytes are kept as they are read.
struct Recorded {
    stream: TcpStream,
    bytes: Bytes,
}

impl Read for Recorded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.bytes.lock().unwrap().extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

/// A request whose head has been read, and the connection that it came on.
pub(crate) struct Exchange {
    pub(crate) head: String,
    reader: BufReader<Recorded>,
    pub(crate) stream: TcpStream,
}

/// Whether the connection is used again.
pub(crate) enum Then {
    KeepAlive,
    Close,
}

/// Serves each connection to a port of its own, on a thread of its own, until the test process ends.
pub(crate) fn listen(serve: impl Fn(&TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(&stream));
        }
    });
    address
}

/// How long the backend waits for what never comes.
const PATIENCE: Duration = Duration::from_secs(60);

impl Backend {
    /// Answers `{}` to everything.
    pub(crate) fn start() -> Self {
        Self::answering(Exchange::answer_at_once)
    }

    /// Answers `GET /api/version`, by which the proxy sees whether it is there, and leaves the rest to `answer`.
    pub(crate) fn answering(
        answer: impl Fn(&mut Exchange) -> io::Result<Then> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let backend = Self {
            address: listener.local_addr().unwrap(),
            heads: Arc::default(),
            connections: Arc::default(),
        };
        let (heads, connections) = (Arc::clone(&backend.heads), Arc::clone(&backend.connections));
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (heads, answer) = (Arc::clone(&heads), Arc::clone(&answer));
                let bytes = Bytes::default();
                connections.lock().unwrap().push(Arc::clone(&bytes));
                thread::spawn(move || serve(stream, bytes, &heads, &*answer));
            }
        });
        backend
    }

    /// Generates for as long as somebody reads, and answers every GET at once.
    pub(crate) fn generating() -> Self {
        Self::answering(|exchange| {
            if exchange.is("GET ") {
                return exchange.answer_at_once();
            }
            exchange.stream_until_left().map(|()| Then::Close)
        })
    }

    /// Answers with so many MiB, a chunk each, and tells how many of them somebody took. Answers every GET at once.
    pub(crate) fn pouring(chunks: usize) -> (Self, Receiver<usize>) {
        let (tell, told) = channel();
        let tell = Mutex::new(tell);
        let backend = Self::answering(move |exchange| {
            if exchange.is("GET ") {
                return exchange.answer_at_once();
            }
            exchange.read_body()?;
            exchange.begin_stream()?;
            let sent = exchange.chunks(&"x".repeat(1 << 20), chunks, Duration::from_secs(2))?;
            tell.lock().unwrap().send(sent).unwrap();
            Ok(Then::Close)
        });
        (backend, told)
    }

    /// The heads of all requests that were forwarded to it; the proxy's own questions tell of no client.
    pub(crate) fn heads(&self) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        heads
            .iter()
            .filter(|head| head.contains("\r\nx-forwarded-for:"))
            .cloned()
            .collect()
    }

    /// All bytes that have come, by connection.
    pub(crate) fn connections(&self) -> Vec<Vec<u8>> {
        let connections = self.connections.lock().unwrap();
        connections
            .iter()
            .map(|bytes| bytes.lock().unwrap().clone())
            .collect()
    }

    /// The request lines of [`Self::heads`].
    pub(crate) fn lines(&self) -> Vec<String> {
        self.heads()
            .iter()
            .map(|head| head.lines().next().unwrap_or_default().to_owned())
            .collect()
    }
}

fn serve(
    stream: TcpStream,
    bytes: Bytes,
    heads: &Mutex<Vec<String>>,
    answer: &impl Fn(&mut Exchange) -> io::Result<Then>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let answers = stream.try_clone()?;
    let mut reader = BufReader::new(Recorded { stream, bytes });
    while let Some(head) = read_head(&mut reader)? {
        heads.lock().unwrap().push(head.clone());
        let mut exchange = Exchange {
            head,
            reader,
            stream: answers.try_clone()?,
        };
        let then = if exchange.is("GET /api/version ") && !exchange.head.contains("\r\nx-forwarded-for:") {
            exchange.answer_at_once()?
        } else {
            answer(&mut exchange)?
        };
        if matches!(then, Then::Close) {
            return Ok(());
        }
        reader = exchange.reader;
    }
    Ok(())
}

/// Up to the empty line, byte by byte as it came; none where the connection ends before.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head)? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}

impl Exchange {
    /// Whether the request line begins like this.
    pub(crate) fn is(&self, line: &str) -> bool {
        self.head.starts_with(line)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&prefix))
    }

    /// Reads up to `length` bytes of the body, framing included.
    pub(crate) fn read_some(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; length];
        let read = self.reader.read(&mut buffer)?;
        buffer.truncate(read);
        Ok(buffer)
    }

    /// Reads the body to its end and says how many bytes it has.
    pub(crate) fn read_body(&mut self) -> io::Result<u64> {
        self.copy_body(&mut io::sink())
    }

    /// Reads the body to its end.
    pub(crate) fn body(&mut self) -> io::Result<String> {
        let mut body = Vec::new();
        self.copy_body(&mut body)?;
        String::from_utf8(body).map_err(io::Error::other)
    }

    fn copy_body(&mut self, sink: &mut impl Write) -> io::Result<u64> {
        if let Some(length) = self.header("content-length") {
            let length = length.parse().unwrap();
            return read_exactly(&mut self.reader, length, sink);
        }
        let mut total = 0;
        while self.header("transfer-encoding").is_some() {
            let mut size = String::new();
            self.reader.read_line(&mut size)?;
            let size = u64::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
            read_exactly(&mut self.reader, size, sink)?;
            read_exactly(&mut self.reader, 2, &mut io::sink())?;
            if size == 0 {
                break;
            }
            total += size;
        }
        Ok(total)
    }

    pub(crate) fn answer_at_once(&mut self) -> io::Result<Then> {
        self.read_body()?;
        self.answer("200 OK", "{}")
    }

    /// A whole answer. HEAD gets its head.
    pub(crate) fn answer(&mut self, status: &str, body: &str) -> io::Result<Then> {
        let length = body.len();
        let body = if self.is("HEAD ") { "" } else { body };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        self.stream.write_all(format!("{head}{body}").as_bytes())?;
        Ok(Then::KeepAlive)
    }

    /// The head of an answer in chunks.
    pub(crate) fn begin_stream(&mut self) -> io::Result<()> {
        self.begin("application/x-ndjson")
    }

    /// The head of an answer in chunks, of this media type.
    pub(crate) fn begin(&mut self, content_type: &str) -> io::Result<()> {
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n");
        self.stream.write_all(head.as_bytes())
    }

    /// A chunk; an empty one ends the answer.
    pub(crate) fn chunk(&mut self, data: &str) -> io::Result<()> {
        self.stream
            .write_all(format!("{:x}\r\n{data}\r\n", data.len()).as_bytes())
    }

    /// The same chunk so many times, or until nobody takes it for so long: longer than a proxy that takes bytes ever lets it
    /// wait. Says how many went.
    pub(crate) fn chunks(&mut self, data: &str, most: usize, patience: Duration) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(patience))?;
        let chunk = format!("{:x}\r\n{data}\r\n", data.len());
        let mut is_taken = || {
            self.stream
                .write(chunk.as_bytes())
                .is_ok_and(|taken| taken == chunk.len())
        };
        Ok((0..most).take_while(|_| is_taken()).count())
    }

    /// Chunks until the proxy has gone away.
    pub(crate) fn stream_until_left(&mut self) -> io::Result<()> {
        self.begin_stream()?;
        for _ in 0..PATIENCE.as_millis() / 10 {
            self.chunk("{\"response\":\"word\"}\n")?;
            thread::sleep(Duration::from_millis(10));
        }
        self.chunk("")
    }

    /// Waits until the proxy closes the connection; false if it doesn't.
    pub(crate) fn is_left(&mut self) -> bool {
        match self.reader.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

fn read_exactly(reader: &mut impl Read, length: u64, sink: &mut impl Write) -> io::Result<u64> {
    let read = io::copy(&mut reader.take(length), sink)?;
    if read == length {
        Ok(read)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
