//! The reasons why there is no valid path.

/// The reason why there is no valid path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The input is not a certificate of RFC 5280 §4.
    #[error("the certificate cannot be read: {0}")]
    Malformed(String),
    /// No known certificate issued the last certificate of the path, counted from the peer's.
    #[error(
        "expected a path to a trust anchor, found none: nobody known issued `{certificate}`; its issuer is `{issuer}`"
    )]
    NoIssuer {
        /// The last certificate's subject.
        certificate: String,
        /// The last certificate's issuer.
        issuer: String,
    },
    /// A certificate of the path, or the anchor, is not valid, or does not permit the path.
    #[error("the certificate `{certificate}` is refused: {why}")]
    Refused {
        /// The certificate's subject.
        certificate: String,
        /// What was expected and what was found, with the section of RFC 5280.
        why: String,
    },
    /// More certificates or signatures would have to be tried than the budget for one path allows. The number is that
    /// bound.
    #[error("no path was found within {0} steps; send only the certificates of one path")]
    TooMuch(usize),
    /// More octets of names would have to be compared than the budget for one path allows. The number is that bound.
    #[error(
        "names and name constraints of more than {0} octets would have to be compared; send only the certificates of one path"
    )]
    TooLong(usize),
}
