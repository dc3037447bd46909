//! Build steps that need Rust libraries rather than a shell.
//!
//! `keyrail-xtask bindgen INPUT.wasm OUTDIR` writes the JavaScript binding of a compiled module:
//! `OUTDIR/NAME_bg.wasm`, `OUTDIR/NAME_bg.js` and their types. It is a crate of the workspace, and not a tool on the
//! PATH, so that `Cargo.lock` holds its version: generator and `wasm-bindgen` must be of the same release.

mod panics;

use std::path::Path;
use std::process::ExitCode;

use walrus::ModuleConfig;
use wasm_bindgen_cli_support::Bindgen;

const USAGE: &str = "usage: keyrail-xtask bindgen INPUT.wasm OUTDIR";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ["bindgen", input, out_dir] = arguments[..] else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match bindgen(Path::new(input), Path::new(out_dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: bindgen of {input}: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the binding of `input` into `out_dir`, replacing what is there.
///
/// The `bundler` form is the one without start-up code of its own: no `fetch`, no `new URL`, no check that fails
/// across realms. The entries of the npm package instantiate the module themselves.
fn bindgen(input: &Path, out_dir: &Path) -> Result<(), String> {
    if !input.is_file() {
        return Err("no such file".to_owned());
    }
    let bytes = std::fs::read(input).map_err(|error| error.to_string())?;
    let mut module = ModuleConfig::new()
        // As the generator reads a file itself: what a linker wrote is valid.
        .strict_validate(false)
        // Names stay for `wasm/scripts/parts.mjs`; scripts/wasm.sh takes them out of what is shipped.
        .generate_name_section(true)
        .generate_producers_section(false)
        .parse(&bytes)
        .map_err(|error| format!("{error:#}"))?;
    panics::trap(&mut module)?;
    let mut bindgen = Bindgen::new();
    // The public name, whatever the crate is called.
    bindgen.input_module("keyrail", module);
    bindgen.bundler(true).map_err(|error| error.to_string())?;
    bindgen.typescript(true);
    // `{error:#}` is anyhow's form with all causes in one line.
    bindgen.generate(out_dir).map_err(|error| format!("{error:#}"))
}
