//! Reads a whole journal and says what is wrong with it, offline and without the index.

use std::collections::HashMap;
use std::path::Path;

use super::damage::{Damage, DamageKind};
use super::entry::{Entry, Recorded};
use super::head::{Head, HeadVerifier, read_heads};
use super::merkle::{Frontier, Hash, leaf_hash};
use super::file::{FILE_HEADER, FRAME_HEADER, JournalFile, JournalPaths, Scanner, Step};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Issued, Label, Serial};

/// The most findings that are listed; more are only counted.
const MAX_FINDINGS: usize = 1000;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The instance's identifier.
    pub instance: [u8; 16],
    /// Valid entries.
    pub entries: u64,
    /// Octets up to the end of the last valid entry.
    pub bytes: u64,
    /// Certificates issued.
    pub certificates: u64,
    /// When the last entry was recorded.
    pub last: Option<Timestamp>,
    /// The root of the Merkle tree over all entries. Without meaning if an entry is damaged.
    pub root: Hash,
    /// Tree heads that were compared with the journal.
    pub heads: u64,
    /// What is wrong, in the order of the journal; at most 1000.
    pub findings: Vec<Damage>,
    /// How many findings there are in all.
    pub found: u64,
    /// What could not be checked, and why.
    pub notes: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    pub const fn is_good(&self) -> bool {
        self.found == 0
    }

    pub(crate) fn find(&mut self, damage: Damage) {
        self.found = self.found.saturating_add(1);
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(damage);
        }
    }
}

/// How to verify.
#[derive(Clone, Copy, Default)]
pub struct Verification<'a> {
    /// Verifies the signatures of tree heads; without it they are not checked.
    pub verifier: Option<&'a HeadVerifier<'a>>,
    /// A tree head that was kept somewhere else.
    pub known_head: Option<&'a Head>,
    /// Whether a running service may be writing: then an incomplete end is no finding.
    pub is_live: bool,
}

/// Verifies the journal of a data folder: frames, checksums, sequence, times, the Merkle tree against every tree
/// head, that each issued serial was reserved before and issued once, and that CRL numbers rise. Takes some 50
/// octets of memory for each serial.
///
/// # Errors
/// [`crate::Error::Unavailable`] when a file cannot be read, [`crate::Error::Internal`] when the file's header is
/// damaged. What is wrong with entries is in the report.
pub fn verify(
    data: &Path,
    how: Verification<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report> {
    let paths = JournalPaths::new(data);
    // 1. The heads first: a running service may add entries meanwhile, but no head without its entries.
    let (mut heads, whole) = read_heads(&paths.heads)?;
    let heads_length = std::fs::metadata(&paths.heads).map_or(0, |meta| meta.len());
    heads.extend(how.known_head.cloned());
    heads.sort_by_key(|head| head.size);
    let journal = JournalFile::open(&paths.journal, false)?;
    let mut audit = Audit::new(journal.instance);
    if heads_length > whole && !how.is_live {
        audit.find(DamageKind::Heads, whole, "the tree heads cannot be read from this offset on");
    }
    // 2. Their signatures.
    audit.check_signatures(&heads, how.verifier);
    // 3. The entries, and the tree at each head.
    audit.read(&journal, &heads, how.is_live, progress)?;
    Ok(audit.report)
}

struct Audit {
    report: Report,
    tree: Frontier,
    /// An entry is missing from the tree: its roots mean nothing any more.
    is_broken: bool,
    /// One more than the largest sequence number seen.
    highest: u64,
    cas: HashMap<Label, u16>,
    /// Whether each reserved serial was issued.
    serials: HashMap<(u16, Serial), bool>,
    crls: HashMap<Label, u64>,
    /// Where the entry at hand stands.
    offset: u64,
    sequence: u64,
}

impl Audit {
    fn new(instance: [u8; 16]) -> Self {
        let report = Report {
            instance,
            entries: 0,
            bytes: FILE_HEADER as u64,
            certificates: 0,
            last: None,
            root: Frontier::default().root(),
            heads: 0,
            findings: Vec::new(),
            found: 0,
            notes: Vec::new(),
        };
        Self {
            report,
            tree: Frontier::default(),
            is_broken: false,
            highest: 0,
            cas: HashMap::new(),
            serials: HashMap::new(),
            crls: HashMap::new(),
            offset: 0,
            sequence: 0,
        }
    }

    fn find(&mut self, kind: DamageKind, offset: u64, detail: impl Into<String>) {
        let detail = detail.into();
        self.report.find(Damage { kind, sequence: self.sequence, offset, detail });
    }

    fn check_signatures(&mut self, heads: &[Head], verifier: Option<&HeadVerifier<'_>>) {
        let Some(verifier) = verifier else {
            if !heads.is_empty() {
                self.report.notes.push("the signatures of tree heads were not checked".into());
            }
            return;
        };
        for head in heads {
            if let Err(error) = head.verify(&self.report.instance, verifier) {
                self.sequence = head.size;
                self.find(
                    DamageKind::HeadSignature,
                    0,
                    format!("the tree head of {} over `{}` entries: {error}", head.at, head.size),
                );
            }
        }
    }

    fn read(
        &mut self,
        journal: &JournalFile,
        heads: &[Head],
        is_live: bool,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<()> {
        let mut scanner = Scanner::new(&journal.file, FILE_HEADER as u64, 0, journal.length);
        let mut heads = heads.iter().peekable();
        loop {
            while let Some(head) = heads.next_if(|head| head.size <= self.tree.size()) {
                self.compare(head);
            }
            let damage = match scanner.step()? {
                Step::End => break,
                Step::Entry { offset, payload, envelope } => {
                    self.tree.push(leaf_hash(payload));
                    self.report.bytes = offset + (FRAME_HEADER + payload.len()) as u64;
                    self.offset = offset;
                    self.sequence = envelope.sequence;
                    match envelope.open() {
                        Ok(recorded) => self.take(recorded),
                        Err(error) => {
                            self.find(DamageKind::Unreadable, offset, error.to_string());
                        }
                    }
                    None
                }
                Step::Damaged(damage) => Some(damage),
            };
            if let Some(damage) = damage {
                self.damaged(damage, is_live);
                if !scanner.resume() {
                    break;
                }
            }
            if self.report.entries.is_multiple_of(1024) {
                progress(scanner.offset(), journal.length);
            }
        }
        progress(journal.length, journal.length);
        self.sequence = self.report.entries;
        for head in heads {
            self.compare(head);
        }
        self.report.root = self.tree.root();
        Ok(())
    }

    fn damaged(&mut self, damage: Damage, is_live: bool) {
        match damage.kind {
            DamageKind::TruncatedTail if is_live => {
                self.report.notes.push("the last group of entries was being written".into());
            }
            // It was met before, out of its place, and that was reported.
            DamageKind::Missing if damage.sequence < self.highest => {}
            DamageKind::TruncatedTail => self.report.find(damage),
            _ => {
                self.is_broken = true;
                self.report.find(damage);
            }
        }
    }

    fn compare(&mut self, head: &Head) {
        if self.is_broken {
            return;
        }
        self.report.heads += 1;
        let at = format!("the tree head of {}", head.at);
        if head.size > self.tree.size() {
            self.find(
                DamageKind::Shortened,
                self.report.bytes,
                format!(
                    "{at} has seen `{}` entries, the journal has `{}`",
                    head.size,
                    self.tree.size()
                ),
            );
        } else if head.size == self.tree.size() && head.root != self.tree.root() {
            self.find(
                DamageKind::Altered,
                self.report.bytes,
                format!(
                    "the first `{}` entries are not those that {at} was signed over",
                    head.size
                ),
            );
        }
    }

    fn take(&mut self, recorded: Recorded) {
        let Recorded { sequence, at, entry } = recorded;
        self.report.entries += 1;
        let is_in_order = sequence >= self.highest;
        self.highest = self.highest.max(sequence + 1);
        let accepted = matches!(entry, Entry::ClockAccepted { .. });
        if let Some(last) = self.report.last.filter(|last| is_in_order && !accepted && *last > at) {
            self.find(
                DamageKind::TimeBackwards,
                self.offset,
                format!("it was recorded at {at}, the one before at {last}"),
            );
        }
        self.report.last = Some(at);
        match entry {
            Entry::Reserved { ca, serials } => {
                let ca = self.number_of(ca);
                for serial in serials {
                    if self.serials.insert((ca, serial), false).is_some() {
                        let why = format!("serial `{serial}` was reserved before");
                        self.find(DamageKind::Serial, self.offset, why);
                    }
                }
            }
            Entry::Issued(Issued { ca, serial, .. }) => {
                self.report.certificates += 1;
                let ca = self.number_of(ca);
                let why = match self.serials.insert((ca, serial), true) {
                    Some(false) => return,
                    Some(true) => format!("serial `{serial}` was issued before"),
                    None => format!("serial `{serial}` was not reserved before"),
                };
                // Behind a damaged entry the reservation may be what is lost.
                if !self.is_broken {
                    self.find(DamageKind::Serial, self.offset, why);
                }
            }
            Entry::Crl(crl) => {
                let number = crl.number;
                let why = format!("CRL `{number}` of `{}` does not follow the last one", crl.ca);
                if self.crls.insert(crl.ca, number).is_some_and(|last| last >= number) {
                    self.find(DamageKind::CrlNumber, self.offset, why);
                }
            }
            Entry::Restored(_) => self.report.notes.push(format!(
                "the journal was restored from a backup at {at}, with entry `{sequence}`: a tree head over more entries that was \
                 signed before is of the history that was lost"
            )),
            Entry::ClockAccepted { actor } => self.report.notes.push(format!(
                "`{actor}` accepted the clock at {at}, with entry `{sequence}`"
            )),
            _ => {}
        }
    }

    fn number_of(&mut self, ca: Label) -> u16 {
        let next = u16::try_from(self.cas.len()).unwrap_or(u16::MAX);
        *self.cas.entry(ca).or_insert(next)
    }
}
