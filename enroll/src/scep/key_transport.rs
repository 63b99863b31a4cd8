//! How a content encryption key is encrypted with an RSA key, as an AlgorithmIdentifier: RSA with PKCS #1 v1.5, or RSAES-OAEP (RFC 4055
//! §4.1).

use countersign_ca::key::{KeyTransport, OaepHash};
use countersign_ca::{Error, oid as ca};
use der::asn1::{Any, Null};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode};
use spki::AlgorithmIdentifierOwned;

use super::oid;
use super::refusal::Refusal;
use crate::ber::{CONTEXT_0, CONTEXT_1, Element, Elements, SEQUENCE, encode};

/// The tag of pSourceAlgorithm.
const CONTEXT_2: u8 = 0xa2;

/// NULL.
const NULL: [u8; 2] = [5, 0];

/// The hashes of RSAES-OAEP.
const HASHES: [(OaepHash, ObjectIdentifier); 4] = [
    (OaepHash::Sha1, oid::SHA1),
    (OaepHash::Sha256, ca::SHA256),
    (OaepHash::Sha384, ca::SHA384),
    (OaepHash::Sha512, ca::SHA512),
];

/// The key transport of this identifier.
///
/// # Errors
/// badAlg for any other.
pub fn read(found: &AlgorithmIdentifierOwned) -> Result<KeyTransport, Refusal> {
    match found.oid {
        ca::RSA_ENCRYPTION => Ok(KeyTransport::Pkcs1),
        oid::RSAES_OAEP => {
            let hash = oaep_hash(found.parameters.as_ref());
            hash.map(KeyTransport::Oaep).ok_or_else(|| {
                Refusal::bad_alg(
                    "the content's key is encrypted by RSAES-OAEP with parameters that are not known here; have the client use SHA-1, \
                     SHA-256, SHA-384 or SHA-512, the same hash for MGF1, and no label",
                )
            })
        }
        other => Err(Refusal::bad_alg(format!(
            "the content's key is encrypted by the algorithm `{other}`; have the client use RSA with PKCS #1 v1.5"
        ))),
    }
}

/// The hash of these parameters; `None` if they have other values than are known here.
///
/// ```text
/// RSAES-OAEP-params ::= SEQUENCE {
///     hashFunc [0] AlgorithmIdentifier DEFAULT sha1Identifier,
///     maskGenFunc [1] AlgorithmIdentifier DEFAULT mgf1SHA1Identifier,
///     pSourceFunc [2] AlgorithmIdentifier DEFAULT pSpecifiedEmptyIdentifier }
/// ```
fn oaep_hash(parameters: Option<&Any>) -> Option<OaepHash> {
    let mut parts = match parameters {
        None => return Some(OaepHash::Sha1),
        Some(parameters) => Elements::of(parameters.value()),
    };
    let inside = |element: Element<'_>| {
        let mut inside = element.elements();
        let algorithm = inside.expect(SEQUENCE, "an algorithm").ok()?;
        inside.is_finished().then(|| AlgorithmIdentifierOwned::from_der(algorithm.whole).ok())?
    };
    let hash = match parts.optional(CONTEXT_0) {
        Some(hash) => of(inside(hash)?.oid)?,
        None => OaepHash::Sha1,
    };
    let mask = match parts.optional(CONTEXT_1) {
        Some(mask) => {
            let mask = inside(mask).filter(|mask| mask.oid == ca::MGF1)?;
            of(mask.parameters?.decode_as::<AlgorithmIdentifierOwned>().ok()?.oid)?
        }
        None => OaepHash::Sha1,
    };
    let has_no_label = match parts.optional(CONTEXT_2) {
        Some(source) => {
            let source = inside(source).filter(|source| source.oid == oid::P_SPECIFIED)?;
            source.parameters.is_none_or(|label| label.value().is_empty())
        }
        None => true,
    };
    Some(hash).filter(|hash| *hash == mask && has_no_label && parts.is_finished())
}

/// The hash with this identifier.
fn of(found: ObjectIdentifier) -> Option<OaepHash> {
    HASHES.iter().find(|(_, known)| *known == found).map(|(hash, _)| *hash)
}

/// The AlgorithmIdentifier of a key transport, DER.
///
/// # Errors
/// [`Error::Internal`] if it cannot be encoded.
pub fn written(transport: KeyTransport) -> Result<Vec<u8>, Error> {
    let found = match transport {
        KeyTransport::Pkcs1 => {
            AlgorithmIdentifierOwned { oid: ca::RSA_ENCRYPTION, parameters: Some(Any::from(Null)) }
        }
        KeyTransport::Oaep(hash) => {
            let parameters = match HASHES.iter().find(|(known, _)| *known == hash) {
                // DER leaves defaults out.
                None | Some((OaepHash::Sha1, _)) => encode(SEQUENCE, &[]),
                Some((_, id)) => {
                    let id = id.to_der().map_err(Error::internal)?;
                    let mgf1 = ca::MGF1.to_der().map_err(Error::internal)?;
                    let hash = encode(SEQUENCE, &[&id, &NULL]);
                    let mask = encode(SEQUENCE, &[&mgf1, &hash]);
                    let (hash, mask) = (encode(CONTEXT_0, &[&hash]), encode(CONTEXT_1, &[&mask]));
                    encode(SEQUENCE, &[&hash, &mask])
                }
            };
            let parameters = Any::from_der(&parameters).map_err(Error::internal)?;
            AlgorithmIdentifierOwned { oid: oid::RSAES_OAEP, parameters: Some(parameters) }
        }
    };
    found.to_der().map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ber::OCTET_STRING;

    fn parameters(parts: &[Vec<u8>]) -> AlgorithmIdentifierOwned {
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let parameters = Any::from_der(&encode(SEQUENCE, &parts)).unwrap();
        AlgorithmIdentifierOwned { oid: oid::RSAES_OAEP, parameters: Some(parameters) }
    }

    fn algorithm(id: ObjectIdentifier, parameters: &[u8]) -> Vec<u8> {
        encode(SEQUENCE, &[&id.to_der().unwrap(), parameters])
    }

    #[test]
    fn what_is_written_is_read_and_other_parameters_are_refused() {
        let all = HASHES.map(|(hash, _)| KeyTransport::Oaep(hash));
        for transport in all.into_iter().chain([KeyTransport::Pkcs1]) {
            let der = written(transport).unwrap();
            let found = AlgorithmIdentifierOwned::from_der(&der).unwrap();
            assert_eq!(read(&found), Ok(transport));
        }
        let bare = AlgorithmIdentifierOwned { oid: oid::RSAES_OAEP, parameters: None };
        assert_eq!(read(&bare), Ok(KeyTransport::Oaep(OaepHash::Sha1)));
        let hash = |id| encode(CONTEXT_0, &[&algorithm(id, &NULL)]);
        let mask = |id| encode(CONTEXT_1, &[&algorithm(ca::MGF1, &algorithm(id, &NULL))]);
        let label = |octets: &[u8]| {
            let octets = encode(OCTET_STRING, &[octets]);
            encode(CONTEXT_2, &[&algorithm(oid::P_SPECIFIED, &octets)])
        };
        let sha256 = Ok(KeyTransport::Oaep(OaepHash::Sha256));
        let whole = [hash(ca::SHA256), mask(ca::SHA256), label(b"")];
        assert_eq!(read(&parameters(&whole)), sha256);
        for wrong in [
            vec![hash(ca::SHA256)],
            vec![mask(ca::SHA256)],
            vec![hash(ca::SHA256), mask(ca::SHA384)],
            vec![hash(oid::MD5), mask(oid::MD5)],
            vec![hash(ca::SHA256), mask(ca::SHA256), label(b"x")],
            vec![hash(ca::SHA256), mask(ca::SHA256), NULL.to_vec()],
        ] {
            assert!(read(&parameters(&wrong)).unwrap_err().text.contains("OAEP"), "{wrong:?}");
        }
    }
}
