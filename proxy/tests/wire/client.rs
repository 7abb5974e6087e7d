//! A client that sends the bytes it is told to.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use tokio::net::TcpSocket;

use crate::proxy::SOON;

/// How long to wait for bytes that must not come.
pub(crate) const MOMENT: Duration = Duration::from_millis(200);

/// A connection.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
    stream: TcpStream,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    /// Whether the body came to its end.
    pub(crate) complete: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&prefix))
    }
}

/// A connection from another address of this machine.
pub(crate) fn stream_from(source: IpAddr, address: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stream = runtime.block_on(async {
        let socket = if source.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }
        .unwrap();
        socket.bind(SocketAddr::new(source, 0)).unwrap();
        socket.connect(address).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// From another address of this machine.
    pub(crate) fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        Self::over(stream_from(source, address))
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        Self {
            reader: BufReader::new(stream.try_clone().unwrap()),
            stream,
        }
    }

    /// Sends bytes; the proxy may have closed already.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes.as_ref()).unwrap();
    }

    /// No more bytes come from here.
    pub(crate) fn end(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Sends a request and reads the answer.
    #[track_caller]
    pub(crate) fn exchange(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request);
        self.answer().expect("an answer")
    }

    /// The next answer; none where the connection is closed instead.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        let mut answer = self.head()?;
        if (100..200).contains(&answer.status) || answer.status == 204 {
            return Some(answer);
        }
        let (body, complete) = self.body(&answer);
        answer.body = String::from_utf8_lossy(&body).into_owned();
        answer.complete = complete;
        Some(answer)
    }

    /// The head of the next answer.
    pub(crate) fn head(&mut self) -> Option<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if !matches!(self.reader.read_line(&mut head), Ok(1..)) {
                return None;
            }
        }
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer {
            status,
            head,
            body: String::new(),
            complete: false,
        })
    }

    fn body(&mut self, answer: &Answer) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        if let Some(length) = answer.header("content-length") {
            let length: u64 = length.parse().unwrap();
            let read = (&mut self.reader).take(length).read_to_end(&mut body);
            return (body, read.is_ok_and(|read| read as u64 == length));
        }
        if answer.header("transfer-encoding").is_some() {
            while let Some(chunk) = self.chunk() {
                if chunk.is_empty() {
                    return (body, true);
                }
                body.extend(chunk.as_bytes());
            }
            return (body, false);
        }
        let complete = self.reader.read_to_end(&mut body).is_ok();
        (body, complete)
    }

    /// The next chunk, empty at the end; none where the connection is closed instead.
    pub(crate) fn chunk(&mut self) -> Option<String> {
        let mut size = String::new();
        self.reader.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.strip_suffix("\r\n")?, 16).ok()?;
        let mut chunk = vec![0; size + 2];
        self.reader.read_exact(&mut chunk).ok()?;
        chunk.truncate(size);
        String::from_utf8(chunk).ok()
    }

    /// Whether nothing comes, neither bytes nor the end, for a moment.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.is_quiet_for(MOMENT)
    }

    pub(crate) fn is_quiet_for(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let nothing = self.reader.fill_buf().is_err();
        self.stream.set_read_timeout(Some(SOON)).unwrap();
        nothing
    }

    /// Waits for the end of the connection; false where something else comes, or nothing.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.reader.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}
