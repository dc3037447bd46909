use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use crate::{DirectWorkload, TopicWorkload, adversarial::adversaries, headers::HeadersWorkload};

/// The sizes of topic and direct tables and their names in file names.
pub const SIZES: [(usize, &str); 5] =
    [(10, "10"), (1_000, "1k"), (10_000, "10k"), (100_000, "100k"), (1_000_000, "1m")];

/// The sizes of fanout tables.
const FANOUTS: [(usize, &str); 3] = [(10, "10"), (1_000, "1k"), (100_000, "100k")];

/// How many keys the repeated ones are drawn from.
const POOL: usize = 20_000;

/// Writes tables and keys into `directory`, leaving out topic and direct tables of more than `largest` bindings.
///
/// # Errors
/// What the file system answers.
/// # Cost
/// 450 MB in all, nine tenths of them for 100,000 and 1,000,000 bindings.
pub fn generate(directory: &Path, largest: usize) -> io::Result<()> {
    for (size, name) in SIZES.into_iter().filter(|(size, _)| *size <= largest) {
        topic(directory, size, name)?;
        direct(directory, size, name)?;
    }
    for (size, name) in FANOUTS {
        let rows = (0..size).map(|queue| format!("\t{queue}"));
        lines(directory, &format!("fanout_{name}.tbl"), rows)?;
    }
    lines(directory, "fanout.keys", (0..1000).map(|number| format!("any.key.{number}")))?;
    for (number, adversary) in (1..).zip(adversaries()) {
        let rows = adversary.rows.iter().map(|(pattern, queue)| format!("{pattern}\t{queue}"));
        lines(directory, &format!("adv{number}.tbl"), rows)?;
        lines(directory, &format!("adv{number}.keys"), &adversary.keys)?;
    }
    let mut headers = HeadersWorkload::new(4_000);
    let rows = headers.rows().iter().map(|(arguments, queue)| format!("{arguments}\t{queue}"));
    lines(directory, "headers_4k.tbl", rows)?;
    lines(directory, "headers_4k.keys", headers.messages(100_000))
}

fn topic(directory: &Path, size: usize, name: &str) -> io::Result<()> {
    let line = |(pattern, queue): &(String, u64)| format!("{pattern}\t{queue}");
    let mut workload = TopicWorkload::new(size);
    lines(directory, &format!("topic_{name}.tbl"), workload.rows().iter().map(line))?;
    lines(directory, &format!("topicend_{name}.tbl"), workload.trailing_rows().map(line))?;
    let keys = workload.unique_keys(spread(size));
    lines(directory, &format!("topic_{name}.uniq.keys"), &keys)?;
    let repeated = workload.repeated_keys(&keys, POOL, repeated(size));
    lines(directory, &format!("topic_{name}.zipf.keys"), repeated)
}

fn direct(directory: &Path, size: usize, name: &str) -> io::Result<()> {
    let mut workload = DirectWorkload::new(size);
    let rows = workload.rows().iter().map(|(key, queue)| format!("{key}\t{queue}"));
    lines(directory, &format!("direct_{name}.tbl"), rows)?;
    lines(directory, &format!("direct_{name}.zipf.keys"), workload.repeated_keys(repeated(size)))?;
    lines(directory, &format!("direct_{name}.uniq.keys"), workload.spread_keys(spread(size)))
}

/// Keys of a file without favourites: for large tables enough to leave every cache.
const fn spread(size: usize) -> usize {
    if size >= 100_000 { 1_000_000 } else { 200_000 }
}

const fn repeated(size: usize) -> usize {
    if size >= 100_000 { 500_000 } else { 200_000 }
}

fn lines(directory: &Path, name: &str, lines: impl IntoIterator<Item = impl AsRef<str>>) -> io::Result<()> {
    let path = directory.join(name);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for line in lines {
        file.write_all(line.as_ref().as_bytes())?;
        file.write_all(b"\n")?;
    }
    file.flush()
}
