//! Carries out the requests of administrators, each by its own module.

use countersign_ca::authority::accounts::PermissionChange;
use countersign_ca::record::approval::Verdict;
use serde_json::Value;

use super::answer::to_value;
use super::request::Request;
use super::{
    accounts, administrators, cas, certificates, cps, crls, directories, issuing, notifications,
    plan, recovery, report, requests, revoking, status, store, vendors,
};
use crate::bridge::Effect;
use crate::exit::Failure;
use crate::instance::Instance;

/// Carries out a request for `actor`, such as `uid 0`, alone: see [`Instance::change`].
///
/// # Errors
/// As [`handle`].
pub fn handle_alone(
    instance: &Instance,
    actor: &str,
    request: Request,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Value, Failure> {
    let _change = instance.change(request.verb());
    handle(instance, actor, request, progress)
}

/// Carries out a request for `actor`, such as `uid 0`. The caller holds the guard of [`Instance::change`]. `progress` is called with the
/// number of steps that are done and the number of all; only the adding of accounts calls it.
///
/// # Errors
/// The request is refused, or cannot be carried out. A change may have been recorded before a later step failed, such as a revocation
/// before its CRL.
pub fn handle(
    instance: &Instance,
    actor: &str,
    request: Request,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Value, Failure> {
    match request {
        Request::PeerAdd { peers } => to_value(accounts::add(instance, actor, peers, progress)?),
        Request::PeerImport { peers, columns, existing, dry_run } => {
            let import = accounts::Import { columns, existing, dry_run };
            to_value(accounts::import(instance, actor, peers, &import, progress)?)
        }
        Request::PeerList { filter, after, limit } => {
            to_value(accounts::page(instance, &filter, after.as_ref(), limit)?)
        }
        Request::PeerEdit { name, edit } => {
            to_value(accounts::edit(instance, actor, &name, *edit)?)
        }
        Request::PeerDisable { name, disabled } => {
            to_value(accounts::set_disabled(instance, actor, &name, disabled)?)
        }
        Request::PeerRename { name, to } => {
            to_value(accounts::rename(instance, actor, &name, &to)?)
        }
        Request::PeerShow { name } => to_value(accounts::show(instance, &name)?),
        Request::PeerRemove { name, revoke } => {
            to_value(accounts::remove_peer(instance, actor, &name, revoke)?)
        }
        Request::PeerResetSecret { name, secret } => {
            to_value(accounts::reset_secret(instance, actor, &name, secret)?)
        }
        Request::PeerSetEquipment { name, device } => {
            to_value(accounts::set_device(instance, actor, &name, device)?)
        }
        Request::PeerPermit { name, permissions, granted } => {
            let change = if granted { PermissionChange::Grant } else { PermissionChange::Withdraw };
            to_value(accounts::permit(instance, actor, &name, &permissions, change)?)
        }
        Request::TrustAdd { vendor } => to_value(vendors::add(instance, actor, vendor)?),
        Request::TrustList => to_value(vendors::list(instance)?),
        Request::TrustShow { name } => to_value(vendors::show(instance, &name)?),
        Request::TrustRemove { name } => to_value(vendors::remove(instance, actor, name)?),
        Request::CertList { filter, after, limit } => {
            to_value(certificates::page(instance, &filter, after.as_deref(), limit)?)
        }
        Request::CertShow { serial, ca } => {
            to_value(certificates::show(instance, &serial, ca.as_ref())?)
        }
        Request::CertRevoke { serial, ca, reason, invalidity } => {
            let record = certificates::find(instance, &serial, ca.as_ref())?;
            to_value(certificates::revoke(instance, actor, &record, &reason, invalidity)?)
        }
        Request::CertIssue { account, ca, csr } => {
            to_value(issuing::issue(instance, actor, &account, ca, &csr)?)
        }
        Request::PeerAddByCsr { peer, csr } => {
            to_value(issuing::add_and_issue(instance, actor, *peer, &csr)?)
        }
        Request::CertRevokeAll { account, reason, remove, dry_run } => {
            let effect = if dry_run { Effect::DryRun } else { Effect::Apply };
            to_value(revoking::all_of(instance, actor, &account, &reason, remove, effect)?)
        }
        Request::CertRevokeMany { certificates, dry_run } => {
            let effect = if dry_run { Effect::DryRun } else { Effect::Apply };
            to_value(revoking::many(instance, actor, &certificates, effect)?)
        }
        Request::CertRelease { serial, ca } => {
            let record = certificates::find(instance, &serial, ca.as_ref())?;
            to_value(certificates::release(instance, actor, &record)?)
        }
        Request::CertImport { objects, account } => {
            to_value(recovery::import(instance, actor, &objects, account.as_ref())?)
        }
        Request::PendingList => to_value(requests::list(instance)?),
        Request::PendingShow { id } => to_value(requests::show(instance, &id)?),
        Request::PendingDecide { id, approve, reason } => {
            let verdict = if approve { Verdict::Approved } else { Verdict::Rejected };
            to_value(requests::decide(instance, actor, &id, verdict, reason.as_deref())?)
        }
        Request::CaShow => to_value(cas::list(instance)?),
        Request::CaPlan { name, after, limit } => {
            to_value(plan::look(instance, &name, after.as_ref(), limit)?)
        }
        Request::CaMark { name, account, by } => {
            to_value(plan::mark(instance, actor, &name, &account, by)?)
        }
        Request::CaAssign { name, duty } => {
            to_value(cas::assign(instance, actor, &name, duty.into())?)
        }
        Request::CrlShow => to_value(crls::list(instance)?),
        Request::CrlPublish { ca } => to_value(crls::publish(instance, actor, ca)?),
        Request::CrlImport { crl, ca } => {
            to_value(crls::import(instance, actor, &crl, ca.as_ref())?)
        }
        Request::PublishStatus => to_value(directories::list(instance)),
        Request::PublishRun { directory, dry_run } => {
            let effect = if dry_run { Effect::DryRun } else { Effect::Apply };
            to_value(directories::reconcile(instance, actor, directory.as_deref(), effect)?)
        }
        Request::NotifyShow => to_value(notifications::list(instance)),
        Request::NotifyTest { receiver } => {
            to_value(notifications::test(instance, actor, &receiver)?)
        }
        Request::Status => to_value(status::look(instance)?),
        Request::DocsCps => to_value(cps::statement(instance)?),
        Request::StoreStatus => to_value(store::status(instance)),
        Request::AuditReport { filter, after, limit } => {
            to_value(report::page(instance, &filter, after, limit)?)
        }
        Request::Backup { to } => to_value(store::backup(instance, actor, &to)?),
        Request::AdminAdd { name, grants, ids, secret, oidc } => {
            to_value(administrators::add(instance, actor, name, grants, ids, secret, oidc)?)
        }
        Request::AdminBind { name, oidc } => {
            to_value(administrators::bind(instance, actor, &name, oidc.as_deref())?)
        }
        Request::AdminRoles => to_value(administrators::roles(instance)),
        Request::AdminList => to_value(administrators::list(instance)?),
        Request::AdminShow { name } => to_value(administrators::show(instance, &name)?),
        Request::AdminGrant { name, grants, expected } => {
            let expected = expected.as_deref();
            to_value(administrators::grant(instance, actor, &name, grants, expected)?)
        }
        Request::AdminRemove { name } => to_value(administrators::remove(instance, actor, &name)?),
        Request::AdminTokenAdd { name, token, seconds, roles } => {
            to_value(administrators::add_token(instance, actor, &name, token, seconds, roles)?)
        }
        Request::AdminTokenRemove { name, token } => {
            to_value(administrators::remove_token(instance, actor, &name, &token)?)
        }
    }
}
