use super::*;

fn limits(text: &str) -> Arc<ClientLimits> {
    Arc::new(serde_yaml::from_str(text).unwrap())
}

/// A time that stands still until it is set.
struct Time(Moment);

impl Time {
    /// It begins two minutes before midnight.
    fn new() -> Self {
        Self(Moment {
            instant: Instant::now(),
            time: "2026-11-25T23:58:00Z".parse().unwrap(),
        })
    }

    fn after(&self, millis: u64) -> Moment {
        Moment {
            instant: self.0.instant + Duration::from_millis(millis),
            time: self.0.time + Duration::from_millis(millis),
        }
    }
}

/// A client that asks for tokens.
fn enter(limiter: &Limiter, name: &str, limits: &Arc<ClientLimits>, now: Moment) -> Result<Slot, Excess> {
    let demand = Demand {
        client: &name.into(),
        limits,
        takes_tokens: true,
    };
    limiter.admit(demand, now).map(|(slot, _)| slot)
}

fn standing(limiter: &Limiter, limits: &Arc<ClientLimits>, takes_tokens: bool, now: Moment) -> Standing {
    let demand = Demand {
        client: &"a".into(),
        limits,
        takes_tokens,
    };
    match limiter.admit(demand, now) {
        Ok((_, standing)) => standing,
        Err(excess) => excess.standing(),
    }
}

fn use_tokens(limiter: &Limiter, limits: &ClientLimits, tokens: u64, now: Moment) {
    let client = limiter.client(&"a".into(), now).unwrap();
    client.budget().charge(tokens, limits, now);
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    In,
    /// Over this limit, and when to come again, in milliseconds.
    Over(Overrun, u64),
}

fn came(entered: &Result<Slot, Excess>) -> Came {
    match entered {
        Ok(_) => Came::In,
        Err(Excess::Over { overrun, wait, .. }) => {
            Came::Over(*overrun, u64::try_from(wait.as_millis()).unwrap())
        }
        Err(Excess::Crowded) => panic!("too many clients"),
    }
}

#[test]
fn requests_come_evenly_after_a_burst() {
    use Came::In;
    let over = |wait| Came::Over(Overrun::RequestsPerMinute(60), wait);
    // What it is, the limits, and what becomes of requests at these milliseconds.
    let cases = [
        (
            "a burst, then one a second",
            "{requestsPerMinute: 60, burst: 2}",
            vec![
                (0, In),
                (0, In),
                (0, over(1000)),
                (400, over(600)),
                (1000, In),
                (1000, over(1000)),
                (9000, In),
                (9000, In),
                (9000, over(1000)),
            ],
        ),
        (
            "none at once",
            "{requestsPerMinute: 60, burst: 1}",
            vec![(0, In), (999, over(1)), (1000, In), (1001, over(999))],
        ),
        ("without a limit", "{}", vec![(0, In), (0, In), (0, In)]),
    ];
    for (name, text, requests) in cases {
        let (limiter, time, limits) = (Limiter::default(), Time::new(), limits(text));
        for (index, (millis, expected)) in requests.into_iter().enumerate() {
            let entered = enter(&limiter, "a", &limits, time.after(millis));
            assert_eq!(came(&entered), expected, "{name}: request {index}");
        }
    }
}

#[test]
fn a_minute_has_as_many_requests_as_its_limit_at_once() {
    let (limiter, time, limits) = (Limiter::default(), Time::new(), limits("requestsPerMinute: 90"));
    for _ in 0..90 {
        assert_eq!(came(&enter(&limiter, "a", &limits, time.after(0))), Came::In);
    }
    let over = Came::Over(Overrun::RequestsPerMinute(90), 666);
    assert_eq!(came(&enter(&limiter, "a", &limits, time.after(0))), over);
}

#[test]
fn requests_on_their_way_are_counted_until_they_end() {
    let (limiter, time, limits) = (Limiter::default(), Time::new(), limits("concurrent: 2"));
    let request = || enter(&limiter, "a", &limits, time.after(0));
    let (first, second) = (request().unwrap(), request().unwrap());
    let over = Came::Over(Overrun::Concurrent(2), 1000);
    assert_eq!(came(&request()), over);
    assert_eq!(
        came(&enter(&limiter, "b", &limits, time.after(0))),
        Came::In,
        "another"
    );
    drop(first);
    let third = request().unwrap();
    assert_eq!(came(&request()), over);
    drop((second, third));
    assert_eq!(came(&request()), Came::In);
}

#[test]
fn each_client_has_its_own_whichever_rule_names_it() {
    let (limiter, time, limits) = (Limiter::default(), Time::new(), limits("requestsPerMinute: 1"));
    for (client, expected) in [("a", true), ("b", true), ("a", false), ("b", false), ("c", true)] {
        let entered = enter(&limiter, client, &limits, time.after(0));
        assert_eq!(entered.is_ok(), expected, "{client}");
    }
}

#[test]
fn what_was_used_outlives_a_change_of_other_limits() {
    let cases = [
        ("the same", "requestsPerMinute: 1", false),
        (
            "another limit beside it",
            "{requestsPerMinute: 1, concurrent: 9}",
            false,
        ),
        ("another rate", "requestsPerMinute: 2", true),
        ("another burst", "{requestsPerMinute: 1, burst: 2}", true),
        ("no limit", "{}", true),
    ];
    for (name, text, is_in) in cases {
        let (limiter, time) = (Limiter::default(), Time::new());
        let before = limits("requestsPerMinute: 1");
        assert!(enter(&limiter, "a", &before, time.after(0)).is_ok());
        let entered = enter(&limiter, "a", &limits(text), time.after(0));
        assert_eq!(entered.is_ok(), is_in, "{name}");
    }
}

#[test]
fn a_client_is_told_how_it_stands() {
    let (limiter, time) = (Limiter::default(), Time::new());
    let limits = limits("{requestsPerMinute: 60, burst: 3}");
    let level = |left, wait, reset| {
        Some(Level {
            limit: 60,
            left,
            wait: Duration::from_secs(wait),
            reset: Duration::from_secs(reset),
        })
    };
    let standings = (0..4).map(|_| standing(&limiter, &limits, true, time.after(0)).requests);
    let expected = [level(2, 0, 1), level(1, 0, 2), level(0, 0, 3), level(0, 1, 3)];
    assert!(standings.eq(expected));
}

#[test]
fn what_takes_tokens_waits_for_them() {
    use Came::In;
    let (minute, day) = (Overrun::TokensPerMinute(60), Overrun::TokensPerDay(1000));
    // What it is, the limits, the tokens used at first, and what becomes of a request at a moment.
    let cases = [
        ("some are left", "tokensPerMinute: 60", 59, 0, In),
        (
            "none is left",
            "tokensPerMinute: 60",
            60,
            0,
            Came::Over(minute, 1000),
        ),
        ("one is back", "tokensPerMinute: 60", 60, 1000, In),
        (
            "more than all were used",
            "tokensPerMinute: 60",
            90,
            1000,
            Came::Over(minute, 30_000),
        ),
        ("some are left of the day", "tokensPerDay: 1000", 999, 0, In),
        (
            "none is left of the day",
            "tokensPerDay: 1000",
            1000,
            0,
            Came::Over(day, 120_000),
        ),
        (
            "the day is nearly over",
            "tokensPerDay: 1000",
            5000,
            119_999,
            Came::Over(day, 1),
        ),
        ("the next day", "tokensPerDay: 1000", 5000, 120_000, In),
        (
            "both",
            "{tokensPerMinute: 60, tokensPerDay: 1000}",
            1000,
            0,
            Came::Over(day, 120_000),
        ),
        (
            "a debt that outlives the day",
            "{tokensPerMinute: 60, tokensPerDay: 1000}",
            1000,
            120_000,
            Came::Over(minute, 821_000),
        ),
        ("without limits", "concurrent: 1", 1_000_000, 0, In),
    ];
    for (name, text, tokens, millis, expected) in cases {
        let (limiter, time, limits) = (Limiter::default(), Time::new(), limits(text));
        use_tokens(&limiter, &limits, tokens, time.after(0));
        let entered = enter(&limiter, "a", &limits, time.after(millis));
        assert_eq!(came(&entered), expected, "{name}");
    }
}

#[test]
fn what_takes_no_tokens_needs_none() {
    let (limiter, time, limits) = (Limiter::default(), Time::new(), limits("tokensPerDay: 1"));
    use_tokens(&limiter, &limits, 1, time.after(0));
    assert!(enter(&limiter, "a", &limits, time.after(0)).is_err());
    let demand = Demand {
        client: &"a".into(),
        limits: &limits,
        takes_tokens: false,
    };
    assert!(limiter.admit(demand, time.after(0)).is_ok());
}

#[test]
fn a_client_is_told_of_the_tokens_that_are_fewest() {
    let cases = [
        ("{tokensPerMinute: 60, tokensPerDay: 100}", Some((60, 30))),
        ("{tokensPerMinute: 1000, tokensPerDay: 100}", Some((100, 70))),
        ("tokensPerMinute: 20", Some((20, 0))),
        ("requestsPerMinute: 60", None),
    ];
    for (text, expected) in cases {
        let (limiter, time, limits) = (Limiter::default(), Time::new(), limits(text));
        use_tokens(&limiter, &limits, 30, time.after(0));
        let tokens = standing(&limiter, &limits, true, time.after(0)).tokens;
        assert_eq!(tokens.map(|level| (level.limit, level.left)), expected, "{text}");
    }
}

#[test]
fn a_bill_is_paid_by_who_had_the_slot() {
    let limiter = Limiter::default();
    let (tokens, requests) = (limits("tokensPerDay: 100"), limits("concurrent: 1"));
    assert!(Slot::default().bill().is_none(), "without limits");
    let slot = enter(&limiter, "a", &requests, Moment::now()).unwrap();
    assert!(slot.bill().is_none(), "without limits of tokens");
    drop(slot);
    let bill = enter(&limiter, "a", &tokens, Moment::now())
        .unwrap()
        .bill()
        .unwrap();
    let estimated = true;
    bill.charge(Usage {
        input: 12,
        output: 30,
        estimated,
    });
    assert_eq!(
        standing(&limiter, &tokens, true, Moment::now())
            .tokens
            .unwrap()
            .left,
        58
    );
}

#[test]
fn idle_clients_are_forgotten_and_others_are_not() {
    let (limiter, time, limits) = (Limiter::default(), Time::new(), limits("requestsPerMinute: 60"));
    let remembered = || limiter.remembered.get();
    let held = enter(&limiter, "held", &limits, time.after(0)).unwrap();
    for number in 1..Clients::FEW {
        enter(&limiter, &format!("old-{number}"), &limits, time.after(0)).unwrap();
    }
    enter(&limiter, "busy", &limits, time.after(59_500)).unwrap();
    assert_eq!(remembered(), 2, "the one on its way and the new one");
    enter(&limiter, "busy", &limits, time.after(59_500)).unwrap();
    for number in 2..Clients::FEW {
        enter(&limiter, &format!("new-{number}"), &limits, time.after(60_000)).unwrap();
    }
    assert_eq!(remembered() as usize, Clients::FEW);
    enter(&limiter, "last", &limits, time.after(60_800)).unwrap();
    assert_eq!(
        remembered() as usize,
        Clients::FEW + 1,
        "all have used something this second"
    );
    enter(&limiter, "later", &limits, time.after(200_000)).unwrap();
    assert_eq!(
        remembered() as usize,
        Clients::FEW + 2,
        "not looked through before there are twice as many"
    );
    drop(held);
}

#[test]
fn too_many_busy_clients_are_refused_not_forgotten() {
    let mut clients = Clients::default();
    let now = Moment::now();
    let busy: Vec<_> = (0..Clients::MOST)
        .map(|number| clients.open(&number.to_string().into(), now).unwrap())
        .collect();
    assert!(clients.open(&"one more".into(), now).is_none());
    assert!(clients.open(&"7".into(), now).is_some(), "a known one");
    drop(busy);
    let later = Moment {
        instant: now.instant + Clients::SWEEP_PAUSE,
        ..now
    };
    assert!(clients.open(&"one more".into(), later).is_some());
    assert_eq!(clients.by_name.len(), 1);
}
