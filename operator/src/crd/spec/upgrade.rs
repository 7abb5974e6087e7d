//! When a new operator's changes reach the Pods, and how Pods are replaced.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When what a new version of the operator would change in the Pods, such as the proxy's image, goes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpgradePolicy {
    /// With the next change of the spec that replaces the Pods anyway.
    #[default]
    OnNextRollout,
    /// At once: the Pods are replaced, and models leave GPU memory.
    Immediate,
}

/// How Pods are replaced when what they are made from changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Whether a new Pod comes before an old one goes, so that nobody is turned away meanwhile; it takes what one Pod needs
    /// to be free. Without it so with a ReadWriteMany claim and no GPU, and the old one goes first with all else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surge: Option<bool>,
}
