//! LDAP directories, as administrators see them and bring them in step.

use countersign_ca::Timestamp;
use countersign_ldap_bridge::publisher::{Status, ldif};

use super::answer::{DirectoryLine, DirectoryReport, DirectoryState};
use super::recorded::record;
use crate::bridge::{self, Effect, NamedReport};
use crate::exit::Failure;
use crate::instance::Instance;

/// The built-in directory, and the other directories that are published to.
pub fn list(instance: &Instance) -> Vec<DirectoryLine> {
    let Some(bridge) = instance.bridge() else {
        let configured = instance.config.ldap.publishers.iter();
        return configured
            .map(|settings| DirectoryLine::NotRunning {
                directory: settings.name.clone(),
                state: "the server does not run",
            })
            .collect();
    };
    let own = bridge.directory().map(|directory| DirectoryState {
        directory: "built-in".into(),
        state: "serves",
        url: bridge.address().map(|address| format!("ldap://{address}")),
        entries: Some(directory.entries()),
        last_success: None,
        operations: None,
        failures: None,
        next_try: None,
        error: None,
    });
    let others = bridge.publishers().into_iter().map(published_to);
    own.into_iter().chain(others).map(DirectoryLine::Running).collect()
}

fn published_to(status: Status) -> DirectoryState {
    let state = match (&status.error, status.is_behind) {
        (Some(_), _) => "fails",
        (None, true) => "behind",
        (None, false) => "in step",
    };
    let moment = |at: Timestamp| at.whole_seconds().to_string();
    DirectoryState {
        directory: status.name,
        state,
        url: status.url,
        entries: None,
        last_success: status.last_success.map(moment),
        operations: Some(status.operations),
        failures: Some(status.failures),
        next_try: status.next_try.map(moment),
        error: status.error,
    }
}

/// Compares the directory of this name, or all for `None`, with the entries that they should have. With [`Effect::Apply`], the operations
/// that are missing are carried out.
pub fn reconcile(
    instance: &Instance,
    actor: &str,
    name: Option<&str>,
    effect: Effect,
) -> Result<Vec<DirectoryReport>, Failure> {
    let reports = bridge::reconcile(instance.authority()?, &instance.config.ldap, name, effect)?;
    if effect == Effect::Apply {
        record(instance, actor, "publish run", &name.unwrap_or("every directory"))?;
    }
    let lines = reports.into_iter().map(|NamedReport { directory, report }| DirectoryReport {
        directory,
        url: report.url,
        operations: report.operations.len(),
        problems: report.problems,
        ldif: (effect == Effect::DryRun).then(|| ldif(&report.operations)),
    });
    Ok(lines.collect())
}
