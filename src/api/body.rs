//! The bodies and queries of requests, where they are not those of the admin socket.

use std::collections::BTreeSet;

use countersign_ca::record::{Label, Permission};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::answer::CertificateStatus;
use crate::admin::{
    AccountFilter, AccountState, CertificateFilter, Request, RequestedDevice, RequestedGrant,
    RequestedPeer, RequestedRevocation, RequestedSecret, SortKey,
};

/// The rows of a page, if the query names no number.
const PAGE: usize = 100;

/// An account to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// Its name: 1 to 64 letters, digits, `.`, `_` or `-`.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")]
    name: Label,
    /// Its identities, such as `fqdn:gw1.example.net`.
    ids: Vec<String>,
    /// Its profile, such as `gateway`.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")]
    profile: Label,
    /// Its issuing CA, if not the default.
    #[schema(value_type = Option<String>)]
    ca: Option<Label>,
    /// The device that may enrol for it by the vendor's certificate.
    equipment: Option<RequestedDevice>,
    /// The secret to make; none without it.
    secret: Option<RequestedSecret>,
    /// Its permissions beyond certificates for keys of its own.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    permissions: BTreeSet<Permission>,
    /// Its labels, each as `KEY=VALUE`.
    #[serde(default)]
    labels: Vec<String>,
    /// The person or group that answers for it.
    owner: Option<String>,
    /// Any other words.
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
    /// The accounts.
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
    /// Whether they are granted, and not withdrawn.
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
    /// `default`: it issues for accounts that name no CA; `issue`: in place of the CA that it succeeds.
    pub duty: crate::admin::CaDuty,
}

/// The CA whose CRL is signed anew.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCrl {
    /// The CA; null for each whose key is here.
    #[schema(value_type = Option<String>)]
    pub ca: Option<Label>,
}

/// The directory to compare and to mend.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reconciliation {
    /// The directory; null for all.
    pub directory: Option<String>,
    /// Whether it is only compared.
    pub dry_run: bool,
}

/// An administrator to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAdministrator {
    /// The name.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")]
    pub name: Label,
    /// What the administrator may do.
    pub grants: Vec<RequestedGrant>,
    /// The identities of the certificate, such as `email:alice@example.net`; none for the name alone.
    #[serde(default)]
    pub ids: Vec<String>,
    /// The secret for the first certificate.
    pub secret: RequestedSecret,
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
    /// Its name.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")]
    pub name: Label,
    /// How long it is good, in seconds: one minute to 366 days.
    #[schema(minimum = 60, maximum = 31622400)]
    pub seconds: u64,
    /// The administrator's roles that it may use; none for all of them.
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
    /// Whether it is.
    pub disabled: bool,
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
    /// Whether nothing is done but to tell what would be.
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
    /// Whether nothing is done but to tell what would be.
    #[serde(default)]
    pub dry_run: bool,
}

/// The query for the removal of an account.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemovalQuery {
    /// The reason for which its certificates are revoked, too.
    pub revoke: Option<String>,
}
