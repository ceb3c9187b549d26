//! What looks like a bug and is documented: the promises stay quiet, and what they stay quiet about has really happened.
//!
//! Each row of [`ROWS`] is an observation, why it is legal, and a scenario in which it is made. Two observations are not
//! among them, for they cannot be made here: a session that is SUSPENDED after a failover to a newer version (all
//! instances of a session have one version, X9), and a mirror that is ahead of what a crashed principal had on its disk
//! (log is sent once it is hardened, C3; that `log-prefix` would bear it is a test beside that promise).

use std::collections::BTreeMap;
use std::time::Duration;

use mirrorlab::sim::launch;
use mirrorlab::sim::runner::{Run, Verdict, run_many};
use mirrorlab::sim::scenario::{Library, Scenario};
use mirrorlab::types::{
    ClientEvent, EncryptionInUse, EndpointEvent, Event, InstanceName, LinkState, Lsn, MirroringState,
    PartnerRole, Safety, SessionEvent, Source, Stamped, SwitchKind, Timestamp, WorldEvent,
};

const THREADS: usize = 2;

struct Row {
    observation: &'static str,
    /// The pages that say so.
    why: &'static str,
    scenario: Play,
    /// It must be quiet with each; the observation must be made with one of them.
    seeds: std::ops::RangeInclusive<u64>,
    occurred: fn(&[Stamped]) -> bool,
}

enum Play {
    /// One of `scenarios/`.
    Of(&'static str),
    /// The rest of a scenario that extends `trio`, with clients on both partners.
    Trio(&'static str),
}

use Play::{Of, Trio};

const ROWS: &[Row] = &[
    Row {
        observation: "two partners serve",
        why: "no witness, and service was forced: Role Switching",
        scenario: Of("operator/force_service_makes_two_principals"),
        seeds: 1..=1,
        occurred: |trace| holds_for(trace, 5, |now| now.serves("alpha") && now.serves("beta")),
    },
    Row {
        observation: "an isolated former principal still shows PRINCIPAL, DISCONNECTED",
        why: "it does not know of the failover, and does not serve: Quorum, Role Switching",
        scenario: Of("failover/automatic_on_cable_pulled"),
        seeds: 1..=1,
        occurred: |trace| {
            holds_for(trace, 5, |now| {
                let alpha = now.of("alpha");
                let shows = (alpha.role, alpha.state);
                shows == (Some(PartnerRole::Principal), Some(MirroringState::Disconnected))
                    && !alpha.serving
                    && now.serves("beta")
            })
        },
    },
    Row {
        observation: "acknowledged commits are lost by a forced service",
        why: "that is its price: Role Switching",
        scenario: Of("operator/force_service_makes_two_principals"),
        seeds: 1..=1,
        occurred: |trace| switches(trace, SwitchKind::Forced) && loses_acknowledged(trace, |_| true),
    },
    Row {
        observation: "commits acknowledged under SAFETY OFF are lost by a takeover",
        why: "they waited for nobody: Database Mirroring Operating Modes",
        scenario: Trio(
            r#"
until = "60s"
settle = "60s"

[[step]]
at = "3s"
on = "alpha"
sql = "ALTER DATABASE Sales SET PARTNER SAFETY OFF;"

[[step]]
at = "8s"
fault = { kind = "cut", from = "alpha", to = ["beta"], lasts = "20s" }

[[step]]
at = "12s"
fault = { kind = "kill", instance = "alpha", lasts = "25s" }

[[step]]
at = "25s"
on = "beta"
sql = "ALTER DATABASE Sales SET PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS;"

[[step]]
at = "50s"
on = "beta"
sql = "ALTER DATABASE Sales SET PARTNER RESUME;"

[[step]]
at = "55s"
on = "beta"
sql = "ALTER DATABASE Sales SET PARTNER SAFETY FULL;"
"#,
        ),
        seeds: 1..=1,
        occurred: |trace| loses_acknowledged(trace, |state| state == Some(MirroringState::Synchronizing)),
    },
    Row {
        observation: "commits acknowledged while exposed are lost by a takeover",
        why: "the mirror never had them: Database Mirroring Operating Modes",
        scenario: Trio(
            r#"
until = "60s"
settle = "60s"

[[step]]
at = "5s"
fault = { kind = "cut", from = "alpha", to = ["beta"], lasts = "40s" }

[[step]]
at = "25s"
fault = { kind = "kill", instance = "alpha", lasts = "15s" }

[[step]]
at = "30s"
on = "beta"
sql = "ALTER DATABASE Sales SET PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS;"

[[step]]
at = "55s"
on = "beta"
sql = "ALTER DATABASE Sales SET PARTNER RESUME;"
"#,
        ),
        seeds: 1..=1,
        occurred: |trace| loses_acknowledged(trace, |state| state == Some(MirroringState::Disconnected)),
    },
    Row {
        observation: "nobody serves although mirror and witness are up and connected: not synchronized",
        why: "an automatic failover could lose commits: Quorum",
        scenario: Of("operator/suspend_disarms_automatic_failover"),
        seeds: 1..=1,
        occurred: |trace| {
            holds_for(trace, 5, |now| {
                !now.alive("alpha") && now.alive("gamma") && now.of("beta").sees_witness && now.down()
            })
        },
    },
    Row {
        observation: "nobody serves although mirror and witness are up and connected: all were apart before",
        why: "the mirror lost the witness as well, so what it knows is old: Quorum",
        scenario: Trio(
            r#"
until = "75s"
settle = "60s"

[[step]]
at = "5s"
fault = { kind = "cut", from = "alpha", to = ["beta", "gamma"], lasts = "60s" }

[[step]]
at = "5s"
fault = { kind = "cut", from = "beta", to = ["gamma"], lasts = "25s" }
"#,
        ),
        seeds: 1..=1,
        occurred: |trace| {
            holds_for(trace, 5, |now| {
                let all_live = ["alpha", "beta", "gamma"].iter().all(|who| now.alive(who));
                all_live && now.of("beta").sees_witness && now.down()
            })
        },
    },
    Row {
        observation: "a principal goes offline because its mirror died",
        why: "the witness was away already, so nobody is left to form a quorum with: Quorum",
        scenario: Trio(
            r#"
until = "50s"
settle = "60s"

[[step]]
at = "5s"
fault = { kind = "kill", instance = "gamma", lasts = "30s" }

[[step]]
at = "10s"
fault = { kind = "kill", instance = "beta", lasts = "15s" }
"#,
        ),
        seeds: 1..=1,
        occurred: |trace| {
            holds_for(trace, 5, |now| {
                let alone = now.alive("alpha") && !now.alive("beta") && !now.alive("gamma");
                alone && now.of("alpha").role == Some(PartnerRole::Principal) && now.down()
            })
        },
    },
    Row {
        observation: "a database with SAFETY OFF goes offline",
        why: "a witness was left set, and the principal sees nobody: Database Mirroring Operating Modes",
        scenario: Of("session/high_performance_with_a_witness_needs_quorum"),
        seeds: 1..=1,
        occurred: |trace| {
            holds_for(trace, 5, |now| {
                let alpha = now.of("alpha");
                alpha.is_off && alpha.role == Some(PartnerRole::Principal) && now.alive("alpha") && now.down()
            })
        },
    },
    Row {
        observation: "a failover from a principal that lives: too little processor time",
        why: "it looks dead to the others: Possible Failures During Database Mirroring",
        scenario: Of("detection/principal_short_of_processor_time"),
        seeds: 1..=1,
        occurred: |trace| switches(trace, SwitchKind::Automatic) && nobody_died(trace),
    },
    Row {
        observation: "a failover from a principal that lives: ALTER ENDPOINT",
        why: "an endpoint in use was reconfigured: The Database Mirroring Endpoint",
        scenario: Of("endpoint/principal_port_changed_and_changed_back"),
        seeds: 1..=1,
        occurred: |trace| {
            let altered = |event: &Stamped| {
                matches!(
                    &event.event,
                    Event::Endpoint(EndpointEvent::Altered { restarted: true, .. })
                )
            };
            switches(trace, SwitchKind::Automatic) && nobody_died(trace) && trace.iter().any(altered)
        },
    },
    Row {
        observation: "a transaction that was not acknowledged turns out to be committed after a failover",
        why: "the mirror had it when the answer was lost: Operating Modes, Connect Clients",
        scenario: Of("client/in_doubt_is_found_out_by_the_application"),
        seeds: 1..=2,
        occurred: |trace| switches(trace, SwitchKind::Automatic) && doubt_was_committed(trace),
    },
    Row {
        observation: "SET PARTNER succeeds on the mirror, and the session cannot begin",
        why: "the mirror only waits for its principal: ALTER DATABASE Database Mirroring",
        scenario: Of("security/peer_certificate_not_imported"),
        seeds: 1..=1,
        occurred: |trace| {
            let configured = trace.iter().position(|event| {
                is_from(event, "beta")
                    && matches!(&event.event, Event::Session(SessionEvent::Configured { .. }))
            });
            let fails = refusal(trace, "alpha", 1418);
            configured
                .zip(fails)
                .is_some_and(|(configured, fails)| configured < fails)
        },
    },
    Row {
        observation: "bad credentials show up as 1418 at the other side",
        why: "the acceptor keeps its reason to itself: MSSQLSERVER_1418",
        scenario: Of("security/peer_certificate_not_imported"),
        seeds: 1..=1,
        occurred: |trace| {
            let refused = |event: &Stamped| {
                is_from(event, "beta")
                    && matches!(
                        &event.event,
                        Event::Endpoint(EndpointEvent::LoginFailed { accepted: true, .. })
                    )
            };
            trace.iter().any(refused) && refusal(trace, "alpha", 1418).is_some()
        },
    },
    Row {
        observation: "the two connections of one pair use different algorithms",
        why: "each acceptor's order decides for its own: CREATE ENDPOINT",
        scenario: Of("security/algorithms_differ_by_direction"),
        seeds: 1..=1,
        occurred: |trace| {
            let has = |way: bool, algorithm: EncryptionInUse| {
                trace.iter().any(|event| {
                    let Event::Endpoint(EndpointEvent::LoggedIn {
                        accepted, encryption, ..
                    }) = &event.event
                    else {
                        return false;
                    };
                    is_from(event, "alpha") && *accepted == way && *encryption == algorithm
                })
            };
            has(true, EncryptionInUse::Aes) && has(false, EncryptionInUse::Rc4)
        },
    },
];

#[test]
fn what_is_documented_raises_no_alarm() {
    let plays: Vec<(usize, Scenario, u64)> = ROWS
        .iter()
        .enumerate()
        .flat_map(|(i, row)| row.seeds.clone().map(move |seed| (i, load(i, row), seed)))
        .collect();
    let jobs: Vec<(&Scenario, u64)> = plays
        .iter()
        .map(|(_, scenario, seed)| (scenario, *seed))
        .collect();
    let mut runs: BTreeMap<usize, Vec<Run>> = BTreeMap::new();
    let mut index = plays.iter().map(|(row, ..)| *row);
    run_many(&launch::instances(), &jobs, THREADS, false, &mut |run| {
        let row = index.next().expect("a run for each job");
        runs.entry(row).or_default().push(run);
        true
    });
    let mut problems = Vec::new();
    for (i, row) in ROWS.iter().enumerate() {
        let of_row = runs.get(&i).map_or(&[][..], Vec::as_slice);
        for run in of_row.iter().filter(|run| run.verdict != Verdict::Pass) {
            let (what, why) = (row.observation, row.why);
            problems.push(format!("{what} ({why}), yet {}: {:#?}", run.repro, run.failures));
        }
        if !of_row.iter().any(|run| (row.occurred)(run.trace.events())) {
            problems.push(format!("never seen: {}", row.observation));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn load(index: usize, row: &Row) -> Scenario {
    let mut library = Library::built_in();
    let name = match row.scenario {
        Of(name) => name.to_owned(),
        Trio(rest) => {
            let name = format!("false_alarms/row_{index}");
            library.insert(&name, &trio(row, rest));
            name
        }
    };
    library
        .load(&name)
        .unwrap_or_else(|error| panic!("{}: {}", row.observation, error.report()))
}

fn trio(row: &Row, rest: &str) -> String {
    format!(
        r#"
promise = "No alarm is raised when {}."
risk = "{}"
source = "documented"
extends = "trio"
{rest}
[[client]]
name = "app"
initial = "alpha"
failover_partner = "beta"
rate = 10

[[expect]]
healed = true
"#,
        row.observation, row.why
    )
}

/// What one instance shows of the database.
#[derive(Debug, Default, Clone)]
struct Copy {
    role: Option<PartnerRole>,
    state: Option<MirroringState>,
    serving: bool,
    sees_witness: bool,
    is_off: bool,
}

/// Who shows what, at one moment of a run.
#[derive(Debug, Default)]
struct Picture {
    copies: BTreeMap<InstanceName, Copy>,
    alive: BTreeMap<InstanceName, bool>,
}

impl Picture {
    fn of(&self, who: &str) -> Copy {
        self.copies
            .get(&InstanceName::new(who))
            .cloned()
            .unwrap_or_default()
    }

    fn serves(&self, who: &str) -> bool {
        self.of(who).serving
    }

    fn alive(&self, who: &str) -> bool {
        self.alive
            .get(&InstanceName::new(who))
            .is_some_and(|alive| *alive)
    }

    /// There is a session, and no copy serves.
    fn down(&self) -> bool {
        !self.copies.is_empty() && self.copies.values().all(|copy| !copy.serving)
    }

    fn observe(&mut self, stamped: &Stamped) {
        match (&stamped.source, &stamped.event) {
            (_, Event::World(WorldEvent::ProcessStarted { instance })) => {
                self.alive.insert(instance.clone(), true);
            }
            (_, Event::World(WorldEvent::ProcessKilled { instance })) => {
                self.alive.insert(instance.clone(), false);
                if let Some(copy) = self.copies.get_mut(instance) {
                    *copy = Copy {
                        is_off: copy.is_off,
                        ..Copy::default()
                    };
                }
            }
            (Source::Instance(who), Event::Session(event)) => self.on_session(who, event),
            _ => {}
        }
    }

    fn on_session(&mut self, who: &InstanceName, event: &SessionEvent) {
        let copy = match event {
            SessionEvent::Configured { .. }
            | SessionEvent::Role { .. }
            | SessionEvent::State { .. }
            | SessionEvent::Serving { .. } => self.copies.entry(who.clone()).or_default(),
            _ => match self.copies.get_mut(who) {
                Some(copy) => copy,
                None => return,
            },
        };
        match event {
            SessionEvent::Configured { role, .. } => {
                copy.role = Some(*role);
                copy.serving = *role == PartnerRole::Principal;
            }
            SessionEvent::Role { to, .. } => copy.role = Some(*to),
            SessionEvent::State { to, .. } => copy.state = Some(*to),
            SessionEvent::Serving { serving, .. } => copy.serving = *serving,
            SessionEvent::Links { witness, .. } => copy.sees_witness = *witness == Some(LinkState::Connected),
            SessionEvent::Settings { safety, .. } => copy.is_off = *safety == Safety::Off,
            _ => {}
        }
    }
}

/// Whether `shows` is true of a stretch of the run that is longer than so many seconds.
fn holds_for(trace: &[Stamped], seconds: u64, shows: fn(&Picture) -> bool) -> bool {
    let mut picture = Picture::default();
    let mut since: Option<Timestamp> = None;
    for event in trace {
        if since.is_some_and(|since| event.at.since(since) > Duration::from_secs(seconds)) {
            return true;
        }
        picture.observe(event);
        since = shows(&picture).then(|| since.unwrap_or(event.at));
    }
    false
}

fn is_from(event: &Stamped, who: &str) -> bool {
    event.source == Source::Instance(InstanceName::new(who))
}

fn switches(trace: &[Stamped], wanted: SwitchKind) -> bool {
    trace.iter().any(|event| {
        matches!(&event.event, Event::Session(SessionEvent::Takeover { kind, .. }) if *kind == wanted)
    })
}

fn nobody_died(trace: &[Stamped]) -> bool {
    let died = |event: &Stamped| matches!(event.event, Event::World(WorldEvent::ProcessKilled { .. }));
    !trace.iter().any(died)
}

/// Whether somebody takes log back that it had acknowledged to a client while the session was in such a state.
fn loses_acknowledged(trace: &[Stamped], such: fn(Option<MirroringState>) -> bool) -> bool {
    let mut acknowledged: BTreeMap<&Source, Lsn> = BTreeMap::new();
    for stamped in trace {
        match &stamped.event {
            Event::Session(SessionEvent::CommitAcknowledged { lsn, state, .. }) if such(*state) => {
                acknowledged.insert(&stamped.source, *lsn);
            }
            Event::Session(SessionEvent::LogReverted { to, .. })
                if acknowledged.get(&stamped.source).is_some_and(|lsn| lsn > to) =>
            {
                return true;
            }
            _ => {}
        }
    }
    false
}

/// The place of a batch on `who` that ended in this error.
fn refusal(trace: &[Stamped], who: &str, number: u32) -> Option<usize> {
    trace.iter().position(|event| {
        let Event::Client(ClientEvent::Batch { on, reply }) = &event.event else {
            return false;
        };
        *on == InstanceName::new(who) && reply.error().is_some_and(|error| error.number == number)
    })
}

/// Whether a row is read that was written by a transaction in doubt and by no other.
fn doubt_was_committed(trace: &[Stamped]) -> bool {
    let mut operations: BTreeMap<u64, &str> = BTreeMap::new();
    let mut doubted: Vec<&str> = Vec::new();
    for event in trace {
        match &event.event {
            Event::Client(ClientEvent::Submitted {
                transaction,
                operation,
                ..
            }) => {
                operations.insert(*transaction, operation);
            }
            Event::Client(ClientEvent::InDoubt { transaction }) => {
                doubted.extend(
                    operations
                        .get(transaction)
                        .and_then(|o| o.strip_prefix("insert ")),
                );
            }
            Event::Client(ClientEvent::Acknowledged { transaction, values }) => {
                let read = operations.get(transaction).and_then(|o| o.strip_prefix("read "));
                if let (Some(id), Some(Some(value))) = (read, values.first())
                    && doubted.contains(&format!("{id} = {value}").as_str())
                {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}
