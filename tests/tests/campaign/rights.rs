//! What the chart lets the operator do where it watches one namespace and lives in it too, and every child made, changed and
//! taken away by an operator that has no more.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use corral_tests::command;
use corral_tests::tools::{self, Tool};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::crash::Run;
use crate::ground::{Ground, NAMESPACE};
use crate::mutation::scene;
use crate::oracles::{self, OBSERVED_AND_QUIET, findings};
use crate::trial::{Outcome, Trial};

/// What the operator may do with Secrets: the chart's `rbac.secrets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rights {
    /// Read them, and make those that it generates.
    Secrets,
    /// Nothing.
    NoSecrets,
}

impl Rights {
    pub(crate) const ALL: [Self; 2] = [Self::Secrets, Self::NoSecrets];

    /// The chart's value, and the operator's for its option `--secrets`.
    pub(crate) const fn value(self) -> &'static str {
        match self {
            Self::Secrets => "read",
            Self::NoSecrets => "none",
        }
    }

    /// The operator's ServiceAccount, Roles and bindings, as the chart makes them.
    pub(crate) fn granted(self) -> Result<Vec<Value>> {
        tools::ensure(&[Tool::Helm])?;
        let mut helm = Command::new(Tool::Helm.path()?);
        helm.args(["template", "corral"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/corral"))
            .args(["--kube-version=1.33.0", "--namespace", NAMESPACE, "--set"])
            .arg(format!(
                "watchNamespaces={{{NAMESPACE}}},rbac.secrets={},rbac.aggregateRoles=false,crds.install=false",
                self.value()
            ));
        let text = command::output(&mut helm)?;
        let mut granted = Vec::new();
        for document in serde_yaml::Deserializer::from_str(&text) {
            let object = Value::deserialize(document)?;
            if matches!(
                object["kind"].as_str(),
                Some("ServiceAccount" | "Role" | "RoleBinding")
            ) {
                granted.push(object);
            }
        }
        Ok(granted)
    }
}

/// A spec under an operator that may do nothing with Secrets: all that it has made, changed and taken away again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WithoutSecrets {
    pub(crate) scene: &'static str,
}

impl WithoutSecrets {
    pub(crate) fn name(&self) -> String {
        format!("rights/without Secrets/{}", self.scene)
    }

    pub(crate) async fn judged(&self, ground: &Ground, quiet: Duration) -> Result<Run> {
        let mut trial = Trial::with(ground, quiet, Rights::NoSecrets).await?;
        let spec = scene(self.scene)?;
        trial.start(&[])?;
        trial.create(&spec).await?;
        let mut wrong = Vec::new();
        // A volume of models is for good.
        let least = json!({"storage": spec["storage"]});
        for spec in [least, spec] {
            wrong.extend(trial.settle(Outcome::Observed).await.err());
            ensure!(trial.replace(&spec).await?, "the API server refuses {spec}");
        }
        wrong.extend(trial.settle(Outcome::Observed).await.err());
        // The audit log has a watch when it has ended.
        trial.kill().await;
        trial.start(&[])?;
        trial.delete().await?;
        wrong.extend(trial.settle(Outcome::Gone).await.err());
        let evidence = trial.evidence(0).await?;
        let wrong = wrong.into_iter().map(|error| format!("{error:#}"));
        let mut findings = findings(OBSERVED_AND_QUIET, wrong.collect());
        findings.extend(oracles::judge_undisturbed(&evidence, &[]));
        trial.end().await?;
        Ok(Run {
            evidence,
            reached: true,
            findings,
        })
    }
}
