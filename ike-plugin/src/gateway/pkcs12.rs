//! PKCS#12 files (RFC 7292), from which a database of NSS imports a key and its certificates.

use p12_keystore::{
    Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, PrivateKeyChain,
};
use zeroize::Zeroizing;

use super::error::GatewayError;
use super::key::PrivateKey;
use super::material::Material;

/// The iterations of the key derivations for the encryption and for the MAC.
const ITERATIONS: u64 = 10_000;

/// Encodes a key, its certificate and the CAs of its chain, under a name as the nickname, encrypted with AES-256 by a key that
/// PBKDF2 with SHA-256 derives from the password (RFC 8018).
///
/// # Errors
/// A part cannot be encoded.
pub fn pkcs12(
    name: &str,
    key: &PrivateKey,
    material: &Material,
    password: &str,
) -> Result<Zeroizing<Vec<u8>>, GatewayError> {
    let failed = |e: &dyn std::fmt::Display| {
        GatewayError::new(format!("the PKCS#12 file cannot be made: {e}"))
    };
    let chain = std::iter::once(material.certificate.as_slice())
        .chain(material.chain.iter().map(|ca| ca.der.as_slice()))
        .map(Certificate::from_der);
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|e| failed(&e))?;
    let mut store = KeyStore::new();
    // localKeyId, here a SHA-1, only connects the key with its certificate.
    let local_id: Vec<u8> = sha1::Digest::finalize(<sha1::Sha1 as sha1::Digest>::new_with_prefix(
        &material.certificate,
    ))
    .to_vec();
    let entry = PrivateKeyChain::new(key.der(), local_id, chain);
    store.add_entry(name, KeyStoreEntry::PrivateKeyChain(entry));
    store
        .writer(password)
        .encryption_algorithm(EncryptionAlgorithm::PbeWithHmacSha256AndAes256)
        .encryption_iterations(ITERATIONS)
        .mac_algorithm(MacAlgorithm::HmacSha256)
        .mac_iterations(ITERATIONS)
        .write()
        .map(Zeroizing::new)
        .map_err(|e| failed(&e))
}
