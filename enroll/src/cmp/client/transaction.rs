//! A transaction: messages with one transactionID, each with a fresh nonce, and all protected in the same way. Each answer is checked
//! before anything in it is used (RFC 9483 §3.1 and §3.5).

use der::Encode;
use der::asn1::Int;
use x509_cert::ext::pkix::name::GeneralName;

use super::credential::{Protector, octets};
use super::error::{ClientError, Refusal};
use super::peer::Client;
use super::response;
use crate::cmp::wire::bounds::{self, Bounds};
use crate::cmp::wire::content::{FIRST_REQUEST, NO_REQUEST_ID, cert_req_id};
use crate::cmp::wire::kind;
use crate::cmp::wire::mac::{MacKey, MacParameters};
use crate::cmp::wire::message::{
    InfoTypeAndValue, Message, PkiHeader, assemble, protected_part, tagged_body,
};
use crate::cmp::wire::refusal;
use crate::cmp::wire::status::WAITING;
use crate::cmp::wire::time::generalized_time;

/// Bounds on one answer. There may be many elements because a CRL may have many entries.
const BOUNDS: Bounds =
    Bounds { bytes: super::http::MAX_ANSWER as usize, depth: 32, elements: 1_000_000 };

/// The syntax of a message, whose number is its pvno (RFC 9810 §5.1.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Version {
    /// The syntax of RFC 4210, which every server knows.
    #[default]
    Cmp2000 = 2,
    /// The syntax of RFC 9810, for messages with fields that the older one lacks.
    Cmp2021 = 3,
}

/// A message to send.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// The kind of the body.
    pub kind: u8,
    /// The content of the body, DER.
    pub content: Vec<u8>,
    /// generalInfo.
    pub infos: Vec<InfoTypeAndValue>,
    /// The syntax.
    pub version: Version,
}

/// A transaction with a server.
pub struct Transaction<'c> {
    pub(super) client: &'c Client<'c>,
    protector: Protector<'c>,
    /// transactionID.
    pub(super) id: Vec<u8>,
    /// The senderNonce of the last answer, which the next message repeats.
    pub(super) peer_nonce: Option<Vec<u8>>,
    /// Every senderNonce so far, of both sides.
    pub(super) nonces: Vec<Vec<u8>>,
    /// The MAC of the last answer whose parameters were not those of our messages: a server may use the same ones again.
    pub(super) derived: Option<DerivedMac>,
    /// The certificates that came in extraCerts of all answers, DER.
    pub(super) certificates: Vec<Vec<u8>>,
    /// Whether the CA was polled.
    pub(super) has_polled: bool,
}

/// The parameters of a MAC, and the key that they give with the peer's secret.
pub struct DerivedMac {
    /// The parameters.
    pub parameters: MacParameters,
    /// The key.
    pub key: MacKey,
}

impl<'c> Transaction<'c> {
    /// A new one.
    pub fn begin(client: &'c Client<'c>) -> Result<Self, ClientError> {
        let mut id = [0; 16];
        client.entropy.fill(&mut id)?;
        Self::resume(client, id.to_vec(), None)
    }

    /// Continues an open transaction. `peer_nonce` is the senderNonce of the last answer.
    ///
    /// # Errors
    /// As [`Credential::protector`].
    pub fn resume(
        client: &'c Client<'c>,
        id: Vec<u8>,
        peer_nonce: Option<Vec<u8>>,
    ) -> Result<Self, ClientError> {
        let protector = client.credential.protector(client.entropy)?;
        let nonces = peer_nonce.iter().cloned().collect();
        Ok(Self {
            client,
            protector,
            id,
            peer_nonce,
            nonces,
            derived: None,
            certificates: Vec::new(),
            has_polled: false,
        })
    }

    /// What protects the peer's messages.
    pub(super) const fn protector(&self) -> &Protector<'c> {
        &self.protector
    }

    /// Sends a message and returns its answer. A CA that has not decided answers with an error message that says "waiting", and is polled
    /// (RFC 9483 §4.4). A response for a certificate says "waiting" itself, and is returned.
    ///
    /// # Errors
    /// [`ClientError::Refused`] for an error message that refuses; [`ClientError::Untrusted`] for an answer that is not believed; and as
    /// [`Self::poll`].
    pub fn ask(&mut self, outgoing: &Outgoing) -> Result<Message, ClientError> {
        let mut answer = self.exchange(outgoing)?;
        while answer.kind == kind::ERROR {
            let no_id = cert_req_id(NO_REQUEST_ID).map_err(ClientError::encoding)?;
            answer = self.poll(&no_id, None, &mut |_| Ok(()))?;
        }
        Ok(answer)
    }

    /// Sends one message and returns its answer. An error message is returned only if its status is "waiting".
    pub(super) fn exchange(&mut self, outgoing: &Outgoing) -> Result<Message, ClientError> {
        // 1. The message, with a fresh nonce.
        let mut nonce = vec![0; 16];
        self.client.entropy.fill(&mut nonce)?;
        let message = self.message(outgoing, &nonce)?;
        self.nonces.push(nonce.clone());
        // 2. It is sent, and answered.
        let answer = self.client.transport.exchange(&message, self.client.until)?;
        // 3. The answer is a message within bounds.
        let unreadable = |refusal: refusal::Refusal| {
            ClientError::untrusted(format!("the answer cannot be read: {}", refusal.text))
        };
        bounds::check(&answer, BOUNDS).map_err(unreadable)?;
        let answer = Message::decode(&answer).map_err(unreadable)?;
        // 4. It answers this message, and the CA sent it.
        let checked = self.verify(&answer, &nonce);
        if answer.kind == kind::ERROR {
            let unproven = checked.err().map(|e| e.to_string());
            let status = response::error_status(&answer)?;
            if unproven.is_some() || status.status != WAITING {
                return Err(ClientError::Refused(Refusal {
                    unproven,
                    ..response::refusal(kind::name(outgoing.kind), &status)
                }));
            }
        } else {
            checked?;
        }
        // 5. The next message repeats the nonce.
        self.peer_nonce =
            answer.header.sender_nonce.as_ref().map(|nonce| nonce.as_bytes().to_vec());
        self.nonces.extend(self.peer_nonce.clone());
        Ok(answer)
    }

    /// A protected message, DER.
    fn message(&self, outgoing: &Outgoing, nonce: &[u8]) -> Result<Vec<u8>, ClientError> {
        let failed = ClientError::encoding;
        let header = PkiHeader {
            pvno: Int::new(&[outgoing.version as u8]).map_err(failed)?,
            sender: self.protector.sender(),
            recipient: GeneralName::DirectoryName(self.client.recipient.clone()),
            message_time: Some(generalized_time(self.client.clock.now()).map_err(failed)?),
            protection_alg: Some(self.protector.algorithm()),
            sender_kid: Some(self.protector.key_identifier()),
            recip_kid: None,
            transaction_id: Some(octets(&self.id)?),
            sender_nonce: Some(octets(nonce)?),
            recip_nonce: self.peer_nonce.as_deref().map(octets).transpose()?,
            free_text: None,
            general_info: (!outgoing.infos.is_empty()).then(|| outgoing.infos.clone()),
        };
        let header = header.to_der().map_err(failed)?;
        let body = tagged_body(outgoing.kind, &outgoing.content).map_err(failed)?;
        let protected = protected_part(&header, &body).map_err(failed)?;
        let protection = self.protector.protect(&protected)?;
        assemble(&header, &body, &protection, self.protector.certificates()).map_err(failed)
    }
}

/// certReqId 0, that of the one request in a message (RFC 9483 §4.1.1).
///
/// # Errors
/// [`ClientError::Internal`] if it cannot be encoded.
pub fn request_id() -> Result<Int, ClientError> {
    cert_req_id(FIRST_REQUEST).map_err(ClientError::encoding)
}
