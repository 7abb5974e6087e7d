//! What `/status` on the admin port says: nothing secret, and all that the operator needs to know of a replica.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{AccessRule, Ceilings, ClientLimits, Require};
use crate::credentials::Means;

/// The answer of `/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The proxy's version.
    pub version: String,
    /// What `/readyz` says.
    pub ready: bool,
    /// SIGTERM has come; running streams are being finished.
    pub draining: bool,
    /// The configuration in force.
    pub configuration: ConfigurationStatus,
    /// The certificate that clients see; none without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
    /// Whether clients show themselves by one of the means or by all of them.
    #[serde(default)]
    pub require: Require,
    /// One for each configured means, and for JSON Web Tokens one for each issuer whose keys stand in files.
    pub credentials: Vec<SourceStatus>,
    /// Every issuer of JSON Web Tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<IssuerStatus>,
    /// The API server that is asked about service account tokens; none where they aren't taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<ApiServerStatus>,
    /// Every client that has a credential, by name, and among them whoever comes without one, where that is allowed. Of
    /// those that tokens and certificates name, the ones that have come.
    pub clients: Vec<ClientStatus>,
    /// What clients may use, by the rules that limit it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitsStatus>,
    /// Every model of the configuration.
    pub models: Vec<ModelStatus>,
    /// Every model that was in memory at the last look, half a minute ago at most.
    #[serde(default)]
    pub loaded: Vec<LoadedModel>,
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationStatus {
    /// SHA-256 of the file in force, in hexadecimal; none where flags alone configure the proxy.
    pub digest: Option<String>,
    /// When it came into force.
    pub loaded_at: Timestamp,
    /// Why the file as it is now is not in force: the last good one still is.
    pub error: Option<String>,
}

/// The certificate in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// SHA-256 of the server's certificate, in hexadecimal, as `openssl x509 -fingerprint -sha256` has it; none while
    /// there is none, and every handshake is refused.
    pub fingerprint: Option<String>,
    /// When it came into force.
    pub loaded_at: Option<Timestamp>,
    /// Why the files as they are now are not in force: the last good pair still is.
    pub error: Option<String>,
}

/// The credentials of one means in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Which means.
    pub means: Means,
    /// Whose keys they are, where the means is JSON Web Tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// [`crate::digest::DigestKey::digest`] of all the source's entries; none without a digest key.
    pub digest: Option<String>,
    /// How many clients it lets in: 0 when there is an error.
    pub clients: usize,
    /// When it came into force.
    pub loaded_at: Timestamp,
    /// Why nobody is let in: entry, line and what would be right, never what stands there.
    pub error: Option<String>,
}

/// An issuer of JSON Web Tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuerStatus {
    /// What its tokens call it.
    pub issuer: String,
    /// Its keys in force; nobody is let in by its tokens where there is none.
    pub keys: Vec<KeyStatus>,
    /// When they were fetched last, where the issuer publishes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshed_at: Option<Timestamp>,
    /// What is wrong with them, or why they couldn't be fetched the last time: the last good ones count meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A key of an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyStatus {
    /// What tokens call it (`kid`), if it has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its type and size, such as RSA-2048.
    #[serde(rename = "type")]
    pub kind: String,
}

/// The API server that is asked about service account tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiServerStatus {
    /// Its address; none where neither configuration nor environment has it.
    pub server: Option<String>,
    /// When it last answered.
    pub answered_at: Option<Timestamp>,
    /// Why the last question had no answer. Nobody new is let in until one has.
    pub error: Option<String>,
    /// The proxy has no right to ask.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forbidden: bool,
}

/// A client that is let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientStatus {
    /// The name that access rules, log and metrics use.
    pub name: String,
    /// How it shows who it is.
    pub means: Means,
    /// When it last did, since this replica started.
    pub last_used: Option<Timestamp>,
}

/// A rule that limits what its clients may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitsStatus {
    /// Names of clients, as in the configuration.
    pub clients: Vec<String>,
    /// Names of groups, as in the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// What each of them may use of this replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ClientLimits>,
    /// The most that their requests may ask of a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceilings: Option<Ceilings>,
}

impl LimitsStatus {
    /// What a rule says of limits; none where it has none.
    pub fn of(rule: &AccessRule) -> Option<Self> {
        let AccessRule {
            clients,
            groups,
            limits,
            ceilings,
            ..
        } = rule;
        (limits.is_some() || ceilings.is_some()).then(|| Self {
            clients: clients.clone(),
            groups: groups.clone(),
            limits: limits.clone(),
            ceilings: ceilings.clone(),
        })
    }
}

/// How far a model is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelStatus {
    /// As in the configuration.
    pub name: String,
    /// Where it stands.
    pub state: ModelState,
    /// How much of it is pulled, in percent, while it is being pulled.
    pub progress: Option<u8>,
    /// The same in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<u64>,
    /// Out of how many bytes, as far as Ollama has said: it tells of one part after the other, the largest usually first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Its manifest's digest, once it is there.
    pub digest: Option<String>,
    /// Its size in bytes, once it is there.
    pub size: Option<u64>,
    /// Why it failed, in Ollama's words, or what it waits for.
    pub message: Option<String>,
    /// At how many looks in a row, half a minute apart, it was out of memory again though it is to be kept there.
    #[serde(default, skip_serializing_if = "is_none_at_all")]
    pub displaced: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_none_at_all(number: &u32) -> bool {
    *number == 0
}

/// A model in memory (ProcessModelResponse in Ollama's api/types.go).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadedModel {
    /// As Ollama names it.
    pub name: String,
    /// Bytes that it takes.
    pub size: u64,
    /// How many of them are in GPU memory: none where it computes on the CPU.
    pub size_vram: u64,
}

/// Where a model stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModelState {
    /// Not begun.
    Pending,
    /// Being pulled.
    Pulling,
    /// Being made from a Modelfile.
    Making,
    /// Being loaded into memory.
    Loading,
    /// There, and loaded if asked for.
    Ready,
    /// The last try failed; another follows.
    Failed,
}
