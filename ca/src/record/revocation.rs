//! Revocations and holds of certificates.

use std::fmt;
use std::str::FromStr;

use super::serial::Serial;
use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// The reason of a revocation or hold, with its CRLReason number.
///
/// ```text
/// CRLReason ::= ENUMERATED { unspecified (0), keyCompromise (1), cACompromise (2), affiliationChanged (3),
///     superseded (4), cessationOfOperation (5), certificateHold (6), removeFromCRL (8), privilegeWithdrawn (9),
///     aACompromise (10) }
/// ```
/// RFC 5280 §5.3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, der::Enumerated)]
#[repr(u8)]
pub enum Reason {
    /// No reason is given. The CRL entry then has no reasonCode.
    Unspecified = 0,
    /// The private key of the certificate's subject is compromised.
    KeyCompromise = 1,
    /// The private key of the CA is compromised.
    CaCompromise = 2,
    /// The subject's name or other data changed.
    AffiliationChanged = 3,
    /// Another certificate replaces the revoked one.
    Superseded = 4,
    /// The certificate is no longer needed.
    CessationOfOperation = 5,
    /// The certificate is suspended. It can be released, or revoked for good.
    CertificateHold = 6,
    /// The certificate leaves the CRL again. This occurs in delta CRLs only.
    RemoveFromCrl = 8,
    /// A privilege in the certificate was withdrawn.
    PrivilegeWithdrawn = 9,
    /// The private key of an attribute authority is compromised.
    AaCompromise = 10,
}

impl Reason {
    /// Every reason, with its name in RFC 5280.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Unspecified, "unspecified"),
        (Self::KeyCompromise, "keyCompromise"),
        (Self::CaCompromise, "cACompromise"),
        (Self::AffiliationChanged, "affiliationChanged"),
        (Self::Superseded, "superseded"),
        (Self::CessationOfOperation, "cessationOfOperation"),
        (Self::CertificateHold, "certificateHold"),
        (Self::RemoveFromCrl, "removeFromCRL"),
        (Self::PrivilegeWithdrawn, "privilegeWithdrawn"),
        (Self::AaCompromise, "aACompromise"),
    ];

    /// The reason with this CRLReason number; `None` if there is none.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().map(|(reason, _)| reason).find(|reason| *reason as u8 == number)
    }

    /// The reason's name in RFC 5280.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(reason, _)| *reason == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads a reason's name in RFC 5280, ignoring case.
impl FromStr for Reason {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text))
            .map(|(reason, _)| reason)
            .ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.iter().map(|(_, name)| *name).collect();
                Error::malformed(format!(
                    "expected one of {}, found `{}`",
                    names.join(", "),
                    text.escape_debug()
                ))
            })
    }
}

/// The revocation or hold of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The revocation date: when the authority revoked or held the certificate.
    pub at: Timestamp,
    /// The reason. A certificate with the reason `CertificateHold` can be released.
    pub reason: Reason,
    /// When the key is thought to have been compromised (invalidityDate, RFC 5280 §5.3.2); `None` if no earlier date is
    /// known.
    pub invalidity: Option<Timestamp>,
}

/// A certificate that belongs on a CRL: revoked, held, or, for a delta CRL, released from hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedEntry {
    /// The certificate's serial number.
    pub serial: Serial,
    /// The end of the certificate's validity. After that it may leave the CRL.
    pub not_after: Timestamp,
    /// The CRL partition that the certificate names; `None` if it names none.
    pub partition: Option<u16>,
    /// The revocation or hold.
    pub revocation: Revocation,
}
