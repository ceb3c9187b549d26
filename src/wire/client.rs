//! The client port's protocol: hello, batches and their replies, in the same frames under another preamble.
//!
//! [`ServerCodec`] and [`ClientCodec`] are the two ends: bytes in, whole messages out, and messages to bytes. One hello
//! from each side, then batch and reply alternate; that order is the instance's and the client's to keep. Structured
//! payloads are JSON, a batch is its text. Source: ours.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::error::{SqlError, msg};
use crate::types::Reply;

use super::frame::{DecodeError, FrameDecoder, FrameType, MESSAGE_BYTES_MAX, Protocol, put_frame};

/// Longest batch, in bytes.
pub const BATCH_BYTES_MAX: usize = 256 << 10;
/// Longest hello or refusal, in bytes.
pub const HELLO_BYTES_MAX: usize = 16 << 10;

/// The version of what clients and servers say to each other.
pub const CLIENT_VERSION: u32 = 1;

/// What a client says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientHello {
    pub version: u32,
    pub login_name: String,
    /// The database to open; a mirror refuses it, and then the client tries its failover partner.
    pub database: Option<String>,
    /// What the application calls itself.
    pub application: String,
}

/// What a server answers to a client it lets in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerHello {
    /// What `@@SERVERNAME` says.
    pub server_name: String,
    /// The instance's name within its system.
    pub instance: String,
    /// The current failover partner of the database, for the client to remember.
    pub failover_partner: Option<String>,
    pub database: Option<String>,
}

/// From client to server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientRequest {
    Hello(ClientHello),
    Batch(String),
}

/// From server to client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientResponse {
    Hello(ServerHello),
    /// The login failed; the connection ends.
    Refused(SqlError),
    Reply(Reply),
}

/// Why a message cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncodeError {
    #[error("a {kind} of {length} bytes is longer than {max}")]
    TooLong {
        kind: FrameType,
        length: usize,
        max: usize,
    },
    #[error("a {kind} cannot be written: {reason}")]
    Unwritable { kind: FrameType, reason: String },
}

impl EncodeError {
    pub fn to_sql(&self) -> SqlError {
        match self {
            EncodeError::TooLong {
                kind: FrameType::BATCH,
                length,
                max,
            } => msg::BATCH_TOO_LARGE.with(&[length, max]),
            EncodeError::TooLong { .. } | EncodeError::Unwritable { .. } => msg::QUERY_FAILED.with(&[self]),
        }
    }
}

/// The server's end of one client connection.
#[derive(Debug)]
pub struct ServerCodec(Stream);

impl Default for ServerCodec {
    fn default() -> Self {
        Self::new()
    }
}

impl ServerCodec {
    /// For a client that has not said hello: nothing longer than a hello is awaited.
    pub fn new() -> Self {
        ServerCodec(Stream::new(HELLO_BYTES_MAX))
    }

    /// The client is let in: from now on a batch may be as long as batches are.
    pub fn expect_batches(&mut self) {
        self.0.decoder.set_payload_bytes_max(BATCH_BYTES_MAX);
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.0.decoder.push(bytes);
    }

    /// The next whole request. After an error the connection is spent.
    pub fn next_request(&mut self) -> Result<Option<ClientRequest>, DecodeError> {
        let Some((kind, payload)) = self.0.next()? else {
            return Ok(None);
        };
        let request = match kind {
            FrameType::CLIENT_HELLO => {
                ClientRequest::Hello(from_json("client hello", payload, HELLO_BYTES_MAX)?)
            }
            FrameType::BATCH => match std::str::from_utf8(payload) {
                Ok(text) => ClientRequest::Batch(text.to_owned()),
                Err(_) => {
                    return Err(DecodeError::Malformed {
                        message: "batch",
                        reason: "its text is not UTF-8",
                    });
                }
            },
            other => return Err(DecodeError::Unexpected(other)),
        };
        Ok(Some(request))
    }

    /// The bytes of a response. One that is too large is not sent: answer with the error instead.
    pub fn encode(&mut self, response: &ClientResponse) -> Result<Vec<u8>, EncodeError> {
        match response {
            ClientResponse::Hello(hello) => self.0.json(FrameType::SERVER_HELLO, hello, HELLO_BYTES_MAX),
            ClientResponse::Refused(error) => self.0.json(FrameType::REFUSED, error, HELLO_BYTES_MAX),
            ClientResponse::Reply(reply) => self.0.json(FrameType::BATCH_REPLY, reply, MESSAGE_BYTES_MAX),
        }
    }
}

/// The client's end of one connection.
#[derive(Debug)]
pub struct ClientCodec(Stream);

impl Default for ClientCodec {
    fn default() -> Self {
        Self::new()
    }
}

impl ClientCodec {
    pub fn new() -> Self {
        ClientCodec(Stream::new(MESSAGE_BYTES_MAX))
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.0.decoder.push(bytes);
    }

    /// The next whole response. After an error the connection is spent.
    pub fn next_response(&mut self) -> Result<Option<ClientResponse>, DecodeError> {
        let Some((kind, payload)) = self.0.next()? else {
            return Ok(None);
        };
        let response = match kind {
            FrameType::SERVER_HELLO => {
                ClientResponse::Hello(from_json("server hello", payload, HELLO_BYTES_MAX)?)
            }
            FrameType::REFUSED => ClientResponse::Refused(from_json("refused", payload, HELLO_BYTES_MAX)?),
            FrameType::BATCH_REPLY => {
                ClientResponse::Reply(from_json("batch reply", payload, MESSAGE_BYTES_MAX)?)
            }
            other => return Err(DecodeError::Unexpected(other)),
        };
        Ok(Some(response))
    }

    pub fn encode(&mut self, request: &ClientRequest) -> Result<Vec<u8>, EncodeError> {
        match request {
            ClientRequest::Hello(hello) => self.0.json(FrameType::CLIENT_HELLO, hello, HELLO_BYTES_MAX),
            ClientRequest::Batch(text) => self.0.frame(FrameType::BATCH, text.as_bytes(), BATCH_BYTES_MAX),
        }
    }
}

/// What both ends have: a decoder, and the number of the next frame to send.
#[derive(Debug)]
struct Stream {
    decoder: FrameDecoder,
    next_sequence: u64,
}

impl Stream {
    fn new(payload_bytes_max: usize) -> Self {
        Stream {
            decoder: FrameDecoder::new(Protocol::Client, payload_bytes_max),
            next_sequence: 0,
        }
    }

    fn next(&mut self) -> Result<Option<(FrameType, &[u8])>, DecodeError> {
        match self.decoder.next_frame()? {
            Some((header, _)) if header.is_sealed() => Err(DecodeError::Flags(header.flags)),
            Some((header, payload)) => Ok(Some((header.kind, payload))),
            None => Ok(None),
        }
    }

    fn frame(&mut self, kind: FrameType, payload: &[u8], max: usize) -> Result<Vec<u8>, EncodeError> {
        if payload.len() > max {
            return Err(EncodeError::TooLong {
                kind,
                length: payload.len(),
                max,
            });
        }
        let mut out = Vec::with_capacity(payload.len() + 32);
        if self.next_sequence == 0 {
            out.extend_from_slice(&Protocol::Client.preamble());
        }
        put_frame(&mut out, kind, self.next_sequence, payload);
        self.next_sequence += 1;
        Ok(out)
    }

    fn json(&mut self, kind: FrameType, value: &impl Serialize, max: usize) -> Result<Vec<u8>, EncodeError> {
        let payload = serde_json::to_vec(value).map_err(|e| EncodeError::Unwritable {
            kind,
            reason: e.to_string(),
        })?;
        self.frame(kind, &payload, max)
    }
}

fn from_json<T: DeserializeOwned>(
    message: &'static str,
    payload: &[u8],
    max: usize,
) -> Result<T, DecodeError> {
    if payload.len() > max {
        return Err(DecodeError::Malformed {
            message,
            reason: "it is too long",
        });
    }
    serde_json::from_slice(payload).map_err(|_| DecodeError::Malformed {
        message,
        reason: "its JSON does not fit",
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{ReplyItem, Value};

    fn hello() -> ClientHello {
        ClientHello {
            version: CLIENT_VERSION,
            login_name: "app".into(),
            database: Some("sales".into()),
            application: "orders".into(),
        }
    }

    #[test]
    fn a_conversation_arrives_byte_by_byte() {
        let (mut client, mut server) = (ClientCodec::new(), ServerCodec::new());
        let requests = [
            ClientRequest::Hello(hello()),
            ClientRequest::Batch("SELECT 'ü'".into()),
        ];
        for request in requests {
            let bytes = client.encode(&request).unwrap();
            let mut seen = None;
            for byte in bytes {
                assert_eq!(seen, None);
                server.push(&[byte]);
                seen = server.next_request().unwrap();
            }
            assert_eq!(seen, Some(request));
        }
        let items = vec![
            ReplyItem::Rows {
                columns: vec!["a".into(), "b".into()],
                rows: vec![vec![Value::Int(1), Value::Null], vec![true.into(), "x".into()]],
            },
            ReplyItem::Affected(2),
            ReplyItem::Error(msg::DATABASE_MIRROR.with(&[&"sales"])),
        ];
        let responses = [
            ClientResponse::Hello(ServerHello {
                server_name: "ALPHA".into(),
                instance: "alpha".into(),
                failover_partner: Some("BETA".into()),
                database: Some("sales".into()),
            }),
            ClientResponse::Reply(Reply { items }),
            ClientResponse::Refused(msg::LOGIN_DATABASE.with(&[&"sales"])),
        ];
        for response in responses {
            client.push(&server.encode(&response).unwrap());
            assert_eq!(client.next_response().unwrap(), Some(response));
        }
    }

    #[test]
    fn limits_hold_on_both_ends() {
        let mut client = ClientCodec::new();
        let error = client.encode(&ClientRequest::Batch("x".repeat(BATCH_BYTES_MAX + 1)));
        assert_eq!(error.unwrap_err().to_sql().number, 8631);
        for (max, is_let_in) in [(HELLO_BYTES_MAX, false), (BATCH_BYTES_MAX, true)] {
            let mut server = ServerCodec::new();
            if is_let_in {
                server.expect_batches();
            }
            let mut bytes = Protocol::Client.preamble().to_vec();
            put_frame(&mut bytes, FrameType::BATCH, 0, &vec![b'x'; max + 1]);
            server.push(&bytes[..100]);
            assert!(matches!(server.next_request(), Err(DecodeError::TooLong { .. })));
        }
    }

    #[test]
    fn a_server_does_not_take_a_servers_words() {
        let (mut one, mut other) = (ServerCodec::new(), ServerCodec::new());
        other.push(
            &one.encode(&ClientResponse::Refused(msg::NO_PERMISSION.error()))
                .unwrap(),
        );
        assert_eq!(
            other.next_request(),
            Err(DecodeError::Unexpected(FrameType::REFUSED))
        );
    }

    proptest! {
        #[test]
        fn no_payload_panics(kind in 30u8..40, payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = Protocol::Client.preamble().to_vec();
            put_frame(&mut bytes, FrameType(kind), 0, &payload);
            let (mut client, mut server) = (ClientCodec::new(), ServerCodec::new());
            client.push(&bytes);
            server.push(&bytes);
            let understood = [client.next_response().is_ok(), server.next_request().is_ok()];
            prop_assert!(understood != [true, true], "no message goes both ways");
        }
    }
}
