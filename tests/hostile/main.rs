//! The attacker against a live endpoint in the simulated world, beside a pair that must not notice.
//!
//! Every attack ends with the connection closed at once or at a deadline that has a name, without a word to the attacker,
//! with a line in the attacked instance's error log that names him and the number, and with the pair serving all along.

mod callees;
mod floods;
mod foe;
mod handshakes;
mod impostor;
mod messages;
mod online;
mod rig;
#[path = "../../fuzz/entry/samples.rs"]
mod samples;
mod second_method;
mod stalls;
mod strangers;
mod witness;
