//! What the status says of models, and what of it is told.

use super::*;

/// A service that wants the model `m`, and what its replicas say of it.
fn case(spec: &Value, reports: Vec<Vec<ModelStatus>>) -> Case {
    let mut spec = spec.clone();
    spec["name"] = "m".into();
    Case {
        spec: json!({"models": [spec]}),
        replicas: reports
            .into_iter()
            .map(|report| replica(|says| says.models = report))
            .collect(),
        ..Case::default()
    }
}

fn there(digest: &str) -> Vec<ModelStatus> {
    let mut models = model(ModelState::Ready, None);
    models[0].digest = Some(digest.to_owned());
    models
}

fn of_other_digest(digest: &str) -> Vec<ModelStatus> {
    let mut models = model(ModelState::Failed, Some("its digest is another"));
    models[0].digest = Some(digest.to_owned());
    models
}

fn models_ready(status: &OllamaServiceStatus) -> (String, String) {
    let found = status
        .conditions
        .iter()
        .find(|one| one.type_ == "ModelsReady")
        .unwrap();
    (found.reason.clone(), found.message.clone())
}

#[test]
fn what_a_model_lacks_has_a_reason_and_words() {
    let (one, other) = ("1".repeat(64), "2".repeat(64));
    let pinned = json!({"digest": format!("sha256:{one}")});
    let modelfile = json!({"modelfile": {"configMapKeyRef": {"name": "files"}}});
    let cases = [
        (
            "pulling",
            case(&json!({}), vec![model(ModelState::Pulling, None)]),
            "Pulling",
            "m: Pulling (42 %, 84 of 200 bytes)",
        ),
        (
            "one replica is behind",
            case(&json!({}), vec![there(&one), model(ModelState::Pulling, None)]),
            "Pulling",
            "m: Pulling (42 %",
        ),
        (
            "it is being made",
            case(&json!({}), vec![model(ModelState::Making, None)]),
            "Pulling",
            "m: Making",
        ),
        (
            "it waits for another",
            case(
                &json!({}),
                vec![model(ModelState::Pending, Some("waits for base"))],
            ),
            "Pulling",
            "m: Pending (waits for base)",
        ),
        (
            "no such model",
            case(
                &json!({}),
                vec![model(ModelState::Failed, Some("file does not exist"))],
            ),
            "PullFailed",
            "file does not exist. It is tried again",
        ),
        (
            "another version than the one that is asked for",
            case(&pinned, vec![there(&one), of_other_digest(&other)]),
            "DigestMismatch",
            "Model m: its digest is another",
        ),
        (
            "the right version, that can't be loaded",
            case(&pinned, vec![of_other_digest(&one)]),
            "PullFailed",
            "its digest is another",
        ),
        (
            "its Modelfile is missing",
            case(&modelfile, vec![there(&one)]),
            "ModelfileInvalid",
            "Model m can't be made: ConfigMap files of its Modelfile is missing",
        ),
        (
            "replicas have different versions",
            case(&json!({}), vec![there(&one), there(&other)]),
            "AllThere",
            "replicas have different versions of m",
        ),
    ];
    for (name, case, reason, words) in cases {
        let found = models_ready(&case.status(&OllamaServiceStatus::default(), NOW));
        assert_eq!(found.0, reason, "{name}");
        assert!(found.1.contains(words), "{name}: {}", found.1);
    }
}

#[test]
fn a_proxy_that_does_not_answer_changes_nothing_of_models_while_its_pod_is_ready() {
    let silent = || Replica {
        pod: "x-1".to_owned(),
        answer: Err("no answer".to_owned()),
        clients: 0,
    };
    let with_silent = |other: Option<Vec<ModelStatus>>, pod_is_ready: bool| {
        let reports = other.into_iter().collect();
        let mut case = case(&json!({}), reports);
        for other in &mut case.replicas {
            other.pod = "x-2".to_owned();
        }
        case.replicas.push(silent());
        let truth = if pod_is_ready { "True" } else { "False" };
        case.pod = json!({"conditions": [{"type": "Ready", "status": truth}]});
        case
    };
    let none = OllamaServiceStatus::default();
    let status = |report| case(&json!({}), vec![report]).status(&none, NOW);
    let ready = status(there("one"));
    let pulling = status(model(ModelState::Pulling, None));
    let failed = status(model(ModelState::Failed, Some("no such file")));
    let cases = [
        ("it was ready", &ready, with_silent(None, true), "Ready"),
        ("its Pod isn't", &ready, with_silent(None, false), "Pending"),
        (
            "nothing was said before",
            &none,
            with_silent(None, true),
            "Pending",
        ),
        (
            "it was being pulled",
            &pulling,
            with_silent(None, true),
            "Pulling",
        ),
        ("it had failed", &failed, with_silent(None, true), "Failed"),
        (
            "another has it too",
            &ready,
            with_silent(Some(there("one")), true),
            "Ready",
        ),
        (
            "another has it, it was being pulled",
            &pulling,
            with_silent(Some(there("one")), true),
            "Pulling",
        ),
        (
            "another pulls it",
            &ready,
            with_silent(Some(model(ModelState::Pulling, None)), true),
            "Pulling",
        ),
        (
            "another has failed",
            &ready,
            with_silent(Some(model(ModelState::Failed, Some("no such file"))), true),
            "Failed",
        ),
    ];
    for (name, before, case, expected) in cases {
        let status = case.status(before, NOW);
        assert_eq!(status.models[0].state, expected, "{name}");
        let is_ready = expected == "Ready";
        assert_eq!(status.says("Ready"), is_ready, "{name}");
        assert!(!status.says("CredentialsSynced"), "{name}");
    }
    let kept = with_silent(None, true).status(&ready, NOW);
    assert_eq!(kept.models, ready.models);
    let told = changed(&ready, &kept);
    assert_eq!(told, [], "nothing is told of an answer that was lost");
}

#[test]
fn a_digest_is_remembered_and_its_change_is_told() {
    let first = case(&json!({}), vec![there("one")]).status(&OllamaServiceStatus::default(), NOW);
    let of = |status: &OllamaServiceStatus| {
        let model = &status.models[0];
        (
            model.digest.clone(),
            model.digest_since.clone().map(|time| time.0),
        )
    };
    assert_eq!(of(&first), (Some("one".to_owned()), Some(NOW)));

    let later = NOW + SignedDuration::from_secs(60);
    let none_tells = case(&json!({}), vec![model(ModelState::Pulling, None)]).status(&first, later);
    assert_eq!(of(&none_tells), of(&first), "while it is pulled again");
    let other = case(&json!({}), vec![there("two"), there("one")]).status(&none_tells, later);
    assert_eq!(of(&other), of(&first), "while a replica still has it");
    let second = case(&json!({}), vec![there("two")]).status(&none_tells, later);
    assert_eq!(of(&second), (Some("two".to_owned()), Some(later)));

    let told = |before: &OllamaServiceStatus, after: &OllamaServiceStatus| {
        let changed = changed(before, after).into_iter();
        let changed = changed.filter(|one| one.reason == "ModelChanged" && !one.warning);
        changed.map(|one| one.message).collect::<Vec<_>>()
    };
    assert_eq!(told(&OllamaServiceStatus::default(), &first), [""; 0], "it comes");
    assert_eq!(told(&first, &none_tells), [""; 0]);
    assert_eq!(
        told(&none_tells, &second),
        ["Model m has digest two now; it was one"]
    );
}

#[test]
fn bytes_alone_are_no_reason_to_write_a_status() {
    let pulling = |percent, completed| {
        let mut models = model(ModelState::Pulling, None);
        models[0].progress = Some(percent);
        models[0].completed = Some(completed);
        case(&json!({}), vec![models])
    };
    let first = pulling(42, 840).status(&OllamaServiceStatus::default(), NOW);
    assert_eq!(first.models[0].completed_bytes, Some(840));
    assert_eq!(pulling(42, 845).status(&first, NOW), first);
    assert_eq!(
        pulling(43, 860).status(&first, NOW).models[0].completed_bytes,
        Some(860)
    );
}

#[test]
fn words_of_ollama_are_cut_where_there_are_too_many() {
    let words = "é".repeat(5000);
    let status = case(&json!({}), vec![model(ModelState::Failed, Some(&words))])
        .status(&OllamaServiceStatus::default(), NOW);
    let told = status.models[0].message.clone().unwrap();
    assert!((900..1100).contains(&told.chars().count()), "{}", told.len());
}
