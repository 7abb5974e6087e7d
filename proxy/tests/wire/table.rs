//! Every attack that is known has a test: docs/security-tests.md is written from this table, and neither can name a test
//! that isn't there.
//!
//! `UPDATE_GOLDEN=1 cargo test -p corral-proxy --test wire table` writes the document anew.

mod rows;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use rows::SECTIONS;

/// Attacks of one kind.
struct Section {
    title: &'static str,
    rows: &'static [Row],
}

/// An attack.
struct Row {
    number: u8,
    /// In our own words.
    attack: &'static str,
    /// What others call it: advisories of software that had the fault.
    known_as: &'static str,
    proof: Proof,
}

/// What shows that it fails.
enum Proof {
    /// Each is a file of the crate and the name of a test in it.
    Tests(&'static [(&'static str, &'static str)]),
    /// A figure, which no test can judge on a busy machine: the file of the crate that measures it, and the command.
    Measured(&'static str, &'static str),
}

const INTRODUCTION: &str = "\
# Attacks and their tests
Each row is an attack on the proxy, and the tests that try it over real sockets, in as many variations as the linked code
lists. The backend of these tests keeps every byte that arrives. Whatever is sent: nothing unauthenticated arrives there, what
arrives can be read in one way only, its count is what the answers say, and the next valid request succeeds. The advisories
are of other software that had the fault.

This page is written by `UPDATE_GOLDEN=1 cargo test -p corral-proxy --test wire table` from
[the table](../proxy/tests/wire/table/rows.rs); a test fails when a row has no test or names one that doesn't exist.
";

fn crate_path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn rows() -> impl Iterator<Item = &'static Row> {
    SECTIONS.iter().flat_map(|section| section.rows)
}

fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    for Section { title, rows } in SECTIONS {
        writeln!(
            text,
            "\n## {title}\n| | attack | known as | tests |\n|---|---|---|---|"
        )
        .unwrap();
        for row in *rows {
            writeln!(text, "{}", line(row)).unwrap();
        }
    }
    text
}

fn line(row: &Row) -> String {
    let Row {
        number,
        attack,
        known_as,
        proof,
    } = row;
    let proof = match proof {
        Proof::Measured(file, command) => {
            format!("[`{command}`](../proxy/{file}), [the figure](security.md#the-time-of-a-check)")
        }
        Proof::Tests(tests) => {
            let links = tests
                .iter()
                .map(|(file, name)| format!("[{name}](../proxy/{file})"));
            links.collect::<Vec<_>>().join(", ")
        }
    };
    format!("| {number} | {attack} | {known_as} | {proof} |")
}

/// Whether a source has a test of that name.
fn has_test(source: &str, name: &str) -> bool {
    let Some(at) = source.find(&format!("fn {name}(")) else {
        return false;
    };
    let block = source[..at].rsplit("\n\n").next().unwrap_or_default();
    block.contains("#[test]") || block.contains("#[tokio::test")
}

/// The names of all tests that say by their name which row they are of, in all files under a folder.
fn tests_of_rows(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_of_rows(&path, found);
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let functions = source
            .lines()
            .map(|line| line.strip_prefix("async ").unwrap_or(line));
        let names = functions.filter_map(|line| line.strip_prefix("fn row_"));
        found.extend(names.filter_map(|name| Some(format!("row_{}", name.split_once('(')?.0))));
    }
}

fn check_tests(row: &Row, tests: &[(&str, &str)]) {
    let number = row.number;
    assert!(!tests.is_empty(), "{number} has no test");
    for (file, name) in tests {
        let source = fs::read_to_string(crate_path(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(has_test(&source, name), "{number}: no test {name} in {file}");
    }
}

#[test]
fn each_row_has_tests_and_each_test_exists() {
    for (number, row) in (1..).zip(rows()) {
        assert_eq!(row.number, number, "{}", row.attack);
        match row.proof {
            Proof::Tests(tests) => check_tests(row, tests),
            Proof::Measured(file, _) => assert!(crate_path(file).is_file(), "{number}: no {file}"),
        }
    }
    assert_eq!(rows().count(), 87);
}

#[test]
fn each_test_that_names_its_row_is_in_the_table() {
    let mut found = BTreeSet::new();
    tests_of_rows(&crate_path("tests"), &mut found);
    assert!(found.len() > 50, "{found:?}");
    for name in found {
        let number = name["row_".len()..].split('_').next().unwrap();
        let row = rows().find(|row| row.number.to_string() == number.trim_start_matches('0'));
        let row = row.unwrap_or_else(|| panic!("no row of {name}"));
        let Proof::Tests(tests) = row.proof else {
            panic!("{name} exists, and its row has no test")
        };
        assert!(tests.iter().any(|(_, test)| *test == name), "{name} is in no row");
    }
}

#[test]
fn the_document_is_current() {
    let path = crate_path("../docs/security-tests.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, document()).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == document(),
        "UPDATE_GOLDEN=1 cargo test -p corral-proxy --test wire table writes it anew"
    );
}
