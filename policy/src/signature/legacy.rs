//! Verifies RSA and DSA signatures with MD5 and SHA-1 (RFC 2792 §4), as the reference implementation makes them, for old credentials.
//! New ones are never made. All inputs are public, so that the computations need not take constant time.

use der::asn1::UintRef;
use der::{Decode, Sequence};
use num_bigint::BigUint;

use crate::key::{DsaDer, DsaKey, RsaDer, RsaKey};

/// The signed content: octets that name the hash algorithm, followed by the hash.
pub(crate) struct Digest<'d> {
    /// The DER octets that may stand directly before the hash; one of them must.
    pub prefixes: &'d [&'d [u8]],
    /// The hash.
    pub hash: Vec<u8>,
}

/// The shortest modulus that is accepted, in bits.
const MIN_BITS: usize = 1024;

/// Whether an RSA signature with PKCS #1 v1.5 (RFC 8017 §8.2.2) is valid. The expected block is built and compared, never parsed, so that
/// only the one right padding is accepted.
pub(crate) fn verify_rsa(key: &RsaKey, digest: &Digest<'_>, signature: &[u8]) -> bool {
    let Ok(RsaDer { modulus, exponent }) = RsaDer::from_der(key.der()) else { return false };
    let length = modulus.as_bytes().len();
    if key.bits() < MIN_BITS || signature.len() != length {
        return false;
    }
    let (modulus, signature) = (number(modulus), BigUint::from_bytes_be(signature));
    if signature >= modulus {
        return false;
    }
    let opened = signature.modpow(&number(exponent), &modulus).to_bytes_be();
    digest.prefixes.iter().any(|prefix| {
        let tail = [&[0], *prefix, &digest.hash].concat();
        // Block type 1, and at least eight octets of padding; the leading zero is not part of the number.
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

/// Whether a DSA signature is valid (FIPS 186-4 §4.7). If the hash is longer than q, its leftmost bits count.
pub(crate) fn verify_dsa(key: &DsaKey, hash: &[u8], signature: &[u8]) -> bool {
    let (Ok(DsaDer { y, p, q, g }), Ok(DsaSignature { r, s })) =
        (DsaDer::from_der(key.der()), DsaSignature::from_der(signature))
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
    // y must be in the subgroup of order q: otherwise a key such as y = 1 would verify anything.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::PublicKey;

    fn hex(text: &str) -> BigUint {
        BigUint::parse_bytes(text.as_bytes(), 16).unwrap()
    }

    /// Signs any block, for the tests of padding: a verifier that is lenient about padding accepts forged signatures with small
    /// exponents (Bleichenbacher 2006).
    #[test]
    fn only_the_one_right_block_verifies() {
        let mut lines = include_str!("../../tests/data/rsa1024.txt").lines().skip(1);
        let (modulus, private) = (hex(lines.next().unwrap()), hex(lines.next().unwrap()));
        let mut der = vec![0x30, 0x81, 0x89, 0x02, 0x81, 0x81, 0x00];
        der.extend(modulus.to_bytes_be());
        der.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
        let PublicKey::Rsa(key) = PublicKey::rsa(&der).unwrap() else { panic!("an RSA key") };
        let digest = Digest { prefixes: &[b"\x04\x14"], hash: vec![0xab; 20] };
        let verifies = |block: Vec<u8>| {
            assert_eq!(block.len(), 128);
            let signature = BigUint::from_bytes_be(&block).modpow(&private, &modulus).to_bytes_be();
            let signature = [vec![0; 128 - signature.len()], signature].concat();
            verify_rsa(&key, &digest, &signature)
        };
        let block = |kind: u8, pad: u8, count: usize, rest: &[&[u8]]| {
            let mut block = [vec![0, kind], vec![pad; count], vec![0], rest.concat()].concat();
            block.resize(128, 0x11);
            block
        };
        let hash: &[u8] = &[0xab; 20];
        assert!(verifies(block(1, 0xff, 103, &[b"\x04\x14", hash])));
        for (why, wrong) in [
            ("garbage behind the hash", block(1, 0xff, 8, &[b"\x04\x14", hash])),
            (
                "the hash at the end, garbage before it",
                block(1, 0xff, 50, &[&[0x22; 53], b"\x04\x14", hash]),
            ),
            ("block type 2", block(2, 0xff, 103, &[b"\x04\x14", hash])),
            ("padding of another octet", block(1, 0xfe, 103, &[b"\x04\x14", hash])),
            ("another prefix", block(1, 0xff, 103, &[b"\x04\x15", hash])),
            ("no prefix", block(1, 0xff, 105, &[hash])),
            ("another hash", block(1, 0xff, 103, &[b"\x04\x14", &[0xac; 20]])),
        ] {
            assert!(!verifies(wrong), "{why}");
        }
        assert!(!verify_rsa(&key, &digest, &[0; 128]) && !verify_rsa(&key, &digest, &[0xff; 128]));
        assert!(!verify_rsa(&key, &digest, &[]) && !verify_rsa(&key, &digest, &[1; 129]));
    }

    /// A DSA key whose y has order 1 would verify any signature.
    #[test]
    fn degenerate_dsa_is_refused() {
        let integer = |value: &BigUint| {
            let mut bytes = value.to_bytes_be();
            if bytes.first().is_some_and(|first| first & 0x80 != 0) {
                bytes.insert(0, 0);
            }
            let length = u8::try_from(bytes.len()).unwrap();
            let head = if length < 128 { vec![2, length] } else { vec![2, 0x81, length] };
            [head, bytes].concat()
        };
        let sequence = |content: Vec<u8>| {
            let length = u16::try_from(content.len()).unwrap().to_be_bytes();
            [vec![0x30, 0x82, length[0], length[1]], content].concat()
        };
        let case: serde_json::Value = serde_json::from_str(
            include_str!("../../tests/data/edge.jsonl")
                .lines()
                .find(|line| line.contains("\"id\": \"e99\""))
                .unwrap(),
        )
        .unwrap();
        let text = case["assertions"][1]["text"].as_str().unwrap();
        let real = data_encoding::HEXLOWER
            .decode(text.split("dsa-hex:").nth(1).unwrap().split('"').next().unwrap().as_bytes());
        let real = real.unwrap();
        let DsaDer { p, q, g, .. } = DsaDer::from_der(&real).unwrap();
        let [p, q, g] = [p, q, g].map(number);
        let one = BigUint::from(1_u8);
        let forged = [0x30, 6, 2, 1, 1, 2, 1, 1];
        for y in [one.clone(), &p - &one, p.clone()] {
            let der = sequence([integer(&y), integer(&p), integer(&q), integer(&g)].concat());
            let PublicKey::Dsa(key) = PublicKey::dsa(&der).unwrap() else { panic!("a DSA key") };
            assert!(!verify_dsa(&key, &[0; 20], &forged), "y = {y}");
        }
        // -1 has order 2: with s = 1/2, and so u2 = 2, it would verify r = 1.
        let half: BigUint = (&q + &one) >> 1;
        let content = [integer(&one), integer(&half)].concat();
        let forged_with_order_2 =
            [vec![0x30, u8::try_from(content.len()).unwrap()], content].concat();
        let der = sequence([integer(&(&p - &one)), integer(&p), integer(&q), integer(&g)].concat());
        let PublicKey::Dsa(key) = PublicKey::dsa(&der).unwrap() else { panic!("a DSA key") };
        assert!(!verify_dsa(&key, &[0; 20], &forged_with_order_2));
        let PublicKey::Dsa(key) = PublicKey::dsa(&real).unwrap() else { panic!("a DSA key") };
        for signature in [[0x30, 6, 2, 1, 0, 2, 1, 1], [0x30, 6, 2, 1, 1, 2, 1, 0], forged] {
            assert!(!verify_dsa(&key, &[0; 20], &signature));
        }
    }
}
