//! `countersign audit …` and `countersign store …`: proofs about the journal, and the state of journal and index.

use std::path::PathBuf;

use clap::Subcommand;
use countersign_ca::journal::{self, Hash, Head, Verification};
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore, Progress, audit};
use countersign_ca::{Clock, Store, SystemClock, Timestamp};
use serde_json::{Value, json};

use super::context::Context;
use super::report;
use crate::admin::Request;
use crate::admin::actor;
use crate::admin::answer::StoreState;
use crate::admin::record_here;
use crate::exit::Failure;
use crate::folder::Private;
use crate::instance::audit_verifier;
use crate::output::{self, Bar};

/// `countersign audit …`
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Verify the whole journal: checksums, order, the Merkle tree against its signed heads, serials, CRL numbers
    Verify {
        /// The file of a signed tree head that was stored elsewhere: the output of `audit export --head`
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
    },
    /// Prove that an entry is in the journal, or that the journal only grew (RFC 9162)
    Proof {
        /// The number of the entry, from 0
        #[arg(long, value_name = "N", conflicts_with_all = ["old", "new"], required_unless_present_all = ["old", "new"])]
        entry: Option<u64>,
        /// The number of entries in the tree; without it, all entries of the journal
        #[arg(long, value_name = "N")]
        size: Option<u64>,
        /// The number of entries in the smaller tree
        #[arg(long, value_name = "N", requires = "new")]
        old: Option<u64>,
        /// The number of entries in the larger tree
        #[arg(long, value_name = "N", requires = "old")]
        new: Option<u64>,
    },
    /// Report who did what, one line each: from which address, and how peers proved themselves
    Report(report::Report),
    /// Print the entries, one JSON object a line, or the last signed head
    Export {
        /// The number of the first entry to print, from 0
        #[arg(long, value_name = "N", default_value_t = 0)]
        from: u64,
        /// Print the last signed head instead, to be stored elsewhere
        #[arg(long)]
        head: bool,
    },
}

impl Audit {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        if let Self::Report(report) = self {
            return report.run(context);
        }
        let data = context.location.folder.path();
        context.location.folder.check()?;
        match self {
            Self::Verify { head } => verify(context, head.as_deref()),
            Self::Proof { entry: Some(index), size, .. } => {
                let size = match size {
                    Some(size) => *size,
                    None => entries(context)?,
                };
                let proof = journal::inclusion_proof(data, *index, size)?;
                output::print(
                    context.format,
                    &json!({
                        "entry": proof.index, "size": proof.size, "leaf": hex(&proof.leaf),
                        "path": proof.path.iter().map(hex).collect::<Vec<_>>(), "root": hex(&proof.root),
                        "valid": proof.is_valid(),
                    }),
                );
                Ok(())
            }
            Self::Proof { old, new, .. } => {
                let proof = journal::consistency_proof(data, old.unwrap_or(0), new.unwrap_or(0))?;
                output::print(
                    context.format,
                    &json!({
                        "old": proof.old, "old_root": hex(&proof.old_root), "new": proof.new,
                        "new_root": hex(&proof.new_root), "path": proof.path.iter().map(hex).collect::<Vec<_>>(),
                        "valid": proof.is_valid(),
                    }),
                );
                Ok(())
            }
            Self::Report(report) => report.run(context),
            Self::Export { head: true, .. } => {
                let heads = journal::read_heads(&journal::JournalPaths::new(data).heads)?.heads;
                match heads.last() {
                    Some(head) => output::print(output::Format::Json, &head_json(head)),
                    None => {
                        return Err(Failure::missing(
                            "no head was signed yet; the server signs one every second",
                        ));
                    }
                }
                Ok(())
            }
            Self::Export { from, .. } => Ok(journal::export(data, *from, &mut |line| {
                output::line(line);
                Ok(true)
            })?),
        }
    }
}

/// Carries out `audit verify`. `head` is the file of a signed tree head that the journal must still contain; `None` for no such check.
fn verify(context: &Context, head: Option<&std::path::Path>) -> Result<(), Failure> {
    let folder = &context.location.folder;
    let known = head.map(read_head).transpose()?;
    let verifier = audit_verifier(&folder.keys())?;
    let how = Verification {
        verifier: Some(verifier.as_ref()),
        known_head: known.as_ref(),
        is_live: context.location.server()?.is_some(),
    };
    let mut bar = Bar::new("verifying");
    let report = audit(folder.path(), how, &mut |done, total| bar.show(done, total))?;
    bar.done();
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|damage| json!({"what": damage.kind.name(), "detail": damage.to_string()}))
        .collect();
    output::print(
        context.format,
        &json!({
            "good": report.is_good(),
            "entries": report.entries,
            "certificates": report.certificates,
            "heads": report.heads,
            "root": hex(&report.root),
            "findings": findings,
            "notes": report.notes,
        }),
    );
    match report.is_good() {
        true => Ok(()),
        false => {
            Err(Failure::found(format!("the journal is not whole: {} findings", report.found)))
        }
    }
}

fn head_json(head: &Head) -> Value {
    json!({
        "size": head.size, "root": hex(&head.root), "at": head.at.millis(),
        "signature": data_encoding::BASE64.encode(&head.signature),
    })
}

fn read_head(path: &std::path::Path) -> Result<Head, Failure> {
    let wrong = || {
        Failure::input(format!(
            "`{}` holds no head as `audit export --head` prints it",
            path.display()
        ))
    };
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::unavailable(format!("`{}`: {e}", path.display())))?;
    let value: Value = serde_json::from_str(&text).map_err(|_| wrong())?;
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let root = text("root").and_then(|root| data_encoding::HEXLOWER.decode(root.as_bytes()).ok());
    Ok(Head {
        size: value.get("size").and_then(Value::as_u64).ok_or_else(wrong)?,
        root: root.and_then(|root| Hash::try_from(root).ok()).ok_or_else(wrong)?,
        at: Timestamp::from_millis(value.get("at").and_then(Value::as_i64).ok_or_else(wrong)?),
        signature: text("signature")
            .and_then(|signature| data_encoding::BASE64.decode(signature.as_bytes()).ok())
            .ok_or_else(wrong)?,
    })
}

fn entries(context: &Context) -> Result<u64, Failure> {
    let StoreState { entries, .. } = context.ask_for(Request::StoreStatus)?;
    Ok(entries)
}

fn hex(hash: &Hash) -> String {
    data_encoding::HEXLOWER.encode(hash)
}

/// `countersign store …`
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Show how large the journal and its index are
    Status,
    /// Delete the index and build it again from the journal; the server must be stopped
    Rebuild,
    /// Accept the clock, although the last entry has a later time, or is older than half a year; the server must be stopped
    AcceptClock,
}

impl StoreCommand {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Status => context.show(Request::StoreStatus),
            Self::AcceptClock => {
                context.require_here("store accept-clock")?;
                let store = context.location.open_store_at_any_time()?;
                let actor = actor::own();
                let (before, now) = (store.last_entry(), SystemClock.now());
                store.record_clock_accepted(now, &actor)?;
                output::print(
                    context.format,
                    &json!({"accepted": now.to_string(), "last_entry": before.to_string()}),
                );
                Ok(())
            }
            Self::Rebuild => {
                context.require_here("store rebuild")?;
                context.location.folder.check()?;
                let _private = Private::begin();
                let mut bar = Bar::new("building the index");
                let store = EmbeddedStore::rebuild(
                    context.location.folder.path(),
                    EmbeddedOptions::default(),
                    &mut |progress: Progress| bar.show(progress.done, progress.total),
                )?;
                bar.done();
                record_here(&store, "store rebuild", "the index, from the journal")?;
                drop(store);
                context.show(Request::StoreStatus)
            }
        }
    }
}
