//! Service account tokens that nobody reviews.

use corral_proxy::status::ApiServerStatus;

use super::*;

/// A replica whose last question to the API server came to this.
fn asking(error: Option<&str>, forbidden: bool) -> Replica {
    replica(|says| {
        says.credentials.clear();
        says.kubernetes = Some(ApiServerStatus {
            server: Some("https://10.96.0.1".to_owned()),
            answered_at: None,
            error: error.map(str::to_owned),
            forbidden,
        });
    })
}

fn asked(error: Option<&str>, forbidden: bool) -> Case {
    Case {
        spec: json!({"auth": {"kubernetes": {"audiences": ["ollama"]}}}),
        replicas: vec![asking(error, forbidden)],
        ..Case::default()
    }
}

#[test]
fn the_right_that_is_missing_is_named_with_the_command_that_gives_it() {
    let cases = [
        (
            "all is well",
            asked(None, false),
            "True/InForce",
            "service accounts of this cluster by tokens for ollama",
        ),
        (
            "forbidden",
            asked(Some("it forbids that"), true),
            "False/TokenReviewsForbidden",
            "it forbids that; let an administrator allow it: kubectl create clusterrole corral-token-reviewer --verb=create \
             --resource=tokenreviews.authentication.k8s.io; kubectl create clusterrolebinding corral-token-reviewer-ml-x \
             --clusterrole=corral-token-reviewer --serviceaccount=ml:x",
        ),
        (
            "away",
            asked(Some("no answer"), false),
            "False/TokenReviewsFailing",
            "let nobody new in: no answer",
        ),
    ];
    for (name, case, expected, words) in cases {
        let status = case.status(&OllamaServiceStatus::default(), NOW);
        let mut conditions = status.conditions.iter();
        let found = conditions.find(|one| one.type_ == "CredentialsSynced").unwrap();
        assert_eq!(format!("{}/{}", found.status, found.reason), expected, "{name}");
        assert!(found.message.contains(words), "{name}: {}", found.message);
    }
}

#[test]
fn the_role_is_the_one_that_the_chart_made() {
    let arguments = ["operator", "render", "-", "--token-reviewer-role=my-role"];
    let Command::Render(options) = <Cli as clap::Parser>::parse_from(arguments).command else {
        panic!("render was asked for");
    };
    let binding = |spec: &Value| {
        let plan = plan(&service(spec), &options.plan, &ConfigMaps::new()).unwrap();
        plan.token_reviewer_binding
    };
    let expected =
        "kubectl create clusterrolebinding my-role-ml-x --clusterrole=my-role --serviceaccount=ml:x";
    assert_eq!(
        binding(&json!({"auth": {"kubernetes": {"audiences": ["ollama"]}}})).as_deref(),
        Some(expected)
    );
    assert_eq!(binding(&json!({})), None, "nobody has tokens reviewed");
}
