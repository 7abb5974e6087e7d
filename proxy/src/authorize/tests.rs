use super::*;
use crate::routes::{Field, Length};
use RouteClass::{Account, Health, Inference, Manage, Read};

fn rule(clients: &[&str], allow: &[RouteClass]) -> AccessRule {
    AccessRule {
        clients: clients.iter().map(|&client| client.into()).collect(),
        allow: allow.to_vec(),
        ..AccessRule::default()
    }
}

fn here() -> ClientAddress {
    ClientAddress::of_test("192.0.2.1")
}

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

fn act(class: RouteClass) -> Act {
    Act {
        class,
        content: Content::Nothing,
        ask: None,
    }
}

#[test]
fn the_first_rule_that_names_the_client_decides() {
    let rules = [
        rule(&["admin"], &[Inference, Read, Manage]),
        rule(&["ci-*", "bot?"], &[Inference]),
        rule(&["ci-2"], &[Manage]),
        rule(&["gone"], &[]),
        rule(&["*-root"], &[Account]),
    ];
    let cases = [
        ("anybody", Inference, true),
        ("anybody", Read, true),
        ("anybody", Health, true),
        ("anybody", Manage, false),
        ("anybody", Account, false),
        ("admin", Manage, true),
        ("admin", Account, false),
        ("Admin", Manage, false),
        ("ci-1", Inference, true),
        ("ci-1", Read, false),
        ("ci-1", Health, true),
        ("ci-2", Manage, false),
        ("xci-1", Read, true),
        ("bots", Read, true),
        ("bot?", Read, false),
        ("gone", Inference, false),
        ("gone", Health, true),
        ("a-root", Account, true),
        ("", Inference, true),
    ];
    let authorizer = Authorizer::new(&rules);
    for (client, class, allowed) in cases {
        let judged = authorizer.judge(&client.into(), &[], here(), &act(class), now());
        assert_eq!(judged.is_ok(), allowed, "{client} {class:?}");
    }
}

#[test]
fn a_rule_is_about_its_clients_and_about_all_who_have_its_groups() {
    let of_groups = |clients: &[&str], groups: &[&str], allow: &[RouteClass]| AccessRule {
        groups: groups.iter().map(|&group| group.into()).collect(),
        ..rule(clients, allow)
    };
    let rules = [
        of_groups(&[], &["blocked"], &[]),
        of_groups(&["admin"], &["team-*", "ops"], &[Inference, Manage]),
        rule(&["alice"], &[Account]),
        of_groups(&[], &["*"], &[Read]),
    ];
    let cases: &[(&str, &str, &[&str], &[RouteClass])] = &[
        ("no rule", "bob", &[], &[Inference, Read]),
        ("by name, without groups", "admin", &[], &[Inference, Manage]),
        ("by group", "bob", &["ops"], &[Inference, Manage]),
        ("by pattern of groups", "bob", &["team-a"], &[Inference, Manage]),
        (
            "by one of several",
            "bob",
            &["x", "y", "ops"],
            &[Inference, Manage],
        ),
        ("by group before by name", "alice", &["ops"], &[Inference, Manage]),
        ("by name before by group", "alice", &["x"], &[Account]),
        ("by any group", "bob", &["x"], &[Read]),
        ("in other letters", "bob", &["Ops"], &[Read]),
        ("as part of a name", "bob", &["dev-team-a"], &[Read]),
        ("shut out by group", "admin", &["ops", "blocked"], &[]),
        ("a client with a group's name", "ops", &[], &[Inference, Read]),
        ("a group with a client's name", "bob", &["admin"], &[Read]),
    ];
    let authorizer = Authorizer::new(&rules);
    for (name, client, groups, allowed) in cases {
        let groups: Vec<_> = groups.iter().map(|&group| group.to_owned()).collect();
        let may = |class: &RouteClass| {
            let judged = authorizer.judge(&(*client).into(), &groups, here(), &act(*class), now());
            judged.is_ok()
        };
        let found: Vec<_> = [Inference, Read, Manage, Account]
            .into_iter()
            .filter(may)
            .collect();
        assert_eq!(found, *allowed, "{name}");
    }
}

#[test]
fn who_needs_no_credential_gets_what_is_said_of_it_by_name() {
    let everyone = || rule(&["*"], &[Inference, Manage, Account]);
    let by_name = rule(&["admin", "anonymous"], &[Read, Manage]);
    let limited = AccessRule {
        models: Some(vec!["llama3".into()]),
        ..everyone()
    };
    let of_every_group = AccessRule {
        groups: vec!["*".into()],
        ..rule(&[], &[Manage])
    };
    let cases: &[(&str, &[AccessRule], &[RouteClass])] = &[
        ("no rule", &[], &[Inference, Read]),
        (
            "a rule of others",
            &[rule(&["admin"], &[Manage])],
            &[Inference, Read],
        ),
        ("by name", &[by_name.clone(), everyone()], &[Read, Manage]),
        ("as everyone", &[everyone()], &[Inference]),
        (
            "as everyone, before it is named",
            &[everyone(), by_name],
            &[Inference],
        ),
        ("as everyone, on certain models", &[limited], &[]),
        ("shut out", &[rule(&["anonymous"], &[])], &[]),
        ("shut out as many are", &[rule(&["a*"], &[])], &[]),
        ("a rule of groups", &[of_every_group], &[Inference, Read]),
    ];
    for (name, rules, allowed) in cases {
        let authorizer = Authorizer::new(rules).with_anonymous(rules, "anonymous");
        let may = |class| {
            let judged = authorizer.judge(&"anonymous".into(), &[], here(), &act_on_a_model(class), now());
            judged.is_ok()
        };
        let found: Vec<_> = [Inference, Read, Manage, Account]
            .into_iter()
            .filter(|class| may(*class))
            .collect();
        assert_eq!(found, *allowed, "{name}");
    }
    let authorizer = Authorizer::new(&[everyone()]).with_anonymous(&[everyone()], "anonymous");
    let judged = authorizer.judge(&"alice".into(), &[], here(), &act(Manage), now());
    assert!(judged.is_ok(), "another client has what the rule says");
}

/// Of which nobody has read what model it is.
fn act_on_a_model(class: RouteClass) -> Act {
    Act {
        content: Content::Named,
        ..act(class)
    }
}

#[test]
fn without_rules_models_are_used_and_not_changed() {
    let authorizer = Authorizer::new(&[]);
    let cases = [
        (Health, true),
        (Read, true),
        (Inference, true),
        (Manage, false),
        (Account, false),
    ];
    for (class, allowed) in cases {
        let judged = authorizer.judge(&"a".into(), &[], here(), &act(class), now());
        assert_eq!(judged.is_ok(), allowed, "{class:?}");
    }
}

#[test]
fn address_and_time_are_judged_before_all_else() {
    let limited = |from: &str, end: &str| AccessRule {
        allowed_cidrs: Some(vec![from.parse().unwrap()]),
        not_after: Some(end.parse().unwrap()),
        ..rule(&["a"], &[Inference])
    };
    let cases = [
        (
            "here and now",
            "192.0.2.0/24",
            "2026-06-01T00:00:01Z",
            Inference,
            None,
        ),
        (
            "elsewhere",
            "10.0.0.0/8",
            "2027-01-01T00:00:00Z",
            Inference,
            Some("address"),
        ),
        (
            "health elsewhere",
            "10.0.0.0/8",
            "2027-01-01T00:00:00Z",
            Health,
            Some("address"),
        ),
        (
            "at the end",
            "192.0.2.0/24",
            "2026-06-01T00:00:00Z",
            Inference,
            Some("expired"),
        ),
        (
            "another offset",
            "192.0.2.0/24",
            "2026-06-01T01:00:00+01:00",
            Inference,
            Some("expired"),
        ),
        (
            "health after the end",
            "192.0.2.0/24",
            "2026-01-01T00:00:00Z",
            Health,
            Some("expired"),
        ),
        (
            "another class",
            "192.0.2.0/24",
            "2027-01-01T00:00:00Z",
            Manage,
            Some("forbidden"),
        ),
    ];
    for (name, from, end, class, expected) in cases {
        // A later rule for the same client doesn't count.
        let authorizer = Authorizer::new(&[limited(from, end), rule(&["*"], &[Inference, Manage])]);
        let judged = authorizer.judge(&"a".into(), &[], here(), &act(class), now());
        assert_eq!(
            judged.err().map(|forbidden| forbidden.cause.name()),
            expected,
            "{name}"
        );
    }
}

#[test]
fn models_are_judged_where_a_rule_names_some() {
    let limited = |models: &[&str], allow: &[RouteClass]| AccessRule {
        models: Some(models.iter().map(|&model| model.into()).collect()),
        ..rule(&["a"], allow)
    };
    let ask = |models: &[&str]| {
        Some(Ask {
            models: models
                .iter()
                .map(|name| CanonicalName::parse(name).unwrap())
                .collect(),
            unloads: false,
        })
    };
    let native = Content::Inference(Field::Prompt);
    let cases = [
        ("one of them", native, ask(&["LLAMA3:latest"]), None),
        ("another", native, ask(&["gemma3"]), Some("model")),
        ("none", native, ask(&[]), Some("model")),
        ("not read", native, None, Some("model")),
        (
            "not read, of the compatible APIs",
            Content::Compatible(Length::MaxTokens),
            None,
            Some("model"),
        ),
        ("in a form", Content::Form, None, Some("model")),
        ("in the path", Content::Path, ask(&["llama3"]), None),
        (
            "another in the path",
            Content::Path,
            ask(&["gemma3"]),
            Some("model"),
        ),
        ("a list of all", Content::Nothing, None, None),
        ("a layer", Content::Blob, None, None),
        ("a copy", Content::Copy, ask(&["llama3", "user/own"]), None),
        (
            "a copy to another",
            Content::Copy,
            ask(&["llama3", "own"]),
            Some("model"),
        ),
    ];
    let authorizer = Authorizer::new(&[limited(&["llama3", "user/*"], &[Inference])]);
    for (name, content, ask, expected) in cases {
        let act = Act {
            class: Inference,
            content,
            ask,
        };
        let judged = authorizer.judge(&"a".into(), &[], here(), &act, now());
        assert_eq!(
            judged.err().map(|forbidden| forbidden.cause.name()),
            expected,
            "{name}"
        );
    }
}

#[test]
fn who_may_not_manage_may_not_unload() {
    let act = |unloads| Act {
        class: Inference,
        content: Content::Inference(Field::Prompt),
        ask: Some(Ask {
            models: vec![],
            unloads,
        }),
    };
    let authorizer = Authorizer::new(&[rule(&["admin"], &[Inference, Manage])]);
    let cases = [
        ("admin", true, true),
        ("user", true, false),
        ("user", false, true),
    ];
    for (client, unloads, allowed) in cases {
        let judged = authorizer.judge(&client.into(), &[], here(), &act(unloads), now());
        assert_eq!(judged.is_ok(), allowed, "{client} {unloads}");
    }
}
