//! Frames, both protocols' messages, sealed records.

use mirrorlab::crypto::record::{RecordCipher, SECRET_BYTES};
use mirrorlab::error::msg;
use mirrorlab::types::{EncryptionInUse, Guid, Reply, ReplyItem, Value};
use mirrorlab::wire::client::{
    CLIENT_VERSION, ClientCodec, ClientHello, ClientRequest, ClientResponse, ServerCodec, ServerHello,
};
use mirrorlab::wire::frame::{
    FLAG_SEALED, FrameHeader, HEADER_BYTES, HEADER_CHECKED_BYTES, LOGIN_PAYLOAD_BYTES_MAX, put_frame,
};
use mirrorlab::wire::login::{AlgorithmCode, Arbitration, AuthMethod, LevelCode, LoginMessage, Offer};
use mirrorlab::wire::mirroring::{Body, Message, MessageError};
use mirrorlab::wire::{DecodeError, FrameDecoder, FrameType, Protocol};

use super::{Seed, samples, seed};

pub fn frames(bytes: &[u8]) -> bool {
    let whole = cut(bytes, bytes.len().max(1));
    assert_eq!(whole, cut(bytes, 7), "portions change nothing");
    let Ok(frames) = whole else {
        return false;
    };
    let mut written = Protocol::Mirroring.preamble().to_vec();
    for (header, payload) in &frames {
        written.extend_from_slice(&header.bytes(payload));
        written.extend_from_slice(payload);
    }
    assert!(
        frames.is_empty() || bytes.starts_with(&written),
        "what was read is what was written"
    );
    !frames.is_empty()
}

type Frames = Vec<(FrameHeader, Vec<u8>)>;

fn cut(bytes: &[u8], portion: usize) -> Result<Frames, DecodeError> {
    let mut decoder = FrameDecoder::new(Protocol::Mirroring, LOGIN_PAYLOAD_BYTES_MAX);
    let mut frames = Vec::new();
    for piece in bytes.chunks(portion) {
        decoder.push(piece);
        while let Some((header, payload)) = decoder.next_frame()? {
            frames.push((header, payload.to_vec()));
        }
        assert!(decoder.buffered() < HEADER_BYTES + LOGIN_PAYLOAD_BYTES_MAX);
    }
    Ok(frames)
}

pub fn frame_seeds() -> Vec<Seed> {
    let mut clear = Protocol::Mirroring.preamble().to_vec();
    for (n, payload) in [&b""[..], b"payload", &[7; 300]].into_iter().enumerate() {
        put_frame(&mut clear, FrameType::SESSION, n as u64, payload);
    }
    let mut sealed = Protocol::Mirroring.preamble().to_vec();
    let header = FrameHeader {
        kind: FrameType::SESSION,
        flags: FLAG_SEALED,
        sequence: 0,
        length: 40,
    };
    sealed.extend_from_slice(&header.bytes(&[]));
    sealed.extend_from_slice(&[9; 40]);
    vec![seed("clear", clear), seed("sealed", sealed)]
}

pub fn client_requests(bytes: &[u8]) -> bool {
    let mut server = ServerCodec::new();
    server.expect_batches();
    server.push(bytes);
    let mut client = ClientCodec::new();
    let mut again = ServerCodec::new();
    again.expect_batches();
    let mut understood = false;
    loop {
        match server.next_request() {
            Ok(Some(request)) => {
                understood = true;
                if let Ok(bytes) = client.encode(&request) {
                    again.push(&bytes);
                    assert_eq!(again.next_request(), Ok(Some(request)));
                }
            }
            Ok(None) => return understood,
            Err(_) => return false,
        }
    }
}

pub fn client_request_seeds() -> Vec<Seed> {
    let hello = ClientHello {
        version: CLIENT_VERSION,
        login_name: "app".into(),
        database: Some("Sales".into()),
        application: "orders".into(),
    };
    let mut client = ClientCodec::new();
    let requests = [
        ClientRequest::Hello(hello),
        ClientRequest::Batch("SELECT 'ü' FROM [a]]b]".into()),
    ];
    let bytes = requests
        .iter()
        .flat_map(|r| client.encode(r).expect("it fits"))
        .collect::<Vec<_>>();
    vec![seed("conversation", bytes)]
}

pub fn client_responses(bytes: &[u8]) -> bool {
    let mut client = ClientCodec::new();
    client.push(bytes);
    let (mut server, mut again) = (ServerCodec::new(), ClientCodec::new());
    let mut understood = false;
    loop {
        match client.next_response() {
            Ok(Some(response)) => {
                understood = true;
                if let Ok(bytes) = server.encode(&response) {
                    again.push(&bytes);
                    assert_eq!(again.next_response(), Ok(Some(response)));
                }
            }
            Ok(None) => return understood,
            Err(_) => return false,
        }
    }
}

pub fn client_response_seeds() -> Vec<Seed> {
    let hello = ServerHello {
        server_name: "ALPHA".into(),
        instance: "alpha".into(),
        failover_partner: Some("BETA".into()),
        database: None,
    };
    let reply = Reply {
        items: vec![
            ReplyItem::Rows {
                columns: vec!["a".into(), "b".into()],
                rows: vec![
                    vec![Value::Int(1), Value::Null],
                    vec![Value::Bool(true), Value::from("x")],
                ],
            },
            ReplyItem::Affected(2),
            ReplyItem::Error(msg::DATABASE_MIRROR.with(&[&"Sales"])),
        ],
    };
    let mut server = ServerCodec::new();
    let responses = [
        ClientResponse::Hello(hello),
        ClientResponse::Reply(reply),
        ClientResponse::Refused(msg::LOGIN_FAILED.with(&[&"x"])),
    ];
    let bytes = responses
        .iter()
        .flat_map(|r| server.encode(r).expect("it fits"))
        .collect::<Vec<_>>();
    vec![seed("conversation", bytes)]
}

/// The kind of the message, and its payload.
pub fn login_messages(bytes: &[u8]) -> bool {
    let Some((kind, payload)) = bytes.split_first() else {
        return false;
    };
    let Ok(message) = LoginMessage::decode(FrameType(*kind), payload) else {
        return false;
    };
    assert_eq!(
        LoginMessage::decode(message.kind(), &message.payload()),
        Ok(message)
    );
    true
}

pub fn login_message_seeds() -> Vec<Seed> {
    let offer = Offer {
        methods: vec![AuthMethod::NEGOTIATE, AuthMethod::CERTIFICATE, AuthMethod(200)],
        level: LevelCode::SUPPORTED,
        algorithms: vec![AlgorithmCode::AES, AlgorithmCode::RC4],
    };
    let request = Arbitration {
        arbitration_id: Guid::from_bytes([7; 16]),
        server_name: "ALPHA".into(),
        role: 3,
        address: Some("TCP://alpha.lab.example:7022".parse().expect("an address")),
        version: 2022,
    };
    let messages = [
        LoginMessage::Offer(offer.clone()),
        LoginMessage::Answer(offer),
        LoginMessage::Token(vec![1, 2, 3]),
        LoginMessage::Reject,
        LoginMessage::Confirm(0x8009_030C),
        LoginMessage::Validation([1; 32]),
        LoginMessage::Accepted([2; 32]),
        LoginMessage::ArbitrationRequest(request),
        LoginMessage::ArbitrationResponse,
    ];
    let of = |m: &LoginMessage| {
        seed(
            format!("kind_{}", m.kind().0),
            [&[m.kind().0][..], &m.payload()].concat(),
        )
    };
    messages.iter().map(of).collect()
}

pub fn session_messages(bytes: &[u8]) -> bool {
    let Ok(message) = Message::decode(bytes) else {
        return false;
    };
    let again = message.encode().expect("what was read can be written");
    assert_eq!(Message::decode(&again), Ok(message));
    true
}

pub fn session_message_seeds() -> Vec<Seed> {
    let message = |body| Message {
        session: Guid::from_bytes([5; 16]),
        role_sequence: 3,
        link: 8,
        body,
    };
    let mut bodies = samples::bodies();
    let frame = samples::block(40).encode().to_vec();
    bodies.push(("block_compressed".into(), Body::Block { frame }));
    let of = |(name, body)| seed(name, message(body).encode().expect("it fits"));
    let seeds: Vec<Seed> = bodies.into_iter().map(of).collect();
    // Of every kind there is: a message that ends behind its kind is no message of an unknown one.
    let mut bare = message(Body::Removed).encode().expect("it fits");
    let at = bare.len() - 1;
    for kind in 0..=u8::MAX {
        bare[at] = kind;
        let known = !matches!(Message::decode(&bare), Err(MessageError::Unknown { .. }));
        let seeded = seeds.iter().any(|(_, bytes)| bytes[at] == kind);
        assert_eq!(known, seeded, "kind {kind} of session messages");
    }
    seeds
}

const SECRET: [u8; SECRET_BYTES] = [3; SECRET_BYTES];

/// The suite, the header that was sealed with it, and the record.
pub fn records(bytes: &[u8]) -> bool {
    let Some((suite, rest)) = bytes.split_first() else {
        return false;
    };
    let Some((header, sealed)) = rest.split_at_checked(HEADER_CHECKED_BYTES) else {
        return false;
    };
    let sequence = u64::from(header[HEADER_CHECKED_BYTES - 1]);
    let mut sealed = sealed.to_vec();
    let sent = sealed.clone();
    let cipher = || RecordCipher::new(encryption(*suite), SECRET).expect("it encrypts");
    let Ok(message) = cipher().open(sequence, header, &mut sealed) else {
        return false;
    };
    let mut again = message.to_vec();
    let tag = cipher().seal(sequence, header, &mut again);
    assert_eq!([&again[..], &tag].concat(), sent, "only what was sealed so opens");
    true
}

fn encryption(suite: u8) -> EncryptionInUse {
    match suite % 2 {
        0 => EncryptionInUse::Aes,
        _ => EncryptionInUse::Rc4,
    }
}

pub fn record_seeds() -> Vec<Seed> {
    [("aes", 0u8), ("rc4", 1)]
        .map(|(name, suite)| {
            let mut cipher = RecordCipher::new(encryption(suite), SECRET).expect("it encrypts");
            let header = [0; HEADER_CHECKED_BYTES];
            let mut message = b"a session message".to_vec();
            let tag = cipher.seal(0, &header, &mut message);
            seed(name, [&[suite][..], &header, &message, &tag].concat())
        })
        .to_vec()
}
