//! PKCSReq, RenewalReq and CertPoll: from the request to the checked certificate (RFC 8894 §3.3).

use std::time::{Duration, Instant};

use countersign_ca::key::KeyTransport;
use countersign_ca::x509::Facts;
use countersign_ca::{Clock, Entropy, Error};
use data_encoding::HEXLOWER;
use der::Encode;
use der::asn1::OctetString;
use ring::digest::{SHA256, digest};
use x509_cert::ext::Extension;
use zeroize::Zeroizing;

use super::answer::{Expected, Status, opened};
use super::capabilities::Capabilities;
use super::fingerprint::Fingerprint;
use super::registration::{Registration, Trust};
use super::signing::{Signing, require_rsa, self_signed};
use super::url::ScepUrl;
use crate::ber::{OCTET_STRING, SEQUENCE, encode};
use crate::client::http::Question;
use crate::client::pkcs10::{Additions, certification_request};
use crate::client::wait::sleep;
use crate::client::{
    Anchors, Arrived, Body, ClientError, Credential, EnrolmentRequest, Issued, Paths, Roots, Web,
};
use crate::scep::certificate::Signer;
use crate::scep::envelope::{AnswerEnvelope, Cipher};
use crate::scep::oid;
use crate::scep::refusal::Stop;
use crate::scep::signed::{attribute, printable, signed_data};

/// The media type of messages (RFC 8894 §4.3).
const MESSAGE: &str = "application/x-pki-message";

/// UTF8String.
const UTF8_STRING: u8 = 0x0c;

/// The pause before a poll. SCEP has no field in which a server could ask for another pause.
const PAUSE: Duration = Duration::from_secs(10);

/// The step with which a transaction continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The request is sent, perhaps again.
    Request,
    /// The CA has the request, and is asked whether it has decided.
    Poll,
}

/// A message that a client sends (RFC 8894 §3.2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    RenewalReq,
    PkcsReq,
    CertPoll,
}

impl Kind {
    const fn number(self) -> &'static [u8] {
        match self {
            Self::RenewalReq => b"17",
            Self::PkcsReq => b"19",
            Self::CertPoll => b"20",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::RenewalReq => "RenewalReq",
            Self::PkcsReq => "PKCSReq",
            Self::CertPoll => "CertPoll",
        }
    }
}

/// A peer, with everything that it needs to talk to a SCEP server.
pub struct Client<'c> {
    /// Carries messages.
    pub web: &'c Web,
    /// The server.
    pub url: &'c ScepUrl,
    /// The credential that proves the peer's identity. A secret becomes the challengePassword.
    pub credential: &'c Credential,
    /// The peer's trust anchors.
    pub anchors: &'c Anchors,
    /// The fingerprint of the CA's certificate, if the operator named one.
    pub fingerprint: Option<&'c Fingerprint>,
    /// The certificate of a registration authority, DER, if the operator named one.
    pub signer: Option<&'c [u8]>,
    /// Finds certification paths.
    pub paths: &'c dyn Paths,
    /// Tells the time.
    pub clock: &'c dyn Clock,
    /// The source of randomness.
    pub entropy: &'c dyn Entropy,
    /// The time until which the peer waits for a busy server, and for a CA that has to decide.
    pub until: Instant,
}

impl std::fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("url", self.url).finish_non_exhaustive()
    }
}

/// The server of a transaction, and the signer of its messages.
struct Session<'a> {
    capabilities: Capabilities,
    registration: Registration,
    signing: Signing<'a>,
    /// The transactionID: a hash of the requested key (RFC 8894 §3.2.1.1).
    transaction: String,
}

impl Client<'_> {
    /// The certificate with which the messages of this transaction are signed, if the peer has to make it itself, DER; empty if it has
    /// one. It is made once, because answers are encrypted for it, and servers recognize a transaction by it.
    ///
    /// # Errors
    /// [`ClientError::Input`] for a key that is not RSA; [`ClientError::Internal`] if it cannot be made.
    pub fn prepare(
        request: &EnrolmentRequest<'_>,
        credential: &Credential,
        clock: &dyn Clock,
    ) -> Result<Vec<u8>, ClientError> {
        match credential {
            Credential::Secret { .. } => self_signed(request, clock.now()),
            Credential::Certificate { key, .. } => {
                require_rsa(key, "the certificate that signs has")?;
                require_rsa(request.key, "the request is for")?;
                Ok(Vec::new())
            }
        }
    }

    /// Asks for a certificate, and checks the one that is returned. `prepared` is the certificate by [`Self::prepare`]. `checkpoint` is
    /// called when the CA has not decided: the same call with [`Step::Poll`] can then continue later.
    ///
    /// # Errors
    /// [`ClientError::BadCertificate`] for a certificate that must not be accepted, [`ClientError::Waiting`] if the CA has not decided;
    /// [`ClientError::Refused`], [`ClientError::Untrusted`] and [`ClientError::Unavailable`] as the server answers.
    pub fn request(
        &self,
        request: &EnrolmentRequest<'_>,
        prepared: &[u8],
        step: Step,
        checkpoint: &mut dyn FnMut() -> Result<(), ClientError>,
    ) -> Result<Issued, ClientError> {
        // 1. What the server can do, and who reads and signs for the CA.
        let session = Session {
            capabilities: self.capabilities()?,
            registration: self.registration()?,
            signing: Signing::new(self.credential, request, prepared)?,
            transaction: HEXLOWER.encode(digest(&SHA256, request.key.public().der()).as_ref()),
        };
        // 2. The request, until it is decided.
        let list = self.decided(&session, request, step, checkpoint)?;
        // 3. The certificate. Some servers put the CA's beside it.
        let own = request.key.public().der();
        let is_own = |der: &&Vec<u8>| Facts::of(der).is_ok_and(|facts| facts.key.der() == own);
        let certificate = list.iter().find(is_own).or(list.first()).cloned().unwrap_or_default();
        let Registration { anchors, all, .. } = session.registration;
        let others = list.into_iter().filter(|der| *der != certificate).chain(all).collect();
        let arrived = Arrived { certificate: &certificate, others, changed: None };
        let now = self.clock.now();
        match arrived.examine(request, Roots::Known(anchors), self.paths, now) {
            Ok(examined) => Ok(examined.into_confirmed(certificate)),
            Err(ClientError::Untrusted(why)) => Err(ClientError::BadCertificate(why)),
            Err(other) => Err(other),
        }
    }

    /// The certificates in the answer of a CA that has granted the request.
    fn decided(
        &self,
        session: &Session<'_>,
        request: &EnrolmentRequest<'_>,
        step: Step,
        checkpoint: &mut dyn FnMut() -> Result<(), ClientError>,
    ) -> Result<Vec<Vec<u8>>, ClientError> {
        let asking = match (request.body, session.capabilities.renews) {
            (Body::KeyUpdate, true) => Kind::RenewalReq,
            _ => Kind::PkcsReq,
        };
        let mut kind = if step == Step::Poll { Kind::CertPoll } else { asking };
        let mut may_ask_again = step == Step::Poll;
        loop {
            match self.exchange(session, request, kind)? {
                Status::Success(envelope) => {
                    return opened(&envelope, &session.signing, self.entropy);
                }
                Status::Failure(refusal)
                    if may_ask_again && refusal.failures.as_slice() == ["badCertId"] =>
                {
                    // The server has forgotten the transaction, or never had it. The same request makes no second certificate.
                    tracing::info!("the request is sent again: {refusal}");
                    (kind, may_ask_again) = (asking, false);
                    continue;
                }
                Status::Failure(refusal) => return Err(ClientError::Refused(refusal)),
                Status::Pending => {}
            }
            checkpoint()?;
            (kind, may_ask_again) = (Kind::CertPoll, false);
            tracing::info!(seconds = PAUSE.as_secs(), "the CA has not decided");
            if !sleep(PAUSE, self.until) {
                return Err(ClientError::Waiting { after: PAUSE.as_secs(), reason: String::new() });
            }
        }
    }

    /// Sends one message, and reads its answer.
    fn exchange(
        &self,
        session: &Session<'_>,
        request: &EnrolmentRequest<'_>,
        kind: Kind,
    ) -> Result<Status, ClientError> {
        let mut nonce = [0; 16];
        self.entropy.fill(&mut nonce)?;
        let content = match kind {
            Kind::CertPoll => {
                // IssuerAndSubject (RFC 8894 §3.3.3).
                let issuer = session.registration.ca.to_der().map_err(ClientError::encoding)?;
                let subject = request.subject.to_der().map_err(ClientError::encoding)?;
                Zeroizing::new(encode(SEQUENCE, &[&issuer, &subject]))
            }
            Kind::PkcsReq | Kind::RenewalReq => self.certification_request(request)?,
        };
        let message = self.message(session, kind, &content, &nonce)?;
        let url = match session.capabilities.posts {
            true => self.url.of("PKIOperation"),
            false => self.url.with_message(&message),
        };
        let body = session.capabilities.posts.then_some((MESSAGE, message.as_slice()));
        let question = Question { url: &url, accept: MESSAGE, body, ..Question::default() };
        let answer = self.web.ask_patiently(&question, self.clock, self.until)?;
        if answer.status != 200 {
            return Err(answer.unexpected(kind.name(), &self.url.of("PKIOperation")));
        }
        let expected = Expected {
            asked: kind.name(),
            transaction: &session.transaction,
            nonce: &nonce,
            signers: &session.registration.signers,
        };
        expected.read(&answer.body)
    }

    /// A pkiMessage (RFC 8894 §3.2) around this content.
    fn message(
        &self,
        session: &Session<'_>,
        kind: Kind,
        content: &[u8],
        nonce: &[u8],
    ) -> Result<Vec<u8>, ClientError> {
        let Session { capabilities, registration, signing, transaction } = session;
        let recipient = Signer::of(&registration.recipient)?;
        // GetCACaps has a word for AES with 128 bits alone.
        let (cipher, transport) = (Cipher::Aes128, KeyTransport::Pkcs1);
        let envelope = AnswerEnvelope::new(&recipient, cipher, transport, self.entropy);
        let envelope = envelope.map_err(|stop| match stop {
            Stop::Refused(_) => {
                ClientError::untrusted("nothing can be encrypted with the RSA key of GetCACert")
            }
            Stop::Unavailable | Stop::Failed => {
                ClientError::Internal("there is no randomness".into())
            }
        })?;
        let envelope = envelope.seal(content)?;
        let attributes = vec![
            attribute(oid::MESSAGE_TYPE, &printable(kind.number()))?,
            attribute(oid::TRANSACTION_ID, &printable(transaction.as_bytes()))?,
            attribute(oid::SENDER_NONCE, &encode(OCTET_STRING, &[nonce]))?,
        ];
        let mut certificates = vec![signing.certificate];
        certificates.extend(signing.chain.iter().map(Vec::as_slice));
        let sign =
            |octets: &[u8]| -> Result<Vec<u8>, Error> { signing.sign(octets, capabilities.digest) };
        Ok(signed_data(&envelope, attributes, &certificates, capabilities.digest, &sign)?)
    }

    /// The PKCS #10 request. It is the same each time, because an RSA signature by PKCS #1 v1.5 is.
    fn certification_request(
        &self,
        request: &EnrolmentRequest<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        let challenge = match self.credential {
            Credential::Secret { reference: Some(reference), secret } => {
                Some(Zeroizing::new(format!("{reference}:{}", secret.as_str())))
            }
            Credential::Secret { reference: None, secret } => Some(secret.clone()),
            Credential::Certificate { .. } => None,
        };
        let challenge = challenge.as_ref().map(|text| text.as_str());
        let extensions = request.profile.map(profile).transpose()?.into_iter().collect();
        certification_request(request, Additions { challenge_password: challenge, extensions })
    }

    fn capabilities(&self) -> Result<Capabilities, ClientError> {
        let url = self.url.of("GetCACaps");
        let question = Question { url: &url, accept: "text/plain", ..Question::default() };
        let answer = self.web.ask_patiently(&question, self.clock, self.until)?;
        match answer.status {
            200 => Capabilities::read(&answer.body),
            _ => Err(answer.unexpected("GetCACaps", &url)),
        }
    }

    fn registration(&self) -> Result<Registration, ClientError> {
        let url = self.url.of("GetCACert");
        let question = Question { url: &url, accept: "*/*", ..Question::default() };
        let answer = self.web.ask_patiently(&question, self.clock, self.until)?;
        if answer.status != 200 {
            return Err(answer.unexpected("GetCACert", &url));
        }
        let trust = Trust {
            anchors: self.anchors,
            fingerprint: self.fingerprint,
            named: self.signer,
            paths: self.paths,
            at: self.clock.now(),
        };
        Registration::read(&answer.body, &trust)
    }
}

/// The extension that names a profile: Microsoft's name of a certificate template, which servers of other makes read, too.
fn profile(name: &str) -> Result<Extension, ClientError> {
    let value = encode(UTF8_STRING, &[name.as_bytes()]);
    let value = OctetString::new(value).map_err(ClientError::encoding)?;

    Ok(Extension { extn_id: oid::CERTIFICATE_TYPE, critical: false, extn_value: value })
}
