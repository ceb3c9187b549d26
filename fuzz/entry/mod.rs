//! One entry point per decoder, for whatever bytes: it tells whether they were understood, and panics only where the
//! decoder, or what it promises of its own output, is broken.
//!
//! `tests/decoders.rs` runs them under proptest and replays the committed seeds; the targets beside this folder run them
//! under libFuzzer. No part of the library.

mod instance;
mod samples;
mod store;
mod text;
mod windows;
mod wire;

/// A decoder, and genuine input for it.
pub struct Decoder {
    pub name: &'static str,
    /// Whether these bytes were understood.
    pub run: fn(&[u8]) -> bool,
    /// Input that is understood, each with a name; the same at every call.
    pub seeds: fn() -> Vec<Seed>,
    /// How many inputs are worth their time in a short run.
    pub cases: u32,
}

pub type Seed = (String, Vec<u8>);

pub const ALL: [Decoder; 21] = [
    decoder("frames", wire::frames, wire::frame_seeds, 800),
    decoder(
        "client_requests",
        wire::client_requests,
        wire::client_request_seeds,
        800,
    ),
    decoder(
        "client_responses",
        wire::client_responses,
        wire::client_response_seeds,
        800,
    ),
    decoder(
        "login_messages",
        wire::login_messages,
        wire::login_message_seeds,
        2_000,
    ),
    decoder(
        "session_messages",
        wire::session_messages,
        wire::session_message_seeds,
        2_000,
    ),
    decoder("records", wire::records, wire::record_seeds, 800),
    decoder(
        "controller_frames",
        windows::controller_frames,
        windows::controller_frame_seeds,
        800,
    ),
    decoder("controller", windows::controller, windows::controller_seeds, 300),
    decoder("ntlm", windows::ntlm, windows::ntlm_seeds, 600),
    decoder("kerberos", windows::kerberos, windows::kerberos_seeds, 300),
    decoder("log_blocks", store::log_blocks, store::log_block_seeds, 1_500),
    decoder("log_files", store::log_files, store::log_file_seeds, 60),
    decoder("data_files", store::data_files, store::data_file_seeds, 60),
    decoder("catalog", instance::catalog, instance::catalog_seeds, 150),
    decoder("backups", instance::backups, instance::backup_seeds, 150),
    decoder(
        "certificates",
        instance::certificates,
        instance::certificate_seeds,
        400,
    ),
    decoder(
        "private_keys",
        instance::private_keys,
        instance::private_key_seeds,
        100,
    ),
    decoder("statements", text::statements, text::statement_seeds, 800),
    decoder("batches", instance::batches, text::batch_seeds, 150),
    decoder("scenarios", text::scenarios, text::scenario_seeds, 150),
    decoder("words", text::words, text::word_seeds, 1_500),
];

const fn decoder(
    name: &'static str,
    run: fn(&[u8]) -> bool,
    seeds: fn() -> Vec<Seed>,
    cases: u32,
) -> Decoder {
    Decoder {
        name,
        run,
        seeds,
        cases,
    }
}

/// Runs the decoder of this name, as a fuzzing target does.
#[allow(dead_code, reason = "the tests go through the table")]
pub fn run(name: &str, bytes: &[u8]) {
    let decoder = ALL.iter().find(|d| d.name == name);
    (decoder.expect("a decoder of this name").run)(bytes);
}

fn seed(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Seed {
    (name.into(), bytes.into())
}
