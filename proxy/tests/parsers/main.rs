//! The parsers of all that comes from outside, with inputs by chance: near what is accepted, so that both sides of each
//! line are reached.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a property that doesn't hold fails"
)]

mod inputs;
mod properties;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use inputs::{
    answers, bodies, ceilings, configurations, credential_files, headers, names, responses, targets,
    token_keys as key_files, tokens,
};
use properties::{
    answer, body, ceiling, configuration, credential, credential_file, model, response, target, token,
    token_keys,
};

proptest! {
    #[test]
    fn a_target_is_forwarded_as_it_came_or_not_at_all(data in targets()) {
        target::check(&data);
    }

    #[test]
    fn a_models_name_has_one_form(data in names()) {
        model::check(&data);
    }

    #[test]
    fn nobody_is_let_in_but_by_one_good_credential(data in headers()) {
        credential::check(&data);
    }

    #[test]
    fn a_credential_file_is_read_whole_or_not_at_all(data in credential_files()) {
        credential_file::check(&data);
    }

    #[test]
    fn a_body_has_one_reading(data in bodies()) {
        body::check(&data);
    }

    #[test]
    fn a_body_asks_for_no_more_than_it_may(data in ceilings()) {
        ceiling::check(&data);
    }

    #[test]
    fn an_answer_is_counted_the_same_however_it_is_cut(data in answers()) {
        answer::check(&data);
    }

    #[test]
    fn a_response_is_read_the_same_however_it_is_cut(data in responses()) {
        response::check(&data);
    }

    #[test]
    fn a_configuration_is_what_would_be_written(data in configurations()) {
        configuration::check(&data);
    }

    #[test]
    fn a_token_lets_in_whom_it_names_or_nobody(data in tokens()) {
        token::check(&data);
    }

    #[test]
    fn the_keys_of_an_issuer_are_read_whole_or_not_at_all(data in key_files()) {
        token_keys::check(&data);
    }

    #[test]
    fn no_bytes_at_all_break_a_parser(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let properties: [fn(&[u8]); 11] = [
            target::check, model::check, credential::check, credential_file::check, body::check, ceiling::check,
            answer::check, configuration::check, token::check, token_keys::check, response::check,
        ];
        for check in properties {
            check(&data);
        }
    }

    /// What a user sends is what is compared, to the byte.
    #[test]
    fn a_name_and_password_arrive_as_they_are_sent(name in "[a-z]{1,8}", password in "[ -~]{1,20}") {
        let sent = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
        credential::check(&[&[0], sent.as_bytes()].concat());
    }

    /// Keys and their owners come out of a file as they went in.
    #[test]
    fn keys_are_read_as_they_were_written(
        owners in prop::collection::btree_map("[a-z]{1,8}", "[!-+;-~.-9]{8,40}", 1..6),
    ) {
        let distinct: std::collections::BTreeSet<_> = owners.values().collect();
        prop_assume!(distinct.len() == owners.len() && owners.values().all(|key| !key.contains(',')));
        let file: String = owners.iter().map(|(name, key)| format!("{name} : {key}\n")).collect();
        let entries = corral_proxy::digest::Entries::from([("keys".to_owned(), file.into_bytes())]);
        let kind = corral_proxy::credentials::CredentialKind::ApiKeys;
        let parsed = corral_proxy::credentials::parse(kind, Some("keys"), &entries).unwrap();
        prop_assert!(parsed.clients().into_iter().eq(owners.keys()));
    }
}

#[test]
fn the_lines_of_configurations_are_good() {
    let file = inputs::OF_CONFIGURATION.join("\n");
    let config: corral_proxy::config::Config = serde_yaml::from_str(&file).unwrap();
    corral_proxy::config::validate::validate(&config).unwrap();
}

#[test]
fn a_body_may_hold_what_only_go_can_read() {
    for body in [
        r#"2{"messages":[{"\ude00":"a"}]}"#,
        r#"2{"messages":[1e400],"model":"a"}"#,
    ] {
        body::check(body.as_bytes());
    }
}

#[test]
fn nothing_stands_behind_the_space_behind_a_chunks_size() {
    let head = "2HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in ["1\r\na\r\n0 7: y\r\n\r\n", "1 1\r\na\r\n0\r\n\r\n"] {
        response::check(format!("{head}{body}").as_bytes());
    }
}

#[test]
fn trailers_of_a_response_end_unread() {
    for trailer in [":X y", "X : y", "X", "X: \u{1}", "0"] {
        let head = "2HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        response::check(format!("{head}1\r\na\r\n0\r\n{trailer}\r\n\r\n").as_bytes());
    }
}

#[test]
fn a_stream_of_ollamas_is_counted() {
    let body = b"{\"model\":\"gemma3\",\"done\":true,\"prompt_eval_count\":12,\"eval_count\":3}\n";
    let read = answer::read("/api/chat", "application/x-ndjson", [&body[..]]);
    assert_eq!(read, (12, 3, false, Some("gemma3".to_owned()), 0));
}
