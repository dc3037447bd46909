//! The README's shell sessions are what the program prints, to the letter.

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
