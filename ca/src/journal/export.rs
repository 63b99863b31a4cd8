//! Export of the journal for people and scripts: one JSON object for each entry, certificates in base64. Sealed secrets
//! and the protocols' contexts are left out.
//!
//! Scripts match the field names: they never change, and new ones may be added.

use std::path::Path;

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Map, Value, json};

use super::damage::DamageKind;
use super::entry::{Entry, Recorded};
use super::file::{JournalFile, JournalPaths, Step};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::name::Identity;
use crate::record::Vendor;
use crate::record::approval::{PendingRequest, RequestId};
use crate::record::{Account, Administrator, CaRecord, CrlRecord, Issued, ProvenBy, Transaction};

/// Calls `line` with each entry of the journal in the data folder `data` as a JSON object without line breaks,
/// beginning with the sequence number `from`, until `line` returns `false`. An incomplete entry at the end is left out.
///
/// # Errors
/// [`Error::Internal`] when the journal is damaged; [`Error::Unavailable`] when it cannot be read; the error that
/// `line` returns.
pub fn export(data: &Path, from: u64, line: &mut dyn FnMut(&str) -> Result<bool>) -> Result<()> {
    read(data, from, &mut |recorded| line(&json_of(recorded).to_string()))
}

/// Calls `visit` with each entry of the journal in the data folder `data`, beginning with the sequence number `from`, until it returns
/// `false`. An incomplete entry at the end is left out.
///
/// # Errors
/// As [`export`].
pub fn read(
    data: &Path,
    from: u64,
    visit: &mut dyn FnMut(&Recorded) -> Result<bool>,
) -> Result<()> {
    let journal = JournalFile::open(&JournalPaths::new(data).journal)?;
    let mut scanner = journal.scanner();
    loop {
        match scanner.step()? {
            Step::Entry { envelope, .. } if envelope.sequence < from => {}
            Step::Entry { envelope, .. } => {
                if !visit(&envelope.open()?)? {
                    return Ok(());
                }
            }
            Step::Damaged(damage) if damage.kind != DamageKind::TruncatedTail => {
                return Err(Error::from(damage));
            }
            Step::Damaged(_) | Step::End => return Ok(()),
        }
    }
}

/// An entry as a JSON object: `sequence`, `time` (RFC 3339), `kind`, and the fields of the kind.
pub fn json_of(recorded: &Recorded) -> Value {
    let mut object = Map::new();
    object.insert("sequence".into(), recorded.sequence.into());
    object.insert("time".into(), time(recorded.at));
    object.insert("kind".into(), recorded.entry.name().into());
    if let Value::Object(fields) = fields(&recorded.entry) {
        object.extend(fields);
    }
    Value::Object(object)
}

/// The kind's own fields as a JSON object.
fn fields(entry: &Entry) -> Value {
    match entry {
        Entry::Ca(record) => ca(record),
        Entry::Assigned { ca, duty } => json!({ "ca": ca, "duty": duty.name() }),
        Entry::Reserved { ca, serials } => json!({
            "ca": ca, "serials": serials.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        Entry::Issued(record) => issued(record),
        Entry::Confirmed { transaction } => json!({ "transaction": HEXLOWER.encode(transaction) }),
        Entry::Revoked { ca, serial, revocation, transaction: by, untaken } => json!({
            "ca": ca,
            "serial": serial.to_string(),
            "revoked": time(revocation.at),
            "reason": revocation.reason.name(),
            "invalidity": revocation.invalidity.map(time),
            "untaken": untaken,
            "transaction": by.as_ref().map(transaction),
        }),
        Entry::Released { ca, serial } => json!({ "ca": ca, "serial": serial.to_string() }),
        Entry::Crl(record) => crl(record),
        Entry::Accounts(accounts) => json!({
            "accounts": accounts.iter().map(account).collect::<Vec<_>>(),
        }),
        Entry::AccountChanged(changed) => json!({ "account": account(changed) }),
        Entry::AccountRemoved(name) => json!({ "account": name }),
        Entry::AccountRenamed { from, to } => json!({ "account": from, "name": to }),
        Entry::Locked { reference, until } => {
            json!({ "reference": reference, "until": time(*until) })
        }
        Entry::AdminAction(done) => json!({
            "actor": done.actor, "action": done.action, "detail": done.detail,
        }),
        Entry::AnchorShown(shown) => json!({
            "account": shown.account,
            "ca": shown.ca,
            "evidence": shown.evidence.name(),
            "actor": shown.actor,
        }),
        Entry::AdministratorChanged(record) => administrator(record),
        Entry::AdministratorRemoved(name) => json!({ "administrator": name }),
        Entry::VendorTrusted(record) => vendor(record),
        Entry::VendorRemoved(name) => json!({ "vendor": name }),
        Entry::Requested(pending) => requested(pending),
        Entry::Joined { request, transaction: by } => json!({
            "request": request.to_string(),
            "transaction": transaction(by),
        }),
        Entry::PartlyApproved { request, approval } => json!({
            "request": request.to_string(),
            "person": approval.person,
            "actor": approval.actor,
            "words": approval.comment,
        }),
        Entry::Decided { request, decision } => json!({
            "request": request.to_string(),
            "verdict": decision.verdict.name(),
            "actor": decision.actor,
            "words": decision.comment,
        }),
        Entry::Restored(restoration) => json!({
            "actor": restoration.actor,
            "backup_sha256": HEXLOWER.encode(&restoration.backup),
            "keeps_uses": restoration.keeps_uses,
        }),
        Entry::ClockAccepted { actor } => json!({ "actor": actor }),
        Entry::Listed { ca, entry } => json!({
            "ca": ca,
            "serial": entry.serial.to_string(),
            "revoked": time(entry.revocation.at),
            "reason": entry.revocation.reason.name(),
            "invalidity": entry.revocation.invalidity.map(time),
            "not_after": time(entry.not_after),
            "partition": entry.partition,
        }),
    }
}

fn ca(ca: &CaRecord) -> Value {
    json!({
        "ca": ca.name,
        "root": ca.is_root,
        "certificate": BASE64.encode(&ca.certificate),
        "chain": base64(&ca.chain),
        "succeeds": ca.succeeds.as_ref().map(|succession| json!({
            "ca": succession.predecessor,
            "new_with_old": succession.links.as_ref().map(|l| BASE64.encode(&l.new_with_old)),
            "old_with_new": succession.links.as_ref().map(|l| BASE64.encode(&l.old_with_new)),
            "waits": succession.waits,
        })),
    })
}

fn issued(issued: &Issued) -> Value {
    json!({
        "ca": issued.ca,
        "serial": issued.serial.to_string(),
        "account": issued.account,
        "profile": issued.profile,
        "not_after": time(issued.not_after),
        "certificate": BASE64.encode(&issued.certificate),
        "consumes_secret": issued.consumes_secret,
        "consumes_equipment": issued.consumes_equipment,
        "transaction": issued.transaction.as_ref().map(transaction),
        "replaces": issued.replaces.map(|serial| serial.to_string()),
        "published": !issued.unpublished,
        "retires_after_seconds": issued.retires.map(|after| after.as_secs()),
    })
}

fn crl(crl: &CrlRecord) -> Value {
    json!({
        "ca": crl.ca,
        "scope": crl.scope.to_string(),
        "number": crl.number,
        "this_update": time(crl.this_update),
        "signed": time(crl.signed),
        "next_update": time(crl.next_update),
        "entries": crl.entries,
        "tbs_sha256": HEXLOWER.encode(&crl.tbs_sha256),
        "is_base": crl.is_base,
        "reached": crl.reached,
        "brought": crl.brought.as_ref().map(|der| BASE64.encode(der)),
    })
}

/// An administrator as a JSON object. The hashes of tokens are left out: nobody but the server compares them.
fn administrator(administrator: &Administrator) -> Value {
    let grants = administrator
        .grants
        .iter()
        .map(|grant| json!({ "role": grant.role, "cas": grant.cas, "accounts": grant.accounts }));
    let tokens = administrator.tokens.iter().map(|token| {
        json!({
            "name": token.name,
            "roles": token.roles,
            "created": time(token.created),
            "expires": time(token.expires),
        })
    });
    let mut line = json!({
        "administrator": administrator.name,
        "grants": grants.collect::<Vec<_>>(),
        "tokens": tokens.collect::<Vec<_>>(),
        "created": time(administrator.created),
    });
    if let (Some(user), Some(fields)) = (&administrator.oidc, line.as_object_mut()) {
        let user = json!({ "issuer": user.issuer, "subject": user.subject });
        fields.insert("oidc".to_owned(), user);
    }
    line
}

fn vendor(vendor: &Vendor) -> Value {
    json!({
        "vendor": vendor.name,
        "mapping": vendor.mapping,
        "roots": base64(&vendor.roots),
        "intermediates": base64(&vendor.intermediates),
        "profile": vendor.profile,
        "crls": vendor.crls,
    })
}

fn requested(pending: &PendingRequest) -> Value {
    let request = &pending.request;
    let alt_names = request.alt_names();
    let alt_names = alt_names.iter().map(|name| {
        Identity::from_general_name(name).map_or_else(|_| "?".into(), |id| id.to_string())
    });
    json!({
        "request": RequestId::of(&pending.transaction.id).to_string(),
        "profile": request.profile,
        "ca": request.ca,
        "key": BASE64.encode(&request.key),
        "subject": request.subject().map(|subject| subject.to_string()),
        "alt_names": alt_names.collect::<Vec<String>>(),
        "replaces": request.updates.map(|serial| serial.to_string()),
        "published": request.published,
        "transaction": transaction(&pending.transaction),
    })
}

fn account(account: &Account) -> Value {
    let secret = account.secret.as_ref().map(|secret| {
        json!({
            "reference": secret.reference,
            "expires": time(secret.expires),
            "uses_left": secret.uses_left,
        })
    });
    json!({
        "name": account.name,
        "identities": account.identities.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "profile": account.profile,
        "ca": account.ca,
        "secret": secret,
        "equipment": account.equipment.as_ref().map(|equipment| json!({
            "vendor": equipment.vendor,
            "value": equipment.value,
            "uses_left": equipment.uses_left,
        })),
        "created": time(account.created),
        "permissions": account.permissions,
        "labels": account.remarks.labels,
        "owner": account.remarks.owner,
        "note": account.remarks.note,
        "disabled": account.is_disabled,
    })
}

/// A transaction as a JSON object. The context is left out, as it may hold what only the authority and the peer know.
fn transaction(transaction: &Transaction) -> Value {
    json!({
        "id": HEXLOWER.encode(&transaction.id),
        "account": transaction.account,
        "expires": time(transaction.expires),
        "awaits_confirmation": transaction.awaits.is_some(),
        "confirm_until": transaction.confirm_until.map(time),
        "registrar": transaction.registrar,
        "client": transaction.client,
        "proof": transaction.proof.map(ProvenBy::name),
    })
}

fn base64(certificates: &[Vec<u8>]) -> Vec<String> {
    certificates.iter().map(|der| BASE64.encode(der)).collect()
}

/// A time by RFC 3339, in UTC.
fn time(at: Timestamp) -> Value {
    at.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::samples::samples;

    #[test]
    fn every_kind_is_readable_and_no_sealed_secret_is() {
        for entry in samples() {
            let at = Timestamp::from_seconds(1_700_000_000);
            let name = entry.name();
            let value = json_of(&Recorded { sequence: 4, at, entry });
            assert_eq!(value["sequence"], 4);
            assert_eq!(value["time"], "2023-11-14T22:13:20Z");
            assert_eq!(value["kind"], name);
            let text = value.to_string();
            assert!(
                !text.contains("sealed") && !text.contains("AQID") && !text.contains("context")
            );
        }
    }

    #[test]
    fn a_certificate_can_be_decoded_from_its_line() {
        let issued = samples().into_iter().find(|e| e.name() == "issued").unwrap();
        let value = json_of(&Recorded { sequence: 0, at: Timestamp::default(), entry: issued });
        let text = value["certificate"].as_str().unwrap();
        assert_eq!(BASE64.decode(text.as_bytes()).unwrap(), [48, 1, 2]);
        assert_eq!(value["serial"], "00000000000000000000000000000001");
        assert_eq!(value["replaces"], "00000000000000000000000000000003");
    }
}
