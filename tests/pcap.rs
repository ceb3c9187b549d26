//! The packet capture, read back by parsers that know nothing of how it was written: the file by `pcap-parser`, headers and
//! checksums by hand, streams by sequence number. What went over the wire is what the capture shows.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use mirrorlab::driver::net::{Net, NetListener, NetRead, NetStream, NetWrite};
use mirrorlab::sim::launch;
use mirrorlab::sim::oracle;
use mirrorlab::sim::runner::{Verdict, run, run_captured};
use mirrorlab::sim::scenario::{Library, Scenario};
use mirrorlab::sim::trace::Recorder;
use mirrorlab::sim::world::{SystemConfig, World, WorldConfig};
use mirrorlab::types::ServerAddress;
use mirrorlab::wire::frame::{FrameDecoder, FrameType, PAYLOAD_BYTES_MAX, Protocol};
use mirrorlab::wire::mirroring::MAGIC;
use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{LegacyPcapReader, Linktype, PcapBlockOwned, PcapError};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

type End = ([u8; 4], u16);

#[derive(Debug, Clone)]
struct Segment {
    micros: u64,
    from: End,
    to: End,
    sequence: u32,
    flags: u8,
    payload: Vec<u8>,
}

impl Segment {
    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The one's complement sum of RFC 1071; all ones over anything that carries a right checksum.
fn sum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn segment(micros: u64, packet: &[u8]) -> Segment {
    let (ethernet, ip) = packet.split_at(14);
    assert_eq!(be16(ethernet, 12), 0x0800, "IPv4");
    assert_eq!(ip[0] >> 4, 4);
    let header = usize::from(ip[0] & 0x0f) * 4;
    assert_eq!(usize::from(be16(ip, 2)), ip.len(), "the total length");
    assert_eq!(ip[9], 6, "TCP");
    assert_eq!(sum(&[&ip[..header]]), 0xffff, "the header's checksum");
    let tcp = &ip[header..];
    let length = (tcp.len() as u16).to_be_bytes();
    assert_eq!(
        sum(&[&ip[12..20], &[0, 6], &length, tcp]),
        0xffff,
        "the segment's checksum"
    );
    let address = |at: usize| [ip[at], ip[at + 1], ip[at + 2], ip[at + 3]];
    Segment {
        micros,
        from: (address(12), be16(tcp, 0)),
        to: (address(16), be16(tcp, 2)),
        sequence: be32(tcp, 4),
        flags: tcp[13],
        payload: tcp[usize::from(tcp[12] >> 4) * 4..].to_vec(),
    }
}

/// Every packet of the file; their times never go back.
fn segments(file: &[u8]) -> Vec<Segment> {
    let mut reader = LegacyPcapReader::new(1 << 20, file).expect("a pcap file");
    let mut found: Vec<Segment> = Vec::new();
    loop {
        match reader.next() {
            Ok((offset, block)) => {
                match block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        assert_eq!(header.network, Linktype::ETHERNET);
                        assert!(!header.is_nanosecond_precision());
                    }
                    PcapBlockOwned::Legacy(packet) => {
                        assert_eq!(packet.caplen, packet.origlen);
                        let micros = u64::from(packet.ts_sec) * 1_000_000 + u64::from(packet.ts_usec);
                        assert!(found.last().is_none_or(|last| last.micros <= micros));
                        found.push(segment(micros, packet.data));
                    }
                    PcapBlockOwned::NG(_) => panic!("this is no pcapng"),
                }
                reader.consume(offset);
            }
            Err(PcapError::Incomplete(_)) => reader.refill().expect("more of the file"),
            Err(PcapError::Eof) => return found,
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// What each side of each connection said, put together by sequence numbers; one entry per connection and direction.
fn streams(segments: &[Segment]) -> Vec<((End, End), Vec<u8>)> {
    let mut done = Vec::new();
    let mut open: BTreeMap<(End, End), (u32, Vec<u8>)> = BTreeMap::new();
    for s in segments {
        let way = (s.from, s.to);
        if s.has(SYN) {
            done.extend(open.remove(&way).map(|(_, bytes)| (way, bytes)));
            open.insert(way, (s.sequence.wrapping_add(1), Vec::new()));
        }
        if s.payload.is_empty() {
            continue;
        }
        let (next, bytes) = open.get_mut(&way).expect("nothing is said before a SYN");
        assert_eq!(s.sequence, *next, "{way:?}: no gap and nothing twice");
        *next = next.wrapping_add(s.payload.len() as u32);
        bytes.extend_from_slice(&s.payload);
    }
    done.extend(open.into_iter().map(|(way, (_, bytes))| (way, bytes)));
    done
}

fn scenario(encryption: &str) -> Scenario {
    let text = format!(
        r#"
        promise = "A session runs."
        risk = "None."
        extends = "trio_unmirrored"
        until = "12s"

        [[setup]]
        on = "alpha"
        sql = "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ENCRYPTION = {encryption});"

        [[setup]]
        on = "beta"
        sql = "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ENCRYPTION = {encryption});"

        [[setup]]
        on = "beta"
        sql = "ALTER DATABASE Sales SET PARTNER = 'TCP://alpha.lab.example:7022';"

        [[setup]]
        on = "alpha"
        sql = "ALTER DATABASE Sales SET PARTNER = 'TCP://beta.lab.example:7022';"

        [[setup]]
        wait = {{ on = "beta", state = "SYNCHRONIZED" }}

        [[client]]
        name = "app"
        initial = "alpha"
        failover_partner = "beta"

        [[step]]
        at = "3s"
        fault = {{ kind = "kill", instance = "beta", lasts = "1s" }}

        [[expect]]
        client = "app"
        acknowledged = {{ at_least = 10 }}
        "#
    );
    let mut library = Library::built_in();
    library.insert("test/captured", &text);
    library
        .load("test/captured")
        .unwrap_or_else(|error| panic!("{}", error.report()))
}

/// The streams between endpoints, and how many frames of which type each holds; every byte belongs to a frame.
fn mirroring(file: &[u8]) -> (Vec<Vec<u8>>, BTreeMap<FrameType, u32>) {
    let preamble = Protocol::Mirroring.preamble();
    let all = streams(&segments(file)).into_iter();
    let ours: Vec<Vec<u8>> = all
        .map(|(_, bytes)| bytes)
        .filter(|bytes| bytes.starts_with(&preamble))
        .collect();
    let mut kinds = BTreeMap::new();
    for bytes in &ours {
        let mut decoder = FrameDecoder::new(Protocol::Mirroring, PAYLOAD_BYTES_MAX);
        decoder.push(bytes);
        while let Some((header, _)) = decoder.next_frame().expect("whole frames, in order") {
            *kinds.entry(header.kind).or_default() += 1;
        }
        assert_eq!(decoder.buffered(), 0);
    }
    (ours, kinds)
}

fn shows(streams: &[Vec<u8>], text: &[u8]) -> bool {
    streams
        .iter()
        .any(|bytes| bytes.windows(text.len()).any(|w| w == text))
}

#[test]
fn required_is_never_clear_and_disabled_is() {
    for (encryption, clear) in [
        ("REQUIRED ALGORITHM AES", false),
        ("REQUIRED ALGORITHM RC4", false),
        ("DISABLED", true),
    ] {
        let (run, file) = run_captured(&launch::instances(), &scenario(encryption), 1);
        assert_eq!(run.verdict, Verdict::Pass, "{:?}", run.failures);
        let (streams, kinds) = mirroring(&file);
        assert!(streams.len() >= 4, "both directions of two connections");
        assert!(kinds[&FrameType::SESSION] > 50, "{kinds:?}");
        assert_eq!(shows(&streams, &MAGIC), clear, "{encryption}: session messages");
        assert_eq!(
            shows(&streams, b"TCP://alpha.lab.example:7022"),
            clear,
            "{encryption}: addresses"
        );
    }
}

#[test]
fn connections_begin_and_end_as_tcp_does() {
    let (_, file) = run_captured(&launch::instances(), &scenario("REQUIRED ALGORITHM AES"), 1);
    let segments = segments(&file);
    let asked = segments.iter().filter(|s| s.has(SYN) && !s.has(ACK));
    let answered: BTreeSet<_> = segments
        .iter()
        .filter(|s| s.has(SYN) && s.has(ACK))
        .map(|s| (s.to, s.from))
        .collect();
    let mut refused = 0;
    for syn in asked {
        let reset = |s: &&Segment| s.has(RST) && (s.to, s.from) == (syn.from, syn.to);
        match answered.contains(&(syn.from, syn.to)) {
            true => {}
            false => {
                assert!(segments.iter().any(|s| reset(&s)), "{syn:?} got no answer");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "beta was dead for a second");
    assert!(segments.iter().any(|s| s.has(FIN)));
    let hours_since_2026 = (segments[0].micros - 1_767_225_600_000_000) / 3_600_000_000;
    assert_eq!(hours_since_2026, 0);
}

#[test]
fn capturing_changes_nothing_and_repeats() {
    let scenario = scenario("REQUIRED ALGORITHM AES");
    let (captured, file) = run_captured(&launch::instances(), &scenario, 3);
    assert_eq!(
        captured.trace_hash,
        run(&launch::instances(), &scenario, 3).trace_hash
    );
    assert_eq!(file, run_captured(&launch::instances(), &scenario, 3).1);
    assert!(
        run_captured(&launch::second_opinion(), &trio(), 1).1.len() <= 24,
        "no wire, no packets"
    );
}

fn trio() -> Scenario {
    Library::built_in()
        .load("failover/automatic_on_kill")
        .unwrap_or_else(|error| panic!("{}", error.report()))
}

/// Two processes tell each other bytes that are known beforehand.
#[test]
fn the_bytes_in_the_capture_are_the_bytes_that_were_sent() {
    let said: Vec<u8> = (0..100_000u32).map(|i| (i * 7 + i / 251) as u8).collect();
    let recorder = Recorder::capturing(oracle::all());
    let heard: Rc<RefCell<Vec<u8>>> = Rc::default();
    let (tap, bytes, ear) = (recorder.clone(), said.clone(), heard.clone());
    World::run(WorldConfig::new(5), async move |world: World| {
        let add = |name: &str| world.add_system(SystemConfig::new(name)).expect("a system");
        let (alpha, beta) = (add("alpha"), add("beta"));
        world.tap(Box::new(move |tapped| tap.packet(tapped)));
        let served = world.spawn(beta, "listener", |env| async move {
            let listener = env.net.listen(None, 7022).await.expect("bound");
            let (stream, _) = listener.accept().await.expect("a caller");
            let (mut read, _write) = stream.into_split();
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = read.read(&mut buffer).await {
                ear.borrow_mut().extend_from_slice(&buffer[..n]);
            }
        });
        served.expect("spawned");
        let called = world.spawn(alpha, "caller", |env| async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let address = ServerAddress::new("beta", 7022);
            let stream = env.net.connect(&address).await.expect("connected");
            let (_read, mut write) = stream.into_split();
            write.write_all(&bytes).await.expect("written");
            write.shutdown().await.expect("shut down");
            tokio::time::sleep(Duration::from_secs(5)).await;
        });
        called.expect("spawned");
        world.run_for(Duration::from_secs(10)).await;
    })
    .expect("a world");
    assert_eq!(*heard.borrow(), said);
    let streams = streams(&segments(&recorder.take_capture()));
    let there: Vec<_> = streams.iter().filter(|((_, to), _)| to.1 == 7022).collect();
    assert_eq!(there.len(), 1);
    assert_eq!(there[0].1, said);
}
