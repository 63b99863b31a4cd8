//! Writes certificate revocation lists (RFC 5280 §5) of any size: full ones, deltas and partitions.
//!
//! Entries are encoded, linted, hashed and written one after another; no list of them is held in memory. Everything is
//! linted before it is signed: each entry in its encoded form, and the rest of the CRL as a CRL without entries.

use std::io::{Seek, SeekFrom, Write};

use der::asn1::{BitStringRef, Ia5String, OctetString, UintRef};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode, Header, Length, Tag};
use spki::AlgorithmIdentifierOwned;
use x509_cert::Version;
use x509_cert::crl::TbsCertList;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::FreshestCrl;
use x509_cert::ext::pkix::crl::dp::{DistributionPoint, IssuingDistributionPoint};
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::name::Name;

use super::gate::refuse;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::key::{FileKey, MessageSigner};
use crate::lint::{self, CrlKind};
use crate::oid;
use crate::record::revoked::Listed;
use crate::record::{Reason, Serial};
use crate::x509::Criticality::{self, Critical, NonCritical};
use crate::x509::{authority_key_identifier, extension, time};

/// The number of octets that are buffered before they are hashed and written.
const CHUNK: usize = 64 << 10;

/// The most signatures that are made for one CRL. One is made again if its length would change the length of the outer header, for
/// which room was left before.
const TRIES: usize = 256;

/// The content of a CRL, apart from its entries.
#[derive(Debug)]
pub struct Crl<'a> {
    /// The issuer's subject, encoded as in the issuer's own certificate.
    pub issuer: &'a Name,
    /// The issuer's subject key identifier.
    pub issuer_key_identifier: &'a [u8],
    /// The cRLNumber.
    pub number: u64,
    /// thisUpdate, in whole seconds.
    pub this_update: Timestamp,
    /// nextUpdate, in whole seconds.
    pub next_update: Timestamp,
    /// For a delta CRL, the cRLNumber of the full CRL to which it refers; `None` for a full CRL and for a partition.
    pub base: Option<u64>,
    /// For a partition, the URLs by which certificates name it; empty for a CRL of all certificates of the CA.
    pub distribution_point: &'a [String],
    /// The URLs of the delta CRL; no freshestCRL extension if empty.
    pub freshest: &'a [String],
}

/// The outcome of signing a CRL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCrl {
    /// The number of entries.
    pub entries: u64,
    /// The length of the CRL in octets.
    pub length: u64,
    /// SHA-256 over the TBSCertList.
    pub tbs_sha256: [u8; 32],
}

impl Crl<'_> {
    /// Lints, signs and writes the CRL, DER, to the beginning of `out`. `entries` must ascend by serial number; the
    /// iterator is run twice. After an error, `out` contains a part of the CRL.
    ///
    /// # Errors
    /// `Denied` with [`crate::Denial::Template`] that names the rule which the CRL would break; [`Error::Unavailable`]
    /// if it cannot be written.
    pub fn sign<W: Write + Seek>(
        &self,
        key: &FileKey,
        entries: impl Iterator<Item = Listed> + Clone,
        out: &mut W,
    ) -> Result<SignedCrl> {
        let failed = |e: std::io::Error| Error::io("the CRL", &e);
        // 1. Encode the fields around the entries, and lint them as a CRL without entries.
        let algorithm = key.signature_algorithm();
        let Frame { head, tail } = self.frame(&algorithm)?;
        // 2. Compute every length, so that the octets can be written in order.
        let (mut count, mut content) = (0u64, 0usize);
        for entry in entries.clone() {
            content = content.saturating_add(entry_length(&entry));
            count = count.saturating_add(1);
        }
        // RFC 5280 §5.1.2.6: without revoked certificates the list is absent, not empty.
        let list = if count == 0 { Vec::new() } else { sequence_header(content)? };
        let inside = [head.len(), list.len(), content, tail.len()].iter().sum();
        let tbs_header = sequence_header(inside)?;
        let algorithm = algorithm.to_der().map_err(Error::internal)?;
        let before_signature =
            tbs_header.len().saturating_add(inside).saturating_add(algorithm.len());
        let mut signer = MessageSigner::new(key)?;
        // The header is sized for the longest signature; step 4 makes one that needs a header of that size.
        let longest = before_signature.saturating_add(bit_string_length(signer.longest())?);
        let outer = sequence_header(longest)?.len();
        // 3. Write the TBSCertList, leaving room for the outer header. Its value depends on the length of the
        // signature, which is not known yet.
        out.seek(SeekFrom::Start(outer as u64)).map_err(failed)?;
        let mut sink = Sink { out, signer: &mut signer, buffer: Vec::new() };
        sink.put(&tbs_header)?;
        sink.put(&head)?;
        sink.put(&list)?;
        let kind = if self.base.is_some() { CrlKind::Delta } else { CrlKind::Complete };
        let mut linter = lint::EntryLint::new(self.this_update, kind);
        let (mut octets, mut days) = ([0; MAX_ENTRY], Days::default());
        for entry in entries {
            let length = encode_entry(&entry, &mut days, &mut octets);
            let encoded = octets.get(..length).unwrap_or_default();
            linter.check(encoded).map_err(|finding| refuse(&finding))?;
            sink.put(encoded)?;
        }
        sink.put(&tail)?;
        sink.write()?;
        let tbs_sha256 = signer.sha256();
        // 4. Make a signature whose length fits the reserved header, then write the header.
        let signature = fitting_signature(&signer, before_signature, outer)?;
        let total = before_signature.saturating_add(signature.len());
        out.write_all(&algorithm).and_then(|()| out.write_all(&signature)).map_err(failed)?;
        out.seek(SeekFrom::Start(0)).map_err(failed)?;
        out.write_all(&sequence_header(total)?).map_err(failed)?;
        let length = outer.saturating_add(total) as u64;
        out.seek(SeekFrom::Start(length)).and_then(|_| out.flush()).map_err(failed)?;
        Ok(SignedCrl { entries: count, length, tbs_sha256 })
    }

    /// Encodes the fields around the entries, and lints them as a CRL without entries.
    fn frame(&self, algorithm: &AlgorithmIdentifierOwned) -> Result<Frame> {
        let extensions = self.extensions()?;
        let tail = explicit(0, &extensions.to_der().map_err(Error::internal)?)?;
        let empty = TbsCertList {
            version: Version::V2,
            signature: algorithm.clone(),
            issuer: self.issuer.clone(),
            this_update: time(self.this_update)?,
            next_update: Some(time(self.next_update)?),
            revoked_certificates: None,
            crl_extensions: Some(extensions),
        };
        let empty = empty.to_der().map_err(Error::internal)?;
        if let Some(finding) = lint::tbs_crl(&empty)
            .into_iter()
            .find(|finding| finding.severity == lint::Severity::Error)
        {
            return Err(refuse(&finding));
        }
        let content = der::asn1::AnyRef::from_der(&empty).map_err(Error::internal)?;
        let head = content.value().strip_suffix(tail.as_slice());
        let head = head.ok_or_else(|| Error::internal("a CRL ends with its extensions"))?.to_vec();
        Ok(Frame { head, tail })
    }

    fn extensions(&self) -> Result<Vec<Extension>> {
        let mut extensions = vec![
            extension(NonCritical, &authority_key_identifier(self.issuer_key_identifier)?)?,
            number(oid::CRL_NUMBER, NonCritical, self.number)?,
        ];
        if let Some(base) = self.base {
            extensions.push(number(oid::DELTA_CRL_INDICATOR, Critical, base)?);
        }
        if !self.distribution_point.is_empty() {
            let point = IssuingDistributionPoint {
                distribution_point: Some(full_name(self.distribution_point)?),
                only_contains_user_certs: false,
                only_contains_ca_certs: false,
                only_some_reasons: None,
                indirect_crl: false,
                only_contains_attribute_certs: false,
            };
            // x509-cert 0.2 gives this type the object identifier of another extension.
            let point = Extension {
                extn_id: oid::ISSUING_DISTRIBUTION_POINT,
                ..extension(Critical, &point)?
            };
            extensions.push(point);
        }
        if !self.freshest.is_empty() {
            let points = FreshestCrl(vec![DistributionPoint {
                distribution_point: Some(full_name(self.freshest)?),
                reasons: None,
                crl_issuer: None,
            }]);
            extensions.push(extension(NonCritical, &points)?);
        }
        Ok(extensions)
    }
}

/// The octets of a TBSCertList around its entries.
struct Frame {
    /// The encoded fields from version to nextUpdate.
    head: Vec<u8>,
    /// The encoded extensions.
    tail: Vec<u8>,
}

/// Buffers the octets of the TBSCertList, and hashes and writes them in chunks.
struct Sink<'a, 'k, W> {
    out: &'a mut W,
    signer: &'a mut MessageSigner<'k>,
    buffer: Vec<u8>,
}

impl<W: Write> Sink<'_, '_, W> {
    /// Adds octets to the buffer, and hashes and writes it if it then holds at least [`CHUNK`] octets.
    fn put(&mut self, octets: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(octets);
        self.spill()
    }

    /// Hashes and writes the buffer if it holds at least [`CHUNK`] octets.
    fn spill(&mut self) -> Result<()> {
        if self.buffer.len() < CHUNK { Ok(()) } else { self.write() }
    }

    /// Hashes and writes the buffer.
    fn write(&mut self) -> Result<()> {
        self.signer.update(&self.buffer);
        self.out.write_all(&self.buffer).map_err(|e| Error::io("the CRL", &e))?;
        self.buffer.clear();
        Ok(())
    }
}

/// The length of the longest entry in octets: a serial number of 20 octets, a GeneralizedTime, a reason and an invalidity date.
/// Every length in an entry is below 128, so its encoding takes one octet.
const MAX_ENTRY: usize = 2 + 22 + 17 + 2 + REASON.len() + 1 + INVALIDITY.len() + 17;

/// A reasonCode extension without its last octet, the code.
const REASON: [u8; 11] = [0x30, 10, 6, 3, 0x55, 0x1d, 21, 4, 3, 0x0a, 1];
/// An invalidityDate extension without its GeneralizedTime.
const INVALIDITY: [u8; 9] = [0x30, 24, 6, 3, 0x55, 0x1d, 24, 4, 17];

/// 2050-01-01, in seconds since 1970. From then on a time is a GeneralizedTime (RFC 5280 §5.1.2.4).
const GENERALIZED: u32 = 2_524_608_000;

/// The length of an entry in octets. It must equal what `encode_entry` writes: the header of the list is written first.
fn entry_length(entry: &Listed) -> usize {
    let reason = if entry.reason == Reason::Unspecified { 0 } else { REASON.len() + 1 };
    let invalidity = if entry.invalidity.is_some() { INVALIDITY.len() + 17 } else { 0 };
    let extensions = if reason + invalidity == 0 { 0 } else { 2 + reason + invalidity };
    let date = if entry.at < GENERALIZED { 15 } else { 17 };
    2 + 2 + serial_length(&entry.serial) + date + extensions
}

/// Writes an entry to `out` and returns its length.
///
/// ```text
/// revokedCertificates     SEQUENCE OF SEQUENCE  {
///      userCertificate         CertificateSerialNumber,
///      revocationDate          Time,
///      crlEntryExtensions      Extensions OPTIONAL  -- if present, version MUST be v2
///                           }  OPTIONAL,
/// ```
/// RFC 5280 §5.1. This runs once for each revoked certificate of a CA, so it neither allocates nor calls a general
/// encoder.
fn encode_entry(entry: &Listed, days: &mut Days, out: &mut [u8; MAX_ENTRY]) -> usize {
    let length = entry_length(entry);
    let serial = serial_length(&entry.serial);
    let mut out = EntryBuffer { octets: out, at: 0 };
    out.put([0x30, (length - 2) as u8, 0x02, serial as u8]);
    let (above, value) = entry.serial.parts();
    if above != 0 {
        // As below, of the number's upper octets, which are at most 4 with the sign.
        let upper = serial - 16;
        out.put((above << (8 * (4 - upper))).to_be_bytes());
        out.at -= 4 - upper;
        out.put(value.to_be_bytes());
    } else if serial > 16 {
        out.put([0]);
        out.put(value.to_be_bytes());
    } else {
        // All 16 octets are written; the following field overwrites those behind the number.
        out.put((value << (8 * (16 - serial))).to_be_bytes());
        out.at -= 16 - serial;
    }
    let digits = days.digits(entry.at);
    if entry.at < GENERALIZED {
        let [_, _, short @ ..] = digits;
        out.put([0x17, 13]);
        out.put(short);
        out.put([b'Z']);
    } else {
        out.put_generalized(digits);
    }
    if length > out.at {
        out.put([0x30, (length - out.at - 2) as u8]);
    }
    // RFC 5280 §5.3.1: the extension is absent if the reason is unspecified.
    if entry.reason != Reason::Unspecified {
        out.put(REASON);
        out.put([entry.reason as u8]);
    }
    if let Some(date) = entry.invalidity {
        out.put(INVALIDITY);
        out.put_generalized(days.digits(date));
    }
    length
}

/// An entry in progress, and the offset of its next octet.
struct EntryBuffer<'a> {
    octets: &'a mut [u8; MAX_ENTRY],
    at: usize,
}

impl EntryBuffer<'_> {
    #[inline]
    fn put<const N: usize>(&mut self, part: [u8; N]) {
        if let Some(place) = self.octets.get_mut(self.at..).and_then(<[u8]>::first_chunk_mut) {
            *place = part;
        }
        self.at += N;
    }

    /// Appends a GeneralizedTime with these digits.
    fn put_generalized(&mut self, digits: [u8; 14]) {
        self.put([0x18, 15]);
        self.put(digits);
        self.put([b'Z']);
    }
}

/// The length of a serial number's INTEGER content in octets. A full octet of zeros is added if the highest bit is set,
/// because it is the sign.
fn serial_length(serial: &Serial) -> usize {
    let bits = match serial.parts() {
        (0, value) => u128::BITS - value.leading_zeros(),
        (above, _) => u128::BITS + u32::BITS - above.leading_zeros(),
    };
    bits as usize / 8 + 1
}

/// Remembers the digits of days. The entries of a CRL share some hundreds of days, and the divisions of the calendar took longer than SHA-256
/// over an entry.
struct Days(Vec<KnownDay>);

/// A day counted from 1970-01-01, and its ASCII digits `YYYYMMDD`.
#[derive(Clone, Copy)]
struct KnownDay {
    day: u32,
    digits: [u8; 8],
}

impl Default for Days {
    fn default() -> Self {
        // No time in seconds of 32 bits is on this day.
        Self(vec![KnownDay { day: u32::MAX, digits: [0; 8] }; 1024])
    }
}

impl Days {
    /// A time in seconds since 1970, as the ASCII digits `YYYYMMDDhhmmss` in UTC.
    fn digits(&mut self, at: u32) -> [u8; 14] {
        let (day, rest) = (at / 86_400, at % 86_400);
        let place = day as usize % self.0.len().max(1);
        let digits = match self.0.get_mut(place) {
            Some(known) if known.day == day => known.digits,
            other => {
                let digits = day_digits(day);
                if let Some(known) = other {
                    *known = KnownDay { day, digits };
                }
                digits
            }
        };
        let [a, b, c, d, e, f, g, h] = digits;
        let ([i, j], [k, l], [m, n]) = (pair(rest / 3600), pair(rest / 60 % 60), pair(rest % 60));
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n]
    }
}

/// A day counted from 1970-01-01, as the ASCII digits `YYYYMMDD`.
const fn day_digits(day: u32) -> [u8; 8] {
    let (year, month, day) = civil(day);
    let ([a, b], [c, d]) = (pair(year / 100), pair(year % 100));
    let ([e, f], [g, h]) = (pair(month), pair(day));
    [a, b, c, d, e, f, g, h]
}

const fn pair(number: u32) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}

/// The year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar. The computation
/// divides time into eras of 400 years that begin on 1 March.
const fn civil(day: u32) -> (u32, u32, u32) {
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + if month <= 2 { 1 } else { 0 }, month, day)
}

/// An extension that contains an INTEGER.
fn number(id: ObjectIdentifier, criticality: Criticality, value: u64) -> Result<Extension> {
    let octets = value.to_be_bytes();
    let der = UintRef::new(&octets).and_then(|number| number.to_der()).map_err(Error::internal)?;
    Ok(Extension {
        extn_id: id,
        critical: criticality == Critical,
        extn_value: OctetString::new(der).map_err(Error::internal)?,
    })
}

/// A fullName of a distribution point with these URLs.
fn full_name(urls: &[String]) -> Result<DistributionPointName> {
    let names = urls.iter().map(|url| {
        Ia5String::new(url)
            .map(GeneralName::UniformResourceIdentifier)
            .map_err(|_| Error::malformed(format!("the URL `{url}` is not ASCII")))
    });
    Ok(DistributionPointName::FullName(names.collect::<Result<_>>()?))
}

/// The header of a SEQUENCE whose content has this length.
fn sequence_header(length: usize) -> Result<Vec<u8>> {
    let length = Length::try_from(length).map_err(Error::internal)?;
    Header::new(Tag::Sequence, length).and_then(|header| header.to_der()).map_err(Error::internal)
}

/// The element `der` inside an explicit context-specific tag with this number, which must be below 31.
fn explicit(number: u8, der: &[u8]) -> Result<Vec<u8>> {
    let length = Length::try_from(der.len()).map_err(Error::internal)?;
    let mut octets = vec![0xa0 | number];
    octets.extend(length.to_der().map_err(Error::internal)?);
    octets.extend_from_slice(der);
    Ok(octets)
}

/// The length of a BIT STRING of this many octets, with its header.
fn bit_string_length(octets: usize) -> Result<usize> {
    let content = Length::try_from(octets.saturating_add(1)).map_err(Error::internal)?;
    let header = Header::new(Tag::BitString, content).map_err(Error::internal)?;
    let length = header.encoded_len().and_then(|header| header + content);
    usize::try_from(length.map_err(Error::internal)?).map_err(Error::internal)
}

/// A signature as a BIT STRING with which the outer header has `outer` octets. `before` is the length of all octets between that header and
/// the signature. The length of an ECDSA signature varies, so up to [`TRIES`] are made.
fn fitting_signature(signer: &MessageSigner<'_>, before: usize, outer: usize) -> Result<Vec<u8>> {
    for _ in 0..TRIES {
        let signature = signer.sign()?;
        let signature = BitStringRef::from_bytes(&signature)
            .and_then(|bits| bits.to_der())
            .map_err(Error::internal)?;
        if sequence_header(before.saturating_add(signature.len()))?.len() == outer {
            return Ok(signature);
        }
    }
    Err(Error::internal("no signature fits the header before it"))
}
