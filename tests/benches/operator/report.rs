//! The figures as Markdown, with pictures beside it.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use corral_measure::statistics::percentile_of_times;
use corral_measure::table::{megabytes, rows};
use corral_measure::{goal, plot};

use crate::goals::goals;
use crate::reactions::{Harm, Repair};
use crate::scale::Scale;
use crate::spent::Spent;
use crate::{Figures, Measured, Reactions, Rival};

/// Writes the report, and its pictures into the folder of its name beside it.
pub(crate) fn write(output: &Path, figures: &Figures) -> Result<String> {
    let text = render(figures);
    corral_measure::report::write(output, &text, |folder| draw(folder, figures))?;
    Ok(text)
}

fn all(figures: &Figures) -> Vec<&Measured> {
    let rival: &[Measured] = match &figures.rival {
        Rival::Measured(measured) => measured,
        Rival::LeftOut(_) => &[],
    };
    figures.corral.iter().chain(rival).collect()
}

fn draw(folder: &Path, figures: &Figures) -> Result<()> {
    let bars = |file: &str, caption: &str, value: &dyn Fn(&Scale) -> f64, logarithmic| {
        let rows: Vec<_> = all(figures)
            .into_iter()
            .map(|Measured { subject, scale, .. }| (format!("{subject}, {}", scale.count), value(scale)))
            .collect();
        plot::bars(&folder.join(file), caption, &rows, logarithmic)
    };
    let children = |scale: &Scale| scale.made.children.time.as_secs_f64();
    bars(
        "children.svg",
        "Until all children are there, s",
        &children,
        false,
    )?;
    let processor = |scale: &Scale| scale.made.processor_time.as_secs_f64();
    bars(
        "processor-time.svg",
        "Processor time of the operator for that, s",
        &processor,
        false,
    )?;
    bars(
        "memory.svg",
        "Resident memory of the operator, MB",
        &|scale| megabytes(scale.memory.now),
        false,
    )
}

fn render(figures: &Figures) -> String {
    format!(
        "# Benchmarks of the operator
Written by `make bench-operator`; run it again rather than compare with these figures from another machine.

**Question.** What do hundreds and thousands of OllamaServices cost the operator and the API server, and how soon does it
follow a change among them?

**Machine.** {machine}.

**Setup.** For each number a control plane of its own: etcd (without fsync), kube-apiserver with its audit log,
kube-controller-manager, kube-scheduler and [kwok](https://kwok.sigs.k8s.io) on the same processors as the operator and
the benchmark; no client of them is throttled, and the operator's requests pass the API server's queues freely. The
operator is the program that its image holds, with its defaults. An OllamaService is as short as it gets (`spec: {{}}`): {children},
and one Pod.

**What is real and what isn't.** API server, controllers and scheduler are real, and so is every object. No Pod runs:
kwok says of a Pod that is scheduled that it is Ready, and so it is at once, without images, models or a kubelet. What the
operator asks the proxies (`/status`) is answered by a fake at each Pod's address, with what a proxy would say that has
mounted the Pod's ConfigMap and Secrets; it mounts what is new 100 ms after the operator's nudge, as a kubelet does. The
addresses are loopback ones, so the controllers of endpoints, which refuse those, don't run.

## Goals
{goals}
## Many at once
Made by 16 clients at a time; from the first request to the last child, and to the last one that its status calls ready.
Processor time is the operator's, from the first request until it asked for nothing for 5 s.

![Until all children are there](benchmarks-operator/children.svg)
![Processor time](benchmarks-operator/processor-time.svg)
![Resident memory](benchmarks-operator/memory.svg)

| operator | custom resources | children of each | children there | all ready | processor time | RSS before, then, most | reads, and looks for what isn't there |
|---|---|---|---|---|---|---|---|
{many}
{rival}

## Where the time goes
Processor time by program, of {processors} processors. The API server's includes what it does for the controllers, the
scheduler, kwok and the benchmark. What is left of 100 % was idle, or went to whatever else ran on the machine. What one
custom resource takes of a processor, of every program together, bounds the time from below: {processors} processors can't
be faster than that, however the operator orders its work.

| operator | custom resources | until | time | processors busy | one takes, of it the operator | by program |
|---|---|---|---|---|---|---|
{spent}
A bare client makes the same objects, OllamaServices and children, by plain creates, {at_a_time} services at a time as the
operator does, in a control plane of its own where no operator runs: nobody looks whether a name is taken, applies, says
events or writes a status.

| custom resources | children there, made by the operator | by the bare client | ratio |
|---|---|---|---|
{floor}
## Writes
For each custom resource; server-side apply counts as one, whether it creates or changes.

| operator | custom resources | writes of |
|---|---|---|
{writes}
## With nothing to do
After all that. What is looked for is HTTPRoutes and ScaledObjects, kinds that this cluster doesn't have.

| operator | custom resources | for | requests | processor time |
|---|---|---|---|---|
{idle}
## A restart with everything in place
From the start of the process until each custom resource has been looked at.

| operator | custom resources | settled | requests | processor time | RSS |
|---|---|---|---|---|---|
{restart}
## One alone
Before the others were made; median and longest of {times}.

| operator | children there | ready after its Pod |
|---|---|---|
{alone}
## One among many
Median and longest; changes one after the other, from sending it to seeing what came of it. A Pod that stops being ready is
one whose status was patched, as a kubelet does; the ReplicaSet's and the Deployment's controllers are on the way from there
to the OllamaService's status. The change of a spec is one of its access rules; the child that changes is the ConfigMap.

{reactions}",
        machine = figures.corral.first().map(|one| one.machine.as_str()).unwrap_or_default(),
        children = figures.corral.first().map(|one| children_of(&one.scale)).unwrap_or_default(),
        goals = goal::table(&goals(&figures.corral)),
        many = rows(all(figures).into_iter().map(many_row)),
        rival = match &figures.rival {
            Rival::Measured(_) => "ollama-operator makes no credentials, no NetworkPolicy and no proxy: it has less to do for each.".to_owned(),
            Rival::LeftOut(why) => format!("ollama-operator is not measured: {why}."),
        },
        processors = processors(),
        at_a_time = corral_operator::run::AT_A_TIME,
        floor = rows(figures.corral.iter().filter_map(floor_row)),
        spent = rows(all(figures).into_iter().flat_map(spent_rows)),
        writes = rows(all(figures).into_iter().map(writes_row)),
        idle = rows(all(figures).into_iter().map(idle_row)),
        restart = rows(all(figures).into_iter().map(restart_row)),
        times = crate::reactions::TIMES,
        alone = rows(all(figures).into_iter().filter_map(alone_row)),
        reactions = figures.corral.iter().filter_map(reactions).collect::<Vec<_>>().join("\n"),
    )
}

/// As in `1 Deployment, 2 Secret`.
fn children_of(scale: &Scale) -> String {
    let children = scale
        .children
        .iter()
        .map(|one| format!("{} {}", scale.of_each(one), one.kind));
    children.collect::<Vec<_>>().join(", ")
}

fn many_row(measured: &Measured) -> [String; 8] {
    let Measured { subject, scale, .. } = measured;
    let each: f64 = scale.children.iter().map(|one| scale.of_each(one)).sum();
    [
        subject.clone(),
        scale.count.to_string(),
        each.to_string(),
        seconds(scale.made.children.time),
        seconds(scale.made.ready.time),
        seconds(scale.made.processor_time),
        format!(
            "{:.0}, {:.0}, {:.0} MB",
            megabytes(scale.memory_before.now),
            megabytes(scale.memory.now),
            megabytes(scale.memory.peak)
        ),
        format!(
            "{} and {}",
            scale.made.requests.reads(),
            scale.made.requests.looks()
        ),
    ]
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[expect(clippy::cast_precision_loss, reason = "few processors")]
fn spent_rows(measured: &Measured) -> Vec<[String; 7]> {
    let Measured { subject, scale, .. } = measured;
    let shared = measured
        .reactions
        .as_ref()
        .and_then(|reactions| reactions.shared.as_ref());
    let row = |until: &str, count: u32, spent: &Spent| {
        let all = spent.time.as_secs_f64() * processors() as f64;
        let share = |time: Duration| 100.0 * time.as_secs_f64() / all;
        let programs = spent.programs().into_iter();
        let programs = programs.map(|(program, time)| format!("{program} {:.0} %", share(time)));
        [
            subject.clone(),
            count.to_string(),
            until.to_owned(),
            seconds(spent.time),
            format!("{:.0} %", share(spent.all())),
            format!(
                "{}, {}",
                seconds(spent.all() / count),
                seconds(spent.operator() / count)
            ),
            programs.collect::<Vec<_>>().join(", "),
        ]
    };
    let mut rows = vec![
        row("children there", scale.count, &scale.made.children),
        row("all ready", scale.count, &scale.made.ready),
    ];
    rows.extend(shared.map(|shared| row("an edited Secret is told of", shared.count, &shared.told)));
    rows
}

fn floor_row(measured: &Measured) -> Option<[String; 4]> {
    let floor = measured.floor?;
    let operator = measured.scale.made.children.time;
    Some([
        measured.scale.count.to_string(),
        seconds(operator),
        seconds(floor),
        format!("{:.2}", operator.div_duration_f64(floor)),
    ])
}

fn writes_row(measured: &Measured) -> [String; 3] {
    let Measured { subject, scale, .. } = measured;
    let writes = scale
        .made
        .requests
        .all_writes()
        .map(|(resource, verb, granted, count)| {
            let refused = if granted { "" } else { " refused" };
            format!("{resource} {:.2} ({verb}{refused})", scale.each(count))
        });
    [
        subject.clone(),
        scale.count.to_string(),
        writes.collect::<Vec<_>>().join(", "),
    ]
}

fn idle_row(measured: &Measured) -> [String; 5] {
    let Measured { subject, scale, .. } = measured;
    [
        subject.clone(),
        scale.count.to_string(),
        seconds(scale.idle.time),
        scale.idle.requests.to_string(),
        seconds(scale.idle.processor_time),
    ]
}

fn restart_row(measured: &Measured) -> [String; 6] {
    let Measured { subject, scale, .. } = measured;
    let restart = &scale.restart;
    [
        subject.clone(),
        scale.count.to_string(),
        seconds(restart.settled),
        restart.requests.to_string(),
        seconds(restart.processor_time),
        format!("{:.0} MB", megabytes(restart.memory.now)),
    ]
}

fn alone_row(measured: &Measured) -> Option<[String; 3]> {
    let alone = measured.alone.as_ref()?;
    Some([
        measured.subject.clone(),
        spread(&alone.children),
        spread(&alone.ready),
    ])
}

fn reactions(measured: &Measured) -> Option<String> {
    let Reactions {
        not_ready,
        repairs,
        changes,
        shared,
    } = measured.reactions.as_ref()?;
    let mut table = format!(
        "### Among {}\n| what | until | time |\n|---|---|---|\n| a Pod stops being ready | the status says so | {} |\n",
        measured.scale.count,
        spread(not_ready)
    );
    for Repair { kind, harm, took } in repairs {
        let harm = match harm {
            Harm::Deleted => "deleted",
            Harm::Edited => "edited",
        };
        table += &format!(
            "| a {kind} is {harm} by hand | it is as before | {} |\n",
            spread(took)
        );
    }
    table += &format!(
        "| a spec is changed, {} times | its child has changed | {}; 99th percentile {} |\n",
        changes.len(),
        spread(changes),
        seconds(percentile_of_times(changes, 0.99))
    );
    if let Some(shared) = shared {
        table += &format!(
            "| one Secret of {count} more is edited | every Pod's kubelet is told | {} |\n\
             | | the status of all says that it is in force | {} |\n\
             | others are changed meanwhile, {} times | their child has changed | {} |\n",
            seconds(shared.told.time),
            seconds(shared.in_force),
            shared.others.len(),
            spread(&shared.others),
            count = shared.count,
        );
    }
    Some(table)
}

/// The middle and the greatest.
fn spread(times: &[Duration]) -> String {
    let longest = times.iter().max().copied().unwrap_or_default();
    format!(
        "{} (to {})",
        seconds(percentile_of_times(times, 0.5)),
        seconds(longest)
    )
}

fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else {
        format!("{seconds:.1} s")
    }
}
