//! Writes certificate revocation lists (RFC 5280 §5): full ones, deltas and partitions, of any size, through one path.
//!
//! Entries are encoded, linted, hashed and written one after the other; no list of them is held. What is signed is
//! linted first: every entry as the bytes that it became, and the rest of the list as a list without entries.

use std::io::{Seek, SeekFrom, Write};

use der::asn1::{BitStringRef, Ia5String, OctetString, UintRef};
use der::{Decode, Encode, Header, Length, Tag};
use spki::AlgorithmIdentifierOwned;
use x509_cert::Version;
use x509_cert::crl::TbsCertList;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::FreshestCrl;
use x509_cert::ext::pkix::crl::dp::{DistributionPoint, IssuingDistributionPoint};
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::name::Name;

use crate::certificate::{authority_key_identifier, extension, time};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::gate::refuse;
use crate::key::FileKey;
use crate::lint;
use crate::message_signer::MessageSigner;
use crate::oid;
use crate::record::{Reason, RevokedEntry, Serial};

/// How much is gathered before it is hashed and written, in octets.
const CHUNK: usize = 64 << 10;

/// How often a signature is made anew when its length would change the length of the header before it.
const TRIES: usize = 256;

/// Everything that a CRL says, apart from its entries.
#[derive(Debug)]
pub struct Crl<'a> {
    /// The issuer's subject, as its own certificate encodes it.
    pub issuer: &'a Name,
    /// The issuer's subject key identifier.
    pub issuer_key_identifier: &'a [u8],
    /// The cRLNumber.
    pub number: u64,
    /// thisUpdate, in whole seconds.
    pub this_update: Timestamp,
    /// nextUpdate, in whole seconds.
    pub next_update: Timestamp,
    /// Of a delta CRL, the number of the full CRL that it refers to.
    pub base: Option<u64>,
    /// Of a partition, the URLs by which certificates name it; empty for a CRL that covers all.
    pub distribution_point: &'a [String],
    /// Where the delta CRL is; empty for none.
    pub freshest: &'a [String],
}

/// What became of a CRL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCrl {
    /// How many entries it has.
    pub entries: u64,
    /// Its octets.
    pub length: u64,
    /// SHA-256 over the TBSCertList.
    pub tbs_sha256: [u8; 32],
}

impl Crl<'_> {
    /// Lints, signs and writes the CRL, DER, to `out` from where that begins. `entries` is read twice and ascends by serial.
    ///
    /// # Errors
    /// `Denied` with [`crate::Denial::Template`] that names the rule which the list would break;
    /// [`Error::Unavailable`] when it cannot be written.
    pub fn sign<W: Write + Seek>(
        &self,
        key: &FileKey,
        entries: impl Iterator<Item = RevokedEntry> + Clone,
        out: &mut W,
    ) -> Result<SignedCrl> {
        let failed = |e: std::io::Error| Error::io("the CRL", &e);
        // 1. What stands around the entries, linted as a list of none.
        let algorithm = key.signature_algorithm();
        let (head, tail) = self.frame(&algorithm)?;
        // 2. Every length, so that the octets can be written in order.
        let mut encoder = EntryEncoder::default();
        let mut count = 0u64;
        let mut content = 0usize;
        for entry in entries.clone() {
            content = content.saturating_add(encoder.length(&entry));
            count = count.saturating_add(1);
        }
        // RFC 5280 §5.1.2.6: the list is absent when nothing is revoked.
        let list = if count == 0 { Vec::new() } else { sequence_header(content)? };
        let inside = [head.len(), list.len(), content, tail.len()].iter().sum();
        let tbs_header = sequence_header(inside)?;
        let algorithm = algorithm.to_der().map_err(Error::internal)?;
        let before_signature =
            tbs_header.len().saturating_add(inside).saturating_add(algorithm.len());
        let mut signer = MessageSigner::new(key)?;
        let longest = before_signature.saturating_add(bit_string_length(signer.longest())?);
        let outer = sequence_header(longest)?.len();
        // 3. The TBSCertList, behind the place of the outer header.
        out.seek(SeekFrom::Start(outer as u64)).map_err(failed)?;
        let mut sink = Sink { out, signer: &mut signer, waiting: Vec::new() };
        sink.put(&tbs_header)?;
        sink.put(&head)?;
        sink.put(&list)?;
        let mut linter = lint::EntryLint::new(self.this_update, self.base.is_some());
        for entry in entries {
            let start = sink.waiting.len();
            encoder.encode(&entry, &mut sink.waiting)?;
            let octets = sink.waiting.get(start..).unwrap_or_default();
            linter.check(octets).map_err(|finding| refuse(&finding))?;
            sink.spill()?;
        }
        sink.put(&tail)?;
        sink.write()?;
        let tbs_sha256 = signer.sha256();
        // 4. The signature, of a length that fits the place of the header.
        let signature = fitting(&signer, before_signature, outer)?;
        let total = before_signature.saturating_add(signature.len());
        out.write_all(&algorithm).and_then(|()| out.write_all(&signature)).map_err(failed)?;
        out.seek(SeekFrom::Start(0)).map_err(failed)?;
        out.write_all(&sequence_header(total)?).map_err(failed)?;
        let length = outer.saturating_add(total) as u64;
        out.seek(SeekFrom::Start(length)).and_then(|_| out.flush()).map_err(failed)?;
        Ok(SignedCrl { entries: count, length, tbs_sha256 })
    }

    /// The octets before and behind the entries.
    fn frame(&self, algorithm: &AlgorithmIdentifierOwned) -> Result<(Vec<u8>, Vec<u8>)> {
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
        Ok((head.ok_or_else(|| Error::internal("a CRL ends with its extensions"))?.to_vec(), tail))
    }

    fn extensions(&self) -> Result<Vec<Extension>> {
        let mut extensions = vec![
            extension(false, &authority_key_identifier(self.issuer_key_identifier)?)?,
            number(oid::CRL_NUMBER, false, self.number)?,
        ];
        if let Some(base) = self.base {
            extensions.push(number(oid::DELTA_CRL_INDICATOR, true, base)?);
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
            // x509-cert 0.2 has the object identifier of another extension for this type.
            let point =
                Extension { extn_id: oid::ISSUING_DISTRIBUTION_POINT, ..extension(true, &point)? };
            extensions.push(point);
        }
        if !self.freshest.is_empty() {
            let points = FreshestCrl(vec![DistributionPoint {
                distribution_point: Some(full_name(self.freshest)?),
                reasons: None,
                crl_issuer: None,
            }]);
            extensions.push(extension(false, &points)?);
        }
        Ok(extensions)
    }
}

/// Hashes what is written, in chunks.
struct Sink<'a, 'k, W> {
    out: &'a mut W,
    signer: &'a mut MessageSigner<'k>,
    waiting: Vec<u8>,
}

impl<W: Write> Sink<'_, '_, W> {
    fn put(&mut self, octets: &[u8]) -> Result<()> {
        self.waiting.extend_from_slice(octets);
        self.spill()
    }

    fn spill(&mut self) -> Result<()> {
        if self.waiting.len() < CHUNK { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<()> {
        self.signer.update(&self.waiting);
        self.out.write_all(&self.waiting).map_err(|e| Error::io("the CRL", &e))?;
        self.waiting.clear();
        Ok(())
    }
}

/// Encodes entries: each has fewer than 128 octets, so that every length is one octet.
#[derive(Default)]
struct EntryEncoder {
    extensions: Vec<u8>,
}

impl EntryEncoder {
    fn length(&mut self, entry: &RevokedEntry) -> usize {
        let reason = if entry.revocation.reason == Reason::Unspecified { 0 } else { 12 };
        let invalidity = if entry.revocation.invalidity.is_some() { 26 } else { 0 };
        let extensions = if reason + invalidity == 0 { 0 } else { 2 + reason + invalidity };
        let date = if entry.revocation.at < GENERALIZED { 15 } else { 17 };
        2 + 2 + serial_content(&entry.serial).1 + date + extensions
    }

    /// ```text
    /// revokedCertificates     SEQUENCE OF SEQUENCE  {
    ///      userCertificate         CertificateSerialNumber,
    ///      revocationDate          Time,
    ///      crlEntryExtensions      Extensions OPTIONAL  -- if present, version MUST be v2
    ///                           }  OPTIONAL,
    /// ```
    /// RFC 5280 §5.1.
    fn encode(&mut self, entry: &RevokedEntry, out: &mut Vec<u8>) -> Result<()> {
        let length = u8::try_from(self.length(entry).saturating_sub(2)).map_err(Error::internal)?;
        out.extend_from_slice(&[0x30, length]);
        let (padded, serial) = serial_content(&entry.serial);
        out.extend_from_slice(&[0x02, u8::try_from(serial).map_err(Error::internal)?]);
        out.extend_from_slice(
            padded.get(padded.len().saturating_sub(serial)..).unwrap_or_default(),
        );
        put_time(entry.revocation.at, out);
        self.extensions.clear();
        // RFC 5280 §5.3.1: the reason code is absent instead of unspecified.
        if entry.revocation.reason != Reason::Unspecified {
            let reason = entry.revocation.reason as u8;
            self.extensions.extend_from_slice(&[0x30, 10, 6, 3, 0x55, 0x1d, 21, 4, 3, 0x0a, 1]);
            self.extensions.push(reason);
        }
        if let Some(date) = entry.revocation.invalidity {
            self.extensions.extend_from_slice(&[0x30, 24, 6, 3, 0x55, 0x1d, 24, 4, 17]);
            put_generalized(date, &mut self.extensions);
        }
        if !self.extensions.is_empty() {
            let length = u8::try_from(self.extensions.len()).map_err(Error::internal)?;
            out.extend_from_slice(&[0x30, length]);
            out.extend_from_slice(&self.extensions);
        }
        Ok(())
    }
}

/// From 2050 on a time is a GeneralizedTime (RFC 5280 §5.1.2.4).
const GENERALIZED: Timestamp = Timestamp::from_seconds(2_524_608_000);

/// A serial behind a zero, and how many octets at its end are the content of its INTEGER.
fn serial_content(serial: &Serial) -> ([u8; 17], usize) {
    let mut padded = [0; 17];
    if let Some(place) = padded.last_chunk_mut() {
        *place = *serial.octets();
    }
    let zeros = padded.iter().take_while(|octet| **octet == 0).count();
    let is_negative = padded.get(zeros).is_some_and(|first| *first >= 0x80);
    (padded, padded.len().saturating_sub(zeros).saturating_add(usize::from(is_negative)))
}

fn put_time(at: Timestamp, out: &mut Vec<u8>) {
    if at >= GENERALIZED {
        return put_generalized(at, out);
    }
    let digits = digits(at);
    out.extend_from_slice(&[0x17, 13]);
    out.extend_from_slice(digits.get(2..).unwrap_or_default());
    out.push(b'Z');
}

fn put_generalized(at: Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x18, 15]);
    out.extend_from_slice(&digits(at));
    out.push(b'Z');
}

/// `YYYYMMDDhhmmss`.
fn digits(at: Timestamp) -> [u8; 14] {
    let seconds = u64::try_from(at.seconds()).unwrap_or(0);
    let (year, month, day) = civil(seconds / 86_400);
    let rest = seconds % 86_400;
    let fields = [year / 100, year % 100, month, day, rest / 3600, rest / 60 % 60, rest % 60];
    let mut digits = [b'0'; 14];
    for (place, field) in digits.as_chunks_mut().0.iter_mut().zip(fields) {
        *place = [b'0' + (field / 10 % 10) as u8, b'0' + (field % 10) as u8];
    }
    digits
}

/// Year, month and day of a day since 1970, in the proleptic Gregorian calendar: eras of 400 years that begin in March.
const fn civil(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (day, month) =
        (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (era * 400 + year + if month <= 2 { 1 } else { 0 }, month, day)
}

fn number(id: der::oid::ObjectIdentifier, critical: bool, value: u64) -> Result<Extension> {
    let octets = value.to_be_bytes();
    let der = UintRef::new(&octets).and_then(|number| number.to_der()).map_err(Error::internal)?;
    Ok(Extension {
        extn_id: id,
        critical,
        extn_value: OctetString::new(der).map_err(Error::internal)?,
    })
}

fn full_name(urls: &[String]) -> Result<DistributionPointName> {
    let names = urls.iter().map(|url| {
        Ia5String::new(url)
            .map(GeneralName::UniformResourceIdentifier)
            .map_err(|_| Error::malformed(format!("the URL `{url}` is not ASCII")))
    });
    Ok(DistributionPointName::FullName(names.collect::<Result<_>>()?))
}

fn sequence_header(length: usize) -> Result<Vec<u8>> {
    let length = Length::try_from(length).map_err(Error::internal)?;
    Header::new(Tag::Sequence, length).and_then(|header| header.to_der()).map_err(Error::internal)
}

fn explicit(number: u8, der: &[u8]) -> Result<Vec<u8>> {
    let length = Length::try_from(der.len()).map_err(Error::internal)?;
    let mut octets = vec![0xa0 | number];
    octets.extend(length.to_der().map_err(Error::internal)?);
    octets.extend_from_slice(der);
    Ok(octets)
}

fn bit_string_length(octets: usize) -> Result<usize> {
    let content = Length::try_from(octets.saturating_add(1)).map_err(Error::internal)?;
    let header = Header::new(Tag::BitString, content).map_err(Error::internal)?;
    let length = header.encoded_len().and_then(|header| header + content);
    usize::try_from(length.map_err(Error::internal)?).map_err(Error::internal)
}

/// The signature as a BIT STRING, such that the outer header has `outer` octets.
fn fitting(signer: &MessageSigner<'_>, before: usize, outer: usize) -> Result<Vec<u8>> {
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
