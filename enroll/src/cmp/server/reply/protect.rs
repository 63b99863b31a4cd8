//! Makes a PKIMessage of an answer and protects it (RFC 9810 §5.1.1 and §5.1.3): in the way in which the request was protected (RFC 9483
//! §3.2).

use countersign_ca::Error;
use countersign_ca::record::Label;
use der::Encode;
use der::asn1::{Any, Int, Null, OctetString};
use x509_cert::ext::pkix::name::GeneralName;

use super::answer::{Answer, Peer};
use super::echo::Echo;
use crate::cmp::server::service::CmpService;
use crate::cmp::server::service::context::{Confirmation, Protection};
use crate::cmp::server::service::route::Route;
use crate::cmp::wire::mac::{MacKey, MacParameters};
use crate::cmp::wire::message::{
    InfoTypeAndValue, PkiHeader, assemble, protected_part, tagged_body,
};
use crate::cmp::wire::oid;
use crate::cmp::wire::time::generalized_time;
use crate::transport::account_slots::AccountSlot;

/// The protection of an answer.
pub enum Protector {
    /// A MAC under the key that the peer derived from its secret.
    Mac(Box<MacProtection>),
    /// A signature by the CMP signer of a CA.
    Signature,
}

/// The MAC of the request, with which the answer is protected, too.
pub struct MacProtection {
    /// The derived key.
    pub key: MacKey,
    /// The parameters of the request's MAC.
    pub parameters: MacParameters,
}

impl Protector {
    /// The kind of protection of the request, in the form in which the transaction records it.
    pub const fn protection(&self) -> Protection {
        match self {
            Self::Mac(_) => Protection::Mac,
            Self::Signature => Protection::Signature,
        }
    }
}

/// How an answer is addressed and protected.
pub struct Reply {
    /// The protection of the answer.
    pub protector: Protector,
    /// The CA whose CMP signer answers; `None` means the default CA.
    pub ca: Option<Label>,
    /// Whether the peer is known, so that a refusal is a response of the request's kind.
    pub peer: Peer,
    /// The slot of the sender's account that the message takes until the answer is sent; `None` if the sender is not authenticated.
    pub account_slot: Option<AccountSlot>,
}

impl Reply {
    /// A signed reply to a peer that proved nothing yet.
    pub fn to_stranger(route: &Route) -> Self {
        Self {
            protector: Protector::Signature,
            ca: route.ca.clone(),
            peer: Peer::Stranger,
            account_slot: None,
        }
    }
}

impl CmpService {
    /// Makes the PKIMessage of an answer, DER. `request` is the header of the message that it answers, if that could be read; `nonce` is
    /// the senderNonce of the answer.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no CA has a CMP signer; those of the signature; [`Error::Internal`] when something cannot be encoded.
    pub(crate) fn protect(
        &self,
        request: Option<&PkiHeader>,
        answer: &Answer,
        reply: &Reply,
        nonce: &[u8; 16],
    ) -> Result<Vec<u8>, Error> {
        let authority = self.authority();
        // An account may name a CA that is gone. The default CA then signs the answer that says so.
        let signer =
            authority.protection(reply.ca.as_ref()).or_else(|_| authority.protection(None))?;
        let octets = |bytes: &[u8]| OctetString::new(bytes).map_err(Error::internal);
        let echo = Echo::of(request);
        let (algorithm, sender_kid) = match &reply.protector {
            Protector::Mac(mac) => (mac.parameters.algorithm().clone(), echo.reference),
            Protector::Signature => (signer.algorithm(), Some(octets(signer.key_identifier())?)),
        };
        let now = generalized_time(authority.now()).map_err(Error::internal)?;
        let header = PkiHeader {
            pvno: Int::new(&[echo.version.max(answer.pvno)]).map_err(Error::internal)?,
            sender: GeneralName::DirectoryName(signer.subject().clone()),
            recipient: echo.recipient,
            message_time: Some(now),
            protection_alg: Some(algorithm),
            sender_kid,
            recip_kid: None,
            transaction_id: echo.transaction_id,
            sender_nonce: Some(octets(nonce)?),
            recip_nonce: echo.recip_nonce,
            free_text: None,
            general_info: general_info(answer).map_err(Error::internal)?,
        };
        let header = header.to_der().map_err(Error::internal)?;
        let body = tagged_body(answer.kind, &answer.content).map_err(Error::internal)?;
        let protected = protected_part(&header, &body).map_err(Error::internal)?;
        let mut extra: Vec<&[u8]> = Vec::new();
        let protection = match &reply.protector {
            Protector::Mac(mac) => mac.key.sign(&protected),
            Protector::Signature => {
                // RFC 9483 §3.3: the signer's certificate comes first.
                extra.push(signer.certificate());
                extra.extend(without_root(signer.chain()));
                signer.sign(&protected)?
            }
        };
        for certificate in without_root(&answer.extra_certs).chain(answer.root.as_deref()) {
            if !extra.contains(&certificate) {
                extra.push(certificate);
            }
        }
        assemble(&header, &body, &protection, &extra).map_err(Error::internal)
    }
}

/// generalInfo: how the certificate in the answer is confirmed.
fn general_info(answer: &Answer) -> der::Result<Option<Vec<InfoTypeAndValue>>> {
    let (info_type, value) = match answer.confirmation {
        None => return Ok(None),
        Some(Confirmation::Implicit) => (oid::IMPLICIT_CONFIRM, Any::encode_from(&Null)?),
        Some(Confirmation::AwaitedUntil(until)) => {
            (oid::CONFIRM_WAIT_TIME, Any::encode_from(&generalized_time(until)?)?)
        }
    };
    Ok(Some(vec![InfoTypeAndValue { info_type, info_value: Some(value) }]))
}

/// A chain without its last certificate, the self-signed root: extraCerts leave it out (RFC 9483 §3.3).
fn without_root(chain: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    let below = chain.len().saturating_sub(1);
    chain.iter().take(below).map(Vec::as_slice)
}
