//! The state of an instance on one screen, with what an administrator should look at.

use std::time::Duration;

use countersign_ca::record::line::successor;
use countersign_ca::record::{
    Account, CaRecord, CertificateRecord, OWN_ACCOUNT_PREFIX, is_administrators_profile,
};
use countersign_ca::x509::Facts;
use countersign_ca::{Store, Timestamp};

use super::answer::{
    AccountCounts, CertificateCounts, DirectoryLine, Finding, Severity, StatusAnswer, StatusCa,
    StatusCrl, WaitingCounts,
};
use super::directories;
use crate::exit::Failure;
use crate::folder::{LITTLE_ROOM, NO_ROOM};
use crate::instance::Instance;

const DAY: Duration = Duration::from_secs(86_400);
/// The certificates that end soon are counted within these windows.
const WINDOWS: (Duration, Duration) =
    (Duration::from_secs(14 * 86_400), Duration::from_secs(30 * 86_400));
/// At most so many certificates are counted of those that end soon.
const MOST_COUNTED: usize = 10_000;
/// A renewal is overdue when this part of the validity is left, and no newer certificate has replaced it. `countersign enroll` renews when a
/// third is left.
const OVERDUE: u32 = 6;
/// A backup that is older is told.
const OLD_BACKUP: Duration = Duration::from_secs(8 * 86_400);
/// A CA whose certificate ends within this time is told.
const CA_ENDS_SOON: Duration = Duration::from_secs(90 * 86_400);
/// An offline root's CRL that ends within this time is told.
const CRL_ENDS_SOON: Duration = Duration::from_secs(14 * 86_400);
/// A request that has waited longer is told.
const WAITS_LONG: Duration = DAY;
/// The most names that one finding lists.
const MAX_NAMED: usize = 5;
/// The number of accounts that are read at once.
const PAGE: usize = 1000;

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, code: &'static str, message: String) {
        self.0.push(Finding { severity: Severity::Error, code: code.into(), message });
    }

    fn warning(&mut self, code: &'static str, message: String) {
        self.0.push(Finding { severity: Severity::Warning, code: code.into(), message });
    }
}

/// Looks at every part of the instance. Findings that are errors make it not ok.
pub fn look(instance: &Instance) -> Result<StatusAnswer, Failure> {
    let now = instance.now();
    let mut found = Findings::default();
    let is_running = instance.bridge().is_some();
    if !is_running {
        found.error("not-running", "the server does not run".into());
    }
    let all = instance.store.cas()?;
    let cas = all.iter().map(|ca| look_at_ca(instance, &all, ca, now, &mut found));
    let cas = cas.collect::<Result<Vec<_>, _>>()?;
    let crls = look_at_crls(instance, &all, now, &mut found)?;
    let certificates = look_at_certificates(instance, now, &mut found)?;
    let accounts = look_at_accounts(instance, now, &mut found)?;
    let requests = look_at_requests(instance, now, &mut found)?;
    let disk = instance.location.folder.free_space();
    match disk {
        Some(left) if left < NO_ROOM => found.error("disk-full", little_space(left)),
        Some(left) if left < LITTLE_ROOM => found.warning("disk-little", little_space(left)),
        _ => {}
    }
    let backup = instance.store.last_done("backup")?;
    match backup {
        None => found.warning(
            "backup-none",
            "no backup of this instance is on record; `countersign backup DIR` makes one".into(),
        ),
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
            found.error("directory", message);
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
    ca: &CaRecord,
    now: Timestamp,
    found: &mut Findings,
) -> Result<StatusCa, Failure> {
    let end = Facts::of(&ca.certificate)?.not_after;
    let name = &ca.name;
    let is_succeeded = successor(all.iter(), ca).is_some();
    let profiles = instance.profiles();
    let cut = profiles.iter().find(|profile| now.plus(profile.validity()) > end);
    match (is_succeeded, cut) {
        (true, _) => {}
        (false, _) if end <= now => {
            found.error("ca-ended", format!("the CA `{name}` ended on {end}"));
        }
        (false, Some(cut)) if !ca.is_root => found.warning(
            "ca-cuts",
            format!(
                "the CA `{name}` ends on {end}, and certificates of the profile `{}` are cut to that: see to `countersign ca roll {name}`",
                cut.name()
            ),
        ),
        (false, _) if end < now.plus(CA_ENDS_SOON) => {
            found.warning("ca-ends", format!("the CA `{name}` ends on {end}"));
        }
        (false, _) => {}
    }
    Ok(StatusCa {
        name: name.clone(),
        kind: if ca.is_root { "root" } else { "issuing" }.into(),
        key_here: instance.location.folder.keys().contains(name.as_str()),
        succeeded: is_succeeded,
        not_after: end.to_string(),
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
            found.error("crl-none", format!("the CA `{}` has no CRL yet", ca.name));
        }
        for crl in crls {
            let what = format!("the CRL of `{}` ({})", ca.name, crl.scope);
            let (until, is_late) = (crl.next_update, is_here && crl.is_past_half(now));
            match has_ended {
                true => {}
                false if until <= now => {
                    found.error("crl-over", format!("{what} was good until {until}"));
                }
                false if is_late => found.error(
                    "crl-stale",
                    format!("{what} is older than half its validity: nextUpdate is {until}"),
                ),
                false if !is_here && until < now.plus(CRL_ENDS_SOON) => {
                    found.warning("crl-ends", format!("{what} is good until {until}"));
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
        found.warning(
            "renewal-overdue",
            format!(
                "{} certificates were not renewed in time; the first, of `{}`, ends on {} ({})",
                overdue.len(),
                first.account,
                first.not_after.whole_seconds(),
                names.join(", ")
            ),
        );
    }
    Ok(CertificateCounts {
        issued: instance.store.status().certificates,
        expiring_14_days: within(WINDOWS.0),
        expiring_30_days: within(WINDOWS.1),
        overdue: overdue.len(),
    })
}

fn look_at_accounts(
    instance: &Instance,
    now: Timestamp,
    found: &mut Findings,
) -> Result<AccountCounts, Failure> {
    let mut counts = AccountCounts { all: 0, disabled: 0, never_enrolled: 0 };
    let mut cannot = Vec::new();
    let mut after = None;
    loop {
        let page = instance.store.list_accounts(&Default::default(), after.as_ref(), PAGE)?;
        let enrolled = instance.store.enrolled(&page.accounts, now)?;
        for (account, enrolled) in page.accounts.iter().zip(enrolled) {
            counts.all = counts.all.saturating_add(1);
            counts.disabled = counts.disabled.saturating_add(usize::from(account.is_disabled));
            if enrolled.newest.is_some() || works_by_token(instance, account)? {
                continue;
            }
            counts.never_enrolled = counts.never_enrolled.saturating_add(1);
            let is_over = account.secret.as_ref().is_some_and(|secret| secret.expires <= now);
            if is_over && !account.is_disabled {
                cannot.push(format!("`{}`", account.name));
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if !cannot.is_empty() {
        let count = cannot.len();
        cannot.truncate(MAX_NAMED);
        found.warning(
            "never-enrolled",
            format!(
                "{count} accounts never enrolled, and their secrets have expired: {}; `peer list --state never-enrolled` has all",
                cannot.join(", ")
            ),
        );
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
    if counts.undecided > 0 {
        let waiting = instance.store.all_waiting(now)?;
        let old = waiting.iter().filter(|request| {
            request.decision.is_none() && request.received.plus(WAITS_LONG) < now
        });
        let old = old.count();
        if old > 0 {
            found.warning(
                "request-waits",
                format!("{old} requests have waited for an administrator for more than a day"),
            );
        }
    }
    Ok(WaitingCounts { waiting: counts.undecided, approved: counts.approved })
}
