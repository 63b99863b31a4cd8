//! simpleenroll and simplereenroll: from the request to the checked certificate (RFC 7030 §4.2).

use std::time::{Duration, Instant};

use countersign_ca::Clock;
use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::answers::{certificates, own_and_others};
use super::url::EstUrl;
use crate::client::http::{Answer, Question, busy};
use crate::client::pkcs10::{Additions, certification_request};
use crate::client::wait::sleep;
use crate::client::{
    Anchors, Arrived, Body, ClientError, Credential, EnrolmentRequest, Issued, Paths, Roots, Web,
};
use crate::est::wire::base64::{self, Lines};
use crate::est::wire::csr_attributes::demand_binding;
use crate::est::wire::operation::Operation;
use crate::legible::legible;

/// The media type of requests and CSR attributes' answers (RFC 7030 §4.2.1 and §4.5.2), and of certificates.
const PKCS10: &str = "application/pkcs10";
const CSR_ATTRIBUTES: &str = "application/csrattrs";
const PKCS7: &str = "application/pkcs7-mime";

/// The pause before the same request is sent again, if a 202 names no pause.
const UNNAMED: Duration = Duration::from_secs(10);
/// The shortest pause before the same request is sent again.
const SHORTEST: Duration = Duration::from_secs(1);

/// A peer, with everything that it needs to talk to an EST server.
pub struct Client<'c> {
    /// Carries requests, over TLS.
    pub web: &'c Web,
    /// Where the server has its operations.
    pub url: &'c EstUrl,
    /// The credential that proves the peer's identity. A certificate is presented by `web`; a secret is sent by HTTP Basic.
    pub credential: &'c Credential,
    /// The peer's trust anchors, for the certificate that comes.
    pub anchors: &'c Anchors,
    /// Finds certification paths.
    pub paths: &'c dyn Paths,
    /// Tells the time.
    pub clock: &'c dyn Clock,
    /// The time until which the peer waits for a busy server, and for a CA that has to decide.
    pub until: Instant,
}

impl std::fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("url", self.url).finish_non_exhaustive()
    }
}

impl Client<'_> {
    /// The PKCS #10 request for a certificate, DER. It is made once, because a server recognizes a repeated request by its octets.
    ///
    /// # Errors
    /// [`ClientError::Internal`] if it cannot be encoded or signed; [`ClientError::Input`] for names that no certificate can have.
    pub fn prepare(request: &EnrolmentRequest<'_>) -> Result<Vec<u8>, ClientError> {
        Ok(certification_request(request, Additions::default())?.to_vec())
    }

    /// Asks for a certificate, and checks the one that is returned. `prepared` is the request by [`Self::prepare`]. `checkpoint` is called
    /// when the CA has not decided: the same call can then continue later.
    ///
    /// # Errors
    /// [`ClientError::BadCertificate`] for a certificate that must not be accepted, [`ClientError::Waiting`] if the CA has not decided;
    /// [`ClientError::Refused`], [`ClientError::Untrusted`] and [`ClientError::Unavailable`] as the server answers.
    pub fn request(
        &self,
        request: &EnrolmentRequest<'_>,
        prepared: &[u8],
        checkpoint: &mut dyn FnMut() -> Result<(), ClientError>,
    ) -> Result<Issued, ClientError> {
        // 1. The CA's certificates, among which are those between the new certificate and an anchor.
        let above = self.ca_certificates()?;
        // 2. The request, which may have to be bound to its connection.
        let binds = self.must_bind()?;
        let granted = self.decided(request, prepared, binds, checkpoint)?;
        // 3. The certificate.
        let operation = operation(request);
        let list = certificates(&granted.body, operation.name())?;
        let (certificate, mut others) = own_and_others(list, request);
        others.extend(above.iter().cloned());
        let roots = match self.anchors {
            Anchors::Known(anchors) => Roots::Known(anchors.clone()),
            Anchors::FromAnswer => Roots::AmongThese(above),
        };
        let arrived = Arrived { certificate: &certificate, others, changed: None };
        let examined = arrived.examine(request, roots, self.paths, self.clock.now());
        match examined {
            Ok(examined) => Ok(examined.into_confirmed(certificate)),
            Err(ClientError::Untrusted(why)) => Err(ClientError::BadCertificate(why)),
            Err(other) => Err(other),
        }
    }

    /// The CA's certificates (RFC 7030 §4.1), DER.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn ca_certificates(&self) -> Result<Vec<Vec<u8>>, ClientError> {
        let url = self.url.of(Operation::CaCerts);
        let question = Question { url: &url, accept: PKCS7, ..Question::default() };
        let answer = self.web.ask_patiently(&question, self.clock, self.until)?;
        match answer.status {
            200 => certificates(&answer.body, Operation::CaCerts.name()),
            _ => Err(answer.unexpected(Operation::CaCerts.name(), &url)),
        }
    }

    /// Whether the server demands that a request is bound to its connection (RFC 7030 §4.5). Servers need not have CSR attributes.
    fn must_bind(&self) -> Result<bool, ClientError> {
        let url = self.url.of(Operation::CsrAttrs);
        let authorization = self.authorization();
        let question = Question {
            url: &url,
            accept: CSR_ATTRIBUTES,
            authorization: authorization.as_ref().map(|value| value.as_str()),
            ..Question::default()
        };
        let answer = self.web.ask_patiently(&question, self.clock, self.until)?;
        match answer.status {
            200 if answer.body.trim_ascii().is_empty() => Ok(false),
            200 => {
                let read = base64::decode_answer(&answer.body);
                read.and_then(|der| demand_binding(&der)).map_err(|e| {
                    ClientError::untrusted(format!("the answer to csrattrs cannot be read: {e}"))
                })
            }
            // The same secret would be wrong again, and a server counts wrong ones.
            401 if authorization.is_some() => {
                Err(answer.unexpected(Operation::CsrAttrs.name(), &url))
            }
            204 | 501 => Ok(false),
            status if (400..500).contains(&status) => Ok(false),
            _ => Err(answer.unexpected(Operation::CsrAttrs.name(), &url)),
        }
    }

    /// Sends the request until the CA has decided.
    fn decided(
        &self,
        request: &EnrolmentRequest<'_>,
        prepared: &[u8],
        binds: bool,
        checkpoint: &mut dyn FnMut() -> Result<(), ClientError>,
    ) -> Result<Answer, ClientError> {
        let operation = operation(request);
        let url = self.url.of(operation);
        loop {
            let answer = self.send(request, prepared, binds, &url)?;
            match answer.status {
                200 => return Ok(answer),
                202 => {}
                _ => return Err(answer.unexpected(operation.name(), &url)),
            }
            checkpoint()?;
            let wait = answer.retry_after.unwrap_or(UNNAMED).max(SHORTEST);
            let reason = legible(&answer.text());
            tracing::info!(seconds = wait.as_secs(), "the CA has not decided: {reason}");
            if !sleep(wait, self.until) {
                let reason = if reason.is_empty() { reason } else { format!(" ({reason})") };
                return Err(ClientError::Waiting { after: wait.as_secs(), reason });
            }
        }
    }

    /// Sends the request until the server is not busy.
    fn send(
        &self,
        request: &EnrolmentRequest<'_>,
        prepared: &[u8],
        binds: bool,
        url: &str,
    ) -> Result<Answer, ClientError> {
        let authorization = self.authorization();
        let mut pauses = crate::client::wait::Pauses::until(self.until);
        loop {
            // A bound request is another one for each connection.
            let bound = match binds {
                true => Some(bound(request, self.web.bind(url)?)?),
                false => None,
            };
            let der = bound.as_ref().map_or(prepared, |bound| bound.as_slice());
            let body = base64::encode(der, Lines::Many);
            let question = Question {
                url,
                accept: PKCS7,
                authorization: authorization.as_ref().map(|value| value.as_str()),
                body: Some((PKCS10, body.as_bytes())),
                transfer_encoding: Some("base64"),
            };
            let answer = self.web.ask(&question, self.clock)?;
            if !answer.is_busy() {
                return Ok(answer);
            }
            pauses.pause(answer.retry_after).map_err(|wait| busy(url, &answer, wait))?;
        }
    }

    /// The value of Authorization by HTTP Basic (RFC 7617). The secret is sent at once, because the server's certificate was verified.
    fn authorization(&self) -> Option<Zeroizing<String>> {
        let Credential::Secret { reference, secret } = self.credential else { return None };
        let reference = reference.as_deref().unwrap_or_default();
        let pair = Zeroizing::new(format!("{reference}:{}", secret.as_str()));
        let encoded = Zeroizing::new(BASE64.encode(pair.as_bytes()));
        Some(Zeroizing::new(format!("Basic {}", encoded.as_str())))
    }
}

/// The request with the channel binding of its connection as challengePassword (RFC 9266, RFC 7030 §3.5).
fn bound(
    request: &EnrolmentRequest<'_>,
    binding: [u8; 32],
) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    let text = BASE64.encode(&binding);
    let additions = Additions { challenge_password: Some(&text), ..Additions::default() };
    certification_request(request, additions)
}

/// The operation for a request.
const fn operation(request: &EnrolmentRequest<'_>) -> Operation {
    match request.body {
        Body::KeyUpdate => Operation::SimpleReenroll,
        Body::Initialization | Body::Certification => Operation::SimpleEnroll,
    }
}
