//! What is logged to standard error: a line each, that begins as the command's errors do.

use std::{
    fmt::{self, Write},
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format, writer::MakeWriterExt},
    registry::LookupSpan,
};

use super::{failure::visible, show::Style};

/// As KEYRAIL_LOG wants it; without a word of it warnings and errors of keyrail's own.
pub(crate) fn start() {
    let wanted = std::env::var("KEYRAIL_LOG").ok().filter(|wanted| !wanted.is_empty());
    let filter = wanted.and_then(|wanted| EnvFilter::try_new(wanted).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("keyrail=warn"));
    let _ = tracing_subscriber::fmt()
        // Else it would report a line that cannot be written where that cannot be written either, which panics.
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer((|| Log).with_max_level(Level::TRACE))
        .event_format(Line { style: Style::of_stderr() })
        .try_init();
}

/// Standard error.
pub(crate) struct Log;

static NEVER_WAITS: AtomicBool = AtomicBool::new(false);

/// From now on a line is left out that nobody takes: Ctrl-S in a terminal, or a pager that nobody turns, must not stop who
/// holds messages of others. Other commands wait, so that nothing they say is lost.
pub(crate) fn never_wait() {
    NEVER_WAITS.store(true, Ordering::Relaxed);
}

/// How long a reader may take before its lines are left out.
const READS: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        /// Whether the last line was left out. Then there is no more waiting until one is taken.
        static STUCK: AtomicBool = AtomicBool::new(false);
        // Held meanwhile, or somebody else would take the room that was seen.
        let mut stderr = io::stderr().lock();
        if !NEVER_WAITS.load(Ordering::Relaxed) {
            return stderr.write(bytes);
        }
        let limit = if STUCK.load(Ordering::Relaxed) { Timespec { tv_sec: 0, tv_nsec: 0 } } else { READS };
        let ready = poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&limit))?;
        STUCK.store(ready == 0, Ordering::Relaxed);
        if ready == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // A pipe with any room has as much.
        stderr.write(&bytes[..bytes.len().min(rustix::pipe::PIPE_BUF)])
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// `keyrail: warning: row ... is ignored code=…`; an error's line has no word before it, as everywhere.
struct Line {
    style: Style,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: format::Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let word = match *event.metadata().level() {
            Level::ERROR => String::new(),
            Level::WARN => self.style.warn("warning: "),
            Level::INFO => "info: ".into(),
            Level::DEBUG => self.style.dim("debug: "),
            Level::TRACE => self.style.dim("trace: "),
        };
        let Fields { message, others } = fields;
        // Control characters out of a file or a server must not reach the terminal.
        let text: String = format!("{message}{others}").chars().flat_map(visible).collect();
        writeln!(writer, "keyrail: {word}{text}")
    }
}

/// An event's text, and ` name=value` for each of its other fields.
#[derive(Default)]
struct Fields {
    message: String,
    others: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing into a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.others, " {name}={value:?}"),
        };
    }
}
