//! What the types of limits can't say.

use super::Invalid;
use crate::config::ClientLimits;

/// Checks the limits of a rule, which stand at `field`.
pub(super) fn limits(field: &str, limits: &ClientLimits) -> Result<(), Invalid> {
    let ClientLimits {
        requests_per_minute,
        burst,
        concurrent,
    } = limits;
    for (name, limit) in [
        ("requestsPerMinute", requests_per_minute),
        ("burst", burst),
        ("concurrent", concurrent),
    ] {
        if limit.is_some_and(|limit| limit.get() > ClientLimits::MOST_REQUESTS) {
            let problem = format!("must be 1 to {}", ClientLimits::MOST_REQUESTS);
            return Err(Invalid::new(format!("{field}.{name}"), problem));
        }
    }
    if burst.is_some() && requests_per_minute.is_none() {
        let problem = "goes with requestsPerMinute, which says how fast it comes back";
        return Err(Invalid::new(format!("{field}.burst"), problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_cannot_work_are_named_by_field() {
        let cases = [
            ("{}", None),
            ("{requestsPerMinute: 60, burst: 10, concurrent: 4}", None),
            (
                "{requestsPerMinute: 1000000, burst: 1000000, concurrent: 1}",
                None,
            ),
            ("{burst: 10}", Some("here.burst")),
            ("{requestsPerMinute: 1000001}", Some("here.requestsPerMinute")),
            ("{requestsPerMinute: 1, burst: 1000001}", Some("here.burst")),
            ("{concurrent: 1000001}", Some("here.concurrent")),
        ];
        for (text, expected) in cases {
            let read: ClientLimits = serde_yaml::from_str(text).unwrap();
            let field = limits("here", &read).err().map(|invalid| invalid.field);
            assert_eq!(field.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_limit_of_nothing_is_none() {
        for text in ["requestsPerMinute: 0", "concurrent: 0", "burst: -1", "minute: 1"] {
            assert!(serde_yaml::from_str::<ClientLimits>(text).is_err(), "{text}");
        }
    }
}
