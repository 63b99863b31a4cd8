//! OCSP as a client (RFC 6960): one certificate a request, SHA-1 to name its issuer as all responders know it, no nonce: how long an
//! answer counts is bounded by its nextUpdate (RFC 5019).

use std::sync::Arc;

use countersign_ca::Timestamp;
use der::asn1::{AnyRef, Null, ObjectIdentifier, OctetString};
use der::{Decode, Encode, Reader, SliceReader, Tag, Tagged};
use sha1::{Digest, Sha1};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoRef};
use x509_cert::Certificate as X509;
use x509_cert::serial_number::SerialNumber;
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspRequest, OcspResponse, OcspResponseStatus, Request,
    ResponderId, SingleResponse, TbsRequest, Version,
};

use crate::path::{Certificate, same_name};

/// id-sha1.
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
/// id-pkix-ocsp-basic.
const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
/// id-pkix-ocsp-nocheck.
const NO_CHECK: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.5");
/// id-kp-OCSPSigning.
const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");

/// The most certificates that may come with an answer.
const MAX_CERTIFICATES: usize = 8;
/// The most single answers in one.
const MAX_SINGLE: usize = 64;
/// How far two clocks may differ, in seconds.
const SKEW: i64 = 300;
/// How long an answer without nextUpdate counts, in seconds: newer information is always there (RFC 6960 §4.2.2.1).
const NO_NEXT: i64 = 300;

/// What a responder said of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspAnswer {
    /// When it was revoked, and why; `None` for one that is good.
    pub revoked: Option<(Timestamp, String)>,
    /// When this was so.
    pub this_update: Timestamp,
    /// Until when it counts.
    pub until: Timestamp,
}

/// The request for a certificate, DER.
///
/// # Errors
/// In words, what of the certificates cannot be encoded.
pub fn request(certificate: &Certificate, issuer: &Certificate) -> Result<Vec<u8>, String> {
    let request = cert_id(certificate, issuer).map(|req_cert| OcspRequest {
        tbs_request: TbsRequest {
            version: Version::V1,
            requestor_name: None,
            request_list: vec![Request { req_cert, single_request_extensions: None }],
            request_extensions: None,
        },
        optional_signature: None,
    });
    request.and_then(|request| request.to_der()).map_err(|e| e.to_string())
}

fn cert_id(certificate: &Certificate, issuer: &Certificate) -> der::Result<CertId> {
    let key = SubjectPublicKeyInfoRef::from_der(issuer.spki())?;
    Ok(CertId {
        hash_algorithm: AlgorithmIdentifierOwned { oid: SHA1, parameters: Some(Null.into()) },
        issuer_name_hash: OctetString::new(Sha1::digest(issuer.subject()).as_slice())?,
        issuer_key_hash: OctetString::new(
            Sha1::digest(key.subject_public_key.raw_bytes()).as_slice(),
        )?,
        serial_number: SerialNumber::new(&certificate.serial)?,
    })
}

/// Reads a response, and believes it if the issuer, or a responder that the issuer certified for this, has signed it.
///
/// # Errors
/// In words, why it says nothing.
pub fn read(
    octets: &[u8],
    certificate: &Certificate,
    issuer: &Arc<Certificate>,
    at: Timestamp,
) -> Result<OcspAnswer, String> {
    let unreadable = |e: der::Error| format!("what came is no OCSP response: {e}");
    let response = OcspResponse::from_der(octets).map_err(unreadable)?;
    if response.response_status != OcspResponseStatus::Successful {
        return Err(format!("the responder answered `{:?}`", response.response_status));
    }
    let bytes = response.response_bytes.ok_or("the response is empty")?;
    if bytes.response_type != BASIC {
        return Err(format!("expected a basic OCSP response, found `{}`", bytes.response_type));
    }
    let signed = signed_part(bytes.response.as_bytes()).map_err(unreadable)?;
    let basic = BasicOcspResponse::from_der(bytes.response.as_bytes()).map_err(unreadable)?;
    verify(&basic, &signed, issuer, at)?;
    let data = &basic.tbs_response_data;
    let single =
        data.responses.iter().take(MAX_SINGLE).find(|single| is_about(single, certificate, issuer));
    let single = single.ok_or("the response is about another certificate")?;
    judge(single, at)
}

fn judge(single: &SingleResponse, at: Timestamp) -> Result<OcspAnswer, String> {
    let seconds = |time: &x509_ocsp::OcspGeneralizedTime| {
        i64::try_from(time.0.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
    };
    let this = seconds(&single.this_update);
    let next = single.next_update.as_ref().map_or(this.saturating_add(NO_NEXT), seconds);
    let now = at.seconds();
    if this > now.saturating_add(SKEW) {
        return Err(format!(
            "the response is of {}, which is in the future; look at the clocks",
            Timestamp::from_seconds(this)
        ));
    }
    if next.saturating_add(SKEW) < now {
        return Err(format!("the response ended at {}", Timestamp::from_seconds(next)));
    }
    let revoked = match &single.cert_status {
        CertStatus::Good(_) => None,
        CertStatus::Revoked(info) => {
            let reason = info
                .revocation_reason
                .map_or_else(|| "Unspecified".to_owned(), |reason| format!("{reason:?}"));
            Some((Timestamp::from_seconds(seconds(&info.revocation_time)), reason))
        }
        CertStatus::Unknown(_) => return Err("the responder does not know the certificate".into()),
    };
    Ok(OcspAnswer {
        revoked,
        this_update: Timestamp::from_seconds(this),
        until: Timestamp::from_seconds(next.saturating_add(SKEW)),
    })
}

/// Whichever hash the responder chose, it must be ours: we asked with it.
fn is_about(single: &SingleResponse, certificate: &Certificate, issuer: &Certificate) -> bool {
    cert_id(certificate, issuer).is_ok_and(|asked| {
        let found = &single.cert_id;
        found.hash_algorithm.oid == asked.hash_algorithm.oid
            && found.issuer_name_hash == asked.issuer_name_hash
            && found.issuer_key_hash == asked.issuer_key_hash
            && found.serial_number == asked.serial_number
    })
}

/// RFC 6960 §4.2.2.2: the issuer itself, or whom it certified for this.
fn verify(
    basic: &BasicOcspResponse,
    signed: &[u8],
    issuer: &Arc<Certificate>,
    at: Timestamp,
) -> Result<(), String> {
    let signature = basic.signature.as_bytes().ok_or("the signature is not whole octets")?;
    let by = |signer: &Certificate| signer.verify(&basic.signature_algorithm, signed, signature);
    let id = &basic.tbs_response_data.responder_id;
    if is_named(id, issuer) {
        return by(issuer).map_err(|e| format!("the signature of the response is wrong: {e}"));
    }
    let mut why = "expected a response signed by the issuer or with its responder's certificate, found neither".to_owned();
    for sent in basic.certs.iter().flatten().take(MAX_CERTIFICATES) {
        let Some(signer) = sent.to_der().ok().and_then(|der| Certificate::from_der(der).ok())
        else {
            continue;
        };
        if !is_named(id, &signer) {
            continue;
        }
        match may_answer(&signer, sent, issuer, at).and_then(|()| by(&signer)) {
            Ok(()) => return Ok(()),
            Err(e) => why = format!("the responder `{}` is not believed: {e}", signer.shown()),
        }
    }
    Err(why)
}

fn may_answer(
    signer: &Certificate,
    sent: &X509,
    issuer: &Certificate,
    at: Timestamp,
) -> Result<(), String> {
    if !same_name(&signer.issuer_name, &issuer.subject_name) || !signer.is_signed_by(issuer) {
        return Err("the certificate's issuer has not certified it".into());
    }
    if !(signer.not_before..=signer.not_after).contains(&at) {
        return Err(format!(
            "its certificate is valid from {} to {}",
            signer.not_before, signer.not_after
        ));
    }
    if !signer.key_purposes.iter().flatten().any(|purpose| *purpose == OCSP_SIGNING) {
        return Err("its certificate is not for OCSP".into());
    }
    let extensions = sent.tbs_certificate.extensions.iter().flatten();
    if !extensions.clone().any(|extension| extension.extn_id == NO_CHECK) {
        return Err("its certificate has no id-pkix-ocsp-nocheck, so that its own status would be to be asked".into());
    }
    match signer.key_usage {
        Some(usage) if !usage.0.contains(x509_cert::ext::pkix::KeyUsages::DigitalSignature) => {
            Err("its key is not for signatures".into())
        }
        _ => Ok(()),
    }
}

fn is_named(id: &ResponderId, of: &Certificate) -> bool {
    match id {
        ResponderId::ByName(name) => same_name(name, &of.subject_name),
        ResponderId::ByKey(hash) => SubjectPublicKeyInfoRef::from_der(of.spki()).is_ok_and(|key| {
            Sha1::digest(key.subject_public_key.raw_bytes()).as_slice() == hash.as_bytes()
        }),
    }
}

/// The octets of ResponseData as they came.
fn signed_part(basic: &[u8]) -> der::Result<Vec<u8>> {
    let outer = AnyRef::from_der(basic)?;
    outer.tag().assert_eq(Tag::Sequence)?;
    let mut reader = SliceReader::new(outer.value())?;
    reader.tlv_bytes().map(<[u8]>::to_vec)
}
