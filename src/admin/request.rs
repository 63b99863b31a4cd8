//! The requests of administrators, as they cross the admin socket.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use countersign_ca::authority::accounts::SecretPolicy;
use countersign_ca::record::{DeviceDraft, Mapping};
use countersign_ca::record::{Duty, Label, Permission};
use serde::{Deserialize, Serialize};

use super::answer::CertificateStatus;
use crate::roles::Verb;

/// A request of an administrator: one JSON object on the socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Adds accounts, all or none.
    PeerAdd { peers: Vec<RequestedPeer> },
    /// Adds accounts from a file, and changes or passes over those that exist.
    PeerImport {
        peers: Vec<RequestedPeer>,
        /// The columns that the file has. Of an account that exists, only these are changed.
        columns: BTreeSet<String>,
        existing: Existing,
        /// Records nothing, and reports what would be done.
        dry_run: bool,
    },
    /// Lists accounts, sorted by name, one page at a time.
    PeerList {
        filter: AccountFilter,
        /// The `next` of the page before; `None` for the first page.
        after: Option<Label>,
        /// The most accounts of the page.
        limit: usize,
    },
    /// Shows one account.
    PeerShow { name: Label },
    /// Changes an account.
    PeerEdit { name: Label, edit: Box<RequestedEdit> },
    /// Disables an account, or enables it.
    PeerDisable { name: Label, disabled: bool },
    /// Gives an account another name. It stays the same account.
    PeerRename { name: Label, to: Label },
    /// Removes an account. Its certificates stay valid unless `revoke` is set.
    PeerRemove {
        name: Label,
        /// The reason for which the account's certificates are revoked, too; `None` to leave them valid.
        #[serde(default)]
        revoke: Option<String>,
    },
    /// Gives an account another reference and secret.
    PeerResetSecret { name: Label, secret: RequestedSecret },
    /// Binds an account to a device, or to none.
    PeerSetEquipment {
        name: Label,
        #[serde(rename = "equipment")]
        device: Option<RequestedDevice>,
    },
    /// Grants an account permissions, or withdraws them.
    PeerPermit { name: Label, permissions: BTreeSet<Permission>, granted: bool },
    /// Trusts a vendor's certificates for first enrolments.
    TrustAdd { vendor: RequestedVendor },
    /// Lists the vendors, sorted by name.
    TrustList,
    /// Shows one vendor.
    TrustShow { name: Label },
    /// Ends the trust in a vendor.
    TrustRemove { name: Label },
    /// Lists certificates, one page at a time.
    CertList {
        filter: CertificateFilter,
        /// The `next` of the page before; `None` for the first page.
        after: Option<String>,
        /// The most certificates of the page.
        limit: usize,
    },
    /// Shows one certificate. Here, and to revoke or release, a request without `ca` is about the first CA that has the serial number.
    CertShow { serial: SerialText, ca: Option<Label> },
    /// Revokes a certificate, or puts it on hold.
    CertRevoke {
        serial: SerialText,
        ca: Option<Label>,
        reason: String,
        /// The invalidity date (RFC 5280 §5.3.2), in seconds since 1970.
        invalidity: Option<i64>,
    },
    /// Issues a certificate for an account by a request (PKCS #10, DER in base64) that an administrator brings.
    CertIssue {
        account: Label,
        /// The CA that issues, if not the account's.
        ca: Option<Label>,
        csr: String,
    },
    /// Adds an account for the holder of a request (PKCS #10, DER in base64), and issues its certificate. Without identities, the account
    /// gets the names in the request.
    PeerAddByCsr { peer: Box<RequestedPeer>, csr: String },
    /// Revokes every certificate of an account that is valid or on hold, and removes the account if `remove` is set.
    CertRevokeAll {
        account: Label,
        reason: String,
        remove: bool,
        /// Revokes nothing, and reports what would be revoked.
        dry_run: bool,
    },
    /// Revokes certificates. Nothing is revoked if one of them is not known.
    CertRevokeMany {
        certificates: Vec<RequestedRevocation>,
        /// Revokes nothing, and reports what would be revoked.
        dry_run: bool,
    },
    /// Releases a certificate from hold.
    CertRelease { serial: SerialText, ca: Option<Label> },
    /// Records certificates and CRLs (DER, base64) that this instance signed before it was restored from a backup.
    CertImport { objects: Vec<String>, account: Option<Label> },
    /// Lists the requests that need an approval, including decided ones that their peer has not fetched.
    PendingList,
    /// Shows one request that needs an approval. `id` is its identifier or the first digits of it.
    PendingShow { id: String },
    /// Approves or rejects a request.
    PendingDecide {
        id: String,
        approve: bool,
        /// The administrator's note, or the reason that the peer is given.
        #[serde(rename = "words")]
        reason: Option<String>,
    },
    /// Lists the CAs.
    CaShow,
    /// Shows which peers have shown that they have the certificate of a CA's newest key, and when it is safe to go on. At most `limit` accounts
    /// are listed, behind `after`.
    CaPlan { name: Label, after: Option<Label>, limit: usize },
    /// Records that a peer has the certificate of a CA's next key.
    CaMark { name: Label, account: Label, by: ShownBy },
    /// Gives an issuing CA a duty.
    CaAssign { name: Label, duty: CaDuty },
    /// Lists the last CRL of each CA and scope (full, delta, or a partition).
    CrlShow,
    /// Signs a new CRL of this CA, or of every CA whose private key this instance has.
    CrlPublish { ca: Option<Label> },
    /// Takes the CRL (DER, base64) of a CA whose private key is elsewhere. Without `ca`, it is the CA that signed it.
    CrlImport { crl: String, ca: Option<Label> },
    /// Lists the directories, and whether they have the entries that they should have.
    PublishStatus,
    /// Compares one directory, or all for `None`, with the entries that it should have. Unless it is a dry run, the operations that are
    /// missing are carried out.
    PublishRun { directory: Option<String>, dry_run: bool },
    /// Lists the receivers of notifications, and how messages to them went.
    NotifyShow,
    /// Sends a test to a receiver of notifications.
    NotifyTest { receiver: String },
    /// Shows the state of the instance.
    Status,
    /// Writes a certification practice statement from the configuration in force and the records.
    DocsCps,
    /// Shows the state of the store.
    StoreStatus,
    /// Reports who did what, in the order of the journal, one page at a time.
    AuditReport {
        filter: ReportFilter,
        /// The `next` of the page before: how many entries lie before the page. 0 for the first page.
        after: u64,
        /// The most lines of the page.
        limit: usize,
    },
    /// Writes the journal's backup to a file on the server's machine.
    Backup { to: PathBuf },
    /// Adds an administrator, with an account for the administrator's certificate.
    AdminAdd {
        name: Label,
        grants: Vec<RequestedGrant>,
        /// The account's identities; none for `dn:CN=NAME`.
        #[serde(default)]
        ids: Vec<String>,
        /// None for an administrator with tokens only, or who logs in elsewhere.
        #[serde(default)]
        secret: Option<RequestedSecret>,
        /// The user of the OpenID provider (`sub`) who is this administrator, too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        oidc: Option<String>,
    },
    /// Says which user of the OpenID provider (`sub`) an administrator is; none to end that.
    AdminBind {
        name: Label,
        #[serde(default)]
        oidc: Option<String>,
    },
    /// Lists the roles with their verbs.
    AdminRoles,
    /// Lists the administrators, sorted by name.
    AdminList,
    /// Shows one administrator.
    AdminShow { name: Label },
    /// Gives an administrator these grants in place of the present ones.
    AdminGrant {
        name: Label,
        grants: Vec<RequestedGrant>,
        /// The version of the record that the change is based on; without it, the present record is changed, whatever its version.
        #[serde(default)]
        expected: Option<String>,
    },
    /// Removes an administrator and the account, and revokes its certificates.
    AdminRemove { name: Label },
    /// Makes a token for a program of an administrator.
    AdminTokenAdd {
        name: Label,
        token: Label,
        /// How long the token is valid, in seconds from now.
        seconds: u64,
        /// The administrator's roles that the token may use; none for all of them.
        #[serde(default)]
        roles: BTreeSet<Label>,
    },
    /// Ends a token.
    AdminTokenRemove { name: Label, token: Label },
}

impl Request {
    /// The verb of the request.
    pub const fn verb(&self) -> Verb {
        match self {
            Self::PeerAdd { .. } => Verb::PeerAdd,
            Self::PeerImport { .. } => Verb::PeerImport,
            Self::PeerEdit { .. } => Verb::PeerEdit,
            Self::PeerDisable { .. } => Verb::PeerDisable,
            Self::PeerRename { .. } => Verb::PeerRename,
            Self::PeerAddByCsr { .. } => Verb::PeerAddByCsr,
            Self::PeerList { .. } => Verb::PeerList,
            Self::PeerShow { .. } => Verb::PeerShow,
            Self::PeerRemove { .. } => Verb::PeerRemove,
            Self::PeerResetSecret { .. } => Verb::PeerResetSecret,
            Self::PeerSetEquipment { .. } => Verb::PeerSetEquipment,
            Self::PeerPermit { .. } => Verb::PeerPermit,
            Self::TrustAdd { .. } => Verb::TrustAdd,
            Self::TrustList => Verb::TrustList,
            Self::TrustShow { .. } => Verb::TrustShow,
            Self::TrustRemove { .. } => Verb::TrustRemove,
            Self::CertList { .. } => Verb::CertList,
            Self::CertShow { .. } => Verb::CertShow,
            Self::CertRevoke { .. } => Verb::CertRevoke,
            Self::CertIssue { .. } => Verb::CertIssue,
            Self::CertRevokeAll { .. } => Verb::CertRevokeAll,
            Self::CertRevokeMany { .. } => Verb::CertRevokeMany,
            Self::CertRelease { .. } => Verb::CertRelease,
            Self::CertImport { .. } => Verb::CertImport,
            Self::PendingList => Verb::PendingList,
            Self::PendingShow { .. } => Verb::PendingShow,
            Self::PendingDecide { .. } => Verb::PendingDecide,
            Self::CaShow => Verb::CaShow,
            Self::CaPlan { .. } => Verb::CaPlan,
            Self::CaMark { .. } => Verb::CaMark,
            Self::CaAssign { .. } => Verb::CaAssign,
            Self::CrlShow => Verb::CrlShow,
            Self::CrlPublish { .. } => Verb::CrlPublish,
            Self::CrlImport { .. } => Verb::CrlImport,
            Self::PublishStatus => Verb::PublishStatus,
            Self::PublishRun { .. } => Verb::PublishRun,
            Self::NotifyShow => Verb::NotifyShow,
            Self::NotifyTest { .. } => Verb::NotifyTest,
            Self::Status => Verb::Status,
            Self::DocsCps => Verb::DocsCps,
            Self::StoreStatus => Verb::StoreStatus,
            Self::AuditReport { .. } => Verb::AuditReport,
            Self::Backup { .. } => Verb::Backup,
            Self::AdminAdd { .. } => Verb::AdminAdd,
            Self::AdminBind { .. } => Verb::AdminBind,
            Self::AdminRoles => Verb::AdminRoles,
            Self::AdminList => Verb::AdminList,
            Self::AdminShow { .. } => Verb::AdminShow,
            Self::AdminGrant { .. } => Verb::AdminGrant,
            Self::AdminRemove { .. } => Verb::AdminRemove,
            Self::AdminTokenAdd { .. } => Verb::AdminTokenAdd,
            Self::AdminTokenRemove { .. } => Verb::AdminTokenRemove,
        }
    }
}

/// Conditions on certificates, all of which must hold, and the order of the list. Moments are in seconds since 1970.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CertificateFilter {
    /// The name of the account.
    pub account: Option<Label>,
    /// The issuing CA.
    pub ca: Option<Label>,
    /// The profile under which the certificate was issued.
    pub profile: Option<Label>,
    /// The status now.
    pub status: Option<CertificateStatus>,
    /// The subject: a whole DN, or the common name in it.
    pub subject: Option<String>,
    /// A name in the certificate, such as `fqdn:gw1.example.net`.
    pub identity: Option<String>,
    /// A label of the certificate's account, as `KEY=VALUE`.
    pub label: Option<String>,
    /// The first digits of the serial number, hexadecimal.
    pub serial: Option<String>,
    /// The validity ends within this many seconds from now, and not before now.
    pub expires_within: Option<u64>,
    /// The validity ends at this moment or later.
    pub expires_from: Option<i64>,
    /// The validity ends before this moment.
    pub expires_until: Option<i64>,
    /// The certificate was recorded at this moment or later.
    pub issued_from: Option<i64>,
    /// The certificate was recorded before this moment.
    pub issued_until: Option<i64>,
    /// Leaves out certificates that are revoked for good, or that a renewal has replaced.
    pub current: bool,
    /// Leaves out the instance's own signers and servers.
    pub peers: bool,
    /// The order.
    pub sort: SortKey,
    /// The reverse of the order.
    pub reverse: bool,
}

/// Conditions on the lines of a report, all of which must hold.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReportFilter {
    /// Recorded at this moment or later, in seconds since 1970.
    pub since: Option<i64>,
    /// About the account of this name, also under its former names.
    pub account: Option<Label>,
    /// By this actor: the whole text, or an administrator's name.
    pub actor: Option<String>,
}

/// The order of a list of certificates.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    clap::ValueEnum,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SortKey {
    /// The oldest certificate first
    #[default]
    Issued,
    /// The certificate that ends first comes first
    Expires,
}

/// Who says that a peer has the certificate of a CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShownBy {
    /// An export wrote it into the files of the peer's daemon.
    Export,
    /// An administrator.
    Marked,
}

/// A serial number, hexadecimal.
pub type SerialText = String;

/// The duty of an issuing CA.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CaDuty {
    /// The CA issues for accounts that name no CA.
    Default,
    /// The CA issues in place of the CA that it succeeds.
    Issue,
    /// It issues no more, and signs its CRLs and OCSP answers until it ends.
    Retired,
    /// It issues again after it was retired.
    Active,
}

impl From<Duty> for CaDuty {
    fn from(duty: Duty) -> Self {
        match duty {
            Duty::Default => Self::Default,
            Duty::Issue => Self::Issue,
            Duty::Retire => Self::Retired,
            Duty::Return => Self::Active,
        }
    }
}

impl From<CaDuty> for Duty {
    fn from(duty: CaDuty) -> Self {
        match duty {
            CaDuty::Default => Self::Default,
            CaDuty::Issue => Self::Issue,
            CaDuty::Retired => Self::Retire,
            CaDuty::Active => Self::Return,
        }
    }
}

/// An account to add.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestedPeer {
    /// The name of the account.
    pub name: Label,
    /// The identities of the account as text, such as `fqdn:gw1.example.net`.
    pub ids: Vec<String>,
    /// The profile of the account.
    pub profile: Label,
    /// The issuing CA of the account, if not the default.
    pub ca: Option<Label>,
    /// The device that may enrol for the account by the vendor's certificate.
    #[serde(default, rename = "equipment")]
    pub device: Option<RequestedDevice>,
    /// The secret to make; `None` for no secret.
    pub secret: Option<RequestedSecret>,
    /// The permissions of the account beyond certificates for keys of its own.
    #[serde(default)]
    pub permissions: BTreeSet<Permission>,
    /// The labels of the account, each as `KEY=VALUE`.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The person or group that answers for the peer.
    #[serde(default)]
    pub owner: Option<String>,
    /// A free-text note about the account.
    #[serde(default)]
    pub note: Option<String>,
    /// The line of the imported file that describes it, for messages.
    #[serde(default)]
    pub line: Option<u64>,
}

/// A certificate to revoke.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestedRevocation {
    /// The serial number of the certificate.
    #[schema(value_type = String)]
    pub serial: SerialText,
    /// The CA of the certificate; `None` for the first CA that has the serial number.
    #[schema(value_type = Option<String>)]
    pub ca: Option<Label>,
    /// The reason for the revocation.
    pub reason: String,
    /// The line of the file that names the certificate, for messages.
    pub line: Option<u64>,
}

/// What an import does with accounts that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Existing {
    /// The import refuses the whole file.
    Refuse,
    /// The import changes these accounts as the file says.
    Update,
    /// The import passes over these accounts.
    Skip,
}

/// A change of an account. Fields that are absent change nothing; an empty text removes the CA, the owner or the note.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RequestedEdit {
    /// Identities to add.
    pub add_ids: Vec<String>,
    /// Identities to remove.
    pub remove_ids: Vec<String>,
    /// The new profile of the account.
    #[schema(value_type = Option<String>)]
    pub profile: Option<Label>,
    /// The new issuing CA of the account.
    pub ca: Option<String>,
    /// Labels to set, each as `KEY=VALUE`.
    pub labels: Vec<String>,
    /// The keys of labels to remove.
    pub remove_labels: Vec<String>,
    /// The person or group that answers for the peer.
    pub owner: Option<String>,
    /// A free-text note about the account.
    pub note: Option<String>,
}

/// Conditions on accounts, all of which must hold.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountFilter {
    /// The first characters of the name.
    pub prefix: Option<String>,
    /// The profile of the account.
    pub profile: Option<Label>,
    /// The issuing CA that the account names.
    pub ca: Option<Label>,
    /// A label, as `KEY=VALUE`.
    pub label: Option<String>,
    /// An identity that the account holds.
    pub identity: Option<String>,
    /// Whether the account is disabled.
    pub disabled: Option<bool>,
    /// The state of the account's certificates.
    pub state: Option<AccountState>,
    /// The valid certificate of the account ends within this many seconds from now.
    pub expires_within: Option<u64>,
}

/// The state of an account's certificates.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum AccountState {
    /// The account has a valid certificate
    Enrolled,
    /// The account has had certificates, and none is valid
    Lapsed,
    /// The account never had a certificate
    NeverEnrolled,
}

/// A device that may enrol for an account.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestedDevice {
    /// The vendor of the device.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")]
    pub vendor: Label,
    /// The name of the device in the vendor's certificate, as the vendor's mapping finds it.
    pub value: String,
    /// How many certificates the device may get by the vendor's certificate.
    pub uses: u32,
}

impl From<RequestedDevice> for DeviceDraft {
    fn from(device: RequestedDevice) -> Self {
        Self { vendor: device.vendor, value: device.value, uses: device.uses }
    }
}

/// The lifetime and the uses of a secret to make.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestedSecret {
    /// How long the secret is valid, in seconds from now.
    pub seconds: u64,
    /// How many certificates the secret may be used for.
    pub uses: u32,
}

impl From<RequestedSecret> for SecretPolicy {
    fn from(secret: RequestedSecret) -> Self {
        Self { lifetime: Duration::from_secs(secret.seconds), uses: secret.uses }
    }
}

/// The right to act in a role.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestedGrant {
    /// The role in which the administrator may act.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")]
    pub role: Label,
    /// The issuing CAs for which the grant holds; none for all.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub cas: BTreeSet<Label>,
    /// Patterns of the names of accounts that the grant covers, in which `*` stands for any text; none for all.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub accounts: BTreeSet<String>,
}

/// A vendor to trust.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestedVendor {
    /// The name of the vendor.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")]
    pub name: Label,
    /// The field of a certificate that names the device.
    #[schema(value_type = String)]
    pub map: Mapping,
    /// The vendor's roots and the CAs below them, DER in base64.
    pub certificates: Vec<String>,
    /// The only profile that the vendor's devices are enrolled for; `None` for any.
    #[schema(value_type = Option<String>)]
    pub profile: Option<Label>,
    /// Files with the vendor's CRLs, as absolute paths on the server's machine.
    #[schema(value_type = Vec<String>)]
    pub crls: Vec<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_requests_are_those_of_verbs() {
        for request in [
            Request::Status,
            Request::PendingList,
            Request::StoreStatus,
            Request::AdminList,
            Request::CrlPublish { ca: None },
        ] {
            let json = serde_json::to_value(&request).unwrap();
            assert_eq!(json.get("do").unwrap(), request.verb().name());
        }
        for verb in Verb::ALL {
            // serde knows each name: it misses fields, and does not say that there is no such variant.
            let empty = serde_json::json!({ "do": verb.name() });
            let error = serde_json::from_value::<Request>(empty).err();
            assert!(!error.is_some_and(|e| e.to_string().contains("variant")), "{verb}");
        }
    }
}
