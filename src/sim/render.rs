//! The text a snapshot holds: each step flush left, then what it caused, in virtual time since the end of the set-up.
//!
//! Log block by log block, pings and single transactions are noise and left out; how the clients fared is summed up at
//! each step and at the end. Source: ours.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::runner::{FinalView, Run};
use super::scenario::{Scenario, one_line};
use crate::types::{
    ClientEvent, ClosedBy, EndpointEvent, Event, InstanceEvent, SessionEvent, Source, Stamped, SwitchKind,
    Timestamp, WorldEvent, state_change_name,
};

/// Promise, transcript, verdict and last views of a run.
pub fn snapshot(scenario: &Scenario, run: &Run) -> String {
    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(&format!("scenario  {} seed {}", run.scenario, run.seed));
    line(&format!("promise   {}", scenario.promise));
    line(&format!("risk      {}", scenario.risk));
    line("");
    line(&transcript(run));
    line("");
    line(&verdict(run));
    for view in &run.views {
        line(&view_text(view));
    }
    out
}

/// The verdict with the faults that back it, then each failure.
pub fn verdict(run: &Run) -> String {
    let mut out = format!("verdict   {}", run.verdict);
    for (kind, count) in &run.faults {
        let _ = write!(
            out,
            "\nfault     {kind} fired {} took effect {}",
            count.fired, count.took_effect
        );
    }
    for failure in &run.failures {
        let at = Clock(run.setup_end).text(failure.at);
        let _ = write!(out, "\nfailure   {at} {}: {}", failure.check, failure.message);
    }
    out
}

fn view_text(view: &FinalView) -> String {
    let mut out = format!("\n{}", view.instance);
    for line in &view.lines {
        let _ = write!(out, "\n  {}", line.trim_end());
    }
    out
}

/// What happened, for people.
pub fn transcript(run: &Run) -> String {
    let clock = Clock(run.setup_end);
    let width = run
        .trace
        .events()
        .iter()
        .map(|e| who(&e.source).chars().count())
        .max()
        .unwrap_or(0);
    let mut writer = Writer {
        out: Vec::new(),
        clock,
        width,
        told: BTreeMap::new(),
    };
    for event in run.trace.events() {
        writer.event(event);
    }
    writer.clients(run.end);
    writer.out.join("\n")
}

/// Times since the end of the set-up; what lies before it is negative.
#[derive(Clone, Copy)]
struct Clock(Timestamp);

impl Clock {
    fn text(self, at: Timestamp) -> String {
        match at >= self.0 {
            true => Timestamp::from_micros(at.as_micros() - self.0.as_micros()).to_string(),
            false => {
                let before = Timestamp::from_micros(self.0.as_micros() - at.as_micros()).to_string();
                before.replacen('+', "-", 1)
            }
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    acknowledged: u64,
    refused: u64,
    in_doubt: u64,
    not_connected: u64,
}

struct Writer {
    out: Vec<String>,
    clock: Clock,
    width: usize,
    /// What each client was told since it was last summed up.
    told: BTreeMap<String, Tally>,
}

impl Writer {
    fn event(&mut self, event: &Stamped) {
        match (&event.source, &event.event) {
            (_, Event::World(world)) => self.world(event.at, world),
            (Source::Client(name), Event::Client(client)) => self.client(event.at, name, client),
            (source, inner) => {
                if let Some(text) = consequence(inner) {
                    self.indented(event.at, &who(source), &text);
                }
            }
        }
    }

    fn flush_left(&mut self, at: Timestamp, text: &str) {
        self.clients(at);
        self.out.push(format!("{:>10}  {text}", self.clock.text(at)));
    }

    fn indented(&mut self, at: Timestamp, who: &str, text: &str) {
        let width = self.width;
        self.out
            .push(format!("{:>10}    {who:<width$}  {text}", self.clock.text(at)));
    }

    fn world(&mut self, at: Timestamp, event: &WorldEvent) {
        let short = |text: &str| match text.char_indices().nth(160) {
            Some((cut, _)) => format!("{}…", &text[..cut]),
            None => text.to_owned(),
        };
        match event {
            WorldEvent::Step { text } => self.flush_left(at, &short(text)),
            WorldEvent::FaultFired { text, .. } => self.flush_left(at, &format!("fault {text}")),
            WorldEvent::FaultEnded { text, .. } => self.flush_left(at, &format!("end of {text}")),
            WorldEvent::Quiet => self.flush_left(at, "quiet"),
            WorldEvent::FaultTookEffect { .. } | WorldEvent::SealedSessionMessage { .. } => {}
            WorldEvent::ProcessStarted { instance } => {
                self.indented(at, instance.as_str(), "process started");
            }
            WorldEvent::ProcessKilled { instance } => {
                self.indented(at, instance.as_str(), "process ended");
            }
            WorldEvent::SystemDown { system } => self.indented(at, system, "system down"),
            WorldEvent::SystemUp { system } => self.indented(at, system, "system up"),
            WorldEvent::ControllerUp { domain } => self.indented(at, domain, "domain controller started"),
            WorldEvent::ControllerDown { domain } => self.indented(at, domain, "domain controller ended"),
            WorldEvent::ClearSessionMessage { from, to } => {
                self.indented(
                    at,
                    "wire",
                    &format!("session message in clear from {from} to {to}"),
                );
            }
        }
    }

    fn client(&mut self, at: Timestamp, name: &str, event: &ClientEvent) {
        let mut told = |count: fn(&mut Tally)| count(self.told.entry(name.to_owned()).or_default());
        match event {
            ClientEvent::Acknowledged { .. } => told(|t| t.acknowledged += 1),
            ClientEvent::Refused { .. } => told(|t| t.refused += 1),
            ClientEvent::InDoubt { .. } => told(|t| t.in_doubt += 1),
            ClientEvent::Connected { to, failover_partner } => {
                self.clients(at);
                let partner = failover_partner
                    .as_ref()
                    .map_or(String::new(), |p| format!(", failover partner {p}"));
                self.indented(at, name, &format!("connected to {to}{partner}"));
            }
            ClientEvent::Batch { on, reply } => {
                if let Some(error) = reply.error() {
                    let text = format!("{on} answered {}", one_line(&error.to_string()));
                    self.indented(at, name, &text);
                }
            }
            ClientEvent::ConnectFailed { .. } => told(|t| t.not_connected += 1),
            ClientEvent::Submitted { .. } => {}
        }
    }

    /// Sum up what the clients were told since the last time.
    fn clients(&mut self, at: Timestamp) {
        for (name, tally) in std::mem::take(&mut self.told) {
            let mut text = format!("{} acknowledged", tally.acknowledged);
            if tally.refused > 0 {
                let _ = write!(text, ", {} refused", tally.refused);
            }
            if tally.in_doubt > 0 {
                let _ = write!(text, ", {} in doubt", tally.in_doubt);
            }
            if tally.not_connected > 0 {
                let _ = write!(text, ", {} times not connected", tally.not_connected);
            }
            self.indented(at, &name, &text);
        }
    }
}

fn who(source: &Source) -> String {
    match source {
        Source::World => "world".to_owned(),
        Source::Instance(name) => name.as_str().to_owned(),
        Source::Client(name) => name.clone(),
    }
}

/// One line for any event: as the transcript says it, or as the trace holds it.
pub fn line(event: &Event) -> String {
    consequence(event).unwrap_or_else(|| serde_json::to_string(event).unwrap_or_default())
}

/// One line for what an instance did, or nothing if it is noise.
fn consequence(event: &Event) -> Option<String> {
    match event {
        Event::World(_) | Event::Client(_) => None,
        Event::Instance(event) => instance(event),
        Event::Endpoint(event) => endpoint(event),
        Event::Session(event) => session(event),
    }
}

fn instance(event: &InstanceEvent) -> Option<String> {
    match event {
        InstanceEvent::Started { server_name, .. } => Some(format!("instance {server_name} started")),
        InstanceEvent::Stopped { reason } => Some(format!("instance stopped: {}", one_line(reason))),
        InstanceEvent::ErrorLog { number, text, .. } => Some(format!("log {number} {}", one_line(text))),
        InstanceEvent::Deadline { name } => Some(format!("deadline: {name}")),
        InstanceEvent::DiskError { request, error } => {
            Some(format!("disk error: {request}: {}", one_line(error)))
        }
        InstanceEvent::BatchDone { .. }
        | InstanceEvent::CertificatesHeld { .. }
        | InstanceEvent::MayConnect { .. }
        | InstanceEvent::ClientConnected { .. }
        | InstanceEvent::ClientRefused { .. } => None,
    }
}

fn endpoint(event: &EndpointEvent) -> Option<String> {
    let text = match event {
        EndpointEvent::Listening { port } => format!("listening on {port}"),
        EndpointEvent::StoppedListening { port } => format!("stopped listening on {port}"),
        EndpointEvent::CannotListen { port, error } => format!("cannot listen on {port}: {error}"),
        EndpointEvent::Altered { change, restarted } => {
            let restarted = if *restarted { ", restarted" } else { "" };
            format!("altered: {change}{restarted}")
        }
        EndpointEvent::ConnectFailed {
            connection,
            address,
            error,
            ..
        } => format!("{connection} to {address} failed: {error}"),
        EndpointEvent::LoggedIn {
            connection,
            accepted,
            principal,
            authentication,
            encryption,
            ..
        } => {
            let way = if *accepted { "from" } else { "to" };
            format!(
                "{connection} logged in {way} {principal} by {authentication}, {}",
                encryption.desc()
            )
        }
        EndpointEvent::LoginFailed {
            connection,
            number,
            text,
            ..
        } => format!("{connection} login failed: {number} {}", one_line(text)),
        EndpointEvent::MethodFailed {
            connection,
            method,
            number,
            text,
            ..
        } => format!(
            "{connection} {method} failed, the next method is tried: {number} {}",
            one_line(text)
        ),
        EndpointEvent::Closed { connection, by, .. } => {
            let by = match by {
                ClosedBy::Local => "here",
                ClosedBy::Peer => "by the peer",
                ClosedBy::Reset => "by a reset",
                ClosedBy::Timeout => "after silence",
            };
            format!("{connection} closed {by}")
        }
        EndpointEvent::AuditLogin { connection, audit } if audit.subclass > 1 => {
            let user = audit.user.as_deref().unwrap_or("a user not known yet");
            format!(
                "{connection} audit: {} of {user} as {} in {}",
                audit.subclass_name, audit.role, audit.login_state
            )
        }
        EndpointEvent::AuditLogin { .. }
        | EndpointEvent::Configured { .. }
        | EndpointEvent::Dropped { .. }
        | EndpointEvent::CertificateShown { .. }
        | EndpointEvent::Connecting { .. }
        | EndpointEvent::Connected { .. }
        | EndpointEvent::Accepted { .. }
        | EndpointEvent::LoginState { .. }
        | EndpointEvent::Negotiated { .. }
        | EndpointEvent::SessionTraffic { .. }
        | EndpointEvent::PingReceived { .. } => return None,
    };
    Some(format!("endpoint  {text}"))
}

fn session(event: &SessionEvent) -> Option<String> {
    let (database, text) = match event {
        SessionEvent::Configured {
            database,
            role,
            partner,
            ..
        } => (database, format!("configured as {role}, partner {partner}")),
        SessionEvent::Removed { database, .. } => (database, "removed".into()),
        SessionEvent::Unavailable { database } => (database, "not available".into()),
        SessionEvent::WitnessSet {
            database,
            witness,
            anew: false,
        } => {
            let witness = witness.as_ref().map_or("OFF".into(), ToString::to_string);
            (database, format!("witness {witness}"))
        }
        SessionEvent::Role {
            database,
            from,
            to,
            role_sequence,
        } => {
            let from = from.map_or(String::new(), |from| format!("{from} -> "));
            (database, format!("{from}{to} role_sequence={role_sequence}"))
        }
        SessionEvent::State {
            database,
            from,
            to,
            trace_id,
            ..
        } => {
            let change = match from {
                Some(from) if from == to => format!("still {to}"),
                Some(from) => format!("{from} -> {to}"),
                None => to.to_string(),
            };
            let event = trace_id.map_or(String::new(), |id| format!("  [{}]", state_change_name(id)));
            (database, format!("{change}{event}"))
        }
        SessionEvent::Links {
            database,
            partner,
            witness,
        } => {
            let witness = witness.map_or(String::new(), |w| format!(", witness {}", w.desc()));
            (database, format!("sees partner {}{witness}", partner.desc()))
        }
        SessionEvent::Serving {
            database,
            serving,
            reason,
            ..
        } => {
            let does = if *serving { "serves" } else { "does not serve" };
            (database, format!("{does}: {reason}"))
        }
        SessionEvent::LogReverted { database, from, to } => {
            (database, format!("log cut back from {from} to {to}"))
        }
        SessionEvent::Takeover {
            database,
            kind,
            role_sequence,
            failover_lsn,
            ..
        } => {
            let kind = match kind {
                SwitchKind::Automatic => "automatic failover",
                SwitchKind::Manual => "manual failover",
                SwitchKind::Forced => "forced service",
            };
            (
                database,
                format!("{kind}, role_sequence={role_sequence} failover_lsn={failover_lsn}"),
            )
        }
        SessionEvent::WitnessRecord {
            database,
            owner,
            role_sequence,
            synchronized,
            ..
        } => {
            let synchronized = if *synchronized {
                "synchronized"
            } else {
                "not synchronized"
            };
            (
                database,
                format!("recorded: {owner} is principal, role_sequence={role_sequence}, {synchronized}"),
            )
        }
        SessionEvent::WitnessVerdict {
            database,
            granted,
            role_sequence,
            reason,
        } => {
            let does = if *granted { "grants" } else { "refuses" };
            (
                database,
                format!("{does} role_sequence={role_sequence}: {reason}"),
            )
        }
        SessionEvent::PageDamaged {
            database,
            page,
            number,
            error,
        } => (
            database,
            format!("page (1:{number}) [{page}] cannot be read: {error}"),
        ),
        SessionEvent::PageRepair {
            database,
            page,
            status,
        } => (
            database,
            format!("repair of page [{page}]: {status:?}").to_lowercase(),
        ),
        SessionEvent::PageRequested {
            database, page, at, ..
        } => (
            database,
            format!("asks its partner for page [{page}] at LSN {at}"),
        ),
        SessionEvent::PageSent {
            database, page, lsn, ..
        } => (database, format!("sends page [{page}] as of LSN {lsn}")),
        SessionEvent::ResumedByRepair { database, .. } => (
            database,
            "the mirror has its pages: the session is resumed".to_owned(),
        ),
        SessionEvent::Note { database, text } => (database, text.clone()),
        SessionEvent::ActsOn { .. }
        | SessionEvent::LogGenerated { .. }
        | SessionEvent::WitnessSet { anew: true, .. }
        | SessionEvent::Settings { .. }
        | SessionEvent::LogSent { .. }
        | SessionEvent::FailoverLsn { .. }
        | SessionEvent::LogRecovered { .. }
        | SessionEvent::LogTruncated { .. }
        | SessionEvent::LogHardened { .. }
        | SessionEvent::Redone { .. }
        | SessionEvent::CommitAcknowledged { .. } => return None,
    };
    Some(format!("session({database})  {text}"))
}

#[cfg(test)]
mod tests;
