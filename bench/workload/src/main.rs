//! `keyrail-workload DIRECTORY [LARGEST]`: writes the tables and keys that the bench measures with.

use std::{env, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (directory, largest) = match arguments.as_slice() {
        [directory] => (directory, Ok(1_000_000)),
        [directory, largest] => (directory, largest.parse()),
        _ => return usage("a directory is needed"),
    };
    let Ok(largest) = largest else { return usage("the largest table is a number of bindings") };
    let directory = Path::new(directory);
    let made =
        std::fs::create_dir_all(directory).and_then(|()| keyrail_workload::generate(directory, largest));
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot write into `{}`: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}

fn usage(error: &str) -> ExitCode {
    eprintln!("error: {error}\nusage: keyrail-workload DIRECTORY [LARGEST]");
    ExitCode::from(2)
}
