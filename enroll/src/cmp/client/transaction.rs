//! A transaction: messages of one transactionID, each with a fresh nonce, protected in one way, and each answer checked
//! before anything in it counts (RFC 9483 §3.1 and §3.5).

use std::time::Duration;

use der::Encode;
use der::asn1::{GeneralizedTime, Int};
use x509_cert::ext::pkix::name::GeneralName;

use super::credential::{Protector, octets};
use super::response;
use super::{Client, ClientError, Refusal};
use crate::cmp::wire::bounds::{self, Bounds};
use crate::cmp::wire::content::kind;
use crate::cmp::wire::mac::{MacKey, MacParameters};
use crate::cmp::wire::message::{
    InfoTypeAndValue, Message, PkiHeader, assemble, protected_part, tagged_body,
};

/// Bounds on one answer. A CRL may have many entries.
const BOUNDS: Bounds =
    Bounds { bytes: super::http::MAX_ANSWER as usize, depth: 32, elements: 1_000_000 };

/// The syntax of RFC 4210, which every server knows.
pub const CMP2000: u8 = 2;
/// The syntax of RFC 9810, for what the older one cannot say.
pub const CMP2021: u8 = 3;

/// A message to send.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// The body's context tag.
    pub kind: u8,
    /// The body, DER.
    pub content: Vec<u8>,
    /// generalInfo.
    pub infos: Vec<InfoTypeAndValue>,
    /// Whether it needs the syntax of RFC 9810.
    pub is_cmp2021: bool,
}

/// A transaction with a server.
pub struct Transaction<'c> {
    pub(super) client: &'c Client<'c>,
    protector: Protector<'c>,
    /// transactionID
    pub(super) id: Vec<u8>,
    /// The senderNonce of the last answer, which the next message repeats.
    pub(super) peer_nonce: Option<Vec<u8>>,
    /// Every nonce so far, of both sides.
    pub(super) nonces: Vec<Vec<u8>>,
    /// The key of the last answer, if it came with parameters of its own.
    pub(super) derived: Option<(MacParameters, MacKey)>,
    /// Certificates that came in extraCerts, DER.
    pub(super) certificates: Vec<Vec<u8>>,
    /// Whether the CA was asked how far it is.
    pub(super) has_polled: bool,
}

impl<'c> Transaction<'c> {
    /// A new one.
    pub fn begin(client: &'c Client<'c>) -> Result<Self, ClientError> {
        let mut id = [0; 16];
        client.entropy.fill(&mut id)?;
        Self::go_on(client, id.to_vec(), None)
    }

    /// One that is under way: `peer_nonce` is the senderNonce of the last answer.
    pub fn go_on(
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

    /// The key of our own messages, if a secret makes it.
    pub(super) const fn own_mac(&self) -> Option<(&MacParameters, &MacKey)> {
        match &self.protector {
            Protector::Mac { parameters, key, .. } => Some((parameters, key)),
            Protector::Signature { .. } => None,
        }
    }

    /// Sends a message and gives what it is answered with. A CA that wants time is polled (RFC 9483 §4.4): only what has
    /// responses of its own for that, which are those for certificates, comes back with them.
    pub fn ask(&mut self, outgoing: &Outgoing) -> Result<Message, ClientError> {
        let mut answer = self.exchange(outgoing)?;
        while answer.kind == kind::ERROR {
            answer = self.poll(&minus_one()?, None, &mut |_| Ok(()))?;
        }
        Ok(answer)
    }

    /// One message and one answer. An error is only an answer if its status is "waiting".
    pub(super) fn exchange(&mut self, outgoing: &Outgoing) -> Result<Message, ClientError> {
        // 1. The message, with a nonce that was never used.
        let mut nonce = vec![0; 16];
        self.client.entropy.fill(&mut nonce)?;
        let message = self.message(outgoing, &nonce)?;
        self.nonces.push(nonce.clone());
        // 2. There and back.
        let answer = self.client.transport.exchange(&message, self.client.until)?;
        // 3. Octets become a message within bounds.
        let unreadable = |refusal: crate::cmp::wire::refusal::Refusal| {
            ClientError::untrusted(format!("the answer cannot be read: {}", refusal.text))
        };
        bounds::check(&answer, BOUNDS).map_err(unreadable)?;
        let answer = Message::decode(&answer).map_err(unreadable)?;
        // 4. It answers this message, and the CA sent it.
        let checked = self.verify(&answer, &nonce);
        if answer.kind == kind::ERROR {
            let unproven = checked.err().map(|e| e.to_string());
            let status = response::error_status(&answer)?;
            if unproven.is_some() || status.status != response::WAITING {
                return Err(ClientError::Refused(Refusal {
                    unproven,
                    ..response::refusal(kind::name(outgoing.kind), &status)
                }));
            }
        } else {
            checked?;
        }
        // 5. What the next message repeats.
        self.peer_nonce =
            answer.header.sender_nonce.as_ref().map(|nonce| nonce.as_bytes().to_vec());
        self.nonces.extend(self.peer_nonce.clone());
        Ok(answer)
    }

    fn message(&self, outgoing: &Outgoing, nonce: &[u8]) -> Result<Vec<u8>, ClientError> {
        let failed = ClientError::encoding;
        let seconds = u64::try_from(self.client.clock.now().seconds()).unwrap_or_default();
        let now = GeneralizedTime::from_unix_duration(Duration::from_secs(seconds));
        let version = if outgoing.is_cmp2021 { CMP2021 } else { CMP2000 };
        let header = PkiHeader {
            pvno: Int::new(&[version]).map_err(failed)?,
            sender: self.protector.sender(),
            recipient: GeneralName::DirectoryName(self.client.recipient.clone()),
            message_time: Some(now.map_err(failed)?),
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

/// certReqId −1: of a message that has none (RFC 9483 §4.4).
fn minus_one() -> Result<Int, ClientError> {
    Int::new(&[0xff]).map_err(ClientError::encoding)
}
