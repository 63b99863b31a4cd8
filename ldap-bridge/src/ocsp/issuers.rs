//! Finds the CA that a CertID names. The hashes of each CA's name and key are computed once.

use std::collections::HashMap;

use countersign_ca::authority::CaInfo;
use countersign_ca::record::Label;
use countersign_ca::{Error, oid};
use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use ring::digest::{self, Algorithm, digest};
use x509_cert::Certificate;

use super::request::{CertId, Malformed};

/// id-sha1 (RFC 3279 §2.2.1). Most clients name issuers by it, and it signs nothing here.
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");

/// The hash algorithms that a CertID may use.
fn hashes() -> [(ObjectIdentifier, &'static Algorithm); 2] {
    [(SHA1, &digest::SHA1_FOR_LEGACY_USE_ONLY), (oid::SHA256, &digest::SHA256)]
}

/// The CAs whose private keys this instance has, by the hash of their name followed by that of their public key. Each has an entry for each
/// hash algorithm.
pub struct Issuers(HashMap<Vec<u8>, Label>);

impl Issuers {
    /// Hashes the names and public keys of those of these CAs whose private keys this instance has. An error if a certificate cannot be
    /// read.
    pub fn of<'a>(cas: impl Iterator<Item = &'a CaInfo>) -> Result<Self, Error> {
        let mut found = HashMap::new();
        for ca in cas.filter(|ca| ca.can_sign) {
            let certificate = Certificate::from_der(&ca.certificate).map_err(Error::internal)?;
            let name = certificate.tbs_certificate.subject.to_der().map_err(Error::internal)?;
            let key = &certificate.tbs_certificate.subject_public_key_info.subject_public_key;
            for (_, hash) in hashes() {
                let both =
                    key_of(digest(hash, &name).as_ref(), digest(hash, key.raw_bytes()).as_ref());
                found.insert(both, ca.name.clone());
            }
        }
        Ok(Self(found))
    }

    /// The CA that a CertID names; `None` if this instance does not have its private key, or the hash algorithm is another. An error if a
    /// hash has the wrong length.
    pub fn find(&self, cert_id: &CertId<'_>) -> Result<Option<&Label>, Malformed> {
        let Some((_, hash)) = hashes().into_iter().find(|(oid, _)| *oid == cert_id.hash_algorithm)
        else {
            return Ok(None);
        };
        let (name, key) = (cert_id.issuer_name_hash, cert_id.issuer_key_hash);
        if name.len() != hash.output_len() || key.len() != hash.output_len() {
            return Err(Malformed("a hash is not as long as its algorithm says".into()));
        }
        Ok(self.0.get(&key_of(name, key)))
    }
}

fn key_of(name: &[u8], key: &[u8]) -> Vec<u8> {
    [name, key].concat()
}
