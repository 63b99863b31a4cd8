//! The gateway as a client of CMP, EST or SCEP: its credential, its trust, and the certificates that it requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_ca::path::{self, Certificate, PathSettings, validate};
use countersign_ca::x509::Facts;
use countersign_ca::{Clock, FileKey, Identity, SystemClock, SystemEntropy, Timestamp};
use countersign_enroll::client::{
    Anchors, Body, ClientError, Credential, EnrolmentRequest, Issued, Paths, TlsTrust, Web,
};
use countersign_enroll::cmp::client::{self as cmp, GeneralName, Http, Name};
use countersign_enroll::est::client::{self as est, EstUrl};
use countersign_enroll::scep::client::{self as scep, Fingerprint, ScepUrl, Step, require_rsa};

use super::generation::Present;
use super::material::{certificates, key_from_pem, secret};
use super::pending::{Begun, State};
use super::settings::{First, Protocol, Settings};
use crate::exit::Failure;

/// The iterations of the MAC's key derivation, unless the operator says otherwise.
const ITERATIONS: u32 = 10_000;

/// The longest common name, in characters (ub-common-name, RFC 5280 §A.1).
const MAX_COMMON_NAME: usize = 64;

/// The anchors and certificates by which the gateway recognizes a CA and its server.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The anchors for certificates.
    pub anchors: Anchors,
    /// The certificate, DER, with which a CMP server signs, or that of a registration authority of SCEP, if the operator named one.
    pub signer: Option<Vec<u8>>,
    /// The anchors for the server's TLS certificate, DER. If there are none, the anchors in `anchors` are used.
    pub tls: Vec<Vec<u8>>,
    /// The fingerprint of the CA's certificate in SCEP, which counts for a first enrolment.
    pub fingerprint: Option<Fingerprint>,
}

/// The parameters of a client.
pub struct Peer {
    wire: Wire,
    trust: Trust,
    entropy: SystemEntropy,
    patience: Duration,
}

/// The parts that only one protocol needs.
enum Wire {
    Cmp { http: Http, credential: cmp::Credential, recipient: Name },
    Est { web: Web, url: EstUrl, credential: Credential },
    Scep { web: Web, url: ScepUrl, credential: Credential },
}

impl Peer {
    /// A gateway with this credential and this trust.
    pub fn new(settings: &Settings, credential: Credential, trust: Trust) -> Result<Self, Failure> {
        let wire = match settings.protocol {
            Protocol::Cmp => Wire::Cmp {
                http: settings.http()?,
                credential: with_mac(credential, &settings.first)?,
                recipient: settings.recipient()?,
            },
            Protocol::Est => {
                let web = secure(settings, &trust, Some(&credential))?;
                Wire::Est { web, url: settings.est_url()?, credential }
            }
            Protocol::Scep => {
                if let Credential::Certificate { key, .. } = &credential {
                    require_rsa(key, "the certificate that signs has")?;
                }
                let url = settings.scep_url()?;
                // A client certificate says nothing here, because the messages are signed.
                let web = match url.is_secure() {
                    true => secure(settings, &trust, None)?,
                    false => Web::plain(settings.timeout()?),
                };
                Wire::Scep { web, url, credential }
            }
        };
        Ok(Self { wire, trust, entropy: SystemEntropy::default(), patience: settings.patience()? })
    }

    /// A CMP client. It waits for the server as long as the settings allow, counted from now.
    ///
    /// # Errors
    /// [`ClientError::Input`] if the gateway does not speak CMP.
    pub fn cmp(&self) -> Result<cmp::Client<'_>, ClientError> {
        let Wire::Cmp { http, credential, recipient } = &self.wire else { return Err(not_cmp()) };
        Ok(self.cmp_client(http, credential, recipient, &self.trust.anchors))
    }

    /// Whether a shared secret, and not a certificate, protects the gateway's messages.
    pub const fn is_by_secret(&self) -> bool {
        matches!(
            self.wire,
            Wire::Cmp { credential: cmp::Credential::Secret { .. }, .. }
                | Wire::Est { credential: Credential::Secret { .. }, .. }
                | Wire::Scep { credential: Credential::Secret { .. }, .. }
        )
    }

    /// The octets that have to be the same whenever a request is sent ([`Begun::fixed`]); empty if nothing has to.
    ///
    /// # Errors
    /// As `prepare` of the clients.
    pub fn prepare(&self, template: &EnrolmentRequest<'_>) -> Result<Vec<u8>, ClientError> {
        match &self.wire {
            Wire::Cmp { .. } => Ok(Vec::new()),
            Wire::Est { .. } => est::Client::prepare(template),
            Wire::Scep { credential, .. } => {
                scep::Client::prepare(template, credential, &SystemClock)
            }
        }
    }

    /// Sends a request, or continues one that the CA has not decided. `checkpoint` is called with each state in which the CA has not
    /// decided yet.
    ///
    /// # Errors
    /// As `request` of the clients.
    pub fn request(
        &self,
        template: &EnrolmentRequest<'_>,
        begun: &Begun,
        state: &State,
        checkpoint: &mut dyn FnMut(State) -> Result<(), ClientError>,
    ) -> Result<Issued, ClientError> {
        let mut undecided = || checkpoint(State::Undecided);
        match &self.wire {
            Wire::Cmp { .. } => {
                let client = self.cmp()?;
                let mut checkpoint =
                    |waiting: &_| checkpoint(State::Waiting(Clone::clone(waiting)));
                match state {
                    State::Waiting(waiting) => client.resume(template, waiting, &mut checkpoint),
                    _ => client.request(template, &mut checkpoint),
                }
            }
            Wire::Est { web, url, credential } => {
                let client = est::Client {
                    web,
                    url,
                    credential,
                    anchors: &self.trust.anchors,
                    paths: &Finder,
                    clock: &SystemClock,
                    until: self.until(),
                };
                client.request(template, &begun.fixed, &mut undecided)
            }
            Wire::Scep { web, url, credential } => {
                let client = scep::Client {
                    web,
                    url,
                    credential,
                    anchors: &self.trust.anchors,
                    fingerprint: self.trust.fingerprint.as_ref(),
                    signer: self.trust.signer.as_deref(),
                    paths: &Finder,
                    clock: &SystemClock,
                    entropy: &self.entropy,
                    until: self.until(),
                };
                let step = if *state == State::Undecided { Step::Poll } else { Step::Request };
                client.request(template, &begun.fixed, step, &mut undecided)
            }
        }
    }

    /// Asks the CA over CMP whether the new certificate is in use, in a message signed with that certificate.
    ///
    /// # Errors
    /// As [`cmp::Client::prove_in_use`].
    pub fn prove_in_use(&self, issued: &Issued, key: &FileKey) -> Result<(), ClientError> {
        let Wire::Cmp { http, recipient, .. } = &self.wire else { return Err(not_cmp()) };
        let credential = cmp::Credential::Certificate {
            certificate: issued.certificate.clone(),
            chain: issued.path.clone(),
            key: Box::new(FileKey::from_pkcs8(&key.exported()?)?),
        };
        let anchors = Anchors::Known(issued.anchors.clone());
        self.cmp_client(http, &credential, recipient, &anchors).prove_in_use()
    }

    fn cmp_client<'c>(
        &'c self,
        http: &'c Http,
        credential: &'c cmp::Credential,
        recipient: &Name,
        anchors: &'c Anchors,
    ) -> cmp::Client<'c> {
        cmp::Client {
            transport: http,
            credential,
            anchors,
            paths: &Finder,
            clock: &SystemClock,
            entropy: &self.entropy,
            recipient: recipient.clone(),
            signer: self.trust.signer.clone(),
            until: self.until(),
        }
    }

    /// The time until which a client waits for the server, as long as the settings allow, counted from now.
    fn until(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.patience).unwrap_or(now)
    }
}

fn not_cmp() -> ClientError {
    ClientError::Input("expected an enrolment over CMP; EST and SCEP have no such question".into())
}

/// The credential of CMP. A secret protects messages by a MAC.
fn with_mac(credential: Credential, first: &First) -> Result<cmp::Credential, Failure> {
    Ok(match credential {
        Credential::Secret { reference, secret } => cmp::Credential::Secret {
            reference: reference.unwrap_or_default(),
            secret,
            mac: first.mac()?,
            iterations: first.mac_iterations.unwrap_or(ITERATIONS),
        },
        Credential::Certificate { certificate, chain, key } => {
            cmp::Credential::Certificate { certificate, chain, key }
        }
    })
}

/// HTTP over TLS. A certificate in the credential is presented.
fn secure(
    settings: &Settings,
    trust: &Trust,
    credential: Option<&Credential>,
) -> Result<Web, Failure> {
    let client = match credential {
        Some(Credential::Certificate { certificate, chain, key }) => {
            let is_root =
                |der: &&Vec<u8>| Facts::of(der).is_ok_and(|facts| facts.subject == facts.issuer);
            let above = chain.iter().filter(|der| !is_root(der));
            Some((std::iter::once(certificate).chain(above).cloned().collect(), key.as_ref()))
        }
        _ => None,
    };
    let anchors = match trust.tls.as_slice() {
        [] => trust.anchors.known(),
        named => named,
    };
    Ok(Web::secure(settings.timeout()?, &TlsTrust { anchors, client })?)
}

impl First {
    /// The credential of a first enrolment, read from its files.
    pub fn credential(&self) -> Result<Credential, Failure> {
        match (&self.reference, &self.secret_file, &self.certificate, &self.certificate_key) {
            (reference, Some(file), None, None) => {
                Ok(Credential::Secret { reference: reference.clone(), secret: secret(file)? })
            }
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

    /// The template of the next certificate: the same names, and another key (RFC 9483 §4.1.3).
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
        Some(text) => Ok(cmp::common_name(&text)?),
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
