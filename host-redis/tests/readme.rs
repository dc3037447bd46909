//! The README's shell sessions are what the program prints, to the letter, and the tests that the documents name are there.

use std::{env, fs, path::Path, process::Command};

/// The commands of the blocks without a language, each with the lines below it.
fn sessions(text: &str) -> Vec<(String, String)> {
    let (mut sessions, mut block) = (Vec::new(), None);
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            block = if block.is_none() { Some(language) } else { None };
        } else if block == Some("") {
            match line.strip_prefix("$ ") {
                Some(command) => sessions.push((command.to_owned(), String::new())),
                None => {
                    let (_, output): &mut (String, String) =
                        sessions.last_mut().expect("a command comes first");
                    *output += line;
                    output.push('\n');
                }
            }
        }
    }
    sessions
}

#[test]
fn the_readme_shows_what_the_program_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sessions = sessions(&fs::read_to_string(root.join("README.md")).unwrap());
    let program = Path::new(env!("CARGO_BIN_EXE_keyrail")).parent().unwrap();
    let path = format!("{}:{}", program.display(), env::var("PATH").unwrap());
    // `make run` goes on for good: scripts/checks/run.test.mjs looks at that.
    for (command, expected) in sessions.iter().filter(|(command, _)| !command.starts_with("make ")) {
        let output = Command::new("sh")
            .args(["-c", &format!("{command} 2>&1")])
            .current_dir(&root)
            .env("PATH", &path)
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), *expected, "{command}");
    }
    for verb in ["explain", "lint", "diff", "convert"] {
        let shown = sessions.iter().filter(|(command, _)| command.contains(&format!("keyrail {verb} ")));
        assert!(shown.count() > 0, "the README shows no {verb}");
    }
}

/// Every file below these folders, read.
fn sources(root: &Path, folders: &[&str]) -> String {
    let mut text = String::new();
    let mut open: Vec<_> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is = |extension: &str| path.extension().is_some_and(|found| found == extension);
            if path.is_dir() && !path.ends_with("node_modules") {
                open.push(path);
            } else if is("rs") || is("py") {
                text += &format!("\nfile {}\n", path.file_name().unwrap().display());
                text += &fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

/// In these documents a name of three words or more, and one that ends like a file of tests, is a test.
#[test]
fn the_tests_that_the_documents_name_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sources = sources(&root, &["host-redis/src", "host-redis/tests", "core/src", "tests"]);
    let mut seen = 0;
    for document in ["host-redis/README.md", "ARCHITECTURE.md"] {
        let text = fs::read_to_string(root.join(document)).unwrap();
        let rows = text.lines().filter(|line| line.starts_with('|') && line.ends_with('|'));
        let shown = rows.filter_map(|row| row.trim_end_matches(['|', ' ']).rsplit('|').next());
        for name in shown.flat_map(|cell| cell.split('`').skip(1).step_by(2)) {
            let words = name
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter == '_' || letter.is_ascii_digit());
            let there = match name {
                _ if words && name.matches('_').count() > 2 => {
                    sources.contains(&format!("fn {name}(")) || sources.contains(&format!("def {name}("))
                }
                _ if name.ends_with(".py") && !name.contains('*') => {
                    sources.contains(&format!("\nfile {name}\n"))
                }
                _ => continue,
            };
            assert!(there, "{document} names `{name}`");
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen}");
}
