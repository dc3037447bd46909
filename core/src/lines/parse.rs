//! From lines to a topology.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};

use super::{
    LineError,
    scan::{Scanner, Word},
    table::table,
};
use crate::{
    ApplyTo, BindingDefinition, ByteString, DestinationName, Dialect, ExchangeDefinition, ExchangeKind,
    PolicyDefinition, QueueDefinition, Router, Table, Topology, exchange::ALTERNATE_EXCHANGE,
};

pub(super) fn topology(text: &str) -> Result<Topology, LineError> {
    let mut document = Document::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (at, line) in text.lines().enumerate() {
        let mut scanner = Scanner::new(at + 1, line);
        if !scanner.is_at_end() && !scanner.is_next("#") {
            document.line(&mut scanner)?;
        }
    }
    document.end()
}

/// What has been read so far.
#[derive(Default)]
struct Document {
    topology: Topology,
    /// Places in the topology, by name, and the line where each was declared.
    exchanges: BTreeMap<Box<str>, (usize, usize)>,
    queues: BTreeMap<Box<str>, usize>,
    /// Lines of their own, so that a second one is noticed.
    queue_lines: BTreeMap<Box<str>, usize>,
    policies: BTreeMap<Box<str>, usize>,
    /// Exchanges that were spoken of, and the error if they are never declared.
    mentioned: Vec<(Box<str>, LineError)>,
    number: usize,
}

impl Document {
    fn line(&mut self, scanner: &mut Scanner<'_>) -> Result<(), LineError> {
        self.number = scanner.error(0, "", "").line;
        let word = self.name(scanner, "the name of an exchange, `queue` or `policy`")?;
        if word.is("queue") {
            return self.queue(scanner);
        }
        if word.is("policy") {
            return self.policy(scanner);
        }
        if word.is_of_the_format() {
            let reason = alloc::format!("`{}` is a word of this format", word.text);
            return Err(scanner.error(
                word.start,
                reason,
                "as the name of an exchange it is written in quotes",
            ));
        }
        self.exchange(scanner, word)
    }

    fn name(&self, scanner: &mut Scanner<'_>, what: &str) -> Result<Word, LineError> {
        match scanner.word(true)? {
            Some(word) => Ok(word),
            None => Err(scanner.expected(what, "names with blanks or braces are written in quotes")),
        }
    }

    // --- Exchanges -----------------------------------------------------------------------------------------------

    fn exchange(&mut self, scanner: &mut Scanner<'_>, name: Word) -> Result<(), LineError> {
        if !scanner.is_next(":") && !scanner.is_at_end() {
            let declared = declaration(scanner, &name)?;
            self.declare(scanner, &name, declared)?;
        } else {
            self.mention(scanner, &name);
        }
        if !scanner.take(":") {
            return if scanner.is_at_end() {
                Ok(())
            } else {
                Err(scanner.expected(
                    "a colon before the binding",
                    "after its kind an exchange takes durable, \
                    auto-delete, internal, else ALTERNATE and {arguments}",
                ))
            };
        }
        self.binding(scanner, &name)
    }

    fn declare(
        &mut self,
        scanner: &Scanner<'_>,
        name: &Word,
        declared: ExchangeDefinition,
    ) -> Result<(), LineError> {
        match self.exchanges.get(&name.text) {
            None => {
                self.exchanges.insert(name.text.clone(), (self.topology.exchanges.len(), self.number));
                self.topology.exchanges.push(declared);
                Ok(())
            }
            Some((at, line)) if self.topology.exchanges[*at] != declared => {
                let reason = alloc::format!("`{}` is declared differently in line {line}", name.text);
                Err(scanner.error(
                    name.start,
                    reason,
                    "its kind and flags are said once, later lines may leave them out",
                ))
            }
            Some(_) => Ok(()),
        }
    }

    /// Remembers that an exchange has to be declared somewhere.
    fn mention(&mut self, scanner: &Scanner<'_>, name: &Word) {
        let reason = alloc::format!("the exchange `{}` is not declared", name.text);
        let hint = alloc::format!("say its kind once: `{} topic`", name.text);
        self.mentioned.push((name.text.clone(), scanner.error(name.start, reason, &hint)));
    }

    fn binding(&mut self, scanner: &mut Scanner<'_>, source: &Word) -> Result<(), LineError> {
        const ARROW: &str = "an arrow and where it leads: -> queue";
        let mut routing_key = ByteString::default();
        if !scanner.clone().take_arrow() && !scanner.is_next("{") {
            let mut ahead = scanner.clone();
            let Some(word) = ahead.word(false)? else { return Err(scanner.expected(ARROW, "")) };
            // Where these stand there is no key; as a key they are in quotes.
            if !word.is("as") && !word.is("matching") {
                routing_key = ByteString::from(&*word.text);
                *scanner = ahead;
            }
        }
        let arguments = arguments(scanner)?;
        let (mut dialect, mut pattern) = (Dialect::Amqp, None);
        while !scanner.take_arrow() {
            let Some(word) = scanner.word(false)? else { return Err(scanner.expected(ARROW, "")) };
            if word.is("as") {
                dialect = dialect_of(scanner)?;
            } else if word.is("matching") {
                let Some(word) = scanner.word(false)? else {
                    return Err(scanner.expected("a regular expression in quotes", ""));
                };
                pattern = Some(word.text);
            } else {
                let reason = alloc::format!("found `{}`, expected {ARROW}", word.text);
                return Err(scanner.error(word.start, reason, "a key with blanks is written in quotes"));
            }
        }
        loop {
            let destination = self.destination(scanner)?;
            self.topology.bindings.push(BindingDefinition {
                source: source.text.clone(),
                destination,
                routing_key: routing_key.clone(),
                arguments: arguments.clone(),
                dialect,
                pattern: pattern.clone(),
            });
            if scanner.is_at_end() {
                return Ok(());
            }
            if !scanner.take(",") {
                return Err(scanner.expected("a comma and a further destination", ""));
            }
        }
    }

    fn destination(&mut self, scanner: &mut Scanner<'_>) -> Result<DestinationName, LineError> {
        let Some(word) = scanner.word(false)? else {
            return Err(scanner.expected("a queue, or `exchange` and a name", ""));
        };
        if word.is("exchange") {
            let Some(name) = scanner.word(false)? else {
                return Err(scanner.expected("the name of an exchange", ""));
            };
            self.mention(scanner, &name);
            return Ok(DestinationName::Exchange(name.text));
        }
        if word.is_of_the_format() {
            let reason = alloc::format!("`{}` is a word of this format", word.text);
            return Err(scanner.error(word.start, reason, "as the name of a queue it is written in quotes"));
        }
        self.known_queue(&word.text);
        Ok(DestinationName::Queue(word.text))
    }

    // --- Queues and policies -------------------------------------------------------------------------------------

    fn known_queue(&mut self, name: &str) -> usize {
        if let Some(at) = self.queues.get(name) {
            return *at;
        }
        let at = self.topology.queues.len();
        self.queues.insert(name.into(), at);
        self.topology.queues.push(QueueDefinition {
            name: name.into(),
            durable: false,
            auto_delete: false,
            exclusive: false,
            arguments: Table::new(),
        });
        at
    }

    fn queue(&mut self, scanner: &mut Scanner<'_>) -> Result<(), LineError> {
        let Some(name) = scanner.word(false)? else {
            return Err(scanner.expected("the name of a queue", ""));
        };
        if let Some(line) = self.queue_lines.insert(name.text.clone(), self.number) {
            let reason = alloc::format!("the queue `{}` has a line already: {line}", name.text);
            return Err(scanner.error(name.start, reason, ""));
        }
        let at = self.known_queue(&name.text);
        while !scanner.is_at_end() && !scanner.is_next("{") {
            let queue = &mut self.topology.queues[at];
            match scanner.word(false)? {
                Some(word) if word.is("durable") => queue.durable = true,
                Some(word) if word.is("auto-delete") => queue.auto_delete = true,
                Some(word) if word.is("exclusive") => queue.exclusive = true,
                Some(word) => {
                    let reason = alloc::format!("`{}` is no property of a queue", word.text);
                    return Err(scanner.error(word.start, reason, QUEUE));
                }
                None => return Err(scanner.expected("a property of the queue", QUEUE)),
            }
        }
        self.topology.queues[at].arguments = arguments(scanner)?;
        end(scanner)
    }

    fn policy(&mut self, scanner: &mut Scanner<'_>) -> Result<(), LineError> {
        const HINT: &str = "a policy is: policy NAME PATTERN [priority N] [on exchanges] {definition}";
        let Some(name) = scanner.word(false)? else {
            return Err(scanner.expected("the name of a policy", HINT));
        };
        let Some(pattern) = scanner.word(false)? else {
            return Err(scanner.expected("a regular expression in quotes", HINT));
        };
        if let Some(line) = self.policies.insert(name.text.clone(), self.number) {
            let reason = alloc::format!("the policy `{}` has a line already: {line}", name.text);
            return Err(scanner.error(name.start, reason, ""));
        }
        let (mut apply_to, mut priority) = (ApplyTo::All, 0);
        while !scanner.is_at_end() && !scanner.is_next("{") {
            match scanner.word(false)? {
                Some(word) if word.is("on") => apply_to = apply_to_of(scanner)?,
                Some(word) if word.is("priority") => {
                    let number = scanner.word(false)?.map(|word| word.text.parse());
                    let Some(Ok(number)) = number else {
                        return Err(scanner.expected("a whole number as priority", HINT));
                    };
                    priority = number;
                }
                Some(word) => {
                    let reason = alloc::format!("`{}` is no property of a policy", word.text);
                    return Err(scanner.error(word.start, reason, HINT));
                }
                None => return Err(scanner.expected("a property of the policy", HINT)),
            }
        }
        let definition = arguments(scanner)?;
        let policy =
            PolicyDefinition { name: name.text, pattern: pattern.text, apply_to, priority, definition };
        self.topology.policies.push(policy);
        end(scanner)
    }

    fn end(self) -> Result<Topology, LineError> {
        let declared = |name: &str| self.exchanges.contains_key(name) || Router::is_predeclared(name);
        match self.mentioned.iter().find(|(name, _)| !declared(name)) {
            Some((_, error)) => Err(error.clone()),
            None => Ok(self.topology),
        }
    }
}

const QUEUE: &str = "a queue takes durable, auto-delete, exclusive and {arguments}";

/// The kind of an exchange and what follows it, up to a colon.
fn declaration(scanner: &mut Scanner<'_>, name: &Word) -> Result<ExchangeDefinition, LineError> {
    const KINDS: &str = "expected direct, fanout, headers, topic, x-consistent-hash or x-random";
    let word = match scanner.word(true)? {
        Some(word) => word,
        None => return Err(scanner.expected("a type of exchange or a colon", KINDS)),
    };
    let kind: ExchangeKind = match word.text.parse() {
        Ok(kind) if !word.quoted => kind,
        _ => {
            let reason = alloc::format!("`{}` is no type of exchange", word.text);
            return Err(scanner.error(word.start, reason, KINDS));
        }
    };
    let mut exchange = ExchangeDefinition {
        name: name.text.clone(),
        kind,
        durable: false,
        auto_delete: false,
        internal: false,
        alternate_exchange: None,
        arguments: Table::new(),
    };
    while !scanner.is_at_end() && !scanner.is_next("{") && !scanner.is_next(":") {
        match scanner.word(true)? {
            Some(word) if word.is("durable") => exchange.durable = true,
            Some(word) if word.is("auto-delete") => exchange.auto_delete = true,
            Some(word) if word.is("internal") => exchange.internal = true,
            Some(word) if word.is("else") => match scanner.word(true)? {
                Some(alternate) => exchange.alternate_exchange = Some(alternate.text),
                None => return Err(scanner.expected("the name of the alternate exchange", "")),
            },
            Some(word) => {
                let reason = alloc::format!("`{}` is no property of an exchange", word.text);
                let hint = "it takes durable, auto-delete, internal, else ALTERNATE and {arguments}";
                return Err(scanner.error(word.start, reason, hint));
            }
            None => return Err(scanner.expected("a property of the exchange, or a colon", "")),
        }
    }
    let start = scanner.at();
    exchange.arguments = arguments(scanner)?;
    if exchange.arguments.get(ALTERNATE_EXCHANGE).is_some() {
        let reason = alloc::format!("`{ALTERNATE_EXCHANGE}` is among the arguments");
        return Err(scanner.error(start, reason, "an alternate exchange is written `else NAME`"));
    }
    Ok(exchange)
}

fn arguments(scanner: &mut Scanner<'_>) -> Result<Table, LineError> {
    if scanner.is_next("{") { table(scanner, 0) } else { Ok(Table::new()) }
}

fn dialect_of(scanner: &mut Scanner<'_>) -> Result<Dialect, LineError> {
    let word = scanner.word(false)?;
    let dialect =
        word.as_ref().and_then(|word| Dialect::ALL.into_iter().find(|dialect| word.is(dialect.as_str())));
    dialect.ok_or_else(|| match word {
        Some(word) => scanner.error(
            word.start,
            alloc::format!("`{}` is no dialect", word.text),
            "expected amqp, kombu57 or kombu56",
        ),
        None => scanner.expected("a dialect", "amqp, kombu57 or kombu56"),
    })
}

fn apply_to_of(scanner: &mut Scanner<'_>) -> Result<ApplyTo, LineError> {
    let word = scanner.word(false)?;
    let known = word.as_ref().and_then(|word| ApplyTo::ALL.into_iter().find(|it| word.is(it.as_str())));
    known.ok_or_else(|| {
        scanner.expected(
            "what the policy applies to",
            "all, exchanges, queues, classic_queues, quorum_queues or streams",
        )
    })
}

fn end(scanner: &mut Scanner<'_>) -> Result<(), LineError> {
    if scanner.is_at_end() { Ok(()) } else { Err(scanner.expected("the end of the line", "")) }
}
