//! Every write but the status: server-side apply by one field manager, and the end of what is no longer wanted.

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::core::PartialObjectMeta;
use serde_json::{Value, json};

use crate::changes::Change;
use crate::metrics::Metrics;
use crate::observe::Readings;
use crate::plan::{Child, GeneratedSecret, Kind, MANAGER, NUDGE_ANNOTATION, service_of};

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The API server refused it or didn't answer.
    #[error("{kind} {name}: {}", words(source))]
    Refused {
        /// Kind of the object.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The API server's words.
        source: Box<kube::Error>,
    },
    /// The API server refused what a claim asks of its volume.
    #[error("{} {name}: {}", Kind::PersistentVolumeClaim.name(), words(source))]
    NotResized {
        /// The claim's name.
        name: String,
        /// The API server's words.
        source: Box<kube::Error>,
    },
    /// What was to be changed or deleted has been replaced, or is being changed.
    #[error("{kind} {name} is not what it was a moment ago")]
    Outrun {
        /// Kind of the object.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The system has no randomness for a generated Secret.
    #[error("no randomness for Secret {name}: {reason}")]
    Randomness {
        /// Its name.
        name: String,
        /// The system's words.
        reason: getrandom::Error,
    },
}

impl ApplyError {
    /// Whether it is only the volume of a claim that can't be as asked.
    pub fn is_of_volume(&self) -> bool {
        matches!(self, Self::NotResized { .. })
    }

    /// Whether it was refused because its namespace is being deleted.
    pub fn namespace_goes(&self) -> bool {
        match self {
            Self::Refused { source, .. } | Self::NotResized { source, .. } => namespace_goes(source),
            Self::Outrun { .. } | Self::Randomness { .. } => false,
        }
    }

    /// Whether it only has to be looked at again.
    pub fn is_outrun(&self) -> bool {
        matches!(self, Self::Outrun { .. })
    }

    /// Whether other writes would fare no better, or what is known is no longer true: all is looked at again first.
    fn concerns_all(&self) -> bool {
        match self {
            Self::Refused { source, .. } | Self::NotResized { source, .. } => match &**source {
                kube::Error::Api(status) => {
                    matches!(status.code, 401 | 409 | 429 | 503 | 504) || namespace_goes(source)
                }
                _ => true,
            },
            Self::Outrun { .. } | Self::Randomness { .. } => true,
        }
    }
}

/// Whether something can't be made because its namespace is being deleted. The API server tells this refusal from others by
/// its cause (k8s.io/api/core/v1, NamespaceTerminatingCause).
pub fn namespace_goes(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .into_iter()
        .any(|cause| cause.reason == "NamespaceTerminating")
}

/// What the API server says, without the differences that it may print below.
pub fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.lines().next().unwrap_or_default().to_owned(),
        error => error.to_string(),
    }
}

/// What came of the writes.
#[derive(Debug, Default)]
pub struct Applied {
    /// The generation of the Deployment, if it was written.
    pub generation: Option<i64>,
    /// The writes that failed, in their order.
    pub failures: Vec<ApplyError>,
}

/// Writes to one namespace.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    /// The API server.
    pub client: &'a Client,
    /// Where writes are counted.
    pub metrics: &'a Metrics,
    /// The namespace.
    pub namespace: &'a str,
    /// Where Secrets that were made are kept at hand.
    pub readings: &'a Readings,
}

impl Writer<'_> {
    /// Writes the changes in their order. One that is refused keeps back those that need it, and no others.
    pub async fn apply(&self, changes: &[Change<'_>]) -> Applied {
        let mut applied = Applied::default();
        let mut missing: Vec<&Change<'_>> = Vec::new();
        for change in changes {
            if missing.iter().any(|missing| change.needs(missing)) {
                missing.push(change);
                continue;
            }
            match self.write(change).await {
                Ok(generation) if change.is_of_deployment() => applied.generation = generation,
                Ok(_) => {}
                Err(error) => {
                    let ends = error.concerns_all();
                    applied.failures.push(error);
                    if ends {
                        break;
                    }
                    missing.push(change);
                }
            }
        }
        applied
    }

    /// Writes one; says the object's generation, where that is known.
    async fn write(&self, change: &Change<'_>) -> Result<Option<i64>, ApplyError> {
        match change {
            Change::Generate(secret) => self.generate(secret).await.map(|()| None),
            Change::Create(child) => self.create(child).await,
            Change::Update { child, uid, object } => self.update(child, uid, object).await,
            Change::Resize { child, uid, object } => {
                let outcome = self.update(child, uid, object).await;
                outcome.map_err(of_volume)
            }
            Change::HandOver {
                name,
                uid,
                resource_version,
                replicas,
            } => self
                .hand_over(name, uid, resource_version, *replicas)
                .await
                .map(|()| None),
            Change::Delete { kind, name, uid } => self.delete(*kind, name, uid).await.map(|()| None),
        }
    }

    /// Makes a Secret. One of this OllamaService's that is there already stays as it is.
    async fn generate(&self, generated: &GeneratedSecret) -> Result<(), ApplyError> {
        let name = generated.name();
        let secret = generated
            .with_content()
            .map_err(|reason| ApplyError::Randomness {
                name: name.to_owned(),
                reason,
            })?;
        self.metrics.write("Secret", "create");
        let parameters = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), self.namespace);
        match secrets.create(&parameters, &secret).await {
            Err(error) if is_taken(&error) && self.has(&secrets, &secret).await => Ok(()),
            outcome => outcome
                .map(|secret| self.readings.hold(secret))
                .map_err(|source| refused("Secret", name, source)),
        }
    }

    /// Whether a Secret is there and belongs to the same OllamaService.
    async fn has(&self, secrets: &Api<Secret>, wanted: &Secret) -> bool {
        let name = wanted.metadata.name.as_deref().unwrap_or_default();
        let found = secrets.get_metadata(name).await;
        found.is_ok_and(|found| service_of(&found.metadata) == service_of(&wanted.metadata))
    }

    /// Without force: were the name taken a moment ago, the values of the other's fields would conflict.
    async fn create(&self, child: &Child) -> Result<Option<i64>, ApplyError> {
        self.metrics.write(child.kind.name(), "create");
        self.patch(child, &child.object, &PatchParams::apply(MANAGER))
            .await
            .map_err(|source| refused(child.kind.name(), &child.name, source))
    }

    /// With the uid, so that an object that was replaced meanwhile is not taken over.
    async fn update(&self, child: &Child, uid: &str, object: &Value) -> Result<Option<i64>, ApplyError> {
        self.metrics.write(child.kind.name(), "patch");
        let mut object = object.clone();
        object["metadata"]["uid"] = uid.into();
        self.patch(child, &object, &PatchParams::apply(MANAGER).force())
            .await
            .map_err(|source| outrun_or_refused(child.kind, &child.name, source))
    }

    /// As another manager than the one that is about to say nothing of it any more.
    async fn hand_over(
        &self,
        name: &str,
        uid: &str,
        resource_version: &str,
        replicas: i32,
    ) -> Result<(), ApplyError> {
        let kind = Kind::Deployment;
        let resource = kind.resource();
        self.metrics.write(kind.name(), "patch");
        let object = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": name, "uid": uid, "resourceVersion": resource_version},
            "spec": {"replicas": replicas},
        });
        let parameters = PatchParams::apply(&format!("{MANAGER}-scale")).force();
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), self.namespace, &resource);
        let outcome = api.patch(name, &parameters, &Patch::Apply(&object)).await;
        outcome
            .map(drop)
            .map_err(|source| outrun_or_refused(kind, name, source))
    }

    /// With the uid. One that is gone is not there to be deleted; whether another has replaced it, the next look tells.
    async fn delete(&self, kind: Kind, name: &str, uid: &str) -> Result<(), ApplyError> {
        self.metrics.write(kind.name(), "delete");
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), self.namespace, &kind.resource());
        match api.delete(name, &parameters).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            outcome => outcome
                .map(drop)
                .map_err(|source| outrun_or_refused(kind, name, source)),
        }
    }

    /// Applies a child; says the object's generation.
    async fn patch(
        &self,
        child: &Child,
        object: &Value,
        parameters: &PatchParams,
    ) -> Result<Option<i64>, kube::Error> {
        // Metadata alone comes back: what was written is known.
        let api: Api<PartialObjectMeta> =
            Api::namespaced_with(self.client.clone(), self.namespace, &child.kind.resource());
        let outcome = api.patch(&child.name, parameters, &Patch::Apply(object)).await;
        outcome.map(|written| written.metadata.generation)
    }

    /// Changes an annotation of a Pod, which makes the kubelet refresh its mounts at once. A Pod that is gone needs none.
    ///
    /// # Errors
    /// When the API server refuses it or doesn't answer.
    pub async fn nudge(&self, pod: &str, value: &str) -> Result<(), ApplyError> {
        self.metrics.write("Pod", "patch");
        let patch = json!({"metadata": {"annotations": {NUDGE_ANNOTATION: value}}});
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace);
        match pods
            .patch_metadata(pod, &PatchParams::default(), &Patch::Merge(&patch))
            .await
        {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            outcome => outcome.map(drop).map_err(|source| refused("Pod", pod, source)),
        }
    }
}

fn is_taken(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_already_exists())
}

fn refused(kind: &'static str, name: &str, source: kube::Error) -> ApplyError {
    ApplyError::Refused {
        kind,
        name: name.to_owned(),
        source: Box::new(source),
    }
}

/// Of a write by which only the volume was to change. An API server that is away, or fails, says nothing of the volume.
fn of_volume(error: ApplyError) -> ApplyError {
    match error {
        ApplyError::Refused { name, source, .. } if is_judged(&source) => {
            ApplyError::NotResized { name, source }
        }
        error => error,
    }
}

/// Whether the API server has looked at what was asked for, and doesn't want it.
fn is_judged(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422))
}

/// Of a write to an object that was known by its uid: a conflict says that it is another by now, or in another state.
fn outrun_or_refused(kind: Kind, name: &str, source: kube::Error) -> ApplyError {
    match source {
        kube::Error::Api(status) if status.is_conflict() => ApplyError::Outrun {
            kind: kind.name(),
            name: name.to_owned(),
        },
        source => refused(kind.name(), name, source),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    /// What the API server answers with that code.
    fn answer(code: u16, reason: &str) -> kube::Error {
        kube::Error::Api(Box::new(Status::failure("no", reason).with_code(code)))
    }

    #[test]
    fn what_is_no_longer_what_it_was_is_outrun() {
        let cases = [
            (409, "Conflict", true),
            (409, "AlreadyExists", false),
            (403, "Forbidden", false),
            (422, "Invalid", false),
            (500, "InternalError", false),
        ];
        for (code, reason, expected) in cases {
            let error = outrun_or_refused(Kind::Deployment, "x", answer(code, reason));
            assert_eq!(error.is_outrun(), expected, "{code} {reason}");
        }
    }

    #[test]
    fn what_concerns_one_write_ends_no_others() {
        let cases = [
            (400, "BadRequest", false),
            (401, "Unauthorized", true),
            (403, "Forbidden", false),
            (404, "NotFound", false),
            (409, "Conflict", true),
            (422, "Invalid", false),
            (429, "TooManyRequests", true),
            (500, "InternalError", false),
            (503, "ServiceUnavailable", true),
            (504, "Timeout", true),
        ];
        for (code, reason, expected) in cases {
            let error = refused("Service", "x", answer(code, reason));
            assert_eq!(error.concerns_all(), expected, "{code} {reason}");
        }
        let away = kube::Error::Service("nobody answers".into());
        assert!(refused("Service", "x", away).concerns_all());
    }

    #[test]
    fn only_what_the_api_server_has_judged_is_said_of_a_volume() {
        let cases = [
            (400, "BadRequest", true),
            (403, "Forbidden", true),
            (422, "Invalid", true),
            (429, "TooManyRequests", false),
            (500, "InternalError", false),
            (503, "ServiceUnavailable", false),
        ];
        for (code, reason, expected) in cases {
            let error = of_volume(refused("PersistentVolumeClaim", "x", answer(code, reason)));
            assert_eq!(error.is_of_volume(), expected, "{code} {reason}");
        }
    }
}
