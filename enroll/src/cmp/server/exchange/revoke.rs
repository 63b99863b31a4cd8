//! rr: a peer revokes a certificate of its account (RFC 9483 §4.2).

use countersign_ca::record::Reason;
use countersign_ca::x509::Facts;
use countersign_ca::{Credential, Timestamp, oid as ca};
use der::asn1::GeneralizedTime;
use der::{Decode, Encode};
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::registration::ActsFor;
use super::{CertificateId, Exchange};
use crate::cmp::server::reply::answer::Answer;
use crate::cmp::wire::content::{NO_REQUEST_ID, RevDetails, RevRepContent, cert_req_id};
use crate::cmp::wire::crmf::CertId;
use crate::cmp::wire::refusal::{Failure, Refusal, encoding_failed, malformed};
use crate::cmp::wire::status::PkiStatusInfo;
use crate::cmp::wire::time::timestamp;
use crate::cmp::wire::{kind, names};
use crate::request::elements::elements;

/// The values of the CRL entry extensions that an rr asks for. Without a reasonCode, the reason is `unspecified`.
struct EntryDetails {
    reason: Reason,
    invalidity_date: Option<Timestamp>,
}

impl Exchange<'_> {
    /// rr: the peer has one certificate of its account revoked.
    ///
    /// # Errors
    /// `wrongIntegrity` for an rr under a shared secret, where the operator has not allowed that; refusals of the details, and
    /// refusals by the authority.
    pub fn revocation(self) -> Result<Answer, Refusal> {
        let authority = self.service.authority();
        if matches!(self.requester.credential(), Credential::Secret)
            && !self.service.config().mac_revocation
        {
            return Err(Refusal::new(
                Failure::WrongIntegrity,
                "an rr is signed with a certificate of the account; without its key, ask the administrator to revoke",
            ));
        }
        let details = elements(&self.message.body).map_err(malformed("RevReqContent"))?;
        let [details] = details.as_slice() else {
            return Err(Refusal::new(
                Failure::BadRequest,
                "expected exactly one RevDetails (RFC 9483 §4.2)",
            ));
        };
        let der = details.to_der().map_err(malformed("RevDetails"))?;
        let details = RevDetails::from_der(&der).map_err(malformed("RevDetails"))?;
        let template = details.cert_details;
        let (Some(issuer), Some(serial_number)) = (template.issuer, template.serial_number) else {
            return Err(Refusal::new(
                Failure::AddInfoNotAvailable,
                "certDetails need issuer and serialNumber (RFC 9483 §4.2)",
            ));
        };
        if template.version.is_some_and(|version| version.as_bytes() != [2]) {
            return Err(Refusal::new(
                Failure::BadRequest,
                "expected version 2 (v3) or none in certDetails",
            ));
        }
        let issuer = GeneralName::DirectoryName(issuer);
        let id = self.issued_here(&issuer, serial_number.as_bytes())?;
        self.check_details(&id, template.subject.as_ref(), template.public_key.as_ref())?;
        let entry = entry_details(details.crl_entry_details.unwrap_or_default())?;
        if entry.invalidity_date.is_some_and(|date| date > authority.now()) {
            return Err(Refusal::new(
                Failure::IncorrectData,
                "the invalidityDate is still to come; expected one in the past",
            ));
        }
        let no_id = cert_req_id(NO_REQUEST_ID).map_err(encoding_failed)?;
        let mut draft = self.draft(&no_id, authority.now())?;
        // A registration authority is recorded even where the certificate is one of its own account.
        draft.registrar = self.recorded_registrar(ActsFor::AnotherAccount);
        let (reason, invalidity_date) = (entry.reason, entry.invalidity_date);
        authority.revoke_for(
            self.requester,
            &id.ca,
            &id.serial,
            reason,
            invalidity_date,
            Some(draft),
        )?;
        let content = RevRepContent {
            status: vec![PkiStatusInfo::accepted(format!("the certificate is revoked ({reason})"))],
            rev_certs: Some(vec![CertId { issuer, serial_number }]),
        };
        Answer::plain(kind::RP, &content).map_err(encoding_failed)
    }

    /// Checks that subject and publicKey in certDetails, where present, are those of the certificate (RFC 9483 §4.2).
    fn check_details(
        &self,
        id: &CertificateId,
        subject: Option<&Name>,
        key: Option<&SubjectPublicKeyInfoOwned>,
    ) -> Result<(), Refusal> {
        if subject.is_none() && key.is_none() {
            return Ok(());
        }
        let record = self.service.authority().store().certificate(&id.ca, &id.serial)?;
        let Some(record) = record else { return Ok(()) };
        let facts = Facts::of(&record.certificate)?;
        let other_subject = subject.is_some_and(|subject| !names::same(subject, &facts.subject));
        let other_key = key.is_some_and(|key| key.to_der().is_ok_and(|der| der != facts.key.der()));
        match other_subject || other_key {
            true => Err(Refusal::new(
                Failure::BadCertId,
                "the subject or the publicKey in certDetails is not that of the certificate",
            )),
            false => Ok(()),
        }
    }
}

/// Reads the CRL entry extensions of an rr.
///
/// # Errors
/// `unacceptedExtension` for an unknown one that is critical, `badRequest` for one that is there twice, `badDataFormat` for one that cannot
/// be read.
fn entry_details(extensions: Vec<Extension>) -> Result<EntryDetails, Refusal> {
    let mut details = EntryDetails { reason: Reason::Unspecified, invalidity_date: None };
    let mut seen = Vec::new();
    for extension in extensions {
        if seen.contains(&extension.extn_id) {
            return Err(Refusal::new(
                Failure::BadRequest,
                format!("the CRL entry extension `{}` stands twice", extension.extn_id),
            ));
        }
        seen.push(extension.extn_id);
        let content = extension.extn_value.as_bytes();
        match extension.extn_id {
            ca::CRL_REASON => {
                details.reason = Reason::from_der(content).map_err(malformed("a CRLReason"))?;
            }
            ca::INVALIDITY_DATE => {
                let date =
                    GeneralizedTime::from_der(content).map_err(malformed("an invalidityDate"))?;
                details.invalidity_date = Some(timestamp(date.to_unix_duration()));
            }
            other if extension.critical => {
                return Err(Refusal::new(
                    Failure::UnacceptedExtension,
                    format!("the critical CRL entry extension `{other}` is not known here"),
                ));
            }
            _ => {}
        }
    }
    Ok(details)
}
