//! What `run` says: a table with a progress bar for people, one JSON object a run for programs.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::Format;
use crate::sim::runner::{FaultCount, Run, Verdict};

/// One line of `--format json`.
#[derive(Serialize)]
struct JsonRun<'a> {
    scenario: &'a str,
    seed: u64,
    verdict: Verdict,
    failures: Vec<JsonFailure<'a>>,
    trace_hash: &'a str,
    virtual_seconds: f64,
    wall_seconds: f64,
    events: usize,
    faults: &'a BTreeMap<String, FaultCount>,
    repro: &'a str,
}

#[derive(Serialize)]
struct JsonFailure<'a> {
    check: &'a str,
    fingerprint: &'a str,
    message: &'a str,
    /// Since the beginning of the run, as in the trace.
    virtual_seconds: f64,
}

/// The report of one `run` command.
pub(super) struct Report {
    format: Format,
    bar: Option<ProgressBar>,
    verdicts: Vec<Verdict>,
    virtual_time: Duration,
    wall: Duration,
    events: usize,
}

impl Report {
    pub(super) fn new(format: Format, runs: usize) -> Report {
        let shown = format == Format::Pretty && io::stderr().is_terminal();
        Report {
            format,
            bar: shown.then(|| bar(runs)),
            verdicts: Vec::new(),
            virtual_time: Duration::ZERO,
            wall: Duration::ZERO,
            events: 0,
        }
    }

    /// Tell of one run. Fails if the output cannot be written.
    pub(super) fn run(&mut self, run: &Run) -> io::Result<()> {
        self.verdicts.push(run.verdict);
        self.virtual_time += run.end.as_duration();
        self.wall += run.wall;
        self.events += run.trace.events().len();
        let text = match self.format {
            Format::Json => json(run)?,
            Format::Pretty => pretty(run),
        };
        let write = || {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()
        };
        match &self.bar {
            Some(bar) => {
                bar.inc(1);
                bar.suspend(write)
            }
            None => write(),
        }
    }

    /// The last line, for people.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.format == Format::Json {
            return Ok(());
        }
        let count = |verdict| self.verdicts.iter().filter(|v| **v == verdict).count();
        let mut parts = vec![format!("{} runs", self.verdicts.len())];
        for verdict in [
            Verdict::Pass,
            Verdict::Fail,
            Verdict::Vacuous,
            Verdict::Nondeterministic,
        ] {
            match count(verdict) {
                0 => {}
                n => parts.push(format!("{n} {verdict}")),
            }
        }
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "{}; {:.0} virtual seconds, {:.0} per second of one processor, {} events",
            parts.join(", "),
            self.virtual_time.as_secs_f64(),
            ratio(self.virtual_time, self.wall),
            self.events
        )?;
        out.flush()
    }

    pub(super) fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        self.verdicts.iter().copied()
    }
}

fn bar(runs: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(runs as u64), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:40} {pos}/{len} runs {elapsed}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn ratio(virtual_time: Duration, wall: Duration) -> f64 {
    virtual_time.as_secs_f64() / wall.as_secs_f64().max(1e-9)
}

/// A failing run begins with the command that shows it again.
fn pretty(run: &Run) -> String {
    let mut out = String::new();
    if run.verdict != Verdict::Pass {
        out.push_str(&format!("{}\n", run.repro));
    }
    out.push_str(&format!(
        "{:<16} {:<52} seed {:<6} {:>7.1}s {:>8.0}x {:>7} events\n",
        run.verdict.name(),
        run.scenario,
        run.seed,
        run.end.as_duration().as_secs_f64(),
        ratio(run.end.as_duration(), run.wall),
        run.trace.events().len()
    ));
    for failure in &run.failures {
        out.push_str(&format!(
            "    {} {}: {}\n",
            failure.at, failure.check, failure.message
        ));
    }
    for (kind, count) in &run.faults {
        if count.took_effect < count.fired {
            let idle = count.fired - count.took_effect;
            out.push_str(&format!(
                "    {idle} of {} faults `{kind}` changed nothing\n",
                count.fired
            ));
        }
    }
    out
}

fn json(run: &Run) -> io::Result<String> {
    let failures = run
        .failures
        .iter()
        .map(|f| JsonFailure {
            check: &f.check,
            fingerprint: &f.fingerprint,
            message: &f.message,
            virtual_seconds: f.at.as_duration().as_secs_f64(),
        })
        .collect();
    let line = serde_json::to_string(&JsonRun {
        scenario: &run.scenario,
        seed: run.seed,
        verdict: run.verdict,
        failures,
        trace_hash: &run.trace_hash,
        virtual_seconds: run.end.as_duration().as_secs_f64(),
        wall_seconds: run.wall.as_secs_f64(),
        events: run.trace.events().len(),
        faults: &run.faults,
        repro: &run.repro,
    })
    .map_err(io::Error::other)?;
    Ok(line + "\n")
}
