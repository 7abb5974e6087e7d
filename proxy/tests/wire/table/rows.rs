//! The attacks, and the tests that try them.

use super::Proof::{Measured, Tests};
use super::{Proof, Row, Section};

const FRAMING: &str = "tests/wire/attack/framing.rs";
const BODIES: &str = "tests/wire/attack/bodies.rs";
const HEADS: &str = "tests/wire/attack/heads.rs";
const TARGET: &str = "tests/wire/attack/target.rs";
const HEADERS: &str = "tests/wire/headers.rs";
const ADDRESSES: &str = "tests/wire/addresses.rs";
const BASIC: &str = "tests/wire/basic.rs";
const BASIC_FILES: &str = "tests/wire/basic/files.rs";
const VERIFIER: &str = "src/identify/verifier/tests.rs";
const POLICY: &str = "tests/wire/policy.rs";
const MANAGE: &str = "tests/wire/manage.rs";
const PATIENCE: &str = "tests/wire/patience.rs";
const STALLED: &str = "tests/wire/stalled.rs";
const STREAM: &str = "tests/wire/stream.rs";
const HTTP_2: &str = "tests/wire/http2.rs";
const HTTP_2_ATTACK: &str = "tests/wire/http2/attack.rs";
const HTTP_2_FLOOD: &str = "tests/wire/http2/flood.rs";
const HTTP_2_MALFORMED: &str = "tests/wire/http2/malformed.rs";
const H2SPEC: &str = "../tests/tests/http2.rs";
const LEAKS: &str = "tests/wire/leaks.rs";
const LEAKS_CERTIFICATES: &str = "tests/wire/leaks/certificates.rs";
const SAME_ANSWER: &str = "tests/wire/leaks/same_answer.rs";
const SET: &str = "src/credentials/set/tests.rs";
const TOKENS: &str = "tests/wire/tokens.rs";
const TOKEN_ATTACKS: &str = "tests/wire/tokens/attack.rs";
const TOKENS_UNIT: &str = "src/jwt/tests/tokens.rs";
const CLAIMS_UNIT: &str = "src/jwt/tests/claims.rs";
const COMPACT: &str = "src/jwt/compact.rs";
const WYCHEPROOF: &str = "src/jwt/tests/wycheproof.rs";
const PUBLISHED: &str = "tests/wire/tokens/published.rs";

const fn row(number: u8, attack: &'static str, known_as: &'static str, proof: Proof) -> Row {
    Row {
        number,
        attack,
        known_as,
        proof,
    }
}

#[rustfmt::skip] // one attack a line
pub(super) const SECTIONS: &[Section] = &[
    Section { title: "Where a message ends", rows: &[
        row(1, "A `Content-Length` before `Transfer-Encoding`", "", Tests(&[(FRAMING, "row_01_a_length_before_an_encoding")])),
        row(2, "A `Content-Length` behind `Transfer-Encoding`", "", Tests(&[(FRAMING, "row_02_a_length_behind_an_encoding")])),
        row(3, "Two lengths that differ", "", Tests(&[(FRAMING, "row_03_two_lengths")])),
        row(4, "A length with a plus before it", "CVE-2021-32715", Tests(&[(FRAMING, "row_04_a_length_with_a_plus")])),
        row(5, "A list of lengths in one header", "", Tests(&[(FRAMING, "row_05_a_list_of_lengths")])),
        row(6, "A length that is negative, hexadecimal, octal, no number or too large for one", "", Tests(&[(FRAMING, "row_06_a_length_that_is_no_number")])),
        row(7, "Several `Transfer-Encoding` headers", "RUSTSEC-2021-0020", Tests(&[(FRAMING, "row_07_several_encodings")])),
        row(8, "An encoding that only some readers take for `chunked`", "", Tests(&[(FRAMING, "row_08_a_disguised_encoding")])),
        row(9, "`chunked` that isn't the last encoding", "", Tests(&[(FRAMING, "row_09_chunked_is_not_the_last_encoding")])),
        row(10, "An encoding, or a body without a length, in HTTP/1.0", "CVE-2026-2835", Tests(&[(FRAMING, "row_10_http_1_0")])),
        row(11, "An upgrade, and another request behind it", "CVE-2026-2833", Tests(&[(FRAMING, "row_11_an_upgrade_and_another_request")])),
        row(12, "A request as the body of one that is refused before its body has come", "CVE-2025-4366", Tests(&[(BODIES, "row_12_a_body_behind_a_refusal"), (STREAM, "a_refusal_reaches_a_client_that_is_still_sending")])),
        row(13, "`Expect: 100-continue`, and what looks like it", "", Tests(&[(BODIES, "row_13_expect")])),
        row(14, "Chunks whose lines end in a bare line feed", "", Tests(&[(BODIES, "row_14_chunks_with_bare_line_feeds")])),
        row(15, "A chunk size that overflows, has a prefix, or an extension without end", "", Tests(&[(BODIES, "row_15_a_chunk_size_that_is_none")])),
        row(16, "A body that ends early", "", Tests(&[(BODIES, "row_16_a_body_that_ends_early")])),
        row(17, "Credentials and framing in trailers", "", Tests(&[(BODIES, "row_17_trailers")])),
        row(18, "Folded header lines", "", Tests(&[(HEADS, "row_18_folded_lines")])),
        row(19, "Space between a header's name and its colon", "", Tests(&[(HEADS, "row_19_space_before_a_colon")])),
        row(20, "Bare carriage returns, NUL and other bytes that a head can't have", "", Tests(&[(HEADS, "row_20_control_characters_and_malformed_lines")])),
        row(21, "A body where a method has none: GET, HEAD, OPTIONS, DELETE", "", Tests(&[(BODIES, "row_21_bodies_where_none_is_expected")])),
    ] },
    Section { title: "What a message asks for", rows: &[
        row(22, "A whole URL as the target, with another host than `Host`", "", Tests(&[(TARGET, "row_22_absolute_form")])),
        row(23, "No Host, two, or one with more than a host in it", "", Tests(&[(TARGET, "row_23_hosts")])),
        row(24, "CONNECT, TRACE, and the target `*`", "", Tests(&[(TARGET, "row_24_connect_trace_and_the_asterisk")])),
        row(25, "An encoded slash", "CVE-2021-29492", Tests(&[(TARGET, "row_25_encoded_slashes")])),
        row(26, "Several slashes in a row", "CVE-2021-29492", Tests(&[(TARGET, "row_26_empty_segments")])),
        row(27, "Segments that lead up", "CVE-2019-9901", Tests(&[(TARGET, "row_27_dot_segments")])),
        row(28, "Encoded segments that lead up", "", Tests(&[(TARGET, "row_28_encoded_dots")])),
        row(29, "Parameters of a segment", "", Tests(&[(TARGET, "row_29_parameters_of_segments")])),
        row(30, "Backslashes", "", Tests(&[(TARGET, "row_30_backslashes")])),
        row(31, "A path in other letters", "", Tests(&[(TARGET, "row_31_another_case")])),
        row(32, "A slash at the end", "", Tests(&[(TARGET, "row_32_a_slash_at_the_end")])),
        row(33, "A fragment, plain and encoded", "CVE-2026-41059", Tests(&[(TARGET, "row_33_fragments")])),
        row(34, "A query that reads like an open path", "GHSA-7rh7-c77v-6434", Tests(&[(TARGET, "row_34_a_query_that_looks_like_a_path")])),
        row(35, "Debug endpoints of Ollama's runtime, and the proxy's own", "", Tests(&[(TARGET, "row_35_what_is_no_route_of_ollamas")])),
        row(36, "Another method, in the line or by a header", "", Tests(&[(TARGET, "row_36_methods")])),
        row(37, "Overlong UTF-8, encoded NUL and line ends", "", Tests(&[(TARGET, "row_37_bytes_that_a_path_can_not_have"), (MANAGE, "s12_no_spelling_of_a_path_opens_it"), (TARGET, "without_a_credential_every_target_gets_the_same_answer")])),
    ] },
    Section { title: "Headers", rows: &[
        row(38, "`Connection` names the credential", "", Tests(&[(HEADERS, "row_38_a_credential_that_is_called_hop_by_hop")])),
        row(39, "`Connection` names what the proxy says of the client", "CVE-2024-45410, CVE-2025-48865", Tests(&[(HEADERS, "row_39_an_identity_that_is_called_hop_by_hop")])),
        row(40, "Underscores for hyphens", "CVE-2025-64484, CVE-2026-39858", Tests(&[(HEADERS, "row_40_underscores_for_hyphens")])),
        row(41, "A header that names another target", "CVE-2026-40575", Tests(&[(HEADERS, "row_41_a_spoofed_target")])),
        row(42, "The User-Agent of a health check", "GHSA-5hvv-m4w4-gf6v", Tests(&[(HEADERS, "row_42_the_name_of_a_health_check")])),
        row(43, "Two credentials, in both orders", "", Tests(&[(HEADERS, "row_43_two_credentials")])),
        row(44, "Credentials joined by commas, behind tabs, without a token, in other spellings", "", Tests(&[(HEADERS, "row_44_spellings_of_a_credential")])),
        row(45, "Headers that claim an identity", "", Tests(&[(HEADERS, "row_45_identities_that_a_client_claims")])),
        row(46, "A credential that is passed on", "", Tests(&[(HEADERS, "row_46_no_credential_is_forwarded")])),
        row(47, "A foreign Host", "", Tests(&[(HEADERS, "row_47_the_host_that_ollama_sees")])),
        row(48, "`X-Forwarded-For` of a peer that isn't trusted, and addresses mapped into IPv6", "", Tests(&[(ADDRESSES, "s6_only_allowed_addresses_may_call"), (ADDRESSES, "s6_https_before_a_trusted_proxy_is_told_on")])),
    ] },
    Section { title: "Users and passwords", rows: &[
        row(49, "Passwords that share their first 72 bytes", "CVE-2025-22228", Tests(&[(BASIC, "row_49_passwords_that_share_72_bytes")])),
        row(50, "Names and passwords of more than 255 bytes", "GHSA-5wg4-74h6-q47v", Tests(&[(BASIC, "row_50_passwords_of_more_than_255_bytes")])),
        row(51, "NUL in a password", "", Tests(&[(BASIC, "row_51_nul_in_a_password")])),
        row(52, "Colons in a password", "", Tests(&[(BASIC, "row_52_colons")])),
        row(53, "One letter in two forms of Unicode, or in Latin-1", "", Tests(&[(BASIC, "row_53_unicode_forms")])),
        row(54, "Base64 that only lenient decoders take", "", Tests(&[(BASIC, "row_54_base64_that_is_none")])),
        row(55, "The time that an unknown user takes", "CVE-2026-27480, CVE-2026-40263", Tests(&[(BASIC, "row_55_an_unknown_user_is_hashed_for"), (VERIFIER, "a_slow_hash_runs_once_for_a_credential_right_or_wrong")])),
        row(56, "A flood of wrong passwords against slow hashes", "", Tests(&[(BASIC, "row_56_a_flood_of_wrong_passwords"), (BASIC, "row_56_a_flood_waits_for_itself"), (VERIFIER, "a_flood_of_wrong_passwords_is_bounded_and_leaves_those_alone_who_are_in"), (VERIFIER, "a_flood_from_one_address_lets_others_in_soon")])),
        row(57, "A bcrypt cost of 31, malformed lines, files from Windows", "", Tests(&[(BASIC_FILES, "row_57_files_with_faults")])),
        row(58, "The versions of bcrypt's hashes", "", Tests(&[(BASIC_FILES, "row_58_versions_of_bcrypt")])),
        row(59, "A file without users", "", Tests(&[(BASIC_FILES, "row_59_a_file_without_users_denies_all")])),
        row(60, "A stream that goes on after its password was changed", "", Tests(&[(BASIC_FILES, "row_60_a_password_that_is_changed_in_mid_stream")])),
    ] },
    Section { title: "Tokens", rows: &[
        row(61, "The vectors of Wycheproof for JWS and JWK", "", Tests(&[(WYCHEPROOF, "every_signature_vector_is_judged"), (WYCHEPROOF, "every_key_vector_is_judged")])),
        row(62, "No algorithm", "", Tests(&[(TOKEN_ATTACKS, "row_62_no_algorithm"), (TOKENS_UNIT, "what_a_token_says_of_its_own_check_is_not_believed")])),
        row(63, "A public key taken for a shared secret", "", Tests(&[(TOKEN_ATTACKS, "row_63_a_public_key_as_a_secret"), (TOKENS_UNIT, "each_algorithm_lets_in_by_its_own_key_alone")])),
        row(64, "A key, or the address of one, in the token itself", "", Tests(&[(TOKEN_ATTACKS, "row_64_keys_in_the_token_itself")])),
        row(65, "A key id that is a path, or that two keys have", "", Tests(&[(TOKEN_ATTACKS, "row_65_key_ids_that_lead_astray"), (TOKENS_UNIT, "the_key_is_found_by_its_name_or_among_all")])),
        row(66, "Times that are strings", "CVE-2026-25537", Tests(&[(TOKEN_ATTACKS, "row_66_times_that_are_no_numbers"), (CLAIMS_UNIT, "claims_are_what_is_asked_for")])),
        row(67, "No expiry, audience or issuer, or other forms of them", "", Tests(&[(TOKEN_ATTACKS, "row_67_claims_that_are_missing_or_others")])),
        row(68, "Keys that are replaced, and a flood of unknown key ids", "", Tests(&[(PUBLISHED, "row_68_keys_that_are_replaced_and_a_flood_of_unknown_ids"), (TOKENS, "s5_keys_are_replaced_without_a_restart")])),
        row(69, "Critical extensions, unencoded payloads, tokens without end", "", Tests(&[(TOKEN_ATTACKS, "row_69_extensions_and_tokens_without_end"), (COMPACT, "a_header_is_read_or_refused")])),
    ] },
    Section { title: "What a client may", rows: &[
        row(70, "A model's name that Ollama reads otherwise", "", Tests(&[(POLICY, "a_client_uses_the_models_of_its_rule_only"), (POLICY, "bodies_arrive_byte_for_byte")])),
        row(71, "Each route that changes models, with a credential for inference", "CVE-2024-37032, CVE-2024-39719 to 39722", Tests(&[(MANAGE, "s12_only_manage_clients_change_models")])),
        row(72, "Compressed bodies", "", Tests(&[(POLICY, "bodies_that_are_compressed_are_not_judged")])),
        row(73, "A body over its limit", "", Tests(&[(POLICY, "a_body_over_its_limit_is_refused_unread")])),
        row(74, "A prompt of nothing that unloads a model", "", Tests(&[(POLICY, "unloading_is_a_change")])),
    ] },
    Section { title: "Taking all there is", rows: &[
        row(75, "Heads that come slowly", "", Tests(&[(PATIENCE, "slow_heads_and_unused_connections_are_closed"), (PATIENCE, "row_75_half_heads_and_unused_connections_of_http_2_are_closed")])),
        row(76, "Bodies that come slowly", "", Tests(&[(STREAM, "row_76_slow_bodies_hold_up_nobody"), (PATIENCE, "a_slow_upload_is_waited_for"), (STALLED, "row_76_a_body_that_stops_is_answered_and_given_up"), (STALLED, "row_76_an_answer_to_a_body_that_stops_is_cut"), (STALLED, "row_76_a_stream_whose_body_stops_ends_alone"), (STALLED, "row_76_bodies_that_stop_give_their_memory_back")])),
        row(77, "A client that doesn't read", "", Tests(&[(STREAM, "a_client_that_reads_nothing_stalls_the_upstream_in_flat_memory"), (HTTP_2_FLOOD, "row_77_streams_that_nobody_reads")])),
        row(78, "Many headers, and large ones", "", Tests(&[(HEADS, "row_78_heads_that_are_too_large")])),
        row(79, "A huge upload", "", Tests(&[(STREAM, "an_upload_streams_in_flat_memory"), (HTTP_2, "row_79_an_upload_larger_than_all_windows")])),
    ] },
    Section { title: "HTTP/2", rows: &[
        row(80, "Streams that are reset as soon as they are opened", "CVE-2023-44487", Tests(&[(HTTP_2_ATTACK, "row_80_rapid_reset"), (HTTP_2_ATTACK, "row_80_requests_that_are_reset_once_they_are_forwarded"), (HTTP_2_ATTACK, "more_streams_than_allowed_are_refused_and_the_others_served")])),
        row(81, "Header blocks without end", "CVE-2024-27316", Tests(&[(HTTP_2_FLOOD, "row_81_a_head_without_end"), (HTTP_2_FLOOD, "row_81_a_small_block_that_becomes_a_large_head"), (HTTP_2_FLOOD, "frames_without_end_are_not_kept")])),
        row(82, "Streams that the server is made to reset", "CVE-2025-8671", Tests(&[(HTTP_2_ATTACK, "row_82_made_you_reset")])),
        row(83, "h2spec, all of it", "", Tests(&[(H2SPEC, "h2spec_finds_no_fault")])),
        row(84, "What HTTP/2 lets pass and HTTP/1.1 reads otherwise", "", Tests(&[(HTTP_2_MALFORMED, "row_84_heads_that_http_1_would_read_otherwise"), (HTTP_2_MALFORMED, "row_84_bodies_that_contradict_their_head")])),
    ] },
    Section { title: "What gets out", rows: &[
        row(85, "Secrets in logs at any level, in metrics, status, faults or on the screen", "", Tests(&[(LEAKS, "row_85_no_secret_is_in_any_log_metric_or_status"), (LEAKS, "row_85_what_breaks_is_not_repeated"), (LEAKS, "row_85_a_malformed_credential_file_is_not_repeated"), (SET, "nothing_secret_is_printed")])),
        row(86, "An answer that tells why somebody isn't let in", "", Tests(&[(SAME_ANSWER, "row_86_the_same_401_for_every_cause"), (SAME_ANSWER, "row_86_the_same_401_when_credentials_change"), (LEAKS_CERTIFICATES, "row_86_the_same_401_for_every_certificate")])),
        row(87, "The time that a comparison of keys takes", "", Measured("benches/timing/main.rs", "make bench-timing")),
    ] },
];
