#![no_main]

#[path = "../entry/mod.rs"]
mod entry;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| entry::run("words", bytes));
