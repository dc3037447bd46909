//! What people see: colours where there is a terminal, and the way of a message as a tree.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fmt::{self, Display},
    io::{self, IsTerminal},
};

use keyrail_core::{AlternateStep, Arrival, Hop, How, MatchEffect, Trace};
use keyrail_redis::{Channel, Routed};

use super::{failure::visible, guess::told, reason::reason};

/// Whether to colour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style(bool);

impl Style {
    pub(crate) fn of_stdout() -> Self {
        Style(io::stdout().is_terminal() && !is_unwanted())
    }

    pub(crate) fn of_stderr() -> Self {
        Style(io::stderr().is_terminal() && !is_unwanted())
    }

    fn paint(self, code: &str, text: impl Display) -> String {
        let text = clean(&text.to_string());
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text }
    }

    pub(crate) fn bold(self, text: impl Display) -> String {
        self.paint("1", text)
    }

    pub(crate) fn dim(self, text: impl Display) -> String {
        self.paint("2", text)
    }

    pub(crate) fn queue(self, text: impl Display) -> String {
        self.paint("32", text)
    }

    pub(crate) fn warn(self, text: impl Display) -> String {
        self.paint("33", text)
    }

    pub(crate) fn link(self, text: impl Display) -> String {
        self.paint("36", text)
    }
}

fn is_unwanted() -> bool {
    is_plain(std::env::var_os("NO_COLOR").as_deref(), std::env::var_os("TERM").as_deref())
}

/// Whether these variables ask for none.
fn is_plain(no_color: Option<&OsStr>, terminal: Option<&OsStr>) -> bool {
    no_color.is_some_and(|value| !value.is_empty()) || terminal.is_some_and(|name| name == "dumb")
}

/// Names come out of files and servers: nothing of them may steer the terminal, and a line feed may be what matters.
pub(crate) fn clean(text: &str) -> String {
    text.chars().flat_map(visible).collect()
}

/// The way of a message: exchanges as branches, queues as leaves.
pub(crate) struct Tree<'a> {
    pub(crate) trace: &'a Trace,
    /// The exchanges whose type is a guess.
    pub(crate) guessed: &'a [String],
    pub(crate) style: Style,
    pub(crate) indent: &'a str,
}

/// How many exchanges are drawn below each other. A chain of exchanges may be as long as the topology is large, and the
/// indentation grows with each.
const DEPTH: usize = 64;

impl Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hops = self.trace.hops();
        let Some(first) = hops.first() else { return Ok(()) };
        // Every exchange is asked once.
        let places: HashMap<&str, usize> =
            hops.iter().enumerate().map(|(at, hop)| (&*hop.exchange, at)).collect();
        // A hop is written down before those it leads to, so every sum is complete when it is added.
        let mut sizes = vec![1; hops.len()];
        for (at, hop) in hops.iter().enumerate().rev() {
            if let Arrival::Binding { exchange } | Arrival::Alternate { exchange } = &hop.via
                && let Some(from) = places.get(&**exchange).copied().filter(|from| *from < at)
            {
                sizes[from] += sizes[at];
            }
        }
        let drawing = Drawing { hops, guessed: self.guessed, style: self.style, places, sizes };
        writeln!(f, "{}{}", self.indent, drawing.exchange(first))?;
        drawing.branches(f, 0, self.indent, 1)
    }
}

struct Drawing<'a> {
    hops: &'a [Hop],
    guessed: &'a [String],
    style: Style,
    /// By name.
    places: HashMap<&'a str, usize>,
    /// For each hop, how many exchanges its branch has, itself included.
    sizes: Vec<usize>,
}

impl Drawing<'_> {
    fn exchange(&self, hop: &Hop) -> String {
        match &*hop.exchange {
            "" => "default exchange".into(),
            name => {
                let about = told(hop.kind, self.guessed.iter().any(|guessed| guessed == name));
                format!("{} {}", clean(name), self.style.dim(format_args!("({about})")))
            }
        }
    }

    /// The hop that `via` led to.
    fn next(&self, exchange: &str, via: &Arrival) -> Option<(usize, &Hop)> {
        let at = *self.places.get(exchange)?;
        self.hops.get(at).filter(|hop| hop.via == *via).map(|hop| (at, hop))
    }

    /// A binding that leads to an exchange is followed by that exchange's own branches.
    fn branches(&self, f: &mut fmt::Formatter<'_>, at: usize, indent: &str, depth: usize) -> fmt::Result {
        let Some(hop) = self.hops.get(at) else { return Ok(()) };
        let more = self.sizes.get(at).map_or(0, |size| size - 1);
        if depth > DEPTH && more > 0 {
            let more = format_args!("… and {more} more exchange{}", if more == 1 { "" } else { "s" });
            return writeln!(f, "{indent}└─ {}", self.style.dim(more));
        }
        let last = hop.matches.len().saturating_sub(1);
        let widths = hop.matches.iter().map(|matched| reason(hop.kind, &matched.binding).chars().count());
        let width = widths.max().unwrap_or_default();
        let via = Arrival::Binding { exchange: hop.exchange.clone() };
        for (place, matched) in hop.matches.iter().enumerate() {
            let (corner, below) = if place == last { ("└─", "   ") } else { ("├─", "│  ") };
            let reason = reason(hop.kind, &matched.binding);
            let fill = " ".repeat(width - reason.chars().count());
            let destination = &matched.binding.destination;
            let followed = matched.effect == MatchEffect::Followed;
            let next = if followed { self.next(destination.name(), &via) } else { None };
            let target = match (matched.effect, next) {
                (MatchEffect::Followed, Some((_, next))) => self.exchange(next),
                (MatchEffect::Followed, None) => clean(destination.name()),
                // Only a consumer of this queue that runs hears it.
                (MatchEffect::Delivered, _) if matched.how == How::Channel => clean(destination.name()),
                (MatchEffect::Delivered, _) => self.style.queue(destination.name()),
                (MatchEffect::DuplicateSuppressed, _) => {
                    format!("{} {}", clean(destination.name()), self.style.dim("has it already"))
                }
                (MatchEffect::CycleCut, _) => {
                    format!("{} {}", clean(destination.name()), self.style.dim("was asked already"))
                }
            };
            writeln!(f, "{indent}{corner} {}{fill} ─▶ {target}", self.style.dim(&reason))?;
            if let Some((next, _)) = next {
                self.branches(f, next, &format!("{indent}{below}"), depth + 1)?;
            }
        }
        self.alternate(f, hop, indent, depth)
    }

    fn alternate(&self, f: &mut fmt::Formatter<'_>, hop: &Hop, indent: &str, depth: usize) -> fmt::Result {
        let Some(step) = &hop.alternate else { return Ok(()) };
        let nothing = self.style.dim("no binding matches");
        match step {
            AlternateStep::None => writeln!(f, "{indent}└─ {nothing}"),
            AlternateStep::Missing { exchange } => writeln!(
                f,
                "{indent}└─ {nothing}, and there is no alternate exchange {}",
                self.style.warn(exchange)
            ),
            AlternateStep::CycleCut { exchange } => {
                writeln!(f, "{indent}└─ {nothing}, alternate exchange {} was asked already", clean(exchange))
            }
            AlternateStep::Followed { exchange } => {
                let via = Arrival::Alternate { exchange: hop.exchange.clone() };
                match self.next(exchange, &via) {
                    Some((at, next)) => {
                        let target = self.exchange(next);
                        writeln!(f, "{indent}└─ {nothing}, so the alternate exchange ─▶ {target}")?;
                        self.branches(f, at, &format!("{indent}   "), depth + 1)
                    }
                    None => {
                        writeln!(f, "{indent}└─ {nothing}, so the alternate exchange {}", clean(exchange))
                    }
                }
            }
        }
    }
}

/// Who hears the message on channels without having it wait in a queue; nothing if the queues say it all.
pub(crate) fn channels(routed: &Routed, style: Style) -> Vec<String> {
    let told = |channel: &&Channel| !channel.listeners.is_empty() || routed.queues.is_empty();
    let lines = routed.channels.iter().filter(told).map(|Channel { channel, listeners, .. }| {
        let who = match &listeners[..] {
            [] => String::new(),
            queues => format!(": consumers of {}", queues.join("  ")),
        };
        let line = format!("whoever listens to {channel} then hears it{who}");
        style.dim(line)
    });
    lines.collect()
}

/// `9 exchanges`, `1 exchange`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_can_be_declined() {
        for (no_color, terminal, plain) in [
            (None, None, false),
            (None, Some("xterm"), false),
            (None, Some("dumb"), true),
            (Some(""), Some("xterm"), false),
            (Some("1"), Some("xterm"), true),
        ] {
            assert_eq!(is_plain(no_color.map(OsStr::new), terminal.map(OsStr::new)), plain);
        }
    }
}
