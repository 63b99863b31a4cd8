//! certReqTemplate: what a request of this peer shall say, and which keys are taken (RFC 9810 §5.3.19.16, RFC 9483 §4.3.3).

use countersign_ca::profile::Profile;
use countersign_ca::{Error, KeyKind, certificate};
use der::asn1::{Any, Uint};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{ExtendedKeyUsage, SubjectAltName};

use crate::cmp::wire::general::CertReqTemplate;
use super::keys::algorithm;
use super::{Question, with_value};
use crate::cmp::server::reply::answer::failed;
use crate::cmp::wire::crmf::CertTemplate;
use crate::cmp::wire::message::InfoTypeAndValue;
use crate::cmp::wire::oid;
use crate::cmp::wire::refusal::Refusal;

impl Question<'_> {
    /// The account decides the names and the profile the rest, so that nothing is left for the peer to fill in but its key.
    pub(crate) fn template(&self) -> Result<InfoTypeAndValue, Refusal> {
        let profile = self.profile()?;
        let (requester, _) =
            self.peer.as_ref().ok_or_else(|| Error::internal("a stranger has no names"))?;
        let names = self.service.authority().names_for(requester.account(), &profile)?;
        let mut extensions = vec![certificate::extension(true, &profile.key_usage())?];
        if !profile.extended_key_usage().is_empty() {
            let usages = ExtendedKeyUsage(profile.extended_key_usage().to_vec());
            extensions.push(certificate::extension(false, &usages)?);
        }
        if !names.alt_names.is_empty() {
            // RFC 5280 §4.2.1.6: critical where it is the only name.
            let alone = names.subject.is_empty();
            extensions.push(certificate::extension(alone, &SubjectAltName(names.alt_names))?);
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
                let bits = Uint::new(&bits.to_be_bytes()).map_err(failed)?;
                (oid::RSA_KEY_LEN, Any::encode_from(&bits).map_err(failed)?)
            }
            other => (oid::ALG_ID, Any::encode_from(&algorithm(other)?).map_err(failed)?),
        };
        Ok(AttributeTypeAndValue { oid, value })
    };
    profile.keys().into_iter().map(control).collect()
}
