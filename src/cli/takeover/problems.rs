//! What is wrong with the files of a CA that is taken over: every problem at once, with its file and line.

use std::path::Path;

use crate::exit::Failure;

/// The most problems that are told.
const MAX_TOLD: usize = 100;

/// The problems that were found.
#[derive(Default)]
pub struct Problems {
    told: Vec<String>,
    more: usize,
}

impl Problems {
    /// Adds a problem of a file, and of a line of it, counted from 1.
    pub fn add(&mut self, file: &Path, line: Option<usize>, why: &str) {
        if self.told.len() >= MAX_TOLD {
            self.more = self.more.saturating_add(1);
            return;
        }
        let line = line.map_or_else(String::new, |line| format!(":{line}"));
        self.told.push(format!("{}{line}: {why}", file.display()));
    }

    /// Refuses the import if there are problems.
    pub fn refuse(self) -> Result<(), Failure> {
        if self.told.is_empty() {
            return Ok(());
        }
        let mut lines = self.told;
        if self.more > 0 {
            lines.push(format!("and {} more", self.more));
        }
        lines.push("nothing was imported".to_owned());
        Err(Failure::input(lines.join("\n")))
    }
}

/// The failure of a file that cannot be read.
pub fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::unavailable(format!("`{}`: {error}", file.display()))
}
