//! The names of certificates.

use std::fmt;

use super::label::Label;
use super::serial::Serial;

/// The name of one certificate of this instance. A serial number is unique only for its CA (RFC 5280 §4.1.2.2), so
/// neither field alone names a certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateId {
    /// The CA that issued the certificate.
    pub ca: Label,
    /// The certificate's serial number.
    pub serial: Serial,
}

impl CertificateId {
    /// The certificate with this serial number that this CA issued.
    pub const fn new(ca: Label, serial: Serial) -> Self {
        Self { ca, serial }
    }
}

/// Writes `CA/SERIAL`, with the serial number in 32 hexadecimal digits.
impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ca, self.serial)
    }
}
