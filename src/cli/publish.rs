//! `countersign publish …`: LDAP directories, and whether they are in step.

use clap::{Args, Subcommand};
use serde_json::json;

use super::context::Context;
use crate::admin::Request;
use crate::admin::answer::{DirectoryReport, to_value};
use crate::exit::Failure;
use crate::output::{self, Format};

/// `countersign publish …`
#[derive(Debug, Subcommand)]
pub enum Publish {
    /// Show the built-in directory, and whether each directory that is published to is in step
    Status,
    /// Compare the directories with the entries that they should have, and bring them in step now
    Run {
        #[command(flatten)]
        which: Which,
        /// Change nothing, and print the operations as LDIF
        #[arg(long)]
        dry_run: bool,
    },
    /// Compare the directories with the entries that they should have, and fail if they differ
    Verify(Which),
}

/// The directory, or all of them.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// Only the directory of this name in the configuration
    #[arg(long, value_name = "NAME")]
    directory: Option<String>,
}

impl Publish {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Status => context.show(Request::PublishStatus),
            Self::Run { which, dry_run } => {
                let reports: Vec<DirectoryReport> = context.ask_for(which.request(*dry_run))?;
                match (*dry_run, context.format) {
                    (true, Format::Text | Format::Csv) => show_ldif(&reports),
                    _ => output::print(context.format, &to_value(&reports)?),
                }
                refuse_problems(&reports)
            }
            Self::Verify(which) => {
                let reports: Vec<DirectoryReport> = context.ask_for(which.request(true))?;
                refuse_problems(&reports)?;
                refuse_differences(&reports)?;
                match context.format {
                    Format::Json => output::print(Format::Json, &json!({"in_step": true})),
                    Format::Text | Format::Csv => output::line("every directory is in step"),
                }
                Ok(())
            }
        }
    }
}

impl Which {
    fn request(&self, dry_run: bool) -> Request {
        Request::PublishRun { directory: self.directory.clone(), dry_run }
    }
}

fn show_ldif(reports: &[DirectoryReport]) {
    for DirectoryReport { directory, url, ldif, .. } in reports {
        output::line(&format!("# {directory}: {url}\n{}", ldif.as_deref().unwrap_or_default()));
    }
}

/// Fails when an operation was refused or cannot be carried out.
fn refuse_problems(reports: &[DirectoryReport]) -> Result<(), Failure> {
    let all: Vec<String> = reports
        .iter()
        .flat_map(|report| {
            let of = &report.directory;
            report.problems.iter().map(move |problem| format!("`{of}`: {problem}"))
        })
        .collect();
    if all.is_empty() { Ok(()) } else { Err(Failure::found(all.join("\n"))) }
}

/// Fails when a directory's entries differ from those that it should have.
fn refuse_differences(reports: &[DirectoryReport]) -> Result<(), Failure> {
    let behind: Vec<String> = reports
        .iter()
        .filter(|report| report.operations > 0)
        .map(|report| format!("`{}` lacks {} operations", report.directory, report.operations))
        .collect();
    if behind.is_empty() {
        return Ok(());
    }
    Err(Failure::found(format!(
        "{}; `countersign publish run --dry-run` shows them",
        behind.join("; ")
    )))
}
