//! One reconciliation of a directory: read, compare, apply.

use std::collections::BTreeSet;

use super::connection::Connection;
use super::plan::{Operation, Plan, Rules, plan};
use super::settings::PublisherSettings;
use crate::dn::Dn;
use crate::entry::Entry;
use crate::error::Result;

/// The part of a directory that belongs to this program.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The DN below which entries are searched for.
    pub base: Dn,
    /// The subjects of this program's CAs, DER. Values of other issuers are left unchanged.
    pub owners: BTreeSet<Vec<u8>>,
}

/// The result of a reconciliation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The URL of the server.
    pub url: String,
    /// The operations that were applied; in a dry run, those that would be.
    pub operations: Vec<Operation>,
    /// The operations that were refused or are impossible, each as a text.
    pub problems: Vec<String>,
}

/// Compares a directory with the desired entries, and changes it unless this is a dry run.
///
/// # Errors
/// [`Error::Unavailable`](crate::Error::Unavailable) if no server can be reached or the connection is lost;
/// [`Error::Denied`](crate::Error::Denied) if the bind or reading is refused.
pub async fn reconcile(
    settings: &PublisherSettings,
    scope: &Scope,
    desired: &[Entry],
    dry_run: bool,
) -> Result<Report> {
    let mut connection = Connection::open(settings, desired).await?;
    let names: Vec<Dn> = desired.iter().map(|entry| entry.dn.clone()).collect();
    let found = connection.read_all(&scope.base, &names).await?;
    let plan = plan(desired, &found, &rules(settings, scope));
    let report = match dry_run {
        true => Report {
            url: connection.url().to_owned(),
            operations: plan.operations,
            problems: plan.problems,
        },
        false => apply(&mut connection, plan).await?,
    };
    connection.close().await;
    Ok(report)
}

/// The rules for one directory.
pub(super) fn rules(settings: &PublisherSettings, scope: &Scope) -> Rules {
    Rules {
        create_missing: settings.create_missing,
        remove_certificates: settings.remove_certificates,
        owners: scope.owners.clone(),
    }
}

/// Applies the operations of a plan. If one is refused, the others are applied all the same; a lost connection is an error.
pub(super) async fn apply(connection: &mut Connection, plan: Plan) -> Result<Report> {
    let mut report =
        Report { url: connection.url().to_owned(), problems: plan.problems, ..Report::default() };
    for operation in plan.operations {
        match connection.apply(&operation).await? {
            Ok(()) => report.operations.push(operation),
            Err(refusal) => report.problems.push(refusal),
        }
    }
    Ok(report)
}
