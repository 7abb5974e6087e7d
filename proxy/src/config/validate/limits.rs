//! What the types of limits can't say.

use std::num::{NonZeroU32, NonZeroU64};

use super::Invalid;
use crate::config::ClientLimits;

/// Checks the limits of a rule, which stand at `field`.
pub(super) fn limits(field: &str, limits: &ClientLimits) -> Result<(), Invalid> {
    let ClientLimits {
        requests_per_minute,
        burst,
        concurrent,
        tokens_per_minute,
        tokens_per_day,
    } = limits;
    let requests = |limit: &Option<NonZeroU32>| (limit.map(NonZeroU64::from), ClientLimits::MOST_REQUESTS.into());
    for (name, (limit, most)) in [
        ("requestsPerMinute", requests(requests_per_minute)),
        ("burst", requests(burst)),
        ("concurrent", requests(concurrent)),
        ("tokensPerMinute", (*tokens_per_minute, ClientLimits::MOST_TOKENS_PER_MINUTE)),
        ("tokensPerDay", (*tokens_per_day, ClientLimits::MOST_TOKENS_PER_DAY)),
    ] {
        if limit.is_some_and(|limit| limit.get() > most) {
            return Err(Invalid::new(format!("{field}.{name}"), format!("must be 1 to {most}")));
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
            ("{tokensPerMinute: 1000000000, tokensPerDay: 1000000000000}", None),
            ("{tokensPerMinute: 1000000001}", Some("here.tokensPerMinute")),
            ("{tokensPerDay: 1000000000001}", Some("here.tokensPerDay")),
        ];
        for (text, expected) in cases {
            let read: ClientLimits = serde_yaml::from_str(text).unwrap();
            let field = limits("here", &read).err().map(|invalid| invalid.field);
            assert_eq!(field.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_limit_of_nothing_is_none() {
        for text in ["requestsPerMinute: 0", "concurrent: 0", "burst: -1", "tokensPerDay: 0", "minute: 1"] {
            assert!(serde_yaml::from_str::<ClientLimits>(text).is_err(), "{text}");
        }
    }
}
