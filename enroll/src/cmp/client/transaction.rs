//! A transaction: messages with one transactionID, each with a fresh nonce, and all protected in the same way. Each answer is checked
//! before anything in it is used (RFC 9483 §3.1 and §3.5).

use der::Encode;
use der::asn1::Int;
use x509_cert::ext::pkix::name::GeneralName;

use super::credential::{Protector, octets};
use super::peer::Client;
use crate::client::ClientError;
use crate::cmp::wire::content::{FIRST_REQUEST, cert_req_id};
use crate::cmp::wire::mac::{MacKey, MacParameters};
use crate::cmp::wire::message::{
    InfoTypeAndValue, PkiHeader, assemble, protected_part, tagged_body,
};
use crate::cmp::wire::time::generalized_time;

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
    /// The peer.
    pub(super) client: &'c Client<'c>,
    /// The protection of the peer's messages.
    protector: Protector<'c>,
    /// transactionID.
    pub(super) id: Vec<u8>,
    /// The senderNonce of the last answer, which the next message repeats as its recipNonce; `None` before the first answer.
    pub(super) peer_nonce: Option<Vec<u8>>,
    /// Every senderNonce so far, of both sides.
    pub(super) nonces: Vec<Vec<u8>>,
    /// The MAC of the last answer with other parameters than those of the peer's messages: a server may use the same ones again. `None` if
    /// there was no such answer.
    pub(super) derived: Option<DerivedMac>,
    /// The certificates that came in extraCerts of all answers so far, DER, at most 32.
    pub(super) certificates: Vec<Vec<u8>>,
    /// Whether the CA was polled in this transaction since it began or was resumed.
    pub(super) has_polled: bool,
}

/// The parameters of a MAC, and the key that they give with the peer's secret.
pub struct DerivedMac {
    /// The parameters of the MAC.
    pub parameters: MacParameters,
    /// The key of the MAC.
    pub key: MacKey,
}

impl<'c> Transaction<'c> {
    /// A new transaction.
    ///
    /// # Errors
    /// [`ClientError::Internal`] without randomness; and as [`Self::resume`].
    pub fn begin(client: &'c Client<'c>) -> Result<Self, ClientError> {
        let mut id = [0; 16];
        client.entropy.fill(&mut id)?;
        Self::resume(client, id.to_vec(), None)
    }

    /// Continues an open transaction. `peer_nonce` is the senderNonce of the last answer.
    ///
    /// # Errors
    /// As [`super::Credential::protector`].
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

    /// The protection of the peer's messages.
    pub(super) const fn protector(&self) -> &Protector<'c> {
        &self.protector
    }

    /// A protected message with this senderNonce, DER.
    ///
    /// # Errors
    /// [`ClientError::Internal`] if it cannot be encoded or signed.
    pub(super) fn message(
        &self,
        outgoing: &Outgoing,
        nonce: &[u8],
    ) -> Result<Vec<u8>, ClientError> {
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
