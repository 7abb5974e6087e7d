//! Private models: a registry that gives them to whoever has the right key, as ollama.com does.

use std::fs;
use std::io;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use corral_proxy::config::Model;
use corral_proxy::status::ModelState;
use corral_tests::model;
use corral_tests::ollama::Ollama;
use corral_tests::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::blobs::Blobs;
use crate::{Keeper, wanted};

/// The SHA-256 of nothing, in hexadecimal: what Ollama signs in place of a body (ollama/server/auth.go).
const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const TOKEN: &str = "a-token-of-the-gate";

/// Stands before a real registry in place of ollama.com's own door (a fake, since that one is theirs): it gives a token to
/// whoever signs with one key, and lets in only who has the token.
struct Gate {
    address: String,
    task: JoinHandle<()>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gate {
    /// One that knows the key of that line, `ssh-ed25519 BLOB …`.
    async fn start(registry: &Registry, public_key: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let key = public_key.split_whitespace().nth(1).unwrap().to_owned();
        let (own, behind) = (address.clone(), registry.address());
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (own, behind, key) = (own.clone(), behind.clone(), key.clone());
                tokio::spawn(async move { answer(client, &own, &behind, &key).await });
            }
        });
        Self { address, task }
    }

    fn model(&self) -> Model {
        Model {
            name: format!("{}/library/{}", self.address, model::NAME),
            insecure: true,
            ..Model::default()
        }
    }
}

async fn answer(mut client: TcpStream, own: &str, behind: &str, key: &str) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap();
    let authorization = head
        .lines()
        .find_map(|line| line.strip_prefix("Authorization: "))
        .unwrap_or_default();
    if target.starts_with("/token?") {
        let answer = if is_signed(authorization, &format!("http://{own}{target}"), key) {
            let token = format!("{{\"token\":\"{TOKEN}\"}}");
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{token}",
                token.len()
            )
        } else {
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
        };
        return client.write_all(answer.as_bytes()).await;
    }
    if authorization != format!("Bearer {TOKEN}") {
        let challenge = format!(
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"http://{own}/token\",service=\"gate\",\
             scope=\"repository:library/gemma3:pull\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        return client.write_all(challenge.as_bytes()).await;
    }
    let mut registry = TcpStream::connect(behind).await?;
    let alone = head.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
    registry.write_all(alone.as_bytes()).await?;
    tokio::io::copy(&mut registry, &mut client).await.map(drop)
}

/// Whether `KEY:SIGNATURE` is that key's, and of a request of that address.
fn is_signed(authorization: &str, url: &str, key: &str) -> bool {
    let Some((by, signature)) = authorization.split_once(':') else {
        return false;
    };
    let [blob, signature] = [by, signature].map(|text| STANDARD.decode(text).unwrap_or_default());
    let message = format!("GET,{url},{}", STANDARD.encode(OF_NOTHING));
    // The key itself is the last of an SSH key (RFC 8709, section 4).
    let public = blob.last_chunk::<32>().copied().unwrap_or_default();
    by == key
        && UnparsedPublicKey::new(&ED25519, public)
            .verify(message.as_bytes(), &signature)
            .is_ok()
}

/// What a Secret's `id_ed25519` at its place in Ollama's home is good for, also where it comes there later.
#[tokio::test]
async fn a_private_model_is_had_by_the_key_in_ollamas_home() {
    let blobs = Blobs::start(0).await;
    let registry = Registry::filled(&blobs.url).await.unwrap();
    let (owner, ollama) = (
        Ollama::without_models().await.unwrap(),
        Ollama::without_models().await.unwrap(),
    );
    let keys = owner.home().join(".ollama");
    let public_key = fs::read_to_string(keys.join("id_ed25519.pub")).unwrap();
    let gate = Gate::start(&registry, &public_key).await;

    let keeper = Keeper::start(&ollama, wanted(&[gate.model()]));
    let failed = keeper
        .until("its own key is refused", |status| {
            status.state == ModelState::Failed
        })
        .await;
    println!("with a key that the registry doesn't know: {:?}", failed.message);

    let place = ollama.home().join(".ollama/id_ed25519");
    fs::copy(keys.join("id_ed25519"), place).unwrap();
    keeper.ready().await;
}
