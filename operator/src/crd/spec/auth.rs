//! Who may call.

use corral_proxy::config::{Anonymous, CertificateName, JwtAlgorithm, JwtIssuer, OllamaKeys, Require};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// Who may call: each means that is listed lets its clients in, or with `require: All` only all of them together.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.basic) || has(self.apiKeys) || has(self.ollamaKeys) || has(self.jwt) || has(self.kubernetes) || has(self.clientCertificates) || has(self.anonymous)")
        .message("auth needs at least one of basic, apiKeys, ollamaKeys, jwt, kubernetes or clientCertificates; leave auth out and the operator makes an API key for you"),
    validation = Rule::new("!has(self.require) || self.require != 'All' || !has(self.anonymous)")
        .message("auth.require can't be All with anonymous, which lets those in who carry no credential; keep one of the two"),
    validation = Rule::new("!has(self.require) || self.require != 'All' || !(has(self.basic) && has(self.ollamaKeys))")
        .message("auth.require can't be All with basic and ollamaKeys: both are carried in Authorization, of which a request has one; keep one of them"),
)]
pub struct Auth {
    /// Users and passwords (HTTP Basic).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuth>,
    /// API keys, sent as Bearer, X-Ollama-Token or x-api-key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_keys: Option<ApiKeysAuth>,
    /// Public keys of the stock ollama CLI, which signs its requests where OLLAMA_AUTH=1 is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ollama_keys: Option<OllamaKeysAuth>,
    /// Issuers whose JSON Web Tokens (RFC 7519) let their bearers in, sent as API keys are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["issuer"]))]
    pub jwt: Vec<JwtAuth>,
    /// Tokens of the cluster's service accounts, sent as API keys are. The proxies ask the API server whose they are, which
    /// it must allow the service's own ServiceAccount; while it doesn't, the status says what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesAuth>,
    /// Certificates that clients show in the TLS handshake. Needs network.tls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificates: Option<ClientCertificatesAuth>,
    /// Lets callers without any credential in: a service that anyone who reaches it may use. By default they may use models
    /// and look at them; a rule of `access` that names their client says otherwise. A wrong credential is refused all the
    /// same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<Anonymous>,
    /// How many of these means a request must carry a credential for: exactly one (Any), or each of them (All). With All
    /// an API key or a token beside basic or ollamaKeys is sent as x-api-key or X-Ollama-Token, and the client has its name
    /// by basic, else by ollamaKeys, else by jwt, else by kubernetes, else by apiKeys, else by clientCertificates.
    #[serde(default, skip_serializing_if = "Require::is_any")]
    pub require: Require,
}

/// Users and passwords (HTTP Basic).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BasicAuth {
    /// A Secret with an htpasswd file under `auth` or under `key`, or of type kubernetes.io/basic-auth.
    pub secret_ref: SecretRef,
}

/// API keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeysAuth {
    /// A Secret whose entries are clients, each with its keys one a line; or, with `key`, one key file.
    pub secret_ref: SecretRef,
}

/// Public keys of the stock ollama CLI.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OllamaKeysAuth {
    /// A Secret with a file of authorized_keys lines under `authorized_keys` or under `key`, where each line's comment
    /// names its client; or whose entries are clients, each with its keys one a line.
    pub secret_ref: SecretRef,
    /// How many seconds a request may be signed before or after it comes; 30 without it. Within them it can be sent again
    /// by whoever has seen it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = OllamaKeys::MOST_CLOCK_SKEW_SECONDS))]
    pub clock_skew_seconds: Option<u32>,
}

/// An issuer of JSON Web Tokens.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.secretRef) && has(self.jwksURI))")
        .message("give secretRef or jwksURI, not both: keys are in a Secret or are fetched"),
    validation = Rule::new("has(self.secretRef) || (has(self.jwksURI) ? self.jwksURI : self.issuer).matches(has(self.insecure) && self.insecure ? '^https?://[^/]' : '^https://[^/]')")
        .message("without secretRef, jwksURI or else issuer must be an https address to fetch keys from; insecure: true allows http"),
    validation = Rule::new("!has(self.caSecretRef) || (!has(self.secretRef) && (has(self.jwksURI) ? self.jwksURI : self.issuer).startsWith('https://'))")
        .message("caSecretRef is for an https address that keys are fetched from; leave it out beside secretRef or http"),
    validation = Rule::new("has(self.secretRef) || !has(self.algorithms) || !self.algorithms.exists(algorithm, algorithm.startsWith('HS'))")
        .message("algorithms must not list HS… without secretRef: a secret isn't published"),
)]
pub struct JwtAuth {
    /// What the claim iss must be, to the letter.
    #[schemars(length(min = 1, max = 512))]
    pub issuer: String,
    /// Of these the claim aud must name one.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 512)))]
    pub audiences: Vec<String>,
    /// A Secret with the issuer's keys: public ones in PEM or as a JWK or JWK set, or the secret of an HMAC. Without `key`
    /// every entry is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// Where the issuer publishes its keys as a JWK set; the proxies fetch them. Without it and without secretRef, the
    /// issuer's document at /.well-known/openid-configuration says where.
    #[serde(default, rename = "jwksURI", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(min = 1, max = 1024))]
    pub jwks_uri: Option<Url>,
    /// A Secret with the certificates (PEM) of the authorities that certify the https addresses of the issuer's document and
    /// keys, under `ca.crt` or under `key`. Without it, the authorities that Mozilla trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretRef>,
    /// Fetch keys by http: whoever is on the way can then let in whom they like.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// By which algorithms the issuer signs. Without the list, by any that has a key pair (RS, PS, ES, EdDSA); an HMAC (HS)
    /// must be listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 13))]
    #[x_kube(validation = Rule::new("self.all(algorithm, algorithm.startsWith('HS')) || !self.exists(algorithm, algorithm.startsWith('HS'))")
        .message("algorithms must not mix HS… with others: a public key could be taken for the secret of an HMAC"))]
    pub algorithms: Option<Vec<JwtAlgorithm>>,
    /// The claim that names the client; sub without it. A name with dots that no claim has leads to one in another:
    /// realm.user is user in realm.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub client_claim: Option<String>,
    /// The claim with the client's groups, one name or a list of them, for the groups of access rules; named as clientClaim
    /// is. A token without the claim gives no groups; one with something else in it, or with more than 200 groups, lets
    /// nobody in. Without groupsClaim tokens give no groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub groups_claim: Option<String>,
    /// How many seconds the issuer's clock may differ from ours; 30 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = JwtIssuer::MOST_LEEWAY_SECONDS))]
    pub leeway_seconds: Option<u32>,
}

/// Tokens of service accounts.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesAuth {
    /// Of these a token must be made for one, as `audience` of a projected serviceAccountToken volume says. Choose a name of
    /// your own: a token for the API server itself could be used there by whoever sees it on its way here.
    #[schemars(
        length(min = 1, max = 32),
        inner(length(min = 1, max = 253), regex(pattern = r"^[!-~]+$"))
    )]
    #[x_kube(validation = Rule::new("!self.exists(audience, audience.startsWith('https://kubernetes.default.svc'))")
        .message("audiences must not name the API server itself: whoever sees such a token on its way here could use it there; choose a name of your own, such as ollama"))]
    pub audiences: Vec<String>,
}

/// Certificates that clients show in the TLS handshake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificatesAuth {
    /// A Secret with the certificates of the authorities (PEM) that certify clients, under `ca.crt` or under `key`, and
    /// perhaps their revocation lists (CRLs, PEM) under `ca.crl`. Who is certified by one that is taken out is refused,
    /// and cut.
    pub secret_ref: SecretRef,
    /// Which name of a certificate is its client's: the subject's only common name, or the first DNS name, URI or e-mail
    /// address of its alternative names.
    #[serde(default)]
    pub name: CertificateName,
}

/// A Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Its name. Another name here restarts the Pods; another content of the Secret doesn't.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub name: String,
    /// The entry that is the credential file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: Option<String>,
}
