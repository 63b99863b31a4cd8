//! Proof of possession of a key that does not sign (RFC 4211 §4.2 and §4.3, RFC 9810 §5.2.8.3). There are two ways: the certificate is
//! returned encrypted, and confirming it proves that the peer decrypted it; or a random number is encrypted, and returning it does.

mod challenge;

use countersign_ca::{ProvenKey, Recording};

use super::delivery::Delivery;
use super::grant::Grant;
use super::{CrmfRequest, Exchange};
use crate::cmp::server::reply::answer::Answer;
use crate::cmp::server::service::stop::Stop;
use crate::cmp::wire::popo::PopoPrivKey;
use crate::cmp::wire::refusal::{Failure, Refusal};

impl Exchange<'_> {
    /// Answers a request whose key is to be proven by decryption, in the way that `proof` chooses.
    ///
    /// # Errors
    /// `badPOP` for a way that is not supported; refusals by the authority; [`Stop::NeedsBlockingThread`].
    pub fn proof_by_decryption(
        self,
        request: CrmfRequest,
        proof: PopoPrivKey,
    ) -> Result<Recording<Answer>, Stop> {
        match proof {
            PopoPrivKey::EncrCert => self.encrypted_certificate(request),
            PopoPrivKey::ChallengeResp => Ok(Recording::ready(self.challenge(request)?)),
            PopoPrivKey::ThisMessage | PopoPrivKey::EncryptedKey => Err(Refusal::new(
                Failure::BadPop,
                "private keys are not taken here, be they encrypted; use subsequentMessage with encrCert or challengeResp",
            )
            .into()),
            PopoPrivKey::DhMac | PopoPrivKey::AgreeMac => Err(Refusal::new(
                Failure::BadPop,
                "there is no key of this CA to agree on a MAC with; use subsequentMessage with encrCert or challengeResp",
            )
            .into()),
        }
    }

    /// encrCert: only the holder of the private key can read the certificate, and so confirm it. Implicit confirmation would prove
    /// nothing, and is not granted.
    fn encrypted_certificate(self, request: CrmfRequest) -> Result<Recording<Answer>, Stop> {
        let CrmfRequest { answer, id, message, updates } = request;
        let key = message.key()?;
        let proven = ProvenKey::to_be_confirmed(key.clone())?;
        let entropy = self.service.authority().entropy();
        let delivery = Delivery::encrypted(&key, self.version(), entropy)?;
        let profile = self.profile()?;
        let template = message.into_template(proven)?;
        let (on_behalf, implicit) = (None, false);
        self.grant(Grant { answer, id, template, updates, on_behalf, delivery, implicit, profile })
    }
}
