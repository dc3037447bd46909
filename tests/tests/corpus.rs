//! Bad input, file by file: each importer refuses it with the place in the document, and never panics or hangs. The same
//! files are where the fuzz targets (fuzz/) begin, and what reads them here is what reads them there.

use std::{fs, path::Path};

#[path = "../../fuzz/targets.rs"]
mod targets;

use targets::{ALL, Target};

fn importers() -> impl Iterator<Item = (&'static str, impl Fn(&[u8]) -> Option<String>)> {
    ALL.into_iter().map(|(name, target): (_, Target)| (name, move |bytes: &[u8]| target(bytes).err()))
}

/// A target without a program would never be fuzzed, one without files never be replayed.
#[test]
fn every_target_has_a_program_and_a_corpus() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |folder: &str| {
        let mut names: Vec<String> = fs::read_dir(root.join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().into())
            .collect();
        names.sort();
        names
    };
    let mut targets: Vec<String> = ALL.iter().map(|(name, _)| name.to_string()).collect();
    targets.sort();
    assert_eq!(names("../fuzz/fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
    for target in &targets {
        let program = fs::read_to_string(root.join(format!("../fuzz/fuzz_targets/{target}.rs"))).unwrap();
        assert!(program.contains(&format!("targets::{target}(bytes)")), "{target}");
        assert!(!names(&format!("corpus/{target}")).is_empty(), "{target}");
    }
}

/// The first line of `NAME.expect` beside a file is what its error has to hold; a file without one is taken.
#[test]
fn every_file_is_refused_as_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let (mut seen, mut wrong) = (0, Vec::new());
    for (importer, import) in importers() {
        let mut files: Vec<_> =
            fs::read_dir(root.join(importer)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_none_or(|end| end != "expect")) {
            let error = import(&fs::read(file).unwrap());
            let expected = fs::read_to_string(file.with_added_extension("expect")).ok();
            let holds = match (&error, &expected) {
                (None, None) => true,
                (Some(error), Some(expected)) => error.contains(expected.trim()),
                _ => false,
            };
            if !holds {
                wrong.push(format!("{}: {error:?}, expected {expected:?}", file.display()));
            }
            seen += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 80, "{seen}");
}

/// Every file of the corpus, cut off anywhere and with bytes changed, through every importer: no panic.
#[test]
fn damaged_files_never_panic() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (importer, import) in importers() {
        for entry in fs::read_dir(root.join(importer)).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            let step = (bytes.len() / 60).max(1);
            for at in (0..bytes.len()).step_by(step) {
                import(&bytes[..at]);
                for byte in [b'"', b'{', 0, 0xff, bytes[at] ^ 0x20] {
                    let mut damaged = bytes.clone();
                    damaged[at] = byte;
                    import(&damaged);
                }
            }
        }
    }
}

#[test]
fn deep_and_gigantic_documents_are_refused_quickly() {
    let deep = "[".repeat(200_000);
    let wide = format!("{{\"exchanges\": [{}]}}", vec!["{\"name\": \"x\"}"; 100_000].join(","));
    let name = "x".repeat(1 << 20);
    for document in [
        deep.clone(),
        format!("{{\"exchanges\": {deep}"),
        format!("{{\"bindings\": [{{\"arguments\": {deep}"),
        format!("{{\"task_routes\": {deep}"),
        format!("h headers: {{a: {deep}"),
        wide,
        format!("{{\"queues\": [{{\"name\": \"{name}\"}}]}}"),
        format!("queue {name}"),
        format!("{name} topic: {name} -> {name}"),
    ] {
        for (importer, import) in importers() {
            if importer == "celery" && !document.contains("task_routes") {
                continue; // Settings that it does not know are skipped.
            }
            assert!(import(document.as_bytes()).is_some(), "{importer}: {}", &document[..40]);
        }
    }
}
