//! Signed tree heads. An auditor who kept one can prove later that the journal was shortened or altered since.
//!
//! A tree head is a signed statement about the Merkle tree over the journal (RFC 9162 §4.10). `file/heads.rs` keeps
//! them on disk.

use minicbor::{Decode, Encode};

use super::merkle::Hash;
use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// The first octets of every message that is signed as a tree head. They separate it from every other message that the
/// key may sign.
const DOMAIN: &[u8] = b"countersign journal tree head v1\0";

/// Signs tree heads with the instance's audit key.
pub trait HeadSigner: Send + Sync {
    /// Signs a message.
    ///
    /// # Errors
    /// Those of the key.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>>;
}

/// A function that verifies a signature with the instance's public audit key. Its arguments are the message and the
/// signature.
pub type HeadVerifier<'a> = dyn Fn(&[u8], &[u8]) -> Result<()> + 'a;

/// A signed statement: at the time `at`, the first `size` entries of the journal had this Merkle root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The number of entries.
    pub size: u64,
    /// The root of the Merkle tree over them (RFC 9162 §2.1.1).
    pub root: Hash,
    /// When the head was signed.
    pub at: Timestamp,
    /// The signature over [`head_message`].
    pub signature: Vec<u8>,
}

/// The octets that are signed: domain, instance, time, size and root, after TreeHeadDataV2 (RFC 9162 §4.9). Time and
/// size are numbers of 8 octets, most significant first; the time is in milliseconds since 1970.
pub fn head_message(instance: &[u8; 16], size: u64, root: &Hash, at: Timestamp) -> Vec<u8> {
    [DOMAIN, instance, &at.millis().to_be_bytes(), &size.to_be_bytes(), root].concat()
}

impl Head {
    /// Signs a head.
    ///
    /// # Errors
    /// Those of the signer.
    pub fn sign(
        instance: &[u8; 16],
        size: u64,
        root: Hash,
        at: Timestamp,
        signer: &dyn HeadSigner,
    ) -> Result<Self> {
        let signature = signer.sign(&head_message(instance, size, &root, at))?;
        Ok(Self { size, root, at, signature })
    }

    /// Verifies the signature.
    ///
    /// # Errors
    /// Those of the verifier.
    pub fn verify(&self, instance: &[u8; 16], verifier: &HeadVerifier<'_>) -> Result<()> {
        verifier(&head_message(instance, self.size, &self.root, self.at), &self.signature)
    }

    /// The head in CBOR, as it lies in the file of heads and in exported proofs.
    ///
    /// # Errors
    /// [`Error::Internal`] when CBOR cannot be written.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let Self { size, root, at, signature } = self;
        minicbor::to_vec(HeadBody { size: *size, root, at: at.millis(), signature })
            .map_err(Error::internal)
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the octets are not a head.
    pub fn decode(octets: &[u8]) -> Result<Self> {
        let wrong = |e: &dyn std::fmt::Display| Error::malformed(format!("no tree head: {e}"));
        let body: HeadBody = minicbor::decode(octets).map_err(|e| wrong(&e))?;
        Ok(Self {
            size: body.size,
            root: body.root.try_into().map_err(|e| wrong(&e))?,
            at: Timestamp::from_millis(body.at),
            signature: body.signature.to_vec(),
        })
    }
}

#[derive(Encode, Decode)]
struct HeadBody<'a> {
    #[n(0)]
    size: u64,
    #[cbor(b(1), with = "minicbor::bytes")]
    root: &'a [u8],
    /// Milliseconds since 1970.
    #[n(2)]
    at: i64,
    #[cbor(b(3), with = "minicbor::bytes")]
    signature: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_octets_name_everything() {
        let message = head_message(&[1; 16], 2, &[3; 32], Timestamp::from_millis(4));
        assert_eq!(message.len(), DOMAIN.len() + 16 + 8 + 8 + 32);
        assert_ne!(message, head_message(&[9; 16], 2, &[3; 32], Timestamp::from_millis(4)));
    }
}
