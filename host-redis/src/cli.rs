//! Flags, exit statuses, and what is printed.

use std::{
    error::Error,
    num::{IntErrorKind, ParseIntError},
    process::ExitCode,
};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

mod bench;
mod bind;
mod consume;
mod convert;
mod diff;
mod doctor;
mod ends;
mod explain;
mod fail_on;
mod failure;
mod guess;
mod header;
mod import;
mod lint;
mod log;
mod open;
mod publish;
mod reason;
mod result;
mod route;
mod rows;
mod serve;
mod show;
mod topology;
mod unbind;
mod worker;

use failure::Failure;

/// Exchange routing as RabbitMQ and Kombu do it: from a file, or on a Redis shared with Kombu and Celery.
///
/// A topology comes from a file (--topology: keyrail's JSON, lines or snapshot, or RabbitMQ's definitions.json, offline) or
/// from the binding tables of a Redis (--redis).
#[derive(Parser)]
#[command(
    name = "keyrail",
    bin_name = "keyrail",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:
  keyrail serve --topology definitions.json --demo
  keyrail route --topology definitions.json --exchange orders --key order.eu.paid
  keyrail explain --topology definitions.json --exchange orders --key order.eu.payed
  keyrail lint --topology definitions.json
  keyrail diff before.json after.json
  keyrail doctor --redis redis://127.0.0.1/0
  keyrail publish --redis redis://127.0.0.1/0 --exchange orders --key order.eu.paid --body hello
  keyrail consume --redis redis://127.0.0.1/0 --queue billing

Exit status: 0 done, 1 failed, unroutable or (lint, diff, doctor) something found, 2 wrong usage or (lint, diff) no answer."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Serve(serve::Args),
    Route(route::Args),
    Explain(explain::Args),
    Lint(lint::Args),
    Diff(diff::Args),
    Doctor(doctor::Args),
    Bind(bind::Args),
    Unbind(unbind::Args),
    Publish(Box<publish::Args>),
    Consume(consume::Args),
    Topology(topology::Args),
    Convert(convert::Args),
    Worker(worker::Args),
    Result(result::Args),
    Bench(bench::Args),
}

pub(crate) fn main() -> ExitCode {
    log::start();
    match parse().and_then(run) {
        Ok(status) => status,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    // Without the runtime, whose threads would be measured too.
    if let Verb::Bench(args) = cli.verb {
        return bench::run(&args);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let done = runtime.block_on(async {
        match cli.verb {
            Verb::Serve(args) => serve::run(args).await,
            Verb::Route(args) => route::run(args).await,
            Verb::Explain(args) => explain::run(args).await,
            Verb::Lint(args) => lint::run(args).await.map_err(Failure::without_an_answer),
            Verb::Diff(args) => diff::run(&args).map_err(Failure::without_an_answer),
            Verb::Doctor(args) => doctor::run(args).await,
            Verb::Bind(args) => bind::run(args).await,
            Verb::Unbind(args) => unbind::run(args).await,
            Verb::Publish(args) => publish::run(*args).await,
            Verb::Consume(args) => consume::run(args).await,
            Verb::Topology(args) => topology::run(args).await,
            Verb::Convert(args) => convert::run(&args),
            Verb::Worker(args) => worker::run(args).await,
            Verb::Result(args) => result::run(args).await,
            Verb::Bench(args) => bench::run(&args),
        }
    });
    // A reader of standard input may be blocked for ever, and nobody waits for it.
    runtime.shutdown_background();
    done
}

/// Clap's errors take several lines; ours take one, and a hint.
fn parse() -> Result<Cli, Failure> {
    let matches = without_empty_env(Cli::command()).try_get_matches();
    matches.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            error.exit();
        }
        let text = error.to_string();
        let first = text.split("\n\n").next().unwrap_or_default();
        let message = first.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" ");
        let message = message.replace('\'', "`");
        let message = in_our_words(&message, &error);
        let meant = text.lines().find_map(|line| line.trim().strip_prefix("tip: a similar "));
        let meant = meant.and_then(|tip| tip.split_once('\'')?.1.split_once('\''));
        let meant = meant.map(|(meant, _)| format!(", did you mean `{meant}`?")).unwrap_or_default();
        Failure::usage(format!("{message}{meant}; see `{} --help`", asked()))
    })
}

/// What the standard library says of a number, as everything else that is wrong: by what was expected.
fn in_our_words(message: &str, error: &clap::Error) -> String {
    let source = error.source().and_then(|source| source.downcast_ref::<ParseIntError>());
    let Some(source) = source else { return message.to_owned() };
    let expected = match source.kind() {
        IntErrorKind::Zero => "expected a whole number above 0",
        IntErrorKind::PosOverflow => "expected a smaller number",
        _ => "expected a whole number in digits alone",
    };
    message.replace(&source.to_string(), expected)
}

/// The command that was asked for, as far as it is one: `keyrail topology print`.
fn asked() -> String {
    let mut command = Cli::command();
    let mut asked = command.get_name().to_owned();
    for word in std::env::args().skip(1) {
        let Some(verb) = command.find_subcommand(&word) else { break };
        command = verb.clone();
        asked.push(' ');
        asked.push_str(&word);
    }
    asked
}

/// A variable that is set to nothing says nothing, as where a script or a unit file clears it. An empty flag remains an
/// error: it is a mistake in the line that was typed.
fn without_empty_env(command: clap::Command) -> clap::Command {
    let is_empty = |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| match arg.get_env() {
            Some(name) if is_empty(name) => arg.env(clap::builder::Resettable::Reset),
            _ => arg,
        })
        .mut_subcommands(without_empty_env)
}
