//! GetCert and GetCRL (RFC 8894 §3.3.4 and §3.3.5). Both answer with what the repository gives to everybody.
//!
//! A message that finds nothing has one answer, whether its content could be decrypted and read or not, and costs the same look-ups:
//! otherwise a stranger who sends another's ciphertext could learn from the answers what it decrypts to.

use countersign_ca::record::{CrlScope, Label, Serial};
use countersign_ca::{Authority, Error};
use der::Decode;
use x509_cert::name::Name;

use super::certificate::IssuerAndSerial;
use super::decision::Decision;
use super::refusal::{Refusal, Stop};
use super::service::{Opened, ScepService};
use crate::ber::{self, Bounds, Elements, SEQUENCE};

/// A certificate that is looked up.
struct Named {
    /// The CA that would have issued the certificate.
    ca: Label,
    /// The serial number of the certificate; `None` for one that no certificate here has.
    serial: Option<Serial>,
    /// If this is not the certificate that the message names: the reason. Another certificate is then looked up in its place, so that the
    /// refusal takes as long.
    instead: Option<String>,
}

impl ScepService {
    /// GetCert: a certificate, by its issuer and serial number.
    ///
    /// # Errors
    /// badCertId if no published certificate has them, or the content is unreadable.
    pub(super) fn certificate(&self, opened: &Opened) -> Result<Decision, Stop> {
        let authority = self.authority();
        let Named { ca, serial, instead } = self.named(opened)?;
        let record = match serial.or_else(|| of_recipient(opened)) {
            Some(serial) => authority.store().certificate(&ca, &serial)?,
            None => None,
        };
        // What directories may not show is for its holder alone (RFC 4211 §6.3), and a withheld certificate is for nobody yet.
        let record = record.filter(|record| {
            serial == Some(record.serial) && !record.unpublished && !record.withheld
        });
        match (instead, record) {
            (Some(why), _) => Err(Refusal::not_found(why).into()),
            (None, None) => Err(Refusal::not_found("no such certificate is published").into()),
            (None, Some(record)) => Ok(Decision::Certificate(record.certificate)),
        }
    }

    /// GetCRL: the full CRL of the CA that issued a certificate.
    ///
    /// # Errors
    /// badCertId if no CA here has that name, it has no CRL, the CRL is too large, or the content is unreadable.
    pub(super) fn crl(&self, opened: &Opened) -> Result<Decision, Stop> {
        let Named { ca, instead, .. } = self.named(opened)?;
        let crl = self.authority().crl(&ca, CrlScope::Full)?;
        let (found, most) = (crl.as_ref().map(|crl| crl.der.len()), self.config().max_crl);
        match (instead, crl, found) {
            (Some(why), ..) => Err(Refusal::not_found(why).into()),
            (None, Some(_), Some(found)) if found > most => Err(Refusal::not_found(format!(
                "the CRL has {found} octets, and at most {most} are sent; it is at /crl/{ca}.crl"
            ))
            .into()),
            (None, Some(crl), _) => Ok(Decision::Crl(crl.der.to_vec())),
            (None, None, _) => Err(Refusal::not_found("this issuer has no CRL").into()),
        }
    }

    /// The certificate that the content of a message names. If the content names none, it is the one for which the message was encrypted.
    fn named(&self, opened: &Opened) -> Result<Named, Stop> {
        let authority = self.authority();
        let read = match &opened.content {
            Some(content) => read(content, self.config().bounds),
            None => Err(Error::malformed("the padding is wrong")),
        };
        let why = match read {
            Ok((issuer, serial)) => match issuer_of(authority, &issuer, serial.as_ref())? {
                Some(ca) => return Ok(Named { ca, serial, instead: None }),
                None => "no CA here has this name".to_owned(),
            },
            Err(why) => why.to_string(),
        };
        let ca = opened.delegates.ca.clone();
        Ok(Named { ca, serial: of_recipient(opened), instead: Some(why) })
    }
}

/// The serial number of the certificate for which a message was encrypted.
fn of_recipient(opened: &Opened) -> Option<Serial> {
    let name = IssuerAndSerial::of(opened.delegates.encryption.certificate()).ok()?;
    Serial::from_integer(name.serial_content())
}

/// Reads an IssuerAndSerialNumber. The serial number is `None` if no certificate here can have it.
fn read(octets: &[u8], bounds: Bounds) -> Result<(Name, Option<Serial>), Error> {
    let der = ber::definite(octets, bounds)?;
    let parts = Elements::of(&der).expect(SEQUENCE, "an IssuerAndSerialNumber")?;
    let name = IssuerAndSerial::read(parts.elements())?;
    let issuer = Name::from_der(&name.issuer).map_err(|e| Error::malformed(e.to_string()))?;
    Ok((issuer, Serial::from_integer(name.serial_content())))
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
