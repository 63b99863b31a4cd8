//! Certificates of CAs: caCerts (RFC 9810 §5.3.19.14, RFC 9483 §4.3.1), and rootCaCert, whose answer, rootCaKeyUpdate, leads a peer from
//! a root's key to the next key (RFC 9810 §5.3.19.15, RFC 9483 §4.3.2).

use der::Decode;
use der::asn1::Any;

use super::question::{Question, with_sequence, with_value, without_value};
use crate::cmp::wire::general::RootCaKeyUpdate;
use crate::cmp::wire::message::InfoTypeAndValue;
use crate::cmp::wire::oid;
use crate::cmp::wire::refusal::{Failure, Refusal, encoding_failed};

impl Question<'_> {
    /// caCerts: the certificates of the CAs below a root, and the link certificates between root keys. A root itself is left out: a peer
    /// must not trust it because it came in this answer.
    pub(super) fn ca_certificates(&self) -> Result<InfoTypeAndValue, Refusal> {
        let authority = self.service.authority();
        let certificates = authority.ca_certificates();
        self.given.borrow_mut().extend(authority.next_keys_in(&certificates));
        with_sequence(oid::CA_CERTS, &certificates)
    }

    /// rootCaKeyUpdate: the next key after the root `known`, which the peer has. If the peer names none, the latest key of the root above
    /// the CA that the message is about. Without a value if there is no next key, or `known` is no root of this authority.
    pub(super) fn root_update(&self, known: Option<&Any>) -> Result<InfoTypeAndValue, Refusal> {
        let known = known.map(der::Encode::to_der).transpose().map_err(encoding_failed)?;
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
        self.given.borrow_mut().extend(authority.next_keys_in(&[update.new_with_new]));
        let any = |der: &[u8]| Any::from_der(der).map_err(encoding_failed);
        let content = RootCaKeyUpdate {
            new_with_new: any(update.new_with_new)?,
            new_with_old: Some(any(update.new_with_old)?),
            old_with_new: Some(any(update.old_with_new)?),
        };
        with_value(oid::ROOT_CA_KEY_UPDATE, &content)
    }
}
