//! RSA and DSA signatures with MD5 and SHA-1 (RFC 2792 §4), as the reference makes them: to read old credentials, never to
//! make new ones. Public data only, so that nothing here need hide what it computes.

use der::asn1::UintRef;
use der::{Decode, Sequence};
use num_bigint::BigUint;

use super::{DsaDer, DsaKey, RsaDer, RsaKey};

/// What is signed: the hash, behind the octets that say which.
pub(crate) struct Digest<'d> {
    /// DER in front of the hash; any of these.
    pub prefixes: &'d [&'d [u8]],
    /// The hash.
    pub hash: Vec<u8>,
}

/// The least modulus that is believed, in bits.
const MIN_BITS: usize = 1024;

/// PKCS #1 v1.5 (RFC 8017 §8.2.2): the padded block is made and compared, never parsed.
pub(crate) fn verify_rsa(key: &RsaKey, digest: &Digest<'_>, signature: &[u8]) -> bool {
    let Ok(RsaDer { modulus, exponent }) = RsaDer::from_der(&key.der) else { return false };
    let length = modulus.as_bytes().len();
    if key.bits < MIN_BITS || signature.len() != length {
        return false;
    }
    let (modulus, signature) = (number(modulus), BigUint::from_bytes_be(signature));
    if signature >= modulus {
        return false;
    }
    let opened = signature.modpow(&number(exponent), &modulus).to_bytes_be();
    digest.prefixes.iter().any(|prefix| {
        let tail = [&[0], *prefix, &digest.hash].concat();
        // Block type 1, and at least eight octets of padding; the leading zero is no part of a number.
        let Some(padding) = length.checked_sub(tail.len() + 2).filter(|padding| *padding >= 8)
        else {
            return false;
        };
        opened == [vec![1], vec![0xff; padding], tail].concat()
    })
}

#[derive(Sequence)]
struct DsaSignature<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// FIPS 186-4 §4.7, with the leftmost bits of the hash.
pub(crate) fn verify_dsa(key: &DsaKey, hash: &[u8], signature: &[u8]) -> bool {
    let (Ok(DsaDer { y, p, q, g }), Ok(DsaSignature { r, s })) =
        (DsaDer::from_der(&key.der), DsaSignature::from_der(signature))
    else {
        return false;
    };
    let [y, p, q, g, r, s] = [y, p, q, g, r, s].map(number);
    let zero = BigUint::ZERO;
    let one = BigUint::from(1_u8);
    let sane = p.bits() >= MIN_BITS as u64
        && q.bits() >= 160
        && q < p
        && one < g
        && g < p
        && one < y
        && y < p;
    // The subgroup: without it, a key such as y = 1 would verify anything.
    let subgroup = || g.modpow(&q, &p) == one && y.modpow(&q, &p) == one;
    if !sane || r == zero || r >= q || s == zero || s >= q || !subgroup() {
        return false;
    }
    let z = BigUint::from_bytes_be(hash);
    let excess = (hash.len() as u64 * 8).saturating_sub(q.bits());
    let z = z >> excess;
    let Some(w) = s.modinv(&q) else { return false };
    let (u1, u2) = (z * &w % &q, &r * &w % &q);
    g.modpow(&u1, &p) * y.modpow(&u2, &p) % &p % &q == r
}

fn number(of: UintRef<'_>) -> BigUint {
    BigUint::from_bytes_be(of.as_bytes())
}
