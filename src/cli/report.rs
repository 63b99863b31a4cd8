//! `countersign audit report`: the journal as people read it, one line for each thing that somebody did.

use std::time::SystemTime;

use clap::Args;
use countersign_ca::record::Label;

use super::cert::day_or_moment;
use super::context::Context;
use super::remote::{Remote, Server};
use crate::admin::answer::{ReportLine, ReportPage, to_value};
use crate::admin::{ReportFilter, Request, report};
use crate::exit::Failure;
use crate::output;

/// The lines that one request to another machine asks for.
const PAGE: usize = 1000;

/// `countersign audit report`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  countersign audit report --since 2026-11-01 --format csv > november.csv
  countersign audit report --since 7d --server https://pki.example.net:8843 --login ~/pki
  countersign audit report --account gw7
  countersign audit report --actor 'uid 0'")]
pub struct Report {
    /// Begin at this moment, such as 2026-01-31, 2026-01-31T12:00:00Z, or 7d for a week ago
    #[arg(long, value_name = "MOMENT", value_parser = moment_or_past)]
    since: Option<i64>,
    /// Report only what is about this account
    #[arg(long, value_name = "NAME")]
    account: Option<Label>,
    /// Report only what this actor did: an administrator such as `uid 0`, an account, or `instance`. If an administrator had the instance
    /// do something, the instance's line stands before the administrator's
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    #[command(flatten)]
    server: Server,
}

impl Report {
    /// Carries out the command: by the files of the instance, or by the instance on another machine if one is named.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let filter = ReportFilter {
            since: self.since,
            account: self.account.clone(),
            actor: self.actor.clone(),
        };
        let lines = match self.server.open()? {
            Some(remote) => all_pages(&remote, &filter)?,
            None => {
                context.location.folder.check()?;
                report::of_files(context.location.folder.path(), &filter)?
            }
        };
        output::print(context.format, &to_value(lines)?);
        Ok(())
    }
}

/// Every line, page by page.
fn all_pages(remote: &Remote, filter: &ReportFilter) -> Result<Vec<ReportLine>, Failure> {
    let (mut lines, mut after) = (Vec::new(), Some(0));
    while let Some(from) = after {
        let request = Request::AuditReport { filter: filter.clone(), after: from, limit: PAGE };
        let page: ReportPage = serde_json::from_value(remote.ask(&request)?).map_err(|e| {
            Failure::unavailable(format!("the server's answer cannot be read: {e}"))
        })?;
        lines.extend(page.items);
        if page.next.is_some_and(|next| next < from) {
            return Err(Failure::unavailable("the server's pages go backwards"));
        }
        after = page.next;
    }
    Ok(lines)
}

/// Parses a day, a moment, or how long ago a moment was, as seconds since 1970.
fn moment_or_past(text: &str) -> Result<i64, String> {
    if let Ok(moment) = day_or_moment(text) {
        return Ok(moment);
    }
    let ago = humantime::parse_duration(text).ok();
    let moment = ago.and_then(|ago| SystemTime::now().checked_sub(ago));
    let since = moment.and_then(|moment| moment.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_secs()).ok()).ok_or_else(|| {
        "expected a day such as 2026-01-31, a time such as 2026-01-31T12:00:00Z, or a time before now such as 7d or 12h, after 1970"
            .to_owned()
    })
}
