//! Makes a PKIMessage around an answer and protects it (RFC 9810 §5.1.1 and §5.1.3).

use std::time::Duration;

use countersign_ca::Error;
use der::Encode;
use der::asn1::{Any, GeneralizedTime, Int, Null, OctetString};
use x509_cert::ext::pkix::name::GeneralName;

use crate::cmp::server::reply::answer::Answer;
use crate::cmp::server::sender::authenticate::{Protector, Reply};
use crate::cmp::server::sender::header::Echo;
use crate::cmp::wire::message::{InfoTypeAndValue, PkiHeader, assemble, protected_part, tagged_body};
use crate::cmp::wire::oid;
use crate::cmp::server::service::CmpService;

impl CmpService {
    /// The PKIMessage, DER.
    pub(crate) fn protect(
        &self,
        request: Option<&PkiHeader>,
        answer: &Answer,
        reply: &Reply,
        nonce: &[u8; 16],
    ) -> Result<Vec<u8>, Error> {
        let authority = self.authority();
        // An account may name a CA that is gone: then the default one tells its peer so.
        let signer =
            authority.protection(reply.ca.as_ref()).or_else(|_| authority.protection(None))?;
        let octets = |bytes: &[u8]| OctetString::new(bytes).map_err(Error::internal);
        let echo = Echo::of(request);
        let (algorithm, sender_kid) = match &reply.protector {
            Protector::Mac(mac) => (mac.1.algorithm().clone(), echo.reference),
            Protector::Signature => (signer.algorithm(), Some(octets(signer.key_identifier())?)),
        };
        let now = u64::try_from(authority.now().seconds()).map_err(Error::internal)?;
        let now = GeneralizedTime::from_unix_duration(Duration::from_secs(now));
        let header = PkiHeader {
            pvno: Int::new(&[echo.version.max(answer.pvno)]).map_err(Error::internal)?,
            sender: GeneralName::DirectoryName(signer.subject().clone()),
            recipient: echo.recipient,
            message_time: Some(now.map_err(Error::internal)?),
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
            Protector::Mac(mac) => mac.0.sign(&protected),
            Protector::Signature => {
                // The signer's certificate stands first (RFC 9483 §3.3).
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

fn general_info(answer: &Answer) -> der::Result<Option<Vec<InfoTypeAndValue>>> {
    if answer.implicit_confirm {
        let info_value = Some(Any::encode_from(&Null)?);
        return Ok(Some(vec![InfoTypeAndValue { info_type: oid::IMPLICIT_CONFIRM, info_value }]));
    }
    let Some(until) = answer.confirm_until else { return Ok(None) };
    let seconds = u64::try_from(until.seconds()).unwrap_or_default();
    let time = GeneralizedTime::from_unix_duration(Duration::from_secs(seconds))?;
    let info_value = Some(Any::encode_from(&time)?);
    Ok(Some(vec![InfoTypeAndValue { info_type: oid::CONFIRM_WAIT_TIME, info_value }]))
}

fn without_root(chain: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    // extraCerts leave the self-signed one out (RFC 9483 §3.3).
    let keep = chain.len().saturating_sub(1);
    chain.iter().take(keep).map(Vec::as_slice)
}
