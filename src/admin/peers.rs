//! Accounts as administrators add and remove them.

use countersign_ca::accounts::{AccountDraft, NewAccount};
use countersign_ca::handed_out::refuse_outside;
use countersign_ca::identity::Identity;
use countersign_ca::record::{CertificateRecord, Label, OWN_ACCOUNT_PREFIX, Reason, Revocation};
use countersign_ca::{Denial, Error, Store};
use serde_json::{Value, json};

use super::{PeerDraft, deed, renew_crl};
use crate::exit::Failure;
use crate::instance::Instance;

/// Adds accounts, all or none, and tells what an administrator should know of them.
pub fn add(
    instance: &Instance,
    actor: &str,
    peers: Vec<PeerDraft>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Value, Failure> {
    let drafts = peers.into_iter().map(draft).collect::<Result<Vec<_>, Failure>>()?;
    let profiles = instance.profiles();
    let (cas, default) = (instance.store.cas()?, instance.default_ca()?);
    refuse_outside(&cas, default.as_ref(), &profiles, &drafts, instance.now())?;
    let accounts = instance.accounts();
    let warnings = accounts.warnings(&drafts)?;
    let added = accounts.add(&profiles, &drafts, progress)?;
    let names: Vec<&str> = drafts.iter().take(10).map(|draft| draft.name.as_str()).collect();
    deed(instance, actor, "peer add", &format!("{} accounts: {}", drafts.len(), names.join(" ")))?;
    let mut values: Vec<Value> = added.iter().map(new_account).collect();
    for (value, new) in values.iter_mut().zip(&added) {
        let own = warnings.iter().filter(|warning| warning.account == new.account.name);
        let own: Vec<&str> = own.map(|warning| warning.text.as_str()).collect();
        if let Some(fields) = value.as_object_mut().filter(|_| !own.is_empty()) {
            fields.insert("warnings".into(), json!(own));
        }
    }
    Ok(Value::Array(values))
}

/// Removes an account, and revokes its certificates if a reason is given. It is removed first: nothing is issued to it any more. Where
/// this stops half way, it may be asked for again: what is done already stays so.
pub fn remove(
    instance: &Instance,
    actor: &str,
    name: &Label,
    reason: Option<String>,
) -> Result<Value, Failure> {
    let reason = reason.map(|reason| reason.parse::<Reason>()).transpose()?;
    if matches!(reason, Some(Reason::RemoveFromCrl | Reason::CertificateHold)) {
        return Err(Failure::input(
            "expected a reason that revokes for good, such as `cessationOfOperation`",
        ));
    }
    let accounts = instance.accounts();
    let is_left = reason.is_some()
        && !name.as_str().starts_with(OWN_ACCOUNT_PREFIX)
        && instance.store.incarnation(name)?.is_none()
        && !accounts.valid_certificates(name)?.is_empty();
    if !is_left {
        accounts.remove(name)?;
        deed(instance, actor, "peer remove", name)?;
    }
    let certificates = accounts.valid_certificates(name)?;
    let serials: Vec<String> =
        certificates.iter().map(|record| record.serial.to_string()).collect();
    let Some(reason) = reason else {
        return Ok(json!({"removed": name, "still_valid": serials}));
    };
    revoke_all(instance, &certificates, reason).map_err(|(revoked, failure)| Failure {
        message: format!(
            "the account `{name}` is removed, and {revoked} of its {} certificates are revoked: {failure}. Run `countersign peer \
             remove {name} --revoke` again for the others",
            certificates.len()
        ),
        ..failure
    })?;
    deed(instance, actor, "peer remove --revoke", &format!("{name}: {}", serials.join(" ")))?;
    let mut cas: Vec<&Label> = certificates.iter().map(|record| &record.ca).collect();
    cas.sort_unstable();
    cas.dedup();
    let crls = cas.into_iter().map(|ca| renew_crl(instance, ca)).collect::<Result<Vec<_>, _>>()?;
    let mut said =
        json!({"removed": name, "revoked": serials, "reason": reason.name(), "crls": crls});
    if let Some(fields) = said.as_object_mut().filter(|_| is_left) {
        fields.insert(
            "note".into(),
            json!("the account was removed before; its certificates were left"),
        );
    }
    Ok(said)
}

/// On failure, says how many are revoked.
fn revoke_all(
    instance: &Instance,
    certificates: &[CertificateRecord],
    reason: Reason,
) -> Result<(), (usize, Failure)> {
    for (revoked, record) in certificates.iter().enumerate() {
        let now = instance.now();
        let revocation = Revocation { at: now, reason, invalidity: None };
        // The peer itself, or who looks after the unconfirmed, may have been first.
        match instance.store.record_revoked(now, &record.ca, &record.serial, &revocation, None) {
            Ok(()) | Err(Error::Denied { kind: Denial::AlreadyRevoked, .. }) => {}
            Err(error) => return Err((revoked, error.into())),
        }
    }
    Ok(())
}

fn draft(peer: PeerDraft) -> Result<AccountDraft, Failure> {
    let identities =
        peer.ids.iter().map(|id| id.parse::<Identity>()).collect::<Result<Vec<_>, _>>();
    let identities =
        identities.map_err(|e| Failure::input(format!("account `{}`: {e}", peer.name)))?;
    Ok(AccountDraft {
        name: peer.name,
        identities,
        profile: peer.profile,
        ca: peer.ca,
        equipment: peer.equipment.map(Into::into),
        secret: peer.secret.map(Into::into),
        permissions: peer.permissions,
        line: peer.line,
    })
}

/// An account with its secret: the only time that it is shown.
pub fn new_account(new: &NewAccount) -> Value {
    let secret = new.account.secret.as_ref();
    json!({
        "name": new.account.name,
        "reference": secret.map(|secret| secret.reference.clone()),
        "secret": new.secret.as_ref().map(|secret| secret.as_str()),
        "expires": secret.map(|secret| secret.expires.whole_seconds().to_string()),
        "uses": secret.map(|secret| secret.uses_left),
        "equipment": new.account.equipment.as_ref().map(ToString::to_string),
        "ids": new.account.identities.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "profile": new.account.profile,
        "ca": new.account.ca,
        "permissions": new.account.permissions,
    })
}
