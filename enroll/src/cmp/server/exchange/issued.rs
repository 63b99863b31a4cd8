//! The answer with a certificate: ip, cp, kup or ccp (RFC 9810 §5.3.4).

use countersign_ca::Credential;
use countersign_ca::authority::IssuedCertificate;
use der::Decode;
use der::asn1::{Any, Int};

use super::Exchange;
use super::delivery::Delivery;
use crate::cmp::server::reply::answer::Answer;
use crate::cmp::server::service::context::{Confirmation, Protection};
use crate::cmp::wire::content::{CertRepMessage, CertResponse};
use crate::cmp::wire::kind;
use crate::cmp::wire::refusal::{Refusal, encoding_failed};
use crate::cmp::wire::status::PkiStatusInfo;

impl Exchange<'_> {
    /// The answer with a certificate, as a body of this kind. `id` is the certReqId of the request.
    ///
    /// # Errors
    /// `systemFailure` when something cannot be encoded or encrypted.
    pub fn issued_answer(
        &self,
        kind: u8,
        id: Int,
        issued: IssuedCertificate,
        delivery: Delivery,
        confirmation: Confirmation,
    ) -> Result<Answer, Refusal> {
        // The peer trusts an anchor in caPubs at once, which only a shared secret warrants (RFC 9810 §5.3.2). A device takes the
        // operator's root from extraCerts if it has none yet (3GPP TS 33.310 §9.5.4).
        let is_device = matches!(self.requester.credential(), Credential::Vendor(_));
        let is_first_by_mac = kind == kind::IP && self.protection == Protection::Mac;
        let anchor = issued.chain.last().filter(|_| is_first_by_mac);
        let any = |der: &Vec<u8>| Any::from_der(der).map_err(encoding_failed);
        let pvno = delivery.pvno();
        let response = CertResponse {
            cert_req_id: id,
            status: PkiStatusInfo::granted(&issued.changes),
            certified_key_pair: Some(delivery.pack(&issued.certificate)?),
        };
        let content = CertRepMessage {
            ca_pubs: anchor.map(|anchor| any(anchor).map(|anchor| vec![anchor])).transpose()?,
            response: vec![response],
        };
        let mut answer = Answer::plain(kind, &content).map_err(encoding_failed)?;
        answer.pvno = pvno;
        answer.confirmation = Some(confirmation);
        answer.root = issued.chain.last().filter(|_| is_device).cloned();
        answer.extra_certs = issued.chain;
        Ok(answer)
    }
}
