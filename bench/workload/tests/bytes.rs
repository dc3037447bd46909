//! The generator gives the bytes that `SHA256` lists.

use std::{fs, path::Path, process::Command};

/// The small tables always; all of them, which takes a release build and a minute, where `KEYRAIL_WORKLOAD_ALL` is set.
#[test]
fn files_have_the_digests_that_the_fixture_lists() {
    let largest = if std::env::var_os("KEYRAIL_WORKLOAD_ALL").is_some() { 1_000_000 } else { 1_000 };
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("workload");
    fs::create_dir_all(&directory).unwrap();
    keyrail_workload::generate(&directory, largest).unwrap();

    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/SHA256");
    let listed = fs::read_to_string(fixture).unwrap();
    let made = |line: &&str| line.split_once("  ").is_some_and(|(_, name)| directory.join(name).exists());
    let expected: Vec<&str> = listed.lines().filter(made).collect();
    assert!(expected.len() >= 27, "{expected:?}");

    let names = expected.iter().filter_map(|line| Some(line.split_once("  ")?.1));
    let output = Command::new("sha256sum").args(names).current_dir(&directory).output();
    let output = output.expect("`sha256sum` of the GNU coreutils is not installed");
    let found = String::from_utf8(output.stdout).unwrap();
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
    fs::remove_dir_all(&directory).unwrap();
}
