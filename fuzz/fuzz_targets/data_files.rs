#![no_main]

#[path = "../entry/mod.rs"]
mod entry;

use std::sync::Once;

use libfuzzer_sys::fuzz_target;

static QUIET: Once = Once::new();

fuzz_target!(|bytes: &[u8]| {
    // The store catches the panics of the library behind it; libFuzzer's hook would end the process before.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    entry::run("data_files", bytes);
});
