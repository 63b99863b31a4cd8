//! The requests of administrators, as they cross the admin socket.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use countersign_ca::authority::accounts::SecretPolicy;
use countersign_ca::record::{DeviceDraft, Mapping};
use countersign_ca::record::{Duty, Label, Permission};
use serde::{Deserialize, Serialize};

use crate::roles::Verb;

/// A request of an administrator: one JSON object on the socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Adds accounts, all or none.
    PeerAdd { peers: Vec<RequestedPeer> },
    /// Lists the accounts, sorted by name.
    PeerList,
    /// Shows one account.
    PeerShow { name: Label },
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
    /// Lists certificates, oldest first, one page at a time.
    CertList {
        account: Option<Label>,
        /// 0, or the `next` of the page before.
        cursor: u64,
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
            Self::PeerList => Verb::PeerList,
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
    /// The line of the imported file that describes it, for messages.
    #[serde(default)]
    pub line: Option<u64>,
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
            Request::PeerList,
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
