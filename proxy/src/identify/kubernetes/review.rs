//! A TokenReview of authentication.k8s.io/v1: the question, and what the answer says. Pure.

use serde::{Deserialize, Serialize};

use crate::credentials::check_name;

const API_VERSION: &str = "authentication.k8s.io/v1";
const KIND: &str = "TokenReview";

/// What the names of service accounts begin with, before `NAMESPACE:NAME`.
const PREFIX: &str = "system:serviceaccount:";

/// A service account, as the API server tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServiceAccount {
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub(super) name: String,
    pub(super) groups: Vec<String>,
    /// Of those that were asked for, the ones that the token was made for.
    pub(super) audiences: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<'question> {
    api_version: &'static str,
    kind: &'static str,
    spec: QuestionSpec<'question>,
}

#[derive(Serialize)]
struct QuestionSpec<'question> {
    token: &'question str,
    audiences: &'question [String],
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    api_version: String,
    kind: String,
    status: AnswerStatus,
}

#[derive(Deserialize)]
struct AnswerStatus {
    #[serde(default)]
    authenticated: bool,
    #[serde(default)]
    user: User,
    #[serde(default)]
    audiences: Vec<String>,
}

#[derive(Default, Deserialize)]
struct User {
    #[serde(default)]
    username: String,
    #[serde(default)]
    groups: Vec<String>,
}

/// The question whose a token is that was made for one of these audiences.
pub(super) fn question(token: &str, audiences: &[String]) -> Vec<u8> {
    let question = Question {
        api_version: API_VERSION,
        kind: KIND,
        spec: QuestionSpec { token, audiences },
    };
    // Texts are always written.
    serde_json::to_vec(&question).unwrap_or_default()
}

/// Whose it is; nobody's where it isn't valid, for another audience, or of somebody who is no service account. No review at
/// all where the answer is something else.
pub(super) fn answer(text: &[u8], audiences: &[String]) -> Option<Option<ServiceAccount>> {
    let Answer {
        api_version,
        kind,
        status,
    } = serde_json::from_slice(text).ok()?;
    let is_review = api_version == API_VERSION && kind == KIND;
    is_review.then(|| accepted(status, audiences))
}

fn accepted(status: AnswerStatus, wanted: &[String]) -> Option<ServiceAccount> {
    let AnswerStatus {
        authenticated,
        user: User { username, groups },
        mut audiences,
    } = status;
    // An API server that knows nothing of audiences says none (TokenReviewStatus.audiences).
    audiences.retain(|audience| wanted.contains(audience));
    let accepted = authenticated
        && !audiences.is_empty()
        && username.starts_with(PREFIX)
        && check_name(&username).is_ok();
    accepted.then_some(ServiceAccount {
        name: username,
        groups,
        audiences,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NAME: &str = "system:serviceaccount:ml:alice";

    fn audiences() -> Vec<String> {
        vec!["ollama".to_owned(), "llm".to_owned()]
    }

    fn review(status: &Value) -> Value {
        json!({"apiVersion": API_VERSION, "kind": KIND, "metadata": {}, "spec": {"token": "x"}, "status": status})
    }

    #[test]
    fn the_question_names_token_and_audiences() {
        let question: Value = serde_json::from_slice(&question("e.y.J", &audiences())).unwrap();
        let expected = json!({
            "apiVersion": API_VERSION, "kind": KIND, "spec": {"token": "e.y.J", "audiences": ["ollama", "llm"]}
        });
        assert_eq!(question, expected);
    }

    #[test]
    #[rustfmt::skip] // one case a line
    fn an_answer_names_an_account_or_nobody() {
        let user = json!({"username": NAME, "uid": "1", "groups": ["a", "b"], "extra": {"k": ["v"]}});
        let with = |name: &str, value: Value| {
            let mut status = json!({"authenticated": true, "user": user, "audiences": ["ollama"]});
            status[name] = value;
            status
        };
        let cases = [
            ("an account", with("error", json!("")), Some(&["ollama"][..])),
            ("for several audiences", with("audiences", json!(["x", "llm", "ollama"])), Some(&["llm", "ollama"])),
            ("not authenticated", with("authenticated", json!(false)), None),
            ("for other audiences", with("audiences", json!(["x"])), None),
            ("for none", with("audiences", json!([])), None),
            ("no service account", with("user", json!({"username": "alice"})), None),
            ("a node", with("user", json!({"username": "system:node:a"})), None),
            ("a name that can't be one", with("user", json!({"username": format!("{NAME}\n")})), None),
            ("nobody", with("user", json!({})), None),
            ("no word on it", json!({"error": "invalid bearer token"}), None),
        ];
        for (name, status, expected) in cases {
            let found = answer(review(&status).to_string().as_bytes(), &audiences()).expect(name);
            let expected = expected.map(|audiences| ServiceAccount {
                name: NAME.to_owned(),
                groups: ["a", "b"].map(str::to_owned).to_vec(),
                audiences: audiences.iter().map(|&name| name.to_owned()).collect(),
            });
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_review_says_nothing() {
        let good = review(&json!({"authenticated": true}));
        let with = |name: &str, value: Value| {
            let mut review = good.clone();
            review[name] = value;
            review.to_string()
        };
        let cases = [
            ("nothing", String::new()),
            ("a page", "<html>".to_owned()),
            ("another kind", with("kind", json!("Status"))),
            (
                "another version",
                with("apiVersion", json!("authentication.k8s.io/v1beta1")),
            ),
            ("no status", with("status", Value::Null)),
            (
                "a word in place of true",
                with("status", json!({"authenticated": "true"})),
            ),
            ("something behind it", format!("{good}{good}")),
        ];
        for (name, text) in cases {
            assert_eq!(answer(text.as_bytes(), &audiences()), None, "{name}");
        }
    }
}
