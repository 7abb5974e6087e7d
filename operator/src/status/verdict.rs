//! A condition before it has times.

use serde_json::Value;

use super::Blocked;
use crate::changes::{Collision, Meant};

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It does.
    True,
    /// It doesn't.
    False,
    /// Nobody can tell.
    Unknown,
}

impl Truth {
    /// As in a condition.
    pub const fn text(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// Reason and message of a condition that another controller has found false, in what holds its `conditions` (meta/v1
/// Condition; those of Gateways, HorizontalPodAutoscalers and KEDA have that shape).
pub(super) fn refused(holder: &Value, condition: &str) -> Option<(String, String)> {
    let refused = holder["conditions"]
        .as_array()?
        .iter()
        .find(|one| one["type"] == condition && one["status"] == "False")?;
    let text = |field: &str| refused[field].as_str().unwrap_or_default().to_owned();
    Some((text("reason"), text("message")))
}

/// A condition before it has times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it holds.
    pub truth: Truth,
    /// One word, from a closed list.
    pub reason: &'static str,
    /// What a person should know and do.
    pub message: String,
    /// A person has to do something; waiting won't help.
    pub needs_help: bool,
}

impl Verdict {
    pub(super) fn yes(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            truth: Truth::True,
            reason,
            message: message.into(),
            needs_help: false,
        }
    }

    /// It doesn't hold until a person does something.
    pub(super) fn no(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            needs_help: true,
            ..Self::not_yet(reason, message)
        }
    }

    /// It doesn't hold, and will by itself.
    pub(super) fn not_yet(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            truth: Truth::False,
            reason,
            message: message.into(),
            needs_help: false,
        }
    }

    /// Both: the more urgent one's reason, and what is to be done for each.
    pub(super) fn and(self, other: Self) -> Self {
        let (first, second) = if other.needs_help && !self.needs_help {
            (other, self)
        } else {
            (self, other)
        };
        Self {
            message: format!("{}; {}", first.message, second.message),
            ..first
        }
    }

    pub(super) fn unknown(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            truth: Truth::Unknown,
            reason,
            message: message.into(),
            needs_help: false,
        }
    }
}

/// What the conditions of an OllamaService with a plan are made from.
#[derive(Clone, Debug)]
pub(super) struct Verdicts {
    pub(super) available: Verdict,
    pub(super) credentials: Verdict,
    pub(super) models: Verdict,
    /// What is wrong with the certificate.
    pub(super) certificate: Option<Verdict>,
    /// What is wrong with the key by which registries know Ollama.
    pub(super) registry_key: Option<Verdict>,
    /// Models compute on the CPU although a GPU was asked for. They answer, slowly.
    pub(super) gpu: Option<Verdict>,
    /// Models that are to stay in memory don't. They answer, and some wait for it.
    pub(super) displaced: Option<Verdict>,
    /// Whether the volume is as asked, where there is a claim for it. It doesn't keep a service from being ready: the Pods go
    /// on with it as it is.
    pub(super) storage: Option<Verdict>,
    /// What keeps the autoscaler from its work. The replicas that there are answer all the same.
    pub(super) autoscaler: Option<Verdict>,
    /// Whether the way from outside the cluster is there, where one is asked for. It doesn't keep a service from being ready:
    /// inside, it answers.
    pub(super) exposure: Option<Verdict>,
    /// The API server refused a child.
    pub(super) blocked: Option<Verdict>,
}

impl Verdicts {
    /// What keeps the service from being all that it should be, most important first.
    pub(super) fn degraded(&self) -> Verdict {
        let all = [
            self.blocked.as_ref(),
            Some(&self.credentials),
            self.certificate.as_ref(),
            Some(&self.available),
            Some(&self.models),
            self.registry_key.as_ref(),
            self.gpu.as_ref(),
            self.displaced.as_ref(),
            self.storage.as_ref(),
            self.autoscaler.as_ref(),
            self.exposure.as_ref(),
        ];
        let wrong: Vec<_> = all
            .into_iter()
            .flatten()
            .filter(|verdict| verdict.needs_help)
            .collect();
        match wrong.first() {
            None => Verdict::not_yet("AsExpected", "Nothing needs your help"),
            Some(first) => {
                let messages: Vec<_> = wrong.iter().map(|verdict| verdict.message.as_str()).collect();
                Verdict {
                    truth: Truth::True,
                    reason: first.reason,
                    message: messages.join("; "),
                    needs_help: true,
                }
            }
        }
    }

    /// A rotation under way doesn't keep a service from being ready, a broken Secret does; a certificate that can't be
    /// renewed does only where no replica serves an earlier one.
    pub(super) fn ready(&self, endpoint: &str) -> Verdict {
        let blocking = [
            self.blocked.as_ref(),
            Some(&self.credentials).filter(|verdict| verdict.needs_help),
            self.certificate
                .as_ref()
                .filter(|_| self.available.truth != Truth::True),
            Some(&self.available).filter(|verdict| verdict.needs_help),
            // Pods that wait for their models are starting; the models say more.
            Some(&self.models)
                .filter(|verdict| verdict.truth != Truth::True && verdict.reason != "NoReplicas"),
            Some(&self.available).filter(|verdict| verdict.truth != Truth::True),
        ];
        match blocking.into_iter().flatten().next() {
            Some(verdict) => Verdict {
                truth: Truth::False,
                ..verdict.clone()
            },
            None if self.available.reason == "SomeReplicasReady" => Verdict {
                truth: Truth::False,
                ..self.available.clone()
            },
            None => Verdict::yes("Ready", format!("{endpoint} answers; {}", self.available.message)),
        }
    }
}

pub(super) fn of_blocked(blocked: &Blocked) -> Verdict {
    match blocked {
        Blocked::Invalid(problems) => Verdict::no(
            "Invalid",
            format!(
                "The OllamaService is invalid, and nothing of it was changed: {}",
                problems.join("; ")
            ),
        ),
        Blocked::Taken(collisions) => {
            let messages: Vec<_> = collisions.iter().map(taken).collect();
            Verdict::no(
                "NameTaken",
                format!("Nothing was changed: {}", messages.join("; ")),
            )
        }
    }
}

fn taken(
    Collision {
        meant,
        name,
        deleting,
    }: &Collision,
) -> String {
    let kind = match meant {
        Meant::Child(kind) => kind.name(),
        Meant::Generated | Meant::Certificate => "Secret",
    };
    if *deleting {
        return format!(
            "{kind} {name} of an earlier owner is still being deleted; it goes on when that is gone"
        );
    }
    match meant {
        Meant::Generated => format!(
            "Secret {name} is there and was not made for this OllamaService; name it in spec.auth.apiKeys.secretRef if it \
             holds your keys, or delete it"
        ),
        Meant::Certificate => format!(
            "Secret {name} is there and has no certificate of cert-manager's, which would put its own in the place of what it \
             holds; name it in spec.network.tls.secretName if that is your certificate, or delete it"
        ),
        Meant::Child(_) => format!(
            "{kind} {name} is there and is not this OllamaService's; delete it, or give the OllamaService another name"
        ),
    }
}
