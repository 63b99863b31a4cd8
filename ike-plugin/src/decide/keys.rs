//! The keys of the caches: hashes of everything in a question that the answer may depend on.

use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};

use super::recent::Key;
use crate::policy::proof::Proof;
use crate::wire::{IkeId, Question};

/// Computes cache keys with a random salt, so that they cannot be computed from outside, nor compared with a hash of a pre-shared
/// key.
pub(super) struct Keys {
    salt: [u8; 32],
}

impl Keys {
    /// Draws a random salt.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(random: &SystemRandom) -> Result<Self, String> {
        let mut salt = [0; 32];
        random.fill(&mut salt).map_err(|_| "the system gives no random numbers")?;
        Ok(Self { salt })
    }

    /// The key of a peer: its identity and its proof.
    pub fn of_peer(&self, proof: &Proof<'_>, id: &IkeId) -> Key {
        let mut digest = self.begin();
        let mut part = |octets: &[u8]| {
            digest.update((octets.len() as u64).to_le_bytes());
            digest.update(octets);
        };
        part(&[id.kind]);
        part(&id.data.0);
        proof.parts().for_each(part);
        digest.finalize().into()
    }

    /// The key of a whole question: the peer, and everything else that an answer may depend on.
    pub fn of_question(&self, question: &Question, peer: &Key) -> Key {
        let Question { ike, mode, role, local, remote, proposal, child, .. } = question;
        let of = (ike, mode, role, local.address, remote.address, proposal.group, child);
        let mut digest = self.begin();
        digest.update(peer);
        digest.update(serde_json::to_vec(&of).unwrap_or_default());
        digest.finalize().into()
    }

    fn begin(&self) -> Sha256 {
        let mut digest = Sha256::new();
        digest.update(self.salt);
        digest
    }
}
