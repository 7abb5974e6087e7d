//! What a client may use of the service, as parts for its replicas.

use std::num::{NonZeroU32, NonZeroU64};

use corral_proxy::config::{AccessRule, ClientLimits};

/// The rules as each of `replicas` proxies has them. They don't know of one another: each holds a client to an equal
/// part of its limits, rounded up, so that none is nothing. Together they may let in a little more than the limit, and a
/// client whose connections all end at one replica gets that one's part.
pub(super) fn of_a_replica(rules: &[AccessRule], replicas: i32) -> Vec<AccessRule> {
    let replicas = u32::try_from(replicas).unwrap_or_default().max(1);
    rules
        .iter()
        .map(|rule| AccessRule {
            limits: rule.limits.as_ref().map(|limits| part(limits, replicas)),
            ..rule.clone()
        })
        .collect()
}

fn part(limits: &ClientLimits, replicas: u32) -> ClientLimits {
    let ClientLimits {
        requests_per_minute,
        burst,
        concurrent,
        tokens_per_minute,
        tokens_per_day,
    } = limits;
    let requests = |limit: &Option<NonZeroU32>| NonZeroU32::new(limit.as_ref()?.get().div_ceil(replicas));
    let tokens =
        |limit: &Option<NonZeroU64>| NonZeroU64::new(limit.as_ref()?.get().div_ceil(replicas.into()));
    ClientLimits {
        requests_per_minute: requests(requests_per_minute),
        burst: requests(burst),
        concurrent: requests(concurrent),
        tokens_per_minute: tokens(tokens_per_minute),
        tokens_per_day: tokens(tokens_per_day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_replica_holds_an_equal_part_rounded_up() {
        let cases = [
            (
                1,
                "{requestsPerMinute: 60, burst: 10, concurrent: 4}",
                "{requestsPerMinute: 60, burst: 10, concurrent: 4}",
            ),
            (0, "{requestsPerMinute: 60}", "{requestsPerMinute: 60}"),
            (
                2,
                "{requestsPerMinute: 60, burst: 10, concurrent: 4}",
                "{requestsPerMinute: 30, burst: 5, concurrent: 2}",
            ),
            (
                3,
                "{requestsPerMinute: 61, burst: 10, concurrent: 4}",
                "{requestsPerMinute: 21, burst: 4, concurrent: 2}",
            ),
            (
                3,
                "{tokensPerMinute: 1000, tokensPerDay: 1000000000000}",
                "{tokensPerMinute: 334, tokensPerDay: 333333333334}",
            ),
            (
                1000,
                "{requestsPerMinute: 60, concurrent: 1}",
                "{requestsPerMinute: 1, concurrent: 1}",
            ),
            (7, "{}", "{}"),
        ];
        for (replicas, of_all, of_one) in cases {
            let parse = |text| serde_yaml::from_str::<ClientLimits>(text).unwrap();
            let rules = [AccessRule {
                limits: Some(parse(of_all)),
                ..AccessRule::default()
            }];
            let parts = of_a_replica(&rules, replicas);
            assert_eq!(parts[0].limits, Some(parse(of_one)), "{replicas}: {of_all}");
        }
    }
}
