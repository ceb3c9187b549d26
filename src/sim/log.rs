//! The log for people: what the trace records, as `tracing` events stamped with virtual time.
//!
//! Off unless a subscriber listens. Changes of role, service and endpoint are `info`, what an operator should look at is
//! `warn`, decisions are `debug`, traffic is `trace`. Source: ours.

use tracing::Level;

use super::render::line;
use crate::types::{EndpointEvent, Event, InstanceEvent, SessionEvent, Source, Stamped, WorldEvent};

/// Hand an event to whoever listens.
pub fn tell(stamped: &Stamped) {
    let level = level(&stamped.event);
    macro_rules! log {
        ($level:expr) => {
            if tracing::enabled!($level) {
                let who = match &stamped.source {
                    Source::World => "world",
                    Source::Instance(name) => name.as_str(),
                    Source::Client(name) => name,
                };
                let text = line(&stamped.event);
                tracing::event!($level, at = %stamped.at, who, "{text}");
            }
        };
    }
    match level {
        Level::WARN => log!(Level::WARN),
        Level::INFO => log!(Level::INFO),
        Level::DEBUG => log!(Level::DEBUG),
        _ => log!(Level::TRACE),
    }
}

fn level(event: &Event) -> Level {
    match event {
        Event::World(WorldEvent::ClearSessionMessage { .. } | WorldEvent::SealedSessionMessage { .. }) => {
            Level::TRACE
        }
        Event::World(_) => Level::INFO,
        Event::Instance(InstanceEvent::ErrorLog { severity, .. }) if *severity >= 16 => Level::WARN,
        Event::Instance(InstanceEvent::Stopped { .. } | InstanceEvent::DiskError { .. }) => Level::WARN,
        Event::Instance(InstanceEvent::Started { .. } | InstanceEvent::ErrorLog { .. }) => Level::INFO,
        Event::Instance(_) | Event::Client(_) => Level::DEBUG,
        Event::Endpoint(EndpointEvent::LoginState { .. } | EndpointEvent::PingReceived { .. }) => {
            Level::TRACE
        }
        Event::Endpoint(
            EndpointEvent::Listening { .. }
            | EndpointEvent::StoppedListening { .. }
            | EndpointEvent::CannotListen { .. }
            | EndpointEvent::Altered { .. },
        ) => Level::INFO,
        Event::Endpoint(_) => Level::DEBUG,
        Event::Session(
            SessionEvent::Role { .. }
            | SessionEvent::State { .. }
            | SessionEvent::Serving { .. }
            | SessionEvent::Takeover { .. }
            | SessionEvent::PageDamaged { .. }
            | SessionEvent::PageRepair { .. }
            | SessionEvent::LogReverted { .. }
            | SessionEvent::Configured { .. }
            | SessionEvent::Removed { .. }
            | SessionEvent::Unavailable { .. }
            | SessionEvent::WitnessSet { anew: false, .. },
        ) => Level::INFO,
        Event::Session(
            SessionEvent::ActsOn { .. }
            | SessionEvent::LogGenerated { .. }
            | SessionEvent::LogSent { .. }
            | SessionEvent::FailoverLsn { .. }
            | SessionEvent::LogRecovered { .. }
            | SessionEvent::LogTruncated { .. }
            | SessionEvent::LogHardened { .. }
            | SessionEvent::Redone { .. }
            | SessionEvent::CommitAcknowledged { .. },
        ) => Level::TRACE,
        Event::Session(_) => Level::DEBUG,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::types::{DatabaseName, InstanceName, PartnerRole, Timestamp};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_role_change_is_told_with_virtual_time_and_traffic_is_not() {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .with_max_level(Level::INFO)
            .with_writer(move || writer.clone())
            .finish();
        let beta = Source::Instance(InstanceName::new("beta"));
        let database = DatabaseName::new("Sales");
        let role = SessionEvent::Role {
            database: database.clone(),
            from: Some(PartnerRole::Mirror),
            to: PartnerRole::Principal,
            role_sequence: 2,
        };
        let note = SessionEvent::Note {
            database,
            text: "a decision".into(),
        };
        tracing::subscriber::with_default(subscriber, || {
            for event in [role, note] {
                let at = Timestamp::from_millis(22_009);
                tell(&Stamped {
                    at,
                    source: beta.clone(),
                    event: event.into(),
                });
            }
        });
        let told = String::from_utf8(sink.0.lock().expect("not poisoned").clone()).expect("UTF-8");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(
            told.contains("+22.009s") && told.contains("beta") && told.contains("MIRROR -> PRINCIPAL"),
            "{told}"
        );
    }
}
