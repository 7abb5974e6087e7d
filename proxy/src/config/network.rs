//! Who may call from where, and whose word counts.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Which addresses may call, whose word on the client's address counts, and which pages may call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Network {
    /// Networks that may call; everyone without any. Others get 403 whatever their credential.
    #[serde(rename = "allowedCIDRs", skip_serializing_if = "Vec::is_empty")]
    pub allowed_cidrs: Vec<IpNet>,
    /// Networks of the proxies before this one, whose `X-Forwarded-For` names the client.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections from trusted proxies begin with the PROXY protocol, version 1 or 2, which names the client
    /// (HAProxy, doc/proxy-protocol.txt). One that doesn't is closed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub proxy_protocol: bool,
    /// Pages in browsers that may call. Without it no answer has a header of CORS, and browsers let none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
}

/// Pages in browsers that may call. They need a credential like everyone else, which they put into a header themselves:
/// cookies and what a browser has kept are never asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cors {
    /// Origins of the pages as browsers write them, SCHEME://HOST[:PORT] in lower case; a `*.` before the host stands for
    /// one label, and `*` alone for every page.
    #[cfg_attr(
        feature = "schema",
        schemars(
            length(min = 1, max = 64),
            inner(
                length(max = 512),
                regex(
                    pattern = r"^(\*|[a-z][a-z0-9+.-]*://(\*\.)?([a-z0-9._-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?)$"
                )
            )
        )
    )]
    pub allowed_origins: Vec<String>,
    /// How long a browser may remember the answer to its question, in seconds: 600 without it.
    #[serde(default = "Cors::default_max_age_seconds")]
    #[cfg_attr(feature = "schema", schemars(range(max = 86400)))]
    pub max_age_seconds: u32,
}

impl Cors {
    /// Most seconds that may be set; no browser remembers longer.
    pub const MOST_MAX_AGE_SECONDS: u32 = 86_400;

    const fn default_max_age_seconds() -> u32 {
        600
    }
}
