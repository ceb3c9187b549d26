//! Bytes to messages and back, without state beyond a buffer and a sequence number.
//!
//! [`frame`] cuts a byte stream into frames, [`login`] and [`client`] say what their payloads mean, [`codec`] holds the
//! primitives. Every length is checked against a limit before anything is kept. No decoder panics, whatever the bytes.
//! The product's protocol is not public; this one is specified in `docs/protocol.md`. Source: ours.

pub mod client;
pub mod codec;
mod compression;
pub mod frame;
pub mod login;
pub mod mirroring;
pub mod pages;

pub use frame::{DecodeError, FrameDecoder, FrameType, MESSAGE_BYTES_MAX, Protocol};
