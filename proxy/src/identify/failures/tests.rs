use super::*;

const HASH: Duration = Duration::from_millis(200);
const SECOND: Duration = Duration::from_secs(1);

fn asker(network: u32, name: u64) -> Asker {
    Asker {
        network: IpAddr::from(network.to_be_bytes()),
        name,
    }
}

/// Wrong passwords of these askers, one after another at the same moment, each in the lane that it is given.
fn failed(askers: impl IntoIterator<Item = Asker>, now: Instant) -> Failures {
    let mut failures = Failures::new(2);
    for asker in askers {
        let lane = failures.lane(asker, now);
        failures.charge(asker, lane, HASH, now);
    }
    failures
}

#[test]
fn who_failed_lately_waits_and_others_do_not() {
    let others = |count| (0..count).map(|network| asker(100 + network, 1));
    let names = |count| (0..count).map(|name| asker(1, 100 + name));
    let mine = asker(1, 1);
    let cases: &[(&str, Vec<Asker>, u64, Lane)] = &[
        ("nobody", vec![], 0, Lane::Prompt),
        ("the same", vec![mine], 0, Lane::Spare),
        (
            "the same, and most of its debt is left",
            vec![mine],
            19,
            Lane::Spare,
        ),
        ("the same, and its debt is paid off", vec![mine], 20, Lane::Prompt),
        ("the same again and again", vec![mine; 1000], 59, Lane::Spare),
        (
            "the same again and again, long ago",
            vec![mine; 1000],
            60,
            Lane::Prompt,
        ),
        (
            "another name at its address",
            vec![asker(1, 2); 1000],
            0,
            Lane::Prompt,
        ),
        (
            "the same name elsewhere",
            vec![asker(2, 1); 1000],
            0,
            Lane::Prompt,
        ),
        ("a few names at its address", names(2).collect(), 0, Lane::Prompt),
        ("many names at its address", names(3).collect(), 0, Lane::Spare),
        (
            "many names at its address, long ago",
            names(3).collect(),
            20,
            Lane::Prompt,
        ),
        ("some addresses", others(20).collect(), 0, Lane::Prompt),
        ("many addresses", others(21).collect(), 0, Lane::Spare),
        (
            "many addresses, a while ago",
            others(21).collect(),
            4,
            Lane::Prompt,
        ),
    ];
    let now = Instant::now();
    for (who_failed, askers, seconds, lane) in cases {
        let failures = failed(askers.iter().copied(), now);
        let later = now + Duration::from_secs(*seconds);
        assert_eq!(
            failures.lane(mine, later),
            *lane,
            "{who_failed} failed {seconds} s ago"
        );
    }
}

/// Processor time that a flood gets in each lane within an hour, with a thread for each that does nothing else.
fn wasted(processors: u32, flood: impl Fn(u32) -> Asker) -> [Duration; 2] {
    let begin = Instant::now();
    let mut failures = Failures::new(processors);
    let mut numbers = 0..;
    [Lane::Prompt, Lane::Spare].map(|lane| {
        let (mut now, mut wasted) = (begin, Duration::ZERO);
        while now < begin + 3600 * SECOND {
            let asker = flood(numbers.next().unwrap_or_default());
            let may = match lane {
                Lane::Prompt => failures.lane(asker, now) == Lane::Prompt,
                Lane::Spare => failures.rest(now).is_zero(),
            };
            now += HASH;
            if may {
                failures.charge(asker, lane, HASH, now);
                wasted += HASH;
            }
        }
        wasted
    })
}

#[test]
fn a_flood_gets_its_burst_and_its_share() {
    /// What a flood is, whose password each attempt is, and how much of a processor the prompt lane may give to it.
    type Case<'case> = (&'case str, fn(u32) -> Asker, f64);
    for processors in [1, 2, 16] {
        let everyone = f64::from(processors) / 32.0;
        let cases: &[Case<'_>] = &[
            ("one name", |_| asker(1, 1), 0.01),
            ("an address", |number| asker(1, number.into()), 0.01),
            ("a name everywhere", |number| asker(number, 1), everyone),
            ("all addresses", |number| asker(number, number.into()), everyone),
        ];
        for (name, flood, share) in cases {
            let [prompt, spare] = wasted(processors, flood);
            let bounds = [(prompt, *share, 4 * SECOND), (spare, everyone.min(1.0), SECOND)];
            for (wasted, share, burst) in bounds {
                let (most, least) = ((3600 * SECOND).mul_f64(share), (3000 * SECOND).mul_f64(share));
                assert!(
                    (least..most + burst + 2 * HASH).contains(&wasted),
                    "{name}, {processors} processors: {wasted:?} instead of {most:?}"
                );
            }
        }
    }
}

#[test]
fn debts_that_are_paid_off_are_forgotten() {
    let begin = Instant::now();
    let mut failures = Failures::new(2);
    for number in 0..10_000 {
        let (asker, now) = (asker(number, number.into()), begin + number * HASH);
        let lane = failures.lane(asker, now);
        failures.charge(asker, lane, HASH, now);
        assert!(failures.paid_off.len() < 300, "{}", failures.paid_off.len());
    }
}
