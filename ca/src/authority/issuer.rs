//! One CA of the instance, with its key, its serial numbers, and its delegates.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::delegate::{Appointment, Delegate};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::founding::Foundation;
use crate::key::FileKey;
use crate::name::Name;
use crate::receipt::Recording;
use crate::record::line::Member;
use crate::record::{CaRecord, CrlRecord, CrlScope, Label, Serial, Succession};
use crate::signed::HandedOut;
use crate::x509::Facts;

/// How many serial numbers are reserved in one entry. With numbers in reserve, issuing waits for one commit instead of
/// two.
const SERIAL_BLOCK: usize = 128;

/// The number of remaining serial numbers at which the next ones are reserved in the background, so that issuing rarely
/// waits for them.
const FEW_SERIALS: usize = 96;

/// Public information about a CA.
#[derive(Debug, Clone)]
pub struct CaInfo {
    /// The CA's name.
    pub name: Label,
    /// Whether the CA is a root, which signs only other CAs.
    pub is_root: bool,
    /// The CA's certificate, DER.
    pub certificate: Vec<u8>,
    /// The CA's subject.
    pub subject: Name,
    /// The end of the CA's validity.
    pub not_after: Timestamp,
    /// Whether the CA's private key is here.
    pub can_sign: bool,
}

/// A CRL in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentCrl {
    /// The CRL's record.
    pub record: CrlRecord,
    /// The CRL, DER.
    pub der: Bytes,
}

/// The reserved serial numbers, and the next ones, whose entry is being written.
#[derive(Default)]
struct Serials {
    ready: Vec<Serial>,
    coming: Option<Recording<Vec<Serial>>>,
}

/// A CA that is open.
pub struct Ca {
    info: CaInfo,
    facts: Facts,
    succeeds: Option<Succession>,
    /// Whether the predecessor continues to issue. It is cleared when an administrator activates this CA.
    waits: AtomicBool,
    /// The CA's certificate and those above it, DER, root last.
    chain: Vec<Vec<u8>>,
    /// The same path, parsed for the checks before a signature.
    handed_out: HandedOut,
    key: Option<FileKey>,
    pub(super) protection: Option<Delegate>,
    serials: Mutex<Serials>,
    /// How many times the signing of this CA's CRLs (one edition: a CRL of each scope) has begun since the CA was opened, including attempts
    /// that failed.
    pub(super) editions: AtomicU64,
    /// Held while an edition is signed. The number is that of the last finished edition.
    pub(super) publishing: Mutex<u64>,
    /// The CRLs in force that were asked for, cached.
    pub(super) crls: Mutex<BTreeMap<CrlScope, Arc<CurrentCrl>>>,
    pub(super) responder: Mutex<Appointment>,
    pub(super) key_generator: Mutex<Appointment>,
}

impl Member for Ca {
    fn name(&self) -> &Label {
        &self.info.name
    }

    fn predecessor(&self) -> Option<&Label> {
        self.succeeds.as_ref().map(|succession| &succession.predecessor)
    }

    /// Unlike the record, false once this CA took over.
    fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }
}

impl Ca {
    /// Opens a CA and its key. A root's key stays closed until it is needed.
    pub fn open(foundation: &Foundation, record: CaRecord) -> Result<Self> {
        let facts = Facts::of(&record.certificate)?;
        let can_sign = foundation.keys.contains(record.name.as_str());
        let key = match record.is_root {
            true => None,
            false => Some(foundation.keys.load(record.name.as_str(), &foundation.passphrase)?),
        };
        if key.as_ref().is_some_and(|key| *key.public() != facts.key) {
            return Err(Error::unavailable(format!(
                "the key `{}` does not belong to the certificate of the CA `{}`; restore the right one",
                foundation.keys.path(record.name.as_str()).display(),
                record.name
            )));
        }
        let info = CaInfo {
            name: record.name,
            is_root: record.is_root,
            certificate: record.certificate.clone(),
            subject: facts.subject.clone(),
            not_after: facts.not_after,
            can_sign,
        };
        let mut chain = vec![record.certificate];
        chain.extend(record.chain);
        let handed_out = HandedOut::of(&chain)?;
        Ok(Self {
            info,
            facts,
            waits: AtomicBool::new(record.succeeds.as_ref().is_some_and(|of| of.waits)),
            succeeds: record.succeeds,
            chain,
            handed_out,
            key,
            protection: None,
            serials: Mutex::default(),
            editions: AtomicU64::new(0),
            publishing: Mutex::default(),
            crls: Mutex::default(),
            responder: Mutex::default(),
            key_generator: Mutex::default(),
        })
    }

    /// Public information about the CA.
    pub const fn info(&self) -> &CaInfo {
        &self.info
    }

    /// The fields of the CA's certificate.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The succession, if the CA's key follows another key.
    pub const fn succeeds(&self) -> Option<&Succession> {
        self.succeeds.as_ref()
    }

    /// Makes the CA issue in its predecessor's place.
    pub(super) fn take_over(&self) {
        self.waits.store(false, Ordering::Relaxed);
    }

    /// The CA's certificate and those above it, DER, root last.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The path that peers get with their certificates.
    pub const fn handed_out(&self) -> &HandedOut {
        &self.handed_out
    }

    /// The CA's private key, if it is open.
    pub fn key(&self) -> Result<&FileKey> {
        self.key.as_ref().ok_or_else(|| {
            Error::unavailable(format!("the key of the CA `{}` is not open", self.info.name))
        })
    }

    /// The delegate that signs protocol answers.
    pub fn protection(&self) -> Result<&Delegate> {
        self.protection.as_ref().ok_or_else(|| {
            Error::unavailable(format!("the CA `{}` signs no protocol answers", self.info.name))
        })
    }

    /// Takes a serial number that was recorded before. It blocks on the disk if none is in reserve.
    pub fn next_serial(&self, foundation: &Foundation) -> Result<Serial> {
        let mut serials = self.serials.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = self.prepare_serials(&mut serials, foundation);
        if serials.ready.is_empty() {
            failed?;
            serials.ready = match serials.coming.take().map(Recording::wait) {
                Some(Ok(fresh)) => fresh,
                // The pending entry may have been refused for a reason that has passed, so try once more.
                _ => self.begin_serials(foundation)?.wait()?,
            };
        }
        serials.ready.pop().ok_or_else(|| Error::internal("no serial number was reserved"))
    }

    /// Like [`Self::next_serial`], but never blocks; `None` if that is impossible at the moment.
    pub fn try_serial(&self, foundation: &Foundation) -> Option<Serial> {
        let mut serials = self.serials.try_lock().ok()?;
        // An error is not lost: a later `next_serial` meets it again and returns it.
        let _ = self.prepare_serials(&mut serials, foundation);
        serials.ready.pop()
    }

    /// Takes over serial numbers whose entry became durable, and begins to reserve the next ones when few are left.
    fn prepare_serials(&self, serials: &mut Serials, foundation: &Foundation) -> Result<()> {
        if let Some(settled) = serials.coming.take_if(|coming| coming.is_settled())
            && let Ok(fresh) = settled.wait()
        {
            serials.ready.extend(fresh);
        }
        if serials.ready.len() <= FEW_SERIALS && serials.coming.is_none() {
            serials.coming = Some(self.begin_serials(foundation)?);
        }
        Ok(())
    }

    /// Begins to reserve a block of new serial numbers.
    fn begin_serials(&self, foundation: &Foundation) -> Result<Recording<Vec<Serial>>> {
        let fresh: Vec<Serial> = (0..SERIAL_BLOCK)
            .map(|_| Serial::random(foundation.entropy.as_ref()))
            .collect::<Result<_>>()?;
        let receipt =
            foundation.store.begin_reserve(foundation.clock.now(), &self.info.name, &fresh)?;
        Ok(Recording::new(fresh, receipt))
    }
}
