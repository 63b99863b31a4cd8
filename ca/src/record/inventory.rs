//! Questions about certificates: which ones a list shows, in which order, and from where on.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::account::{Account, OWN_ACCOUNT_PREFIX};
use super::certificate::{CertificateRecord, Issued};
use super::label::Label;
use super::remarks::AccountLabel;
use super::revocation::Reason;
use super::search::{SearchKey, fingerprint};
use super::serial::Serial;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::name::{Identity, Name, same_name};
use crate::x509::Facts;

/// The status of a certificate at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateStatus {
    /// Not revoked, not expired, and confirmed by its holder if that was required.
    Valid,
    /// Not confirmed by its holder (certConf).
    Unconfirmed,
    /// On hold (certificateHold).
    Held,
    /// Revoked for good.
    Revoked,
    /// Expired.
    Expired,
}

impl CertificateRecord {
    /// The certificate's status at `now`. A revoked certificate stays revoked when it expires.
    pub fn status(&self, now: Timestamp) -> CertificateStatus {
        match &self.revocation {
            Some(revocation) if revocation.reason == Reason::CertificateHold => {
                CertificateStatus::Held
            }
            Some(_) => CertificateStatus::Revoked,
            None if self.not_after < now => CertificateStatus::Expired,
            None if !self.confirmed => CertificateStatus::Unconfirmed,
            None => CertificateStatus::Valid,
        }
    }
}

/// The order of a list. Certificates that are equal in it follow in the order of issue, or in its reverse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ListOrder {
    /// The order of issue.
    #[default]
    Issued,
    /// The certificate that was issued last comes first.
    IssuedReversed,
    /// The certificate whose validity ends first comes first.
    Expires,
    /// The certificate whose validity ends last comes first.
    ExpiresReversed,
}

/// The place of a certificate in a list. A page begins after such a place. The text form is opaque to users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListPlace {
    /// The end of the certificate's validity.
    pub not_after: Timestamp,
    /// The journal offset of the certificate's entry.
    pub offset: u64,
}

impl fmt::Display for ListPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.offset, self.not_after.millis())
    }
}

impl FromStr for ListPlace {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text
            .split_once('.')
            .and_then(|(offset, not_after)| Some((offset.parse().ok()?, not_after.parse().ok()?)));
        let (offset, not_after) = parts.ok_or_else(|| {
            Error::malformed(format!(
                "expected the cursor of a page, as the page before names it, found `{}`",
                text.escape_debug()
            ))
        })?;
        Ok(Self { not_after: Timestamp::from_millis(not_after), offset })
    }
}

/// The first digits of serial numbers: at least four hexadecimal digits. Leading zeros of a serial number may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialPrefix(String);

impl SerialPrefix {
    /// The digits that an index has of each serial number, not counting leading zeros.
    const DIGITS: usize = 4;

    /// Whether a serial number begins with these digits, with or without its leading zeros.
    pub fn matches(&self, serial: &Serial) -> bool {
        let digits = serial.to_string();
        digits.starts_with(&self.0) || digits.trim_start_matches('0').starts_with(&self.0)
    }
}

impl FromStr for SerialPrefix {
    type Err = Error;

    /// Reads digits in upper or lower case, with or without colons.
    fn from_str(text: &str) -> Result<Self> {
        let digits: String =
            text.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
        let counted = digits.trim_start_matches('0').len();
        if digits.len() > 40
            || counted < Self::DIGITS
            || !digits.chars().all(|c| c.is_ascii_hexdigit())
        {
            return Err(Error::malformed(format!(
                "expected the first {} to 40 hexadecimal digits of a serial number, not counting zeros before them, found `{}`",
                Self::DIGITS,
                text.escape_debug()
            )));
        }
        Ok(Self(digits))
    }
}

/// A property of certificates that the index knows besides the search keys. Many certificates share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Facet {
    /// The issuing CA.
    Ca(Label),
    /// The profile under which the certificate was issued.
    Profile(Label),
    /// The first digits of the serial number, without leading zeros.
    Serial(String),
}

impl Facet {
    /// The facets of a certificate.
    pub fn of(issued: &Issued) -> [Self; 3] {
        [
            Self::Ca(issued.ca.clone()),
            Self::Profile(issued.profile.clone()),
            Self::Serial(first_digits(&issued.serial.to_string())),
        ]
    }

    /// A number for the kind and the value of the facet, as [`SearchKey::fingerprint`]. The kinds differ from those of search keys.
    pub(crate) fn fingerprint(&self) -> u64 {
        match self {
            Self::Ca(name) => fingerprint(16, name.as_str().as_bytes()),
            Self::Profile(name) => fingerprint(17, name.as_str().as_bytes()),
            Self::Serial(digits) => fingerprint(18, digits.as_bytes()),
        }
    }
}

fn first_digits(digits: &str) -> String {
    digits.trim_start_matches('0').chars().take(SerialPrefix::DIGITS).collect()
}

/// A question about accounts. Every condition that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct AccountQuery {
    /// The first characters of the name.
    pub prefix: Option<String>,
    /// The profile of the account.
    pub profile: Option<Label>,
    /// The issuing CA that the account names.
    pub ca: Option<Label>,
    /// A label.
    pub label: Option<AccountLabel>,
    /// An identity that the account holds.
    pub identity: Option<Identity>,
    /// Whether the account is disabled.
    pub is_disabled: Option<bool>,
}

impl AccountQuery {
    /// Whether an account belongs to the answer.
    pub(crate) fn includes(&self, account: &Account) -> bool {
        let Self { prefix, profile, ca, label, identity, is_disabled } = self;
        prefix.as_ref().is_none_or(|prefix| account.name.as_str().starts_with(prefix))
            && profile.as_ref().is_none_or(|profile| account.profile == *profile)
            && ca.as_ref().is_none_or(|ca| account.ca.as_ref() == Some(ca))
            && label.as_ref().is_none_or(|label| account.has_label(label))
            && identity.as_ref().is_none_or(|identity| account.held(identity).is_some())
            && is_disabled.is_none_or(|is_disabled| account.is_disabled == is_disabled)
    }
}

/// A question about certificates. Every condition that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct CertificateQuery {
    /// The issuing CA.
    pub ca: Option<Label>,
    /// The profile under which the certificate was issued.
    pub profile: Option<Label>,
    /// The name of the account.
    pub account: Option<Label>,
    /// A label of the account that the certificate was issued to, as it is now.
    pub label: Option<AccountLabel>,
    /// A name in the certificate.
    pub key: Option<SearchKey>,
    /// The whole subject, beside a `key` of it.
    pub subject: Option<Name>,
    /// The first digits of the serial number.
    pub serial: Option<SerialPrefix>,
    /// When the validity ends.
    pub expires: Option<Range<Timestamp>>,
    /// When the certificate was recorded.
    pub issued: Option<Range<Timestamp>>,
    /// The status at `now`.
    pub status: Option<CertificateStatus>,
    /// Whether certificates are left out that are revoked for good, or that a renewal has replaced.
    pub current: bool,
    /// Whether the instance's own signers and servers are left out, which it renews itself.
    pub peers: bool,
    /// The moment of the question.
    pub now: Timestamp,
    /// The order of the answer.
    pub order: ListOrder,
}

impl CertificateQuery {
    /// The facets and search keys that every certificate of the answer has, as fingerprints.
    pub(crate) fn fingerprints(&self) -> Vec<u64> {
        let facets = [
            self.ca.clone().map(Facet::Ca),
            self.profile.clone().map(Facet::Profile),
            self.serial.as_ref().map(|prefix| Facet::Serial(first_digits(&prefix.0))),
        ];
        let facets = facets.iter().flatten().map(Facet::fingerprint);
        facets.chain(self.key.as_ref().map(SearchKey::fingerprint)).collect()
    }

    /// The range in which the validity of every certificate of the answer ends.
    pub(crate) fn ends(&self) -> Range<Timestamp> {
        let all = Timestamp::from_millis(i64::MIN)..Timestamp::from_millis(i64::MAX);
        let asked = self.expires.clone().unwrap_or_else(|| all.clone());
        let by_status = match self.status {
            Some(CertificateStatus::Expired) => all.start..self.now,
            Some(CertificateStatus::Valid | CertificateStatus::Unconfirmed) => self.now..all.end,
            Some(CertificateStatus::Held | CertificateStatus::Revoked) | None => all,
        };
        asked.start.max(by_status.start)..asked.end.min(by_status.end)
    }

    /// Whether a certificate fulfils the conditions. `current` and `label` are not checked, because a record does not contain them.
    pub(crate) fn includes(&self, record: &CertificateRecord) -> bool {
        let Self { ca, profile, account, key, serial, expires, issued, .. } = self;
        ca.as_ref().is_none_or(|ca| record.ca == *ca)
            && profile.as_ref().is_none_or(|profile| record.profile == *profile)
            && account.as_ref().is_none_or(|account| record.account == *account)
            && !(self.peers && record.account.as_str().starts_with(OWN_ACCOUNT_PREFIX))
            && serial.as_ref().is_none_or(|prefix| prefix.matches(&record.serial))
            && expires.as_ref().is_none_or(|range| range.contains(&record.not_after))
            && issued.as_ref().is_none_or(|range| range.contains(&record.issued))
            && self.status.is_none_or(|status| record.status(self.now) == status)
            && key.as_ref().is_none_or(|key| SearchKey::of(&record.certificate).contains(key))
            && self.subject.as_ref().is_none_or(|subject| {
                Facts::of(&record.certificate).is_ok_and(|facts| same_name(&facts.subject, subject))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_matches_with_and_without_leading_zeros() {
        let prefix = |text: &str| text.parse::<SerialPrefix>();
        let serial = |text: &str| text.parse::<Serial>().unwrap();
        assert!(prefix("12:AB").unwrap().matches(&serial("12abffffffffffffffffffffffffffff")));
        assert!(prefix("1000").unwrap().matches(&serial("1000")));
        assert!(prefix("00001000").unwrap().matches(&serial("00001000ffffffffffffffffffffffff")));
        assert!(!prefix("1001").unwrap().matches(&serial("1000")));
        for wrong in ["", "123", "00123", "12g4", &"1".repeat(41)] {
            assert!(prefix(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place = ListPlace { not_after: Timestamp::from_millis(-5), offset: 77 };
        assert_eq!(place.to_string().parse::<ListPlace>().unwrap(), place);
        assert!("77".parse::<ListPlace>().is_err());
    }
}
