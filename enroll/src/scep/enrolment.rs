//! Requests for certificates (PKCSReq and RenewalReq, RFC 8894 §3.3.1), and polls for those that wait (CertPoll, §3.3.3).
//!
//! The transactionID of most clients is a hash of their key, so that it is the same at each renewal with that key: it alone must not bring
//! back an old certificate. A transaction is known here by its transactionID and its signer. If the same request (by its digest) comes again
//! in it, the answer is the same as before, also after a restart.

use std::time::Duration;

use countersign_ca::authority::{Attempt, Authorized, Candidate, TransactionDraft};
use countersign_ca::record::approval::{Verdict, WaitingRequest};
use countersign_ca::record::{CertificateRecord, Label, Reason, Serial};
use countersign_ca::{Credential, Denial, Error, Requester};
use der::Decode;
use ring::digest;
use subtle::ConstantTimeEq;
use x509_cert::name::Name;
use zeroize::Zeroizing;

use super::certificate::Signer;
use super::decision::Decision;
use super::message::MessageType;
use super::oid;
use super::refusal::{Refusal, Stop};
use super::service::{Opened, ScepService};
use crate::ber::{self, Elements};
use crate::request::extensions::AltNames;
use crate::request::pkcs10::{CertificationRequest, certification_request_in, directory_string};
use crate::request::template::RequestTemplate;
use crate::transport::account_slots::AccountSlot;

/// The beginning of a transaction's context. The digest of the request and the hash of the credential follow.
const CONTEXT: &[u8; 5] = b"SCEP\x01";

/// Why a message is to be sent again later.
const TOO_MANY: &str = "too many requests of the account are worked on; try again";

/// The length of SHA-256, in octets.
const DIGEST: usize = 32;

/// The state of an earlier transaction.
enum Earlier {
    /// There was no earlier transaction, or its request has expired.
    Nothing,
    /// The same request was answered, or waits, in the earlier transaction.
    Same(Decision),
    /// Another request waits in the transaction.
    OtherWaits,
    /// Another request was answered in the transaction.
    OtherAnswered,
}

/// A request that is authenticated, before it is decided.
struct Authentic<'a> {
    opened: &'a Opened,
    requester: Requester,
    /// The digest of the CertificationRequest.
    digest: [u8; DIGEST],
}

impl ScepService {
    /// PKCSReq and RenewalReq.
    ///
    /// # Errors
    /// Refusals.
    pub(super) fn enrol(&self, opened: &Opened) -> Result<Decision, Stop> {
        // 1. The request is read, and its signature is verified: the proof of possession. Up to here every refusal is the same.
        let octets = opened.content.as_ref();
        let octets = octets.ok_or_else(|| Refusal::unreadable_content("the padding is wrong"))?;
        let unreadable = |e: Error| Refusal::unreadable_content(e.to_string());
        let der = ber::definite(octets, self.config().bounds).map_err(unreadable)?;
        // It contains the secret, and may be another copy.
        let der = Zeroizing::new(der.into_owned());
        let request = certification_request_in(&der, AltNames::Repaired).map_err(unreadable)?;
        // 2. The sender is authenticated.
        let requester = self.requester(opened, &request)?;
        let _slot = self.account_slot(&requester)?;
        tracing::debug!(account = %requester.account().name, "authenticated");
        let digest = sha256(&[&der]);
        let authentic = Authentic { opened, requester, digest };
        // 3. The same request was answered before, or it is decided now.
        let first = self.transaction_of(opened)?;
        let again = sha256(&[&first, &digest]);
        let id = match self.earlier(&authentic, &first)? {
            Earlier::Same(decision) => return Ok(decision),
            Earlier::Nothing => first,
            Earlier::OtherWaits => {
                return Err(Refusal::bad_request(
                    "another request with this transactionID waits for an administrator; poll for it, or make a new key",
                )
                .into());
            }
            Earlier::OtherAnswered => match self.earlier(&authentic, &again)? {
                Earlier::Same(decision) => return Ok(decision),
                _ => again,
            },
        };
        let can_wait = id == first;
        self.decide(&authentic, &id, request.template, can_wait)
            .or_else(|stop| self.decided_meanwhile(&authentic, &id, stop))
    }

    /// The answer to a request that was refused because an identical one was answered at the same time and used up the secret or the
    /// transaction.
    fn decided_meanwhile(
        &self,
        authentic: &Authentic<'_>,
        id: &[u8; DIGEST],
        stop: Stop,
    ) -> Result<Decision, Stop> {
        match (stop, self.earlier(authentic, id)?) {
            (Stop::Refused(_), Earlier::Same(decision)) => Ok(decision),
            (stop, _) => Err(stop),
        }
    }

    /// Authorizes a request, and issues its certificate or has it wait.
    fn decide(
        &self,
        authentic: &Authentic<'_>,
        id: &[u8; DIGEST],
        mut template: RequestTemplate,
        can_wait: bool,
    ) -> Result<Decision, Stop> {
        let (authority, route) = (self.authority(), &authentic.opened.route);
        let requester = &authentic.requester;
        let profile = match (take_profile(&mut template)?, &route.profile) {
            (Some(asked), Some(path)) if asked != *path => {
                return Err(Refusal::bad_request(format!(
                    "the request asks for the profile `{asked}`, and the path names `{path}`; leave one out"
                ))
                .into());
            }
            (asked, path) => asked.or_else(|| path.clone()),
        };
        let updates = match requester.credential() {
            Credential::Certificate(signer) => Some(signer.serial),
            _ => None,
        };
        let request = template.into_request(profile, route.ca.clone(), updates);
        let authorized = authority.authorize(requester, request)?;
        match authorized.needs_approval() {
            false => {
                let draft = self.draft(authentic, id, self.config().answer_kept);
                let issued = authority.issue(authorized, Some(draft))?;
                for change in &issued.changes {
                    tracing::info!("granted otherwise than asked for: {change}");
                }
                Ok(Decision::Issued { certificate: issued.certificate, chain: issued.chain })
            }
            true if can_wait => self.hold(authentic, id, authorized),
            true => Err(Refusal::bad_request(
                "another request with this transactionID was answered lately, and this one would have to wait for an \
                 administrator; make a new key, or sign the request with the certificate that it replaces",
            )
            .into()),
        }
    }

    /// Records a request that needs approval. If a request for the same certificate waits already, or was approved, this transaction
    /// joins it.
    fn hold(
        &self,
        authentic: &Authentic<'_>,
        id: &[u8; DIGEST],
        authorized: Authorized,
    ) -> Result<Decision, Stop> {
        let authority = self.authority();
        let mut draft = self.draft(authentic, id, self.config().approval_wait);
        let Some(waiting) = authority.waiting_alike(&authorized, None)? else {
            authority.submit(authorized, draft)?;
            return Ok(Decision::Pending);
        };
        draft.expires = waiting.pending.transaction.expires;
        authority.join(&waiting, draft)?;
        self.decided_by_administrator(authentic.opened, id, &waiting, &authentic.requester)
    }

    /// CertPoll: whether the request of this transaction was decided. The names in its content say no more than the transactionID, and
    /// the content is not decrypted.
    ///
    /// # Errors
    /// Refusals.
    pub(super) fn poll(&self, opened: &Opened) -> Result<Decision, Stop> {
        let id = self.transaction_of(opened)?;
        let authority = self.authority();
        if let Some(waiting) = authority.waiting(&id)? {
            let requester = match self.holder(opened)? {
                Some(requester) => requester,
                None => authority.requester_of(&waiting)?,
            };
            let _slot = self.account_slot(&requester)?;
            // A new secret ends what the old one began.
            let context = authority.transaction(&id)?.map(|transaction| transaction.context);
            let context = context.as_deref().and_then(Context::read);
            let made_with = context.and_then(|context| context.credential);
            if made_with.is_none() || made_with != credential_hash(&requester) {
                return Err(Error::not_authorized(
                    "the secret with which the request was made was removed or replaced; make a new key, and enrol with the present \
                     secret",
                )
                .into());
            }
            return self.decided_by_administrator(opened, &id, &waiting, &requester);
        }
        match authority.issued_in(&id)? {
            Some(record) => self.issued_before(record),
            None => Err(Refusal::bad_cert_id(
                "nothing waits in the transaction of this transactionID and signer; send the request again",
            )
            .into()),
        }
    }

    /// The decision about a request that waits or waited for approval. If it is approved, its certificate is issued now.
    fn decided_by_administrator(
        &self,
        opened: &Opened,
        id: &[u8; DIGEST],
        waiting: &WaitingRequest,
        requester: &Requester,
    ) -> Result<Decision, Stop> {
        let authority = self.authority();
        match &waiting.decision {
            None => Ok(Decision::Pending),
            Some((_, decision)) if decision.verdict == Verdict::Approved => {
                let recorded = authority.transaction(id)?;
                let draft = TransactionDraft {
                    id: id.to_vec(),
                    expires: authority.now().plus(self.config().answer_kept),
                    context: recorded.map(|recorded| recorded.context).unwrap_or_default(),
                    confirm_until: None,
                    registrar: None,
                    client: opened.route.client,
                    proof: Some(requester.credential().proof()),
                };
                let issued = authority.issue_approved(requester, waiting, draft)?;
                Ok(Decision::Issued { certificate: issued.certificate, chain: issued.chain })
            }
            Some((_, decision)) => {
                let words = decision.comment.as_deref().unwrap_or("no reason is given");
                Err(Refusal::bad_request(format!("an administrator rejected the request: {words}"))
                    .into())
            }
        }
    }

    /// The state of the transaction with this identifier.
    fn earlier(&self, authentic: &Authentic<'_>, id: &[u8; DIGEST]) -> Result<Earlier, Stop> {
        let authority = self.authority();
        let account = authentic.requester.account();
        let Some(transaction) = authority.transaction(id)? else { return Ok(Earlier::Nothing) };
        let waiting = authority.waiting(id)?;
        let digest = Context::read(&transaction.context).map(|context| context.digest);
        let is_same = digest == Some(authentic.digest) && transaction.account == account.name;
        match (waiting, is_same) {
            (Some(waiting), true) => {
                let Authentic { opened, requester, .. } = authentic;
                self.decided_by_administrator(opened, id, &waiting, requester).map(Earlier::Same)
            }
            (Some(waiting), false) => Ok(match waiting.verdict() {
                None | Some(Verdict::Approved) => Earlier::OtherWaits,
                Some(_) => Earlier::OtherAnswered,
            }),
            (None, false) => Ok(Earlier::OtherAnswered),
            (None, true) => match authority.issued_in(id)? {
                Some(record) if self.is_of(&record, &authentic.requester)? => {
                    self.issued_before(record).map(Earlier::Same)
                }
                _ => Ok(Earlier::OtherAnswered),
            },
        }
    }

    /// Whether a certificate was issued to the account of this requester, and not to an earlier account of the same name.
    fn is_of(&self, record: &CertificateRecord, requester: &Requester) -> Result<bool, Error> {
        let holder = self.authority().store().holder(record)?;
        Ok(holder.is_some_and(|holder| holder.incarnation == requester.account().incarnation))
    }

    /// The certificate that was issued in a transaction, once more.
    fn issued_before(&self, record: CertificateRecord) -> Result<Decision, Stop> {
        let for_good = |reason: Reason| reason != Reason::CertificateHold;
        if let Some(revocation) = record.revocation.filter(|found| for_good(found.reason)) {
            return Err(Refusal::bad_cert_id(format!(
                "the certificate of this request was revoked on {} ({}); make a new key",
                revocation.at, revocation.reason
            ))
            .into());
        }
        tracing::info!(serial = %record.serial, "the same request came again");
        let chain = self.authority().chain(Some(&record.ca))?.to_vec();
        Ok(Decision::Issued { certificate: record.certificate, chain })
    }

    /// Authenticates the sender of a request: by the certificate of this authority that signs it, or by the secret in its
    /// challengePassword.
    fn requester(
        &self,
        opened: &Opened,
        request: &CertificationRequest,
    ) -> Result<Requester, Stop> {
        let by_certificate = match self.by_certificate(opened) {
            Ok(requester) => return Ok(requester),
            Err(error) if is_fault(&error) => return Err(error.into()),
            Err(error) => error,
        };
        let challenge = request.challenge_password.as_ref().map(|challenge| challenge.as_str());
        let challenge = challenge.filter(|challenge| !challenge.is_empty());
        match (opened.kind, challenge) {
            (MessageType::PkcsReq, Some(challenge)) => {
                self.by_challenge(opened, &request.template, challenge)
            }
            // Only a certificate of ours makes the signature say more than that the request has no secret.
            (MessageType::PkcsReq, None) if is_stranger(&by_certificate) => {
                Err(Refusal::bad_message_check(
                    "the request has no challengePassword, and no certificate of this CA signs it; enrol with the account's secret",
                )
                .into())
            }
            _ => Err(by_certificate.into()),
        }
    }

    /// Authenticates the sender by the certificate that signs the message, whose signature was verified already.
    fn by_certificate(&self, opened: &Opened) -> Result<Requester, Error> {
        let signer = &opened.signer.certificate;
        let requester = self.authority().authenticate_certificate(signer, &mut |_| Ok(()))?;
        // RFC 9810 §5.3.18: a certificate is not in use before it is confirmed.
        match requester.credential() {
            Credential::Certificate(record) if record.awaits_confirmation => {
                Err(Error::unauthenticated(format!(
                    "the signer's certificate {} awaits its confirmation by CMP; send its certConf first",
                    record.serial
                )))
            }
            _ => Ok(requester),
        }
    }

    /// The sender, if the message is signed with a certificate of this authority that is good now.
    fn holder(&self, opened: &Opened) -> Result<Option<Requester>, Error> {
        match self.by_certificate(opened) {
            Ok(requester) => Ok(Some(requester)),
            Err(error) if is_fault(&error) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Authenticates the sender of a PKCSReq by its challengePassword. Anybody who reads the message can take its envelope and sign it
    /// anew. So the signer must be the holder of the requested key (RFC 8894 §2.3), or of a certificate of this authority, which may have
    /// ended, for the same account: clients sign with that when they enrol again with another key.
    fn by_challenge(
        &self,
        opened: &Opened,
        template: &RequestTemplate,
        challenge: &str,
    ) -> Result<Requester, Stop> {
        let other_key = || {
            Refusal::bad_message_check(
                "the message is not signed with the key of its PKCS #10 request (RFC 8894 §2.3), and no certificate of the same \
                 account signs it; sign it with the requested key",
            )
        };
        if opened.signer.key == *template.key.key() {
            return Ok(self.by_secret(opened, template, challenge)?);
        }
        let replaced = self.issued(&opened.signer)?.ok_or_else(other_key)?;
        let requester = self.by_secret(opened, template, challenge)?;
        match self.is_of(&replaced, &requester)? {
            true => Ok(requester),
            false => Err(other_key().into()),
        }
    }

    /// The record of a signer's certificate that this authority issued in exactly these octets, whether or not it is good now.
    fn issued(&self, signer: &Signer) -> Result<Option<CertificateRecord>, Error> {
        let authority = self.authority();
        let Ok(issuer) = Name::from_der(&signer.name.issuer) else { return Ok(None) };
        let Some(serial) = Serial::from_integer(signer.name.serial_content()) else {
            return Ok(None);
        };
        let Some(ca) = authority.ca_of(&issuer, &serial)? else { return Ok(None) };
        let record = authority.store().certificate(&ca, &serial)?;
        Ok(record.filter(|record| record.certificate == signer.certificate))
    }

    /// Takes a slot of the requester's account, so that one account does not take them all.
    fn account_slot(&self, requester: &Requester) -> Result<AccountSlot, Error> {
        let slot = self.account_slots().try_acquire(&requester.account().name);
        slot.ok_or_else(|| Error::denied(Denial::TooMany, TOO_MANY))
    }

    /// Authenticates the sender by its challengePassword: `REFERENCE:SECRET`, or the secret alone if the names in the request belong to one
    /// account.
    fn by_secret(
        &self,
        opened: &Opened,
        template: &RequestTemplate,
        challenge: &str,
    ) -> Result<Requester, Error> {
        let authority = self.authority();
        let found;
        // Nothing of the challenge is copied: without a reference, both parts may be the secret's.
        let (reference, secret) = match challenge.rsplit_once(':') {
            Some(parts) => parts,
            None => {
                let names = (template.subject.as_ref(), &template.alt_names);
                found = authority.reference_for(names.0, names.1)?;
                if found.is_none() {
                    tracing::info!(
                        "no single account has the names of the request; with `REFERENCE:SECRET` for its challengePassword, the \
                         names do not matter"
                    );
                }
                (found.as_deref().unwrap_or_default(), challenge)
            }
        };
        let attempt = Attempt {
            reference: reference.as_bytes(),
            from: opened.route.client,
            continues: false,
        };
        authority.authenticate_secret(attempt, &mut |candidate| match candidate {
            Candidate::Secret(own) => bool::from(own.ct_eq(secret.as_bytes())),
            Candidate::Decoy(random) => {
                // The same work as for a real secret.
                let _ = random.ct_eq(secret.as_bytes());
                false
            }
        })
    }

    /// The identifier of the transaction of a message, by its transactionID and its signer: a certificate of this authority counts by
    /// itself, any other by its key, because clients make such certificates anew.
    ///
    /// # Errors
    /// The faults of the authority: with them, the signer is not known to be a stranger.
    fn transaction_of(&self, opened: &Opened) -> Result<[u8; DIGEST], Error> {
        let signer = match self.holder(opened)? {
            Some(_) => &opened.signer.certificate,
            None => opened.signer.key.der(),
        };
        let id = sha256(&[&opened.transaction.id]);
        Ok(sha256(&[CONTEXT, &id, signer]))
    }

    /// The draft of a transaction that is remembered for this long.
    fn draft(
        &self,
        authentic: &Authentic<'_>,
        id: &[u8; DIGEST],
        kept: Duration,
    ) -> TransactionDraft {
        TransactionDraft {
            id: id.to_vec(),
            expires: self.authority().now().plus(kept),
            context: Context {
                digest: authentic.digest,
                credential: credential_hash(&authentic.requester),
            }
            .encoded(),
            confirm_until: None,
            registrar: None,
            client: authentic.opened.route.client,
            proof: Some(authentic.requester.credential().proof()),
        }
    }
}

/// The context of a transaction.
struct Context {
    /// The digest of the CertificationRequest.
    digest: [u8; DIGEST],
    /// The hash of the credential that authenticated the sender.
    credential: Option<[u8; DIGEST]>,
}

impl Context {
    /// Reads a context; `None` if it is not of SCEP.
    fn read(octets: &[u8]) -> Option<Self> {
        let (digest, credential) = octets.strip_prefix(CONTEXT)?.split_first_chunk()?;
        Some(Self { digest: *digest, credential: credential.try_into().ok() })
    }

    fn encoded(&self) -> Vec<u8> {
        let credential = self.credential.as_ref().map_or(&[][..], |hash| hash);
        [CONTEXT.as_slice(), &self.digest, credential].concat()
    }
}

/// The hash of a requester's credential, which is another one after the secret was replaced; `None` for an account without a secret.
fn credential_hash(requester: &Requester) -> Option<[u8; DIGEST]> {
    match requester.credential() {
        Credential::Secret => {
            requester.account().secret.as_ref().map(|secret| sha256(&[&secret.sealed]))
        }
        Credential::Certificate(record) | Credential::Registrar(record) => {
            Some(sha256(&[&record.certificate]))
        }
        Credential::Vendor(vendor) => Some(sha256(&[&vendor.certificate])),
    }
}

/// Whether this error is a fault of the service, which says nothing about a certificate.
const fn is_fault(error: &Error) -> bool {
    matches!(error, Error::Internal(_) | Error::Unavailable(_))
}

/// Whether this error says that a certificate is not one of this authority, or cannot be read.
fn is_stranger(error: &Error) -> bool {
    matches!(error, Error::Malformed(_))
        || matches!(
            error,
            Error::Denied {
                kind: Denial::SignerNotTrusted | Denial::Algorithm | Denial::KeySize,
                ..
            }
        )
}

/// SHA-256 over these parts.
fn sha256(parts: &[&[u8]]) -> [u8; DIGEST] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().try_into().unwrap_or_default()
}

/// Takes the name of a certificate template out of the extensions of a request: `pki --profile`, and Microsoft's clients.
fn take_profile(template: &mut RequestTemplate) -> Result<Option<Label>, Refusal> {
    let is_type =
        |extension: &&x509_cert::ext::Extension| extension.extn_id == oid::CERTIFICATE_TYPE;
    let Some(extension) = template.extensions.iter().find(is_type) else { return Ok(None) };
    let value = Elements::of(extension.extn_value.as_bytes()).next();
    let name = value.and_then(|value| directory_string(value.tag, value.content));
    let label = name.as_ref().and_then(|name| name.parse().ok());
    let label = label.ok_or_else(|| {
        Refusal::bad_request("the extension with the certificate template's name (1.3.6.1.4.1.311.20.2) has no name of a profile")
    })?;
    template.extensions.retain(|extension| extension.extn_id != oid::CERTIFICATE_TYPE);
    Ok(Some(label))
}
