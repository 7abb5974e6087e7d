//! The proxy as `cargo bench` has built it, with everything on: all means of identification that it is asked for, access
//! rules, metrics, an access log to a file.

use std::fs::{self, File};

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::{AUDIENCE, Clients, Front, ISSUER, KEY, PASSWORD, Place, USER, free_address};

/// The proxy's program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_corral-proxy");
/// The file of API keys in the front's folder.
pub(crate) const KEYS_FILE: &str = "corral-api-keys";
/// The cost of the password's hash.
const COST: u32 = 12;

const CONFIGURATION: &str = "
threads: 1
log: {format: json}
access:
  - {clients: [admin], allow: [Inference, Read, Manage]}
  - {clients: ['ci-*'], allow: [Inference]}
  - {clients: [bench], allow: [Inference, Read]}
network: {allowedCIDRs: [127.0.0.0/8, '::1/128']}
";

/// Ways to start it.
pub(crate) struct Corral;

impl Corral {
    /// Its clients send API keys.
    pub(crate) fn api_key(place: &Place<'_>) -> Result<Front> {
        Self::start(place, "API key", &Clients::WithKey)
    }

    /// Its clients send a password.
    pub(crate) fn password(place: &Place<'_>) -> Result<Front> {
        Self::start(place, &format!("bcrypt cost {COST}"), &Clients::WithPassword)
    }

    /// Its clients send JSON Web Tokens.
    pub(crate) fn token(place: &Place<'_>) -> Result<Front> {
        Self::start(place, "JWT", &Clients::WithToken)
    }

    fn start(place: &Place<'_>, what: &str, clients: &Clients) -> Result<Front> {
        let address = free_address()?;
        let [keys, users, issuer, configuration] =
            [KEYS_FILE, "corral-users", "corral-issuer.json", "corral.yaml"]
                .map(|name| place.folder.join(name));
        fs::write(&keys, format!("{USER}:{KEY}\n"))?;
        fs::write(&users, format!("{USER}:{}\n", bcrypt::hash(PASSWORD, COST)?))?;
        let secret = URL_SAFE_NO_PAD.encode(KEY);
        let jwks = json!({"keys": [{"kty": "oct", "alg": "HS256", "k": secret}]});
        fs::write(&issuer, jwks.to_string())?;
        let issuers = format!(
            "credentials: {{jwt: [{{issuer: '{ISSUER}', audiences: [{AUDIENCE}], algorithms: [HS256], keys: {{path: {}}}}}]}}",
            issuer.display()
        );
        fs::write(&configuration, format!("{issuers}\n{CONFIGURATION}"))?;
        let mut command = place.command(PROGRAM);
        command
            .args(["--listen", &address.to_string()])
            .args(["--admin-listen", "127.0.0.1:0"])
            .args(["--upstream", &format!("http://{}", place.backend)])
            .arg("--api-keys")
            .arg(keys)
            .arg("--htpasswd")
            .arg(users)
            .arg("--config")
            .arg(configuration)
            .env("CORRAL_LOG", "error")
            .stdout(File::create(place.folder.join("corral.log"))?)
            .stderr(std::process::Stdio::null());
        let name = format!("corral-proxy {}, {what}", env!("CARGO_PKG_VERSION"));
        Front::start(name, command, address, clients)
    }
}
