use super::*;

const HASH: Duration = Duration::from_millis(200);

/// Items that say where they come from, `NETWORK NAME …`.
fn asker(item: &str) -> Asker {
    let mut words = item.split(' ');
    Asker {
        network: words.next().unwrap().parse().unwrap(),
        name: words.next().unwrap().parse().unwrap(),
    }
}

fn lanes_with(items: &[&'static str], now: Instant) -> Lanes<&'static str> {
    let mut lanes = Lanes::new(Failures::new(2));
    for &item in items {
        lanes.enter(asker(item), item, now);
    }
    lanes
}

fn all_of(lanes: &mut Lanes<&'static str>, lane: Lane, now: Instant) -> Vec<&'static str> {
    std::iter::from_fn(|| lanes.next(lane, now))
        .map(|(from, item)| {
            assert_eq!(from, asker(item));
            item
        })
        .collect()
}

#[test]
fn who_has_failed_goes_over_when_it_would_be_its_turn() {
    let now = Instant::now();
    let mut lanes = lanes_with(
        &["10.0.0.1 1 a", "10.0.0.1 1 b", "10.0.0.1 2 c", "10.0.0.2 1 d"],
        now,
    );
    let (first, _) = lanes.next(Lane::Prompt, now).unwrap();
    lanes.failed(first, Lane::Prompt, HASH, now);
    assert_eq!(lanes.enter(first, "10.0.0.1 1 e", now), Lane::Spare);
    assert_eq!(
        all_of(&mut lanes, Lane::Prompt, now),
        ["10.0.0.2 1 d", "10.0.0.1 2 c"]
    );
    assert_eq!(
        all_of(&mut lanes, Lane::Spare, now),
        ["10.0.0.1 1 e", "10.0.0.1 1 b"]
    );
    assert_eq!(lanes.len(), 0);
}

#[test]
fn the_spare_lane_rests_until_what_was_wrong_is_paid_for() {
    let now = Instant::now();
    let mut lanes = lanes_with(&["10.0.0.1 1 a"], now);
    let (first, _) = lanes.next(Lane::Prompt, now).unwrap();
    assert_eq!(lanes.rest(Lane::Spare, now), None, "nothing waits there");
    lanes.failed(first, Lane::Prompt, HASH, now);
    lanes.enter(first, "10.0.0.1 1 b", now);
    assert_eq!(lanes.rest(Lane::Spare, now), Some(Duration::ZERO));
    assert_eq!(lanes.rest(Lane::Prompt, now), None);
    for _ in 0..6 {
        lanes.failed(first, Lane::Spare, HASH, now);
    }
    let rest = lanes.rest(Lane::Spare, now).unwrap();
    assert!(rest > Duration::ZERO);
    assert_eq!(lanes.next(Lane::Spare, now), None);
    assert_eq!(lanes.next(Lane::Prompt, now + rest), None, "that is not its lane");
    assert_eq!(all_of(&mut lanes, Lane::Spare, now + rest), ["10.0.0.1 1 b"]);
}

#[test]
fn who_has_failed_is_turned_away_first() {
    let now = Instant::now();
    let mut lanes = lanes_with(&["10.0.0.1 1 a"], now);
    let (first, _) = lanes.next(Lane::Prompt, now).unwrap();
    lanes.failed(first, Lane::Prompt, HASH, now);
    for item in ["10.0.0.1 1 b", "10.0.0.2 1 c", "10.0.0.2 1 d", "10.0.0.2 1 e"] {
        lanes.enter(asker(item), item, now);
    }
    let shed: Vec<_> = std::iter::from_fn(|| lanes.shed()).collect();
    assert_eq!(
        shed,
        ["10.0.0.1 1 b", "10.0.0.2 1 e", "10.0.0.2 1 d", "10.0.0.2 1 c"]
    );
}

#[test]
fn what_is_not_worth_it_goes_from_both() {
    let now = Instant::now();
    let mut lanes = lanes_with(&["10.0.0.1 1 a", "10.0.0.2 1 b", "10.0.0.2 2 c"], now);
    let (first, _) = lanes.next(Lane::Prompt, now).unwrap();
    lanes.failed(first, Lane::Prompt, HASH, now);
    lanes.enter(first, "10.0.0.1 1 d", now);
    lanes.enter(first, "10.0.0.1 1 e", now);
    lanes.retain(|item| item.ends_with('c') || item.ends_with('e'));
    assert_eq!(all_of(&mut lanes, Lane::Prompt, now), ["10.0.0.2 2 c"]);
    assert_eq!(all_of(&mut lanes, Lane::Spare, now), ["10.0.0.1 1 e"]);
}
