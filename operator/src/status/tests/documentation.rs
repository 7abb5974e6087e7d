//! docs/operations.md lists every condition and reason that the modules of the status write.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Words that these modules read in objects of Kubernetes, or write elsewhere than in conditions and events.
const OF_OTHERS: [&str; 35] = [
    "Accepted",
    "Bound",
    "ContainersReady",
    "ControllerResizeError",
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "Error",
    "Failed",
    "False",
    "ImagePullBackOff",
    "InvalidImageName",
    "Issuing",
    "Loading",
    "Lost",
    "Making",
    "Models",
    "NodeResizeError",
    "Pending",
    "PodReadyToStartContainers",
    "PodSandboxNotReady",
    "PodScheduled",
    "ReadinessGatesNotReady",
    "ReplicaFailure",
    "ResolvedRefs",
    "RunContainerError",
    "ScalingActive",
    "ScalingDisabled",
    "Secret",
    "Succeeded",
    "True",
    "Unknown",
    "Upgrade",
];

#[test]
fn every_condition_and_reason_is_documented() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut written = words(&fs::read_to_string(source.join("status.rs")).unwrap());
    for file in fs::read_dir(source.join("status")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            written.extend(words(&fs::read_to_string(path).unwrap()));
        }
    }
    let others: BTreeSet<_> = OF_OTHERS.map(str::to_owned).into();
    let idle: Vec<_> = others.difference(&written).collect();
    assert!(idle.is_empty(), "nothing reads {idle:?} any more");
    let written: BTreeSet<_> = written.difference(&others).cloned().collect();
    assert_eq!(documented(), written);
}

/// The first column of the tables.
fn documented() -> BTreeSet<String> {
    let (_, section) = include_str!("../../../../docs/operations.md")
        .split_once("## What the status says")
        .unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned()))
        .collect()
}

/// The literals of a module, without its tests, that are one word as reasons are.
fn words(module: &str) -> BTreeSet<String> {
    let code = module
        .split_once("#[cfg(test)]\nmod tests {")
        .map_or(module, |(code, _)| code);
    let is_reason = |word: &&str| {
        word.starts_with(|first: char| first.is_ascii_uppercase())
            && word.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    let lines = code.lines().flat_map(|line| line.split('"'));
    lines.filter(is_reason).map(str::to_owned).collect()
}
