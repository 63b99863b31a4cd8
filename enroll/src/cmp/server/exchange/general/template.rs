//! certReqTemplate: the template for a request of this peer, and the kinds of key that are accepted (RFC 9810 §5.3.19.16, RFC 9483 §4.3.3).

use countersign_ca::key::algorithm_identifier;
use countersign_ca::profile::Profile;
use countersign_ca::x509::Criticality::{Critical, NonCritical};
use countersign_ca::x509::subject_alt_name;
use countersign_ca::{Error, KeyKind, x509};
use der::asn1::{Any, Uint};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::ExtendedKeyUsage;

use super::question::{Question, with_value};
use crate::cmp::wire::crmf::CertTemplate;
use crate::cmp::wire::general::CertReqTemplate;
use crate::cmp::wire::message::InfoTypeAndValue;
use crate::cmp::wire::oid;
use crate::cmp::wire::refusal::{Refusal, encoding_failed};

impl Question<'_> {
    /// The template for a request of this peer. The names are those of the account and the rest comes from the profile, so that the peer
    /// adds only its key.
    pub(super) fn template(&self) -> Result<InfoTypeAndValue, Refusal> {
        let profile = self.profile()?;
        let peer = self.peer.as_ref().ok_or_else(|| Error::internal("a stranger has no names"))?;
        let names = self.service.authority().names_for(peer.requester.account(), &profile)?;
        let mut extensions = vec![x509::extension(Critical, &profile.key_usage())?];
        if !profile.extended_key_usage().is_empty() {
            let usages = ExtendedKeyUsage(profile.extended_key_usage().to_vec());
            extensions.push(x509::extension(NonCritical, &usages)?);
        }
        if !names.alt_names.is_empty() {
            extensions.push(subject_alt_name(&names.subject, &names.alt_names)?);
        }
        let content = CertReqTemplate {
            cert_template: CertTemplate {
                subject: Some(names.subject),
                extensions: Some(extensions).filter(|list: &Vec<Extension>| !list.is_empty()),
                ..CertTemplate::default()
            },
            key_spec: Some(key_spec(&profile)?),
        };
        with_value(oid::CERT_REQ_TEMPLATE, &content)
    }
}

/// One control for each kind of key: rsaKeyLen for RSA, algId for every other (RFC 9483 §4.3.3).
fn key_spec(profile: &Profile) -> Result<Vec<AttributeTypeAndValue>, Refusal> {
    let control = |kind: KeyKind| {
        let (oid, value) = match kind {
            KeyKind::Rsa(bits) => {
                let bits = Uint::new(&bits.to_be_bytes()).map_err(encoding_failed)?;
                (oid::RSA_KEY_LEN, Any::encode_from(&bits).map_err(encoding_failed)?)
            }
            other => (
                oid::ALG_ID,
                Any::encode_from(&algorithm_identifier(other)).map_err(encoding_failed)?,
            ),
        };
        Ok(AttributeTypeAndValue { oid, value })
    };
    profile.keys().into_iter().map(control).collect()
}
