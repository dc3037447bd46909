//! From bytes to a router. The bytes may come from anybody.

use alloc::{string::String, vec::Vec};

use xxhash_rust::xxh64::xxh64;

use super::{
    CHECKSUM, MAGIC, SnapshotError, VERSION, binding_flag,
    bytes::{Reader, RunReader},
    error_of, flag, section,
    table::read_table,
};
use crate::{
    ApplyTo, Binding, Destination, Dialect, Exchange, ExchangeId, ExchangeKind, Limits, MAX_SHORT_STRING,
    Policy, Queue, QueueId, Router, Table,
    id::BindingId,
    index::Form,
    router::{BindingPart, Content, Parts},
};

pub(super) fn router(bytes: &[u8], seed: u64) -> Result<Router, SnapshotError> {
    let mut sections = Sections(checked(bytes)?);
    let mut head = sections.next(section::HEAD, "head")?;
    let revision = head.number()?;
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let limits = Limits::default().key_bytes(size(head.number()?)).bindings(size(head.number()?));
    head.end()?;

    let exchanges = exchanges(sections.next(section::EXCHANGES, "exchanges")?)?;
    let queues = queues(sections.next(section::QUEUES, "queues")?)?;
    let policies = policies(sections.next(section::POLICIES, "policies")?)?;
    // The default exchange is number 0.
    let ends = Ends { exchanges: exchanges.len() + 1, queues: queues.len() };
    let (words, forms) = words(sections.next(section::WORDS, "words")?)?;
    let numbers = Numbers { words: words.len(), literals: forms.iter().map(Form::literals).collect() };
    let bindings = Bindings::new(sections.next(section::BINDINGS, "bindings")?, ends, numbers)?;
    let count = bindings.count;
    let rings = sections.next(section::RINGS, "rings")?;
    sections.end()?;

    let bindings = |bind: &mut dyn FnMut(&BindingPart<'_>) -> Result<(), SnapshotError>| bindings.each(bind);
    let parts = Parts { seed, limits, revision, exchanges, queues, policies, words, forms, count, bindings };
    let mut router = Router::from_parts(parts)?;
    arrange_rings(&mut router, rings)?;
    Ok(router)
}

/// The sections, once it is clear that they arrived whole.
fn checked(bytes: &[u8]) -> Result<&[u8], SnapshotError> {
    let content = bytes.strip_prefix(&MAGIC).ok_or(SnapshotError::NoSnapshot)?;
    let (version, content) = content.split_first().ok_or(SnapshotError::Damaged)?;
    // Before the checksum: another version may have another one.
    if *version != VERSION {
        return Err(SnapshotError::UnknownVersion { found: *version });
    }
    let (sections, checksum) = content.split_last_chunk::<CHECKSUM>().ok_or(SnapshotError::Damaged)?;
    let summed = &bytes[..bytes.len() - CHECKSUM];
    if xxh64(summed, 0) != u64::from_le_bytes(*checksum) {
        return Err(SnapshotError::Damaged);
    }
    Ok(sections)
}

struct Sections<'a>(&'a [u8]);

impl<'a> Sections<'a> {
    fn next(&mut self, number: u64, name: &'static str) -> Result<Reader<'a>, SnapshotError> {
        let mut reader = Reader::new("sections", self.0);
        let found = reader.number()?;
        if found != number {
            let reason = alloc::format!("section {found} is where section {number} ({name}) is expected");
            return Err(reader.error(&reason));
        }
        let content = reader.bytes()?;
        self.0 = &self.0[self.0.len() - reader.left()..];
        Ok(Reader::new(name, content))
    }

    fn end(self) -> Result<(), SnapshotError> {
        Reader::new("sections", self.0).end()
    }
}

fn exchanges(mut reader: Reader<'_>) -> Result<Vec<(&str, Exchange)>, SnapshotError> {
    let mut exchanges = Vec::new();
    for at in 0..reader.count(4)? {
        let name = reader.text()?;
        let exchange = Exchange::new(kind(&mut reader)?);
        let flags = reader.number()?;
        if flags & !(flag::DURABLE | flag::AUTO_DELETE | flag::INTERNAL) != 0 {
            return Err(reader.error("a flag is unknown"));
        }
        let exchange = exchange
            .durable(flags & flag::DURABLE != 0)
            .auto_delete(flags & flag::AUTO_DELETE != 0)
            .internal(flags & flag::INTERNAL != 0)
            .arguments(read_table(&mut reader)?)
            .map_err(|error| error_of(error, alloc::format!("exchanges[{at}]")))?;
        exchanges.push((name, exchange));
    }
    reader.end()?;
    Ok(exchanges)
}

fn kind(reader: &mut Reader<'_>) -> Result<ExchangeKind, SnapshotError> {
    Ok(match reader.byte()? {
        0 => ExchangeKind::Direct,
        1 => ExchangeKind::Fanout,
        2 => ExchangeKind::Headers,
        3 => ExchangeKind::Topic,
        4 => ExchangeKind::ConsistentHash,
        5 => ExchangeKind::Random,
        _ => return Err(reader.error("a type of exchange is unknown")),
    })
}

fn queues(mut reader: Reader<'_>) -> Result<Vec<(&str, Queue)>, SnapshotError> {
    let mut queues = Vec::new();
    for _ in 0..reader.count(3)? {
        let name = reader.text()?;
        let flags = reader.number()?;
        if flags & !(flag::DURABLE | flag::AUTO_DELETE | flag::EXCLUSIVE) != 0 {
            return Err(reader.error("a flag is unknown"));
        }
        let queue = Queue::new()
            .durable(flags & flag::DURABLE != 0)
            .auto_delete(flags & flag::AUTO_DELETE != 0)
            .exclusive(flags & flag::EXCLUSIVE != 0)
            .arguments(read_table(&mut reader)?);
        queues.push((name, queue));
    }
    reader.end()?;
    Ok(queues)
}

fn policies(mut reader: Reader<'_>) -> Result<Vec<(&str, Policy)>, SnapshotError> {
    let mut policies = Vec::new();
    for at in 0..reader.count(12)? {
        let place = || alloc::format!("policies[{at}]");
        let name = reader.text()?;
        let policy = Policy::new(reader.text()?).map_err(|error| error_of(error, place()))?;
        let apply_to = apply_to(&mut reader)?;
        let mut priority = [0; 8];
        priority.copy_from_slice(reader.take(8)?);
        let policy = policy
            .apply_to(apply_to)
            .priority(i64::from_le_bytes(priority))
            .definition(read_table(&mut reader)?)
            .map_err(|error| error_of(error, place()))?;
        policies.push((name, policy));
    }
    reader.end()?;
    Ok(policies)
}

fn apply_to(reader: &mut Reader<'_>) -> Result<ApplyTo, SnapshotError> {
    Ok(match reader.byte()? {
        0 => ApplyTo::All,
        1 => ApplyTo::Exchanges,
        2 => ApplyTo::Queues,
        3 => ApplyTo::ClassicQueues,
        4 => ApplyTo::QuorumQueues,
        5 => ApplyTo::Streams,
        _ => return Err(reader.error("what a policy applies to is unknown")),
    })
}

/// Words and forms of topic patterns. A word is no wildcard and has no dot: else a key would be another one.
fn words(mut reader: Reader<'_>) -> Result<(Vec<&[u8]>, Vec<Form>), SnapshotError> {
    let mut words = Vec::new();
    for _ in 0..reader.count(1)? {
        let word = reader.text()?;
        if word == "*" || word == "#" || word.contains('.') || word.len() > MAX_SHORT_STRING {
            return Err(reader.error("a word is none of a topic pattern"));
        }
        words.push(word.as_bytes());
    }
    let mut forms = Vec::new();
    for _ in 0..reader.count(5)? {
        let [prefix, suffix, hash] = [reader.number()?, reader.number()?, reader.number()?];
        let (stars, end_stars) = (reader.number()?, reader.number()?);
        let form = Form::checked(prefix, suffix, hash == 1, stars, end_stars).filter(|_| hash < 2);
        forms.push(form.ok_or_else(|| reader.error("a form is none of a topic pattern"))?);
    }
    reader.end()?;
    Ok((words, forms))
}

/// What the numbers of topic patterns have to stay below.
struct Numbers {
    words: usize,
    /// How many words each form takes.
    literals: Vec<u32>,
}

/// How many exchanges, the default one included, and queues a binding may lead to.
#[derive(Clone, Copy)]
struct Ends {
    exchanges: usize,
    queues: usize,
}

/// The columns of the bindings.
struct Bindings<'a> {
    count: usize,
    ends: Ends,
    numbers: Numbers,
    sources: RunReader<'a>,
    flags: RunReader<'a>,
    destinations: Reader<'a>,
    lengths: Reader<'a>,
    keys: Reader<'a>,
    composed: Reader<'a>,
    extras: Reader<'a>,
}

impl<'a> Bindings<'a> {
    fn new(mut reader: Reader<'a>, ends: Ends, numbers: Numbers) -> Result<Self, SnapshotError> {
        // At least a byte for the destination and one for the key.
        let count = reader.count(2)?;
        let sources = RunReader::new(&mut reader, count)?;
        let flags = RunReader::new(&mut reader, count)?;
        let mut column = |name| reader.bytes().map(|bytes| Reader::new(name, bytes));
        let columns = Bindings {
            count,
            ends,
            numbers,
            sources,
            flags,
            destinations: column("destinations of bindings")?,
            lengths: column("lengths of binding keys")?,
            keys: column("binding keys")?,
            composed: column("topic patterns")?,
            extras: column("arguments and patterns of bindings")?,
        };
        reader.end()?;
        Ok(columns)
    }

    fn each(
        mut self,
        bind: &mut dyn FnMut(&BindingPart<'_>) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        if self.numbers.words > self.composed.left() {
            return Err(self.composed.error("there are words that no pattern has"));
        }
        let mut literals = Vec::new();
        for _ in 0..self.count {
            let source = self.sources.next()?;
            let source = u32::try_from(source).map_err(|_| self.keys.error("a source is unknown"))?;
            let flags = self.flags.next()?;
            if flags == binding_flag::WORDS {
                let form = self.composed.below(self.numbers.literals.len(), "a form is unknown")?;
                literals.clear();
                for _ in 0..self.numbers.literals[form as usize] {
                    literals.push(self.composed.below(self.numbers.words, "a word is unknown")?);
                }
                bind(&(ExchangeId(source), self.destination()?, Content::Words(form, &literals)))?;
                continue;
            }
            let length = self.lengths.number()?;
            let mut binding = Binding::new(self.keys.take(length)?);
            let mut arguments = Table::new();
            if flags != 0 {
                binding = self.announced(binding, flags, &mut arguments)?;
            }
            if !arguments.is_empty() {
                binding = binding.arguments(&arguments);
            }
            bind(&(ExchangeId(source), self.destination()?, Content::Whole(binding)))?;
        }
        self.destinations.end()?;
        self.lengths.end()?;
        self.keys.end()?;
        self.composed.end()?;
        self.extras.end()
    }

    #[inline]
    fn destination(&mut self) -> Result<Destination, SnapshotError> {
        let packed = self.destinations.number()?;
        let number = usize::try_from(packed >> 1).unwrap_or(usize::MAX);
        let bound = if packed & 1 == 0 { self.ends.queues } else { self.ends.exchanges };
        if number >= bound {
            return Err(self.destinations.error("a destination is unknown"));
        }
        // INVARIANT: there are no more than 2^32 of either, each took bytes.
        let number = number as u32;
        Ok(if packed & 1 == 0 { QueueId(number).into() } else { ExchangeId(number).into() })
    }

    /// What the flags of a binding say that it has.
    #[cold]
    fn announced<'b>(
        &mut self,
        binding: Binding<'b>,
        flags: u64,
        arguments: &mut Table,
    ) -> Result<Binding<'b>, SnapshotError>
    where
        'a: 'b,
    {
        if flags & !binding_flag::ALL != 0 || flags & binding_flag::WORDS != 0 {
            return Err(self.extras.error("a flag is unknown"));
        }
        if flags & binding_flag::ARGUMENTS != 0 {
            *arguments = read_table(&mut self.extras)?;
        }
        let binding = match flags & (binding_flag::KOMBU57 | binding_flag::KOMBU56) {
            0 => binding,
            binding_flag::KOMBU57 => binding.dialect(Dialect::Kombu57),
            binding_flag::KOMBU56 => binding.dialect(Dialect::Kombu56),
            _ => return Err(self.extras.error("a binding has two dialects")),
        };
        Ok(if flags & binding_flag::PATTERN != 0 { binding.pattern(self.extras.text()?) } else { binding })
    }
}

fn arrange_rings(router: &mut Router, mut reader: Reader<'_>) -> Result<(), SnapshotError> {
    let (exchanges, _, bindings) = router.counts();
    for _ in 0..reader.count(2)? {
        let exchange = ExchangeId(reader.below(exchanges, "an exchange is unknown")?);
        let mut owners = Vec::new();
        for _ in 0..reader.count(1)? {
            owners.push(BindingId(reader.below(bindings, "a binding is unknown")?));
        }
        if !router.arrange_ring(exchange, &owners) {
            let name: String = router.exchange_name(exchange).unwrap_or_default().into();
            return Err(
                reader.error(&alloc::format!("the buckets of `{name}` are not those of its bindings"))
            );
        }
    }
    reader.end()
}
