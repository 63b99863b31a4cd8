//! CertRep (RFC 8894 §3.3.2): the answer to a pkiMessage.

use countersign_ca::authority::Delegate;
use countersign_ca::{Error, oid as ca};
use der::oid::ObjectIdentifier;
use ring::digest;

use super::certificate::IssuerAndSerial;
use super::envelope::{algorithm_identifier, der};
use super::message::Transaction;
use super::oid;
use super::refusal::Refusal;
use crate::ber::{CONTEXT_0, INTEGER, OCTET_STRING, SEQUENCE, SET, encode};
use crate::certs_only::{ID_DATA, ID_SIGNED_DATA};

/// PrintableString.
const PRINTABLE_STRING: u8 = 0x13;
/// UTF8String.
const UTF8_STRING: u8 = 0x0c;
/// NULL.
const NULL: [u8; 2] = [5, 0];
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
    let printable = |text: &[u8]| encode(PRINTABLE_STRING, &[text]);
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

/// A SignedData around this content, with the certificate of the signer and `others` (RFC 5652 §5).
///
/// # Errors
/// [`Error::Internal`] if it cannot be signed or encoded.
pub fn signed_data(
    signer: &Delegate,
    content: &[u8],
    mut attributes: Vec<Vec<u8>>,
    others: &[&[u8]],
) -> Result<Vec<u8>, Error> {
    let digest = digest::digest(&digest::SHA256, content);
    attributes.push(attribute(oid::CONTENT_TYPE, &der(ID_DATA)?)?);
    attributes.push(attribute(oid::MESSAGE_DIGEST, &encode(OCTET_STRING, &[digest.as_ref()]))?);
    // The signature is over the DER of the attributes, and DER sorts a SET OF (X.690 §11.6).
    attributes.sort();
    let attributes: Vec<&[u8]> = attributes.iter().map(Vec::as_slice).collect();
    let signature = signer.sign(&encode(SET, &attributes))?;
    let name = IssuerAndSerial::of(signer.certificate())?;
    let version = encode(INTEGER, &[&[1]]);
    let sha256 = algorithm_identifier(ca::SHA256, &NULL)?;
    let info = encode(
        SEQUENCE,
        &[
            &version,
            &encode(SEQUENCE, &[&name.issuer, &name.serial]),
            &sha256,
            &encode(CONTEXT_0, &attributes),
            // So OpenSSL names it, and every client reads it; with the digest's name, not all do.
            &algorithm_identifier(ca::RSA_ENCRYPTION, &NULL)?,
            &encode(OCTET_STRING, &[&signature]),
        ],
    );
    let content = encode(CONTEXT_0, &[&encode(OCTET_STRING, &[content])]);
    let signed = encode(
        SEQUENCE,
        &[
            &version,
            &encode(SET, &[&sha256]),
            &encode(SEQUENCE, &[&der(ID_DATA)?, &content]),
            &encode(CONTEXT_0, &[&[signer.certificate()][..], others].concat()),
            &encode(SET, &[&info]),
        ],
    );
    Ok(encode(SEQUENCE, &[&der(ID_SIGNED_DATA)?, &encode(CONTEXT_0, &[&signed])]))
}

/// An attribute with one value.
fn attribute(kind: ObjectIdentifier, value: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(encode(SEQUENCE, &[&der(kind)?, &encode(SET, &[value])]))
}
