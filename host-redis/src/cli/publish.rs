use std::process::ExitCode;

use super::{Failure, open::Source};

/// Not yet.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    args.source.require()?;
    Err(Failure::failed("not yet"))
}
