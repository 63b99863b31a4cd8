//! `countersign cert …`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use countersign_ca::record::Label;
use serde_json::Value;

use super::Context;
use crate::admin::Request;
use crate::exit::Failure;
use crate::output;

/// `countersign cert …`
#[derive(Debug, Subcommand)]
pub enum Cert {
    /// List certificates, oldest first
    List {
        /// Only those of this account
        #[arg(long, value_name = "NAME")]
        account: Option<Label>,
        /// Only those with this status
        #[arg(long, value_enum)]
        status: Option<Status>,
        /// At most this many
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show one certificate
    Show(One),
    /// Revoke a certificate
    Revoke {
        #[command(flatten)]
        one: One,
        /// unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, cessationOfOperation,
        /// certificateHold, privilegeWithdrawn or aACompromise
        #[arg(long, default_value = "unspecified")]
        reason: String,
        /// When the key was compromised, if earlier, such as 2026-01-31T12:00:00Z
        #[arg(long, value_name = "TIME", value_parser = moment)]
        invalidity_date: Option<i64>,
    },
    /// Put a certificate on hold
    Hold(One),
    /// Release a certificate from hold
    Release(One),
    /// Write a certificate as PEM
    Export {
        #[command(flatten)]
        one: One,
        /// The file; standard output without it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// One certificate by its serial number.
#[derive(Debug, Clone, Args)]
pub struct One {
    /// Its serial number, hexadecimal
    serial: String,
    /// Its issuing CA
    #[arg(long, value_name = "NAME")]
    ca: Option<Label>,
}

/// The status of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Status {
    /// In use
    Valid,
    /// Not confirmed yet by its holder
    Unconfirmed,
    /// On hold
    Held,
    /// Revoked
    Revoked,
    /// Expired
    Expired,
}

impl Cert {
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::List { account, status, limit } => {
                list(context, account.as_ref(), *status, limit.unwrap_or(usize::MAX))
            }
            Self::Show(one) => context.show(one.request()),
            Self::Revoke { one, reason, invalidity_date } => {
                context.show(one.revoke(reason, *invalidity_date))
            }
            Self::Hold(one) => context.show(one.revoke("certificateHold", None)),
            Self::Release(one) => context
                .show(Request::CertRelease { serial: one.serial.clone(), ca: one.ca.clone() }),
            Self::Export { one, out } => {
                let certificate = context.ask(one.request())?;
                let pem = certificate.get("pem").and_then(Value::as_str).unwrap_or_default();
                match out {
                    Some(out) => countersign_ca::foundation::write_atomically(out, pem.as_bytes())?,
                    None => output::line(pem),
                }
                Ok(())
            }
        }
    }
}

impl One {
    fn request(&self) -> Request {
        Request::CertShow { serial: self.serial.clone(), ca: self.ca.clone() }
    }

    fn revoke(&self, reason: &str, invalidity: Option<i64>) -> Request {
        Request::CertRevoke {
            serial: self.serial.clone(),
            ca: self.ca.clone(),
            reason: reason.to_owned(),
            invalidity,
        }
    }
}

/// Fetches page after page.
fn list(
    context: &Context,
    account: Option<&Label>,
    status: Option<Status>,
    limit: usize,
) -> Result<(), Failure> {
    let wanted = status
        .and_then(|status| status.to_possible_value().map(|value| value.get_name().to_owned()));
    let mut found = Vec::new();
    let mut cursor = Some(0);
    while let Some(at) = cursor.filter(|_| found.len() < limit) {
        let mut page = context.ask(Request::CertList { account: account.cloned(), cursor: at })?;
        cursor = page.get("next").and_then(Value::as_u64);
        let items = page
            .get_mut("items")
            .and_then(Value::as_array_mut)
            .map(std::mem::take)
            .unwrap_or_default();
        let matches = |item: &Value| {
            wanted
                .as_ref()
                .is_none_or(|wanted| item.get("status").and_then(Value::as_str) == Some(wanted))
        };
        found.extend(items.into_iter().filter(matches));
    }
    found.truncate(limit);
    output::print(context.format, &Value::Array(found));
    Ok(())
}

fn moment(text: &str) -> Result<i64, String> {
    let time = humantime::parse_rfc3339_weak(text)
        .map_err(|e| format!("expected a time such as 2026-01-31T12:00:00Z: {e}"))?;
    let since = time
        .duration_since(std::time::UNIX_EPOCH)
        .map_err(|_| "expected a time after 1970".to_owned())?;
    i64::try_from(since.as_secs()).map_err(|e| e.to_string())
}
