//! popdecc and popdecr: a challenge that only the holder of the private key can answer (RFC 9810 §5.2.8.3.3).

use countersign_ca::{Challenge as Number, Recording, SubjectPublicKey, oid as ca};
use der::asn1::{Int, OctetString};
use der::{Encode, Sequence};
use ring::digest;
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::pkix::name::GeneralName;
use zeroize::Zeroizing;

use crate::cmp::server::exchange::delivery::Delivery;
use crate::cmp::server::exchange::grant::Grant;
use crate::cmp::server::exchange::{CrmfRequest, Exchange};
use crate::cmp::server::reply::answer::Answer;
use crate::cmp::server::service::challenges::ChallengedRequest;
use crate::cmp::server::service::stop::Stop;
use crate::cmp::wire::enveloped::{Envelope, EnvelopedData, ID_DATA, Recipient, encrypt_with};
use crate::cmp::wire::kind;
use crate::cmp::wire::refusal::{Failure, Refusal, encoding_failed, malformed};
use crate::request::elements::elements;

/// The longest CertRequest that is kept in memory while its challenge awaits the response, in octets.
const MAX_REQUEST: usize = 16 * 1024;

/// A challenge to prove possession of one key (RFC 9810 §5.2.8.3.3).
///
/// ```text
/// Challenge ::= SEQUENCE {
///     owf             AlgorithmIdentifier OPTIONAL,
///     witness         OCTET STRING,
///     challenge       OCTET STRING,
///     encryptedRand [0] EnvelopedData OPTIONAL }
/// ```
///
/// With pvno 2, challenge holds the encrypted Rand. With pvno 3, challenge is empty, and encryptedRand holds it.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct Challenge {
    owf: Option<AlgorithmIdentifierOwned>,
    witness: OctetString,
    challenge: OctetString,
    #[asn1(context_specific = "0", optional = "true")]
    encrypted_rand: Option<EnvelopedData>,
}

/// The content of a challenge, before it is encrypted (RFC 9810 §5.2.8.3.3).
///
/// ```text
/// Rand ::= SEQUENCE {
///     int      INTEGER,      -- the randomly generated INTEGER A
///     sender   GeneralName } -- the sender's name (as included in PKIHeader)
/// ```
#[derive(Sequence)]
struct Rand {
    int: Int,
    sender: GeneralName,
}

impl Exchange<'_> {
    /// challengeResp: remembers the request, and answers with a challenge.
    ///
    /// # Errors
    /// `badRequest` for a request that is too long to be remembered; refusals of the request; `systemUnavail` beyond the bounds on
    /// challenges.
    pub(super) fn challenge(self, request: CrmfRequest) -> Result<Answer, Refusal> {
        let CrmfRequest { answer, id, message: request, updates } = request;
        // 1. The request is judged as far as it can be yet, and is short enough to be remembered.
        self.check_new_transaction()?;
        if request.request_bytes.len() > MAX_REQUEST {
            return Err(Refusal::new(
                Failure::BadRequest,
                format!(
                    "expected a CertRequest of {MAX_REQUEST} octets or less where a challenge is asked for, found {}",
                    request.request_bytes.len()
                ),
            ));
        }
        request.controls()?;
        let profile = self.profile()?;
        let authority = self.service.authority();
        let number = Number::new(request.key()?, authority.entropy())?;
        // 2. The challenge.
        let content = self.challenge_for(number.key(), number.number(), &id)?;
        let popdecc = Answer::plain(kind::POPDECC, &vec![content]).map_err(encoding_failed)?;
        // 3. The request is remembered, with the number against which the response is checked.
        let now = authority.now();
        let challenged = ChallengedRequest {
            account: self.requester.account().name.clone(),
            context: self.context(&id)?,
            challenge: number,
            request,
            id,
            answer,
            updates,
            profile,
            implicit: self.asks_for_implicit_confirm(),
            expires: now.plus(self.service.config().confirm_wait),
        };
        self.service.challenges().put(self.message.transaction_id(), challenged, now)?;
        Ok(popdecc)
    }

    /// popdecr: the response, after which the request is granted. A wrong response ends the transaction.
    ///
    /// # Errors
    /// `badPOP` for a wrong response; `badRequest` if the message does not have exactly one response, or no challenge of its transaction
    /// awaits a response; as [`Self::grant`].
    pub fn challenge_response(self) -> Result<Recording<Answer>, Stop> {
        let responses = elements(&self.message.body).map_err(malformed("POPODecKeyRespContent"))?;
        let [response] = responses.as_slice() else {
            return Err(Refusal::new(
                Failure::BadRequest,
                "expected one INTEGER: there was one challenge",
            )
            .into());
        };
        let response: Int = response.decode_as().map_err(malformed("an INTEGER"))?;
        let challenged = self.service.challenges().take(
            self.message.transaction_id(),
            self.service.authority().now(),
            |challenged| self.check_continues(&challenged.account, &challenged.context),
        )?;
        let ChallengedRequest {
            challenge, request, id, answer, updates, profile, implicit, ..
        } = challenged;
        let template = request.into_template(challenge.met(response.as_bytes())?)?;
        let implicit = implicit || self.asks_for_implicit_confirm();
        let delivery = Delivery::Plain;
        let on_behalf = None;
        self.grant(Grant { answer, id, template, updates, on_behalf, delivery, implicit, profile })
    }

    /// Makes the Challenge for a key: a random number, encrypted for it, and the hash of the number. `id` is the request's certReqId.
    fn challenge_for(
        &self,
        key: &SubjectPublicKey,
        number: &[u8],
        id: &Int,
    ) -> Result<Challenge, Refusal> {
        let authority = self.service.authority();
        let signer =
            authority.protection(self.ca.as_ref()).or_else(|_| authority.protection(None))?;
        let rand = Rand {
            int: Int::new(number).map_err(encoding_failed)?,
            sender: GeneralName::DirectoryName(signer.subject().clone()),
        };
        let rand = Zeroizing::new(rand.to_der().map_err(encoding_failed)?);
        let (challenge, encrypted_rand) = match self.version() {
            3 => {
                let envelope = Envelope::for_key(key, Recipient::Request(id), authority.entropy())?;
                (Vec::new(), Some(envelope.seal(ID_DATA, &rand)?))
            }
            _ => (encrypt_with(key, &rand)?, None),
        };
        let witness = digest::digest(&digest::SHA256, number);
        Ok(Challenge {
            owf: Some(AlgorithmIdentifierOwned { oid: ca::SHA256, parameters: None }),
            witness: OctetString::new(witness.as_ref()).map_err(encoding_failed)?,
            challenge: OctetString::new(challenge).map_err(encoding_failed)?,
            encrypted_rand,
        })
    }
}
