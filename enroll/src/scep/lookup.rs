//! GetCert and GetCRL (RFC 8894 §3.3.4 and §3.3.5). Both answer with what the repository gives to everybody.

use countersign_ca::record::{CrlScope, Label, Serial};
use countersign_ca::{Authority, Error};
use der::Decode;
use x509_cert::name::Name;

use super::certificate::IssuerAndSerial;
use super::decision::Decision;
use super::refusal::{Refusal, Stop};
use super::service::{Opened, ScepService};
use crate::ber::{self, Elements, SEQUENCE};

/// A certificate that a message names.
struct Named {
    /// The CA that would have issued it.
    ca: Label,
    /// Its serial number; `None` for one that no certificate here has.
    serial: Option<Serial>,
}

impl ScepService {
    /// GetCert: a certificate, by its issuer and serial number.
    ///
    /// # Errors
    /// badCertId if no published certificate has them.
    pub(super) fn certificate(&self, opened: &Opened) -> Result<Decision, Stop> {
        let authority = self.authority();
        let Named { ca, serial } = self.named(opened)?;
        let none = || {
            Refusal::bad_cert_id(
                "no certificate of this issuer and serial number is published here",
            )
        };
        let serial = serial.ok_or_else(none)?;
        let record = authority.store().certificate(&ca, &serial)?;
        // What directories may not show is for its holder alone (RFC 4211 §6.3), and a withheld certificate is for nobody yet.
        let record = record.filter(|record| !record.unpublished && !record.withheld);
        Ok(Decision::Certificate(record.ok_or_else(none)?.certificate))
    }

    /// GetCRL: the full CRL of the CA that issued a certificate.
    ///
    /// # Errors
    /// badCertId if no CA here has that name, or it has no CRL; badRequest if the CRL is too large.
    pub(super) fn crl(&self, opened: &Opened) -> Result<Decision, Stop> {
        let Named { ca, .. } = self.named(opened)?;
        let crl = self.authority().crl(&ca, CrlScope::Full)?;
        let crl = crl.ok_or_else(|| Refusal::bad_cert_id("this issuer has no CRL here"))?;
        let (found, most) = (crl.der.len(), self.config().max_crl);
        if found > most {
            return Err(Refusal::bad_request(format!(
                "the CRL has {found} octets, and at most {most} are sent; fetch it from /crl/{ca}.crl"
            ))
            .into());
        }
        Ok(Decision::Crl(crl.der.to_vec()))
    }

    /// The certificate that the content of a message names.
    fn named(&self, opened: &Opened) -> Result<Named, Stop> {
        let unreadable = |e: Error| Refusal::unreadable_content(e.to_string());
        let octets = opened.content.as_ref();
        let octets = octets.ok_or_else(|| Refusal::unreadable_content("the padding is wrong"))?;
        let der = ber::definite(octets, self.config().bounds).map_err(unreadable)?;
        let name = Elements::of(&der)
            .expect(SEQUENCE, "an IssuerAndSerialNumber")
            .and_then(|parts| IssuerAndSerial::read(parts.elements()))
            .map_err(unreadable)?;
        let issuer = Name::from_der(&name.issuer)
            .map_err(|e| unreadable(Error::malformed(e.to_string())))?;
        let serial = Serial::from_integer(name.serial_content());
        let ca = issuer_of(self.authority(), &issuer, serial.as_ref())?;
        let ca = ca.ok_or_else(|| Refusal::bad_cert_id("no CA here has this name"))?;
        Ok(Named { ca, serial })
    }
}

/// The CA with this subject that issued the certificate with this serial number.
fn issuer_of(
    authority: &Authority,
    issuer: &Name,
    serial: Option<&Serial>,
) -> Result<Option<Label>, Error> {
    match serial {
        Some(serial) => authority.ca_of(issuer, serial),
        None => Ok(authority.ca_by_subject(issuer)),
    }
}
