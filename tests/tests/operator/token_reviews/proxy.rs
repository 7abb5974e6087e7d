//! A real proxy, configured as the operator says, where there is no kubelet to run it.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use corral_proxy::config::{ADMIN_PORT, Config, Kubernetes, paths};
use corral_tests::http_client::HttpClient;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::config::Kubeconfig;
use serde_json::Value;
use tempfile::TempDir;

use crate::lab::{Lab, program};
use crate::replica;

/// Ends when dropped.
pub(super) struct Proxy {
    child: Child,
    client: HttpClient,
    admin: HttpClient,
    output: Arc<Mutex<String>>,
    _files: TempDir,
}

impl Proxy {
    /// Starts the proxy of that OllamaService, and tells the API server of its Pod.
    pub(super) async fn start(lab: &Lab, service: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let (listener, address) = replica::listen(1).await;
        drop(listener);
        let config = Config {
            admin_listen: Some((address, ADMIN_PORT).into()),
            ..configuration(lab, service, files.path()).await
        };
        let path = files.path().join("proxy.yaml");
        fs::write(&path, serde_yaml::to_string(&config).unwrap()).unwrap();
        let mut child = Command::new(program("corral-proxy").await)
            .arg("--config")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let (said, listens) = announced(&mut errors);
        let output = Arc::new(Mutex::new(said));
        collect(errors, &output);
        collect(child.stdout.take().unwrap(), &output);
        replica::run(lab, service, &format!("{service}-1"), address).await;
        Self {
            child,
            client: HttpClient::new(&format!("http://{listens}")),
            admin: HttpClient::new(&format!("http://{address}:{ADMIN_PORT}")),
            output,
            _files: files,
        }
    }

    /// The status of the answer to a request with this token.
    pub(super) async fn code(&self, method: Method, path: &str, token: &str) -> u16 {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer)];
        let answer = self
            .client
            .send(method, path, &headers, Bytes::new())
            .await
            .unwrap();
        let status = answer.status();
        answer.into_body().collect().await.unwrap();
        status.as_u16()
    }

    /// An answer without an end to a request with this token.
    pub(super) async fn stream(&self, token: &str) -> Incoming {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer)];
        let answer = self
            .client
            .send(Method::POST, "/api/generate", &headers, Bytes::new());
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.into_body()
    }

    pub(super) async fn status(&self) -> Value {
        serde_json::from_str(&self.admin.get("/status", &[]).await.unwrap()).unwrap()
    }

    /// All that it has written so far.
    pub(super) fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the operator has written for the proxy, with the places of this machine in it, and an API server's word that counts
/// for a second.
async fn configuration(lab: &Lab, service: &str, files: &Path) -> Config {
    let config_map = lab.api::<ConfigMap>().get(service).await.unwrap();
    let config: Config = serde_yaml::from_str(&config_map.data.unwrap()[paths::CONFIG_FILE]).unwrap();
    let mut credentials = config.credentials.clone();
    let kubernetes = credentials.kubernetes.unwrap();
    assert_eq!(kubernetes, Kubernetes::in_cluster(vec!["ollama".to_owned()]));
    let cluster = Kubeconfig::read_from(lab.cluster.kubeconfig()).unwrap();
    let cluster = cluster.clusters.into_iter().next().unwrap().cluster.unwrap();
    let authorities = STANDARD
        .decode(cluster.certificate_authority_data.unwrap())
        .unwrap();
    let [token_file, ca_file] = [Kubernetes::TOKEN_FILE, Kubernetes::CA_FILE].map(|name| files.join(name));
    fs::write(&ca_file, authorities).unwrap();
    fs::write(&token_file, lab.token(service, &[], None).await).unwrap();
    credentials.kubernetes = Some(Kubernetes {
        server: Some(cluster.server.unwrap().parse().unwrap()),
        token_file,
        ca_file,
        cache_seconds: 1,
        ..kubernetes
    });
    Config {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        upstream: format!("http://{}", ollama()).parse().unwrap(),
        credentials,
        state: None,
        digest_key_file: None,
        ..config
    }
}

/// What it says until it listens, and where that is.
fn announced(errors: &mut impl BufRead) -> (String, SocketAddr) {
    let mut said = String::new();
    while !said.contains("listens on http://") {
        assert_ne!(errors.read_line(&mut said).unwrap(), 0, "the proxy ended: {said}");
    }
    let (_, rest) = said.split_once("listens on http://").unwrap();
    let address = rest.split_whitespace().next().unwrap().parse().unwrap();
    (said, address)
}

fn collect(mut reader: impl Read + Send + 'static, output: &Arc<Mutex<String>>) {
    let output = Arc::clone(output);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = reader.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            output.lock().unwrap().push_str(&text);
        }
    });
}

/// A stand-in for Ollama: generates for as long as somebody reads, and answers all else at once.
fn ollama() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || answer(&stream));
        }
    });
    address
}

fn answer(mut stream: &TcpStream) -> io::Result<()> {
    let mut head = String::new();
    let mut reader = BufReader::new(stream);
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    if !head.starts_with("POST /api/generate ") {
        return stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}");
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    loop {
        stream.write_all(b"3\r\n{}\n\r\n")?;
        thread::sleep(Duration::from_millis(20));
    }
}
