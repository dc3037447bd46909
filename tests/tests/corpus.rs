//! Bad input, file by file: each importer refuses it with the place in the document, and never panics or hangs. The same
//! files are where the fuzz targets (fuzz/) begin.

use std::{fs, path::Path};

use keyrail_core::{
    Definitions, Dialect, Router, Topology,
    kombu::{BindingSets, CeleryConfig, Layout},
};
use serde::de::DeserializeOwned;

/// The error of an importer, or nothing if it takes the input.
type Import = fn(&[u8]) -> Option<String>;

fn importers() -> [(&'static str, Import); 6] {
    [
        ("topology", |bytes| text(bytes, json::<Topology>).and_then(|it| it.router().map_err(shown)).err()),
        ("definitions", |bytes| {
            let read = text(bytes, json::<Definitions>);
            read.and_then(|it| it.topology("/").map_err(shown))
                .and_then(|it| it.router().map_err(shown))
                .err()
        }),
        ("lines", |bytes| {
            let read = text(bytes, |text| Topology::from_lines(text).map_err(shown));
            read.and_then(|it| it.router().map_err(shown)).err()
        }),
        ("kombu", |bytes| {
            let read = text(bytes, json::<BindingSets>);
            let read =
                read.and_then(|it| it.topology(&Layout::default(), &Default::default()).map_err(shown));
            read.and_then(|it| it.router().map_err(shown)).err()
        }),
        ("celery", |bytes| {
            let read = text(bytes, json::<CeleryConfig>);
            let read = read.and_then(|it| it.topology(Dialect::Kombu57).map_err(shown));
            read.and_then(|it| it.router().map_err(shown)).err()
        }),
        ("snapshot", |bytes| Router::from_snapshot(bytes).map_err(shown).err()),
    ]
}

fn text<T>(bytes: &[u8], read: impl Fn(&str) -> Result<T, String>) -> Result<T, String> {
    str::from_utf8(bytes).map_err(shown).and_then(read)
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(shown)
}

fn shown(error: impl ToString) -> String {
    error.to_string()
}

/// The first line of `NAME.expect` beside a file is what its error has to hold; a file without one is taken.
#[test]
fn every_file_is_refused_as_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut seen = 0;
    for (importer, import) in importers() {
        let mut files: Vec<_> =
            fs::read_dir(root.join(importer)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_none_or(|end| end != "expect")) {
            let error = import(&fs::read(file).unwrap());
            match fs::read_to_string(file.with_added_extension("expect")) {
                Err(_) => assert_eq!(error, None, "{}", file.display()),
                Ok(expected) => {
                    let error = error.unwrap_or_else(|| panic!("{} is taken", file.display()));
                    assert!(error.contains(expected.trim()), "{}: {error}", file.display());
                }
            }
            seen += 1;
        }
    }
    assert!(seen >= 40, "{seen}");
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
