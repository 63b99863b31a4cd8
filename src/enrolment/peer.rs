//! The gateway as a CMP client: its credential, its trust anchors, and the certificates that it requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_ca::path::{self, Certificate, PathSettings, validate};
use countersign_ca::x509::Facts;
use countersign_ca::{Clock, FileKey, Identity, SystemClock, SystemEntropy, Timestamp};
use countersign_enroll::cmp::client::{
    Anchors, Body, Client, ClientError, Credential, EnrolmentRequest, GeneralName, Http, Issued,
    Name, Paths,
};

use super::generation::Present;
use super::material::{certificates, key_from_pem, secret};
use super::settings::{First, Settings};
use crate::exit::Failure;

/// The iterations of the MAC's key derivation, unless the operator says otherwise.
const ITERATIONS: u32 = 10_000;

/// The longest common name, in characters (ub-common-name, RFC 5280 §A.1).
const MAX_COMMON_NAME: usize = 64;

/// The parameters of a CMP client.
pub struct Peer {
    http: Http,
    credential: Credential,
    anchors: Anchors,
    recipient: Name,
    signer: Option<Vec<u8>>,
    entropy: SystemEntropy,
    patience: Duration,
}

impl Peer {
    /// A gateway with this credential. `signer` is the server's certificate, DER, if the operator named one.
    pub fn new(
        settings: &Settings,
        credential: Credential,
        anchors: Anchors,
        signer: Option<Vec<u8>>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            http: settings.http()?,
            credential,
            anchors,
            recipient: settings.recipient()?,
            signer,
            entropy: SystemEntropy::default(),
            patience: settings.patience()?,
        })
    }

    /// A CMP client. The patience of the settings, the longest time that it waits for the server, begins now.
    pub fn client(&self) -> Client<'_> {
        self.client_of(&self.credential, &self.anchors)
    }

    /// Whether a shared secret, and not a certificate, protects its messages.
    pub const fn is_by_secret(&self) -> bool {
        matches!(self.credential, Credential::Secret { .. })
    }

    /// Asks the CA, under the new certificate, whether that certificate is in use.
    ///
    /// # Errors
    /// As [`Client::prove_in_use`].
    pub fn prove_in_use(&self, issued: &Issued, key: &FileKey) -> Result<(), ClientError> {
        let credential = Credential::Certificate {
            certificate: issued.certificate.clone(),
            chain: issued.path.clone(),
            key: Box::new(FileKey::from_pkcs8(&key.exported()?)?),
        };
        self.client_of(&credential, &Anchors::Known(issued.anchors.clone())).prove_in_use()
    }

    fn client_of<'c>(&'c self, credential: &'c Credential, anchors: &'c Anchors) -> Client<'c> {
        let now = Instant::now();
        Client {
            transport: &self.http,
            credential,
            anchors,
            paths: &Finder,
            clock: &SystemClock,
            entropy: &self.entropy,
            recipient: self.recipient.clone(),
            signer: self.signer.clone(),
            until: now.checked_add(self.patience).unwrap_or(now),
        }
    }
}

impl First {
    /// The credential of a first enrolment, read from its files.
    pub fn credential(&self) -> Result<Credential, Failure> {
        match (&self.reference, &self.secret_file, &self.certificate, &self.certificate_key) {
            (Some(reference), Some(file), None, None) => Ok(Credential::Secret {
                reference: reference.clone(),
                secret: secret(file)?,
                mac: self.mac()?,
                iterations: self.mac_iterations.unwrap_or(ITERATIONS),
            }),
            (None, None, Some(certificate), Some(key)) => {
                let mut list = certificates(certificate)?.into_iter();
                let own = list.next().unwrap_or_default();
                let mut chain: Vec<Vec<u8>> = list.collect();
                if let Some(extra) = &self.extra_certs {
                    chain.extend(certificates(extra)?);
                }
                let key = Box::new(key_from_pem(key)?);
                let facts = Facts::of(&own)?;
                if facts.key.der() != key.public().der() {
                    return Err(Failure::input(format!(
                        "expected the private key of the certificate of `{}` in `--certificate-key`, found another key",
                        facts.subject
                    )));
                }
                Ok(Credential::Certificate { certificate: own, chain, key })
            }
            _ => Err(Failure::input(
                "expected what proves this gateway: `--reference` with `--secret-file`, or `--certificate` with `--certificate-key`",
            )),
        }
    }
}

impl Present {
    /// The present certificate as a credential.
    pub fn credential(&self) -> Result<Credential, Failure> {
        let key = FileKey::from_pkcs8(&self.key.exported()?)?;
        Ok(Credential::Certificate {
            certificate: self.certificate.clone(),
            chain: self.chain.clone(),
            key: Box::new(key),
        })
    }

    /// The template of its successor: the same names, and another key (RFC 9483 §4.1.3).
    pub fn successor<'w>(
        &'w self,
        settings: &'w Settings,
        key: &'w FileKey,
    ) -> Result<EnrolmentRequest<'w>, Failure> {
        Ok(EnrolmentRequest {
            body: Body::KeyUpdate,
            key,
            subject: self.facts.subject.clone(),
            needs_subject: self.facts.alt_names.is_empty(),
            alt_names: self.facts.alt_names.clone(),
            replaces: Some(&self.certificate),
            profile: settings.profile.as_deref(),
            not_after: not_after(settings),
            implicit_confirm: settings.implicit_confirm,
        })
    }
}

/// The template of a first certificate.
pub fn first_template<'w>(
    settings: &'w Settings,
    key: &'w FileKey,
) -> Result<EnrolmentRequest<'w>, Failure> {
    let ids = settings.identities()?;
    let names = ids.iter().filter_map(|id| id.general_name().transpose());
    let alt_names: Vec<GeneralName> = names.collect::<Result<_, _>>()?;
    let own = ids.iter().find_map(|id| match id {
        Identity::Dn(name) => Some(name.clone()),
        _ => None,
    });
    let needs_subject = own.is_some();
    let subject = match settings.subject()?.or(own) {
        Some(subject) => subject,
        None => common_name(&ids)?,
    };
    Ok(EnrolmentRequest {
        body: Body::Initialization,
        key,
        subject,
        needs_subject,
        alt_names,
        replaces: None,
        profile: settings.profile.as_deref(),
        not_after: not_after(settings),
        implicit_confirm: settings.implicit_confirm,
    })
}

/// The first identity that is no DN, as common name; the empty name if there is none, or if it is too long. RFC 9483 §4.1.1 requires a
/// subject, and some servers have none of their own for the account.
fn common_name(ids: &[Identity]) -> Result<Name, Failure> {
    let text = ids.iter().find_map(|id| match id {
        Identity::Fqdn(text) | Identity::Email(text) => Some(text.clone()),
        Identity::Ip(address) => Some(address.to_string()),
        Identity::Dn(_) => None,
    });
    match text.filter(|text| text.chars().count() <= MAX_COMMON_NAME) {
        Some(text) => Ok(countersign_enroll::cmp::client::common_name(&text)?),
        None => Ok(Name::default()),
    }
}

/// The requested notAfter: now and the number of days in the settings. `None` leaves it to the CA.
fn not_after(settings: &Settings) -> Option<Timestamp> {
    let days = Duration::from_secs(u64::from(settings.days?) * 86_400);
    Some(SystemClock.now().plus(days).whole_seconds())
}

/// Finds certification paths (RFC 5280 §6), as the authorizer does.
struct Finder;

impl Paths for Finder {
    fn path(
        &self,
        anchors: &[Vec<u8>],
        chain: &[Vec<u8>],
        at: Timestamp,
    ) -> Result<Vec<Vec<u8>>, String> {
        let anchors = path::Anchors::new(anchors.iter().cloned()).map_err(|e| e.to_string())?;
        let (own, others) = chain.split_first().ok_or("there is no certificate")?;
        let own = Certificate::from_der(own.clone()).map_err(|e| e.to_string())?;
        // Other certificates that cannot be decoded are passed over: they are only candidates for the path.
        let others = others.iter().filter_map(|der| Certificate::from_der(der.clone()).ok());
        let chain: Vec<Arc<Certificate>> =
            std::iter::once(own).chain(others).map(Arc::new).collect();
        let path = validate(&anchors, &PathSettings::default(), &chain, &[], at);
        let path = path.map_err(|e| e.to_string())?;
        let all = path.certificates.iter().chain(std::iter::once(&path.anchor));
        Ok(all.map(|certificate| certificate.der().to_vec()).collect())
    }
}
