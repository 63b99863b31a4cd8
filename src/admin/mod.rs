//! What an administrator can do. The same handlers serve a running server's socket and a command that opens the store
//! itself; each deed that changes no other record is recorded with who did it.

mod peers;
mod recovery;
mod requests;
pub mod socket;
mod trust;
mod view;

use std::collections::BTreeSet;

use countersign_ca::accounts::SecretPolicy;
use countersign_ca::authority::refuse_overruled;
use countersign_ca::equipment::EquipmentDraft;
use countersign_ca::record::{
    CertificateRecord, CrlScope, Deed, Duty, Label, Permission, Reason, Serial,
};
use countersign_ca::store::Page;
use countersign_ca::{Store, Timestamp};
use countersign_ldap_bridge::publisher::ldif;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bridge;
use crate::exit::Failure;
use crate::instance::Instance;

pub use trust::TrustDraft;

/// The most items of one answer; a client asks for the next page.
const PAGE: usize = 1000;

/// A request of an administrator: one JSON object on the socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Adds accounts, all or none.
    PeerAdd { peers: Vec<PeerDraft> },
    /// Accounts by name.
    PeerList,
    /// One account.
    PeerShow { name: Label },
    /// Removes an account.
    PeerRemove {
        name: Label,
        /// Revokes its certificates, too, for this reason.
        #[serde(default)]
        revoke: Option<String>,
    },
    /// Gives an account another secret.
    PeerResetSecret { name: Label, secret: Secret },
    /// Says which equipment an account is for.
    PeerSetEquipment { name: Label, equipment: Option<EquipmentAsked> },
    /// Trusts a vendor's certificates for first enrolments.
    TrustAdd { vendor: TrustDraft },
    /// Vendors by name.
    TrustList,
    /// One vendor.
    TrustShow { name: Label },
    /// Trusts a vendor no longer.
    TrustRemove { name: Label },
    /// Grants an account permissions, or takes them away.
    PeerPermit { name: Label, permissions: BTreeSet<Permission>, granted: bool },
    /// A page of certificates.
    CertList { account: Option<Label>, cursor: u64 },
    /// One certificate.
    CertShow { serial: Serial16, ca: Option<Label> },
    /// Revokes or holds a certificate.
    CertRevoke { serial: Serial16, ca: Option<Label>, reason: String, invalidity: Option<i64> },
    /// Releases a certificate from hold.
    CertRelease { serial: Serial16, ca: Option<Label> },
    /// Brings back certificates and CRLs (base64) that were signed here before a restore.
    CertImport { objects: Vec<String>, account: Option<Label> },
    /// The requests that wait for approval.
    PendingList,
    /// One request that waits.
    PendingShow { id: String },
    /// Approves or rejects a request that waits.
    PendingDecide { id: String, approve: bool, words: Option<String> },
    /// The CAs.
    CaShow,
    /// Says what a CA does from now on.
    CaAssign { name: Label, duty: CaDuty },
    /// The last CRL of each CA.
    CrlShow,
    /// Signs a new CRL.
    CrlPublish { ca: Option<Label> },
    /// How directories are kept in step.
    PublishStatus,
    /// Compares directories with what there shall be, and brings them in step unless it is a dry run.
    PublishRun { directory: Option<String>, dry_run: bool },
    /// The state of the store.
    StoreStatus,
    /// Writes the journal's backup to a file on the server's machine.
    Backup { to: std::path::PathBuf },
}

/// What a CA does from now on.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaDuty {
    /// It issues for accounts that name no CA.
    Default,
    /// It issues in place of the CA that it succeeds.
    Issue,
}

impl From<Duty> for CaDuty {
    fn from(duty: Duty) -> Self {
        match duty {
            Duty::Default => Self::Default,
            Duty::Issue => Self::Issue,
        }
    }
}

impl From<CaDuty> for Duty {
    fn from(duty: CaDuty) -> Self {
        match duty {
            CaDuty::Default => Self::Default,
            CaDuty::Issue => Self::Issue,
        }
    }
}

/// A serial number as text.
pub type Serial16 = String;

/// An account as it is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerDraft {
    /// Its name.
    pub name: Label,
    /// Its identities as text.
    pub ids: Vec<String>,
    /// Its profile.
    pub profile: Label,
    /// Its issuing CA.
    pub ca: Option<Label>,
    /// The equipment that it is for.
    #[serde(default)]
    pub equipment: Option<EquipmentAsked>,
    /// The secret to make; `None` for no secret.
    pub secret: Option<Secret>,
    /// What it may do beyond asking for certificates for keys of its own.
    #[serde(default)]
    pub permissions: BTreeSet<Permission>,
    /// The line of the file that it came from.
    #[serde(default)]
    pub line: Option<u64>,
}

/// Equipment as it is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EquipmentAsked {
    /// Its vendor.
    pub vendor: Label,
    /// What names it in its vendor's certificate.
    pub value: String,
    /// For how many certificates the vendor's certificate is good.
    pub uses: u32,
}

impl From<EquipmentAsked> for EquipmentDraft {
    fn from(asked: EquipmentAsked) -> Self {
        Self { vendor: asked.vendor, value: asked.value, uses: asked.uses }
    }
}

/// How long and how often a secret is good.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Seconds.
    pub seconds: u64,
    /// Certificates.
    pub uses: u32,
}

impl From<Secret> for SecretPolicy {
    fn from(secret: Secret) -> Self {
        Self { lifetime: std::time::Duration::from_secs(secret.seconds), uses: secret.uses }
    }
}

/// Carries out a request for `actor`.
pub fn handle(
    instance: &Instance,
    actor: &str,
    request: Request,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Value, Failure> {
    match request {
        Request::PeerAdd { peers } => peers::add(instance, actor, peers, progress),
        Request::PeerList => {
            let accounts = instance.store.accounts()?;
            Ok(accounts.iter().map(view::account).collect())
        }
        Request::PeerShow { name } => match instance.store.account(&name)? {
            Some(account) => Ok(view::account(&account)),
            None => Err(countersign_ca::accounts::no_account(&name).into()),
        },
        Request::PeerRemove { name, revoke } => peers::remove(instance, actor, &name, revoke),
        Request::PeerResetSecret { name, secret } => {
            let new = instance.accounts().reset_secret(&name, secret.into())?;
            deed(instance, actor, "peer reset-secret", &name)?;
            Ok(peers::new_account(&new))
        }
        Request::PeerSetEquipment { name, equipment } => {
            let draft = equipment.map(EquipmentDraft::from);
            let account = instance.accounts().set_equipment(&name, draft.as_ref())?;
            let equipment =
                account.equipment.as_ref().map_or_else(|| "none".into(), ToString::to_string);
            deed(instance, actor, "peer set-equipment", &format!("{name} {equipment}"))?;
            Ok(view::account(&account))
        }
        Request::TrustAdd { vendor } => {
            let name = vendor.name.clone();
            let added = trust::add(instance, vendor)?;
            deed(instance, actor, "trust add", &name)?;
            Ok(added)
        }
        Request::TrustList => trust::list(instance),
        Request::TrustShow { name } => trust::show(instance, &name),
        Request::TrustRemove { name } => {
            instance.store.record_vendor_removed(instance.now(), &name)?;
            deed(instance, actor, "trust remove", &name)?;
            Ok(json!({"removed": name}))
        }
        Request::PeerPermit { name, permissions, granted } => {
            let account = instance.accounts().permit(&name, &permissions, granted)?;
            let names: Vec<&str> = permissions.iter().map(|p| p.name()).collect();
            let action = if granted { "peer allow" } else { "peer allow --revoke" };
            deed(instance, actor, action, &format!("{name} {}", names.join(",")))?;
            Ok(view::account(&account))
        }
        Request::CertList { account, cursor } => {
            let Page { records, next } =
                instance.store.certificates(account.as_ref(), cursor, PAGE)?;
            let now = instance.now();
            let items: Vec<Value> =
                records.iter().map(|record| view::certificate(record, now)).collect();
            Ok(json!({"items": items, "next": next}))
        }
        Request::CertShow { serial, ca } => {
            let record = find(instance, &serial, ca.as_ref())?;
            Ok(view::certificate_in_full(instance, &record)?)
        }
        Request::CertRevoke { serial, ca, reason, invalidity } => {
            revoke(instance, actor, &serial, ca.as_ref(), &reason, invalidity)
        }
        Request::CertRelease { serial, ca } => {
            let record = find(instance, &serial, ca.as_ref())?;
            instance.store.record_released(instance.now(), &record.ca, &record.serial)?;
            deed(instance, actor, "cert release", &record.serial)?;
            let crl = renew_crl(instance, &record.ca)?;
            Ok(json!({"serial": record.serial.to_string(), "status": "valid", "crl": crl}))
        }
        Request::CertImport { objects, account } => {
            recovery::import(instance, actor, &objects, account.as_ref())
        }
        Request::PendingList => requests::list(instance),
        Request::PendingShow { id } => requests::show(instance, &id),
        Request::PendingDecide { id, approve, words } => {
            requests::decide(instance, actor, &id, approve, words.as_deref())
        }
        Request::CaShow => view::cas(instance),
        Request::CaAssign { name, duty } => assign(instance, actor, &name, duty.into()),
        Request::CrlShow => view::crls(instance),
        Request::CrlPublish { ca } => publish(instance, actor, ca),
        Request::PublishStatus => Ok(view::publishing(instance)),
        Request::PublishRun { directory, dry_run } => {
            publish_now(instance, actor, directory.as_deref(), dry_run)
        }
        Request::StoreStatus => Ok(view::status(&instance.store.status())),
        Request::Backup { to } => {
            let summary = instance.store.backup(&to)?;
            deed(instance, actor, "backup", &to.display())?;
            Ok(json!({
                "entries": summary.entries,
                "journal_bytes": summary.journal_bytes,
                "sha256": data_encoding::HEXLOWER.encode(&summary.sha256),
            }))
        }
    }
}

/// A CA that takes over has a CRL already: without one, peers would refuse whom it certifies.
fn assign(instance: &Instance, actor: &str, name: &Label, duty: Duty) -> Result<Value, Failure> {
    if duty == Duty::Issue && instance.store.last_crl(name, CrlScope::Full)?.is_none() {
        return Err(Failure::missing(format!(
            "the CA `{name}` has no CRL yet: start the server, or run `countersign crl publish --ca {name}`, and bring it to the gateways"
        )));
    }
    match instance.opened() {
        Some(authority) => authority.assign(name, duty)?,
        None => {
            refuse_overruled(instance.config.settings.default_ca.as_ref(), duty)?;
            instance.store.record_assigned(instance.now(), name, duty)?;
        }
    }
    let action = match duty {
        Duty::Default => "ca set-default",
        Duty::Issue => "ca activate",
    };
    deed(instance, actor, action, name)?;
    view::cas(instance)
}

fn revoke(
    instance: &Instance,
    actor: &str,
    serial: &str,
    ca: Option<&Label>,
    reason: &str,
    invalidity: Option<i64>,
) -> Result<Value, Failure> {
    let record = find(instance, serial, ca)?;
    let reason: Reason = reason.parse()?;
    if reason == Reason::RemoveFromCrl {
        return Err(Failure::input(
            "`removeFromCRL` is no reason to revoke; use `countersign cert release`",
        ));
    }
    let now = instance.now();
    let invalidity = invalidity.map(Timestamp::from_seconds);
    if invalidity.is_some_and(|date| date > now || date < Timestamp::default()) {
        return Err(Failure::input("an invalidity date lies in the past, after 1970"));
    }
    let revocation = countersign_ca::record::Revocation { at: now, reason, invalidity };
    instance.store.record_revoked(instance.now(), &record.ca, &record.serial, &revocation, None)?;
    let action = if reason == Reason::CertificateHold { "cert hold" } else { "cert revoke" };
    deed(instance, actor, action, &record.serial)?;
    let status = if reason == Reason::CertificateHold { "held" } else { "revoked" };
    let crl = renew_crl(instance, &record.ca)?;
    Ok(
        json!({"serial": record.serial.to_string(), "status": status, "reason": reason.name(), "crl": crl}),
    )
}

/// The CRL shows a change at once where the keys are at hand; otherwise the next `serve` signs it.
fn renew_crl(instance: &Instance, ca: &Label) -> Result<Value, Failure> {
    if !instance.has_keys() {
        return Ok(json!("signed when the server starts: no passphrase is at hand"));
    }
    let authority = instance.authority()?;
    // After many at once the next thisUpdate is up to a second away. A running server need not be waited for.
    if instance.bridge().is_some() && authority.crl_must_wait(ca)? {
        authority.changes().note(ca);
        return Ok(json!("signed within a second or two, with what else is revoked meanwhile"));
    }
    let record = authority.publish_crl(ca)?;
    Ok(json!(record.number))
}

fn publish(instance: &Instance, actor: &str, ca: Option<Label>) -> Result<Value, Failure> {
    let authority = instance.authority()?;
    let all: Vec<Label> = match ca {
        Some(ca) => vec![ca],
        None => {
            authority.cas().filter(|info| info.can_sign).map(|info| info.name.clone()).collect()
        }
    };
    for ca in &all {
        authority.publish_crl(ca)?;
        deed(instance, actor, "crl publish", ca)?;
    }
    view::crls(instance)
}

fn publish_now(
    instance: &Instance,
    actor: &str,
    name: Option<&str>,
    dry_run: bool,
) -> Result<Value, Failure> {
    let reports = bridge::reconcile(instance.authority()?, &instance.config.ldap, name, dry_run)?;
    if !dry_run {
        deed(instance, actor, "publish run", &name.unwrap_or("every directory"))?;
    }
    Ok(reports
        .into_iter()
        .map(|(name, report)| {
            let mut value = json!({
                "directory": name,
                "url": report.url,
                "operations": report.operations.len(),
                "problems": report.problems,
            });
            if let Some(fields) = value.as_object_mut().filter(|_| dry_run) {
                fields.insert("ldif".into(), json!(ldif(&report.operations)));
            }
            value
        })
        .collect())
}

/// The certificate of this serial number, in the named CA or in the only one that has it.
fn find(
    instance: &Instance,
    serial: &str,
    ca: Option<&Label>,
) -> Result<CertificateRecord, Failure> {
    let serial: Serial = serial.parse()?;
    let cas = match ca {
        Some(ca) => vec![ca.clone()],
        None => instance.store.cas()?.into_iter().map(|ca| ca.name).collect(),
    };
    for ca in &cas {
        if let Some(record) = instance.store.certificate(ca, &serial)? {
            return Ok(record);
        }
    }
    Err(Failure::missing(format!(
        "no certificate {serial} was issued here; `countersign cert list` shows all"
    )))
}

fn deed(
    instance: &Instance,
    actor: &str,
    action: &str,
    detail: &dyn std::fmt::Display,
) -> Result<(), Failure> {
    let deed =
        Deed { actor: actor.to_owned(), action: action.to_owned(), detail: detail.to_string() };
    tracing::info!(actor, action, detail = deed.detail, "administrator");
    Ok(instance.store.record_deed(instance.now(), &deed)?)
}
