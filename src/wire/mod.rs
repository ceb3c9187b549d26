//! Bytes to messages and back, without state.
