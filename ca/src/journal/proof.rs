//! Proofs over the journal (RFC 9162 §2.1.3 and §2.1.4): that an entry is in it, and that the journal of one size
//! begins with the journal of a smaller size.

use std::ops::Range;
use std::path::Path;

use super::file::{JournalFile, JournalPaths, Step};
use super::merkle::{
    Frontier, Hash, consistency_ranges, inclusion_ranges, leaf_hash, verify_consistency,
    verify_inclusion,
};
use crate::error::{Error, Result};

/// The proof that an entry is in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The entry's sequence number, from 0.
    pub index: u64,
    /// The number of entries in the tree.
    pub size: u64,
    /// The hash of the entry's payload as a leaf.
    pub leaf: Hash,
    /// The audit path, from the leaf upwards.
    pub path: Vec<Hash>,
    /// The root to which the path leads. A tree head of this size must have the same root.
    pub root: Hash,
}

impl InclusionProof {
    /// Whether the path leads from the leaf to the root.
    pub fn is_valid(&self) -> bool {
        verify_inclusion(&self.leaf, self.index, self.size, &self.path, &self.root)
    }
}

/// The proof that the journal of the new size begins with the journal of the old size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The number of entries in the old tree.
    pub old: u64,
    /// The root of the old tree.
    pub old_root: Hash,
    /// The number of entries in the new tree.
    pub new: u64,
    /// The root of the new tree.
    pub new_root: Hash,
    /// The nodes that connect the two roots.
    pub path: Vec<Hash>,
}

impl ConsistencyProof {
    /// Whether the nodes connect the two roots.
    pub fn is_valid(&self) -> bool {
        verify_consistency(self.old, &self.old_root, self.new, &self.new_root, &self.path)
    }
}

/// Proves that entry `index` is among the first `size` entries of the journal in the data folder `data`. Reads these
/// entries once.
///
/// # Errors
/// [`Error::Malformed`] when there is no such entry, or `size` exceeds the journal; [`Error::Internal`] when the
/// journal is damaged; [`Error::Unavailable`] when it cannot be read.
pub fn inclusion_proof(data: &Path, index: u64, size: u64) -> Result<InclusionProof> {
    let mut ranges = inclusion_ranges(index, size)?;
    ranges.extend([index..index + 1, 0..size]);
    let mut path = roots(data, &ranges, size)?;
    match (path.pop(), path.pop()) {
        (Some(root), Some(leaf)) => Ok(InclusionProof { index, size, leaf, path, root }),
        _ => Err(Error::internal("a proof lacks its root")),
    }
}

/// Proves that the first `old` entries of the journal in the data folder `data` are a prefix of the first `new`. Reads
/// these entries once.
///
/// # Errors
/// [`Error::Malformed`] unless 0 < `old` ≤ `new` ≤ the number of the journal's entries; [`Error::Internal`] when the
/// journal is damaged; [`Error::Unavailable`] when it cannot be read.
pub fn consistency_proof(data: &Path, old: u64, new: u64) -> Result<ConsistencyProof> {
    let mut ranges = consistency_ranges(old, new)?;
    ranges.extend([0..old, 0..new]);
    let mut path = roots(data, &ranges, new)?;
    match (path.pop(), path.pop()) {
        (Some(new_root), Some(old_root)) => {
            Ok(ConsistencyProof { old, old_root, new, new_root, path })
        }
        _ => Err(Error::internal("a proof lacks its root")),
    }
}

/// The roots over ranges of leaves, in the order of the ranges, which must end at `size` or before.
fn roots(data: &Path, ranges: &[Range<u64>], size: u64) -> Result<Vec<Hash>> {
    let journal = JournalFile::open(&JournalPaths::new(data).journal)?;
    let mut trees = vec![Frontier::default(); ranges.len()];
    let mut scanner = journal.scanner();
    while scanner.sequence() < size {
        let sequence = scanner.sequence();
        match scanner.step()? {
            Step::Entry { payload, .. } => {
                let leaf = leaf_hash(payload);
                for (tree, range) in trees.iter_mut().zip(ranges) {
                    if range.contains(&sequence) {
                        tree.push(leaf);
                    }
                }
            }
            Step::Damaged(damage) => return Err(damage.into()),
            Step::End => {
                return Err(Error::malformed(format!(
                    "expected a tree size up to `{sequence}`, the entries of the journal, found `{size}`"
                )));
            }
        }
    }
    Ok(trees.iter().map(Frontier::root).collect())
}
