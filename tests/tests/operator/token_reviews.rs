//! Service account tokens, by the word of a real API server: what the operator makes of `auth.kubernetes`, and what a real
//! proxy makes of that.

mod proxy;

use corral_tests::cluster::Kubectl;
use http::Method;
use http_body_util::BodyExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::ResourceExt;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::lab::{Lab, eventually};
use proxy::Proxy;

const NAME: &str = "chat";

impl Lab {
    async fn account(&self, name: &str) {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        let _: ServiceAccount = self.apply(name, account).await;
    }

    /// A token of that account for these audiences, or for the API server where there are none; perhaps for as long as a Pod
    /// is there.
    async fn token(&self, account: &str, audiences: &[&str], pod: Option<&Pod>) -> String {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: audiences.iter().map(|&audience| audience.to_owned()).collect(),
                bound_object_ref: pod.map(|pod| BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(pod.name_any()),
                    uid: pod.uid(),
                }),
                expiration_seconds: Some(3600),
            },
            ..TokenRequest::default()
        };
        let accounts = self.api::<ServiceAccount>();
        let answer = accounts
            .create_token_request(account, &PostParams::default(), &request)
            .await;
        answer.unwrap().status.unwrap().token
    }

    /// A Pod that nobody runs.
    async fn pod(&self, name: &str, account: &str) -> Pod {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
            "serviceAccountName": account, "containers": [{"name": "client", "image": "client"}]}});
        self.apply(name, pod).await
    }
}

#[tokio::test]
async fn accounts_are_let_in_as_the_api_server_knows_them() {
    let lab = Lab::new("tokens").await;
    let _operator = lab.operator(&[]).await;
    let group = format!("system:serviceaccounts:{}", lab.namespace);
    let pattern = format!("system:serviceaccount:{}:ci-*", lab.namespace);
    let access = json!([
        {"clients": [pattern], "allow": ["Read", "Manage"]}, {"groups": [group], "allow": ["Read", "Inference"]}
    ]);
    let auth = json!({"kubernetes": {"audiences": ["ollama"]}});
    lab.create(NAME, json!({"auth": auth, "access": access})).await;
    check_pods(&lab).await;
    for account in ["ci-build", "web"] {
        lab.account(account).await;
    }
    let proxy = Proxy::start(&lab, NAME).await;
    let web = lab.token("web", &["ollama"], None).await;
    check_remedy(&lab, &proxy, &web).await;
    check_tokens(&lab, &proxy).await;
    check_rights(&lab, &proxy, &web).await;
    check_deleted(&lab, &proxy, &web).await;
    assert!(!proxy.output().contains(&web), "a token has got out");
}

/// The proxy has a token of its own, and Ollama has none.
async fn check_pods(lab: &Lab) {
    let deployment = eventually("the Deployment is made", || async {
        let found = lab.api::<Deployment>().get_opt(NAME).await.unwrap();
        found.ok_or("not yet".to_owned())
    })
    .await;
    let pod = deployment.spec.unwrap().template.spec.unwrap();
    assert_eq!(pod.automount_service_account_token, Some(false));
    let volumes = pod.volumes.unwrap();
    let volume = volumes
        .into_iter()
        .find(|volume| volume.projected.is_some())
        .unwrap();
    let containers = pod.containers.into_iter().chain(pod.init_containers.unwrap());
    let with_it = containers.filter(|container| {
        let mut mounts = container.volume_mounts.iter().flatten();
        mounts.any(|mount| mount.name == volume.name)
    });
    assert_eq!(
        with_it.map(|container| container.name).collect::<Vec<_>>(),
        ["proxy"]
    );
}

/// Without the right to ask nobody is let in, and what the status says gives it.
async fn check_remedy(lab: &Lab, proxy: &Proxy, token: &str) {
    assert_eq!(proxy.code(Method::GET, "/api/tags", token).await, 503);
    let message = lab
        .condition(NAME, "CredentialsSynced", "False", "TokenReviewsForbidden")
        .await;
    let kubectl = Kubectl::new(Some(lab.cluster.kubeconfig())).unwrap();
    kubectl.allow_as_said(&message).unwrap();
    eventually("a client is let in", || async {
        match proxy.code(Method::GET, "/api/tags", token).await {
            200 => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
    eventually("the status says so", || async {
        let conditions = lab.status(NAME).await.conditions;
        let synced = conditions
            .into_iter()
            .find(|one| one.type_ == "CredentialsSynced");
        match synced.unwrap().reason.as_str() {
            reason if reason.starts_with("TokenReviews") => Err(reason.to_owned()),
            _ => Ok(()),
        }
    })
    .await;
}

/// Which tokens count.
async fn check_tokens(lab: &Lab, proxy: &Proxy) {
    let good = lab.token("web", &["ollama"], None).await;
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    let pod = lab.pod("client", "web").await;
    let cases = [
        ("for us", good.clone(), 200),
        (
            "for others as well",
            lab.token("web", &["vault", "ollama"], None).await,
            200,
        ),
        ("of a Pod", lab.token("web", &["ollama"], Some(&pod)).await, 200),
        ("for somebody else", lab.token("web", &["vault"], None).await, 401),
        ("for the API server", lab.token("web", &[], None).await, 401),
        (
            "with another signature",
            format!("{signed}.{other}{}", &signature[1..]),
            401,
        ),
        ("without one", format!("{signed}."), 401),
    ];
    for (name, token, expected) in cases {
        assert_eq!(
            proxy.code(Method::GET, "/api/tags", &token).await,
            expected,
            "{name}"
        );
    }
}

/// Rules name clients and groups in the API server's words.
async fn check_rights(lab: &Lab, proxy: &Proxy, web: &str) {
    let build = lab.token("ci-build", &["ollama"], None).await;
    let cases = [
        ("by name", &*build, Method::DELETE, "/api/delete", 200),
        ("no more than that", &build, Method::POST, "/api/generate", 403),
        ("by group", web, Method::GET, "/api/tags", 200),
        ("not what others may", web, Method::DELETE, "/api/delete", 403),
    ];
    for (name, token, method, path, expected) in cases {
        assert_eq!(proxy.code(method, path, token).await, expected, "{name}");
    }
    let status: Value = proxy.status().await;
    let clients = status["clients"].to_string();
    for name in ["ci-build", "web"] {
        let client = format!(r#""name":"system:serviceaccount:{}:{name}""#, lab.namespace);
        assert!(clients.contains(&client), "{clients}");
    }
}

/// Whoever is deleted is no longer let in, and what runs of theirs is cut; whoever stays goes on.
async fn check_deleted(lab: &Lab, proxy: &Proxy, web: &str) {
    let pod = lab.pod("short-lived", "web").await;
    let of_pod = lab.token("web", &["ollama"], Some(&pod)).await;
    lab.account("leaver").await;
    let of_account = lab.token("leaver", &["ollama"], None).await;
    let mut stays = proxy.stream(web).await;
    let streams = [proxy.stream(&of_pod).await, proxy.stream(&of_account).await];
    lab.api::<Pod>()
        .delete("short-lived", &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    lab.api::<ServiceAccount>()
        .delete("leaver", &DeleteParams::default())
        .await
        .unwrap();
    for mut stream in streams {
        while stream.frame().await.is_some_and(|frame| frame.is_ok()) {}
    }
    for (name, token) in [("of a Pod", of_pod), ("of an account", of_account)] {
        assert_eq!(proxy.code(Method::GET, "/api/tags", &token).await, 401, "{name}");
    }
    assert!(
        stays.frame().await.is_some_and(|frame| frame.is_ok()),
        "another stream goes on"
    );
}
