//! How the service handles one message, from the octets of the message to those of its answer. It decides nothing: the authority does.
//!
//! A message is worked on in two steps, because each has threads of its own: [`ScepService::open`] verifies and decrypts, which takes
//! milliseconds of computing and waits for nothing; [`ScepService::answer`] may wait for the disk.

use countersign_ca::authority::ScepDelegates;
use countersign_ca::record::Label;
use countersign_ca::{Authority, Error};
use der::Decode;
use tracing::field::display;
use x509_cert::name::Name;

use super::config::{Answer, ScepConfig as Config};
use super::decision::Decision;
use super::envelope::{AnswerEnvelope, Cipher, Envelope, Recipient};
use super::message::{MessageType, PkiMessage, Transaction};
use super::refusal::{Refusal, Stop, Unreadable};
use super::reply::{Status, cert_rep, signed_data};
use super::service::{Answered, Opened, Outcome, Reply, Route, ScepService};
use crate::certs_only::certs_only;
use crate::legible::legible;

impl ScepService {
    /// Answers a message. This blocks on the disk.
    pub fn respond(&self, route: &Route, octets: &[u8]) -> Answered {
        match self.open(route, octets) {
            Ok(opened) => self.answer(&opened),
            Err(answered) => *answered,
        }
    }

    /// Reads a message, verifies its signature and decrypts its content.
    ///
    /// # Errors
    /// The answer to a message that is refused already.
    pub fn open(&self, route: &Route, octets: &[u8]) -> Result<Opened, Box<Answered>> {
        let message = match PkiMessage::read(octets, self.config().bounds) {
            Ok(message) => message,
            Err(why) => {
                let client = route.client.map(display);
                let span = tracing::info_span!("scep", client);
                return Err(Box::new(span.in_scope(|| unreadable(&why))));
            }
        };
        let kind = message.kind();
        let name = kind.as_ref().map_or("unknown", |kind| kind.name());
        let span = tracing::info_span!(
            "scep",
            client = route.client.map(display),
            transaction = %legible(&String::from_utf8_lossy(&message.transaction.id)),
            kind = name,
        );
        let entered = span.clone().entered();
        let opened = kind.map_err(Stop::from).and_then(|kind| {
            let signer = message.verify(self.config().legacy)?;
            let Config { bounds, legacy, .. } = self.config();
            let envelope = Envelope::read(&message.content, *bounds, *legacy)?;
            let (delegates, recipient) = self.recipient(&envelope)?;
            let transport = recipient.transport()?;
            if envelope.cipher == Cipher::TripleDes {
                tracing::warn!(
                    "the content is encrypted with triple DES, which the settings accept"
                );
            }
            let content = match kind {
                // What a poll says is in its attributes. An answer that depended on the content could teach what it decrypts to.
                MessageType::CertPoll => None,
                _ => {
                    let length = envelope.cipher.key_length();
                    let encrypted = &recipient.encrypted_key;
                    let key = delegates.decryption.content_key(transport, encrypted, length);
                    envelope.decrypt(&key)
                }
            };
            Ok((kind, signer, (envelope.cipher, transport), delegates, content))
        });
        drop(entered);
        match opened {
            Ok((kind, signer, (cipher, transport), delegates, content)) => Ok(Opened {
                kind,
                signer,
                content,
                route: route.clone(),
                transaction: message.transaction,
                cipher,
                transport,
                delegates,
                span,
            }),
            Err(stop) => Err(Box::new(span.in_scope(|| {
                let delegates = || self.authority().scep_delegates(route.ca.as_ref());
                stopped(stop, name, &message.transaction, delegates, self.authority())
            }))),
        }
    }

    /// Acts on a message that was opened, and makes its answer. This blocks on the disk.
    pub fn answer(&self, opened: &Opened) -> Answered {
        let _entered = opened.span.enter();
        let kind = opened.kind.name();
        match self.decided(opened) {
            Ok(octets) => {
                Answered { reply: Reply::CertRep(octets), outcome: Outcome { kind, granted: true } }
            }
            Err(stop) => {
                let delegates = || Ok(opened.delegates.clone());
                stopped(stop, kind, &opened.transaction, delegates, self.authority())
            }
        }
    }

    /// The CertRep to a message that is granted or waits.
    fn decided(&self, opened: &Opened) -> Result<Vec<u8>, Stop> {
        // Before anything is issued: if nothing can be encrypted for the signer, nothing may be issued.
        let Opened { signer, cipher, transport, .. } = opened;
        let entropy = self.authority().entropy();
        let envelope = AnswerEnvelope::new(signer, *cipher, *transport, entropy)?;
        let content = match opened.kind {
            MessageType::PkcsReq | MessageType::RenewalReq => self.enrol(opened)?,
            MessageType::CertPoll => self.poll(opened)?,
            MessageType::GetCert => self.certificate(opened)?,
            MessageType::GetCrl => self.crl(opened)?,
        };
        let status = match &content {
            Decision::Pending => Status::Pending,
            Decision::Issued { certificate, chain } => {
                let mut certificates = vec![certificate.as_slice()];
                if self.config().answer == Answer::Chain {
                    let below_root = chain.len().saturating_sub(1);
                    certificates.extend(chain.iter().take(below_root).map(Vec::as_slice));
                }
                Status::Success(sealed(&envelope, &certificates, &[])?)
            }
            Decision::Certificate(certificate) => {
                Status::Success(sealed(&envelope, &[certificate], &[])?)
            }
            Decision::Crl(crl) => Status::Success(sealed(&envelope, &[], &[crl])?),
        };
        let nonce = nonce(self.authority())?;
        let octets = cert_rep(&opened.delegates.signature, &opened.transaction, &status, nonce)?;
        tracing::info!("answered");
        Ok(octets)
    }

    /// The answer to GetNextCACert: the certificates of the CA that will issue next and those above it, in a certs-only message that the
    /// present registration authority signs; `None` if there is no next CA.
    ///
    /// # Errors
    /// The authority's, without delegates.
    pub fn next_certificates(&self, ca: Option<&Label>) -> Result<Option<Vec<u8>>, Error> {
        let Some(next) = self.authority().waiting_chain(ca)? else { return Ok(None) };
        let next: Vec<&[u8]> = next.iter().map(Vec::as_slice).collect();
        let content = certs_only(&next, &[]).map_err(Error::internal)?;
        let delegates = self.authority().scep_delegates(ca)?;
        // Some clients read the certificates beside the signer's, and not those in the content.
        signed_data(&delegates.signature, &content, Vec::new(), &next).map(Some)
    }

    /// The delegates for whose key an envelope is encrypted, and the recipient that the envelope names.
    fn recipient<'a>(
        &self,
        envelope: &'a Envelope,
    ) -> Result<(ScepDelegates, &'a Recipient), Stop> {
        for recipient in &envelope.recipients {
            let Ok(issuer) = Name::from_der(&recipient.name.issuer) else { continue };
            let serial = recipient.name.serial_content();
            if let Some(delegates) = self.authority().scep_recipient(&issuer, serial)? {
                return Ok((delegates, recipient));
            }
        }
        Err(Refusal::bad_message_check(
            "the message is encrypted for no valid certificate of this registration authority; have the client fetch the \
             certificates again (GetCACert), and encrypt for the one with keyEncipherment",
        )
        .into())
    }
}

/// The certificates and CRLs of an answer, encrypted.
fn sealed(
    envelope: &AnswerEnvelope,
    certificates: &[&[u8]],
    crls: &[&[u8]],
) -> Result<Vec<u8>, Error> {
    envelope.seal(&certs_only(certificates, crls).map_err(Error::internal)?)
}

/// A fresh senderNonce.
fn nonce(authority: &Authority) -> Result<[u8; 16], Error> {
    let mut nonce = [0; 16];
    authority.random(&mut nonce)?;
    Ok(nonce)
}

/// The answer to octets that are not a pkiMessage. It needs no delegate, so that none is made for them.
fn unreadable(why: &Unreadable) -> Answered {
    let why = legible(&why.0);
    tracing::info!(target: countersign_ca::REFUSED, "unreadable: {why}");
    let outcome = Outcome { kind: "unreadable", granted: false };
    Answered { reply: Reply::Unreadable(why), outcome }
}

/// The answer to a message that is not granted. One of the delegates signs it.
fn stopped(
    stop: Stop,
    kind: &'static str,
    transaction: &Transaction,
    delegates: impl FnOnce() -> Result<ScepDelegates, Error>,
    authority: &Authority,
) -> Answered {
    let reply = match stop {
        Stop::Refused(refusal) => {
            let Refusal { failure, text, detail } = &refusal;
            match detail.is_empty() {
                true => {
                    tracing::info!(target: countersign_ca::REFUSED, ?failure, "refused: {text}")
                }
                false => {
                    tracing::info!(target: countersign_ca::REFUSED, ?failure, "refused: {text}: {detail}")
                }
            }
            match delegates() {
                Ok(delegates) => {
                    let status = Status::Failure(&refusal);
                    let made = nonce(authority).and_then(|nonce| {
                        cert_rep(&delegates.signature, transaction, &status, nonce)
                    });
                    made.map_or_else(
                        |error| {
                            tracing::error!("no answer could be made: {error}");
                            Reply::Failed
                        },
                        Reply::CertRep,
                    )
                }
                Err(error) => {
                    tracing::error!("no answer could be signed: {error}");
                    Reply::Unavailable
                }
            }
        }
        Stop::Unavailable => Reply::Unavailable,
        Stop::Failed => Reply::Failed,
    };
    Answered { reply, outcome: Outcome { kind, granted: false } }
}
