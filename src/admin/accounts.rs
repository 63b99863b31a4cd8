//! Accounts of peers, as administrators see, add and change them.

use std::collections::BTreeSet;

use countersign_ca::Identity;
use countersign_ca::authority::accounts::refuse_outside;
use countersign_ca::authority::accounts::{AccountDraft, NewAccount, PermissionChange};
use countersign_ca::record::DeviceDraft;
use countersign_ca::record::no_account;
use countersign_ca::record::{
    Account, CertificateRecord, Label, OWN_ACCOUNT_PREFIX, Permission, Reason, Revocation,
};
use countersign_ca::{Denial, Error, Store};

use super::answer::{AccountLine, NewAccountLine, RemovedAccount};
use super::crls;
use super::recorded::record;
use super::request::{RequestedDevice, RequestedPeer, RequestedSecret};
use crate::exit::Failure;
use crate::instance::Instance;

/// How many of the accounts that one request adds the journal names.
const NAMED: usize = 10;

/// Every account, sorted by name.
pub fn list(instance: &Instance) -> Result<Vec<AccountLine>, Failure> {
    Ok(instance.store.accounts()?.iter().map(line).collect())
}

/// One account. A name that no account has is an error.
pub fn show(instance: &Instance, name: &Label) -> Result<AccountLine, Failure> {
    let account = instance.store.account(name)?.ok_or_else(|| no_account(name))?;
    Ok(line(&account))
}

fn line(account: &Account) -> AccountLine {
    let (secret, device) = (account.secret.as_ref(), account.equipment.as_ref());
    AccountLine {
        name: account.name.clone(),
        profile: account.profile.clone(),
        ca: account.ca.clone(),
        ids: account.identities.iter().map(ToString::to_string).collect(),
        device: device.map(ToString::to_string),
        device_uses_left: device.map(|device| device.uses_left),
        reference: secret.map(|secret| secret.reference.clone()),
        uses_left: secret.map(|secret| secret.uses_left),
        expires: secret.map(|secret| secret.expires.whole_seconds().to_string()),
        created: account.created.whole_seconds().to_string(),
        permissions: account.permissions.clone(),
    }
}

fn new_line(new: &NewAccount) -> NewAccountLine {
    let (account, secret) = (&new.account, new.account.secret.as_ref());
    NewAccountLine {
        name: account.name.clone(),
        reference: secret.map(|secret| secret.reference.clone()),
        secret: new.secret.clone(),
        expires: secret.map(|secret| secret.expires.whole_seconds().to_string()),
        uses: secret.map(|secret| secret.uses_left),
        device: account.equipment.as_ref().map(ToString::to_string),
        ids: account.identities.iter().map(ToString::to_string).collect(),
        profile: account.profile.clone(),
        ca: account.ca.clone(),
        permissions: account.permissions.clone(),
        warnings: Vec::new(),
    }
}

/// Adds accounts, all or none, and returns each with its secret and warnings about its probable mistakes.
pub fn add(
    instance: &Instance,
    actor: &str,
    peers: Vec<RequestedPeer>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<NewAccountLine>, Failure> {
    let drafts = peers.into_iter().map(draft).collect::<Result<Vec<_>, Failure>>()?;
    let profiles = instance.profiles();
    let (cas, default) = (instance.store.cas()?, instance.default_ca()?);
    refuse_outside(&cas, default.as_ref(), &profiles, &drafts, instance.now())?;
    let accounts = instance.accounts();
    let warnings = accounts.warnings(&drafts)?;
    let added = accounts.add(&profiles, &drafts, progress)?;
    let names: Vec<&str> = drafts.iter().take(NAMED).map(|draft| draft.name.as_str()).collect();
    let detail = format!("{} accounts: {}", drafts.len(), names.join(" "));
    let noted = record(instance, actor, "peer add", &detail);
    let lines = added.iter().map(|new| {
        let own = warnings.iter().filter(|warning| warning.account == new.account.name);
        let own = own.map(|warning| warning.text.clone());
        NewAccountLine { warnings: own.chain(not_noted(&noted)).collect(), ..new_line(new) }
    });
    Ok(lines.collect())
}

/// The warning that the journal does not say who acted, if it does not. It is no error, because an error would lose the new secret, which
/// the store has only sealed.
fn not_noted(noted: &Result<(), Failure>) -> Option<String> {
    noted.as_ref().err().map(|failure| failure.message.clone())
}

fn draft(peer: RequestedPeer) -> Result<AccountDraft, Failure> {
    let identities =
        peer.ids.iter().map(|id| id.parse::<Identity>()).collect::<Result<Vec<_>, _>>();
    let identities =
        identities.map_err(|e| Failure::input(format!("account `{}`: {e}", peer.name)))?;
    Ok(AccountDraft {
        name: peer.name,
        identities,
        profile: peer.profile,
        ca: peer.ca,
        equipment: peer.device.map(Into::into),
        secret: peer.secret.map(Into::into),
        permissions: peer.permissions,
        line: peer.line,
    })
}

/// Gives an account another reference and secret, and returns both. The old ones end.
pub fn reset_secret(
    instance: &Instance,
    actor: &str,
    name: &Label,
    secret: RequestedSecret,
) -> Result<NewAccountLine, Failure> {
    let new = instance.accounts().reset_secret(name, secret.into())?;
    let noted = record(instance, actor, "peer reset-secret", name);
    Ok(NewAccountLine { warnings: not_noted(&noted).into_iter().collect(), ..new_line(&new) })
}

/// Binds an account to a device, or to none.
pub fn set_device(
    instance: &Instance,
    actor: &str,
    name: &Label,
    device: Option<RequestedDevice>,
) -> Result<AccountLine, Failure> {
    let draft = device.map(DeviceDraft::from);
    let account = instance.accounts().set_equipment(name, draft.as_ref())?;
    let device = account.equipment.as_ref().map_or_else(|| "none".into(), ToString::to_string);
    record(instance, actor, "peer set-equipment", &format!("{name} {device}"))?;
    Ok(line(&account))
}

/// Grants an account permissions, or withdraws them.
pub fn permit(
    instance: &Instance,
    actor: &str,
    name: &Label,
    permissions: &BTreeSet<Permission>,
    change: PermissionChange,
) -> Result<AccountLine, Failure> {
    let account = instance.accounts().permit(name, permissions, change)?;
    let names: Vec<&str> = permissions.iter().map(|permission| permission.name()).collect();
    let action = match change {
        PermissionChange::Grant => "peer allow",
        PermissionChange::Withdraw => "peer allow --revoke",
    };
    record(instance, actor, action, &format!("{name} {}", names.join(",")))?;
    Ok(line(&account))
}

/// Removes an account, as [`remove`] does, and refuses that of an administrator: the tokens would stay.
pub fn remove_peer(
    instance: &Instance,
    actor: &str,
    name: &Label,
    reason: Option<String>,
) -> Result<RemovedAccount, Failure> {
    if instance.store.administrator(name)?.is_some() {
        return Err(Failure::missing(format!(
            "`{name}` is an administrator; `countersign admin remove {name}` removes the account, too"
        )));
    }
    remove(instance, actor, name, reason)
}

/// Removes an account, and revokes its certificates if a reason is given.
///
/// The account is removed first, so that nothing is issued to it any more. If revocation fails half way, the same request can be
/// repeated: an account that is gone and has valid certificates left is passed over, and the rest of them is revoked.
pub fn remove(
    instance: &Instance,
    actor: &str,
    name: &Label,
    reason: Option<String>,
) -> Result<RemovedAccount, Failure> {
    let reason = reason.map(|reason| reason.parse::<Reason>()).transpose()?;
    if matches!(reason, Some(Reason::RemoveFromCrl | Reason::CertificateHold)) {
        return Err(Failure::input(
            "expected a reason that revokes for good, such as `cessationOfOperation`",
        ));
    }
    let accounts = instance.accounts();
    let was_removed_before = reason.is_some()
        && !name.as_str().starts_with(OWN_ACCOUNT_PREFIX)
        && instance.store.incarnation(name)?.is_none()
        && !accounts.valid_certificates(name)?.is_empty();
    let mut noted = Ok(());
    if !was_removed_before {
        accounts.remove(name)?;
        noted = record(instance, actor, "peer remove", name);
    }
    let certificates = accounts.valid_certificates(name)?;
    let serials: Vec<String> =
        certificates.iter().map(|certificate| certificate.serial.to_string()).collect();
    let Some(reason) = reason else {
        noted?;
        return Ok(RemovedAccount::Kept { removed: name.clone(), still_valid: serials });
    };
    revoke_all(instance, &certificates, reason).map_err(|HalfRevoked { revoked, failure }| Failure {
        message: format!(
            "the account `{name}` is removed, and {revoked} of its {} certificates are revoked: {failure}. Run `countersign peer \
             remove {name} --revoke` again for the others",
            certificates.len()
        ),
        ..failure
    })?;
    let detail = format!("{name}: {}", serials.join(" "));
    let noted = noted.and(record(instance, actor, "peer remove --revoke", &detail));
    let cas: BTreeSet<&Label> = certificates.iter().map(|certificate| &certificate.ca).collect();
    // CRLs show the change, even if the journal does not say who made it.
    let crls = cas.into_iter().map(|ca| crls::renew(instance, ca)).collect::<Result<_, _>>()?;
    noted?;
    Ok(RemovedAccount::Revoked {
        removed: name.clone(),
        revoked: serials,
        reason: reason.name(),
        crls,
        note: was_removed_before
            .then_some("the account was removed before; its certificates were left"),
    })
}

/// A failure in the middle of several revocations.
struct HalfRevoked {
    /// How many certificates are revoked.
    revoked: usize,
    failure: Failure,
}

fn revoke_all(
    instance: &Instance,
    certificates: &[CertificateRecord],
    reason: Reason,
) -> Result<(), HalfRevoked> {
    for (revoked, certificate) in certificates.iter().enumerate() {
        let CertificateRecord { ca, serial, .. } = certificate;
        let now = instance.now();
        let revocation = Revocation { at: now, reason, invalidity: None };
        // The peer itself, or the CRL thread for an unconfirmed certificate, may have revoked it meanwhile.
        match instance.store.record_revoked(now, ca, serial, &revocation, None) {
            Ok(()) | Err(Error::Denied { kind: Denial::AlreadyRevoked, .. }) => {}
            Err(error) => return Err(HalfRevoked { revoked, failure: error.into() }),
        }
    }
    Ok(())
}
