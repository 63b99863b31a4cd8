//! CertRep (RFC 8894 §3.3.2): the answer to a pkiMessage.

use countersign_ca::Error;
use countersign_ca::authority::Delegate;

use super::message::Transaction;
use super::oid;
use super::refusal::Refusal;
use super::signed::{self, Digest, attribute, printable};
use crate::ber::{OCTET_STRING, encode};

/// UTF8String.
const UTF8_STRING: u8 = 0x0c;
/// The messageType of every answer.
const CERT_REP: &[u8] = b"3";

/// The result of a message.
#[derive(Debug)]
pub enum Status<'a> {
    /// SUCCESS (0): the ContentInfo of an EnvelopedData.
    Success(Vec<u8>),
    /// FAILURE (2).
    Failure(&'a Refusal),
    /// PENDING (3).
    Pending,
}

/// Makes a CertRep, signed by the delegate. `nonce` is its senderNonce.
///
/// A FAILURE and a PENDING have a content of no octets: certmonger and PyScep do not read an answer without a content.
///
/// # Errors
/// [`Error::Internal`] if it cannot be signed or encoded.
pub fn cert_rep(
    signer: &Delegate,
    transaction: &Transaction,
    status: &Status<'_>,
    nonce: [u8; 16],
) -> Result<Vec<u8>, Error> {
    let (number, content): (&[u8], &[u8]) = match status {
        Status::Success(content) => (b"0", content),
        Status::Failure(_) => (b"2", &[]),
        Status::Pending => (b"3", &[]),
    };
    let mut attributes = vec![
        attribute(oid::MESSAGE_TYPE, &printable(CERT_REP))?,
        attribute(oid::PKI_STATUS, &printable(number))?,
        attribute(oid::TRANSACTION_ID, &transaction.id_value)?,
        attribute(oid::SENDER_NONCE, &encode(OCTET_STRING, &[&nonce]))?,
        attribute(oid::RECIPIENT_NONCE, &transaction.sender_nonce)?,
    ];
    if let Status::Failure(refusal) = status {
        let failure = (refusal.failure as u8).to_string();
        attributes.push(attribute(oid::FAIL_INFO, &printable(failure.as_bytes()))?);
        let text = encode(UTF8_STRING, &[refusal.text.as_bytes()]);
        attributes.push(attribute(oid::FAIL_INFO_TEXT, &text)?);
    }
    signed_data(signer, content, attributes, &[])
}

/// A SignedData around this content, signed by the delegate with SHA-256. Its signed attributes are `attributes`, contentType and
/// messageDigest. The SignedData contains the certificate of the delegate and those in `others`, which are DER.
///
/// # Errors
/// [`Error::Internal`] if it cannot be signed or encoded.
pub fn signed_data(
    signer: &Delegate,
    content: &[u8],
    attributes: Vec<Vec<u8>>,
    others: &[&[u8]],
) -> Result<Vec<u8>, Error> {
    let certificates = [&[signer.certificate()][..], others].concat();
    signed::signed_data(content, attributes, &certificates, Digest::Sha256, &|octets: &[u8]| {
        signer.sign(octets)
    })
}
