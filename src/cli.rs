//! The command line: `run`, `repro`, `list`, `check`, `errors`, `endpoint`. `mirrorlab` alone is `mirrorlab run`.
//!
//! Scenarios are named (`failover`, `failover/automatic_on_kill`) or given as files and folders. Names mean the folder
//! `scenarios/` below the current one if there is one, otherwise the copies built into the program. Exit codes: 0 clean,
//! 1 a promise broke or an expectation failed, 2 usage or bad scenario, 3 nondeterminism, 4 vacuous. Source: ours.

mod endpoint;
mod errors;
mod output;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::sim::render;
use crate::sim::runner::{self, Launch, Run, Verdict};
use crate::sim::scenario::{Library, Problem, SHARED, Scenario, ScenarioError, parse_seeds};

/// Everything held.
pub const CLEAN: u8 = 0;
/// A promise broke or an expectation failed.
pub const FAILED: u8 = 1;
/// The command line or a scenario is wrong.
pub const USAGE: u8 = 2;
/// One scenario and seed gave two traces.
pub const NONDETERMINISTIC: u8 = 3;
/// A fault did not fire or changed nothing.
pub const VACUOUS: u8 = 4;

/// A deterministic simulation testbed for SQL Server's database mirroring endpoint.
#[derive(Debug, Parser)]
#[command(name = "mirrorlab", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
    /// Also write a log to the standard error, in virtual time.
    #[arg(long, global = true, value_enum, value_name = "LEVEL")]
    log: Option<LogLevel>,
}

/// From what level on the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogLevel {
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    fn listen(self) {
        let level = match self {
            LogLevel::Warn => tracing::Level::WARN,
            LogLevel::Info => tracing::Level::INFO,
            LogLevel::Debug => tracing::Level::DEBUG,
            LogLevel::Trace => tracing::Level::TRACE,
        };
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .with_max_level(level)
            .with_writer(io::stderr)
            .finish();
        // Only a second listener is refused, and there is none.
        let _ = tracing::subscriber::set_global_default(subscriber);
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios: all of them, or those that are named.
    Run(RunArgs),
    /// Run one scenario with one seed and print its transcript.
    Repro {
        /// A scenario and a seed, as a failing run prints them: failover/automatic_on_kill@7
        #[arg(value_name = "SCENARIO@SEED")]
        what: String,
        /// Also write the trace as JSON Lines.
        #[arg(long, value_name = "FILE")]
        trace: Option<PathBuf>,
        /// Also write the packets of the wire, as Wireshark and tcpdump read them.
        #[arg(long, value_name = "FILE")]
        pcap: Option<PathBuf>,
        #[arg(long, value_enum, default_value_t)]
        kernel: Kernel,
    },
    /// List the scenarios and their promises.
    List,
    /// Validate scenario files without running them.
    Check {
        /// Files or folders.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Print the T-SQL that sets an endpoint up, as the product's cmdlets and wizard do.
    #[command(subcommand)]
    Endpoint(endpoint::EndpointCommand),
    /// Explain error numbers like a manual page, or list them.
    Errors {
        /// Numbers to explain (1418 28034), or words the list is searched for (handshake, firewall).
        #[arg(value_name = "NUMBER or WORD")]
        what: Vec<String>,
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

#[derive(Debug, Args, Default)]
struct RunArgs {
    /// Scenarios: names, beginnings of names, files or folders.
    #[arg(value_name = "PATH or NAME")]
    what: Vec<String>,
    /// One seed instead of those the scenario lists.
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Seeds instead of those the scenario lists, both ends included: 1..100
    #[arg(long, value_name = "A..B")]
    seeds: Option<String>,
    /// Runs at a time; as many as there are processors if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Write the traces of all runs as JSON Lines, one run after the other.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write the packets of the one run that was asked for, as Wireshark and tcpdump read them.
    #[arg(long, value_name = "FILE", conflicts_with = "twice")]
    pcap: Option<PathBuf>,
    /// Run each seed twice and compare the traces.
    #[arg(long)]
    twice: bool,
    /// What simulates systems and network.
    #[arg(long, value_enum, default_value_t)]
    kernel: Kernel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Kernel {
    /// The event-driven world, which can do every fault.
    #[default]
    Event,
    /// turmoil::Sim, a slower second opinion without firewalls.
    Turmoil,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// A table for people.
    #[default]
    Pretty,
    /// One JSON object a run, and nothing else on the standard output.
    Json,
}

/// Why the command could not be carried out; all of them end with [`USAGE`].
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("{}", .0.report())]
    Scenario(#[from] ScenarioError),
    #[error("error: {0}")]
    Endpoint(#[from] endpoint::Refusal),
    #[error("error: there is no number {number} in the manual; near it are {near}")]
    UnknownNumber { number: u32, near: String },
    #[error(
        "error: an empty text is no word to look for; give numbers (1418), words (firewall), or nothing to list them all"
    )]
    EmptyWord,
    #[error("error: no entry speaks of '{words}'; the areas are {areas}")]
    NothingSpeaks { words: String, areas: String },
    #[error("error: '{0}' is not a list of seeds; write --seeds 7, --seeds 1..100 or --seeds 1..3,7")]
    Seeds(String),
    #[error("error: '{0}' is not a scenario and a seed; write failover/automatic_on_kill@7")]
    Repro(String),
    #[error("error: {scenario} cannot be run with --kernel turmoil: {reason}; run it with --kernel event")]
    Kernel { scenario: String, reason: String },
    #[error("error: --pcap is for one run, and these are {0}; name one scenario and one --seed")]
    Captures(usize),
    #[error("error: turmoil::Sim has no wire to listen on; run it with --kernel event to get a --pcap")]
    NoWire,
    #[error("error: cannot write {}: {error}", .path.display())]
    Write { path: PathBuf, error: io::Error },
    /// Nobody reads what we say; not an error.
    #[error("the output was closed")]
    Closed,
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => CliError::Closed,
            _ => CliError::Write {
                path: PathBuf::from("the standard output"),
                error,
            },
        }
    }
}

/// Carries out the command line `args` (the program's name first) with the launches of the two kernels.
pub fn main(args: impl IntoIterator<Item = OsString>, event: &dyn Launch, turmoil: &dyn Launch) -> ExitCode {
    let launch = |kernel: Kernel| match kernel {
        Kernel::Event => event,
        Kernel::Turmoil => turmoil,
    };
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors to clap, but clean ends; a closed output is nobody's mistake.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { CLEAN });
        }
    };
    if let Some(level) = cli.log {
        level.listen();
    }
    let done = match cli.command {
        None => run(&cli.run, launch(cli.run.kernel)),
        Some(Command::Run(args)) => run(&args, launch(args.kernel)),
        Some(Command::Repro {
            what,
            trace,
            pcap,
            kernel,
        }) => repro(&what, trace.as_deref(), pcap.as_deref(), launch(kernel)),
        Some(Command::List) => list(),
        Some(Command::Check { paths }) => check(&paths),
        Some(Command::Endpoint(command)) => endpoint::endpoint(&command),
        Some(Command::Errors { what, format }) => errors::errors(&what, format),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(CliError::Closed) => ExitCode::from(CLEAN),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}", error.to_string().trim_end());
            ExitCode::from(USAGE)
        }
    }
}

fn run(args: &RunArgs, launch: &dyn Launch) -> Result<u8, CliError> {
    let seeds = match (&args.seed, &args.seeds) {
        (Some(seed), _) => Some(vec![*seed]),
        (None, Some(text)) => Some(parse_seeds(text).ok_or_else(|| CliError::Seeds(text.clone()))?),
        (None, None) => None,
    };
    let scenarios = select(&args.what)?;
    accept(&scenarios, launch)?;
    let jobs: Vec<(&Scenario, u64)> = scenarios
        .iter()
        .flat_map(|s| {
            let seeds = seeds.as_ref().unwrap_or(&s.seeds);
            seeds.iter().map(move |seed| (s, *seed))
        })
        .collect();
    let threads = args.jobs.map_or_else(processors, usize::from);
    let mut trace = args.trace.as_deref().map(RunFile::create).transpose()?;
    let mut report = output::Report::new(args.format, jobs.len());
    let mut problem = None;
    let mut tell = |run: Run| {
        let told = report
            .run(&run)
            .map_err(CliError::from)
            .and_then(|()| trace.as_mut().map_or(Ok(()), |file| file.write(&run)));
        match told {
            Ok(()) => true,
            Err(error) => {
                problem = Some(error);
                false
            }
        }
    };
    match (&args.pcap, jobs.as_slice()) {
        (None, _) => runner::run_many(launch, &jobs, threads, args.twice, &mut tell),
        (Some(path), [(scenario, seed)]) => {
            tell(captured(path, launch, scenario, *seed)?);
        }
        (Some(_), jobs) => return Err(CliError::Captures(jobs.len())),
    }
    match problem {
        Some(error) => Err(error),
        None => {
            report.finish()?;
            Ok(exit_code(report.verdicts()))
        }
    }
}

/// Runs once and writes the packets.
fn captured(path: &Path, launch: &dyn Launch, scenario: &Scenario, seed: u64) -> Result<Run, CliError> {
    if !launch.has_wire() {
        return Err(CliError::NoWire);
    }
    let mut file = RunFile::create(path)?;
    let (run, packets) = runner::run_captured(launch, scenario, seed);
    file.write_bytes(&packets)?;
    Ok(run)
}

fn repro(what: &str, trace: Option<&Path>, pcap: Option<&Path>, launch: &dyn Launch) -> Result<u8, CliError> {
    let parsed = what
        .rsplit_once('@')
        .and_then(|(name, seed)| Some((name, seed.parse::<u64>().ok()?)));
    let Some((name, seed)) = parsed else {
        return Err(CliError::Repro(what.to_owned()));
    };
    let scenarios = select(&[name.to_owned()])?;
    let [scenario] = scenarios.as_slice() else {
        return Err(CliError::Repro(what.to_owned()));
    };
    accept(&scenarios, launch)?;
    let run = match pcap {
        None => runner::run(launch, scenario, seed),
        Some(path) => captured(path, launch, scenario, seed)?,
    };
    if let Some(path) = trace {
        RunFile::create(path)?.write(&run)?;
    }
    let mut out = io::stdout().lock();
    out.write_all(render::snapshot(scenario, &run).as_bytes())?;
    writeln!(out, "\ntrace     {}", run.trace_hash)?;
    out.flush()?;
    Ok(exit_code([run.verdict]))
}

fn list() -> Result<u8, CliError> {
    let library = library()?;
    let mut out = io::stdout().lock();
    for name in library.names() {
        let scenario = library.load(name)?;
        writeln!(out, "{name}\n    {}", scenario.promise)?;
    }
    out.flush()?;
    Ok(CLEAN)
}

/// Reports every file that is wrong, then says so with the exit code.
fn check(paths: &[PathBuf]) -> Result<u8, CliError> {
    let mut out = io::stdout().lock();
    let mut wrong = false;
    for path in paths {
        for file in scenario_files(path)? {
            match Library::load_file(&file) {
                Ok(scenario) => writeln!(out, "{}: ok, {} steps", file.display(), scenario.steps.len())?,
                Err(error) => {
                    wrong = true;
                    writeln!(io::stderr(), "{}", error.report().trim_end())?;
                }
            }
        }
    }
    out.flush()?;
    Ok(if wrong { USAGE } else { CLEAN })
}

/// The kernel must be able to play all of them; the first it cannot is an error.
fn accept(scenarios: &[Scenario], launch: &dyn Launch) -> Result<(), CliError> {
    let refused = scenarios.iter().find_map(|s| Some((s, launch.refusal(s)?)));
    match refused {
        Some((scenario, reason)) => Err(CliError::Kernel {
            scenario: scenario.name.clone(),
            reason,
        }),
        None => Ok(()),
    }
}

/// The scenarios that are meant, each once, in the order they were asked for.
fn select(what: &[String]) -> Result<Vec<Scenario>, CliError> {
    let library = library()?;
    if what.is_empty() {
        let names: Vec<&str> = library.names().collect();
        return Ok(names
            .into_iter()
            .map(|name| library.load(name))
            .collect::<Result<_, _>>()?);
    }
    let mut seen = BTreeSet::new();
    let mut scenarios = Vec::new();
    for wanted in what {
        let path = Path::new(wanted);
        let found: Vec<Scenario> = match path.exists() {
            true => scenario_files(path)?
                .iter()
                .map(|file| Library::load_file(file))
                .collect::<Result<_, _>>()?,
            false if wanted.ends_with(".toml") && library.find(wanted).is_err() => {
                return Err(not_there(wanted).into());
            }
            false => library
                .find(wanted)?
                .iter()
                .map(|name| library.load(name))
                .collect::<Result<_, _>>()?,
        };
        scenarios.extend(found.into_iter().filter(|s| seen.insert(s.name.clone())));
    }
    Ok(scenarios)
}

fn not_there(path: &str) -> ScenarioError {
    ScenarioError::whole(
        path,
        Problem::Unreadable("there is no such file".into()),
        Some("`mirrorlab list` shows the scenarios there are".into()),
    )
}

fn library() -> Result<Library, CliError> {
    let here = Path::new("scenarios");
    match here.is_dir() {
        true => Ok(Library::read_folder(here)?),
        false => Ok(Library::built_in()),
    }
}

/// The file itself, or every scenario below a folder, in order.
fn scenario_files(path: &Path) -> Result<Vec<PathBuf>, ScenarioError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |at: &Path, error: &io::Error| {
        ScenarioError::whole(
            &at.display().to_string(),
            Problem::Unreadable(error.to_string()),
            None,
        )
    };
    let mut files = Vec::new();
    let mut pending = vec![path.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|e| unreadable(&folder, &e))? {
            let entry = entry.map_err(|e| unreadable(&folder, &e))?.path();
            if entry.is_dir() {
                if entry.file_name().is_none_or(|name| name != SHARED) {
                    pending.push(entry);
                }
            } else if entry.extension().is_some_and(|e| e == "toml") {
                files.push(entry);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The worst verdict decides; nondeterminism is worse than a failure, which is worse than vacuity.
fn exit_code(verdicts: impl IntoIterator<Item = Verdict>) -> u8 {
    match verdicts.into_iter().max() {
        None | Some(Verdict::Pass) => CLEAN,
        Some(Verdict::Vacuous) => VACUOUS,
        Some(Verdict::Fail) => FAILED,
        Some(Verdict::Nondeterministic) => NONDETERMINISTIC,
    }
}

/// A file about runs.
struct RunFile {
    path: PathBuf,
    file: io::BufWriter<std::fs::File>,
}

impl RunFile {
    fn create(path: &Path) -> Result<RunFile, CliError> {
        let file = std::fs::File::create(path).map_err(|error| CliError::Write {
            path: path.to_owned(),
            error,
        })?;
        Ok(RunFile {
            path: path.to_owned(),
            file: io::BufWriter::new(file),
        })
    }

    /// The trace of a run.
    fn write(&mut self, run: &Run) -> Result<(), CliError> {
        self.write_bytes(run.trace.to_json_lines().as_bytes())
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.file
            .write_all(bytes)
            .and_then(|()| self.file.flush())
            .map_err(|error| CliError::Write {
                path: self.path.clone(),
                error,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn the_worst_verdict_decides() {
        assert_eq!(exit_code([]), CLEAN);
        assert_eq!(exit_code([Verdict::Pass, Verdict::Vacuous]), VACUOUS);
        assert_eq!(
            exit_code([Verdict::Fail, Verdict::Vacuous, Verdict::Pass]),
            FAILED
        );
        assert_eq!(
            exit_code([Verdict::Nondeterministic, Verdict::Fail]),
            NONDETERMINISTIC
        );
    }
}
