use std::{
    collections::BTreeMap,
    fmt::Display,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::ValueEnum;
use keyrail_core::{
    Definitions, ExchangeKind, Router, Topology,
    kombu::{BindingSets, CeleryConfig, Layout},
};
use keyrail_redis::{
    json_error,
    load::{self, Limits},
};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::{Failure, ends::DialectName};

/// Turn a topology from one format into another: keyrail's JSON, lines, a snapshot, RabbitMQ's definitions, a dump of
/// Kombu's binding sets; from Celery's task_queues and task_routes too.
///
/// Nothing is written unless all of the input is sound.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  keyrail convert definitions.json --to lines
  keyrail convert shop.lines definitions.json --to rabbitmq
  keyrail convert celery.json shop.snap --dialect kombu57
  rabbitmqctl export_definitions - | keyrail convert - --to json")]
pub(crate) struct Args {
    /// The file to read; - is standard input
    input: PathBuf,

    /// The file to write; - is standard output
    #[arg(default_value = "-")]
    output: PathBuf,

    /// The format of the input [default: what its content says]
    #[arg(long, value_name = "FORMAT")]
    from: Option<Format>,

    /// The format of the output [default: by the name of the file (.lines, .snap, .json); lines on standard output]
    #[arg(long, value_name = "FORMAT")]
    to: Option<Format>,

    /// The virtual host to take from RabbitMQ's definitions, or to write [default: the only one, or /]
    #[arg(long, value_name = "NAME")]
    vhost: Option<String>,

    /// What Kombu's sets do not say: the type of an exchange
    #[arg(long = "type", value_name = "NAME=TYPE")]
    kinds: Vec<String>,

    /// How topic keys are read that come from Celery's settings, and written into Kombu's sets
    #[arg(long, value_name = "DIALECT", default_value = "kombu57")]
    dialect: DialectName,

    /// The largest file to read, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().file_bytes)]
    max_file_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// keyrail's JSON
    Json,
    /// Lines that people write
    Lines,
    /// keyrail's binary snapshot
    Snapshot,
    /// RabbitMQ's definitions.json
    Rabbitmq,
    /// Kombu's binding sets: a JSON object of key and members
    Kombu,
    /// Celery's settings (to read only)
    Celery,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let limits = Limits { file_bytes: args.max_file_bytes, ..Limits::default() };
    let bytes = if is_standard(&args.input) {
        load::read_bytes(Path::new("standard input"), io::stdin().lock(), &limits)?
    } else {
        load::bytes(&args.input, &limits)?
    };
    let input = Input { bytes: &bytes, name: &args.input };
    let from = args.from.map_or_else(|| input.format(), Ok)?;
    let to = match args.to.or_else(|| by_name(&args.output)) {
        Some(to) => to,
        None if is_standard(&args.output) => Format::Lines,
        None => {
            return Err(Failure::usage(format!(
                "the name `{}` does not tell the format; give --to, or a name that ends in .json, .lines or .snap",
                args.output.display()
            )));
        }
    };
    let read = read(&input, from, args)?;
    // Whatever the format says, it has to make a router: keys, arguments, ends of bindings.
    let router = read.topology.router().map_err(|error| input.wrong(error))?;
    let written = write(&read, &router, to, args)?;
    if is_standard(&args.output) {
        let mut out = io::stdout().lock();
        if to == Format::Snapshot && out.is_terminal() {
            return Err(Failure::usage("a snapshot is bytes and no text; name a file to write it to"));
        }
        out.write_all(&written)?;
        out.flush()?;
    } else {
        let failed = |error| Failure::failed(format!("cannot write `{}`: {error}", args.output.display()));
        std::fs::write(&args.output, &written).map_err(failed)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// What the end of a file's name says about its format.
fn by_name(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()? {
        "json" => Some(Format::Json),
        "lines" | "txt" => Some(Format::Lines),
        "snap" | "snapshot" => Some(Format::Snapshot),
        _ => None,
    }
}

struct Input<'a> {
    bytes: &'a [u8],
    name: &'a Path,
}

impl Input<'_> {
    fn wrong(&self, error: impl Display) -> Failure {
        let name = if is_standard(self.name) { Path::new("standard input") } else { self.name };
        Failure::failed(format!("`{}`: {error}", name.display()))
    }

    fn text(&self) -> Result<&str, Failure> {
        let text = str::from_utf8(self.bytes)
            .map_err(|error| self.wrong(format_args!("byte {} is not UTF-8", error.valid_up_to())))?;
        Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
    }

    /// What the content says about its format; the names of the members tell JSON's apart.
    fn format(&self) -> Result<Format, Failure> {
        if Router::is_snapshot(self.bytes) {
            return Ok(Format::Snapshot);
        }
        let text = self.text()?;
        if !text.trim_start().starts_with(['{', '[']) {
            return Ok(Format::Lines);
        }
        let members: BTreeMap<String, IgnoredAny> = self.json()?;
        let any = |is: &dyn Fn(&str) -> bool| members.keys().any(|name| is(name));
        const RABBITMQ: [&str; 6] =
            ["rabbit_version", "rabbitmq_version", "vhosts", "users", "permissions", "global_parameters"];
        Ok(if any(&|name| name.contains("_kombu.binding.")) {
            Format::Kombu
        } else if any(&CeleryConfig::is_setting) {
            Format::Celery
        } else if any(&|name| RABBITMQ.contains(&name)) || text.contains("\"destination_type\"") {
            Format::Rabbitmq
        } else {
            Format::Json
        })
    }

    /// An error has the path inside the document, and line and column.
    fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let text = self.text()?;
        let mut json = serde_json::Deserializer::from_str(text);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let place = if path == "." { String::new() } else { format!("{path}: ") };
            self.wrong(format_args!("{place}{}", json_error(error.inner())))
        })?;
        json.end().map_err(|error| self.wrong(json_error(&error)))?;
        Ok(value)
    }
}

/// What was read. Definitions are kept whole, with what routing does not ask for.
struct Read {
    topology: Topology,
    definitions: Option<Definitions>,
}

fn read(input: &Input<'_>, from: Format, args: &Args) -> Result<Read, Failure> {
    let topology = match from {
        Format::Json => input.json()?,
        Format::Lines => Topology::from_lines(input.text()?).map_err(|error| input.wrong(error))?,
        Format::Snapshot => {
            let router = Router::from_snapshot(input.bytes).map_err(|error| input.wrong(error))?;
            Topology::of(&router)
        }
        Format::Kombu => {
            let sets: BindingSets = input.json()?;
            sets.topology(&Layout::default(), &kinds(args)?).map_err(|error| input.wrong(error))?
        }
        Format::Celery => {
            let config: CeleryConfig = input.json()?;
            config.topology(args.dialect.into()).map_err(|error| input.wrong(error))?
        }
        Format::Rabbitmq => {
            let definitions: Definitions = input.json()?;
            let vhost = args.vhost.clone().unwrap_or_else(|| match definitions.vhosts()[..] {
                [only] => only.to_owned(),
                _ => "/".to_owned(),
            });
            let topology = definitions.topology(&vhost).map_err(|error| input.wrong(error))?;
            return Ok(Read { topology, definitions: Some(definitions) });
        }
    };
    Ok(Read { topology, definitions: None })
}

fn kinds(args: &Args) -> Result<BTreeMap<Box<str>, ExchangeKind>, Failure> {
    let pairs = args.kinds.iter().map(|pair| {
        let (name, word) = pair
            .rsplit_once('=')
            .ok_or_else(|| Failure::usage(format!("--type is `{pair}`, expected NAME=TYPE")))?;
        let kind = word.parse().map_err(|error| Failure::usage(format!("--type: {error}")))?;
        Ok((name.into(), kind))
    });
    pairs.collect()
}

fn write(read: &Read, router: &Router, to: Format, args: &Args) -> Result<Vec<u8>, Failure> {
    let refused = |error: &dyn Display| Failure::failed(format!("cannot be written in this format: {error}"));
    match to {
        Format::Json => pretty(&read.topology),
        Format::Lines => Ok(read.topology.to_lines().into_bytes()),
        Format::Snapshot => Ok(router.snapshot()),
        Format::Kombu => {
            let sets = BindingSets::of(&read.topology, &Layout::default(), args.dialect.into());
            pretty(&sets.map_err(|error| refused(&error))?)
        }
        Format::Rabbitmq => match &read.definitions {
            Some(definitions) => pretty(definitions),
            None => {
                let vhost = args.vhost.as_deref().unwrap_or("/");
                pretty(&Definitions::of(vhost, &read.topology).map_err(|error| refused(&error))?)
            }
        },
        Format::Celery => Err(Failure::usage("Celery's settings can be read and not written")),
    }
}

fn pretty(value: &impl serde::Serialize) -> Result<Vec<u8>, Failure> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(io::Error::other)?;
    bytes.push(b'\n');
    Ok(bytes)
}
