//! The `keyrail` command: routes, publishes, binds and consumes, from a file or on Redis, and serves the page.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    cli::main()
}
