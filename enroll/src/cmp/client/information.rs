//! genm: information that a CA gives to its peers (RFC 9483 §4.3). Each message asks for one thing, as the lightweight profile demands.

use countersign_ca::x509::Facts;
use der::asn1::Any;
use der::oid::ObjectIdentifier;
use der::{Decode, Encode};

use super::peer::Client;
use super::transaction::{Outgoing, Transaction};
use crate::client::{ClientError, Refusal};
use crate::cmp::wire::general::{CertReqTemplate, RootCaKeyUpdate};
use crate::cmp::wire::kind;
use crate::cmp::wire::message::{InfoTypeAndValue, Message};
use crate::cmp::wire::oid;
use crate::request::elements::elements;

/// The most certificates in caCerts that are read. Further ones are ignored.
const MAX_CERTIFICATES: usize = 256;

/// The information that a peer can ask for (RFC 9810 §5.3.19).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Information {
    /// caCerts: the certificates of the CAs between a peer's certificate and a root (RFC 9483 §4.3.1).
    CaCerts,
    /// The CA's current CRL.
    CurrentCrl,
    /// The key that follows a root's key. The peer sends the certificate of the root that it knows.
    RootCaUpdate,
    /// The template for a request: the subject, extensions and kinds of key.
    CertReqTemplate,
    /// The kinds of key that are certified for signatures.
    SignKeyPairTypes,
    /// The kinds of key that are certified for encryption.
    EncKeyPairTypes,
    /// The cipher that the CA prefers.
    PreferredSymmAlg,
    /// The certificate with whose key peers encrypt for the CA.
    CaProtEncCert,
}

/// The key that follows a root's, with the link certificates between both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootUpdate {
    /// The self-signed certificate of the new key, DER.
    pub new_with_new: Vec<u8>,
    /// The certificate of the new key that the old key signed, DER.
    pub new_with_old: Option<Vec<u8>>,
    /// The certificate of the old key that the new key signed, DER.
    pub old_with_new: Option<Vec<u8>>,
    /// Whether the old root vouches for the new one: newWithOld leads from the old root to the key and name of the new one, and the new
    /// root signed itself.
    pub is_vouched_for: bool,
}

impl Information {
    /// Every kind of information, with its name in RFC 9810 §5.3.19.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::CaCerts, "caCerts"),
        (Self::CurrentCrl, "currentCRL"),
        (Self::RootCaUpdate, "rootCaUpdate"),
        (Self::CertReqTemplate, "certReqTemplate"),
        (Self::SignKeyPairTypes, "signKeyPairTypes"),
        (Self::EncKeyPairTypes, "encKeyPairTypes"),
        (Self::PreferredSymmAlg, "preferredSymmAlg"),
        (Self::CaProtEncCert, "caProtEncCert"),
    ];

    /// The name of this information in RFC 9810 §5.3.19.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }

    /// The infoType of the question.
    const fn question(self) -> ObjectIdentifier {
        match self {
            Self::RootCaUpdate => oid::ROOT_CA_CERT,
            other => other.answer(),
        }
    }

    /// The infoType of the answer.
    const fn answer(self) -> ObjectIdentifier {
        match self {
            Self::CaCerts => oid::CA_CERTS,
            Self::CurrentCrl => oid::CURRENT_CRL,
            Self::RootCaUpdate => oid::ROOT_CA_KEY_UPDATE,
            Self::CertReqTemplate => oid::CERT_REQ_TEMPLATE,
            Self::SignKeyPairTypes => oid::SIGN_KEY_PAIR_TYPES,
            Self::EncKeyPairTypes => oid::ENC_KEY_PAIR_TYPES,
            Self::PreferredSymmAlg => oid::PREFERRED_SYMM_ALG,
            Self::CaProtEncCert => oid::CA_PROT_ENC_CERT,
        }
    }
}

/// Reads a name of RFC 9810, in any letter case; `rootCaCert` and `rootCaKeyUpdate` mean rootCaUpdate, too.
impl std::str::FromStr for Information {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        if ["rootCaCert", "rootCaKeyUpdate"].iter().any(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(Self::RootCaUpdate);
        }
        let found = Self::ALL.into_iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
        found.map(|(one, _)| one).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.into_iter().map(|(_, name)| name).collect();
            ClientError::Input(format!(
                "expected some of {}, found `{}`",
                names.join(", "),
                text.escape_debug()
            ))
        })
    }
}

impl Client<'_> {
    /// Asks for one thing and returns its infoValue; `None` if the CA has none. `value` is the infoValue of the question.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if the server does not know the type; and as every exchange of messages.
    pub fn information(
        &self,
        wanted: Information,
        value: Option<Any>,
    ) -> Result<Option<Any>, ClientError> {
        let answer = self.general(wanted, value)?;
        let infos: Vec<InfoTypeAndValue> =
            answer.body.decode_as().map_err(ClientError::unreadable("a GenRepContent"))?;
        if let Some(info) = infos.iter().find(|info| info.info_type == wanted.answer()) {
            return Ok(info.info_value.clone());
        }
        Err(ClientError::Refused(Refusal {
            asked: kind::name(kind::GENM),
            failures: Vec::new(),
            text: format!("it has no {} to tell", wanted.name()),
            unproven: None,
        }))
    }

    /// Finds out whether the CA accepts messages signed with the peer's certificate: it answers any general message then. It refuses
    /// messages that are signed with a certificate which is revoked or not yet confirmed (RFC 9810 §5.3.18).
    ///
    /// # Errors
    /// A [`ClientError::Refused`] for which [`Refusal::is_of_signer`] is true means that it does not; any other error leaves it open.
    pub fn prove_in_use(&self) -> Result<(), ClientError> {
        self.general(Information::CaCerts, None).map(drop)
    }

    /// Sends a genm with one element, and returns the genp that answers it.
    fn general(&self, wanted: Information, value: Option<Any>) -> Result<Message, ClientError> {
        let asked = InfoTypeAndValue { info_type: wanted.question(), info_value: value };
        let content = vec![asked].to_der().map_err(ClientError::encoding)?;
        let outgoing = Outgoing { kind: kind::GENM, content, ..Outgoing::default() };
        let answer = Transaction::begin(self)?.ask(&outgoing)?;
        match answer.kind {
            kind::GENP => Ok(answer),
            other => Err(ClientError::untrusted(format!(
                "expected genp to the genm, found {}",
                kind::name(other)
            ))),
        }
    }

    /// Asks for the certificates of the CAs, and returns them as DER, at most 256.
    ///
    /// # Errors
    /// As [`Self::information`].
    pub fn ca_certificates(&self) -> Result<Vec<Vec<u8>>, ClientError> {
        let Some(value) = self.information(Information::CaCerts, None)? else {
            return Ok(Vec::new());
        };
        let unreadable = ClientError::unreadable("certificates in caCerts");
        let parts = elements(&value).map_err(&unreadable)?;
        let certificates = parts.iter().take(MAX_CERTIFICATES).map(|part| {
            let der = part.to_der().map_err(&unreadable)?;
            Facts::of(&der).map_err(|e| ClientError::untrusted(e.to_string()))?;
            Ok(der)
        });
        certificates.collect()
    }

    /// Asks for the CA's current CRL, DER; `None` if it has none yet.
    ///
    /// # Errors
    /// As [`Self::information`].
    pub fn current_crl(&self) -> Result<Option<Vec<u8>>, ClientError> {
        let value = self.information(Information::CurrentCrl, None)?;
        value.map(|crl| crl.to_der().map_err(ClientError::encoding)).transpose()
    }

    /// Asks for the key that follows that of this root, DER; `None` if there is none.
    ///
    /// # Errors
    /// As [`Self::information`].
    pub fn root_update(&self, root: &[u8]) -> Result<Option<RootUpdate>, ClientError> {
        let known = Any::from_der(root).map_err(ClientError::encoding)?;
        let Some(value) = self.information(Information::RootCaUpdate, Some(known))? else {
            return Ok(None);
        };
        let update: RootCaKeyUpdate =
            value.decode_as().map_err(ClientError::unreadable("a RootCaKeyUpdateContent"))?;
        let der = |any: &Any| any.to_der().map_err(ClientError::encoding);
        let mut update = RootUpdate {
            new_with_new: der(&update.new_with_new)?,
            new_with_old: update.new_with_old.as_ref().map(der).transpose()?,
            old_with_new: update.old_with_new.as_ref().map(der).transpose()?,
            is_vouched_for: false,
        };
        update.is_vouched_for = self.is_vouched_for(root, &update);
        Ok(Some(update))
    }

    /// Whether newWithOld leads from the old root to the key and name of the new one, and the new root signed itself (RFC 9810 §4.4).
    fn is_vouched_for(&self, root: &[u8], update: &RootUpdate) -> bool {
        let Some(link) = &update.new_with_old else { return false };
        let (Ok(new), Ok(linked)) = (Facts::of(&update.new_with_new), Facts::of(link)) else {
            return false;
        };
        let now = self.clock.now();
        let leads = |anchor: &[u8], to: &Vec<u8>| {
            self.paths.path(&[anchor.to_vec()], std::slice::from_ref(to), now).is_ok()
        };
        new.is_ca
            && new.key.der() == linked.key.der()
            && new.subject == linked.subject
            && leads(root, link)
            && leads(&update.new_with_new, &update.new_with_new)
    }

    /// Asks for the template of a request. Returns the subject, empty without one, and the kinds of key, as texts for people; `None` if the
    /// CA has no template.
    ///
    /// # Errors
    /// As [`Self::information`].
    pub fn template(&self) -> Result<Option<(String, Vec<String>)>, ClientError> {
        let Some(value) = self.information(Information::CertReqTemplate, None)? else {
            return Ok(None);
        };
        let content: CertReqTemplate =
            value.decode_as().map_err(ClientError::unreadable("a CertReqTemplateContent"))?;
        let subject = content.cert_template.subject.map(|subject| subject.to_string());
        let keys = content.key_spec.unwrap_or_default();
        let keys = keys.iter().map(|control| match control.oid {
            oid::RSA_KEY_LEN => {
                let bits = control.value.decode_as::<u32>().unwrap_or_default();
                format!("RSA-{bits}")
            }
            _ => key_name(&control.value),
        });
        Ok(Some((subject.unwrap_or_default(), keys.collect())))
    }

    /// Asks for signKeyPairTypes or encKeyPairTypes, and returns the kinds of key as texts for people; none if the CA names none.
    ///
    /// # Errors
    /// As [`Self::information`].
    pub fn key_kinds(&self, wanted: Information) -> Result<Vec<String>, ClientError> {
        let Some(value) = self.information(wanted, None)? else { return Ok(Vec::new()) };
        let parts = elements(&value).map_err(ClientError::unreadable("algorithms"))?;
        Ok(parts.into_iter().map(|part| key_name(&part.into())).collect())
    }
}

/// The algorithm of a key, for people.
fn key_name(algorithm: &Any) -> String {
    use countersign_ca::oid as ca;
    let Ok(read) = algorithm.decode_as::<spki::AlgorithmIdentifierOwned>() else {
        return "unreadable".into();
    };
    let curve = read.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
    match (read.oid, curve) {
        (ca::EC_PUBLIC_KEY, Some(ca::P256)) => "P-256".into(),
        (ca::EC_PUBLIC_KEY, Some(ca::P384)) => "P-384".into(),
        (ca::EC_PUBLIC_KEY, Some(ca::P521)) => "P-521".into(),
        (ca::ED25519, _) => "Ed25519".into(),
        (ca::RSA_ENCRYPTION, _) => "RSA".into(),
        (other, Some(curve)) => format!("{other} on {curve}"),
        (other, None) => other.to_string(),
    }
}
