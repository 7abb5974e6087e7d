//! When a new operator's changes reach the Pods.

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
