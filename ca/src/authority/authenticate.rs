//! Authenticates requesters, by a shared secret or by a certificate that this authority issued.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::failures::locked;
use super::request::{Credential, Requester};
use super::state::Authority;
use crate::error::{Denial, Error, Result};
use crate::key::SubjectPublicKey;
use crate::network::Network;
use crate::record::{Account, AccountSecret, CertificateRecord, Reason, Serial};
use crate::x509::Facts;

/// The longest reference that is looked up, in bytes.
const MAX_REFERENCE: usize = 128;

/// An attempt to authenticate with the shared secret of a reference.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The reference, as the peer sent it.
    pub reference: &'a [u8],
    /// The address of the peer, if it is known. All addresses of one IPv6 /64 count as one.
    pub from: Option<IpAddr>,
    /// Whether the message continues a transaction that was begun with the right secret. Then a wrong secret is not
    /// counted, and no lock applies.
    pub continues: bool,
}

/// A secret to verify a message with. It has no `Debug`, so that it is never logged.
#[derive(Clone, Copy)]
pub enum Candidate<'a> {
    /// The secret of the reference.
    Secret(&'a [u8]),
    /// A random secret, given because the reference is unknown or locked. The caller must do the same work as with a real secret.
    Decoy(&'a [u8]),
}

impl Authority {
    /// Finds the account of a reference and lets `verify` try its secret. For an unknown or locked reference, `verify`
    /// is given a decoy and the error text is the same, so that a guesser learns neither from the text nor from the
    /// time whether the reference exists.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a wrong secret or an unknown reference; `Denied` with [`Denial::Locked`] while
    /// the reference is locked for the peer's address, with [`Denial::NotAuthorized`] if the account is disabled; [`Error::Internal`] if the store fails or the sealed secret is
    /// damaged.
    pub fn authenticate_secret(
        &self,
        attempt: Attempt<'_>,
        verify: &mut dyn FnMut(Candidate<'_>) -> bool,
    ) -> Result<Requester> {
        let Attempt { from, continues, .. } = attempt;
        // Who has one IPv6 address has the /64 around it: else each guess would come from an address without a wrong secret.
        let from = from.map(|address| Network::from(address).address());
        let Some((account, secret)) = self.account_of(attempt.reference)? else {
            self.try_decoy(verify)?;
            return Err(Error::unauthenticated(WRONG_SECRET));
        };
        let (now, reference) = (self.now(), secret.reference.as_str());
        let locks = Some(self.settings.locks).filter(|locks| locks.after > 0 && !continues);
        let until = locks.and_then(|_| locked(&self.failures).locked_until(reference, from, now));
        if let Some(until) = until {
            tracing::warn!(target: crate::REFUSED, account = %account.name, reference, %until, "the reference is locked for this address");
            self.try_decoy(verify)?;
            return Err(Error::denied(Denial::Locked, WRONG_SECRET));
        }
        let begun = Instant::now();
        let kept = self.opened.find(reference, from, &secret.sealed, begun);
        let is_kept = kept.is_some();
        let clear = match kept {
            Some(clear) => clear,
            None => Arc::new(self.opener.open(&secret.sealed, reference.as_bytes())?),
        };
        if verify(Candidate::Secret(&clear)) {
            // A wrong attempt is never the reason why a secret is kept: strangers could fill the room, and learn by the time of a second
            // attempt that the reference exists.
            if !is_kept {
                self.opened.keep(reference, from, &secret.sealed, clear, begun);
            }
            account.require_enabled()?;
            return Ok(Requester::new(account, Credential::Secret));
        }
        tracing::warn!(target: crate::REFUSED, account = %account.name, reference, "wrong secret");
        if let Some(locks) = locks {
            let (in_a_row, until) = locked(&self.failures).count(reference, from, now, locks);
            if let Some(until) = until {
                tracing::warn!(target: crate::REFUSED, account = %account.name, reference, in_a_row, %until, "locked for this address after wrong secrets");
            }
        }
        Err(Error::unauthenticated(WRONG_SECRET))
    }

    /// Wipes the opened secrets that were kept for a minute. The server calls this about once a second. Keeping another secret also wipes
    /// them.
    pub fn forget_opened_secrets(&self) {
        self.opened.forget_old(Instant::now());
    }

    /// Does the same work as for a real secret: opens the decoy box, and lets `verify` try a random secret.
    fn try_decoy(&self, verify: &mut dyn FnMut(Candidate<'_>) -> bool) -> Result<()> {
        let mut random = Zeroizing::new([0; 32]);
        self.random(random.as_mut_slice())?;
        drop(self.opener.open(&self.decoy, b"decoy")?);
        let _ = verify(Candidate::Decoy(random.as_slice()));
        Ok(())
    }

    /// Authenticates the peer by a certificate that this authority issued. `verify` checks a signature with the
    /// certificate's key.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the certificate cannot be read; `Denied` with [`Denial::SignerNotTrusted`] if it was not issued here
    /// in exactly these octets, is a CA's, expired, not yet valid or on hold, or if its account was removed; with
    /// [`Denial::AlreadyRevoked`] if it is revoked for good, with [`Denial::NotAuthorized`] if the account is disabled. Otherwise the errors of `verify`.
    pub fn authenticate_certificate(
        &self,
        certificate: &[u8],
        verify: &mut dyn FnMut(&SubjectPublicKey) -> Result<()>,
    ) -> Result<Requester> {
        let facts = self.facts_of_signer(certificate)?;
        self.authenticate_facts(certificate, &facts, verify)
    }

    /// The fields of a certificate that signs a message, for [`Self::authenticate_facts`]. If the certificate signed an earlier message,
    /// the fields may come from memory.
    ///
    /// # Errors
    /// As [`Facts::of`].
    pub fn facts_of_signer(&self, certificate: &[u8]) -> Result<Arc<Facts>> {
        match self.signers.find(certificate) {
            Some(signer) => Ok(Arc::clone(&signer.facts)),
            None => Facts::of(certificate).map(Arc::new),
        }
    }

    /// Like [`Self::authenticate_certificate`], for a caller that has already read the certificate. `facts` must be
    /// those of `certificate`.
    ///
    /// # Errors
    /// As [`Self::authenticate_certificate`].
    pub fn authenticate_facts(
        &self,
        certificate: &[u8],
        facts: &Facts,
        verify: &mut dyn FnMut(&SubjectPublicKey) -> Result<()>,
    ) -> Result<Requester> {
        self.authenticate_late(certificate, facts, Duration::ZERO, verify)
    }

    /// Like [`Self::authenticate_facts`], and a certificate that expired at most `grace` ago is accepted, too: a gateway that was off for a
    /// while may renew.
    ///
    /// # Errors
    /// As [`Self::authenticate_certificate`].
    pub fn authenticate_late(
        &self,
        certificate: &[u8],
        facts: &Facts,
        grace: Duration,
        verify: &mut dyn FnMut(&SubjectPublicKey) -> Result<()>,
    ) -> Result<Requester> {
        let refused = |why: String| Error::denied(Denial::SignerNotTrusted, why);
        let known = self.known_record(certificate)?;
        let mut is_known = known.is_some();
        let record = match known {
            Some(known) => Some(known),
            None => self.own_certificate(certificate, facts)?,
        };
        let mut record = record.ok_or_else(|| {
            refused(format!("the signer's certificate of `{}` was not issued here", facts.subject))
        })?;
        // A cross certificate is recorded under the account that asked for it, but its key belongs to a CA and signs no
        // messages.
        if facts.is_ca {
            return Err(refused(format!(
                "the signer's certificate {} is a CA's; sign with an end entity's",
                record.serial
            )));
        }
        verify(&facts.key)?;
        let now = self.now();
        if now < facts.not_before || now > facts.not_after.plus(grace) {
            return Err(refused(format!(
                "the signer's certificate {} is valid from {} to {}, and it is {now}; enrol again with a secret",
                record.serial, facts.not_before, facts.not_after
            )));
        }
        // A certificate authenticates the account to which it was issued, and no later account of the same name.
        let mut account = self.store().holder(&record)?;
        // If the account got another name since the record was read, the record as it is now has that name.
        if account.is_none()
            && let Some(present) = self.own_certificate(certificate, facts)?
        {
            account = self.store().holder(&present)?;
            (record, is_known) = (present, false);
        }
        if let Some(revocation) = &record.revocation {
            let kind = match revocation.reason {
                Reason::CertificateHold => Denial::SignerNotTrusted,
                _ => Denial::AlreadyRevoked,
            };
            return Err(Error::denied(
                kind,
                format!(
                    "the signer's certificate {} was revoked on {} ({})",
                    record.serial, revocation.at, revocation.reason
                ),
            ));
        }
        let account = account.ok_or_else(|| {
            refused(format!(
                "the account `{}` that the signer's certificate {} was issued to is gone; enrol again with a secret of the \
                 present one",
                record.account, record.serial
            ))
        })?;
        account.require_enabled()?;
        // Only a verified signature leads here, so that strangers cannot have anything remembered.
        if !is_known {
            self.signers.remember(facts, &record);
        }
        Ok(Requester::new(account, Credential::Certificate(Box::new(record))))
    }

    /// The record of a certificate that signed a message before, unless it was revoked since.
    fn known_record(&self, certificate: &[u8]) -> Result<Option<CertificateRecord>> {
        let Some(signer) = self.signers.find(certificate) else { return Ok(None) };
        let CertificateRecord { ca, serial, .. } = &signer.record;
        let is_good = self.store().revocation(ca, serial)?.is_none();
        Ok(is_good.then(|| signer.record.clone()))
    }

    /// The account with this reference, and its secret.
    fn account_of(&self, reference: &[u8]) -> Result<Option<(Account, AccountSecret)>> {
        let reference =
            std::str::from_utf8(reference).ok().filter(|text| text.len() <= MAX_REFERENCE);
        let Some(reference) = reference else { return Ok(None) };
        let mut account = self.store().account_by_reference(reference)?;
        // RFC 9483 §3.1 makes the senderKID the value of the sender's commonName. Some clients send the attribute type
        // with it.
        if account.is_none()
            && let Some(name) = reference.strip_prefix("CN=")
        {
            account = self.store().account_by_reference(name)?;
        }
        Ok(account.and_then(|account| account.secret.clone().map(|secret| (account, secret))))
    }

    /// The record of a certificate, if this authority issued exactly these octets.
    fn own_certificate(
        &self,
        certificate: &[u8],
        facts: &Facts,
    ) -> Result<Option<CertificateRecord>> {
        let Some(serial) = Serial::from_integer(&facts.serial) else { return Ok(None) };
        let Some(ca) = self.ca_of(&facts.issuer, &serial)? else { return Ok(None) };
        let record = self.store().certificate(&ca, &serial)?;
        Ok(record.filter(|record| record.certificate == certificate))
    }
}

/// The error text for a wrong secret, an unknown reference and a locked one.
const WRONG_SECRET: &str = "unknown reference or wrong secret";
