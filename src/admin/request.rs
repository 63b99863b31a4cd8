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
        /// Records nothing, and tells what would be done.
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
    /// Removes an account. Its certificates stay valid unless `revoke` is set.
    PeerRemove {
        name: Label,
        /// The reason for which its certificates are revoked, too; `None` to leave them valid.
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
        /// Revokes nothing, and tells what would be revoked.
        dry_run: bool,
    },
    /// Revokes certificates. Nothing is revoked if one of them is not known.
    CertRevokeMany {
        certificates: Vec<RequestedRevocation>,
        /// Revokes nothing, and tells what would be revoked.
        dry_run: bool,
    },
    /// Releases a certificate from hold.
    CertRelease { serial: SerialText, ca: Option<Label> },
    /// Records certificates and CRLs (DER, base64) that this instance signed before it was restored from a backup.
    CertImport { objects: Vec<String>, account: Option<Label> },
    /// Lists the requests that need an approval, also those that are decided and that their peer has not fetched.
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
    /// Gives an issuing CA a duty.
    CaAssign { name: Label, duty: CaDuty },
    /// Lists the last CRL of each CA and scope (full, delta, or a partition).
    CrlShow,
    /// Signs a new CRL of this CA, or of every CA whose key is here.
    CrlPublish { ca: Option<Label> },
    /// Lists the directories, and whether they have the entries that they should have.
    PublishStatus,
    /// Compares one directory, or all for `None`, with the entries that it should have. Unless it is a dry run, the operations that are
    /// missing are carried out.
    PublishRun { directory: Option<String>, dry_run: bool },
    /// Shows the state of the instance.
    Status,
    /// Shows the state of the store.
    StoreStatus,
    /// Writes the journal's backup to a file on the server's machine.
    Backup { to: PathBuf },
    /// Adds an administrator, with an account for the administrator's certificate.
    AdminAdd {
        name: Label,
        grants: Vec<RequestedGrant>,
        /// The account's identities; none for `dn:CN=NAME`.
        #[serde(default)]
        ids: Vec<String>,
        secret: RequestedSecret,
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
        /// The version of the record that the change is based on; without it, whatever there is is changed.
        #[serde(default)]
        expected: Option<String>,
    },
    /// Removes an administrator and the account, and revokes its certificates.
    AdminRemove { name: Label },
    /// Makes a token for a program of an administrator.
    AdminTokenAdd {
        name: Label,
        token: Label,
        /// How long the token is good, in seconds from now.
        seconds: u64,
        /// The administrator's roles that it may use; none for all of them.
        #[serde(default)]
        roles: BTreeSet<Label>,
    },
    /// Ends a token.
    AdminTokenRemove { name: Label, token: Label },
}

impl Request {
    /// What the request does.
    pub const fn verb(&self) -> Verb {
        match self {
            Self::PeerAdd { .. } => Verb::PeerAdd,
            Self::PeerImport { .. } => Verb::PeerImport,
            Self::PeerEdit { .. } => Verb::PeerEdit,
            Self::PeerDisable { .. } => Verb::PeerDisable,
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
            Self::CaAssign { .. } => Verb::CaAssign,
            Self::CrlShow => Verb::CrlShow,
            Self::CrlPublish { .. } => Verb::CrlPublish,
            Self::PublishStatus => Verb::PublishStatus,
            Self::PublishRun { .. } => Verb::PublishRun,
            Self::Status => Verb::Status,
            Self::StoreStatus => Verb::StoreStatus,
            Self::Backup { .. } => Verb::Backup,
            Self::AdminAdd { .. } => Verb::AdminAdd,
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
    /// The profile.
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
    /// Leaves out what is revoked for good, and what a renewal has replaced.
    pub current: bool,
    /// Leaves out the instance's own signers and servers.
    pub peers: bool,
    /// The order.
    pub sort: SortKey,
    /// The reverse of the order.
    pub reverse: bool,
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
    /// The oldest first
    #[default]
    Issued,
    /// The one that ends first
    Expires,
}

/// A serial number, hexadecimal.
pub type SerialText = String;

/// The duty of an issuing CA.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, utoipa::ToSchema)]
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

/// An account to add.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestedPeer {
    /// Its name.
    pub name: Label,
    /// Its identities as text, such as `fqdn:gw1.example.net`.
    pub ids: Vec<String>,
    /// Its profile.
    pub profile: Label,
    /// Its issuing CA, if not the default.
    pub ca: Option<Label>,
    /// The device that may enrol for it by the vendor's certificate.
    #[serde(default, rename = "equipment")]
    pub device: Option<RequestedDevice>,
    /// The secret to make; `None` for no secret.
    pub secret: Option<RequestedSecret>,
    /// Its permissions beyond certificates for keys of its own.
    #[serde(default)]
    pub permissions: BTreeSet<Permission>,
    /// Its labels, each as `KEY=VALUE`.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The person or group that answers for the peer.
    #[serde(default)]
    pub owner: Option<String>,
    /// Any other words.
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
    /// Its serial number.
    #[schema(value_type = String)]
    pub serial: SerialText,
    /// Its CA; the first one that has the serial number for `None`.
    #[schema(value_type = Option<String>)]
    pub ca: Option<Label>,
    /// The reason.
    pub reason: String,
    /// The line of the file that names it, for messages.
    pub line: Option<u64>,
}

/// What an import does with accounts that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Existing {
    /// It refuses the whole file.
    Refuse,
    /// It changes them as the file says.
    Update,
    /// It passes over them.
    Skip,
}

/// A change of an account. What is absent stays as it is; an empty text removes the CA, the owner or the note.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RequestedEdit {
    /// Identities to add.
    pub add_ids: Vec<String>,
    /// Identities to remove.
    pub remove_ids: Vec<String>,
    /// The profile.
    #[schema(value_type = Option<String>)]
    pub profile: Option<Label>,
    /// The issuing CA.
    pub ca: Option<String>,
    /// Labels to set, each as `KEY=VALUE`.
    pub labels: Vec<String>,
    /// The keys of labels to remove.
    pub remove_labels: Vec<String>,
    /// The person or group that answers for the peer.
    pub owner: Option<String>,
    /// Any other words.
    pub note: Option<String>,
}

/// Conditions on accounts, all of which must hold.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountFilter {
    /// The first characters of the name.
    pub prefix: Option<String>,
    /// The profile.
    pub profile: Option<Label>,
    /// The issuing CA that the account names.
    pub ca: Option<Label>,
    /// A label, as `KEY=VALUE`.
    pub label: Option<String>,
    /// An identity that the account holds.
    pub identity: Option<String>,
    /// Whether the account is disabled.
    pub disabled: Option<bool>,
    /// What is known of its certificates.
    pub state: Option<AccountState>,
    /// Its valid certificate ends within this many seconds from now.
    pub expires_within: Option<u64>,
}

/// What is known of an account's certificates.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum AccountState {
    /// It has a valid certificate
    Enrolled,
    /// It has had certificates, and none is valid
    Lapsed,
    /// It never had a certificate
    NeverEnrolled,
}

/// A device that may enrol for an account.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestedDevice {
    /// Its vendor.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")]
    pub vendor: Label,
    /// Its name in the vendor's certificate, as the vendor's mapping finds it.
    pub value: String,
    /// How many certificates it may enrol for by the vendor's certificate.
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
    /// How long the secret is good, in seconds from now.
    pub seconds: u64,
    /// For how many certificates the secret is good.
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
    /// The role.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")]
    pub role: Label,
    /// The issuing CAs for which it is good; none for all.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub cas: BTreeSet<Label>,
    /// Patterns of accounts' names for which it is good, in which `*` stands for any text; none for all.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub accounts: BTreeSet<String>,
}

/// A vendor to trust.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestedVendor {
    /// Its name.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")]
    pub name: Label,
    /// The field of a certificate that names the device.
    #[schema(value_type = String)]
    pub map: Mapping,
    /// Its roots and the CAs below them, DER in base64.
    pub certificates: Vec<String>,
    /// The only profile that its devices are enrolled for; `None` for any.
    #[schema(value_type = Option<String>)]
    pub profile: Option<Label>,
    /// Files with its CRLs, as absolute paths on the server's machine.
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
