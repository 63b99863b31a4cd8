//! `countersign audit report`: the journal as people read it, one line for each thing that somebody did.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use clap::Args;
use countersign_ca::Timestamp;
use countersign_ca::journal::{self, Entry, Recorded};
use countersign_ca::record::{Account, CertificateId, Issued, Label, ProvenBy, Transaction};
use serde_json::{Value, json};

use super::cert::day_or_moment;
use super::context::Context;
use crate::admin::actor::person;
use crate::exit::Failure;
use crate::output;

/// The most names of accounts that one line has.
const MAX_NAMED: usize = 10;

/// `countersign audit report`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  countersign audit report --since 2026-11-01 --format csv > november.csv
  countersign audit report --account gw7
  countersign audit report --actor 'uid 0'")]
pub struct Report {
    /// Begin at this moment, such as 2026-01-31 or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "MOMENT", value_parser = day_or_moment)]
    since: Option<i64>,
    /// Report only what is about this account
    #[arg(long, value_name = "NAME")]
    account: Option<Label>,
    /// Report only what this actor did: an administrator such as `uid 0`, an account, or `instance`. If an administrator had the instance
    /// do something, the instance's line stands before the administrator's
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
}

/// A line of the report.
struct Line {
    actor: String,
    action: String,
    accounts: Vec<Label>,
    /// How the actor proved itself; `None` for administrators and the instance.
    proof: Option<String>,
    from: Option<String>,
    detail: String,
}

impl Line {
    /// Whether this actor did what the line says. `actor` is the whole text, or an administrator's name without proof and address.
    fn is_by(&self, actor: &str) -> bool {
        self.actor == actor || person(&self.actor) == actor
    }

    /// A line about something that the instance did by itself, or that an administrator had it do. In the second case, the entry that
    /// follows names the administrator.
    fn of_instance(action: &str, detail: String) -> Self {
        Self {
            actor: "instance".into(),
            action: action.into(),
            accounts: Vec::new(),
            proof: None,
            from: None,
            detail,
        }
    }

    fn about(self, accounts: impl IntoIterator<Item = Label>) -> Self {
        Self { accounts: accounts.into_iter().collect(), ..self }
    }

    /// A line about something that a peer did in a transaction.
    fn by(self, transaction: &Transaction, proof: &str) -> Self {
        // Entries of before the proof was recorded tell it by what they are.
        let proof = match transaction.proof {
            Some(ProvenBy::Secret) => "its secret",
            Some(ProvenBy::Certificate) => "its certificate",
            Some(ProvenBy::Vendor) => "its vendor's certificate",
            Some(ProvenBy::Registrar) | None => proof,
        };
        let (actor, proof) = match &transaction.registrar {
            Some(registrar) => (registrar, "its certificate, for the account".to_owned()),
            None => (&transaction.account, proof.to_owned()),
        };
        Self {
            actor: actor.to_string(),
            proof: Some(proof),
            from: transaction.client.map(|client| client.to_string()),
            accounts: vec![transaction.account.clone()],
            ..self
        }
    }

    /// Whether the line is about an account. An administrator's words about what was done name it among others.
    fn is_about(&self, name: &Label) -> bool {
        let mut words = self.detail.split([' ', ',', ':']);
        self.accounts.contains(name) || words.any(|word| word == name.as_str())
    }

    fn shown(&self, recorded: &Recorded) -> Value {
        let more = self.accounts.len().saturating_sub(MAX_NAMED);
        let mut names: Vec<String> =
            self.accounts.iter().take(MAX_NAMED).map(ToString::to_string).collect();
        if more > 0 {
            names.push(format!("and {more} more"));
        }
        json!({
            "sequence": recorded.sequence,
            "time": recorded.at.whole_seconds().to_string(),
            "actor": self.actor,
            "action": self.action,
            "account": names.join(" "),
            "proof": self.proof,
            "from": self.from,
            "detail": self.detail,
        })
    }
}

/// The names that an account had, each with the numbers of the entries in which it is the account's.
struct Names(Vec<(Label, Range<u64>)>);

impl Names {
    /// The names of the account that is called `name` now, or was at last. `renamed` are the numbers, old and new names of all renames.
    fn of(name: &Label, renamed: &[(u64, Label, Label)]) -> Self {
        let (mut names, mut until, mut present) = (Vec::new(), u64::MAX, name);
        for (at, from, to) in renamed.iter().rev() {
            if to == present {
                names.push((present.clone(), *at..until));
                (present, until) = (from, at.saturating_add(1));
            }
        }
        names.push((present.clone(), 0..until));
        Self(names)
    }

    fn are_of(&self, line: &Line, sequence: u64) -> bool {
        let mut own = self.0.iter().filter(|(_, entries)| entries.contains(&sequence));
        own.any(|(name, _)| line.is_about(name))
    }
}

/// The accounts of the certificates and transactions that later entries name without their account.
#[derive(Default)]
struct Owners {
    wanted: HashSet<CertificateId>,
    confirmed: HashSet<Vec<u8>>,
    certificates: HashMap<CertificateId, Label>,
    transactions: HashMap<Vec<u8>, Transaction>,
}

impl Owners {
    /// Notes which owners the report needs.
    fn want(&mut self, entry: &Entry) {
        match entry {
            Entry::Revoked { ca, serial, .. } | Entry::Released { ca, serial } => {
                self.wanted.insert(CertificateId::new(ca.clone(), *serial));
            }
            Entry::Confirmed { transaction } => {
                self.confirmed.insert(transaction.clone());
            }
            _ => {}
        }
    }

    /// Learns the owners that the report needs.
    fn learn(&mut self, entry: &Entry) {
        if let Entry::AccountRenamed { from, to } = entry {
            let accounts = self.transactions.values_mut().map(|of| &mut of.account);
            for name in self.certificates.values_mut().chain(accounts) {
                if name == from {
                    *name = to.clone();
                }
            }
        }
        let Entry::Issued(Issued { ca, serial, account, transaction, .. }) = entry else { return };
        let id = CertificateId::new(ca.clone(), *serial);
        if self.wanted.contains(&id) {
            self.certificates.insert(id, account.clone());
        }
        if let Some(transaction) = transaction
            && self.confirmed.contains(&transaction.id)
        {
            self.transactions.insert(transaction.id.clone(), transaction.clone());
        }
    }
}

impl Report {
    /// Carries out the command. It reads the journal twice: a revocation does not say whose the certificate is.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let data = context.location.folder.path();
        let since = self.since.map_or(Timestamp::from_millis(i64::MIN), Timestamp::from_seconds);
        let (mut owners, mut renamed) = (Owners::default(), Vec::new());
        journal::read(data, 0, &mut |recorded| {
            if let Entry::AccountRenamed { from, to } = &recorded.entry {
                renamed.push((recorded.sequence, from.clone(), to.clone()));
            }
            if recorded.at >= since {
                owners.want(&recorded.entry);
            }
            Ok(true)
        })?;
        let names = self.account.as_ref().map(|name| Names::of(name, &renamed));
        let mut rows = Vec::new();
        journal::read(data, 0, &mut |recorded| {
            owners.learn(&recorded.entry);
            if recorded.at >= since
                && let Some(line) = line_of(&recorded.entry, &owners)
                && names.as_ref().is_none_or(|names| names.are_of(&line, recorded.sequence))
                && self.actor.as_ref().is_none_or(|actor| line.is_by(actor))
            {
                rows.push(line.shown(recorded));
            }
            Ok(true)
        })?;
        output::print(context.format, &Value::Array(rows));
        Ok(())
    }
}

fn names(accounts: &[Account]) -> impl Iterator<Item = Label> {
    accounts.iter().map(|account| account.name.clone())
}

/// The line of an entry; `None` for an entry that is only a part of the action which the next entry records.
fn line_of(entry: &Entry, owners: &Owners) -> Option<Line> {
    let own = Line::of_instance;
    Some(match entry {
        Entry::Reserved { .. } | Entry::Locked { .. } => return None,
        Entry::Ca(ca) => own("ca recorded", ca.name.to_string()),
        Entry::Assigned { ca, duty } => own("ca assigned", format!("{ca}: {}", duty.name())),
        Entry::Issued(issued) => {
            let Issued { ca, serial, profile, not_after, account, transaction, .. } = issued;
            let until = not_after.whole_seconds();
            let replaced =
                issued.replaces.map(|old| format!(", in place of {old}")).unwrap_or_default();
            let detail = format!("{serial} by {ca}, profile {profile}, until {until}{replaced}");
            let line = own("certificate issued", detail);
            let proof = match issued {
                Issued { consumes_secret: true, .. } => "its secret",
                Issued { consumes_equipment: true, .. } => "its vendor's certificate",
                _ => "its certificate",
            };
            match transaction {
                Some(transaction) => line.by(transaction, proof),
                None => line.about([account.clone()]),
            }
        }
        Entry::Confirmed { transaction } => {
            let line = own("certificate confirmed", String::new());
            match owners.transactions.get(transaction) {
                Some(transaction) => Line { proof: None, ..line.by(transaction, "") },
                None => line,
            }
        }
        Entry::Revoked { ca, serial, revocation, transaction, untaken } => {
            let untaken = if *untaken { ", as its holder did not take it" } else { "" };
            let detail = format!("{serial} of {ca}, {}{untaken}", revocation.reason.name());
            let line = own("certificate revoked", detail);
            let holder = owners.certificates.get(&CertificateId::new(ca.clone(), *serial)).cloned();
            match transaction {
                Some(transaction) => line.by(transaction, "its certificate").about(holder),
                None => line.about(holder),
            }
        }
        Entry::Released { ca, serial } => {
            let holder = owners.certificates.get(&CertificateId::new(ca.clone(), *serial)).cloned();
            own("certificate released", format!("{serial} of {ca}")).about(holder)
        }
        Entry::Crl(crl) => own(
            if crl.brought.is_some() { "crl brought" } else { "crl signed" },
            format!("{} {} {}, {} entries", crl.ca, crl.scope, crl.number, crl.entries),
        ),
        Entry::Accounts(accounts) => {
            own("accounts added", format!("{}", accounts.len())).about(names(accounts))
        }
        Entry::AccountChanged(account) => {
            own("account changed", String::new()).about([account.name.clone()])
        }
        Entry::AccountRemoved(name) => own("account removed", String::new()).about([name.clone()]),
        Entry::AccountRenamed { from, to } => {
            own("account renamed", format!("{from} to {to}")).about([from.clone(), to.clone()])
        }
        Entry::AdminAction(done) => {
            Line { actor: done.actor.clone(), ..own(&done.action, done.detail.clone()) }
        }
        Entry::AdministratorChanged(administrator) => {
            let tokens = administrator.tokens.len();
            let roles: Vec<&str> =
                administrator.grants.iter().map(|grant| grant.role.as_str()).collect();
            own(
                "administrator recorded",
                format!("{}: {}, {tokens} tokens", administrator.name, roles.join(", ")),
            )
        }
        Entry::AdministratorRemoved(name) => own("administrator removed", name.to_string()),
        Entry::AnchorShown(shown) => {
            let detail =
                format!("it has the certificate of {} ({})", shown.ca, shown.evidence.name());
            let line = own("anchor shown", detail).about([shown.account.clone()]);
            match &shown.actor {
                Some(actor) => Line { actor: actor.clone(), ..line },
                None => line,
            }
        }
        Entry::VendorTrusted(vendor) => own("vendor trusted", vendor.name.to_string()),
        Entry::VendorRemoved(name) => own("vendor removed", name.to_string()),
        Entry::Requested(pending) => {
            own("certificate requested", format!("profile {}", pending.request.profile))
                .by(&pending.transaction, "its credential")
        }
        Entry::Joined { request, transaction } => {
            own("request repeated", request.to_string()).by(transaction, "its credential")
        }
        Entry::PartlyApproved { request, approval } => Line {
            actor: approval.actor.clone(),
            ..own(
                "request approved, and more must",
                match &approval.comment {
                    Some(comment) => format!("{request}: {comment}"),
                    None => request.to_string(),
                },
            )
        },
        Entry::Decided { request, decision } => Line {
            actor: decision.actor.clone(),
            ..own(
                &format!("request {}", decision.verdict.name()),
                match &decision.comment {
                    Some(comment) => format!("{request}: {comment}"),
                    None => request.to_string(),
                },
            )
        },
        Entry::Restored(restoration) => Line {
            actor: restoration.actor.clone(),
            ..own("restored from a backup", String::new())
        },
        Entry::ClockAccepted { actor } => {
            Line { actor: actor.clone(), ..own("clock accepted", String::new()) }
        }
        Entry::Listed { ca, entry } => {
            own("revocation imported", format!("{} of {ca}", entry.serial))
        }
    })
}
