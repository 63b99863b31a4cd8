//! Rules on the entries of a CRL while this program writes it: each entry is checked once, as octets, and no list of
//! entries is held.
//!
//! The rules accept only the forms that this program writes; everything else is a finding. `crl.rs` lints CRLs of any
//! origin.

use super::finding::{Finding, finding};
use super::rules;
use crate::clock::{BACKDATING, Timestamp};

/// The kind of a CRL (RFC 5280 §5): some entries may occur in one kind only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrlKind {
    /// A complete CRL, or a partition of one.
    Complete,
    /// A delta CRL.
    Delta,
}

/// Lints the entries of one CRL in the order in which they are written.
#[derive(Debug)]
pub struct EntryLint {
    /// The latest permitted revocationDate: the 14 ASCII digits of a GeneralizedTime as a number.
    signed: u128,
    kind: CrlKind,
    /// The previous serial number: what is above its low 128 bits, and these; 0 before the first entry.
    previous: (u128, u128),
}

impl EntryLint {
    /// Starts the lint of a CRL with this thisUpdate. Because it lies up to [`BACKDATING`] before the moment of signing, a revocationDate
    /// may be that much later.
    pub fn new(this_update: Timestamp, kind: CrlKind) -> Self {
        let mut digits = [b'9'; 14];
        if let Some(date) = this_update.plus(BACKDATING).date_time() {
            let text = format!(
                "{:04}{:02}{:02}{:02}{:02}{:02}",
                date.year(),
                u8::from(date.month()),
                date.day(),
                date.hour(),
                date.minute(),
                date.second()
            );
            if let Ok(read) = text.as_bytes().try_into() {
                digits = read;
            }
        }
        Self { signed: number(&digits), kind, previous: (0, 0) }
    }

    /// Checks one entry, DER. Serial numbers must ascend, which also excludes duplicates.
    ///
    /// # Errors
    /// The first rule that the entry breaks.
    pub fn check(&mut self, entry: &[u8]) -> Result<(), Finding> {
        let wrong = |why: &str| finding(&rules::CRL_ENTRY, why);
        let [0x30, length, content @ ..] = entry else { return Err(wrong("it is no SEQUENCE")) };
        if usize::from(*length) != content.len() || *length >= 0x80 {
            return Err(wrong("its length is wrong"));
        }
        let (serial, rest) = element(content, 0x02).ok_or_else(|| wrong("it has no serial"))?;
        self.check_serial(serial)?;
        let rest = self.check_time(rest)?;
        if rest.is_empty() {
            return Ok(());
        }
        match element(rest, 0x30) {
            Some((extensions, [])) if !extensions.is_empty() => self.check_extensions(extensions),
            _ => Err(wrong("its extensions cannot be read")),
        }
    }

    /// Checks that the serial number is positive, not too long, and larger than the previous one.
    fn check_serial(&mut self, serial: &[u8]) -> Result<(), Finding> {
        match serial {
            [] | [0] | [0x80..=0xff, ..] | [0, 0..0x80, ..] => {
                return Err(finding(&rules::SERIAL_POSITIVE, "it is not, or not DER"));
            }
            _ => {}
        }
        if serial.len() > 20 {
            return Err(finding(&rules::SERIAL_LENGTH, "it has more"));
        }
        let magnitude = serial.strip_prefix(&[0]).unwrap_or(serial);
        // Those of this program have at most 128 bits, and those of a CA that was taken over up to 159.
        let (above, low) = magnitude.split_at(magnitude.len().saturating_sub(16));
        let number = (number(above), number(low));
        if number <= self.previous {
            return Err(finding(&rules::CRL_TWICE, "the serial numbers do not ascend"));
        }
        self.previous = number;
        Ok(())
    }

    /// Checks the revocationDate. Returns the octets after it.
    fn check_time<'a>(&self, octets: &'a [u8]) -> Result<&'a [u8], Finding> {
        let wrong = || finding(&rules::CRL_ENTRY, "its time is not of RFC 5280 §5.1.2.4");
        let (at, rest) = match element(octets, 0x17) {
            Some((&[ref digits @ .., b'Z'], rest)) if digits.len() == 12 => {
                let century = if digits.first() < Some(&b'5') { *b"20" } else { *b"19" };
                let digits: [u8; 12] = digits.try_into().map_err(|_| wrong())?;
                if !digits.iter().all(u8::is_ascii_digit) {
                    return Err(wrong());
                }
                ((number(&century) << 96) | number(&digits), rest)
            }
            _ => {
                let (content, rest) = element(octets, 0x18).ok_or_else(wrong)?;
                let at = generalized(content).ok_or_else(wrong)?;
                if at < *b"20500000000000" {
                    return Err(wrong());
                }
                (number(&at), rest)
            }
        };
        if at > self.signed {
            return Err(finding(&rules::CRL_FUTURE, "it was later"));
        }
        Ok(rest)
    }

    /// Checks that there are only a reasonCode and an invalidityDate, each at most once and as this program encodes it.
    fn check_extensions(&self, mut rest: &[u8]) -> Result<(), Finding> {
        let (mut reason, mut invalidity) = (false, false);
        while !rest.is_empty() {
            let unknown = || finding(&rules::CRL_ENTRY, "it has an extension that is not known");
            let (extension, next) = element(rest, 0x30).ok_or_else(unknown)?;
            match extension {
                [6, 3, 0x55, 0x1d, 21, 4, 3, 0x0a, 1, code] if !reason => {
                    let allowed = matches!(code, 1..=6 | 9 | 10)
                        || (*code == 8 && self.kind == CrlKind::Delta);
                    if !allowed {
                        return Err(finding(&rules::CRL_REASON, format!("it is {code}")));
                    }
                    reason = true;
                }
                [6, 3, 0x55, 0x1d, 24, 4, 17, 0x18, 15, date @ ..] if !invalidity => {
                    generalized(date).ok_or_else(unknown)?;
                    invalidity = true;
                }
                _ => return Err(unknown()),
            }
            rest = next;
        }
        Ok(())
    }
}

/// The content of an element of fewer than 128 octets with this tag, and the octets after it.
fn element(octets: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [found, length @ 0..0x80, rest @ ..] = octets else { return None };
    (*found == tag).then(|| rest.split_at_checked(usize::from(*length)))?
}

/// The ASCII digits `YYYYMMDDhhmmss` of a GeneralizedTime in UTC without fractions of a second; `None` for any other content.
fn generalized(content: &[u8]) -> Option<[u8; 14]> {
    let digits: [u8; 14] = content.strip_suffix(b"Z")?.try_into().ok()?;
    digits.iter().all(u8::is_ascii_digit).then_some(digits)
}

/// Up to 16 octets as a number, most significant first. Octet strings of equal length compare as their numbers do.
fn number(octets: &[u8]) -> u128 {
    match octets.try_into() {
        Ok(all) => u128::from_be_bytes(all),
        Err(_) => octets.iter().fold(0, |number, octet| (number << 8) | u128::from(*octet)),
    }
}
