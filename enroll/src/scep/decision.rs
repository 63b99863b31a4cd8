//! The decisions about messages.

/// The decision about a message that is not refused.
pub enum Decision {
    /// The request waits for an administrator.
    Pending,
    /// The certificate of a request, and those of its CA and above it, root last.
    Issued {
        /// The certificate, DER.
        certificate: Vec<u8>,
        /// The CA certificates above the certificate, DER.
        chain: Vec<Vec<u8>>,
    },
    /// A certificate that was asked for by its serial number, DER.
    Certificate(Vec<u8>),
    /// A CRL, DER.
    Crl(Vec<u8>),
}
