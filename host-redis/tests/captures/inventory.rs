//! Every recorded file is accounted for: which tests compare it, and what of it is not compared, with the reason.
//!
//! A file that is in no row, a row without its file, a test that is not there or does not read the recording it is named
//! for, and a recording that was changed are errors.

use std::{collections::BTreeSet, path::Path};

use crate::{
    table::{Row, TABLE},
    wire::text,
};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The recorded files by name, without their endings.
fn files() -> BTreeSet<String> {
    let folder = std::fs::read_dir(root().join("tests/captures")).expect("the recordings");
    folder.map(|file| stem(&file.expect("a file").file_name().to_string_lossy())).collect()
}

fn stem(file: &str) -> String {
    file.split('.').next().unwrap_or_default().to_owned()
}

/// A test's text, from its name to its end, if it is one of this source.
fn body<'s>(source: &'s str, name: &str) -> Option<&'s str> {
    let heads = ["fn ", "def "].map(|word| format!("{word}{name}"));
    let start = heads.iter().find_map(|head| {
        let mut found = source.match_indices(&**head).map(|(place, _)| place);
        found.find(|place| source[place + head.len()..].starts_with(['(', '<']))
    })?;
    let before = source[..start].trim_end_matches("async ").trim_end();
    // Each case of a list is made a test on memory and one on Redis.
    let listed = source.split_once("on_both!(").and_then(|(_, rest)| rest.split_once(");"));
    let listed = listed.is_some_and(|(list, _)| list.split(',').any(|case| case.trim() == name));
    let python = name.starts_with("test_") && source[start..].starts_with("def ");
    let attribute = before.lines().next_back().unwrap_or_default().trim_start();
    let marked = attribute == "#[test]" || attribute.starts_with("#[tokio::test");
    let end = source[start..].find("\n}\n").map_or(source.len(), |length| start + length);
    (listed || python || marked).then(|| &source[start..end])
}

fn source(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `host-redis/tests/consumer.rs::tags_may_be_reused` is a test.
pub(crate) fn assert_shown(shown: &str) {
    let (path, test) = shown.split_once("::").expect("a file and a test");
    assert!(body(&source(path), test).is_some(), "there is no test {shown}");
}

#[test]
fn every_recording_is_accounted_for() {
    let listed: Vec<&str> = TABLE.iter().map(|row| row.recording).collect();
    let set: BTreeSet<String> = listed.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(set.len(), listed.len(), "a recording is there twice");
    assert_eq!(set, files(), "the table and tests/captures");
    let (mut whole, mut partly, mut not) = (0, 0, 0);
    for Row { recording, section, tests, because, shown } in TABLE {
        assert!(!section.is_empty(), "{recording}");
        for test in *tests {
            let (module, name) = test.split_once("::").expect("a module and a test");
            let source = source(&format!("host-redis/tests/captures/{module}.rs"));
            let body = body(&source, name).unwrap_or_else(|| panic!("{recording}: there is no test {test}"));
            let named =
                body.contains(&format!("\"{recording}\"")) || body.contains(&format!("\"{recording}.md\""));
            assert!(named, "{test} does not read {recording}");
        }
        shown.iter().for_each(|shown| assert_shown(shown));
        match (tests.is_empty(), because.is_empty()) {
            (false, true) => whole += 1,
            (false, false) => partly += 1,
            (true, false) => {
                assert!(!shown.is_empty(), "{recording}: nothing shows why it is not compared");
                not += 1;
            }
            (true, true) => panic!("{recording} is neither compared nor excused"),
        }
    }
    println!(
        "{} recordings: {whole} compared whole, {partly} but for what is named, {not} not compared",
        TABLE.len()
    );
}

/// What was recorded is not what somebody would like to have been recorded.
#[test]
fn recordings_are_unchanged() {
    let mut found = Vec::new();
    for file in std::fs::read_dir(root().join("tests/captures")).expect("the recordings") {
        let file = file.expect("a file").file_name().to_string_lossy().into_owned();
        // FNV-1a: no secret is kept here.
        let digest = text(&file).bytes().fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        found.push(format!("{digest:016x} {file}"));
    }
    found.sort_by(|one, other| one[17..].cmp(&other[17..]));
    let listed: Vec<&str> = include_str!("digests.txt").lines().collect();
    assert_eq!(found, listed);
}
