//! The bodies and queries of requests that differ from the requests on the admin socket.

use std::collections::BTreeSet;

use countersign_ca::record::{Label, Permission};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::answer::CertificateStatus;
use crate::admin::{
    AccountFilter, AccountState, CertificateFilter, ReportFilter, Request, RequestedDevice,
    RequestedGrant, RequestedPeer, RequestedRevocation, RequestedSecret, SortKey,
};

/// The rows of a page, if the query names no number.
const PAGE: usize = 100;

/// An account to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// The name of the account: 1 to 64 letters, digits, `.`, `_` or `-`.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")]
    name: Label,
    /// The identities of the account, such as `fqdn:gw1.example.net`.
    ids: Vec<String>,
    /// The profile of the account, such as `gateway`.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")]
    profile: Label,
    /// The issuing CA of the account, if not the default.
    #[schema(value_type = Option<String>)]
    ca: Option<Label>,
    /// The device that may enrol for the account by the vendor's certificate.
    equipment: Option<RequestedDevice>,
    /// The secret to make; none without it.
    secret: Option<RequestedSecret>,
    /// The permissions of the account beyond certificates for keys of its own.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    permissions: BTreeSet<Permission>,
    /// The labels of the account, each as `KEY=VALUE`.
    #[serde(default)]
    labels: Vec<String>,
    /// The person or group that answers for the account.
    owner: Option<String>,
    /// A free-text note about the account.
    note: Option<String>,
}

impl From<NewAccount> for RequestedPeer {
    fn from(new: NewAccount) -> Self {
        Self {
            name: new.name,
            ids: new.ids,
            profile: new.profile,
            ca: new.ca,
            device: new.equipment,
            secret: new.secret,
            permissions: new.permissions,
            labels: new.labels,
            owner: new.owner,
            note: new.note,
            line: None,
        }
    }
}

/// Accounts to add, all or none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccounts {
    /// The accounts to add.
    #[schema(min_items = 1)]
    pub accounts: Vec<NewAccount>,
}

/// The device of an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountDevice {
    /// The device; null for none.
    pub equipment: Option<RequestedDevice>,
}

/// Permissions to grant or to withdraw.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// The permissions: `key-generation`, `cross-certification`.
    #[schema(value_type = Vec<String>)]
    pub permissions: BTreeSet<Permission>,
    /// Whether the permissions are granted, and not withdrawn.
    pub granted: bool,
}

/// A revocation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRevocation {
    /// The reason (RFC 5280 §5.3.1), such as `keyCompromise`; `certificateHold` for a hold.
    pub reason: String,
    /// The invalidity date (RFC 5280 §5.3.2), in seconds since 1970.
    pub invalidity: Option<i64>,
}

/// A decision about a request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDecision {
    /// Whether the request is approved, and not rejected.
    pub approve: bool,
    /// A note for the journal, or the reason that the peer is given.
    pub words: Option<String>,
}

/// The duty of a CA.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDuty {
    /// `default`: the CA issues for accounts that name no CA; `issue`: in place of the CA that it succeeds.
    pub duty: crate::admin::CaDuty,
}

/// The CA whose CRL is signed anew.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCrl {
    /// The CA; null for each CA whose private key this instance has.
    #[schema(value_type = Option<String>)]
    pub ca: Option<Label>,
}

/// The directory to compare and to mend.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reconciliation {
    /// The directory; null for all.
    pub directory: Option<String>,
    /// Whether the directory is only compared.
    pub dry_run: bool,
}

/// An administrator to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAdministrator {
    /// The name of the administrator.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")]
    pub name: Label,
    /// What the administrator may do.
    pub grants: Vec<RequestedGrant>,
    /// The identities of the certificate, such as `email:alice@example.net`; none for the name alone.
    #[serde(default)]
    pub ids: Vec<String>,
    /// The secret for the first certificate.
    pub secret: RequestedSecret,
    /// The user of the OpenID provider (`sub`) who is this administrator, too.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255)]
    pub oidc: Option<String>,
}

/// The user of the OpenID provider who an administrator is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBinding {
    /// The user at the issuer (`sub`); null for none.
    #[schema(min_length = 1, max_length = 255)]
    pub subject: Option<String>,
}

/// An account that has the certificate of a CA.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The account.
    #[schema(value_type = String)]
    pub account: Label,
}

/// The query of a plan.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanQuery {
    /// The account behind which the page begins.
    pub after: Option<Label>,
    /// The most accounts of the page.
    pub limit: Option<usize>,
}

/// The CRL of a CA whose private key is elsewhere.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BroughtCrl {
    /// The CRL, DER in base64.
    pub crl: String,
}

/// The grants of an administrator.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGrants {
    /// The grants, in place of the present ones.
    pub grants: Vec<RequestedGrant>,
}

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// The name of the token.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")]
    pub name: Label,
    /// How long the token is valid, in seconds: one minute to 366 days.
    #[schema(minimum = 60, maximum = 31622400)]
    pub seconds: u64,
    /// The administrator's roles that the token may use; none for all of them.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub roles: BTreeSet<Label>,
}

/// The query of a list of accounts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountQuery {
    after: Option<Label>,
    limit: Option<usize>,
    prefix: Option<String>,
    profile: Option<Label>,
    ca: Option<Label>,
    label: Option<String>,
    identity: Option<String>,
    disabled: Option<bool>,
    state: Option<AccountState>,
    expires_within: Option<u64>,
}

impl From<AccountQuery> for Request {
    fn from(query: AccountQuery) -> Self {
        let filter = AccountFilter {
            prefix: query.prefix,
            profile: query.profile,
            ca: query.ca,
            label: query.label,
            identity: query.identity,
            disabled: query.disabled,
            state: query.state,
            expires_within: query.expires_within,
        };
        Self::PeerList { filter, after: query.after, limit: query.limit.unwrap_or(PAGE) }
    }
}

/// The query of a list of certificates.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateQuery {
    after: Option<String>,
    limit: Option<usize>,
    account: Option<Label>,
    ca: Option<Label>,
    profile: Option<Label>,
    status: Option<CertificateStatus>,
    subject: Option<String>,
    identity: Option<String>,
    label: Option<String>,
    serial: Option<String>,
    expires_within: Option<u64>,
    #[serde(default)]
    current: bool,
    #[serde(default)]
    peers: bool,
    sort: Option<SortKey>,
    #[serde(default)]
    reverse: bool,
}

impl From<CertificateQuery> for Request {
    fn from(query: CertificateQuery) -> Self {
        let filter = CertificateFilter {
            account: query.account,
            ca: query.ca,
            profile: query.profile,
            status: query.status,
            subject: query.subject,
            identity: query.identity,
            label: query.label,
            serial: query.serial,
            expires_within: query.expires_within,
            current: query.current,
            peers: query.peers,
            sort: query.sort.unwrap_or_default(),
            reverse: query.reverse,
            ..CertificateFilter::default()
        };
        Self::CertList { filter, after: query.after, limit: query.limit.unwrap_or(PAGE) }
    }
}

/// The query of a report.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportQuery {
    after: Option<u64>,
    limit: Option<usize>,
    since: Option<i64>,
    account: Option<Label>,
    actor: Option<String>,
}

impl From<ReportQuery> for Request {
    fn from(query: ReportQuery) -> Self {
        let ReportQuery { after, limit, since, account, actor } = query;
        let filter = ReportFilter { since, account, actor };
        Self::AuditReport { filter, after: after.unwrap_or_default(), limit: limit.unwrap_or(PAGE) }
    }
}

/// A request for a certificate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCertificate {
    /// The request (PKCS #10, DER in base64).
    pub csr: String,
    /// The CA that issues, if not the account's.
    #[schema(value_type = Option<String>)]
    pub ca: Option<Label>,
}

/// Whether an account is disabled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Disabling {
    /// Whether the account is disabled.
    pub disabled: bool,
}

/// Another name for an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Renaming {
    /// The name.
    #[schema(value_type = String)]
    pub name: Label,
}

/// The revocation of all certificates of an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevocationOfAll {
    /// The reason (RFC 5280 §5.3.1), which revokes for good.
    pub reason: String,
    /// Whether the account is removed, too.
    #[serde(default)]
    pub remove: bool,
    /// Whether nothing is done but to report what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// The revocation of certificates.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevocationOfMany {
    /// The certificates.
    #[schema(min_items = 1)]
    pub certificates: Vec<RequestedRevocation>,
    /// Whether nothing is done but to report what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// The query for the removal of an account.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemovalQuery {
    /// The reason for which the account's certificates are revoked, too.
    pub revoke: Option<String>,
}
