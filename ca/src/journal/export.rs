//! Entries for a reader: one JSON object for each, certificates in base64. Sealed secrets are left out.

use std::path::Path;

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Map, Value, json};

use super::entry::{Entry, Recorded};
use super::file::{FILE_HEADER, JournalFile, JournalPaths, Scanner, Step};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::pending::RequestId;
use crate::record::{Account, Transaction};

/// Calls `line` with each entry of the journal in `data` as a JSON object on one line, from entry `from` on, until
/// it returns `false`. An incomplete end is passed over.
///
/// # Errors
/// [`Error::Internal`] when the journal is damaged, or what `line` returns.
pub fn export(data: &Path, from: u64, line: &mut dyn FnMut(&str) -> Result<bool>) -> Result<()> {
    let journal = JournalFile::open(&JournalPaths::new(data).journal, false)?;
    let mut scanner = Scanner::new(&journal.file, FILE_HEADER as u64, 0, journal.length);
    loop {
        match scanner.step()? {
            Step::Entry { envelope, .. } if envelope.sequence < from => {}
            Step::Entry { envelope, .. } => {
                let text = json_of(&envelope.open()?).to_string();
                if !line(&text)? {
                    return Ok(());
                }
            }
            Step::Damaged(damage) if damage.kind != super::DamageKind::TruncatedTail => {
                return Err(Error::from(damage));
            }
            Step::Damaged(_) | Step::End => return Ok(()),
        }
    }
}

/// An entry as a JSON object: `sequence`, `time` (RFC 3339), `kind`, and the kind's own fields.
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

fn fields(entry: &Entry) -> Value {
    match entry {
        Entry::Ca(ca) => json!({
            "ca": ca.name,
            "root": ca.is_root,
            "certificate": BASE64.encode(&ca.certificate),
            "chain": ca.chain.iter().map(|above| BASE64.encode(above)).collect::<Vec<_>>(),
            "succeeds": ca.succeeds.as_ref().map(|succession| json!({
                "ca": succession.predecessor,
                "new_with_old": succession.links.as_ref().map(|l| BASE64.encode(&l.new_with_old)),
                "old_with_new": succession.links.as_ref().map(|l| BASE64.encode(&l.old_with_new)),
                "waits": succession.waits,
            })),
        }),
        Entry::Assigned { ca, duty } => json!({ "ca": ca, "duty": duty.name() }),
        Entry::Reserved { ca, serials } => json!({
            "ca": ca, "serials": serials.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        Entry::Issued(issued) => json!({
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
        }),
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
        Entry::Crl(crl) => json!({
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
        }),
        Entry::Accounts(accounts) => json!({
            "accounts": accounts.iter().map(account).collect::<Vec<_>>(),
        }),
        Entry::AccountChanged(changed) => json!({ "account": account(changed) }),
        Entry::AccountRemoved(name) => json!({ "account": name }),
        Entry::Locked { reference, until } => {
            json!({ "reference": reference, "until": time(*until) })
        }
        Entry::Deed(deed) => json!({
            "actor": deed.actor, "action": deed.action, "detail": deed.detail,
        }),
        Entry::VendorTrusted(vendor) => json!({
            "vendor": vendor.name,
            "mapping": vendor.mapping,
            "roots": vendor.roots.iter().map(|der| BASE64.encode(der)).collect::<Vec<_>>(),
            "intermediates": vendor.intermediates.iter().map(|der| BASE64.encode(der)).collect::<Vec<_>>(),
            "profile": vendor.profile,
            "crls": vendor.crls,
        }),
        Entry::VendorRemoved(name) => json!({ "vendor": name }),
        Entry::Requested(pending) => json!({
            "request": RequestId::of(&pending.transaction.id).to_string(),
            "profile": pending.request.profile,
            "ca": pending.request.ca,
            "key": BASE64.encode(&pending.request.key),
            "subject": pending.request.subject().map(|subject| subject.to_string()),
            "alt_names": pending.request.alt_names().iter().map(|name| {
                Identity::from_general_name(name).map_or_else(|_| "?".into(), |id| id.to_string())
            }).collect::<Vec<String>>(),
            "replaces": pending.request.updates.map(|serial| serial.to_string()),
            "published": pending.request.published,
            "transaction": transaction(&pending.transaction),
        }),
        Entry::Joined { request, transaction: by } => json!({
            "request": request.to_string(),
            "transaction": transaction(by),
        }),
        Entry::Decided { request, decision } => json!({
            "request": request.to_string(),
            "verdict": decision.verdict.name(),
            "actor": decision.actor,
            "words": decision.words,
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
    })
}

/// Without the protocol's context: it may hold what only the two parties know.
fn transaction(transaction: &Transaction) -> Value {
    json!({
        "id": HEXLOWER.encode(&transaction.id),
        "account": transaction.account,
        "expires": time(transaction.expires),
        "awaits_confirmation": transaction.awaits.is_some(),
        "confirm_until": transaction.confirm_until.map(time),
        "registrar": transaction.registrar,
        "client": transaction.client,
    })
}

fn time(at: Timestamp) -> Value {
    at.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::entry::tests::samples;

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
