//! rr: a peer revokes a certificate of its account (RFC 9483 §4.2).

use countersign_ca::record::{Label, Reason, Serial};
use countersign_ca::{Credential, Timestamp, certificate};
use der::asn1::GeneralizedTime;
use der::{Decode, Encode};
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::cmp::server::reply::answer::{Answer, failed, minus_one};
use crate::cmp::wire::content::{PkiStatusInfo, RevDetails, RevRepContent, kind};
use crate::cmp::wire::crmf::{CertId, elements, malformed};
use crate::cmp::server::exchange::Exchange;
use crate::cmp::wire::names;
use crate::cmp::wire::refusal::{Failure, Refusal};

impl Exchange<'_> {
    /// rr: the holder revokes a certificate of its account.
    pub(crate) fn revocation(self) -> Result<Answer, Refusal> {
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
        let (ca, serial) = self.own(&issuer, serial_number.as_bytes())?;
        self.check_details(&ca, &serial, template.subject.as_ref(), template.public_key.as_ref())?;
        let (reason, invalidity) = entry_details(details.crl_entry_details.unwrap_or_default())?;
        if invalidity.is_some_and(|date| date > authority.now()) {
            return Err(Refusal::new(
                Failure::IncorrectData,
                "the invalidityDate is still to come; expected one in the past",
            ));
        }
        let mut draft = self.draft(&minus_one()?, authority.now(), false)?;
        draft.registrar = self.recorded_registrar(true);
        authority.revoke_for(self.requester, &ca, &serial, reason, invalidity, Some(draft))?;
        let content = RevRepContent {
            status: vec![PkiStatusInfo::accepted(format!("the certificate is revoked ({reason})"))],
            rev_certs: Some(vec![CertId { issuer, serial_number }]),
        };
        Answer::plain(kind::RP, &content).map_err(failed)
    }
}

impl Exchange<'_> {
    /// What certDetails say beside issuer and serialNumber is the certificate's (RFC 9483 §4.2).
    fn check_details(
        &self,
        ca: &Label,
        serial: &Serial,
        subject: Option<&Name>,
        key: Option<&SubjectPublicKeyInfoOwned>,
    ) -> Result<(), Refusal> {
        if subject.is_none() && key.is_none() {
            return Ok(());
        }
        let record = self.service.authority().store().certificate(ca, serial)?;
        let Some(record) = record else { return Ok(()) };
        let facts = certificate::Facts::of(&record.certificate)?;
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

fn entry_details(
    extensions: Vec<x509_cert::ext::Extension>,
) -> Result<(Reason, Option<Timestamp>), Refusal> {
    let mut reason = Reason::Unspecified;
    let mut invalidity = None;
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
            countersign_ca::oid::CRL_REASON => {
                reason = Reason::from_der(content).map_err(malformed("a CRLReason"))?;
            }
            countersign_ca::oid::INVALIDITY_DATE => {
                let date =
                    GeneralizedTime::from_der(content).map_err(malformed("an invalidityDate"))?;
                let seconds = i64::try_from(date.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
                invalidity = Some(Timestamp::from_seconds(seconds));
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
    Ok((reason, invalidity))
}
