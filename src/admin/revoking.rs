//! Revocation of several certificates at once: those of an account, or those of a list.

use std::collections::BTreeSet;

use countersign_ca::record::{CertificateRecord, Label, Reason, Revocation, no_account};
use countersign_ca::x509::Facts;
use countersign_ca::{Denial, Error, Store};

use super::accounts::refuse_administrators;
use super::answer::{CaCrl, RevokedLine, RevokedMany, to_value};
use super::certificates;
use super::crls;
use super::recorded::record;
use super::request::RequestedRevocation;
use crate::bridge::Effect;
use crate::exit::Failure;
use crate::instance::Instance;

/// The most problems that one message lists.
const MAX_TOLD: usize = 100;

/// How many serial numbers the journal names with the administrator; each revocation has an entry of its own.
const NAMED: usize = 10;

/// A certificate that is to be revoked, and the reason.
struct Target {
    record: CertificateRecord,
    reason: Reason,
}

/// Revokes every certificate that is valid or on hold, of every account that has or had this name. With `remove`, the account is removed
/// first, so that it gets no other.
pub fn all_of(
    instance: &Instance,
    actor: &str,
    name: &Label,
    reason: &str,
    remove: bool,
    effect: Effect,
) -> Result<RevokedMany, Failure> {
    let reason = for_good(reason)?;
    let accounts = instance.accounts();
    let exists = instance.store.incarnation(name)?.is_some();
    let mut records = accounts.valid_certificates(name)?;
    if !exists && records.is_empty() {
        return Err(no_account(name).into());
    }
    let mut removed = None;
    if remove {
        refuse_administrators(instance, name)?;
    }
    if remove && exists && effect == Effect::Apply {
        accounts.remove(name)?;
        record(instance, actor, "peer remove", name)?;
        removed = Some(name.clone());
        // Another one may have been issued meanwhile.
        records = accounts.valid_certificates(name)?;
    }
    let targets = records.into_iter().map(|record| Target { record, reason }).collect();
    let done = revoke(instance, actor, targets, effect)?;
    Ok(RevokedMany { removed, ..done })
}

/// Revokes the certificates of a list. If one is not known, nothing is revoked.
pub fn many(
    instance: &Instance,
    actor: &str,
    certificates: &[RequestedRevocation],
    effect: Effect,
) -> Result<RevokedMany, Failure> {
    let (mut targets, mut problems, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for one in certificates {
        let found = for_good(&one.reason).and_then(|reason| {
            let record = certificates::find(instance, &one.serial, one.ca.as_ref())?;
            Ok(Target { record, reason })
        });
        match found {
            Ok(target) if !seen.insert((target.record.ca.clone(), target.record.serial)) => {}
            Ok(target) => targets.push(target),
            Err(failure) if matches!(failure.code, 2 | 3) => {
                let line = one.line.map(|line| format!("line {line}: ")).unwrap_or_default();
                problems.push(format!("{line}{failure}"));
            }
            Err(failure) => return Err(failure),
        }
    }
    if !problems.is_empty() {
        let more = problems.len().saturating_sub(MAX_TOLD);
        problems.truncate(MAX_TOLD);
        if more > 0 {
            problems.push(format!("and {more} more"));
        }
        problems.push("nothing was revoked".into());
        return Err(Failure::input(problems.join("\n")));
    }
    revoke(instance, actor, targets, effect)
}

/// A reason that revokes for good.
fn for_good(reason: &str) -> Result<Reason, Failure> {
    match reason.parse::<Reason>()? {
        Reason::RemoveFromCrl | Reason::CertificateHold => Err(Failure::input(
            "expected a reason that revokes for good, such as `cessationOfOperation`",
        )),
        reason => Ok(reason),
    }
}

fn revoke(
    instance: &Instance,
    actor: &str,
    targets: Vec<Target>,
    effect: Effect,
) -> Result<RevokedMany, Failure> {
    let all = targets.len();
    let (mut lines, mut changed, mut serials) = (Vec::new(), BTreeSet::new(), Vec::new());
    let mut stopped = None;
    for Target { record, reason } in targets {
        let CertificateRecord { ca, serial, account, revocation, certificate, .. } = record;
        let is_revoked = revocation.is_some_and(|of| of.reason != Reason::CertificateHold);
        let done = match (is_revoked, effect) {
            (true, _) => "revoked already",
            (false, Effect::DryRun) => "would be revoked",
            (false, Effect::Apply) => {
                let now = instance.now();
                let revocation = Revocation { at: now, reason, invalidity: None };
                match instance.store.record_revoked(now, &ca, &serial, &revocation, None) {
                    Ok(()) => {
                        changed.insert(ca.clone());
                        serials.push(serial.to_string());
                        "revoked"
                    }
                    // Its holder revoked it meanwhile.
                    Err(Error::Denied { kind: Denial::AlreadyRevoked, .. }) => "revoked already",
                    Err(error) => {
                        stopped = Some(Failure::from(error));
                        break;
                    }
                }
            }
        };
        let subject = Facts::of(&certificate)
            .map_or_else(|_| "?".to_owned(), |facts| facts.subject.to_string());
        let (serial, reason) = (serial.to_string(), reason.name().to_owned());
        lines.push(RevokedLine { serial, ca, account, subject, reason, done: done.into() });
    }
    let noted = match serials.is_empty() {
        true => Ok(()),
        false => {
            let some: Vec<&str> = serials.iter().take(NAMED).map(String::as_str).collect();
            let detail = format!("{} certificates: {}", serials.len(), some.join(" "));
            record(instance, actor, "cert revoke", &detail)
        }
    };
    // CRLs show the change, even if the journal does not say who made it.
    let crls = changed.into_iter().map(|ca| {
        let crl = to_value(crls::renew(instance, &ca)?)?;
        Ok(CaCrl { ca, crl })
    });
    let crls = crls.collect::<Result<Vec<_>, Failure>>()?;
    if let Some(failure) = stopped {
        return Err(Failure {
            message: format!(
                "{} of {all} certificates are revoked: {failure}. Run the same command again for the others",
                serials.len()
            ),
            ..failure
        });
    }
    noted?;
    let dry_run = effect == Effect::DryRun;
    Ok(RevokedMany { certificates: lines, dry_run, removed: None, crls })
}
