//! The trace an instance keeps of itself: its error log, and the product's three event classes of database mirroring.
//!
//! Built from the events the instance emits anyway, so that the two cannot differ. The last [`ROWS_MAX`] events are kept,
//! in memory: a restart begins a new trace. Read with `sys.fn_trace_gettable`. Source: documented, *Audit Database
//! Mirroring Login*, *Database Mirroring Connection* and *Database Mirroring State Change Event Class*; that the trace is
//! always on, and its bound, are ours.

use std::collections::{BTreeMap, VecDeque};

use super::catalog::SA;
use super::deprecated::Feature;
use super::views::{
    CLASS_AUDIT_MIRRORING_LOGIN, CLASS_DEPRECATION_ANNOUNCEMENT, CLASS_DEPRECATION_FINAL_SUPPORT,
    CLASS_ERROR_LOG, CLASS_MIRRORING_CONNECTION, CLASS_MIRRORING_STATE_CHANGE, Coded, TraceRow,
};
use crate::types::{
    ClosedBy, DatabaseName, EndpointEvent, Event, Guid, InstanceEvent, LoginAudit, SessionEvent, WallTime,
    state_change_name,
};

/// Events that are kept; the oldest goes when one more comes.
pub const ROWS_MAX: usize = 1_000;

/// Subclasses of *Database Mirroring Connection*. Source: documented, in this order.
const CONNECTING: Coded = Coded::new(1, "Connecting");
const CONNECTED: Coded = Coded::new(2, "Connected");
const CONNECT_FAILED: Coded = Coded::new(3, "Connect Failed");
const CLOSING: Coded = Coded::new(4, "Closing");
const CLOSED: Coded = Coded::new(5, "Closed");
const ACCEPT: Coded = Coded::new(6, "Accept");
const RECEIVE_IO_ERROR: Coded = Coded::new(8, "Receive IO Error");

/// Subclasses of *Audit Database Mirroring Login*. Source: documented.
const AUDIT: [Coded; 6] = [
    Coded::new(1, "Login Success"),
    Coded::new(2, "Login Protocol Error"),
    Coded::new(3, "Message Format Error"),
    Coded::new(4, "Negotiate Failure"),
    Coded::new(5, "Authentication Failure"),
    Coded::new(6, "Authorization Failure"),
];

#[derive(Debug, Default)]
pub struct Trace {
    rows: VecDeque<TraceRow>,
    events: u64,
    /// The id of the last state change of each database, for `IntegerData` of the next.
    state_changes: BTreeMap<DatabaseName, u8>,
}

/// What the instance adds to an event.
#[derive(Debug)]
pub struct Surroundings<'a> {
    pub wall: WallTime,
    pub server_name: &'a str,
    pub database_id: Option<u32>,
    /// `connection_id` of the connection it is about.
    pub connection: Option<Guid>,
    /// The security identifier of the login it is about, and of `sa`, under whom the instance's own work runs.
    pub login_sid: Option<String>,
}

impl Trace {
    pub fn rows(&self) -> impl Iterator<Item = &TraceRow> {
        self.rows.iter()
    }

    /// Keep what `event` is in the product's trace; nothing if it is no event there.
    pub fn record(&mut self, event: &Event, around: &Surroundings<'_>) {
        let at = |class| empty(class, around);
        match event {
            Event::Instance(InstanceEvent::ErrorLog {
                number,
                severity,
                state,
                text,
            }) => self.push(TraceRow {
                text: Some(text.clone()),
                severity: Some((*severity).into()),
                state: Some((*state).into()),
                error: Some(*number),
                ..at(CLASS_ERROR_LOG)
            }),
            Event::Endpoint(EndpointEvent::AuditLogin { audit, .. }) => {
                self.push(TraceRow {
                    login_sid: around.login_sid.clone(),
                    ..audit_row(audit, at(CLASS_AUDIT_MIRRORING_LOGIN))
                });
            }
            Event::Endpoint(event) => self.record_connection(event, around),
            Event::Session(SessionEvent::State {
                database,
                trace_id: Some(id),
                ..
            }) => {
                let before = self.state_changes.insert(database.clone(), *id);
                self.push(TraceRow {
                    text: Some(state_change_name(*id).to_owned()),
                    database_id: around.database_id,
                    database_name: Some(database.to_string()),
                    state: Some((*id).into()),
                    integer_data: Some(before.unwrap_or(0).into()),
                    login_sid: around.login_sid.clone(),
                    session_login_name: Some(SA.to_owned()),
                    ..at(CLASS_MIRRORING_STATE_CHANGE)
                });
            }
            Event::Session(SessionEvent::Removed { database, .. }) => {
                self.state_changes.remove(database);
            }
            _ => {}
        }
    }

    /// The notice that a feature was used which is to go.
    pub fn record_deprecated(&mut self, feature: Feature, around: &Surroundings<'_>) {
        let class = match feature.is_final() {
            true => CLASS_DEPRECATION_FINAL_SUPPORT,
            false => CLASS_DEPRECATION_ANNOUNCEMENT,
        };
        self.push(TraceRow {
            text: Some(feature.notice().to_owned()),
            object_name: Some(feature.name().to_owned()),
            is_system: false,
            ..empty(class, around)
        });
    }

    fn record_connection(&mut self, event: &EndpointEvent, around: &Surroundings<'_>) {
        let (subclass, text, error) = match event {
            EndpointEvent::Connecting { address, .. } => (CONNECTING, Some(address.to_string()), None),
            EndpointEvent::Connected { .. } => (CONNECTED, None, None),
            EndpointEvent::ConnectFailed {
                address,
                number,
                error,
                ..
            } => (CONNECT_FAILED, Some(format!("{address}: {error}")), Some(*number)),
            EndpointEvent::Accepted { from, .. } => (ACCEPT, Some(from.clone()), None),
            EndpointEvent::Closed { by, error, .. } => match by {
                ClosedBy::Local | ClosedBy::Timeout => (CLOSING, None, *error),
                ClosedBy::Reset => (RECEIVE_IO_ERROR, None, *error),
                ClosedBy::Peer => (CLOSED, None, *error),
            },
            _ => return,
        };
        let row = TraceRow {
            text,
            error,
            subclass: Some(subclass),
            guid: around.connection,
            ..empty(CLASS_MIRRORING_CONNECTION, around)
        };
        let ends = [CLOSING, RECEIVE_IO_ERROR].contains(&subclass);
        self.push(row.clone());
        if ends {
            self.push(TraceRow {
                subclass: Some(CLOSED),
                integer_data: Some(1),
                ..row
            });
        } else if subclass == CLOSED
            && let Some(row) = self.rows.back_mut()
        {
            row.integer_data = Some(1);
        }
    }

    fn push(&mut self, mut row: TraceRow) {
        self.events += 1;
        row.event_sequence = self.events;
        if self.rows.len() == ROWS_MAX {
            self.rows.pop_front();
        }
        self.rows.push_back(row);
    }
}

fn audit_row(audit: &LoginAudit, row: TraceRow) -> TraceRow {
    let (domain, user) = match audit.account.as_deref().and_then(|u| u.split_once('\\')) {
        Some((domain, user)) => (Some(domain.to_owned()), Some(user.to_owned())),
        None => (None, None),
    };
    TraceRow {
        nt_user_name: user,
        nt_domain_name: domain,
        subclass: AUDIT.into_iter().find(|s| s.code == i64::from(audit.subclass)),
        state: Some(audit.state.into()),
        error: Some(audit.number),
        object_name: Some(audit.connect_string.clone()),
        owner_name: Some(audit.local_methods.clone()),
        file_name: audit.remote_methods.clone(),
        provider_name: audit.method.clone(),
        role_name: Some(audit.role.clone()),
        target_user_name: Some(audit.login_state.clone()),
        session_login_name: audit.user.clone(),
        ..row
    }
}

fn empty(class: Coded, around: &Surroundings<'_>) -> TraceRow {
    TraceRow {
        text: None,
        database_id: None,
        transaction_id: None,
        nt_user_name: None,
        nt_domain_name: None,
        spid: None,
        start_time: around.wall,
        severity: None,
        subclass: None,
        integer_data: None,
        server_name: around.server_name.to_owned(),
        class,
        state: None,
        error: None,
        object_name: None,
        database_name: None,
        file_name: None,
        owner_name: None,
        role_name: None,
        target_user_name: None,
        login_sid: None,
        provider_name: None,
        request_id: None,
        event_sequence: 0,
        guid: None,
        // Nothing of this is done by a user's process.
        is_system: true,
        session_login_name: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ConnectionId, MirroringState, PartnerRole};

    fn around() -> Surroundings<'static> {
        Surroundings {
            wall: WallTime::from_unix_secs(1_767_225_600),
            server_name: "ALPHA",
            database_id: Some(5),
            connection: Some(Guid::from_bytes([7; 16])),
            login_sid: Some("0x01".to_owned()),
        }
    }

    fn closed(by: ClosedBy) -> Event {
        let (connection, error) = (ConnectionId(1), Some(28_033));
        EndpointEvent::Closed {
            connection,
            by,
            error,
        }
        .into()
    }

    fn subclasses(trace: &Trace) -> Vec<&'static str> {
        trace.rows().filter_map(|r| Some(r.subclass?.desc)).collect()
    }

    #[test]
    fn a_connection_that_ends_is_closed_once() {
        for (by, seen) in [
            (ClosedBy::Peer, &["Closed"][..]),
            (ClosedBy::Local, &["Closing", "Closed"]),
            (ClosedBy::Timeout, &["Closing", "Closed"]),
            (ClosedBy::Reset, &["Receive IO Error", "Closed"]),
        ] {
            let mut trace = Trace::default();
            trace.record(&closed(by), &around());
            assert_eq!(subclasses(&trace), seen);
            assert_eq!(trace.rows().filter(|r| r.integer_data == Some(1)).count(), 1);
            assert!(trace.rows().all(|r| r.guid == Some(Guid::from_bytes([7; 16]))));
            assert!(trace.rows().all(|r| r.error == Some(28_033)), "each says why");
        }
    }

    #[test]
    fn a_state_change_names_the_one_before() {
        let mut trace = Trace::default();
        let database = DatabaseName::new("sales");
        for id in [0, 13, 1] {
            let event = SessionEvent::State {
                database: database.clone(),
                role: PartnerRole::Principal,
                from: None,
                to: MirroringState::Synchronized,
                trace_id: Some(id),
            };
            trace.record(&event.into(), &around());
        }
        let changes: Vec<_> = trace.rows().map(|r| (r.integer_data, r.state)).collect();
        assert_eq!(
            changes,
            [(Some(0), Some(0)), (Some(0), Some(13)), (Some(13), Some(1))]
        );
        assert!(trace.rows().all(|r| r.database_id == Some(5)));
    }

    #[test]
    fn the_oldest_events_go_first() {
        let mut trace = Trace::default();
        for _ in 0..ROWS_MAX + 3 {
            trace.record(&closed(ClosedBy::Peer), &around());
        }
        assert_eq!(trace.rows().count(), ROWS_MAX);
        assert_eq!(trace.rows().next().map(|r| r.event_sequence), Some(4));
    }
}
