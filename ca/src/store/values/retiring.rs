//! Certificates that are to be revoked some time after their replacement. Numbers have their most significant octet first.
//!
//! ```text
//! retiring    = (after:8 due:8 not_after:8 length:1 serial length:1 CA)*     due: `ordered`, or zeros while it is not confirmed
//! replacement = length:1 serial CA                                           the certificate that it replaces
//! ```
//!
//! `after` is in milliseconds, `not_after` is that of the replaced certificate.

use std::time::Duration;

use super::read::{damaged, label};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{CertificateId, Label, Serial};
use crate::store::numbers::{from_ordered, ordered};

/// The most replacements of one certificate that count. The first ones do.
pub const MAX_REPLACEMENTS: usize = 8;

/// A certificate that replaced another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The certificate.
    pub id: CertificateId,
    /// How long after it is good the replaced certificate is to be revoked.
    pub after: Duration,
    /// When the replaced certificate is to be revoked; `None` while this one is not confirmed.
    pub due: Option<Timestamp>,
    /// The end of the validity of the replaced certificate.
    pub not_after: Timestamp,
}

/// Writes the replacements of a certificate.
pub fn encode(all: &[Replacement]) -> Vec<u8> {
    let mut octets = Vec::new();
    for Replacement { id, after, due, not_after } in all {
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        octets.extend_from_slice(&after.to_be_bytes());
        octets.extend_from_slice(&due.map_or([0; 8], ordered));
        octets.extend_from_slice(&ordered(*not_after));
        put_serial(&mut octets, &id.serial);
        // A name has at most 64 octets.
        octets.push(id.ca.as_str().len() as u8);
        octets.extend_from_slice(id.ca.as_str().as_bytes());
    }
    octets
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// [`crate::Error::Internal`] when the value is damaged.
pub fn decode(mut octets: &[u8]) -> Result<Vec<Replacement>> {
    let mut all = Vec::new();
    while !octets.is_empty() {
        let (after, rest) = octets.split_first_chunk().ok_or_else(damaged)?;
        let (due, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
        let (not_after, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
        let (serial, rest) = take_serial(rest)?;
        let (length, rest) = rest.split_first().ok_or_else(damaged)?;
        let (ca, rest) = rest.split_at_checked(usize::from(*length)).ok_or_else(damaged)?;
        all.push(Replacement {
            id: CertificateId { ca: label(ca)?, serial },
            after: Duration::from_millis(u64::from_be_bytes(*after)),
            due: Some(*due).filter(|due| *due != [0; 8]).map(from_ordered),
            not_after: from_ordered(*not_after),
        });
        octets = rest;
    }
    Ok(all)
}

/// Writes the certificate that a replacement replaces.
pub fn encode_replaced(ca: &Label, serial: &Serial) -> Vec<u8> {
    let mut octets = Vec::new();
    put_serial(&mut octets, serial);
    octets.extend_from_slice(ca.as_str().as_bytes());
    octets
}

/// Reads what [`encode_replaced`] wrote.
///
/// # Errors
/// [`crate::Error::Internal`] when the value is damaged.
pub fn decode_replaced(octets: &[u8]) -> Result<CertificateId> {
    let (serial, ca) = take_serial(octets)?;
    Ok(CertificateId { ca: label(ca)?, serial })
}

/// Appends a serial number: 16 octets, or 20 if the CA that gave it was taken over.
fn put_serial(octets: &mut Vec<u8>, serial: &Serial) {
    octets.push(serial.octets().len() as u8);
    octets.extend_from_slice(serial.octets());
}

/// Reads what [`put_serial`] appended, and returns what is behind it.
fn take_serial(octets: &[u8]) -> Result<(Serial, &[u8])> {
    let (length, rest) = octets.split_first().ok_or_else(damaged)?;
    let (serial, rest) = rest.split_at_checked(usize::from(*length)).ok_or_else(damaged)?;
    Ok((Serial::from_octets(serial).ok_or_else(damaged)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_come_back_as_they_were() {
        let replacement = |number: u8, due| Replacement {
            id: CertificateId {
                ca: "issuing".parse().unwrap(),
                serial: Serial::new([number; 16]).unwrap(),
            },
            after: Duration::from_secs(60),
            due,
            not_after: Timestamp::from_millis(-7),
        };
        let all = [replacement(1, None), replacement(2, Some(Timestamp::from_millis(9)))];
        let octets = encode(&all);
        assert_eq!(decode(&octets).unwrap(), all);
        assert!(decode(&octets[..octets.len() - 1]).is_err());
        let [one, _] = all.map(|it| it.id);
        let long = CertificateId { serial: Serial::from_octets(&[1; 20]).unwrap(), ..one.clone() };
        for id in [one, long] {
            assert_eq!(decode_replaced(&encode_replaced(&id.ca, &id.serial)).unwrap(), id);
        }
    }
}
