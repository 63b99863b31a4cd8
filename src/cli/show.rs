//! Commands that need no instance: `lint`, `config`, `completion`, `man`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use countersign_ca::lint::{self, Severity};
use serde_json::{Value, json};

use super::context::Context;
use crate::exit::Failure;
use crate::output;

/// The largest file that is linted, in bytes. A CRL of a million entries has 49 MB.
const MAX_FILE: u64 = 256 << 20;

/// `countersign lint`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 1 says that an error was found; warnings and notices are only printed."
)]
pub struct Lint {
    /// Certificates or CRLs, PEM or DER
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Lint {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let mut rows = Vec::new();
        let mut errors = 0_usize;
        for file in &self.files {
            let failed =
                |e: std::io::Error| Failure::unavailable(format!("`{}`: {e}", file.display()));
            if std::fs::metadata(file).map_err(failed)?.len() > MAX_FILE {
                return Err(Failure::input(format!(
                    "`{}` is larger than {MAX_FILE} bytes",
                    file.display()
                )));
            }
            let bytes = std::fs::read(file).map_err(failed)?;
            let objects = lint::file(&bytes)
                .map_err(|e| Failure::input(format!("`{}`: {e}", file.display())))?;
            for finding in objects.iter().flat_map(|(_, findings)| findings) {
                errors = errors.saturating_add(usize::from(finding.severity == Severity::Error));
                rows.push(json!({
                    "file": file.display().to_string(),
                    "severity": format!("{:?}", finding.severity).to_lowercase(),
                    "code": finding.code,
                    "section": finding.section,
                    "message": finding.message,
                }));
            }
        }
        output::print(context.format, &Value::Array(rows));
        match errors {
            0 => Ok(()),
            errors => Err(Failure::found(format!("{errors} errors"))),
        }
    }
}

/// `countersign config …`
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Read the configuration, and name its mistakes
    Check,
    /// Print the configuration in force, defaults included
    Show,
}

impl Config {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let config = context.location.config()?;
        match self {
            Self::Check => output::print(context.format, &json!({"good": true})),
            Self::Show if context.format == output::Format::Json => {
                let value = serde_json::to_value(&config.file)
                    .map_err(|e| Failure { code: 1, message: e.to_string() })?;
                output::print(context.format, &value);
            }
            Self::Show => {
                let text = toml::to_string_pretty(&config.file)
                    .map_err(|e| Failure { code: 1, message: e.to_string() })?;
                output::line(&text);
            }
        }
        Ok(())
    }
}

/// `countersign completion`
#[derive(Debug, Args)]
pub struct Completion {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

impl Completion {
    /// Carries out the command.
    pub fn run(&self, command: &mut clap::Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, "countersign", &mut script);
        output::line(&String::from_utf8_lossy(&script));
        Ok(())
    }
}

/// `countersign man`
#[derive(Debug, Args)]
pub struct Man {
    /// The folder that the pages are written to; without it the main page is printed
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    /// Carries out the command.
    pub fn run(&self, command: clap::Command) -> Result<(), Failure> {
        match &self.dir {
            Some(dir) => {
                std::fs::create_dir_all(dir)?;
                Ok(clap_mangen::generate_to(command, dir)?)
            }
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(command).render(&mut page)?;
                output::line(&String::from_utf8_lossy(&page));
                Ok(())
            }
        }
    }
}
