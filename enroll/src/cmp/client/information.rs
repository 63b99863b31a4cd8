//! genm: what a CA tells its peers (RFC 9483 §4.3). One thing is asked for at a time, as the profile has it.

use countersign_ca::certificate::Facts;
use der::asn1::Any;
use der::oid::ObjectIdentifier;
use der::{Decode, Encode};

use super::transaction::{Outgoing, Transaction};
use super::{Client, ClientError, Refusal};
use crate::cmp::wire::content::kind;
use crate::cmp::wire::crmf::elements;
use crate::cmp::wire::general::{CertReqTemplate, RootCaKeyUpdate};
use crate::cmp::wire::message::{InfoTypeAndValue, Message};
use crate::cmp::wire::oid;

/// The most certificates of an answer.
const MAX_CERTIFICATES: usize = 256;

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Information {
    /// The certificates of the CAs.
    CaCerts,
    /// The CRL of the CA.
    CurrentCrl,
    /// What follows the root that is known.
    RootCaUpdate,
    /// What a request shall say.
    CertReqTemplate,
    /// The kinds of key for signatures.
    SignKeyPairTypes,
    /// The kinds of key for encryption.
    EncKeyPairTypes,
    /// The cipher that the CA prefers.
    PreferredSymmAlg,
    /// The certificate to encrypt for the CA with.
    CaProtEncCert,
}

/// The key that follows a root, with what connects both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootUpdate {
    /// The new root, DER.
    pub new_with_new: Vec<u8>,
    /// The new key, signed by the old one, DER.
    pub new_with_old: Option<Vec<u8>>,
    /// The old key, signed by the new one, DER.
    pub old_with_new: Option<Vec<u8>>,
    /// Whether the old root vouches for the new one.
    pub is_vouched_for: bool,
}

impl Information {
    /// Each with its name in RFC 9810 §5.3.19.
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

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }

    /// infoType of the question and of the answer.
    const fn types(self) -> (ObjectIdentifier, ObjectIdentifier) {
        let one = match self {
            Self::CaCerts => oid::CA_CERTS,
            Self::CurrentCrl => oid::CURRENT_CRL,
            Self::RootCaUpdate => return (oid::ROOT_CA_CERT, oid::ROOT_CA_KEY_UPDATE),
            Self::CertReqTemplate => oid::CERT_REQ_TEMPLATE,
            Self::SignKeyPairTypes => oid::SIGN_KEY_PAIR_TYPES,
            Self::EncKeyPairTypes => oid::ENC_KEY_PAIR_TYPES,
            Self::PreferredSymmAlg => oid::PREFERRED_SYMM_ALG,
            Self::CaProtEncCert => oid::CA_PROT_ENC_CERT,
        };
        (one, one)
    }
}

/// A name of RFC 9810, in any case; `rootCaCert` and `rootCaKeyUpdate` stand for rootCaUpdate, too.
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
    /// Asks for one thing and gives its infoValue; `None` when the CA has none.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the server does not know it.
    pub fn information(
        &self,
        wanted: Information,
        value: Option<Any>,
    ) -> Result<Option<Any>, ClientError> {
        let (_, expected) = wanted.types();
        let answer = self.general(wanted, value)?;
        let infos: Vec<InfoTypeAndValue> =
            answer.body.decode_as().map_err(ClientError::unreadable("a GenRepContent"))?;
        if let Some(info) = infos.iter().find(|info| info.info_type == expected) {
            return Ok(info.info_value.clone());
        }
        Err(ClientError::Refused(Refusal {
            asked: kind::name(kind::GENM),
            failures: Vec::new(),
            text: format!("it has no {} to tell", wanted.name()),
            unproven: None,
        }))
    }

    /// Whether the CA takes the certificate that signs as one that is in use: it then answers its holder, whatever it has
    /// to tell. One that it revoked, or whose confirmation it awaits, signs nothing (RFC 9810 §5.3.18).
    ///
    /// # Errors
    /// [`ClientError::Refused`] of which [`Refusal::is_of_signer`] holds when it does not; anything else leaves it open.
    pub fn prove_in_use(&self) -> Result<(), ClientError> {
        self.general(Information::CaCerts, None).map(drop)
    }

    /// A genm, and the genp that answers it.
    fn general(&self, wanted: Information, value: Option<Any>) -> Result<Message, ClientError> {
        let (question, _) = wanted.types();
        let asked = InfoTypeAndValue { info_type: question, info_value: value };
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

    /// The certificates of the CAs, DER.
    ///
    /// # Errors
    /// [`ClientError`].
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

    /// The CRL of the CA, DER; `None` when it has none yet.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn current_crl(&self) -> Result<Option<Vec<u8>>, ClientError> {
        let value = self.information(Information::CurrentCrl, None)?;
        value.map(|crl| crl.to_der().map_err(ClientError::encoding)).transpose()
    }

    /// The key that follows this root, DER; `None` when none does.
    ///
    /// # Errors
    /// [`ClientError`].
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

    /// Whether the old root signed the new one's key, for its name, and the new one itself, too (RFC 9810 §4.4).
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

    /// What a request shall say: the subject, the number of its extensions and the kinds of key, in words.
    ///
    /// # Errors
    /// [`ClientError`].
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

    /// The kinds of key of a list, in words.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn key_kinds(&self, wanted: Information) -> Result<Vec<String>, ClientError> {
        let Some(value) = self.information(wanted, None)? else { return Ok(Vec::new()) };
        let parts = elements(&value).map_err(ClientError::unreadable("algorithms"))?;
        Ok(parts.into_iter().map(|part| key_name(&part.into())).collect())
    }
}

/// An AlgorithmIdentifier of a key, in words.
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
