//! The state of an instance on one screen, with what an administrator should look at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use countersign_ca::record::approval::WaitingRequest;
use countersign_ca::record::line::{retired_lines, successor};
use countersign_ca::record::{
    Account, CaRecord, CertificateRecord, Label, OWN_ACCOUNT_PREFIX, is_administrators_profile,
};
use countersign_ca::x509::Facts;
use countersign_ca::{Store, Timestamp};

use super::answer::{
    AccountCounts, CertificateCounts, DirectoryLine, StatusAnswer, StatusCa, StatusCrl,
    WaitingCounts,
};
use super::directories;
use crate::exit::Failure;
use crate::finding::{Finding, Member, Severity, before_the_end};
use crate::folder::{LITTLE_ROOM, NO_ROOM};
use crate::instance::Instance;
use crate::notify::Verdict;

const DAY: Duration = Duration::from_secs(86_400);
/// The certificates that end soon are counted within these windows.
const WINDOWS: (Duration, Duration) =
    (Duration::from_secs(14 * 86_400), Duration::from_secs(30 * 86_400));
/// The most certificates that are counted of those that end soon.
const MOST_COUNTED: usize = 10_000;
/// A renewal is overdue when this part of the validity is left, and no newer certificate has replaced it. `countersign enroll` renews when a
/// third is left.
const OVERDUE: u32 = 6;
/// A certificate that ended longer ago is told no more.
const MISSED: Duration = Duration::from_secs(30 * 86_400);
/// A backup that is older is told.
const OLD_BACKUP: Duration = Duration::from_secs(8 * 86_400);
/// A CA whose certificate ends within this time is reported.
const CA_ENDS_SOON: Duration = Duration::from_secs(90 * 86_400);
/// An offline root's CRL that ends within this time is reported.
const CRL_ENDS_SOON: Duration = Duration::from_secs(14 * 86_400);
/// A request that has waited longer than this is reported.
const WAITS_LONG: Duration = DAY;
/// The most names that one finding lists.
const MAX_NAMED: usize = 5;
/// The number of accounts that are read at once.
const PAGE: usize = 1000;

/// The findings so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, code: &'static str, message: String) -> &mut Finding {
        self.add(Severity::Error, code, message)
    }

    fn warning(&mut self, code: &'static str, message: String) -> &mut Finding {
        self.add(Severity::Warning, code, message)
    }

    fn notice(&mut self, code: &'static str, message: String) -> &mut Finding {
        self.add(Severity::Notice, code, message)
    }

    fn add(&mut self, severity: Severity, code: &str, message: String) -> &mut Finding {
        self.0.push_mut(Finding::new(severity, code, message))
    }
}

/// Looks at every part of the instance. If a finding is an error, the state is not ok.
pub fn look(instance: &Instance) -> Result<StatusAnswer, Failure> {
    let now = instance.now();
    let mut found = Findings::default();
    let is_running = instance.bridge().is_some();
    if !is_running {
        found.error("not-running", "the server does not run".into());
    }
    let all = instance.store.cas()?;
    let retired = instance.store.retired_cas()?;
    let cas = all.iter().map(|ca| look_at_ca(instance, &all, &retired, ca, now, &mut found));
    let cas = cas.collect::<Result<Vec<_>, _>>()?;
    let crls = look_at_crls(instance, &all, now, &mut found)?;
    let certificates = look_at_certificates(instance, now, &mut found)?;
    let accounts = look_at_accounts(instance, &retired_lines(&all, &retired), now, &mut found)?;
    let requests = look_at_requests(instance, now, &mut found)?;
    let disk = instance.location.folder.free_space();
    match disk {
        Some(left) if left < NO_ROOM => {
            found.error("disk-full", little_space(left));
        }
        Some(left) if left < LITTLE_ROOM => {
            found.warning("disk-little", little_space(left));
        }
        _ => {}
    }
    let backup = instance.store.last_done("backup")?;
    match backup {
        None => {
            let message =
                "no backup of this instance is on record; `countersign backup DIR` makes one";
            found.warning("backup-none", message.into());
        }
        Some(at) if at.plus(OLD_BACKUP) < now => {
            found.warning("backup-old", format!("the last backup is of {}", at.whole_seconds()));
        }
        Some(_) => {}
    }
    let directories = directories::list(instance);
    for line in &directories {
        if let DirectoryLine::Running(state) = line
            && let Some(error) = &state.error
        {
            let message = format!("the directory `{}` is not in step: {error}", state.directory);
            found.error("directory", message).about(&state.directory);
        }
    }
    for (receiver, outcome) in instance.notifier().iter().flat_map(|n| n.outcomes()) {
        if let (1.., Some(Verdict::Failed(why))) = (outcome.failures, &outcome.last) {
            let name = &receiver.name;
            let message = format!("the receiver `{name}` takes no notifications: {why}");
            found.warning("notify", message).about(name);
        }
    }
    let last = instance.store.last_entry();
    let clock = instance.wrong_clock().or_else(|| {
        (now < last.minus(Duration::from_secs(2))).then(|| {
            format!("the clock went backwards: it is {now}, and the last entry is of {last}")
        })
    });
    if let Some(why) = &clock {
        found.error("clock", why.clone());
    }
    let Findings(findings) = found;
    Ok(StatusAnswer {
        ok: !findings.iter().any(|finding| finding.severity == Severity::Error),
        findings,
        at: now.whole_seconds().to_string(),
        running: is_running,
        cas,
        crls,
        certificates,
        accounts,
        requests,
        disk_free_bytes: disk,
        last_backup: backup.map(|at| at.whole_seconds().to_string()),
        last_backup_at: backup,
        directories,
        clock: clock.unwrap_or_else(|| "right".into()),
    })
}

fn little_space(left: u64) -> String {
    format!("the disk of the data folder has {} MiB left: make space", left >> 20)
}

fn look_at_ca(
    instance: &Instance,
    all: &[CaRecord],
    retired: &BTreeSet<Label>,
    ca: &CaRecord,
    now: Timestamp,
    found: &mut Findings,
) -> Result<StatusCa, Failure> {
    let end = Facts::of(&ca.certificate)?.not_after;
    let name = &ca.name;
    let is_succeeded = successor(all.iter(), ca).is_some();
    let is_retired = retired.contains(name);
    let profiles = instance.profiles();
    let cut = profiles.iter().find(|profile| now.plus(profile.validity()) > end);
    match (is_succeeded || is_retired, cut) {
        (true, _) => {}
        (false, _) if end <= now => {
            found.error("ca-ended", format!("the CA `{name}` ended on {end}")).about(name);
        }
        (false, Some(cut)) if !ca.is_root => {
            let message = format!(
                "the CA `{name}` ends on {end}, and certificates of the profile `{}` are cut to that: {}",
                cut.name(),
                before_the_end(name, &ca.certificate)
            );
            found.warning("ca-cuts", message).about(name);
        }
        (false, _) if end < now.plus(CA_ENDS_SOON) => {
            found.warning("ca-ends", format!("the CA `{name}` ends on {end}")).about(name);
        }
        (false, _) => {}
    }
    Ok(StatusCa {
        name: name.clone(),
        kind: if ca.is_root { "root" } else { "issuing" }.into(),
        key_here: instance.location.folder.keys().contains(name.as_str()),
        succeeded: is_succeeded,
        not_after: end.to_string(),
        retired: is_retired,
    })
}

fn look_at_crls(
    instance: &Instance,
    all: &[CaRecord],
    now: Timestamp,
    found: &mut Findings,
) -> Result<Vec<StatusCrl>, Failure> {
    let keys = instance.location.folder.keys();
    let mut lines = Vec::new();
    for ca in all {
        let is_here = keys.contains(ca.name.as_str());
        let has_ended = Facts::of(&ca.certificate)?.not_after <= now;
        let crls = instance.store.crls(&ca.name)?;
        if crls.is_empty() && is_here && !has_ended {
            let message = format!("the CA `{}` has no CRL yet", ca.name);
            found.error("crl-none", message).about(&ca.name);
        }
        for crl in crls {
            let what = format!("the CRL of `{}` ({})", ca.name, crl.scope);
            let subject = format!("{}/{}", ca.name, crl.scope);
            let (until, is_late) = (crl.next_update, is_here && crl.is_past_half(now));
            match has_ended {
                true => {}
                false if until <= now => {
                    found
                        .error("crl-over", format!("{what} was good until {until}"))
                        .about(subject);
                }
                false if is_late => {
                    let message =
                        format!("{what} is older than half its validity: nextUpdate is {until}");
                    found.error("crl-stale", message).about(subject);
                }
                false if !is_here && until < now.plus(CRL_ENDS_SOON) => {
                    found
                        .warning("crl-ends", format!("{what} is good until {until}"))
                        .about(subject);
                }
                false => {}
            }
            lines.push(StatusCrl {
                ca: ca.name.clone(),
                scope: crl.scope.to_string(),
                number: crl.number,
                entries: crl.entries,
                next_update: crl.next_update.to_string(),
            });
        }
    }
    Ok(lines)
}

fn look_at_certificates(
    instance: &Instance,
    now: Timestamp,
    found: &mut Findings,
) -> Result<CertificateCounts, Failure> {
    let longest = instance.profiles().iter().map(|profile| profile.validity()).max();
    let horizon = (longest.unwrap_or_default() / OVERDUE).max(WINDOWS.1);
    let mut ending = instance.store.expiring(now, now.plus(horizon), MOST_COUNTED)?;
    ending.retain(|record| !record.account.as_str().starts_with(OWN_ACCOUNT_PREFIX));
    let within = |window: Duration| {
        ending.iter().filter(|record| record.not_after < now.plus(window)).count()
    };
    let overdue: Vec<&CertificateRecord> = ending
        .iter()
        .filter(|record| {
            let validity = record.not_after.since(record.issued);
            record.not_after.since(now) < validity / OVERDUE
        })
        .collect();
    if let Some(first) = overdue.first() {
        let names: Vec<String> =
            overdue.iter().take(MAX_NAMED).map(|record| format!("`{}`", record.account)).collect();
        let message = format!(
            "{} certificates were not renewed in time; the first, of `{}`, ends on {} ({})",
            overdue.len(),
            first.account,
            first.not_after.whole_seconds(),
            names.join(", ")
        );
        let members = overdue.iter().map(|record| member(record, "ends"));
        found.warning("renewal-overdue", message).with_members(members.collect());
    }
    let missed = missed(instance, now)?;
    if !missed.is_empty() {
        let mut names: Vec<String> =
            missed.iter().take(MAX_NAMED).map(|record| format!("`{}`", record.account)).collect();
        names.dedup();
        let message = format!(
            "{} certificates ended within the last 30 days, and their accounts have no other one: {}",
            missed.len(),
            names.join(", ")
        );
        let members = missed.iter().map(|record| member(record, "ended"));
        found.warning("renewal-missed", message).with_members(members.collect());
    }
    Ok(CertificateCounts {
        issued: instance.store.status().certificates,
        expiring_14_days: within(WINDOWS.0),
        expiring_30_days: within(WINDOWS.1),
        overdue: overdue.len(),
        missed: missed.len(),
    })
}

/// A certificate as a member of a finding. `verb` is `ends` or `ended`.
fn member(record: &CertificateRecord, verb: &str) -> Member {
    let CertificateRecord { ca, serial, account, not_after, .. } = record;
    let name = format!("`{account}`, {serial} of `{ca}`, {verb} on {}", not_after.whole_seconds());
    Member { id: format!("{ca} {serial}"), name }
}

/// The certificates that ended a while ago, if their accounts are there and enabled, and have got no other one since; the last ones first.
fn missed(instance: &Instance, now: Timestamp) -> Result<Vec<CertificateRecord>, Failure> {
    let mut ended = instance.store.expiring(now.minus(MISSED), now, MOST_COUNTED)?;
    ended.retain(|record| !record.account.as_str().starts_with(OWN_ACCOUNT_PREFIX));
    // One account may have had several.
    let mut last: BTreeMap<Label, CertificateRecord> = BTreeMap::new();
    for record in ended {
        last.insert(record.account.clone(), record);
    }
    let mut missed = Vec::new();
    let names: Vec<Label> = last.keys().cloned().collect();
    for names in names.chunks(PAGE) {
        let mut accounts = Vec::with_capacity(names.len());
        for name in names {
            accounts.extend(instance.store.account(name)?.filter(|account| !account.is_disabled));
        }
        let enrolled = instance.store.enrolled(&accounts, now)?;
        for (account, enrolled) in accounts.iter().zip(enrolled) {
            let Some(record) = last.remove(&account.name) else { continue };
            let is_last = |newest: CertificateRecord| {
                newest.ca == record.ca && newest.serial == record.serial
            };
            if enrolled.valid.is_none() && enrolled.newest.is_some_and(is_last) {
                missed.push(record);
            }
        }
    }
    missed.sort_by_key(|record| std::cmp::Reverse(record.not_after));
    Ok(missed)
}

fn look_at_accounts(
    instance: &Instance,
    retired: &BTreeSet<Label>,
    now: Timestamp,
    found: &mut Findings,
) -> Result<AccountCounts, Failure> {
    let mut counts = AccountCounts { all: 0, disabled: 0, never_enrolled: 0 };
    let mut cannot = Vec::new();
    // How many accounts each retired CA leaves without one that issues.
    let mut left: BTreeMap<Label, usize> = BTreeMap::new();
    let mut after = None;
    loop {
        let page = instance.store.list_accounts(&Default::default(), after.as_ref(), PAGE)?;
        let enrolled = instance.store.enrolled(&page.accounts, now)?;
        for (account, enrolled) in page.accounts.iter().zip(enrolled) {
            counts.all = counts.all.saturating_add(1);
            if let Some(ca) = account.ca.as_ref().filter(|ca| retired.contains(ca))
                && !account.is_disabled
            {
                let count = left.entry(ca.clone()).or_default();
                *count = count.saturating_add(1);
            }
            counts.disabled = counts.disabled.saturating_add(usize::from(account.is_disabled));
            if enrolled.newest.is_some() || works_by_token(instance, account)? {
                continue;
            }
            counts.never_enrolled = counts.never_enrolled.saturating_add(1);
            let is_over = account.secret.as_ref().is_some_and(|secret| secret.expires <= now);
            if is_over && !account.is_disabled {
                let (id, name) = (account.name.to_string(), format!("`{}`", account.name));
                cannot.push(Member { id, name });
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    for (ca, count) in left {
        let message = format!(
            "the CA `{ca}` is retired, and accounts that still name it get no certificates ({count}): `countersign peer list --ca {ca}` \
             lists them, `countersign peer edit NAME --ca CA` gives them another one"
        );
        found.warning("ca-retired", message).about(&ca);
    }
    if !cannot.is_empty() {
        let names: Vec<&str> =
            cannot.iter().take(MAX_NAMED).map(|member| member.name.as_str()).collect();
        let message = format!(
            "{} accounts never enrolled, and their secrets have expired: {}; `peer list --state never-enrolled` has all",
            cannot.len(),
            names.join(", ")
        );
        // More are counted, and not told one by one.
        cannot.truncate(MOST_COUNTED);
        found.warning("never-enrolled", message).with_members(cannot);
    }
    Ok(counts)
}

/// Whether an account is that of an administrator who has tokens, and so needs no certificate.
fn works_by_token(instance: &Instance, account: &Account) -> Result<bool, Failure> {
    let administrator = match is_administrators_profile(&account.profile) {
        true => instance.store.administrator(&account.name)?,
        false => None,
    };
    Ok(administrator.is_some_and(|administrator| !administrator.tokens.is_empty()))
}

fn look_at_requests(
    instance: &Instance,
    now: Timestamp,
    found: &mut Findings,
) -> Result<WaitingCounts, Failure> {
    let counts = instance.store.count_waiting(now)?;
    if counts.undecided == 0 {
        return Ok(WaitingCounts {
            waiting: 0,
            approved: counts.approved,
            oldest: None,
            oldest_at: None,
        });
    }
    let mut waiting = instance.store.all_waiting(now)?;
    waiting.retain(|request| request.decision.is_none());
    let (old, new): (Vec<_>, Vec<_>) =
        waiting.iter().partition(|request| request.received.plus(WAITS_LONG) < now);
    let members = |requests: &[&WaitingRequest]| {
        let named = requests.iter().take(MOST_COUNTED).map(|request| {
            let (id, account) = (request.id.to_string(), &request.pending.transaction.account);
            let name = format!("{id} of `{account}`, of {}", request.received.whole_seconds());
            Member { id, name }
        });
        named.collect::<Vec<_>>()
    };
    if !old.is_empty() {
        let message =
            format!("{} requests have waited for an administrator for more than a day", old.len());
        found.warning("request-waits", message).with_members(members(&old));
    }
    if !new.is_empty() {
        let message = format!(
            "{} requests wait for an administrator: see to `countersign request list`",
            new.len()
        );
        found.notice("request-new", message).with_members(members(&new));
    }
    let oldest_at = waiting.first().map(|request| request.received);
    Ok(WaitingCounts {
        waiting: counts.undecided,
        approved: counts.approved,
        oldest: oldest_at.map(|at| at.whole_seconds().to_string()),
        oldest_at,
    })
}
