//! CRLs: currentCRL (RFC 9810 §5.3.19.6), and crlStatusList, which is answered with those CRLs that are newer than the peer's (RFC 9810
//! §5.3.19.17, RFC 9483 §4.3.4).

use std::sync::Arc;

use countersign_ca::authority::CurrentCrl;
use countersign_ca::record::{CrlScope, Label};
use der::asn1::Any;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};

use super::question::{Question, with_sequence, without_value};
use crate::cmp::wire::general::{CrlSource, CrlStatus};
use crate::cmp::wire::message::InfoTypeAndValue;
use crate::cmp::wire::oid;
use crate::cmp::wire::refusal::{Failure, Refusal, encoding_failed, malformed};
use crate::cmp::wire::time::timestamp;

/// The most elements of a crlStatusList.
const MAX_SOURCES: usize = 16;

/// The most names by which one element of a crlStatusList may name its CRL.
const MAX_NAMES: usize = 8;

/// A CRL of this authority.
struct CrlId {
    ca: Label,
    scope: CrlScope,
}

impl Question<'_> {
    /// currentCRL with the full CRL of the CA that the message is about; without a value if the CA has not issued one yet. `left` is the
    /// number of octets that the answer may still have.
    pub(super) fn current_crl(&self, left: usize) -> Result<InfoTypeAndValue, Refusal> {
        let authority = self.service.authority();
        let ca = authority.issuing_name(self.ca.as_ref())?;
        let Some(crl) = authority.crl(&ca, CrlScope::Full)? else {
            return Ok(without_value(oid::CURRENT_CRL));
        };
        if crl.der.len() > left {
            return Err(self.too_large());
        }
        let info_value = Some(<Any as der::Decode>::from_der(&crl.der).map_err(encoding_failed)?);
        Ok(InfoTypeAndValue { info_type: oid::CURRENT_CRL, info_value })
    }

    /// The CRLs of a crlStatusList that are newer than the peer's, or that the peer does not have; without a value if there are none.
    /// `left` is the number of octets that the answer may still have.
    pub(super) fn newer_crls(
        &self,
        list: Option<&Any>,
        left: usize,
    ) -> Result<InfoTypeAndValue, Refusal> {
        let list = list.ok_or_else(|| {
            Refusal::new(Failure::BadRequest, "expected a CRLStatusList in crlStatusList")
        })?;
        let list: Vec<CrlStatus> = list.decode_as().map_err(malformed("a CRLStatusList"))?;
        if list.is_empty() || list.len() > MAX_SOURCES {
            return Err(Refusal::new(
                Failure::BadRequest,
                format!("expected 1 to {MAX_SOURCES} CRLs to be asked for, found {}", list.len()),
            ));
        }
        let mut found: Vec<Arc<CurrentCrl>> = Vec::new();
        for status in &list {
            for CrlId { ca, scope } in self.named(&status.source)? {
                let Some(crl) = self.service.authority().crl(&ca, scope)? else { continue };
                let is_newer = status.this_update.is_none_or(|known| {
                    timestamp(known.to_unix_duration()) < crl.record.this_update
                });
                if is_newer && !found.iter().any(|other| other.record == crl.record) {
                    found.push(crl);
                }
            }
        }
        let length = found.iter().fold(0_usize, |sum, crl| sum.saturating_add(crl.der.len()));
        if length > left {
            return Err(self.too_large());
        }
        let parts: Vec<&[u8]> = found.iter().map(|crl| crl.der.as_ref()).collect();
        with_sequence(oid::CRLS, &parts)
    }

    /// The CRLs that a source names. The name of another authority's CRL is passed over without a refusal, because the peer may ask every
    /// server that it reaches for all of its CRLs.
    fn named(&self, source: &CrlSource) -> Result<Vec<CrlId>, Refusal> {
        let names = match source {
            CrlSource::Point(DistributionPointName::FullName(names)) | CrlSource::Issuer(names) => {
                names
            }
            CrlSource::Point(DistributionPointName::NameRelativeToCRLIssuer(_)) => {
                return Ok(Vec::new());
            }
        };
        if names.len() > MAX_NAMES {
            return Err(Refusal::new(
                Failure::BadRequest,
                format!("expected at most {MAX_NAMES} names of one CRL, found {}", names.len()),
            ));
        }
        let authority = self.service.authority();
        let mut found = Vec::new();
        for name in names {
            match name {
                GeneralName::DirectoryName(name) => {
                    let cas = authority.cas().filter(|ca| ca.subject == *name);
                    found
                        .extend(cas.map(|ca| CrlId { ca: ca.name.clone(), scope: CrlScope::Full }));
                }
                GeneralName::UniformResourceIdentifier(url) => {
                    let at_url = authority.crl_at(url.as_str());
                    found.extend(at_url.map(|(ca, scope)| CrlId { ca, scope }));
                }
                _ => {}
            }
        }
        Ok(found)
    }
}
