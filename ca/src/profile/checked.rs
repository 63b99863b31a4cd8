//! A checked profile: what certificates of one kind contain (RFC 5280 §4, RFC 4945 §5.1).

use std::time::Duration;

use der::oid::ObjectIdentifier;
use x509_cert::ext::pkix::{KeyUsage, KeyUsages};

use super::url::{PARTITION, filled_url};
use crate::error::{Denial, Error, Result};
use crate::key::{KeyForm, KeyKind};
use crate::oid;
use crate::record::Label;
use crate::x509::Policy;

/// A checked profile: the content of certificates of one kind, and the rules for requests. No later code validates it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub(super) name: Label,
    pub(super) validity: Duration,
    pub(super) keys: Vec<KeyFamily>,
    pub(super) min_rsa_bits: u32,
    pub(super) key_usage: KeyUsage,
    pub(super) extended_key_usage: Vec<ObjectIdentifier>,
    pub(super) for_ike: bool,
    pub(super) subject: String,
    pub(super) replace_in_subject: Vec<ObjectIdentifier>,
    pub(super) path_length: u8,
    pub(super) alt_names: Vec<AltNameKind>,
    pub(super) crl_urls: Vec<String>,
    pub(super) ocsp_urls: Vec<String>,
    pub(super) ca_issuers_urls: Vec<String>,
    pub(super) policies: Vec<Policy>,
    pub(super) approval: bool,
    pub(super) approvals: u8,
    pub(super) supersede: Option<Duration>,
    pub(super) key_form: KeyForm,
}

/// A kind of key without its size: the RSA keys of all sizes are one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyFamily {
    P256,
    P384,
    P521,
    Ed25519,
    Rsa,
}

pub(super) const KEY_FAMILIES: [(&str, KeyFamily); 5] = [
    ("p256", KeyFamily::P256),
    ("p384", KeyFamily::P384),
    ("p521", KeyFamily::P521),
    ("ed25519", KeyFamily::Ed25519),
    ("rsa", KeyFamily::Rsa),
];

/// A kind of identity in the subjectAltName.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AltNameKind {
    /// dNSName.
    Fqdn,
    /// iPAddress.
    Ip,
    /// rfc822Name.
    Email,
}

impl AltNameKind {
    pub(super) const ALL: [(&'static str, Self); 3] =
        [("fqdn", Self::Fqdn), ("ip", Self::Ip), ("email", Self::Email)];
}

impl Profile {
    /// The profile's name.
    pub const fn name(&self) -> &Label {
        &self.name
    }

    /// The longest time from now for which certificates are valid.
    pub const fn validity(&self) -> Duration {
        self.validity
    }

    /// The accepted kinds of key, in the order of the profile. An RSA kind has the smallest accepted modulus, in bits.
    pub fn keys(&self) -> Vec<KeyKind> {
        let kind = |family: &KeyFamily| match family {
            KeyFamily::P256 => KeyKind::P256,
            KeyFamily::P384 => KeyKind::P384,
            KeyFamily::P521 => KeyKind::P521,
            KeyFamily::Ed25519 => KeyKind::Ed25519,
            KeyFamily::Rsa => KeyKind::Rsa(self.min_rsa_bits),
        };
        self.keys.iter().map(kind).collect()
    }

    /// The key usage bits for all kinds of key together; [`Self::key_usage_of`] has those for one kind.
    pub const fn key_usage(&self) -> KeyUsage {
        self.key_usage
    }

    /// Whether a request may have this key usage for a key of this kind. The usage must be a subset of the profile's, and not
    /// empty. If the profile has a signing bit (digitalSignature or nonRepudiation), the subset must have one too: digitalSignature,
    /// which CMP messages need (RFC 9483 §3.2), or in a profile for IKE nonRepudiation (RFC 4945 §5.1.3.2).
    pub fn grants(&self, kind: KeyKind, usage: KeyUsage) -> bool {
        let own = self.key_usage_of(kind).0;
        let signs = |which: KeyUsages| usage.0.contains(which);
        let signing = KeyUsages::DigitalSignature | KeyUsages::NonRepudiation;
        own.contains(usage.0)
            && !usage.0.is_empty()
            && (own.is_disjoint(signing)
                || signs(KeyUsages::DigitalSignature)
                || (self.is_for_ike() && signs(KeyUsages::NonRepudiation)))
    }

    /// The key usage bits for a key of this kind; empty if the profile is for no use of such a key. An RSA key cannot do key
    /// agreement (RFC 3279 §2.3.1), an EC key cannot encipher keys (RFC 5480 §3), and an Ed25519 key can only sign (RFC 8410 §5).
    pub fn key_usage_of(&self, kind: KeyKind) -> KeyUsage {
        let never = match kind {
            KeyKind::Rsa(_) => KeyUsages::KeyAgreement.into(),
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => KeyUsages::KeyEncipherment.into(),
            KeyKind::Ed25519 => KeyUsages::KeyEncipherment | KeyUsages::KeyAgreement,
        };
        KeyUsage(self.key_usage.0 - never)
    }

    /// The extended key usages. If empty, certificates have no such extension.
    pub fn extended_key_usage(&self) -> &[ObjectIdentifier] {
        &self.extended_key_usage
    }

    /// The template of the subject, with `{id}` and `{name}`; empty for an empty subject.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether a value of this attribute type that differs from the account's, in a requested subject, is replaced instead of refused.
    pub fn replaces(&self, attribute: &ObjectIdentifier) -> bool {
        self.replace_in_subject.contains(attribute)
    }

    /// The pathLenConstraint of the cross certificates that are issued under this profile.
    pub const fn path_length(&self) -> u8 {
        self.path_length
    }

    /// Whether the subjectAltName may contain identities of this kind.
    pub fn takes(&self, kind: AltNameKind) -> bool {
        self.alt_names.contains(&kind)
    }

    /// The URLs of the CRL distribution points of a certificate that this CA issues in this partition. Without a partition, those whose
    /// templates name one are left out.
    pub fn crl_urls(&self, ca: &Label, partition: Option<u16>) -> Vec<String> {
        self.crl_urls.iter().filter_map(|url| filled_url(url, ca, partition)).collect()
    }

    /// The templates of distribution points that name a partition, with `{ca}` and `{partition}`.
    pub fn partition_urls(&self) -> impl Iterator<Item = &String> {
        self.crl_urls.iter().filter(|url| url.contains(PARTITION))
    }

    /// Whether a template of a CRL distribution point names a partition.
    pub fn names_partition(&self) -> bool {
        self.partition_urls().next().is_some()
    }

    /// The URLs of the OCSP responders for certificates that this CA issues.
    pub fn ocsp_urls(&self, ca: &Label) -> Vec<String> {
        self.ocsp_urls.iter().map(|url| url.replace("{ca}", ca.as_str())).collect()
    }

    /// The URLs of this CA's certificate.
    pub fn ca_issuers_urls(&self, ca: &Label) -> Vec<String> {
        self.ca_issuers_urls.iter().map(|url| url.replace("{ca}", ca.as_str())).collect()
    }

    /// The certificate policies.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// How many people must approve a request, if it needs approval.
    pub const fn approvals(&self) -> u8 {
        self.approvals
    }

    /// How long after a renewal is confirmed the certificate that it replaced is revoked; `None` if it is not.
    pub const fn supersede(&self) -> Option<Duration> {
        self.supersede
    }

    /// Whether an administrator must approve each request.
    pub const fn needs_approval(&self) -> bool {
        self.approval
    }

    /// The form in which private keys that the authority generates are handed over.
    pub const fn key_form(&self) -> KeyForm {
        self.key_form
    }

    /// Whether the certificates are those of registration authorities (id-kp-cmcRA, RFC 6402 §2.10).
    pub fn is_for_registrars(&self) -> bool {
        self.extended_key_usage.contains(&oid::CMC_RA)
    }

    /// Whether IKE daemons present the certificates. If so, the rules of RFC 4945 apply.
    pub const fn is_for_ike(&self) -> bool {
        self.for_ike
    }

    /// Checks the kind and the size of a key.
    ///
    /// # Errors
    /// `Denied` that lists the accepted kinds: with [`Denial::Algorithm`] if the kind is not accepted, with
    /// [`Denial::KeySize`] if an RSA key is too short.
    pub fn check_key(&self, key: KeyKind) -> Result<()> {
        let family = match key {
            KeyKind::P256 => KeyFamily::P256,
            KeyKind::P384 => KeyFamily::P384,
            KeyKind::P521 => KeyFamily::P521,
            KeyKind::Ed25519 => KeyFamily::Ed25519,
            KeyKind::Rsa(_) => KeyFamily::Rsa,
        };
        let too_small = matches!(key, KeyKind::Rsa(bits) if bits < self.min_rsa_bits);
        let denial = match self.keys.contains(&family) {
            true if !too_small => return Ok(()),
            true => Denial::KeySize,
            false => Denial::Algorithm,
        };
        let taken: Vec<String> = KEY_FAMILIES
            .iter()
            .filter(|(_, family)| self.keys.contains(family))
            .map(|(name, family)| match family {
                KeyFamily::Rsa => format!("rsa of {} bits or more", self.min_rsa_bits),
                _ => (*name).to_owned(),
            })
            .collect();
        Err(Error::denied(
            denial,
            format!("the profile `{}` takes keys of {}, found {key}", self.name, taken.join(", ")),
        ))
    }
}
