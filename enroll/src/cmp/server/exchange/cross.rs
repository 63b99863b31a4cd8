//! ccr: cross-certification, a certificate for the key of another CA (RFC 9810 §5.3.11 and Appendix D.6).

use x509_cert::name::Name;

use super::Exchange;
use super::delivery::Delivery;
use crate::cmp::server::reply::answer::Answer;
use crate::cmp::server::service::context::{Confirmation, Protection};
use crate::cmp::wire::content::{CertRepMessage, CertResponse};
use crate::cmp::wire::crmf::{CertReqMsg, CertTemplate};
use crate::cmp::wire::refusal::{Failure, Refusal, encoding_failed};
use crate::cmp::wire::status::PkiStatusInfo;
use crate::cmp::wire::{kind, names};

impl Exchange<'_> {
    /// ccr: the operator of another CA asks for a certificate for its CA's key.
    ///
    /// # Errors
    /// `wrongIntegrity` without a signature, `badCertTemplate` for a template that lacks a field, `wrongAuthority` or `badAlg` for another
    /// issuer or signature algorithm than the CA's; refusals of the request, and refusals by the authority.
    pub fn cross_certification(self) -> Result<Answer, Refusal> {
        // 1. A signature protects the message (Appendix D.6).
        if self.protection != Protection::Signature {
            return Err(Refusal::new(
                Failure::WrongIntegrity,
                "a ccr is protected by a signature (RFC 9810 Appendix D.6)",
            ));
        }
        // 2. There is one request, whose key is proven.
        let mut request = CertReqMsg::only(&self.message.body)?;
        let id = request.request.cert_req_id.clone();
        if !self.service.is_request_id(&id) {
            return Err(Refusal::new(Failure::BadRequest, "expected certReqId 0"));
        }
        let asked = &request.request.cert_template;
        check_complete(asked)?;
        let (issuer, signing_alg) = (asked.issuer.clone(), asked.signing_alg.clone());
        // RFC 4211 forbids signingAlg in a template, and Appendix D.6 requires it in a ccr. It is removed before the template is judged by
        // RFC 4211; the proof of possession is verified over the octets as they were sent.
        request.request.cert_template.signing_alg = None;
        let template = request.proven(&self.message.header.sender, None)?;
        // 3. The authority decides whether the account may have the certificate, and with which contents.
        let authority = self.service.authority();
        let config = self.service.config();
        let notices = template.notices.clone();
        let authorized = authority.authorize_cross(
            self.requester,
            template.into_request(self.profile()?, self.route.ca.clone(), None),
        )?;
        check_issuer(issuer.as_ref(), authorized.issuer())?;
        if signing_alg.is_some_and(|wanted| wanted.oid != authorized.signature_algorithm()) {
            return Err(Refusal::new(
                Failure::BadAlg,
                format!(
                    "the CA signs with `{}`, and signingAlg names another algorithm",
                    authorized.signature_algorithm()
                ),
            ));
        }
        // 4. The certificate is issued, and confirmed as any other one is.
        let confirm_until = authority.now().plus(config.confirm_wait);
        let confirmation = match config.implicit_confirm && self.asks_for_implicit_confirm() {
            true => Confirmation::Implicit,
            false => Confirmation::AwaitedUntil(confirm_until),
        };
        let mut draft = self.draft(&id, confirm_until)?;
        draft.confirm_until = confirmation.until();
        let mut issued = authority.issue_cross(authorized, Some(draft))?;
        issued.changes.extend(notices);
        let content = CertRepMessage {
            ca_pubs: None,
            response: vec![CertResponse {
                cert_req_id: id,
                status: PkiStatusInfo::granted(&issued.changes),
                certified_key_pair: Some(Delivery::Plain.pack(&issued.certificate)?),
            }],
        };
        let mut answer = Answer::plain(kind::CCP, &content).map_err(encoding_failed)?;
        answer.confirmation = Some(confirmation);
        answer.extra_certs = issued.chain;
        Ok(answer)
    }
}

/// Checks that the template has every field that Appendix D.6 requires. This authority fills none of them in: the operator of the other CA
/// might expect another value.
fn check_complete(template: &CertTemplate) -> Result<(), Refusal> {
    let validity = template.validity.as_ref();
    let is_named = |name: &Option<Name>| name.as_ref().is_some_and(|name| !name.is_empty());
    let fields = [
        ("version", template.version.is_some()),
        ("signingAlg", template.signing_alg.is_some()),
        ("issuer", is_named(&template.issuer)),
        ("validity.notBefore", validity.is_some_and(|validity| validity.not_before.is_some())),
        ("validity.notAfter", validity.is_some_and(|validity| validity.not_after.is_some())),
        ("subject", is_named(&template.subject)),
        ("publicKey", template.public_key.is_some()),
    ];
    let missing: Vec<&str> =
        fields.into_iter().filter(|(_, is_there)| !is_there).map(|(name, _)| name).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Refusal::new(
            Failure::BadCertTemplate,
            format!(
                "the template of a ccr says everything itself (RFC 9810 Appendix D.6); add {}",
                missing.join(", ")
            ),
        )),
    }
}

/// Checks that the issuer in the template is the CA that will issue the certificate.
fn check_issuer(wanted: Option<&Name>, issuer: &Name) -> Result<(), Refusal> {
    match wanted.filter(|wanted| !wanted.is_empty() && !names::same(wanted, issuer)) {
        Some(wanted) => Err(Refusal::new(
            Failure::WrongAuthority,
            format!("the issuer asked for is `{wanted}`, and `{issuer}` certifies other CAs"),
        )),
        None => Ok(()),
    }
}
