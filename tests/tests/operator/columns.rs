//! What `kubectl get` shows of OllamaServices.

use std::collections::BTreeMap;

use corral_tests::cluster::Kubectl;
use serde_json::json;

use crate::lab::{Lab, eventually};
use crate::replica::{Replica, ready_pods, there};

/// The cells of each row by their columns' names; the first column is the row's name.
fn table(printed: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut lines = printed.lines();
    let header: Vec<char> = lines.next().unwrap_or_default().chars().collect();
    let starts: Vec<_> = (0..header.len())
        .filter(|&at| header[at] != ' ' && (at == 0 || header[at - 1] == ' '))
        .collect();
    let cells = |line: &str| -> Vec<String> {
        let line: Vec<char> = line.chars().collect();
        let ends = starts.iter().skip(1).copied().chain([usize::MAX]);
        let cells = starts.iter().zip(ends).map(|(&start, end)| {
            let end = end.min(line.len());
            line.get(start..end)
                .unwrap_or_default()
                .iter()
                .collect::<String>()
        });
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let names = cells(&header.iter().collect::<String>());
    lines
        .map(|line| {
            let cells = cells(line);
            let row = names.iter().cloned().zip(cells.iter().cloned()).collect();
            (cells[0].clone(), row)
        })
        .collect()
}

#[tokio::test]
async fn columns_tell_how_each_service_is() {
    let lab = Lab::new("columns").await;
    let _operator = lab.operator(&[]).await;
    let models = json!([{"name": "m"}]);
    lab.create("ready", json!({"version": "0.17.4", "models": models}))
        .await;
    lab.create("waiting", json!({"models": models})).await;
    lab.create(
        "failing",
        json!({"auth": {"basic": {"secretRef": {"name": "users"}}}}),
    )
    .await;
    lab.condition("ready", "Available", "False", "Starting").await;
    let replica = Replica::start(&lab, "ready", 1).await;
    replica.models(vec![there("m")]);
    ready_pods(&lab, "ready", 1).await;
    lab.condition("ready", "Ready", "True", "Ready").await;
    lab.condition("waiting", "Ready", "False", "Starting").await;
    lab.condition("failing", "Ready", "False", "SecretMissing").await;

    let kubectl = Kubectl::new(Some(lab.cluster.kubeconfig())).unwrap();
    let get = |more: &[&str]| {
        let arguments = [&["get", "olsvc", "--namespace", &lab.namespace], more].concat();
        table(&kubectl.run(&arguments).unwrap())
    };
    let of = |name: &str, cells: [&str; 5]| {
        let endpoint = format!("http://{name}.{}.svc:11434", lab.namespace);
        let [ready, reason, replicas, models, clients] = cells;
        [
            ("READY", ready.to_owned()),
            ("REASON", reason.to_owned()),
            ("REPLICAS", replicas.to_owned()),
            ("MODELS", models.to_owned()),
            ("ENDPOINT", endpoint),
            ("CLIENTS", clients.to_owned()),
        ]
    };
    let expected = [
        (
            "ready",
            ["True", "Ready", "1", "1/1", "1"],
            "0.17.4",
            "answers; 1 of 1 replicas are ready",
        ),
        (
            "waiting",
            ["False", "Starting", "0", "0/1", "1"],
            "",
            "0 of 1 replicas are ready",
        ),
        (
            "failing",
            ["False", "SecretMissing", "0", "", "0"],
            "",
            "Secret users is missing",
        ),
    ];
    eventually("the columns", || async {
        let (narrow, wide) = (get(&[]), get(&["--output=wide"]));
        let all = || format!("{narrow:#?} {wide:#?}");
        for (name, cells, version, words) in expected {
            let (Some(narrow), Some(wide)) = (narrow.get(name), wide.get(name)) else {
                return Err(all());
            };
            let narrow_columns = ["NAME", "READY", "REASON", "REPLICAS", "MODELS", "ENDPOINT", "AGE"];
            let mut found: Vec<_> = narrow.keys().collect();
            found.sort_by_key(|name| narrow_columns.iter().position(|column| column == name));
            let right = found == narrow_columns
                && !narrow["AGE"].is_empty()
                && wide["VERSION"] == version
                && wide["MESSAGE"].contains(words)
                && of(name, cells).iter().all(|(column, cell)| {
                    wide[*column] == *cell && narrow.get(*column).is_none_or(|found| found == cell)
                });
            if !right {
                return Err(format!("{name}: {}", all()));
            }
        }
        Ok(())
    })
    .await;
}
