use keyrail_workload::{Bindings, Kind};

/// What an engine gets.
pub(crate) struct Job<'j> {
    pub(crate) kind: Kind,
    pub(crate) table: &'j Bindings,
    /// In the engine's own spelling.
    pub(crate) keys: &'j [&'j str],
}

/// Something that finds the queues of a key.
pub(crate) trait Engine: Sized {
    /// What `#` means to it: `amqp` where it takes any number of words, `nats` where it takes at least one.
    const SEMANTICS: &'static str = "amqp";

    /// Spells a file of keys as the engine wants it, before anything is measured.
    fn rewrite(keys: String) -> String {
        keys
    }

    /// Takes in the table; timed, and its memory counted.
    fn build(job: &Job<'_>) -> Result<Self, String>;

    /// What is timed: finds the queues of the key with this number and keeps them for [`answer`](Self::answer).
    /// Whoever finds a queue twice may keep it twice.
    fn route(&mut self, number: usize, key: &str);

    /// The numbers of the queues of the last key; not timed.
    fn answer(&self, queues: &mut Vec<u32>);

    /// Bytes that the bindings take, where that is less than all that building left behind.
    fn bytes(&self) -> Option<isize> {
        None
    }
}

impl Job<'_> {
    /// Patterns as text; the workload has no others.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Result<(&str, u32), String>> {
        self.table.iter().map(|(pattern, queue)| {
            let pattern = std::str::from_utf8(pattern).map_err(|error| error.to_string())?;
            Ok((pattern, queue))
        })
    }

    /// An error unless the table is of this kind.
    pub(crate) fn only(&self, kind: Kind) -> Result<(), String> {
        if self.kind == kind {
            Ok(())
        } else {
            Err(format!("this engine takes tables of the kind {kind:?} only"))
        }
    }
}

/// A pattern with MQTT's separator and wildcards.
pub(crate) fn mqtt(pattern: &str) -> String {
    words(pattern, "/", "+", "#")
}

/// A pattern spelled otherwise.
pub(crate) fn words(pattern: &str, separator: &str, star: &str, hash: &str) -> String {
    let words: Vec<&str> = pattern
        .split('.')
        .map(|word| match word {
            "*" => star,
            "#" => hash,
            literal => literal,
        })
        .collect();
    words.join(separator)
}
