//! Accounts of peers, as administrators see, add and change them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use countersign_ca::Identity;
use countersign_ca::authority::accounts::refuse_outside;
use countersign_ca::authority::accounts::{
    AccountDraft, AccountEdit, NewAccount, PermissionChange, Taken,
};
use countersign_ca::record::DeviceDraft;
use countersign_ca::record::inventory::AccountQuery;
use countersign_ca::record::no_account;
use countersign_ca::record::{
    Account, AccountLabel, CertificateRecord, Label, OWN_ACCOUNT_PREFIX, Permission, Reason,
    Remarks, Revocation,
};
use countersign_ca::store::{AccountList, Enrolled};
use countersign_ca::{Denial, Error, Store};

use super::answer::{
    AccountLine, AccountPage, EditedAccount, ImportedAccounts, NewAccountLine, RemovedAccount,
};
use super::crls;
use super::recorded::record;
use super::request::{
    AccountFilter, AccountState, Existing, RequestedDevice, RequestedEdit, RequestedPeer,
    RequestedSecret,
};
use crate::exit::Failure;
use crate::instance::Instance;

/// Of the accounts that one request adds, how many the journal names.
const NAMED: usize = 10;

/// A page of the accounts that a filter asks for, sorted by name: at most `limit`, after the name `after`, or from the beginning for
/// `None`.
pub fn page(
    instance: &Instance,
    filter: &AccountFilter,
    after: Option<&Label>,
    limit: usize,
) -> Result<AccountPage, Failure> {
    let now = instance.now();
    let query = AccountQuery {
        prefix: filter.prefix.clone(),
        profile: filter.profile.clone(),
        ca: filter.ca.clone(),
        label: filter.label.as_deref().map(str::parse).transpose()?,
        identity: filter.identity.as_deref().map(str::parse).transpose()?,
        is_disabled: filter.disabled,
    };
    let AccountList { accounts, next } = instance.store.list_accounts(&query, after, limit)?;
    let enrolled = instance.store.enrolled(&accounts, now)?;
    let until = filter.expires_within.map(|seconds| now.plus(Duration::from_secs(seconds)));
    let wanted = |enrolled: &Enrolled| {
        let state = match (&enrolled.newest, &enrolled.valid) {
            (None, _) => AccountState::NeverEnrolled,
            (Some(_), None) => AccountState::Lapsed,
            (Some(_), Some(_)) => AccountState::Enrolled,
        };
        let not_after = enrolled.valid.as_ref().map(|valid| valid.not_after);
        filter.state.is_none_or(|wanted| wanted == state)
            && until.is_none_or(|until| not_after.is_some_and(|end| end < until))
    };
    let pairs = accounts.iter().zip(&enrolled).filter(|(_, enrolled)| wanted(enrolled));
    Ok(AccountPage { items: pairs.map(|(account, of)| line(account, of)).collect(), next })
}

/// Shows one account. A name that no account has is an error.
pub fn show(instance: &Instance, name: &Label) -> Result<AccountLine, Failure> {
    let account = instance.store.account(name)?.ok_or_else(|| no_account(name))?;
    shown(instance, &account)
}

fn shown(instance: &Instance, account: &Account) -> Result<AccountLine, Failure> {
    let enrolled = instance.store.enrolled(std::slice::from_ref(account), instance.now())?;
    let former_names = instance.store.former_names(&account.name)?;
    Ok(AccountLine {
        former_names,
        ..line(account, &enrolled.into_iter().next().unwrap_or_default())
    })
}

fn line(account: &Account, enrolled: &Enrolled) -> AccountLine {
    let (secret, device) = (account.secret.as_ref(), account.equipment.as_ref());
    let labels = account.remarks.labels.iter();
    let valid = enrolled.valid.as_ref();
    AccountLine {
        name: account.name.clone(),
        former_names: Vec::new(),
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
        labels: labels.map(|(key, value)| format!("{key}={value}")).collect(),
        owner: account.remarks.owner.clone(),
        note: account.remarks.note.clone(),
        disabled: account.is_disabled,
        certificate: valid.map(|valid| valid.serial.to_string()),
        not_after: valid.map(|valid| valid.not_after.whole_seconds().to_string()),
        last_seen: enrolled.newest.as_ref().map(|of| of.issued.whole_seconds().to_string()),
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
    let drafts = drafts(peers)?;
    check_names(instance, &drafts)?;
    add_drafts(instance, actor, &drafts, "peer add", progress)
}

/// Refuses accounts whose names their CA may not certify.
fn check_names(instance: &Instance, drafts: &[AccountDraft]) -> Result<(), Failure> {
    let (cas, default) = (instance.store.cas()?, instance.default_ca()?);
    Ok(refuse_outside(&cas, default.as_ref(), &instance.profiles(), drafts, instance.now())?)
}

fn add_drafts(
    instance: &Instance,
    actor: &str,
    drafts: &[AccountDraft],
    action: &str,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<NewAccountLine>, Failure> {
    let accounts = instance.accounts();
    let warnings = accounts.warnings(drafts)?;
    let added = accounts.add(&instance.profiles(), drafts, progress)?;
    let noted = record(instance, actor, action, &named(drafts.iter().map(|draft| &draft.name)));
    let lines = added.iter().map(|new| {
        let own = warnings.iter().filter(|warning| warning.account == new.account.name);
        let own = own.map(|warning| warning.text.clone());
        NewAccountLine { warnings: own.chain(not_noted(&noted)).collect(), ..new_line(new) }
    });
    Ok(lines.collect())
}

/// The number of accounts, and the first of their names.
fn named<'a>(names: impl ExactSizeIterator<Item = &'a Label>) -> String {
    let count = names.len();
    let names: Vec<&str> = names.take(NAMED).map(Label::as_str).collect();
    format!("{count} accounts: {}", names.join(" "))
}

/// How a file is imported.
pub struct Import {
    /// The columns of the file. Of an account that exists, only these are changed.
    pub columns: BTreeSet<String>,
    /// The treatment of accounts that exist.
    pub existing: Existing,
    /// Whether nothing is recorded.
    pub dry_run: bool,
}

/// Adds the accounts of a file, and changes or passes over those that exist. Every row is checked before anything is recorded. The new
/// accounts are recorded together, and each changed account by itself.
pub fn import(
    instance: &Instance,
    actor: &str,
    peers: Vec<RequestedPeer>,
    import: &Import,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<ImportedAccounts, Failure> {
    let (accounts, profiles) = (instance.accounts(), instance.profiles());
    let drafts = drafts(peers)?;
    let taken = match import.existing {
        Existing::Refuse => Taken::Refused,
        Existing::Update | Existing::Skip => Taken::Allowed,
    };
    // 1. Check every row, those of accounts that exist, too.
    accounts.check_drafts(&profiles, &drafts, taken)?;
    check_names(instance, &drafts)?;
    let (mut new, mut changes, mut unchanged) = (Vec::new(), Vec::new(), Vec::new());
    let mut problems = Vec::new();
    for draft in drafts {
        let Some(account) = instance.store.account(&draft.name)? else {
            new.push(draft);
            continue;
        };
        if import.existing == Existing::Skip {
            unchanged.push(draft.name);
            continue;
        }
        let edit = edit_of(&draft, &import.columns, &account);
        match accounts.edited(&profiles, &draft.name, &edit) {
            Ok(changed) if changed == account => unchanged.push(draft.name),
            Ok(changed) => changes.push(changed),
            Err(why @ (Error::Unavailable(_) | Error::Internal(_))) => return Err(why.into()),
            Err(why) => {
                let line = draft.line.map(|line| format!("line {line}, ")).unwrap_or_default();
                problems.push(format!("{line}{why}"));
            }
        }
    }
    if !problems.is_empty() {
        return Err(Failure::input(problems.join("\n")));
    }
    // 2. Record.
    let changed: Vec<Label> = changes.iter().map(|account| account.name.clone()).collect();
    if import.dry_run {
        let would_add = new.into_iter().map(|draft| draft.name).collect();
        return Ok(ImportedAccounts { added: Vec::new(), would_add, changed, unchanged });
    }
    let added = match new.is_empty() {
        true => Vec::new(),
        false => add_drafts(instance, actor, &new, "peer import", progress)?,
    };
    let noted = changes.iter().try_for_each(|account| {
        accounts.record_edited(account)?;
        record(instance, actor, "peer import --update", &account.name)
    });
    // The secrets of the new accounts must not get lost.
    if let Err(failure) = noted {
        if added.is_empty() {
            return Err(failure);
        }
        let mut added = added;
        if let Some(first) = added.first_mut() {
            first.warnings.push(format!(
                "not every account that exists was changed: {failure}. Import the file again with `--update`"
            ));
        }
        return Ok(ImportedAccounts {
            added,
            would_add: Vec::new(),
            changed: Vec::new(),
            unchanged,
        });
    }
    Ok(ImportedAccounts { added, would_add: Vec::new(), changed, unchanged })
}

/// The change of an account that a row of a file asks for. A column that the file has and the row leaves empty takes the value away,
/// except the columns `ids` and `profile`, without which there is no account.
fn edit_of(draft: &AccountDraft, columns: &BTreeSet<String>, account: &Account) -> AccountEdit {
    let has = |column: &str| columns.contains(column);
    let removed = account.remarks.labels.keys();
    let removed = removed.filter(|key| !draft.remarks.labels.contains_key(*key)).cloned();
    AccountEdit {
        identities: Some(draft.identities.clone()),
        profile: has("profile").then(|| draft.profile.clone()),
        ca: has("ca").then(|| draft.ca.clone()),
        permissions: has("allow").then(|| draft.permissions.clone()),
        equipment: has("equipment").then(|| draft.equipment.clone()),
        remove_labels: if has("labels") { removed.collect() } else { Vec::new() },
        labels: if has("labels") { draft.remarks.labels.clone() } else { Default::default() },
        owner: has("owner").then(|| draft.remarks.owner.clone()),
        note: has("note").then(|| draft.remarks.note.clone()),
        ..AccountEdit::default()
    }
}

/// Changes an account.
pub fn edit(
    instance: &Instance,
    actor: &str,
    name: &Label,
    edit: RequestedEdit,
) -> Result<EditedAccount, Failure> {
    let ids = |texts: &[String]| {
        let ids = texts.iter().map(|id| id.parse::<Identity>()).collect::<Result<Vec<_>, _>>();
        ids.map_err(Failure::from)
    };
    let given = |text: Option<String>| text.map(|text| Some(text).filter(|text| !text.is_empty()));
    let ca = given(edit.ca).map(|ca| ca.map(|ca| ca.parse::<Label>()).transpose());
    let edit = AccountEdit {
        add_identities: ids(&edit.add_ids)?,
        remove_identities: ids(&edit.remove_ids)?,
        profile: edit.profile,
        ca: ca.transpose()?,
        labels: labels(&edit.labels)?,
        remove_labels: edit.remove_labels,
        owner: given(edit.owner),
        note: given(edit.note),
        ..AccountEdit::default()
    };
    let accounts = instance.accounts();
    let changed = accounts.edited(&instance.profiles(), name, &edit)?;
    let draft = AccountDraft::from(&changed);
    check_names(instance, std::slice::from_ref(&draft))?;
    let warnings = accounts.warnings(&[draft])?;
    let mut texts: Vec<String> = warnings.into_iter().map(|warning| warning.text).collect();
    match accounts.record_edited(&changed)? {
        true => record(instance, actor, "peer edit", name)?,
        false => texts.push("nothing changed".into()),
    }
    Ok(EditedAccount { account: show(instance, name)?, warnings: texts })
}

fn labels(texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let labels = texts.iter().map(|text| {
        let AccountLabel { key, value } = text.parse()?;
        Ok((key, value))
    });
    labels.collect()
}

/// Disables an account, or enables it.
pub fn set_disabled(
    instance: &Instance,
    actor: &str,
    name: &Label,
    is_disabled: bool,
) -> Result<AccountLine, Failure> {
    let account = instance.accounts().set_disabled(name, is_disabled)?;
    let action = if is_disabled { "peer disable" } else { "peer enable" };
    record(instance, actor, action, name)?;
    shown(instance, &account)
}

/// Gives an account another name, and warns of valid certificates of an earlier account of that name. Those of administrators keep theirs: it is the administrator's, too.
pub fn rename(
    instance: &Instance,
    actor: &str,
    from: &Label,
    to: &Label,
) -> Result<EditedAccount, Failure> {
    for name in [from, to] {
        if instance.store.administrator(name)?.is_some() {
            return Err(Failure::missing(format!(
                "`{name}` is the name of an administrator, which does not change; add another administrator"
            )));
        }
    }
    let accounts = instance.accounts();
    let warnings = accounts.warning_of_name(to)?.into_iter().collect();
    let account = accounts.rename(from, to)?;
    record(instance, actor, "peer rename", &format!("{from} to {to}"))?;
    Ok(EditedAccount { account: shown(instance, &account)?, warnings })
}

/// The warning that the journal does not say who acted. `None` if the journal says it. It is not an error, because an error would lose the
/// new secret, which the store has only sealed.
fn not_noted(noted: &Result<(), Failure>) -> Option<String> {
    noted.as_ref().err().map(|failure| failure.message.clone())
}

fn drafts(peers: Vec<RequestedPeer>) -> Result<Vec<AccountDraft>, Failure> {
    peers.into_iter().map(draft).collect()
}

fn draft(peer: RequestedPeer) -> Result<AccountDraft, Failure> {
    let wrong =
        |why: &dyn std::fmt::Display| Failure::input(format!("account `{}`: {why}", peer.name));
    let identities =
        peer.ids.iter().map(|id| id.parse::<Identity>()).collect::<Result<Vec<_>, _>>();
    let identities = identities.map_err(|e| wrong(&e))?;
    let labels = labels(&peer.labels).map_err(|e| wrong(&e))?;
    Ok(AccountDraft {
        name: peer.name,
        identities,
        profile: peer.profile,
        ca: peer.ca,
        equipment: peer.device.map(Into::into),
        secret: peer.secret.map(Into::into),
        permissions: peer.permissions,
        remarks: Remarks { labels, owner: peer.owner, note: peer.note },
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
    shown(instance, &account)
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
    shown(instance, &account)
}

/// Removes an account, as [`remove`] does, and refuses that of an administrator: the tokens would stay.
pub fn remove_peer(
    instance: &Instance,
    actor: &str,
    name: &Label,
    reason: Option<String>,
) -> Result<RemovedAccount, Failure> {
    refuse_administrators(instance, name)?;
    remove(instance, actor, name, reason)
}

/// Refuses to remove the account of an administrator by itself.
pub(super) fn refuse_administrators(instance: &Instance, name: &Label) -> Result<(), Failure> {
    match instance.store.administrator(name)? {
        None => Ok(()),
        Some(_) => Err(Failure::missing(format!(
            "`{name}` is an administrator; `countersign admin remove {name}` removes the account, too"
        ))),
    }
}

/// Removes an account, and revokes its certificates if a reason is given.
///
/// The account is removed first, so that nothing is issued to it any more. If revocation fails half way, the same request can be
/// repeated: it revokes the remaining certificates of the account that is gone.
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
