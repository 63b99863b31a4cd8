//! ccr: another CA's key is certified (RFC 9810 §5.3.11 and Appendix D.6).

use x509_cert::name::Name;

use crate::cmp::server::reply::answer::{Answer, failed};
use crate::cmp::wire::content::{CertRepMessage, CertResponse, PkiStatusInfo, kind};
use crate::cmp::server::service::context::Kind;
use crate::cmp::wire::crmf::{CertReqMsg, CertTemplate};
use crate::cmp::server::exchange::delivery::Delivery;
use crate::cmp::server::exchange::Exchange;
use crate::cmp::wire::names;
use crate::cmp::wire::refusal::{Failure, Refusal};

impl Exchange<'_> {
    /// ccr: the operator of another CA asks for a certificate on its key.
    pub(crate) fn cross_certification(self) -> Result<Answer, Refusal> {
        // 1. Appendix D.6: only a signature protects it.
        if self.protection != Kind::Signature {
            return Err(Refusal::new(
                Failure::WrongIntegrity,
                "a ccr is protected by a signature (RFC 9810 Appendix D.6)",
            ));
        }
        // 2. One request, with the proof that its key is the CA's.
        let mut request = CertReqMsg::only(&self.message.body)?;
        let id = request.request.cert_req_id.clone();
        if !self.service.is_request_id(&id) {
            return Err(Refusal::new(Failure::BadRequest, "expected certReqId 0"));
        }
        let template = &request.request.cert_template;
        check_complete(template)?;
        let (issuer, signing_alg) = (template.issuer.clone(), template.signing_alg.clone());
        // Appendix D.6 wants signingAlg in a ccr, where RFC 4211 has it absent. The proof covers the request as it came.
        request.request.cert_template.signing_alg = None;
        let wish = request.proven(&self.message.header.sender, None)?;
        // 3. Whether this account may have it, and what exactly.
        let authority = self.service.authority();
        let config = self.service.config();
        let told = wish.told.clone();
        let authorized = authority.authorize_cross(
            self.requester,
            wish.request(self.profile()?, self.route.ca.clone(), None),
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
        // 4. The certificate, which is confirmed as any other.
        let implicit = config.implicit_confirm && self.asks_for_implicit_confirm();
        let confirm_until = authority.now().plus(config.confirm_wait);
        let draft = self.draft(&id, confirm_until, !implicit)?;
        let mut issued = authority.issue_cross(authorized, Some(draft))?;
        issued.changes.extend(told);
        let content = CertRepMessage {
            ca_pubs: None,
            response: vec![CertResponse {
                cert_req_id: id,
                status: PkiStatusInfo::granted(&issued.changes),
                certified_key_pair: Some(Delivery::Plain.pack(&issued.certificate)?),
            }],
        };
        let mut answer = Answer::plain(kind::CCP, &content).map_err(failed)?;
        answer.implicit_confirm = implicit;
        answer.confirm_until = (!implicit).then_some(confirm_until);
        answer.extra_certs = issued.chain;
        Ok(answer)
    }
}

/// Appendix D.6: a CA says itself what is to be certified, and by what. Nothing of that is filled in here: who leaves it out may expect
/// something else.
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

fn check_issuer(wanted: Option<&Name>, issuer: &Name) -> Result<(), Refusal> {
    match wanted.filter(|wanted| !wanted.is_empty() && !names::same(wanted, issuer)) {
        Some(wanted) => Err(Refusal::new(
            Failure::WrongAuthority,
            format!("the issuer asked for is `{wanted}`, and `{issuer}` certifies other CAs"),
        )),
        None => Ok(()),
    }
}
