//! The answers to administrators, as they cross the admin socket and as `--json` prints them. The order of the fields is that of the
//! output. Moments are text in RFC 3339, hashes and serial numbers hexadecimal.

use std::collections::BTreeSet;
use std::net::IpAddr;

use countersign_ca::Timestamp;
use countersign_ca::record::line::Member;
use countersign_ca::record::{Label, Permission};
use countersign_ca::record::{Mapping, inventory};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::exit::Failure;
pub use crate::finding::{Finding, Severity};

/// Converts an answer to JSON.
///
/// # Errors
/// The answer cannot be represented in JSON, which is a fault of this program.
pub fn to_value(answer: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(answer).map_err(|e| Failure { code: 1, message: e.to_string() })
}

/// An account, without anything secret.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AccountLine {
    /// The name of the account.
    #[schema(value_type = String)]
    pub name: Label,
    /// The names that it had before, if it was renamed; not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, required = false)]
    pub former_names: Vec<Label>,
    /// The profile of the account.
    #[schema(value_type = String)]
    pub profile: Label,
    /// The issuing CA of the account, if not the default.
    #[schema(value_type = Option<String>)]
    pub ca: Option<Label>,
    /// The identities of the account.
    pub ids: Vec<String>,
    /// The device that may enrol for the account, as `VENDOR:VALUE`.
    #[serde(rename = "equipment")]
    pub device: Option<String>,
    /// How many more certificates the device may get by its vendor's certificate.
    #[serde(rename = "equipment_uses_left")]
    pub device_uses_left: Option<u32>,
    /// The reference of the account's secret.
    pub reference: Option<String>,
    /// How many more certificates the secret may be used for.
    pub uses_left: Option<u32>,
    /// When the secret expires.
    pub expires: Option<String>,
    /// When the account was created.
    pub created: String,
    /// The permissions of the account.
    #[schema(value_type = Vec<String>)]
    pub permissions: BTreeSet<Permission>,
    /// The labels of the account, each as `KEY=VALUE`.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The person or group that answers for the account.
    #[serde(default)]
    pub owner: Option<String>,
    /// A free-text note about the account.
    #[serde(default)]
    pub note: Option<String>,
    /// Whether the account is disabled.
    #[serde(default)]
    pub disabled: bool,
    /// The serial number of the account's newest valid certificate.
    #[serde(default)]
    pub certificate: Option<String>,
    /// The end of the validity of the account's newest valid certificate.
    #[serde(default)]
    pub not_after: Option<String>,
    /// When the account got its last certificate; `None` if it never enrolled.
    #[serde(default)]
    pub last_seen: Option<String>,
}

/// A page of accounts.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AccountPage {
    /// The accounts of the page.
    pub items: Vec<AccountLine>,
    /// The name to ask for the next page with; `None` on the last page. A page may have fewer accounts than it might, and even none,
    /// although more follow.
    #[schema(value_type = Option<String>)]
    pub next: Option<Label>,
}

/// The result of an import that may change accounts.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ImportedAccounts {
    /// The accounts that were added, with their secrets. In a dry run there are none.
    pub added: Vec<NewAccountLine>,
    /// The names of the accounts that would be added; empty unless it is a dry run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub would_add: Vec<Label>,
    /// The names of the accounts that were changed, or in a dry run would be.
    #[schema(value_type = Vec<String>)]
    pub changed: Vec<Label>,
    /// The names of the accounts that were skipped, or that are already as the file says.
    #[schema(value_type = Vec<String>)]
    pub unchanged: Vec<Label>,
}

/// An account after a change, with warnings about its probable mistakes.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EditedAccount {
    /// The account after the change.
    #[serde(flatten)]
    pub account: AccountLine,
    /// The warnings about probable mistakes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// An account with its secret, after it was added or got another secret. The secret is shown this once.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct NewAccountLine {
    /// The name of the account.
    #[schema(value_type = String)]
    pub name: Label,
    /// The reference of the account's secret.
    pub reference: Option<String>,
    /// The secret in clear; `None` if the account has none.
    #[serde(serialize_with = "in_clear")]
    #[schema(value_type = Option<String>)]
    pub secret: Option<Zeroizing<String>>,
    /// When the secret expires.
    pub expires: Option<String>,
    /// How many certificates the secret may be used for.
    pub uses: Option<u32>,
    /// The device that may enrol for the account, as `VENDOR:VALUE`.
    #[serde(rename = "equipment")]
    pub device: Option<String>,
    /// The identities of the account.
    pub ids: Vec<String>,
    /// The profile of the account.
    #[schema(value_type = String)]
    pub profile: Label,
    /// The issuing CA of the account, if not the default.
    #[schema(value_type = Option<String>)]
    pub ca: Option<Label>,
    /// The permissions of the account.
    #[schema(value_type = Vec<String>)]
    pub permissions: BTreeSet<Permission>,
    /// Probable mistakes in the account, for the administrator.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

fn in_clear<S: Serializer>(
    secret: &Option<Zeroizing<String>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|secret| secret.as_str()).serialize(serializer)
}

/// An account that was removed, and its certificates.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum RemovedAccount {
    /// The account was removed, and its certificates stay valid.
    Kept {
        /// The name of the account.
        #[schema(value_type = String)]
        removed: Label,
        /// The serial numbers of the account's valid certificates.
        still_valid: Vec<String>,
    },
    /// The account was removed, and its certificates were revoked.
    Revoked {
        /// The name of the account.
        #[schema(value_type = String)]
        removed: Label,
        /// The serial numbers of the certificates that were revoked.
        revoked: Vec<String>,
        /// The reason (RFC 5280 §5.3.1), such as `cessationOfOperation`.
        reason: &'static str,
        /// The next CRL of each CA that issued one of the revoked certificates.
        crls: Vec<NextCrl>,
        /// A note that an earlier command removed the account and left its certificates; `None` if this command removed it.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<&'static str>,
    },
}

/// The CRL that shows a change first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum NextCrl {
    /// The CRL is signed already; its cRLNumber.
    Signed(u64),
    /// The CRL is signed later. The text says when, for a person.
    Later(&'static str),
}

/// A vendor whose devices may enrol by their factory certificates.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct VendorLine {
    /// The name of the vendor.
    #[schema(value_type = String)]
    pub name: Label,
    /// The field of a certificate that names the device.
    #[schema(value_type = String)]
    pub map: Mapping,
    /// The only profile that the vendor's devices are enrolled for; `None` for any.
    #[schema(value_type = Option<String>)]
    pub profile: Option<Label>,
    /// The subjects of the vendor's roots.
    pub roots: Vec<String>,
    /// How many certificates of CAs below the roots are recorded.
    pub intermediates: usize,
    /// Files with the vendor's CRLs, on the server's machine.
    pub crls: Vec<String>,
}

/// A vendor with its certificates.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct VendorInFull {
    /// The name of the vendor.
    #[schema(value_type = String)]
    pub name: Label,
    /// The field of a certificate that names the device.
    #[schema(value_type = String)]
    pub map: Mapping,
    /// The only profile that the vendor's devices are enrolled for; `None` for any.
    #[schema(value_type = Option<String>)]
    pub profile: Option<Label>,
    /// The certificates of the vendor's roots.
    pub roots: Vec<VendorCertificate>,
    /// The certificates of the CAs below the vendor's roots.
    pub intermediates: Vec<VendorCertificate>,
    /// Files with the vendor's CRLs, on the server's machine.
    pub crls: Vec<String>,
    /// When the vendor was recorded.
    pub created: String,
}

/// A certificate of a vendor's CA.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct VendorCertificate {
    /// The subject of the certificate.
    pub subject: String,
    /// The kind of the certificate's key.
    pub key: String,
    /// The end of the certificate's validity.
    pub not_after: String,
    /// The SHA-256 hash of the certificate's DER.
    pub sha256: String,
}

/// A vendor that was removed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Removed {
    /// The name of the removed vendor.
    #[schema(value_type = String)]
    pub removed: Label,
}

/// A certification practice statement.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CpsAnswer {
    /// The text, in Markdown. `[[operator: …]]` marks what the operator has to write.
    pub markdown: String,
    /// How many sections it has.
    pub sections: usize,
    /// In how many of them the operator has to write something.
    pub left: usize,
}

/// The status of a certificate.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateStatus {
    /// Not revoked, not expired, and confirmed by its holder if that was required
    Valid,
    /// Not confirmed yet by its holder (certConf)
    Unconfirmed,
    /// On hold (certificateHold)
    Held,
    /// Revoked
    Revoked,
    /// Expired
    Expired,
}

impl From<inventory::CertificateStatus> for CertificateStatus {
    fn from(status: inventory::CertificateStatus) -> Self {
        match status {
            inventory::CertificateStatus::Valid => Self::Valid,
            inventory::CertificateStatus::Unconfirmed => Self::Unconfirmed,
            inventory::CertificateStatus::Held => Self::Held,
            inventory::CertificateStatus::Revoked => Self::Revoked,
            inventory::CertificateStatus::Expired => Self::Expired,
        }
    }
}

impl From<CertificateStatus> for inventory::CertificateStatus {
    fn from(status: CertificateStatus) -> Self {
        match status {
            CertificateStatus::Valid => Self::Valid,
            CertificateStatus::Unconfirmed => Self::Unconfirmed,
            CertificateStatus::Held => Self::Held,
            CertificateStatus::Revoked => Self::Revoked,
            CertificateStatus::Expired => Self::Expired,
        }
    }
}

/// A page of certificates.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CertificatePage {
    /// The certificates of the page.
    pub items: Vec<CertificateLine>,
    /// The cursor to ask for the next page with; `None` on the last page. A page may have fewer certificates than it might, and even none,
    /// although more follow.
    pub next: Option<String>,
}

/// A certificate, in short.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CertificateLine {
    /// The serial number of the certificate.
    pub serial: String,
    /// The status of the certificate.
    pub status: CertificateStatus,
    /// The subject of the certificate.
    pub subject: String,
    /// The name of the account that the certificate was issued to.
    #[schema(value_type = String)]
    pub account: Label,
    /// The profile that the certificate was issued under.
    #[schema(value_type = String)]
    pub profile: Label,
    /// The CA that issued the certificate.
    #[schema(value_type = String)]
    pub ca: Label,
    /// When the certificate was issued, or recorded by an import.
    pub issued: String,
    /// The end of the certificate's validity.
    pub not_after: String,
}

/// A certificate with everything that is recorded of it.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CertificateInFull {
    /// The fields that a list shows, too.
    #[serde(flatten)]
    pub line: CertificateLine,
    /// The holder: `the account`, `an account that had this name before`, or `an account that is gone`. The name of a removed account can
    /// be given to another one.
    pub holder: String,
    /// Whether LDAP directories and look-ups over HTTP may publish the certificate.
    pub published: bool,
    /// The address that the certificate was requested from, if one is recorded.
    #[schema(value_type = Option<String>)]
    pub client: Option<IpAddr>,
    /// The start of the certificate's validity.
    pub not_before: String,
    /// The subjectAltName of the certificate.
    pub alt_names: Vec<String>,
    /// The kind of the certificate's key.
    pub key: String,
    /// The subjectKeyIdentifier of the certificate.
    pub key_identifier: String,
    /// The revocation of the certificate, if it is revoked or on hold.
    #[serde(flatten)]
    #[schema(value_type = PerhapsRevocation)]
    pub revocation: Option<RevocationFields>,
    /// When it is to be revoked, as a renewal replaced it and its profile says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    pub to_be_revoked: Option<String>,
    /// The serial number of the certificate that replaced it, if it is to be revoked for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    pub replaced_by: Option<String>,
    /// The certificate, PEM.
    pub pem: String,
}

/// The schema of [`RevocationFields`] in the description of the API. All fields are optional, because a certificate that is not revoked
/// has none of them.
#[derive(utoipa::ToSchema)]
#[schema(as = Revocation)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct PerhapsRevocation {
    /// When the certificate was revoked.
    #[schema(required = false, nullable = false)]
    revoked: Option<String>,
    /// The reason (RFC 5280 §5.3.1), such as `keyCompromise`.
    #[schema(required = false, nullable = false)]
    reason: Option<String>,
    /// The invalidity date (RFC 5280 §5.3.2), if there is one.
    #[schema(required = false)]
    invalidity: Option<String>,
}

/// The revocation of a certificate.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RevocationFields {
    /// When the certificate was revoked.
    pub revoked: String,
    /// The reason (RFC 5280 §5.3.1), such as `keyCompromise`.
    pub reason: String,
    /// The invalidity date (RFC 5280 §5.3.2), if there is one.
    pub invalidity: Option<String>,
}

/// A certificate that was revoked, put on hold or released.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RevocationAnswer {
    /// The serial number of the certificate.
    pub serial: String,
    /// The status of the certificate after the change.
    pub status: CertificateStatus,
    /// The reason (RFC 5280 §5.3.1); absent after a release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The first CRL that shows the change.
    pub crl: NextCrl,
}

/// A certificate that was issued for an administrator.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IssuedAnswer {
    /// The fields that a list shows, too.
    #[serde(flatten)]
    pub line: CertificateLine,
    /// The subjectAltName of the certificate.
    pub alt_names: Vec<String>,
    /// The differences of the account and the profile from the request, each as a sentence.
    pub changes: Vec<String>,
    /// The certificate, PEM.
    pub pem: String,
    /// The certificates of the CAs above the certificate, PEM, the root last.
    pub chain: String,
}

/// Several certificates that were revoked.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RevokedMany {
    /// A line for each certificate.
    pub certificates: Vec<RevokedLine>,
    /// Whether nothing was revoked, because it was a dry run.
    pub dry_run: bool,
    /// The account that was removed, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub removed: Option<Label>,
    /// The CRLs that show the change: for each CA the number of its next CRL, or when it will be signed.
    pub crls: Vec<CaCrl>,
}

/// The next CRL of a CA.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CaCrl {
    /// The CA that signs the CRL.
    #[schema(value_type = String)]
    pub ca: Label,
    /// The CRL.
    pub crl: Value,
}

/// A certificate of several that were to be revoked.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RevokedLine {
    /// The serial number of the certificate.
    pub serial: String,
    /// The CA that issued the certificate.
    #[schema(value_type = String)]
    pub ca: Label,
    /// The account that the certificate was issued to.
    #[schema(value_type = String)]
    pub account: Label,
    /// The subject of the certificate.
    pub subject: String,
    /// The reason for the revocation.
    pub reason: String,
    /// `revoked`, `would be revoked`, or `revoked already`.
    pub done: String,
}

/// The result for one certificate or CRL of an import.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImportLine {
    /// Whether the object is a certificate or a CRL, or was refused.
    pub kind: ImportKind,
    /// The CA that signed the object; `None` if it was refused.
    #[schema(value_type = Option<String>)]
    pub ca: Option<Label>,
    /// The serial number of a certificate; `None` for a CRL.
    pub serial: Option<String>,
    /// The account of a certificate; `None` for a CRL.
    #[schema(value_type = Option<String>)]
    pub account: Option<Label>,
    /// The action taken, or the reason of the refusal.
    pub done: String,
}

/// The kind of an object that was to be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImportKind {
    /// The object is a certificate.
    Certificate,
    /// The object is a CRL.
    Crl,
    /// An object that was not imported, because it is neither, or this instance did not sign it, for example.
    Refused,
}

/// A request for a certificate that needs an approval. It is listed until it expires or its peer has the answer, also after the decision.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RequestLine {
    /// The identifier of the request, hexadecimal.
    pub id: String,
    /// `waiting`, `approved` or `rejected`.
    pub status: &'static str,
    /// The account that the request is for.
    #[schema(value_type = String)]
    pub account: Label,
    /// The profile under which the requested certificate would be issued.
    #[schema(value_type = String)]
    pub profile: Label,
    /// The CA that would issue the requested certificate.
    #[schema(value_type = String)]
    pub ca: Label,
    /// The requested subject; `None` if none was requested.
    pub subject: Option<String>,
    /// When the request was recorded.
    pub received: String,
    /// When the request expires. After that it can be neither decided nor issued.
    pub expires: String,
}

/// A request that needs an approval, with everything that is recorded of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RequestInFull {
    /// The fields that a list shows, too.
    #[serde(flatten)]
    pub line: RequestLine,
    /// The requested subjectAltName.
    pub alt_names: Vec<String>,
    /// The kind of the key; `None` if the key cannot be decoded.
    pub key: Option<String>,
    /// The identifier of the key (RFC 5280 §4.2.1.2).
    pub key_identifier: Option<String>,
    /// How many extensions besides subjectAltName were requested.
    pub extensions: usize,
    /// The requested start of the validity.
    pub not_before: Option<String>,
    /// The requested end of the validity.
    pub not_after: Option<String>,
    /// The serial number of the certificate that the new one replaces; `None` if it replaces none.
    pub replaces: Option<String>,
    /// Whether directories may publish the certificate, if the peer says so.
    pub published: Option<bool>,
    /// The transactionID of the CMP request, hexadecimal.
    pub transaction: String,
    /// The account of the registration authority that passed the request on; `None` if the peer sent it itself.
    #[schema(value_type = Option<String>)]
    pub registrar: Option<Label>,
    /// The address from which the request came.
    #[schema(value_type = Option<String>)]
    pub client: Option<IpAddr>,
    /// How many people must approve the request.
    pub approvals: usize,
    /// The people who approved the request, while more must approve it.
    pub approved_by: Vec<String>,
    /// When the request was decided; `None` before the decision.
    pub decided: Option<String>,
    /// The administrator who decided the request, such as `uid 0`.
    pub decided_by: Option<String>,
    /// The administrator's note on an approval, or the reason of a rejection.
    #[serde(rename = "words")]
    pub reason: Option<String>,
}

/// A CA of the instance.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CaLine {
    /// The name of the CA.
    #[schema(value_type = String)]
    pub name: Label,
    /// `root` or `issuing`.
    pub kind: String,
    /// The subject of the CA.
    pub subject: String,
    /// The kind of the CA's key.
    pub key: String,
    /// Whether the CA's private key is in this instance.
    pub key_here: bool,
    /// The notAfter of the CA's certificate.
    pub not_after: String,
    /// The CA with the key before this CA's; `None` for a first key.
    #[schema(value_type = Option<String>)]
    pub succeeds: Option<Label>,
    /// Whether the CA issues for accounts that name no CA.
    pub default: bool,
    /// Whether the CA begins to issue only when an administrator activates it.
    pub waits: bool,
    /// Whether it issues no more: an administrator retired it.
    #[serde(default)]
    pub retired: bool,
    /// For a retired CA: how many accounts still name it, and get no certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts_still_naming_it: Option<usize>,
    /// The file of its certificate. The path is absolute: a client may have another working directory than the server.
    pub certificate: String,
    /// For the CA that issues the EST server's certificate: the file of the root by which a client trusts that server. `None` for every
    /// other CA, and without an EST server that has a certificate of the instance.
    #[serde(default)]
    pub est_trust_anchor: Option<String>,
    /// The file of the root by which a client trusts the server of the administration API, as in `est_trust_anchor`.
    #[serde(default)]
    pub admin_trust_anchor: Option<String>,
}

impl Member for CaLine {
    fn name(&self) -> &Label {
        &self.name
    }

    fn predecessor(&self) -> Option<&Label> {
        self.succeeds.as_ref()
    }

    fn waits(&self) -> bool {
        self.waits
    }
}

/// Which peers have shown that they have the certificate of a CA's next key, and when it is safe to go on.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Plan {
    /// The CA with the next key.
    #[schema(value_type = String)]
    pub ca: Label,
    /// The CA with the key before.
    #[schema(value_type = String)]
    pub succeeds: Label,
    /// `root` or `issuing`.
    pub kind: String,
    /// Whether the next key waits to be activated.
    pub waits: bool,
    /// Whether the next step is safe: the activation of a next key that waits, and otherwise the retirement of the key before.
    pub safe: bool,
    /// Whether the next key may issue in the place of the key before.
    pub activate: PlanVerdict,
    /// Whether nobody needs the key before any more.
    pub retire: PlanVerdict,
    /// How many accounts with a valid certificate below the same root have shown that they have it.
    pub shown: usize,
    /// How many of them have not.
    pub missing: usize,
    /// How many accounts are disabled or have no valid certificate: they get the CA's certificate when they enrol.
    pub not_enrolled: usize,
    /// How many accounts are no IKE peers by their profile, such as those of administrators. They count nowhere else.
    #[serde(default)]
    pub no_peers: usize,
    /// The accounts with a valid certificate below the same root, by name.
    pub accounts: Vec<PlanAccount>,
    /// The account behind which the next page begins; `None` on the last one.
    #[schema(value_type = Option<String>)]
    pub next: Option<Label>,
}

/// Whether a step is safe.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlanVerdict {
    /// Whether it is.
    pub safe: bool,
    /// Why, or what to do.
    pub why: String,
    /// When time alone makes it safe, because the last certificate that stands against it ends then; `None` if it is safe, or time does not
    /// help.
    pub from: Option<String>,
}

impl PlanVerdict {
    /// A step that is safe.
    pub const fn safe(why: String) -> Self {
        Self { safe: true, why, from: None }
    }

    /// A step that is not safe before `from`.
    pub const fn unsafe_because(why: String, from: Option<String>) -> Self {
        Self { safe: false, why, from }
    }
}

/// An account in a plan.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlanAccount {
    /// Its name.
    #[schema(value_type = String)]
    pub account: Label,
    /// Whether anything shows that it has the certificate.
    pub shown: bool,
    /// What shows it.
    pub evidence: Vec<PlanEvidence>,
    /// The CA of its newest valid certificate.
    #[schema(value_type = String)]
    pub ca: Label,
    /// The notAfter of that certificate.
    pub not_after: String,
}

/// What shows that an account has the certificate of a CA.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlanEvidence {
    /// `cmp-genm`, `est-cacerts`, `export`, `marked` or `issued`.
    pub kind: String,
    /// When.
    pub at: String,
    /// The administrator who exported the files or said so.
    pub by: Option<String>,
}

/// The last CRL of a CA and scope. A CA without a CRL has one line, of nulls.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CrlLine {
    /// The CA that signs the CRL.
    #[schema(value_type = String)]
    pub ca: Label,
    /// `full`, `delta`, or the number of the partition.
    pub scope: String,
    /// The cRLNumber of the CRL.
    pub number: Option<u64>,
    /// How many entries the CRL has.
    pub entries: Option<u64>,
    /// The thisUpdate of the CRL.
    pub this_update: Option<String>,
    /// The nextUpdate of the CRL.
    pub next_update: Option<String>,
    /// SHA-256 over the CRL's TBSCertList.
    pub tbs_sha256: Option<String>,
}

/// An LDAP directory, and whether it has the entries that it should have.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum DirectoryLine {
    /// No server runs, so that nothing is known of the directory.
    NotRunning {
        /// The name of the directory.
        directory: String,
        /// The text `the server does not run`.
        state: &'static str,
    },
    /// A server runs, and reports the state.
    Running(DirectoryState),
}

/// An LDAP directory as the running server sees it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DirectoryState {
    /// The name of the directory; `built-in` for the built-in directory.
    pub directory: String,
    /// `serves` for the built-in directory. For others `in step` if the directory has the entries that it should have, `behind` if changes
    /// are still to be sent, or `fails`.
    pub state: &'static str,
    /// The URL in use; `None` if no server of the directory has answered.
    pub url: Option<String>,
    /// How many entries the built-in directory has; `None` for others.
    pub entries: Option<usize>,
    /// When the directory last had the entries that it should have.
    pub last_success: Option<String>,
    /// How many operations were carried out on the directory since the start of the server.
    pub operations: Option<u64>,
    /// How many times in a row the directory failed.
    pub failures: Option<u32>,
    /// When the publisher tries again; `None` unless the directory failed.
    pub next_try: Option<String>,
    /// Why the directory failed; `None` if it did not.
    pub error: Option<String>,
}

/// The comparison of a directory with the entries that it should have.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DirectoryReport {
    /// The name of the directory.
    pub directory: String,
    /// The URL of the server that was compared.
    pub url: String,
    /// How many operations were carried out to give the directory the entries that it should have. In a dry run: how many would be.
    pub operations: usize,
    /// The operations that were refused, or cannot be carried out.
    pub problems: Vec<String>,
    /// The operations of a dry run (LDIF, RFC 2849).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ldif: Option<String>,
}

/// The state of the journal and its index.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StoreState {
    /// The number of entries of the journal.
    pub entries: u64,
    /// The size of the journal, in octets.
    pub journal_bytes: u64,
    /// When the last entry was recorded.
    pub last_entry: Option<String>,
    /// Certificates issued since the founding.
    pub certificates: u64,
    /// Entries of the journal that the index on disk covers.
    pub index_applied: u64,
    /// The size of the index on disk, in octets.
    pub index_bytes: u64,
    /// The size of the last signed tree head: the number of entries that it covers.
    pub head_size: Option<u64>,
    /// The root hash of the last tree head.
    pub head_root: Option<String>,
    /// When the last tree head was signed.
    pub head_signed: Option<String>,
}

/// A backup of the journal that was written.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BackupAnswer {
    /// The number of entries of the journal.
    pub entries: u64,
    /// The size of the journal, in octets.
    pub journal_bytes: u64,
    /// SHA-256 over the backup before its last 32 octets, which are this value.
    pub sha256: String,
}

/// An administrator.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AdministratorLine {
    /// The name, which is that of the account, too.
    #[schema(value_type = String)]
    pub name: Label,
    /// What the administrator may do.
    pub grants: Vec<GrantLine>,
    /// The tokens of the administrator's programs.
    pub tokens: Vec<TokenLine>,
    /// When the administrator was recorded.
    pub created: String,
    /// The user of the OpenID provider who is this administrator, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub oidc: Option<OidcUserLine>,
}

/// A user of an OpenID provider.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OidcUserLine {
    /// The issuer.
    pub issuer: String,
    /// The user at the issuer.
    pub subject: String,
}

/// A role.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RoleLine {
    /// The name of the role.
    #[schema(value_type = String)]
    pub role: Label,
    /// What the role is for; `None` for a role of the configuration.
    pub about: Option<String>,
    /// The verbs of the role.
    pub verbs: Vec<String>,
}

/// The right to act in a role.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GrantLine {
    /// The role in which the administrator may act.
    #[schema(value_type = String)]
    pub role: Label,
    /// The issuing CAs for which the grant holds; empty for all.
    #[schema(value_type = Vec<String>)]
    pub cas: BTreeSet<Label>,
    /// Patterns of accounts' names for which the grant holds; empty for all.
    #[schema(value_type = Vec<String>)]
    pub accounts: BTreeSet<String>,
}

/// A token, without its secret.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TokenLine {
    /// The name of the token.
    #[schema(value_type = String)]
    pub name: Label,
    /// The roles that the token may use; empty for all of the administrator's.
    #[schema(value_type = Vec<String>)]
    pub roles: BTreeSet<Label>,
    /// When the token was made.
    pub created: String,
    /// When the token ends.
    pub expires: String,
}

/// An administrator who was just added, with the secret for the first certificate. The secret is shown this once.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct NewAdministratorLine {
    /// The new administrator.
    pub administrator: AdministratorLine,
    /// The account for the administrator's certificate.
    pub account: NewAccountLine,
}

/// An administrator who was removed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RemovedAdministrator {
    /// The name of the removed administrator.
    #[schema(value_type = String)]
    pub administrator: Label,
    /// The account, whose certificates were revoked.
    pub account: RemovedAccount,
    /// A note on what the person may do without the record; `None` where no groups of an OpenID provider have grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
}

/// A token that was just made. Its text is shown this once.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct NewTokenLine {
    /// The name of the administrator.
    #[schema(value_type = String)]
    pub administrator: Label,
    /// The new token.
    #[serde(flatten)]
    pub line: TokenLine,
    /// The text that the program presents, as `Authorization: Bearer …`.
    #[serde(serialize_with = "text_in_clear")]
    #[schema(value_type = String)]
    pub token: Zeroizing<String>,
    /// The warning that the journal does not say who acted; empty if the journal says it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

fn text_in_clear<S: Serializer>(
    text: &Zeroizing<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    text.as_str().serialize(serializer)
}

/// The state of an instance. Monitors rely on `ok` and `findings`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct StatusAnswer {
    /// Whether no finding is an error.
    pub ok: bool,
    /// The findings that an administrator should look at.
    pub findings: Vec<Finding>,
    /// When the state was looked at.
    pub at: String,
    /// Whether the server runs.
    pub running: bool,
    /// The CAs of the instance.
    pub cas: Vec<StatusCa>,
    /// The last CRL of each CA and scope.
    pub crls: Vec<StatusCrl>,
    /// How many certificates there are.
    pub certificates: CertificateCounts,
    /// How many accounts there are.
    pub accounts: AccountCounts,
    /// How many requests are open.
    pub requests: WaitingCounts,
    /// The free space on the disk of the data folder, in octets; `None` if the system does not tell it.
    pub disk_free_bytes: Option<u64>,
    /// When the last backup was made; `None` if none ever was.
    pub last_backup: Option<String>,
    /// The same, for metrics.
    #[serde(skip)]
    pub last_backup_at: Option<Timestamp>,
    /// The directories.
    #[schema(value_type = Vec<DirectoryState>)]
    pub directories: Vec<DirectoryLine>,
    /// `right`, or what is wrong with the clock.
    pub clock: String,
}

/// A CA in [`StatusAnswer`].
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct StatusCa {
    /// The name of the CA.
    #[schema(value_type = String)]
    pub name: Label,
    /// `root` or `issuing`.
    pub kind: String,
    /// Whether the CA's private key is in this instance.
    pub key_here: bool,
    /// Whether the CA's next key issues in its place.
    pub succeeded: bool,
    /// The notAfter of the CA's certificate.
    pub not_after: String,
    /// Whether an administrator retired the CA: it issues no more.
    pub retired: bool,
}

/// A CRL in [`StatusAnswer`].
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct StatusCrl {
    /// The CA that signs the CRL.
    #[schema(value_type = String)]
    pub ca: Label,
    /// `full`, `delta`, or the number of the partition.
    pub scope: String,
    /// The cRLNumber of the CRL.
    pub number: u64,
    /// How many entries the CRL has.
    pub entries: u64,
    /// The nextUpdate of the CRL.
    pub next_update: String,
}

/// The certificates in [`StatusAnswer`]. Those of the instance itself, and those that a renewal has replaced, do not count as ending. At
/// most 10,000 are counted.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CertificateCounts {
    /// How many certificates were ever issued.
    pub issued: u64,
    /// How many certificates end within 14 days.
    pub expiring_14_days: usize,
    /// How many certificates end within 30 days.
    pub expiring_30_days: usize,
    /// How many certificates should have been renewed: a sixth of their validity is left.
    pub overdue: usize,
    /// How many ended within the last 30 days, and their accounts have got no other one since.
    pub missed: usize,
}

/// The accounts in [`StatusAnswer`].
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AccountCounts {
    /// How many accounts there are.
    pub all: usize,
    /// How many accounts are disabled.
    pub disabled: usize,
    /// How many accounts never had a certificate.
    pub never_enrolled: usize,
}

/// The open requests in [`StatusAnswer`].
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct WaitingCounts {
    /// How many requests wait for an administrator.
    pub waiting: usize,
    /// How many requests are approved and wait for their peer.
    pub approved: usize,
    /// When the oldest of those that wait for an administrator came; `None` if none waits.
    pub oldest: Option<String>,
    /// The same, for metrics.
    #[serde(skip)]
    pub oldest_at: Option<Timestamp>,
}

/// A page of a report.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReportPage {
    /// The lines of the page.
    pub items: Vec<ReportLine>,
    /// The cursor to ask for the next page with: how many entries of the journal have been read. `None` on the last page. A page may have
    /// fewer lines than it might, and even none with the cursor that it was asked with, although more follow.
    pub next: Option<u64>,
}

/// A line of a report: what somebody did.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReportLine {
    /// The number of the journal's entry.
    pub sequence: u64,
    /// When it was recorded.
    pub time: String,
    /// Who did it: an account, an administrator, or `instance`.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// The names of the accounts that it is about, at that time.
    pub account: String,
    /// How the actor was authenticated; `None` for the instance, and for local administrators.
    pub proof: Option<String>,
    /// The address that the actor acted from; `None` for the instance, for local administrators, and if it is not recorded.
    pub from: Option<String>,
    /// What exactly was done, for people.
    pub detail: String,
}

/// A receiver of notifications.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ReceiverLine {
    /// Its name in the configuration.
    pub receiver: String,
    /// `webhook` or `mail`.
    pub kind: &'static str,
    /// The host of the webhook, or the addresses of the mail.
    pub to: String,
    /// The mildest severity that it is told of.
    pub severity: Severity,
    /// `never`, `delivered`, `failed`, or that the server does not run.
    pub outcome: String,
    /// How many messages it took since the server started.
    pub delivered: u64,
    /// How many attempts failed since the server started.
    pub failed: u64,
    /// When it last took a message.
    pub last_success: Option<String>,
    /// When the next attempt is, if the last one failed and something is to be told.
    pub next_try: Option<String>,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
}

/// A message that a receiver took.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeliveredTest {
    /// The receiver.
    pub receiver: String,
    /// The identifier of the message.
    pub message: String,
    /// The warning that the journal does not say who acted, if it does not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
