//! Requests for certificates: ir, cr, kur and p10cr (RFC 9483 §4.1).

use countersign_ca::record::Serial;
use countersign_ca::{Credential, Recording, Requester};
use der::asn1::Int;
use x509_cert::name::Name;

use super::delivery::Delivery;
use super::grant::Grant;
use super::{CertificateId, CrmfRequest, Exchange};
use crate::cmp::server::reply::answer::Answer;
use crate::cmp::server::service::stop::Stop;
use crate::cmp::wire::content::{NO_REQUEST_ID, cert_req_id};
use crate::cmp::wire::crmf::CertReqMsg;
use crate::cmp::wire::popo::ProofOfPossession;
use crate::cmp::wire::refusal::{Failure, Refusal, encoding_failed};
use crate::cmp::wire::{kind, names, oid};
use crate::request::extensions::AltNames;
use crate::request::pkcs10::certification_request;
use crate::request::template::RequestTemplate;

impl Exchange<'_> {
    /// ir, cr and kur; `answer` is the kind of body that answers.
    ///
    /// # Errors
    /// A refusal; [`Stop::Busy`] if too many keys are generated at once; [`Stop::NeedsBlockingThread`].
    pub fn certificate_request(self, answer: u8) -> Result<Recording<Answer>, Stop> {
        // 1. One request, in a form that the rules accept.
        let mut message = CertReqMsg::only(&self.message.body)?;
        let id = message.request.cert_req_id.clone();
        if !self.service.is_request_id(&id) {
            return Err(Refusal::new(
                Failure::BadRequest,
                "expected certReqId 0 (RFC 9483 §4.1.1)",
            )
            .into());
        }
        if self.service.is_tolerant() {
            // The proof of possession is verified over the octets as they were sent.
            message.request.cert_template = message.request.cert_template.with_one_alt_name();
        }
        // 2. The registration authority that vouches for the key, if one does, and the certificate that a kur updates.
        let is_update = answer == kind::KUP;
        if is_update {
            message.supported = &[oid::OLD_CERT_ID];
        }
        let holder = if is_update { self.updates_for(&message)? } else { None };
        let voucher =
            self.registrar.filter(|_| message.proof == Some(ProofOfPossession::RaVerified));
        if voucher.is_some() && is_update && holder.is_none() {
            return Err(Refusal::new(
                Failure::BadPop,
                "a key update keeps the protection by the certificate that it replaces: add yours by a nested message, or send the \
                 peer's message in origPKIMessage",
            )
            .into());
        }
        let updated = || self.updated(&message, holder.as_ref().unwrap_or(self.requester));
        let updates = is_update.then(updated).transpose()?;
        if let Some(issuer) = &message.request.cert_template.issuer {
            self.check_issuer(issuer)?;
        }
        // 3. The key is generated here, proven by decryption, vouched for, or proven by its signature.
        if let Some(wanted) = message.wanted_key()? {
            return self.key_generation(CrmfRequest { answer, id, message, updates }, wanted);
        }
        if let Some(proof) = message.proof_by_decryption() {
            return self.proof_by_decryption(CrmfRequest { answer, id, message, updates }, proof);
        }
        let sender = &self.message.header.sender;
        let template = match voucher {
            Some(registrar) => message.vouched(registrar)?,
            None => message.proven(sender, self.public_key_mac.as_ref())?,
        };
        let on_behalf = if is_update { holder } else { self.on_behalf(&template)? };
        if voucher.is_some() && on_behalf.is_none() {
            return Err(Refusal::new(
                Failure::BadPop,
                "raVerified is for the keys of others; sign the request for your own certificate with the new key",
            )
            .into());
        }
        // 4. The certificate.
        self.grant_plainly(answer, id, template, updates, on_behalf)
    }

    /// p10cr: a PKCS #10 request, whose signature is the proof of possession.
    ///
    /// # Errors
    /// As [`Self::certificate_request`].
    pub fn pkcs10_request(self) -> Result<Recording<Answer>, Stop> {
        let alt_names = match self.service.is_tolerant() {
            true => AltNames::Repaired,
            false => AltNames::AsSent,
        };
        let template = certification_request(&self.message.body, alt_names)?.template;
        let on_behalf = self.on_behalf(&template)?;
        let id = cert_req_id(NO_REQUEST_ID).map_err(encoding_failed)?;
        self.grant_plainly(kind::CP, id, template, None, on_behalf)
    }

    /// The certificate that a kur updates: the one that signs it. If oldCertID is present, it must name that certificate.
    fn updated(&self, request: &CertReqMsg, holder: &Requester) -> Result<Serial, Refusal> {
        let Credential::Certificate(signer) = holder.credential() else {
            return Err(Refusal::new(
                Failure::WrongIntegrity,
                "a kur is signed with the certificate that it replaces; with a secret, send an ir",
            ));
        };
        let Some(old) = request.old_cert_id()? else { return Ok(signer.serial) };
        let CertificateId { ca, serial } =
            self.issued_here(&old.issuer, old.serial_number.as_bytes())?;
        if (&ca, &serial) != (&signer.ca, &signer.serial) {
            return Err(Refusal::new(
                Failure::BadCertId,
                format!(
                    "oldCertID names {serial} of `{ca}`, and the message is signed with {} of `{}`",
                    signer.serial, signer.ca
                ),
            ));
        }
        Ok(serial)
    }

    /// Checks that an issuer in the template is a CA of this instance, or the issuer of the vendor's certificate with which a device
    /// enrols.
    fn check_issuer(&self, issuer: &Name) -> Result<(), Refusal> {
        if issuer.is_empty() || self.service.authority().ca_by_subject(issuer).is_some() {
            return Ok(());
        }
        // OpenSSL's client repeats the issuer of the vendor's certificate, unless it is given an issuer.
        if let Credential::Vendor(vendor) = self.requester.credential()
            && names::same(issuer, &vendor.issuer)
        {
            return Ok(());
        }
        Err(Refusal::new(
            Failure::WrongAuthority,
            format!("the issuer asked for, `{issuer}`, is not a CA of this instance"),
        ))
    }

    /// Grants a request whose certificate is returned as it is.
    fn grant_plainly(
        self,
        answer: u8,
        id: Int,
        template: RequestTemplate,
        updates: Option<Serial>,
        on_behalf: Option<Requester>,
    ) -> Result<Recording<Answer>, Stop> {
        let (implicit, profile) = (self.asks_for_implicit_confirm(), self.profile()?);
        let delivery = Delivery::Plain;
        self.grant(Grant { answer, id, template, updates, on_behalf, delivery, implicit, profile })
    }
}
