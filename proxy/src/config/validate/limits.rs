//! What the types of limits can't say.

use std::num::{NonZeroU32, NonZeroU64};

use super::Invalid;
use crate::ask::KeepAlive;
use crate::config::{Ceilings, ClientLimits, Timeouts};

/// Checks the limits of a rule, which stand at `field`.
pub(super) fn limits(field: &str, limits: &ClientLimits) -> Result<(), Invalid> {
    let ClientLimits {
        requests_per_minute,
        burst,
        concurrent,
        tokens_per_minute,
        tokens_per_day,
    } = limits;
    let requests =
        |limit: &Option<NonZeroU32>| (limit.map(NonZeroU64::from), ClientLimits::MOST_REQUESTS.into());
    for (name, (limit, most)) in [
        ("requestsPerMinute", requests(requests_per_minute)),
        ("burst", requests(burst)),
        ("concurrent", requests(concurrent)),
        (
            "tokensPerMinute",
            (*tokens_per_minute, ClientLimits::MOST_TOKENS_PER_MINUTE),
        ),
        (
            "tokensPerDay",
            (*tokens_per_day, ClientLimits::MOST_TOKENS_PER_DAY),
        ),
    ] {
        if limit.is_some_and(|limit| limit.get() > most) {
            return Err(Invalid::new(
                format!("{field}.{name}"),
                format!("must be 1 to {most}"),
            ));
        }
    }
    if burst.is_some() && requests_per_minute.is_none() {
        let problem = "goes with requestsPerMinute, which says how fast it comes back";
        return Err(Invalid::new(format!("{field}.burst"), problem));
    }
    Ok(())
}

/// Checks the ceilings of a rule, which stand at `field`.
pub(super) fn ceilings(field: &str, ceilings: &Ceilings) -> Result<(), Invalid> {
    const MOST: u32 = Ceilings::MOST_TOKENS;
    let Ceilings {
        num_ctx,
        num_predict,
        keep_alive,
        on_excess: _,
    } = ceilings;
    for (name, tokens) in [("numCtx", num_ctx), ("numPredict", num_predict)] {
        if tokens.is_some_and(|tokens| tokens.get() > MOST) {
            return Err(Invalid::new(
                format!("{field}.{name}"),
                format!("must be 1 to {MOST}"),
            ));
        }
    }
    let unsigned = |time: &str| !time.starts_with(['-', '+']) && KeepAlive::parse(time).is_some();
    if keep_alive.as_deref().is_some_and(|time| !unsigned(time)) {
        let problem = "must be a time such as 30m or 1h30m";
        return Err(Invalid::new(format!("{field}.keepAlive"), problem));
    }
    Ok(())
}

/// Checks how long the proxy waits.
pub(super) fn timeouts(timeouts: &Timeouts) -> Result<(), Invalid> {
    const MOST: u32 = Timeouts::MOST_SECONDS;
    let Timeouts {
        head_seconds,
        body_idle_seconds,
        connect_seconds,
    } = timeouts;
    let fields = [
        ("headSeconds", head_seconds),
        ("bodyIdleSeconds", body_idle_seconds),
        ("connectSeconds", connect_seconds),
    ];
    match fields.iter().find(|(_, seconds)| !(1..=MOST).contains(*seconds)) {
        None => Ok(()),
        Some((name, _)) => Err(Invalid::new(
            format!("limits.timeouts.{name}"),
            format!("must be 1 to {MOST}"),
        )),
    }
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
    fn ceilings_that_cannot_work_are_named_by_field() {
        let cases = [
            ("{}", None),
            (
                "{numCtx: 1000000000, numPredict: 1, keepAlive: 1h30m, onExcess: Clamp}",
                None,
            ),
            ("{keepAlive: 0s}", None),
            ("{numCtx: 1000000001}", Some("here.numCtx")),
            ("{numPredict: 1000000001}", Some("here.numPredict")),
            ("{keepAlive: \"5\"}", Some("here.keepAlive")),
            ("{keepAlive: -5m}", Some("here.keepAlive")),
            ("{keepAlive: for ever}", Some("here.keepAlive")),
            ("{keepAlive: \"\"}", Some("here.keepAlive")),
        ];
        for (text, expected) in cases {
            let read: Ceilings = serde_yaml::from_str(text).unwrap();
            let field = ceilings("here", &read).err().map(|invalid| invalid.field);
            assert_eq!(field.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_limit_of_nothing_is_none() {
        for text in [
            "requestsPerMinute: 0",
            "concurrent: 0",
            "burst: -1",
            "tokensPerDay: 0",
            "minute: 1",
        ] {
            assert!(serde_yaml::from_str::<ClientLimits>(text).is_err(), "{text}");
        }
    }
}
