use std::{env, error::Error, fmt::Display, process::ExitCode};

/// The `main` of a program that measures: prints what came of its arguments, or says what was wrong with them and fails.
///
/// ```
/// let code = keyrail_workload::program(|arguments| Ok(format!("{} arguments", arguments.len())));
/// assert_eq!(code, std::process::ExitCode::SUCCESS);
/// ```
pub fn program<T: Display>(run: impl FnOnce(&[String]) -> Result<T, Box<dyn Error>>) -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
