//! Certificates of CAs: caCerts (RFC 9810 §5.3.19.14, RFC 9483 §4.3.1), and rootCaCert → rootCaKeyUpdate, by which a peer
//! follows a root to its next key (RFC 9810 §5.3.19.15, RFC 9483 §4.3.2).

use der::Decode;
use der::asn1::Any;

use crate::cmp::wire::general::RootCaKeyUpdate;
use super::{Question, with_sequence, with_value, without_value};
use crate::cmp::server::reply::answer::failed;
use crate::cmp::wire::message::InfoTypeAndValue;
use crate::cmp::wire::oid;
use crate::cmp::wire::refusal::{Failure, Refusal};

impl Question<'_> {
    /// The CAs below a root, and what leads from one root key to another. A root itself is none of them: it is trusted
    /// because it came another way.
    pub(crate) fn ca_certificates(&self) -> Result<InfoTypeAndValue, Refusal> {
        with_sequence(oid::CA_CERTS, &self.service.authority().ca_certificates())
    }

    /// The key that follows the root which the peer has; no value when none does, or it is no root of ours.
    pub(crate) fn root_update(&self, known: Option<&Any>) -> Result<InfoTypeAndValue, Refusal> {
        let known = known.map(der::Encode::to_der).transpose().map_err(failed)?;
        if let Some(known) = &known
            && x509_cert::Certificate::from_der(known).is_err()
        {
            return Err(Refusal::new(
                Failure::BadDataFormat,
                "expected the certificate of a root in rootCaCert",
            ));
        }
        let authority = self.service.authority();
        let Some(update) = authority.root_update(known.as_deref(), self.ca.as_ref())? else {
            return Ok(without_value(oid::ROOT_CA_KEY_UPDATE));
        };
        let any = |der: &[u8]| Any::from_der(der).map_err(failed);
        let content = RootCaKeyUpdate {
            new_with_new: any(update.new_with_new)?,
            new_with_old: Some(any(update.new_with_old)?),
            old_with_new: Some(any(update.old_with_new)?),
        };
        with_value(oid::ROOT_CA_KEY_UPDATE, &content)
    }
}
