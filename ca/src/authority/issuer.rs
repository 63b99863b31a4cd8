//! One CA of the instance, with its key, its serial numbers, and those who sign answers for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::delegate::{Delegate, Responding};
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

/// How many serial numbers are reserved at once, so that issuing waits for one commit and not for two.
const SERIAL_BLOCK: usize = 128;

/// With so many left, the next ones are being reserved, so that issuing mostly waits for none.
const FEW_SERIALS: usize = 96;

/// What anybody may know of a CA.
#[derive(Debug, Clone)]
pub struct CaInfo {
    /// Its name.
    pub name: Label,
    /// Whether it signs only other CAs.
    pub is_root: bool,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Its subject.
    pub subject: Name,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Whether its key is here.
    pub can_sign: bool,
}

/// A CRL in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentCrl {
    /// What is recorded of it.
    pub record: CrlRecord,
    /// The CRL, DER.
    pub der: Bytes,
}

/// Serial numbers that are recorded, and the next ones, which are being recorded.
#[derive(Default)]
struct Serials {
    ready: Vec<Serial>,
    coming: Option<Recording<Vec<Serial>>>,
}

/// One CA.
pub struct Ca {
    info: CaInfo,
    facts: Facts,
    succeeds: Option<Succession>,
    /// Whether the CA before goes on issuing.
    waits: AtomicBool,
    /// The certificate of this CA and those above it.
    chain: Vec<Vec<u8>>,
    /// The same, as verifiers go through it.
    handed_out: HandedOut,
    key: Option<FileKey>,
    pub(super) protection: Option<Delegate>,
    serials: Mutex<Serials>,
    /// How many editions of CRLs were begun.
    pub(super) editions: AtomicU64,
    /// Held while an edition is signed: which one was finished last.
    pub(super) publishing: Mutex<u64>,
    /// The CRLs in force, as far as somebody asked for them.
    pub(super) crls: Mutex<BTreeMap<CrlScope, Arc<CurrentCrl>>>,
    pub(super) responder: Mutex<Responding>,
    pub(super) key_generator: Mutex<Responding>,
}

impl Member for Ca {
    fn name(&self) -> &Label {
        &self.info.name
    }

    fn predecessor(&self) -> Option<&Label> {
        self.succeeds.as_ref().map(|succession| &succession.predecessor)
    }

    /// Another than the record says once it took over.
    fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }
}

impl Ca {
    /// Opens a CA's key. A root's key stays closed until its CRL is due.
    pub fn open(ground: &Foundation, record: CaRecord) -> Result<Self> {
        let facts = Facts::of(&record.certificate)?;
        let can_sign = ground.keys.contains(record.name.as_str());
        let key = match record.is_root {
            true => None,
            false => Some(ground.keys.load(record.name.as_str(), &ground.passphrase)?),
        };
        if key.as_ref().is_some_and(|key| *key.public() != facts.key) {
            return Err(Error::unavailable(format!(
                "the key `{}` does not belong to the certificate of the CA `{}`; restore the right one",
                ground.keys.path(record.name.as_str()).display(),
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

    pub const fn info(&self) -> &CaInfo {
        &self.info
    }

    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The CA whose key this one's follows.
    pub const fn succeeds(&self) -> Option<&Succession> {
        self.succeeds.as_ref()
    }

    /// It issues from now on.
    pub(super) fn take_over(&self) {
        self.waits.store(false, Ordering::Relaxed);
    }

    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The path that is handed out with what it issues.
    pub const fn handed_out(&self) -> &HandedOut {
        &self.handed_out
    }

    pub fn key(&self) -> Result<&FileKey> {
        self.key.as_ref().ok_or_else(|| {
            Error::unavailable(format!("the key of the CA `{}` is not open", self.info.name))
        })
    }

    pub fn protection(&self) -> Result<&Delegate> {
        self.protection.as_ref().ok_or_else(|| {
            Error::unavailable(format!("the CA `{}` signs no protocol answers", self.info.name))
        })
    }

    /// A serial number that was recorded before. This waits for the disk when none is left.
    pub fn next_serial(&self, ground: &Foundation) -> Result<Serial> {
        let mut serials = self.serials.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = self.prepare_serials(&mut serials, ground);
        if serials.ready.is_empty() {
            failed?;
            serials.ready = match serials.coming.take().map(Recording::wait) {
                Some(Ok(fresh)) => fresh,
                // They may have been refused a while ago, and for a reason that is gone.
                _ => self.begin_serials(ground)?.wait()?,
            };
        }
        serials.ready.pop().ok_or_else(|| Error::internal("no serial number was reserved"))
    }

    /// As [`Self::next_serial`], without waiting for anything; `None` if that is not possible at the moment.
    pub fn try_serial(&self, ground: &Foundation) -> Option<Serial> {
        let mut serials = self.serials.try_lock().ok()?;
        // Whoever waits for the next one learns why there is none.
        let _ = self.prepare_serials(&mut serials, ground);
        serials.ready.pop()
    }

    /// Has the next serial numbers recorded when few are left, and takes over those that are.
    fn prepare_serials(&self, serials: &mut Serials, ground: &Foundation) -> Result<()> {
        if let Some(settled) = serials.coming.take_if(|coming| coming.is_settled())
            && let Ok(fresh) = settled.wait()
        {
            serials.ready.extend(fresh);
        }
        if serials.ready.len() <= FEW_SERIALS && serials.coming.is_none() {
            serials.coming = Some(self.begin_serials(ground)?);
        }
        Ok(())
    }

    fn begin_serials(&self, ground: &Foundation) -> Result<Recording<Vec<Serial>>> {
        let fresh: Vec<Serial> = (0..SERIAL_BLOCK)
            .map(|_| Serial::random(ground.entropy.as_ref()))
            .collect::<Result<_>>()?;
        let receipt = ground.store.begin_reserve(ground.clock.now(), &self.info.name, &fresh)?;
        Ok(Recording::new(fresh, receipt))
    }
}
