//! The `keyrail` command: routes, publishes, binds and consumes, from a file or on Redis, and serves the page.

use std::process::ExitCode;

use keyrail_workload::CountingAllocator;

mod cli;

/// Counts for `keyrail bench` and nobody else.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

fn main() -> ExitCode {
    cli::main()
}
