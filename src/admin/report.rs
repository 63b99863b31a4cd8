//! The journal as people read it, one line for each thing that somebody did: the whole from the files, or a page from a running instance.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::ops::Range;
use std::path::Path;

use countersign_ca::journal::{
    Catalogue, Entry, JournalFile, JournalPaths, Recorded, Rename, Step, entry_at, read, work_of,
};
use countersign_ca::record::{Account, CertificateId, Issued, Label, ProvenBy, Transaction};
use countersign_ca::{Store, Timestamp};

use super::actor::{person, proof_of};
use super::answer::{ReportLine, ReportPage};
use super::request::ReportFilter;
use crate::exit::Failure;
use crate::instance::Instance;

/// The most names of accounts that one line has.
const MAX_NAMED: usize = 10;
/// About how many entries one request for a page reads, and as many to know the journal. A request so takes a fraction of a second.
const AT_ONCE: usize = 20_000;
/// How many entries a look-up of another entry counts as.
const LOOK_UP: usize = 16;
/// The octets of words after which a page ends.
const MAX_WORDS: usize = 4 << 20;

/// A line of the report.
struct Line {
    actor: String,
    action: String,
    accounts: Vec<Label>,
    /// How the actor proved itself; `None` for local administrators and the instance.
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

    /// The line about something that an administrator did. The text of an actor from another machine has the proof and the address, too.
    fn of_actor(self, actor: &str) -> Self {
        let (proof, from) = proof_of(actor).unzip();
        Self { actor: actor.to_owned(), proof, from: from.map(|from| from.to_string()), ..self }
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

    fn shown(self, recorded: &Recorded) -> ReportLine {
        let more = self.accounts.len().saturating_sub(MAX_NAMED);
        let mut names: Vec<String> =
            self.accounts.iter().take(MAX_NAMED).map(ToString::to_string).collect();
        if more > 0 {
            names.push(format!("and {more} more"));
        }
        ReportLine {
            sequence: recorded.sequence,
            time: recorded.at.whole_seconds().to_string(),
            actor: self.actor,
            action: self.action,
            account: names.join(" "),
            proof: self.proof,
            from: self.from,
            detail: self.detail,
        }
    }
}

/// The names that an account had, each with the numbers of the entries in which it is the account's.
struct Names(Vec<(Label, Range<u64>)>);

impl Names {
    /// The names of the account that is called `name` now, or was at last. `renamed` are all renames.
    fn of(name: &Label, renamed: &[Rename]) -> Self {
        let (mut names, mut until, mut present) = (Vec::new(), u64::MAX, name);
        for Rename { sequence, from, to } in renamed.iter().rev() {
            if to == present {
                names.push((present.clone(), *sequence..until));
                (present, until) = (from, sequence.saturating_add(1));
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

    /// The owner that one entry needs, by the index and the catalogue.
    fn of(
        instance: &Instance,
        catalogue: &Catalogue,
        file: &File,
        recorded: &Recorded,
    ) -> Result<Self, Failure> {
        let mut owners = Self::default();
        let offset = match &recorded.entry {
            Entry::Revoked { ca, serial, .. } | Entry::Released { ca, serial } => {
                instance.store.certificate(ca, serial)?.map(|record| record.offset)
            }
            _ => catalogue.issued_before(recorded.sequence),
        };
        let Some(offset) = offset else { return Ok(owners) };
        let before = entry_at(file, offset)?;
        let Entry::Issued(issued) = before.entry else { return Ok(owners) };
        let present = |name: &Label| catalogue.name_at(name, before.sequence, recorded.sequence);
        if let Some(transaction) = issued.transaction {
            let account = present(&transaction.account);
            let id = transaction.id.clone();
            owners.transactions.insert(id, Transaction { account, ..transaction });
        }
        let id = CertificateId::new(issued.ca, issued.serial);
        owners.certificates.insert(id, present(&issued.account));
        Ok(owners)
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

/// What a report is about.
struct Wanted<'a> {
    since: Timestamp,
    names: Option<Names>,
    actor: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    fn new(filter: &'a ReportFilter, renames: &[Rename]) -> Self {
        Self {
            since: since(filter),
            names: filter.account.as_ref().map(|name| Names::of(name, renames)),
            actor: filter.actor.as_deref(),
        }
    }

    /// The line of an entry, if the report has one.
    fn line(&self, recorded: &Recorded, owners: &Owners) -> Option<ReportLine> {
        let line = line_of(&recorded.entry, owners)?;
        let is_wanted =
            self.names.as_ref().is_none_or(|names| names.are_of(&line, recorded.sequence))
                && self.actor.is_none_or(|actor| line.is_by(actor));
        is_wanted.then(|| line.shown(recorded))
    }
}

fn since(filter: &ReportFilter) -> Timestamp {
    filter.since.map_or(Timestamp::from_millis(i64::MIN), Timestamp::from_seconds)
}

/// The whole report, from the files in the data folder `data`, whether or not a server runs. It reads the journal twice: a revocation does
/// not say whose the certificate is.
///
/// # Errors
/// The journal is damaged, or cannot be read.
pub fn of_files(data: &Path, filter: &ReportFilter) -> Result<Vec<ReportLine>, Failure> {
    let since = since(filter);
    let (mut owners, mut renames) = (Owners::default(), Vec::new());
    read(data, 0, &mut |recorded| {
        if let Entry::AccountRenamed { from, to } = &recorded.entry {
            let (from, to) = (from.clone(), to.clone());
            renames.push(Rename { sequence: recorded.sequence, from, to });
        }
        if recorded.at >= since {
            owners.want(&recorded.entry);
        }
        Ok(true)
    })?;
    let wanted = Wanted::new(filter, &renames);
    let mut lines = Vec::new();
    read(data, 0, &mut |recorded| {
        owners.learn(&recorded.entry);
        if recorded.at >= wanted.since {
            lines.extend(wanted.line(recorded, &owners));
        }
        Ok(true)
    })?;
    Ok(lines)
}

/// A page of the report, of at most `limit` lines, behind the first `after` entries. One request reads a bounded part of the journal, so a
/// page may be short, or empty, although more follows.
pub fn page(
    instance: &Instance,
    filter: &ReportFilter,
    after: u64,
    limit: usize,
) -> Result<ReportPage, Failure> {
    let mut catalogue = instance.catalogue();
    // Only what is durable is told.
    let until = instance.store.status().journal_bytes;
    let file = JournalFile::open(&JournalPaths::new(instance.location.folder.path()).journal)?.file;
    let is_whole = catalogue.advance(&file, until, AT_ONCE)?;
    // The names that an account has later say which it had before.
    let is_early = filter.account.is_some() && !is_whole;
    let scanner = catalogue.scanner(&file, after).filter(|_| !is_early);
    let Some(mut scanner) = scanner else {
        return Ok(ReportPage { items: Vec::new(), next: (!is_whole).then_some(after) });
    };
    let wanted = Wanted::new(filter, catalogue.renames());
    let (mut items, mut work, mut words) = (Vec::new(), 0_usize, 0_usize);
    while items.len() < limit.max(1) && work < AT_ONCE && words < MAX_WORDS {
        let recorded = match scanner.step()? {
            Step::Entry { payload, envelope, .. } => {
                work = work.saturating_add(work_of(payload));
                if envelope.sequence < after || envelope.at < wanted.since {
                    continue;
                }
                envelope.open()?
            }
            Step::Damaged(damage) => return Err(countersign_ca::Error::from(damage).into()),
            Step::End => break,
        };
        let owners = match &recorded.entry {
            Entry::Revoked { .. } | Entry::Released { .. } | Entry::Confirmed { .. } => {
                work = work.saturating_add(LOOK_UP);
                Owners::of(instance, &catalogue, &file, &recorded)?
            }
            _ => Owners::default(),
        };
        if let Some(line) = wanted.line(&recorded, &owners) {
            words = words.saturating_add(line.detail.len());
            items.push(line);
        }
    }
    let read = scanner.sequence();
    let is_last = is_whole && read >= catalogue.entries();
    Ok(ReportPage { items, next: (!is_last).then_some(read.max(after)) })
}

fn names_of(accounts: &[Account]) -> impl Iterator<Item = Label> {
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
            own("accounts added", format!("{}", accounts.len())).about(names_of(accounts))
        }
        Entry::AccountChanged(account) => {
            own("account changed", String::new()).about([account.name.clone()])
        }
        Entry::AccountRemoved(name) => own("account removed", String::new()).about([name.clone()]),
        Entry::AccountRenamed { from, to } => {
            own("account renamed", format!("{from} to {to}")).about([from.clone(), to.clone()])
        }
        Entry::AdminAction(done) => own(&done.action, done.detail.clone()).of_actor(&done.actor),
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
                Some(actor) => line.of_actor(actor),
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
        Entry::PartlyApproved { request, approval } => own(
            "request approved, and more must",
            match &approval.comment {
                Some(comment) => format!("{request}: {comment}"),
                None => request.to_string(),
            },
        )
        .of_actor(&approval.actor),
        Entry::Decided { request, decision } => own(
            &format!("request {}", decision.verdict.name()),
            match &decision.comment {
                Some(comment) => format!("{request}: {comment}"),
                None => request.to_string(),
            },
        )
        .of_actor(&decision.actor),
        Entry::Restored(restoration) => {
            own("restored from a backup", String::new()).of_actor(&restoration.actor)
        }
        Entry::ClockAccepted { actor } => own("clock accepted", String::new()).of_actor(actor),
        Entry::Listed { ca, entry } => {
            own("revocation imported", format!("{} of {ca}", entry.serial))
        }
    })
}
