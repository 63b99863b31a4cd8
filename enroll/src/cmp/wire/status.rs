//! PKIStatusInfo: whether a request was granted (RFC 9810 §5.2.3).

use der::Sequence;
use der::asn1::BitString;

use super::refusal::Refusal;

/// accepted: the certificate is as requested.
pub const ACCEPTED: u8 = 0;
/// grantedWithMods: the CA changed something; the certificate and statusString show what.
pub const GRANTED_WITH_MODS: u8 = 1;
/// rejection: the request was refused.
pub const REJECTION: u8 = 2;
/// waiting: the CA has not decided yet, and the peer is to poll.
pub const WAITING: u8 = 3;
/// revocationNotification: the certificate was revoked.
pub const REVOCATION_NOTIFICATION: u8 = 5;

/// Whether a request was granted, and why not (RFC 9810 §5.2.3).
///
/// ```text
/// PKIStatusInfo ::= SEQUENCE {
///     status        PKIStatus,
///     statusString  PKIFreeText     OPTIONAL,
///     failInfo      PKIFailureInfo  OPTIONAL }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct PkiStatusInfo {
    /// The status, such as [`ACCEPTED`].
    pub status: u8,
    /// Text for people.
    pub status_string: Option<Vec<String>>,
    /// The bits that say why the request was refused.
    pub fail_info: Option<BitString>,
}

impl PkiStatusInfo {
    /// The status of a granted request; with modifications if `changes` names some.
    pub fn granted(changes: &[String]) -> Self {
        let status = if changes.is_empty() { ACCEPTED } else { GRANTED_WITH_MODS };
        Self {
            status,
            status_string: (!changes.is_empty()).then(|| changes.to_vec()),
            fail_info: None,
        }
    }

    /// The status of a request that was granted as asked, with a text for people.
    pub fn accepted(text: String) -> Self {
        Self { status: ACCEPTED, status_string: Some(vec![text]), fail_info: None }
    }

    /// The status of a request that is not decided yet. `why` is the text for people.
    pub fn waiting(why: String) -> Self {
        Self { status: WAITING, status_string: Some(vec![why]), fail_info: None }
    }

    /// The status of a refused request, with the refusal's text and failInfo bit.
    pub fn refused(refusal: &Refusal) -> der::Result<Self> {
        Ok(Self {
            status: REJECTION,
            status_string: Some(vec![refusal.text.clone()]),
            fail_info: Some(refusal.failure.bits()?),
        })
    }
}
