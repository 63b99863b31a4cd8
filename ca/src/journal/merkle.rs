//! The Merkle tree over the journal's entries: hashes, roots and proofs of RFC 9162 §2.1, with SHA-256.
//!
//! Only the right edge of the tree is held in memory. A proof consists of the roots over ranges of leaves, which
//! [`inclusion_ranges`] and [`consistency_ranges`] name; one pass over the leaves computes all of them.

use std::ops::Range;

use ring::digest;

use crate::error::{Error, Result};

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// The hash of a leaf: SHA-256 over 0x00 and the entry (RFC 9162 §2.1.1).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry])
}

/// The hash of a node: SHA-256 over 0x01 and its two children (RFC 9162 §2.1.1).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
}

/// The right edge of a tree. It suffices to add leaves and to compute the root, and has 32 octets for each bit set in
/// the tree's size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// The roots of the complete subtrees, largest first. INVARIANT: there are as many as `size` has bits set.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The edge with this [`Self::size`] and these [`Self::peaks`]; `None` if their numbers do not fit together.
    pub fn from_parts(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (usize::try_from(size.count_ones()) == Ok(peaks.len())).then_some(Self { size, peaks })
    }

    /// The number of leaves of the tree.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds a leaf on the right.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// The root of the tree. That of the empty tree is the hash of no octets (RFC 9162 §2.1.1).
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => sha256(&[]),
            Some(last) => peaks.fold(*last, |right, left| node_hash(left, &right)),
        }
    }
}

/// The ranges of leaves whose roots, in this order, prove that leaf `index` is in the tree of `size` leaves
/// (PATH of RFC 9162 §2.1.3.1).
///
/// # Errors
/// [`Error::Malformed`] when the tree has no such leaf.
pub fn inclusion_ranges(index: u64, size: u64) -> Result<Vec<Range<u64>>> {
    if index >= size {
        return Err(Error::malformed(format!(
            "expected the number of an entry below the tree size `{size}`, found `{index}`"
        )));
    }
    let (mut ranges, mut tree) = (Vec::new(), 0..size);
    while tree.end - tree.start > 1 {
        let middle = tree.start + split(tree.end - tree.start);
        if index < middle {
            ranges.push(middle..tree.end);
            tree.end = middle;
        } else {
            ranges.push(tree.start..middle);
            tree.start = middle;
        }
    }
    ranges.reverse();
    Ok(ranges)
}

/// The ranges of leaves whose roots, in this order, prove that the tree of `old` leaves is a prefix of the tree of
/// `new` leaves (PROOF of RFC 9162 §2.1.4.1).
///
/// # Errors
/// [`Error::Malformed`] unless 0 < `old` ≤ `new`.
pub fn consistency_ranges(old: u64, new: u64) -> Result<Vec<Range<u64>>> {
    if old == 0 || old > new {
        return Err(Error::malformed(format!(
            "expected an old tree size from 1 to the new one, `{new}`, found `{old}`"
        )));
    }
    let (mut ranges, mut tree, mut is_whole) = (Vec::new(), 0..new, true);
    while tree.end != old {
        let middle = tree.start + split(tree.end - tree.start);
        if old <= middle {
            ranges.push(middle..tree.end);
            tree.end = middle;
        } else {
            ranges.push(tree.start..middle);
            tree.start = middle;
            is_whole = false;
        }
    }
    if !is_whole {
        ranges.push(tree);
    }
    ranges.reverse();
    Ok(ranges)
}

/// Whether `proof` shows that `leaf` is leaf `index` of the tree of `size` leaves with this `root`
/// (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that the tree of `old` leaves with `old_root` is a prefix of the tree of `new` leaves with
/// `new_root` (RFC 9162 §2.1.4.2).
pub fn verify_consistency(
    old: u64,
    old_root: &Hash,
    new: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> bool {
    if old == 0 || old > new {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    let mut path = proof.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { path.next() };
    let Some(first) = first else { return false };
    let shift = (old - 1).trailing_ones();
    let (mut node, mut last) = ((old - 1) >> shift, (new - 1) >> shift);
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}

/// The largest power of two below `size`, which must be at least 2.
fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER_PERMISSIVE as HEX;

    /// The leaves and roots of Certificate Transparency's reference implementation (`merkle_tree_test.cc`).
    const LEAVES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    /// Leaf (from 0), tree size and audit path, of the same test.
    const PATHS: [(u64, u64, &[&str]); 4] = [
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            1,
            5,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];

    fn hash(hex: &str) -> Hash {
        HEX.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    fn reference_leaves() -> Vec<Hash> {
        LEAVES.iter().map(|l| leaf_hash(&HEX.decode(l.as_bytes()).unwrap())).collect()
    }

    /// MTH of RFC 9162 §2.1.1, word for word.
    fn mth(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(&[]),
            [one] => *one,
            _ => {
                let mut k = 1;
                while k * 2 < leaves.len() {
                    k *= 2;
                }
                node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
            }
        }
    }

    fn proof(leaves: &[Hash], ranges: &[Range<u64>]) -> Vec<Hash> {
        ranges.iter().map(|r| mth(&leaves[r.start as usize..r.end as usize])).collect()
    }

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let mut tree = Frontier::default();
        assert_eq!(
            tree.root(),
            hash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        );
        for (leaf, root) in reference_leaves().into_iter().zip(ROOTS) {
            tree.push(leaf);
            assert_eq!(tree.root(), hash(root));
        }
    }

    #[test]
    fn audit_paths_are_those_of_certificate_transparency() {
        let leaves = reference_leaves();
        for (index, size, path) in PATHS {
            let path: Vec<Hash> = path.iter().map(|h| hash(h)).collect();
            assert_eq!(proof(&leaves, &inclusion_ranges(index, size).unwrap()), path);
            assert!(verify_inclusion(
                &leaves[index as usize],
                index,
                size,
                &path,
                &hash(ROOTS[size as usize - 1])
            ));
        }
    }

    #[test]
    fn every_proof_up_to_64_leaves_agrees_with_the_definition() {
        let leaves: Vec<Hash> = (0u8..65).map(|n| leaf_hash(&[n])).collect();
        let mut tree = Frontier::default();
        for size in 1..=64u64 {
            tree.push(leaves[size as usize - 1]);
            let all = &leaves[..size as usize];
            let root = mth(all);
            assert_eq!(tree.root(), root);
            assert_eq!(Frontier::from_parts(size, tree.peaks().to_vec()).as_ref(), Some(&tree));
            for index in 0..size {
                let leaf = &leaves[index as usize];
                let path = proof(all, &inclusion_ranges(index, size).unwrap());
                assert!(verify_inclusion(leaf, index, size, &path, &root));
                assert!(!verify_inclusion(&leaves[64], index, size, &path, &root));
                assert!(!verify_inclusion(leaf, index + 1, size, &path, &root));
                assert!(!verify_inclusion(leaf, index, size, &path, &leaves[64]));
                let longer = [path.as_slice(), &[leaves[64]]].concat();
                assert!(!verify_inclusion(leaf, index, size, &longer, &root));
                if let Some((_, shorter)) = path.split_last() {
                    assert!(!verify_inclusion(leaf, index, size, shorter, &root));
                }
            }
            for old in 1..=size {
                let old_root = mth(&leaves[..old as usize]);
                let path = proof(all, &consistency_ranges(old, size).unwrap());
                assert!(verify_consistency(old, &old_root, size, &root, &path), "{old} {size}");
                assert!(!verify_consistency(old, &leaves[64], size, &root, &path));
                assert!(!verify_consistency(old, &old_root, size, &leaves[64], &path));
                let longer = [path.as_slice(), &[leaves[64]]].concat();
                assert!(!verify_consistency(old, &old_root, size, &root, &longer));
                if let Some((_, shorter)) = path.split_last() {
                    assert!(!verify_consistency(old, &old_root, size, &root, shorter));
                }
            }
        }
    }

    #[test]
    fn refuses_proofs_of_what_is_not_there() {
        assert!(inclusion_ranges(5, 5).is_err());
        assert!(consistency_ranges(0, 5).is_err());
        assert!(consistency_ranges(6, 5).is_err());
        assert_eq!(Frontier::from_parts(3, vec![[0; 32]]), None);
    }
}
