//! What clients may be called.

use super::Problem;

/// Most bytes of a client's name: what Kubernetes allows the name of a Secret's entry.
pub const LONGEST_NAME: usize = 253;

/// Whether a client can be called so in rules, logs and metrics.
pub(crate) fn check_name(name: &str) -> Result<(), Problem> {
    let well_formed =
        (1..=LONGEST_NAME).contains(&name.len()) && name.trim() == name && !name.contains(char::is_control);
    if well_formed { Ok(()) } else { Err(Problem::Name) }
}
