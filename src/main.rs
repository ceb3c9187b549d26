use std::process::ExitCode;

use mirrorlab::cli;
use mirrorlab::sim::launch;

fn main() -> ExitCode {
    cli::main(
        std::env::args_os(),
        &launch::instances(),
        &launch::second_opinion(),
    )
}
