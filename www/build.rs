//! Turns `dist`, which `make www` builds, into a table of embedded files. Without `dist` the table is empty.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let dist = here.join("dist");
    let index = dist.join("index.html");

    println!("cargo::rerun-if-changed=build.rs");
    // A watched path that does not exist would run this script, and compile the crate, at every build.
    println!("cargo::rerun-if-changed={}", if index.is_file() { "dist" } else { "." });

    let mut files = Vec::new();
    if index.is_file() {
        collect(&dist, String::new(), &mut files)?;
        // Sorted, because lookups are binary searches.
        files.sort();
    }
    let mut code = format!("const PAGE_IS_BUILT: bool = {};\n", !files.is_empty());
    code.push_str("static FILES: &[(&str, &[u8])] = &[\n");
    for (name, path) in &files {
        let path = if *path == index { served(path, &out)? } else { path.clone() };
        writeln!(code, "    ({name:?}, include_bytes!({path:?})),").expect("strings take everything");
    }
    code.push_str("];\n");
    fs::write(out.join("files.rs"), code)
}

/// The page asks its server for the topology only if it knows that there is one: opened as a plain file it asks
/// nobody for anything. It knows by this mark.
fn served(index: &Path, out: &Path) -> io::Result<PathBuf> {
    const BUNDLED: &str = r#"<meta name="keyrail-topology" content="bundled""#;
    const SERVED: &str = r#"<meta name="keyrail-topology" content="server""#;
    let html = fs::read_to_string(index)?;
    assert!(
        html.contains(BUNDLED),
        "{} has no {BUNDLED}: index.html and build.rs must agree",
        index.display()
    );
    let path = out.join("index.html");
    fs::write(&path, html.replacen(BUNDLED, SERVED, 1))?;
    Ok(path)
}

/// All files below `folder`, named as in addresses. Hidden ones are stamps of the build.
fn collect(folder: &Path, prefix: String, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().expect("file names of the build are ASCII");
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), format!("{prefix}{name}/"), files)?;
        } else {
            files.push((format!("{prefix}{name}"), entry.path()));
        }
    }
    Ok(())
}
