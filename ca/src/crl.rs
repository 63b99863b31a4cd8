//! Encodes certificate revocation lists (RFC 5280 §5).

use der::Encode;
use der::asn1::{GeneralizedTime, OctetString, UintRef};
use spki::AlgorithmIdentifierOwned;
use x509_cert::Version;
use x509_cert::crl::{RevokedCert, TbsCertList};
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;

use crate::certificate::{authority_key_identifier, extension, time};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::oid;
use crate::record::{Reason, RevokedEntry};

/// Everything that a full CRL says.
#[derive(Debug)]
pub struct Crl<'a> {
    /// The issuer's subject, as its own certificate encodes it.
    pub issuer: &'a Name,
    /// The issuer's subject key identifier.
    pub issuer_key_identifier: &'a [u8],
    /// The algorithm that the issuer signs with.
    pub signature: AlgorithmIdentifierOwned,
    /// The cRLNumber.
    pub number: u64,
    /// thisUpdate, in whole seconds.
    pub this_update: Timestamp,
    /// nextUpdate, in whole seconds.
    pub next_update: Timestamp,
    /// The revoked and held certificates.
    pub revoked: &'a [RevokedEntry],
}

impl Crl<'_> {
    /// The TBSCertList, DER: what is linted and signed.
    ///
    /// # Errors
    /// [`Error::Internal`] when something does not encode.
    pub fn tbs(&self) -> Result<Vec<u8>> {
        let revoked = self.revoked.iter().map(revoked_cert).collect::<Result<Vec<_>>>()?;
        let number = self.number.to_be_bytes();
        let number =
            UintRef::new(&number).map_err(Error::internal)?.to_der().map_err(Error::internal)?;
        let tbs = TbsCertList {
            version: Version::V2,
            signature: self.signature.clone(),
            issuer: self.issuer.clone(),
            this_update: time(self.this_update)?,
            next_update: Some(time(self.next_update)?),
            // RFC 5280 §5.1.2.6: absent when nothing is revoked.
            revoked_certificates: (!revoked.is_empty()).then_some(revoked),
            crl_extensions: Some(vec![
                extension(false, &authority_key_identifier(self.issuer_key_identifier)?)?,
                Extension {
                    extn_id: oid::CRL_NUMBER,
                    critical: false,
                    extn_value: OctetString::new(number).map_err(Error::internal)?,
                },
            ]),
        };
        tbs.to_der().map_err(Error::internal)
    }
}

fn revoked_cert(entry: &RevokedEntry) -> Result<RevokedCert> {
    let mut extensions = Vec::new();
    // RFC 5280 §5.3.1: the reason code is absent instead of unspecified.
    if entry.revocation.reason != Reason::Unspecified {
        let reason = entry.revocation.reason.to_der().map_err(Error::internal)?;
        extensions.push(entry_extension(oid::CRL_REASON, reason)?);
    }
    if let Some(invalidity) = entry.revocation.invalidity {
        let seconds = u64::try_from(invalidity.seconds()).map_err(Error::internal)?;
        let date = GeneralizedTime::from_unix_duration(std::time::Duration::from_secs(seconds))
            .and_then(|time| time.to_der())
            .map_err(Error::internal)?;
        extensions.push(entry_extension(oid::INVALIDITY_DATE, date)?);
    }
    Ok(RevokedCert {
        serial_number: SerialNumber::new(entry.serial.octets()).map_err(Error::internal)?,
        revocation_date: time(entry.revocation.at)?,
        crl_entry_extensions: (!extensions.is_empty()).then_some(extensions),
    })
}

fn entry_extension(extn_id: der::oid::ObjectIdentifier, der: Vec<u8>) -> Result<Extension> {
    Ok(Extension {
        extn_id,
        critical: false,
        extn_value: OctetString::new(der).map_err(Error::internal)?,
    })
}
