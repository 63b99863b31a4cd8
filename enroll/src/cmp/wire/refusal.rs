//! Why a request is refused, in CMP's terms, and the one mapping from the authority's errors to PKIFailureInfo.

use countersign_ca::{Denial, Error};
use der::asn1::BitString;

pub use crate::legible::legible;

/// The names of the bits in PKIFailureInfo, in their order (RFC 9810 §5.2.3).
///
/// ```text
/// PKIFailureInfo ::= BIT STRING { badAlg (0), badMessageCheck (1), … }
/// ```
const NAMES: [&str; 27] = [
    "badAlg",
    "badMessageCheck",
    "badRequest",
    "badTime",
    "badCertId",
    "badDataFormat",
    "wrongAuthority",
    "incorrectData",
    "missingTimeStamp",
    "badPOP",
    "certRevoked",
    "certConfirmed",
    "wrongIntegrity",
    "badRecipientNonce",
    "timeNotAvailable",
    "unacceptedPolicy",
    "unacceptedExtension",
    "addInfoNotAvailable",
    "badSenderNonce",
    "badCertTemplate",
    "signerNotTrusted",
    "transactionIdInUse",
    "unsupportedVersion",
    "notAuthorized",
    "systemUnavail",
    "systemFailure",
    "duplicateCertReq",
];

/// The names of the bits that are set in a failInfo. Bits without a name are left out.
pub fn failure_names(bits: &BitString) -> Vec<&'static str> {
    let set = bits.bits().zip(NAMES);
    set.filter(|(set, _)| *set).map(|(_, name)| name).collect()
}

/// The reasons for which this server refuses a request. The discriminant is the number of the bit in PKIFailureInfo (RFC 9810 §5.2.3).
///
/// Three bits are never set: timeNotAvailable, which is for time stamping; unacceptedPolicy, because no request asks for policies; and
/// duplicateCertReq, because a peer that lost an answer must be able to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(clippy::enum_variant_names, reason = "systemFailure is the name of the bit")]
pub enum Failure {
    /// badAlg: the algorithm is unknown or not supported.
    BadAlg = 0,
    /// badMessageCheck: the protection is missing, or does not verify.
    BadMessageCheck = 1,
    /// badRequest: the transaction is not permitted, or not supported.
    BadRequest = 2,
    /// badTime: messageTime is too far from the server's time.
    BadTime = 3,
    /// badCertId: no certificate matches.
    BadCertId = 4,
    /// badDataFormat: the data has the wrong format.
    BadDataFormat = 5,
    /// wrongAuthority: the message names another authority.
    WrongAuthority = 6,
    /// incorrectData: the requester's data is incorrect.
    IncorrectData = 7,
    /// missingTimeStamp: messageTime is missing, and is required.
    MissingTimeStamp = 8,
    /// badPOP: the proof of possession failed.
    BadPop = 9,
    /// certRevoked: the certificate is revoked already.
    CertRevoked = 10,
    /// certConfirmed: the certificate is confirmed already.
    CertConfirmed = 11,
    /// wrongIntegrity: the protection is of the wrong kind, such as a MAC instead of a signature.
    WrongIntegrity = 12,
    /// badRecipientNonce: recipNonce is missing or wrong.
    BadRecipientNonce = 13,
    /// unacceptedExtension: a requested extension is not accepted.
    UnacceptedExtension = 16,
    /// addInfoNotAvailable: information that is needed is not available.
    AddInfoNotAvailable = 17,
    /// badSenderNonce: senderNonce is missing, too short, or was used before.
    BadSenderNonce = 18,
    /// badCertTemplate: the template is invalid, or lacks a field.
    BadCertTemplate = 19,
    /// signerNotTrusted: the signer is unknown or not trusted.
    SignerNotTrusted = 20,
    /// transactionIdInUse: the transactionID is in use.
    TransactionIdInUse = 21,
    /// unsupportedVersion: pvno is not supported.
    UnsupportedVersion = 22,
    /// notAuthorized: the sender is not authorized for this request.
    NotAuthorized = 23,
    /// systemUnavail: the service is unavailable; the peer may ask again later.
    SystemUnavail = 24,
    /// systemFailure: the service failed.
    SystemFailure = 25,
}

impl Failure {
    /// PKIFailureInfo with this one bit. It ends with that bit, as a named bit list in DER does (X.690 §11.2.2).
    pub fn bits(self) -> der::Result<BitString> {
        let bit = usize::from(self as u8);
        let mut octets = vec![0; bit / 8 + 1];
        let unused = 7 - bit % 8;
        if let Some(last) = octets.last_mut() {
            *last = 1 << unused;
        }
        BitString::new(u8::try_from(unused).unwrap_or(0), octets)
    }
}

/// A refusal, as the peer reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The failInfo bit.
    pub failure: Failure,
    /// The statusString, for the peer's operator.
    pub text: String,
}

impl Refusal {
    /// A refusal with its reason, which [`legible`] makes safe to show.
    pub fn new(failure: Failure, text: impl Into<String>) -> Self {
        Self { failure, text: legible(&text.into()) }
    }
}

/// Makes a refusal (`badDataFormat`) of the reason why something, such as "a CertReqMsg", cannot be decoded.
pub fn malformed(what: &str) -> impl Fn(der::Error) -> Refusal + '_ {
    move |e| Refusal::new(Failure::BadDataFormat, format!("expected {what}: {e}"))
}

/// Makes a refusal (`systemFailure`) of the reason why an answer cannot be encoded, which is a fault of this program.
pub fn encoding_failed(error: der::Error) -> Refusal {
    Refusal::from(Error::internal(format!("an answer cannot be encoded: {error}")))
}

/// Maps an error of the authority to a refusal. The reason of a fault that only the server's operator can mend goes to the log; the peer
/// learns only that the fault is not its own.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Malformed(why) => Self::new(Failure::BadDataFormat, why),
            Error::Unauthenticated(why) => Self::new(Failure::BadMessageCheck, why),
            Error::Denied { kind, why } => Self::new(failure_of(kind), why),
            Error::Unavailable(why) => {
                tracing::error!("refused, though it may be asked again later: {why}");
                Self::new(Failure::SystemUnavail, "the service cannot do this now; try again later")
            }
            Error::Internal(why) => {
                tracing::error!("refused by a fault of ours: {why}");
                Self::new(
                    Failure::SystemFailure,
                    "the service failed; its administrator finds the reason in the log",
                )
            }
        }
    }
}

/// The failInfo bit for a denial by the authority.
fn failure_of(kind: Denial) -> Failure {
    match kind {
        Denial::NotAuthorized => Failure::NotAuthorized,
        // The same as for a wrong secret, so that a guesser learns neither that the reference exists nor that it is locked.
        Denial::Locked => Failure::BadMessageCheck,
        // The algorithm of the key is known, but no profile certifies the key: the template must change.
        Denial::Template | Denial::KeySize => Failure::BadCertTemplate,
        Denial::Algorithm => Failure::BadAlg,
        Denial::ProofOfPossession => Failure::BadPop,
        Denial::NoSuchCertificate => Failure::BadCertId,
        Denial::AlreadyRevoked => Failure::CertRevoked,
        Denial::AlreadyConfirmed => Failure::CertConfirmed,
        Denial::TransactionInUse => Failure::TransactionIdInUse,
        Denial::SignerNotTrusted => Failure::SignerNotTrusted,
        Denial::Conflict => Failure::BadRequest,
        Denial::TooMany => Failure::SystemUnavail,
    }
}

#[cfg(test)]
mod tests {
    use der::Encode;

    use super::*;
    use crate::legible::MAX_TEXT;

    #[test]
    fn bits_are_encoded_as_openssl_reads_them() {
        // Octets from RFC 9810's bit numbers; `openssl asn1parse` and `openssl cmp` agree.
        assert_eq!(Failure::BadAlg.bits().unwrap().to_der().unwrap(), [0x03, 0x02, 0x07, 0x80]);
        assert_eq!(
            Failure::BadPop.bits().unwrap().to_der().unwrap(),
            [0x03, 0x03, 0x06, 0x00, 0x40]
        );
        assert_eq!(
            Failure::TransactionIdInUse.bits().unwrap().to_der().unwrap(),
            [0x03, 0x04, 0x02, 0, 0, 0x04]
        );
        assert_eq!(
            Failure::SystemFailure.bits().unwrap().to_der().unwrap(),
            [0x03, 0x05, 0x06, 0, 0, 0, 0x40]
        );
    }

    #[test]
    fn each_bit_stands_where_rfc_9810_puts_it() {
        for (failure, bit) in [
            (Failure::BadAlg, 0),
            (Failure::BadMessageCheck, 1),
            (Failure::BadRequest, 2),
            (Failure::BadTime, 3),
            (Failure::BadCertId, 4),
            (Failure::BadDataFormat, 5),
            (Failure::WrongAuthority, 6),
            (Failure::IncorrectData, 7),
            (Failure::MissingTimeStamp, 8),
            (Failure::BadPop, 9),
            (Failure::CertRevoked, 10),
            (Failure::CertConfirmed, 11),
            (Failure::WrongIntegrity, 12),
            (Failure::BadRecipientNonce, 13),
            (Failure::UnacceptedExtension, 16),
            (Failure::AddInfoNotAvailable, 17),
            (Failure::BadSenderNonce, 18),
            (Failure::BadCertTemplate, 19),
            (Failure::SignerNotTrusted, 20),
            (Failure::TransactionIdInUse, 21),
            (Failure::UnsupportedVersion, 22),
            (Failure::NotAuthorized, 23),
            (Failure::SystemUnavail, 24),
            (Failure::SystemFailure, 25),
        ] {
            let der = failure.bits().unwrap().to_der().unwrap();
            let (unused, octets) = (usize::from(der[2]), &der[3..]);
            let set: Vec<usize> = (0..octets.len() * 8)
                .filter(|bit| octets[bit / 8] & (0x80 >> (bit % 8)) != 0)
                .collect();
            assert_eq!(set, [bit], "{failure:?}");
            assert_eq!(format!("{failure:?}").to_lowercase(), NAMES[bit].to_lowercase());
            assert_eq!(failure_names(&failure.bits().unwrap()), [NAMES[bit]]);
            // X.690 §11.2.2: a named bit list ends with its last bit that is set.
            assert_eq!(octets.len() * 8 - unused, bit + 1, "{failure:?}");
        }
    }

    #[test]
    fn a_peers_words_cannot_forge_a_log_line_or_turn_the_text_around() {
        let refusal =
            Refusal::new(Failure::BadRequest, "a\nINFO granted \u{1b}[31m\u{202e}x\u{0}\u{e4}");
        assert_eq!(refusal.text, "a\\u{a}INFO granted \\u{1b}[31m\\u{202e}x\\u{0}\u{e4}");
        let long = Refusal::new(Failure::BadRequest, "x".repeat(100_000)).text;
        assert_eq!(long.chars().count(), MAX_TEXT + 1);
    }

    #[test]
    fn inner_details_stay_inside() {
        for error in
            [Error::unavailable("`/srv/data`: no space left"), Error::internal("index at 0x17")]
        {
            let refusal = Refusal::from(error);
            assert!(!refusal.text.contains("/srv") && !refusal.text.contains("0x17"));
        }
    }
}
