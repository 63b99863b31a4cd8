//! A bench of another build, run beside this one, and its tables.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The other build's binary, by the environment variable that names it.
pub fn named_by(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(variable)?);
    assert!(path.is_file(), "{variable} names {}, which is no file", path.display());
    Some(path)
}

/// Runs a bench, and gives what it printed. It does not run another build in turn.
pub fn run(program: &Path, arguments: &[String], variable: &str) -> String {
    let mut command = Command::new(program);
    command.args(arguments).env_remove(variable).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    assert!(output.status.success(), "{} failed", program.display());
    String::from_utf8(output.stdout).unwrap()
}

/// The first number in a column of the first table row that starts with these cells.
pub fn cell(text: &str, first: &[&str], column: usize) -> f64 {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let row = text.lines().map(cells).find(|cells| {
        cells.len() > column && first.iter().zip(cells).all(|(want, cell)| cell.starts_with(want))
    });
    let row = row.unwrap_or_else(|| panic!("no row starts with {first:?} in:\n{text}"));
    let number = row[column].split_whitespace().next().and_then(|word| word.parse().ok());
    number.unwrap_or_else(|| panic!("`{}` is no number", row[column]))
}
