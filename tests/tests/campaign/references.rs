//! What the workloads come to without a fault. Each is run once, when a case asks for it first.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::OnceCell;

use crate::crash;
use crate::evidence::Evidence;
use crate::ground::Ground;
use crate::report::Report;
use crate::workloads::{self, Workload};

pub(crate) struct References(Vec<(Workload, OnceCell<Option<Arc<Evidence>>>)>);

impl References {
    pub(crate) fn new() -> Self {
        let workloads = workloads::all().into_iter();
        Self(workloads.map(|workload| (workload, OnceCell::new())).collect())
    }

    /// The names of the workloads.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(workload, _)| workload.name)
    }

    /// The workload of that name and its run.
    ///
    /// # Errors
    /// When there is none, or it could not be run; the report says why.
    pub(crate) async fn get(
        &self,
        name: &str,
        ground: &Ground,
        quiet: Duration,
        report: &Report,
    ) -> Result<(&Workload, Arc<Evidence>)> {
        let mut all = self.0.iter();
        let found = all.find(|(workload, _)| workload.name == name);
        let (workload, cell) = found.with_context(|| format!("no workload {name}"))?;
        let run = async || {
            let run = crash::run(ground, quiet, workload, None).await;
            let case = format!("reference/{name}");
            report.case("reference runs", &case, run).map(Arc::new)
        };
        let evidence = cell.get_or_init(run).await.clone();
        Ok((workload, evidence.context("its reference run has failed")?))
    }
}
