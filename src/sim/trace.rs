//! The typed record of a run: JSON Lines for machines, a SHA-256 for determinism.
//!
//! The [`Recorder`] is where events go while a run is played: it keeps the trace, folds each event into the [`Model`] and
//! shows it to the oracles at once. Times are virtual; nothing else about the process reaches a trace. Source: ours.

use std::cell::RefCell;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::model::Model;
use super::oracle::{End, Oracle, Violation};
use super::pcap::Capture;
use super::world::Tapped;
use crate::types::{Event, Source, Stamped, Timestamp};

/// What happened, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    events: Vec<Stamped>,
}

impl Trace {
    pub fn events(&self) -> &[Stamped] {
        &self.events
    }

    pub fn push(&mut self, event: Stamped) {
        self.events.push(event);
    }

    /// One JSON object a line: the canonical bytes of the trace.
    pub fn to_json_lines(&self) -> String {
        let mut out = String::new();
        self.each_line(|line| out.push_str(line));
        out
    }

    /// Reads back what [`Trace::to_json_lines`] wrote.
    ///
    /// # Errors
    /// The first line that is not an event, counted from 1, and why.
    pub fn from_json_lines(text: &str) -> Result<Trace, (usize, String)> {
        let events = text
            .lines()
            .enumerate()
            .map(|(i, line)| serde_json::from_str(line).map_err(|e| (i + 1, e.to_string())))
            .collect::<Result<_, _>>()?;
        Ok(Trace { events })
    }

    /// SHA-256 of the canonical bytes, in hexadecimal.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        self.each_line(|line| hasher.update(line));
        let digest = hasher.finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Hands out the canonical bytes line by line, so that a hash need not hold them all.
    fn each_line(&self, mut take: impl FnMut(&str)) {
        for event in &self.events {
            match serde_json::to_string(event) {
                Ok(line) => take(&line),
                Err(error) => unreachable!("events have text keys only, so they serialise: {error}"),
            }
            take("\n");
        }
    }
}

impl FromIterator<Stamped> for Trace {
    fn from_iter<I: IntoIterator<Item = Stamped>>(events: I) -> Self {
        Trace {
            events: events.into_iter().collect(),
        }
    }
}

/// Takes events down while a run is played. Cheap to clone; all clones write to one trace.
#[derive(Clone)]
pub struct Recorder(Rc<RefCell<Inner>>);

struct Inner {
    trace: Trace,
    model: Model,
    oracles: Vec<Box<dyn Oracle>>,
    violations: Vec<Violation>,
    capture: Option<Capture>,
}

impl Recorder {
    pub fn new(oracles: Vec<Box<dyn Oracle>>) -> Recorder {
        Recorder(Rc::new(RefCell::new(Inner {
            trace: Trace::default(),
            model: Model::default(),
            oracles,
            violations: Vec::new(),
            capture: None,
        })))
    }

    /// As [`Recorder::new`], and takes down the packets of the wire as well.
    pub fn capturing(oracles: Vec<Box<dyn Oracle>>) -> Recorder {
        let recorder = Recorder::new(oracles);
        recorder.0.borrow_mut().capture = Some(Capture::new());
        recorder
    }

    /// A packet was seen on the wire.
    pub fn packet(&self, tapped: &Tapped<'_>) {
        if let Some(capture) = &mut self.0.borrow_mut().capture {
            capture.packet(tapped);
        }
    }

    /// The packets so far as a pcap file; empty if none are taken down.
    pub fn take_capture(&self) -> Vec<u8> {
        let capture = self.0.borrow_mut().capture.take();
        capture.map(Capture::into_bytes).unwrap_or_default()
    }

    pub fn record(&self, at: Timestamp, source: Source, event: impl Into<Event>) {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        let stamped = Stamped {
            at,
            source,
            event: event.into(),
        };
        super::log::tell(&stamped);
        inner.model.observe(&stamped);
        for oracle in &mut inner.oracles {
            oracle.observe(&stamped, &mut inner.violations);
        }
        inner.trace.push(stamped);
    }

    /// Look at who is what, now. `look` must not record.
    pub fn model<T>(&self, look: impl FnOnce(&Model) -> T) -> T {
        look(&self.0.borrow().model)
    }

    /// A client was stopped: it waits for no acknowledgement any more.
    pub fn client_stopped(&self, name: &str, at: Timestamp) {
        self.0.borrow_mut().model.client_stopped(name, at);
    }

    /// Ask the oracles for their last word and hand out what was recorded. Later events are lost.
    pub fn finish(&self, end: &End) -> (Trace, Vec<Violation>) {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        for oracle in &mut inner.oracles {
            oracle.finish(end, &mut inner.violations);
        }
        (
            std::mem::take(&mut inner.trace),
            std::mem::take(&mut inner.violations),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{
        ClientEvent, ConnectionId, DatabaseName, EndpointEvent, InstanceName, Lsn, Reply, ReplyItem,
        SessionEvent, TransactionId, Value, WorldEvent,
    };

    fn sample() -> Trace {
        let alpha = Source::Instance(InstanceName::new("alpha"));
        let events: Vec<(Source, Event)> = vec![
            (Source::World, WorldEvent::Quiet.into()),
            (
                alpha.clone(),
                EndpointEvent::Accepted {
                    connection: ConnectionId(2),
                    from: "10.0.0.2:5000".into(),
                }
                .into(),
            ),
            (
                alpha.clone(),
                SessionEvent::CommitAcknowledged {
                    database: DatabaseName::new("Sales"),
                    transaction: TransactionId(u64::MAX),
                    lsn: Lsn::MAX,
                    role_sequence: 1,
                    state: None,
                }
                .into(),
            ),
            (
                Source::Client("app".into()),
                ClientEvent::Batch {
                    on: InstanceName::new("alpha"),
                    reply: Reply {
                        items: vec![ReplyItem::Rows {
                            columns: vec!["a".into()],
                            rows: vec![vec![Value::Null, Value::Int(-1), Value::Bool(true)]],
                        }],
                    },
                }
                .into(),
            ),
        ];
        events
            .into_iter()
            .map(|(source, event)| Stamped {
                at: Timestamp::from_millis(5),
                source,
                event,
            })
            .collect()
    }

    #[test]
    fn json_lines_read_back_as_the_same_events() {
        let trace = sample();
        let text = trace.to_json_lines();
        assert_eq!(text.lines().count(), trace.events().len());
        assert_eq!(Trace::from_json_lines(&text), Ok(trace));
        assert!(Trace::from_json_lines("{}\n").is_err_and(|(line, _)| line == 1));
    }

    /// Traces are kept: one from before a word was added is read as if it said no.
    #[test]
    fn a_trace_that_lacks_a_later_word_is_read() {
        let event = SessionEvent::WitnessSet {
            database: DatabaseName::new("Sales"),
            witness: None,
            anew: false,
        };
        let trace = Trace::from_iter([Stamped {
            at: Timestamp::from_millis(5),
            source: Source::Instance(InstanceName::new("alpha")),
            event: event.into(),
        }]);
        let text = trace.to_json_lines().replace(",\"anew\":false", "");
        assert!(!text.contains("anew"), "{text}");
        assert_eq!(Trace::from_json_lines(&text), Ok(trace));
    }

    #[test]
    fn the_hash_sees_order_and_time() {
        let trace = sample();
        let mut reversed = trace.clone();
        reversed.events.reverse();
        assert_ne!(trace.hash(), reversed.hash());
        let mut later = trace.clone();
        later.events[0].at = Timestamp::from_millis(6);
        assert_ne!(trace.hash(), later.hash());
        assert_eq!(trace.hash(), sample().hash());
        assert_eq!(trace.hash().len(), 64);
    }
}
