//! Where a registry's files come from.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use corral_tests::registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A server of a registry's files (a fake, since it has to fail): it breaks off long answers until it has done that as often
/// as it is to.
pub(crate) struct Blobs {
    pub(crate) url: String,
    /// How many answers more are broken off.
    pub(crate) broken: Arc<AtomicUsize>,
    /// Bytes that it has sent.
    pub(crate) sent: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for Blobs {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Blobs {
    /// Where answers are broken off.
    const AFTER: usize = 32 << 20;

    pub(crate) async fn start(broken: usize) -> Self {
        let storage = registry::storage().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Another name than the registry's, as Ollama demands it.
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let (broken, sent) = (Arc::new(AtomicUsize::new(broken)), Arc::new(AtomicU64::new(0)));
        let (breaks, sends) = (Arc::clone(&broken), Arc::clone(&sent));
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (storage, breaks, sends) = (storage.clone(), Arc::clone(&breaks), Arc::clone(&sends));
                tokio::spawn(async move { serve(client, &storage, &breaks, &sends).await });
            }
        });
        Self {
            url,
            broken,
            sent,
            task,
        }
    }
}

/// Answers one request for a range of a file, as far as it may.
async fn serve(
    mut client: TcpStream,
    storage: &Path,
    broken: &AtomicUsize,
    sent: &AtomicU64,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().trim_start_matches('/');
    let range = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("range: bytes=")
            .map(str::to_owned)
    });
    let content = tokio::fs::read(storage.join(path)).await?;
    let (first, last) = match range.as_deref().and_then(|range| range.split_once('-')) {
        Some((first, last)) => (first.parse().unwrap(), last.parse().unwrap()),
        None => (0, content.len() - 1),
    };
    let part = &content[first..=last];
    let answer = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {first}-{last}/{}\r\n\
         Connection: close\r\n\r\n",
        part.len(),
        content.len()
    );
    client.write_all(answer.as_bytes()).await?;
    let is_broken = part.len() > Blobs::AFTER
        && broken
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1))
            .is_ok();
    let part = if is_broken { &part[..Blobs::AFTER] } else { part };
    for chunk in part.chunks(256 << 10) {
        client.write_all(chunk).await?;
        sent.fetch_add(u64::try_from(chunk.len()).unwrap(), Ordering::SeqCst);
    }
    client.shutdown().await
}
