//! Why there is no valid path.

/// Why there is no valid path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Not a certificate as RFC 5280 §4 has it.
    #[error("the certificate cannot be read: {0}")]
    Malformed(String),
    /// No certificate leads further towards an anchor.
    #[error(
        "expected a path to a trust anchor, found none: nobody known issued `{certificate}`; its issuer is `{issuer}`"
    )]
    NoIssuer {
        /// The last certificate's subject.
        certificate: String,
        /// Its issuer's name.
        issuer: String,
    },
    /// A certificate, or what stands above it, does not allow the path.
    #[error("the certificate `{certificate}` is refused: {why}")]
    Refused {
        /// Its subject.
        certificate: String,
        /// What was expected and found, with the section of RFC 5280.
        why: String,
    },
    /// The certificates lead to more paths than are tried.
    #[error("no path was found within {0} steps; send only the certificates of one path")]
    TooMuch(usize),
    /// The names in the certificates are too long, and too many.
    #[error(
        "names and name constraints of more than {0} octets would have to be compared; send only the certificates of one path"
    )]
    TooLong(usize),
}
