//! One CA of the instance, with its key, its serial numbers, and its delegates.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;

use super::delegate::{Appointment, Delegate, ScepAppointments};
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::founding::Foundation;
use crate::key::FileKey;
use crate::name::Name;
use crate::receipt::Recording;
use crate::record::line::Member;
use crate::record::{CaRecord, CrlRecord, CrlScope, Label, Serial, Succession};
use crate::signed::HandedOut;
use crate::x509::Facts;

/// The number of serial numbers that are reserved in one journal entry. With numbers in reserve, issuing a certificate waits for one
/// commit instead of two.
const SERIAL_BLOCK: usize = 128;

/// The number of remaining serial numbers at which the next ones are reserved in the background, so that issuing rarely
/// waits for them.
const FEW_SERIALS: usize = 96;

/// Public information about a CA.
#[derive(Debug, Clone)]
pub struct CaInfo {
    /// The CA's name.
    pub name: Label,
    /// Whether the CA is a root. A root certifies other CAs and its own OCSP delegate, and no peers.
    pub is_root: bool,
    /// The CA's certificate, DER.
    pub certificate: Vec<u8>,
    /// The CA's subject.
    pub subject: Name,
    /// The notAfter of the CA's certificate.
    pub not_after: Timestamp,
    /// Whether the file with the CA's private key was in this instance's key folder when the instance was opened.
    pub can_sign: bool,
}

/// The newest CRL of a CA and scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentCrl {
    /// The CRL's record.
    pub record: CrlRecord,
    /// The CRL, DER.
    pub der: Bytes,
}

/// The unused serial numbers whose entry is durable (`ready`), and the next ones, whose entry is being written (`coming`).
#[derive(Default)]
struct Serials {
    ready: Vec<Serial>,
    coming: Option<Recording<Vec<Serial>>>,
}

/// A CA of the running instance. An issuing CA has its private key open; a root's key is opened for each signature.
pub struct Ca {
    info: CaInfo,
    facts: Facts,
    succeeds: Option<Succession>,
    /// Whether the CA with the previous key continues to issue in this CA's place. It is cleared when an administrator
    /// activates this CA.
    waits: AtomicBool,
    /// Whether an administrator retired the CA.
    retired: AtomicBool,
    /// The CA's certificate and those above it, DER, root last.
    chain: Vec<Vec<u8>>,
    /// The path in `chain`, parsed for the checks before a signature.
    handed_out: HandedOut,
    key: Option<FileKey>,
    pub(super) protection: Option<Delegate>,
    serials: Mutex<Serials>,
    /// How many times the signing of this CA's CRLs (one edition: a CRL of each scope) has begun since the CA was opened, including
    /// attempts that failed.
    pub(super) editions: AtomicU64,
    /// Held while an edition is signed. It contains the value of `editions` after the last edition that succeeded had begun.
    pub(super) publishing: Mutex<u64>,
    /// The newest CRLs that [`Authority::crl`](crate::Authority::crl) has read from their files, cached.
    pub(super) crls: Mutex<BTreeMap<CrlScope, Arc<CurrentCrl>>>,
    pub(super) responder: RwLock<Appointment>,
    pub(super) key_generator: Mutex<Appointment>,
    pub(super) scep: Mutex<ScepAppointments>,
    pub(super) est_server: Mutex<Appointment>,
    pub(super) admin_server: Mutex<Appointment>,
}

impl Member for Ca {
    fn name(&self) -> &Label {
        &self.info.name
    }

    fn predecessor(&self) -> Option<&Label> {
        self.succeeds.as_ref().map(|succession| &succession.predecessor)
    }

    /// Whether the CA with the previous key still issues. Unlike the record from the start of the program, this is false as soon as the
    /// CA was activated.
    fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }
}

impl Ca {
    /// Opens a CA and its key. A root's key stays closed until it is needed. It is [`Error::Unavailable`] if the key belongs to another
    /// certificate.
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
            retired: AtomicBool::new(false),
            succeeds: record.succeeds,
            chain,
            handed_out,
            key,
            protection: None,
            serials: Mutex::default(),
            editions: AtomicU64::new(0),
            publishing: Mutex::default(),
            crls: Mutex::default(),
            responder: RwLock::default(),
            key_generator: Mutex::default(),
            scep: Mutex::default(),
            est_server: Mutex::default(),
            admin_server: Mutex::default(),
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

    /// The CA with the previous key, and the links to it; `None` if this is the CA's first key.
    pub const fn succeeds(&self) -> Option<&Succession> {
        self.succeeds.as_ref()
    }

    /// Makes the CA issue in the place of the CA with the previous key.
    pub(super) fn take_over(&self) {
        self.waits.store(false, Ordering::Relaxed);
    }

    /// Makes the CA issue no more, or issue again.
    pub(super) fn set_retired(&self, retired: bool) {
        self.retired.store(retired, Ordering::Relaxed);
    }

    /// Whether an administrator retired the CA.
    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// Refuses a CA that was retired.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NotAuthorized`].
    pub fn require_active(&self) -> Result<()> {
        match self.is_retired() {
            false => Ok(()),
            true => Err(Error::denied(
                Denial::NotAuthorized,
                format!(
                    "the CA `{}` is retired and issues no more; an administrator can give the account another CA",
                    self.info.name
                ),
            )),
        }
    }

    /// The CA's certificate and those above it, DER, root last.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The CA's certificate and those above it, which peers get with their certificates, parsed for the checks before a signature.
    pub const fn handed_out(&self) -> &HandedOut {
        &self.handed_out
    }

    /// The CA's private key; [`Error::Unavailable`] if it is not open, as for a root.
    pub fn key(&self) -> Result<&FileKey> {
        self.key.as_ref().ok_or_else(|| {
            Error::unavailable(format!("the key of the CA `{}` is not open", self.info.name))
        })
    }

    /// The delegate that signs CMP responses; [`Error::Unavailable`] if the CA has none.
    pub fn protection(&self) -> Result<&Delegate> {
        self.protection.as_ref().ok_or_else(|| {
            Error::unavailable(format!("the CA `{}` signs no protocol answers", self.info.name))
        })
    }

    /// The delegate that signs OCSP responses, if it is open, valid at `now` and not to be renewed. It never blocks: it is `None` while
    /// another thread appoints a delegate.
    pub(super) fn ready_responder(&self, now: Timestamp) -> Option<Arc<Delegate>> {
        let state = self.responder.try_read().ok()?;
        let current = state.current.as_ref()?;
        (current.is_valid(now) && !current.is_due(&self.facts, now)).then(|| Arc::clone(current))
    }

    /// Takes a serial number whose entry is durable, for one certificate. It blocks on the disk if none is in reserve.
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

    /// Like [`Self::next_serial`], but never blocks; `None` if none is in reserve, or another thread is taking one.
    pub fn try_serial(&self, foundation: &Foundation) -> Option<Serial> {
        let mut serials = self.serials.try_lock().ok()?;
        // An error is not lost: a later `next_serial` meets it again and returns it.
        let _ = self.prepare_serials(&mut serials, foundation);
        serials.ready.pop()
    }

    /// Makes serial numbers ready whose entry became durable, and begins to reserve the next ones when at most [`FEW_SERIALS`] are ready.
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

    /// Draws [`SERIAL_BLOCK`] random serial numbers and begins to write their entry.
    fn begin_serials(&self, foundation: &Foundation) -> Result<Recording<Vec<Serial>>> {
        let fresh: Vec<Serial> = (0..SERIAL_BLOCK)
            .map(|_| Serial::random(foundation.entropy.as_ref()))
            .collect::<Result<_>>()?;
        let receipt =
            foundation.store.begin_reserve(foundation.clock.now(), &self.info.name, &fresh)?;
        Ok(Recording::new(fresh, receipt))
    }
}
