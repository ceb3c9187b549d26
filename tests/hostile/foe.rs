//! The attacker: a genuine connection that does as it should, until its plan says otherwise.

use std::sync::Arc;
use std::time::Duration;

use mirrorlab::domain::{FrameReader, encode_frame};
use mirrorlab::driver::clock::Clock;
use mirrorlab::driver::net::{Net, NetRead, NetStream, NetWrite};
use mirrorlab::endpoint::connection::{ArbitrationVerdict, Connection, ConnectionOutput};
use mirrorlab::endpoint::local::LocalEndpoint;
use mirrorlab::sim::world::ProcessEnv;
use mirrorlab::types::{ConnectionId, Now, ServerAddress, Timestamp};
use mirrorlab::wire::frame::{FrameHeader, HEADER_BYTES, PREAMBLE_BYTES};

/// How long he waits for something to happen.
const PATIENCE: Duration = Duration::from_secs(90);

pub struct Foe {
    pub system: &'static str,
    pub local: LocalEndpoint,
    pub seed: [u8; 32],
    pub target: ServerAddress,
}

/// What he does with a message that he should send now.
pub enum Deed {
    Honest,
    /// These bytes go in its place, and he goes on as if nothing were.
    Changed(Vec<u8>),
    /// These bytes go in its place, and then he only listens.
    Last(Vec<u8>),
}

/// Called with the number of his own message, and its bytes (the preamble with the first).
type OnMessage = Box<dyn FnMut(usize, &[u8]) -> Deed>;

/// Called once, when the login has succeeded; what it returns is sent as it is.
type OnOnline = Box<dyn FnOnce(&mut Connection, Now) -> Vec<u8>>;

pub struct Plan {
    pub deed: OnMessage,
    pub online: Option<OnOnline>,
}

impl Plan {
    pub fn honest() -> Plan {
        Plan {
            deed: Box::new(|_, _| Deed::Honest),
            online: None,
        }
    }

    /// An honest login up to his message number `step`, in whose place he sends what `make` makes of it.
    pub fn until(step: usize, make: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Plan {
        Plan {
            deed: Box::new(move |number, bytes| match number == step {
                true => Deed::Last(make(bytes)),
                false => Deed::Honest,
            }),
            online: None,
        }
    }

    /// An honest login, and then this.
    pub fn online(act: impl FnOnce(&mut Connection, Now) -> Vec<u8> + 'static) -> Plan {
        Plan {
            online: Some(Box::new(act)),
            ..Plan::honest()
        }
    }
}

/// What became of an attack.
#[derive(Debug)]
pub struct Report {
    /// His address and port.
    pub from: String,
    /// How the connection ended: `closed`, `reset`, `open`.
    pub end: &'static str,
    /// From his connection, and from his last deed on.
    pub after: Duration,
    pub since_deed: Duration,
    pub was_online: bool,
    /// The bytes he was told, how many of them after his last deed, and how many when nothing could be on its way any more.
    pub heard: Vec<u8>,
    pub heard_after: usize,
    pub heard_late: usize,
    /// What he sent, message by message.
    pub said: Vec<Vec<u8>>,
    /// The session messages he was told.
    pub told: Vec<Vec<u8>>,
}

impl Report {
    /// Closed at once, without a word.
    pub fn assert_refused(&self, what: &str) {
        assert_ne!(self.end, "open", "{what}: {self:?}");
        assert!(self.since_deed < Duration::from_secs(1), "{what}: {self:?}");
        assert_eq!(self.heard_after, 0, "{what}: {self:?}");
    }

    /// Closed at once, whatever was on its way.
    pub fn assert_ended(&self, what: &str) {
        assert_ne!(self.end, "open", "{what}: {self:?}");
        assert!(self.since_deed < Duration::from_secs(1), "{what}: {self:?}");
    }

    /// The kinds of the frames he was told.
    pub fn kinds(&self) -> Vec<u8> {
        let mut kinds = Vec::new();
        let mut rest = self.heard.get(PREAMBLE_BYTES..).unwrap_or_default();
        while let Some(bytes) = rest.first_chunk::<HEADER_BYTES>() {
            let (header, _) = FrameHeader::parse(bytes);
            kinds.push(header.kind.0);
            rest = rest
                .get(HEADER_BYTES + header.length as usize..)
                .unwrap_or_default();
        }
        kinds
    }
}

/// Connects and follows the plan until the connection ends or his patience does.
pub async fn act(env: ProcessEnv, foe: Foe, mut plan: Plan) -> Report {
    let begun = env.clock.now().at;
    let stream = env.net.connect(&foe.target).await.expect("the target listens");
    let mut report = Report {
        from: stream.local_addr().expect("connected").to_string(),
        end: "open",
        after: Duration::ZERO,
        since_deed: Duration::ZERO,
        was_online: false,
        heard: Vec::new(),
        heard_after: 0,
        heard_late: 0,
        said: Vec::new(),
        told: Vec::new(),
    };
    let (mut read, mut write) = stream.into_split();
    let far = format!("TCP://{}:{}", foe.target.host(), foe.target.port());
    let mut connection = Connection::initiate(
        ConnectionId(1),
        Arc::new(foe.local),
        far,
        foe.seed,
        env.clock.now(),
    );
    connection.on_connected(env.clock.now());
    let limit = begun + PATIENCE;
    let mut deed_at = None;
    let mut buffer = vec![0; 16 << 10];
    loop {
        let mut last_words = Vec::new();
        while let Some(output) = connection.poll() {
            let now = env.clock.now();
            match output {
                ConnectionOutput::Send(_) if deed_at.is_some() => {}
                ConnectionOutput::Send(bytes) => {
                    let said = match (plan.deed)(report.said.len(), &bytes) {
                        Deed::Honest => bytes,
                        Deed::Changed(bytes) => bytes,
                        Deed::Last(bytes) => {
                            deed_at = Some(now.at);
                            bytes
                        }
                    };
                    // Whoever has had enough resets the stream under a long message.
                    drop(write.write_all(&said).await);
                    report.said.push(said);
                }
                ConnectionOutput::Arbitrate(_) => {
                    connection.resolve_arbitration(now, ArbitrationVerdict::Keep);
                }
                ConnectionOutput::AskController(request) => {
                    let answer = ask(&env, &request).await;
                    connection.on_controller(env.clock.now(), Ok(&answer));
                }
                ConnectionOutput::Message(message) => report.told.push(message),
                ConnectionOutput::Online(_) => {
                    report.was_online = true;
                    if let Some(act) = plan.online.take() {
                        last_words = act(&mut connection, now);
                    }
                }
                _ => {}
            }
        }
        if report.was_online && !last_words.is_empty() {
            drop(write.write_all(&last_words).await);
            deed_at = Some(env.clock.now().at);
        }
        let due = connection.next_deadline().filter(|_| deed_at.is_none());
        let wake = due.map_or(limit, |(at, _)| at.min(limit));
        let got = tokio::select! {
            biased;
            got = read.read(&mut buffer) => Some(got),
            () = env.clock.sleep_until(wake) => None,
        };
        let now = env.clock.now();
        match got {
            Some(Ok(n @ 1..)) => {
                report.heard.extend_from_slice(&buffer[..n]);
                match deed_at {
                    Some(at) => {
                        report.heard_after += n;
                        if now.at.since(at) > Duration::from_millis(500) {
                            report.heard_late += n;
                        }
                    }
                    None => connection.receive(now, &buffer[..n]),
                }
            }
            Some(Ok(0)) => report.end = "closed",
            Some(Err(_)) => report.end = "reset",
            None if now.at >= limit => {}
            None => connection.wake(now),
        }
        if report.end != "open" || now.at >= limit {
            report.after = now.at.since(begun);
            report.since_deed = now.at.since(deed_at.unwrap_or(begun));
            return report;
        }
    }
}

/// What the domain controller says.
async fn ask(env: &ProcessEnv, request: &[u8]) -> Vec<u8> {
    let controller = ServerAddress::new("dc", 88);
    let stream = env.net.connect(&controller).await.expect("it listens");
    let (mut read, mut write) = stream.into_split();
    write.write_all(&encode_frame(request)).await.expect("sent");
    let (mut frames, mut buffer) = (FrameReader::default(), [0; 4096]);
    loop {
        let n = read.read(&mut buffer).await.expect("answered");
        frames.push(&buffer[..n]);
        if let Some(answer) = frames.next().expect("a frame") {
            return answer;
        }
    }
}

/// Connects, says `words`, and waits for the end: when it came, or none within his patience; and how much was said to him.
pub async fn speak(env: &ProcessEnv, target: &ServerAddress, words: &[u8]) -> (Option<Timestamp>, usize) {
    let limit = env.clock.now().at + PATIENCE;
    let Ok(stream) = env.net.connect(target).await else {
        return (Some(env.clock.now().at), 0);
    };
    let (mut read, mut write) = stream.into_split();
    drop(write.write_all(words).await);
    let (mut heard, mut buffer) = (0, [0; 4096]);
    loop {
        let got = tokio::select! {
            biased;
            got = read.read(&mut buffer) => got,
            () = env.clock.sleep_until(limit) => return (None, heard),
        };
        match got {
            Ok(n @ 1..) => heard += n,
            Ok(0) | Err(_) => return (Some(env.clock.now().at), heard),
        }
    }
}
