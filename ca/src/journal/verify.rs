//! Verification of a whole journal: reads every entry and reports what is wrong. It needs neither the index nor a
//! running service.

use std::collections::HashMap;
use std::path::Path;

use super::damage::{Damage, DamageKind};
use super::entry::{Entry, Recorded};
use super::file::{
    FILE_HEADER, HeadsRead, JournalFile, JournalPaths, Step, frame_length, read_heads,
};
use super::head::{Head, HeadVerifier};
use super::merkle::{Frontier, Hash, leaf_hash};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{CrlScope, Issued, Label, Serial};

/// The most findings that a report lists; more are only counted.
const MAX_FINDINGS: usize = 1000;

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The instance's identifier.
    pub instance: [u8; 16],
    /// The number of entries that could be decoded.
    pub entries: u64,
    /// The offset of the end of the last entry whose checksum is right, in octets.
    pub bytes: u64,
    /// The number of entries of issued certificates.
    pub certificates: u64,
    /// When the last of these entries was recorded; `None` if there is none.
    pub last: Option<Timestamp>,
    /// The root of the Merkle tree over all entries. It means nothing if an entry is damaged.
    pub root: Hash,
    /// The number of tree heads that were compared with the journal.
    pub heads: u64,
    /// The damage, at most 1000 findings: first that of the tree heads' file and signatures, then that of the journal
    /// in its order.
    pub findings: Vec<Damage>,
    /// The number of findings, listed or not.
    pub found: u64,
    /// Facts beside the damage that an operator should know, such as what could not be checked and why.
    pub notes: Vec<String>,
}

impl Report {
    /// Whether nothing was found.
    pub const fn is_good(&self) -> bool {
        self.found == 0
    }

    pub(crate) fn add(&mut self, damage: Damage) {
        self.found = self.found.saturating_add(1);
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(damage);
        }
    }
}

/// The settings of a verification.
#[derive(Clone, Copy, Default)]
pub struct Verification<'a> {
    /// The verifier of the tree heads' signatures. Without a verifier they are not checked.
    pub verifier: Option<&'a HeadVerifier<'a>>,
    /// A tree head that an auditor kept outside the data folder.
    pub known_head: Option<&'a Head>,
    /// Whether a running service may be writing. An incomplete end is then not a finding.
    pub is_live: bool,
}

/// Verifies the journal of a data folder: frames, checksums, sequence numbers and times; the Merkle tree against every
/// tree head; that each issued serial was reserved before and issued once; that the CRL numbers of each CA rise. Takes
/// some 50 octets of memory for each serial.
///
/// `progress` is called now and then with the octets read so far and those in all.
///
/// # Errors
/// [`crate::Error::Unavailable`] when a file cannot be read, [`crate::Error::Internal`] when the header of the journal
/// is damaged. Damaged entries are not an error; they are in the report.
pub fn verify(
    data: &Path,
    how: Verification<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report> {
    let paths = JournalPaths::new(data);
    // 1. Read the heads before the entries: a running service adds both, and never a head before its entries. In the
    //    other order a new head would look as if entries were missing.
    let HeadsRead { mut heads, whole } = read_heads(&paths.heads)?;
    let heads_length = std::fs::metadata(&paths.heads).map_or(0, |meta| meta.len());
    heads.extend(how.known_head.cloned());
    heads.sort_by_key(|head| head.size);
    let journal = JournalFile::open(&paths.journal)?;
    let mut audit = Audit::new(journal.instance, how.is_live);
    if heads_length > whole && !how.is_live {
        audit.add(DamageKind::Heads, whole, "the tree heads cannot be read from this offset on");
    }
    // 2. Verify the signatures of the heads.
    audit.check_signatures(&heads, how.verifier);
    // 3. Read the entries, and compare the tree with each head when it has the head's size.
    audit.read(&journal, &heads, progress)?;
    Ok(audit.report)
}

struct Audit {
    report: Report,
    is_live: bool,
    tree: Frontier,
    /// Whether an entry is missing from the tree, so that its roots mean nothing any more.
    is_broken: bool,
    /// One more than the largest sequence number seen.
    highest: u64,
    /// A small number for each CA, so that a serial's key takes less memory.
    cas: HashMap<Label, u16>,
    serials: HashMap<(u16, Serial), Use>,
    /// The cRLNumber of the last CRL of each CA and scope. CRLs of several scopes that were signed together have the same number.
    crls: HashMap<(Label, CrlScope), u64>,
    /// The offset of the current entry.
    offset: u64,
    /// The sequence number of the current entry.
    sequence: u64,
}

/// The use of a serial number in the journal so far.
#[derive(Clone, Copy)]
enum Use {
    Reserved,
    Issued,
}

impl Audit {
    fn new(instance: [u8; 16], is_live: bool) -> Self {
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
            is_live,
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

    fn add(&mut self, kind: DamageKind, offset: u64, detail: impl Into<String>) {
        let detail = detail.into();
        self.report.add(Damage { kind, sequence: self.sequence, offset, detail });
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
                self.add(
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
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<()> {
        let mut scanner = journal.scanner();
        let mut heads = heads.iter().peekable();
        loop {
            while let Some(head) = heads.next_if(|head| head.size <= self.tree.size()) {
                self.compare(head);
            }
            let damage = match scanner.step()? {
                Step::End => break,
                Step::Entry { offset, payload, envelope } => {
                    self.tree.push(leaf_hash(payload));
                    self.report.bytes = offset + frame_length(payload);
                    self.offset = offset;
                    self.sequence = envelope.sequence;
                    match envelope.open() {
                        Ok(recorded) => self.examine(recorded),
                        Err(error) => {
                            self.add(DamageKind::Unreadable, offset, error.to_string());
                        }
                    }
                    None
                }
                Step::Damaged(damage) => Some(damage),
            };
            if let Some(damage) = damage {
                self.damaged(damage);
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

    fn damaged(&mut self, damage: Damage) {
        match damage.kind {
            DamageKind::TruncatedTail if self.is_live => {
                self.report.notes.push("the last group of entries was being written".into());
            }
            // The expected entry came before, out of order, and was reported then.
            DamageKind::Missing if damage.sequence < self.highest => {}
            DamageKind::TruncatedTail => self.report.add(damage),
            _ => {
                self.is_broken = true;
                self.report.add(damage);
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
            self.add(
                DamageKind::Shortened,
                self.report.bytes,
                format!(
                    "{at} has seen `{}` entries, the journal has `{}`",
                    head.size,
                    self.tree.size()
                ),
            );
        } else if head.size == self.tree.size() && head.root != self.tree.root() {
            self.add(
                DamageKind::Altered,
                self.report.bytes,
                format!(
                    "the first `{}` entries are not those that {at} was signed over",
                    head.size
                ),
            );
        }
    }

    /// Checks a readable entry against those before it.
    fn examine(&mut self, recorded: Recorded) {
        let Recorded { sequence, at, entry } = recorded;
        self.report.entries += 1;
        let is_in_order = sequence >= self.highest;
        self.highest = self.highest.max(sequence + 1);
        let accepted = matches!(entry, Entry::ClockAccepted { .. });
        if let Some(last) = self.report.last.filter(|last| is_in_order && !accepted && *last > at) {
            self.add(
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
                    if self.serials.insert((ca, serial), Use::Reserved).is_some() {
                        let why = format!("serial `{serial}` was reserved before");
                        self.add(DamageKind::Serial, self.offset, why);
                    }
                }
            }
            Entry::Issued(Issued { ca, serial, .. }) => {
                self.report.certificates += 1;
                let ca = self.number_of(ca);
                let why = match self.serials.insert((ca, serial), Use::Issued) {
                    Some(Use::Reserved) => return,
                    Some(Use::Issued) => format!("serial `{serial}` was issued before"),
                    None => format!("serial `{serial}` was not reserved before"),
                };
                // Behind a damaged entry, the reservation may be what was damaged.
                if !self.is_broken {
                    self.add(DamageKind::Serial, self.offset, why);
                }
            }
            Entry::Crl(crl) => {
                let number = crl.number;
                let (ca, scope) = (crl.ca, crl.scope);
                let why = format!("CRL `{number}` ({scope}) of `{ca}` does not follow the last one");
                if self.crls.insert((ca, scope), number).is_some_and(|last| last >= number) {
                    self.add(DamageKind::CrlNumber, self.offset, why);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::samples::label;
    use crate::record::CrlRecord;

    #[test]
    fn crl_numbers_rise_for_each_ca_and_scope() {
        let mut audit = Audit::new([0; 16], false);
        let mut found = |ca: &str, scope, number| {
            let crl = CrlRecord {
                ca: label(ca),
                scope,
                number,
                this_update: Timestamp::default(),
                signed: Timestamp::default(),
                next_update: Timestamp::default(),
                entries: 0,
                tbs_sha256: [0; 32],
                is_base: false,
                reached: None,
                brought: None,
            };
            let before = audit.report.findings.len();
            let (sequence, at) = (audit.highest, Timestamp::default());
            audit.examine(Recorded { sequence, at, entry: Entry::Crl(crl) });
            audit.report.findings[before..].iter().map(|damage| damage.kind).collect::<Vec<_>>()
        };
        let (full, delta, part) = (CrlScope::Full, CrlScope::Delta, CrlScope::Partition(0));
        for (ca, scope, number) in [
            ("a", full, 5),
            ("a", delta, 5),
            ("a", part, 5),
            ("b", full, 1),
            ("a", full, 7),
            ("a", part, 7),
        ] {
            assert_eq!(found(ca, scope, number), [], "{ca} {scope} {number}");
        }
        for (ca, scope, number) in [("a", full, 7), ("a", part, 6), ("b", full, 1), ("a", delta, 4)]
        {
            assert_eq!(found(ca, scope, number), [DamageKind::CrlNumber], "{ca} {scope} {number}");
        }
    }
}
