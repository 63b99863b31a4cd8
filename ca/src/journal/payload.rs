//! The payload of an entry: an envelope of version, sequence number, time and kind around the body.
//!
//! ```text
//! payload = [version: uint, sequence: uint, time: int, kind: uint, body]     CBOR; time in milliseconds since 1970
//! ```
//!
//! The payload is the leaf of the Merkle tree.

use minicbor::{Decoder, Encoder};

use super::body;
use super::entry::Recorded;
use super::kind::Kind;
use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// The version of the payloads that this program writes. It reads this version and all before it.
const PAYLOAD_VERSION: u8 = 1;

/// The envelope of a payload. The body is not decoded before [`Self::open`].
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The payload's version.
    pub version: u8,
    /// The entry's sequence number.
    pub sequence: u64,
    /// When the entry was recorded.
    pub at: Timestamp,
    /// The number of the entry's kind, which is unknown here if a newer program wrote the entry.
    kind: u8,
    body: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Reads the envelope; `None` when the octets are not a payload of any version.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut decoder = Decoder::new(payload);
        if decoder.array().ok()? != Some(5) {
            return None;
        }
        let version = decoder.u8().ok()?;
        let sequence = decoder.u64().ok()?;
        let at = Timestamp::from_millis(decoder.i64().ok()?);
        let kind = decoder.u8().ok()?;
        let body = payload.get(decoder.position()..)?;
        Some(Self { version, sequence, at, kind, body })
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// [`Error::Internal`] when a newer program wrote the entry, or when the body is damaged.
    pub fn open(&self) -> Result<Recorded> {
        if self.version > PAYLOAD_VERSION {
            return Err(Error::internal(format!(
                "entry `{}` of the journal has version `{}`, and this program reads up to `{PAYLOAD_VERSION}`: \
                 use the newer program that wrote it",
                self.sequence, self.version
            )));
        }
        let entry = body::decode(self.kind, self.body).map_err(|why| {
            Error::internal(format!(
                "entry `{}` of the journal cannot be read: {why}",
                self.sequence
            ))
        })?;
        Ok(Recorded { sequence: self.sequence, at: self.at, entry })
    }
}

/// Puts the envelope around a body of this kind.
///
/// # Errors
/// [`Error::Internal`] when CBOR cannot be written.
pub fn payload(sequence: u64, at: Timestamp, kind: Kind, body: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = Encoder::new(Vec::with_capacity(body.len().saturating_add(24)));
    encoder
        .array(5)
        .and_then(|e| e.u8(PAYLOAD_VERSION))
        .and_then(|e| e.u64(sequence))
        .and_then(|e| e.i64(at.millis()))
        .and_then(|e| e.u8(kind.number()))
        .map_err(Error::internal)?;
    let mut payload = encoder.into_writer();
    payload.extend_from_slice(body);
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::entry::Entry;
    use super::super::samples::{account, label, samples, serial};
    use super::*;
    use crate::record::approval::RequestId;
    use crate::record::{Account, CrlRecord, Remarks};

    #[test]
    fn every_kind_comes_back_as_it_was() {
        for (sequence, entry) in (7..).zip(samples()) {
            let at = Timestamp::from_millis(1_700_000_000_123);
            let bytes = payload(sequence, at, entry.kind(), &entry.encode_body().unwrap()).unwrap();
            let envelope = Envelope::parse(&bytes).unwrap();
            assert_eq!(envelope.open().unwrap(), Recorded { sequence, at, entry });
            for cut in 0..bytes.len() {
                let opened = Envelope::parse(&bytes[..cut]).map(|e| e.open());
                assert!(!matches!(opened, Some(Ok(_))), "cut at {cut}");
            }
        }
    }

    #[test]
    fn every_kind_has_a_sample_and_a_number_and_a_name_of_its_own() {
        let sampled: BTreeSet<u8> = samples().iter().map(|entry| entry.kind().number()).collect();
        let numbers: BTreeSet<u8> = Kind::ALL.iter().map(|(kind, _)| kind.number()).collect();
        let names: BTreeSet<&str> = Kind::ALL.iter().map(|(_, name)| *name).collect();
        assert_eq!(
            (&sampled, numbers.len(), names.len()),
            (&numbers, Kind::ALL.len(), Kind::ALL.len())
        );
    }

    #[test]
    fn the_layout_on_disk_stays_what_it_is() {
        let entry = Entry::Released { ca: label("a"), serial: serial(1) };
        let bytes =
            payload(5, Timestamp::from_millis(256), entry.kind(), &entry.encode_body().unwrap())
                .unwrap();
        let expected =
            [vec![0x85, 1, 5, 0x19, 1, 0, 6, 0x82, 0x61, b'a', 0x50], vec![0; 15], vec![1]]
                .concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn an_account_without_permissions_and_equipment_is_what_it_was_before_there_were_any() {
        let all = account("gw1");
        let remarked = Account { is_disabled: false, ..all.clone() };
        let remarks = Remarks { owner: None, note: None, ..all.remarks.clone() };
        let labelled = Account { remarks, ..remarked.clone() };
        let bare = Account { remarks: Remarks::default(), ..remarked.clone() };
        let permitted = Account { equipment: None, ..bare.clone() };
        let neither = Account { permissions: Default::default(), ..permitted.clone() };
        let body = |account: Account| Entry::AccountChanged(account).encode_body().unwrap();
        // CBOR arrays of six, seven and eight, and with remarks of nine, eleven and twelve.
        let mut unknown = body(permitted);
        assert_eq!([body(neither)[0], unknown[0], body(bare)[0]], [0x86, 0x87, 0x88]);
        assert_eq!([body(labelled)[0], body(remarked)[0], body(all)[0]], [0x89, 0x8b, 0x8c]);
        *unknown.last_mut().unwrap() = 8;
        let payload = payload(0, Timestamp::default(), Kind::AccountChanged, &unknown).unwrap();
        let error = Envelope::parse(&payload).unwrap().open().unwrap_err().to_string();
        assert!(error.contains("newer program"), "{error}");
    }

    #[test]
    fn a_transaction_of_before_addresses_were_recorded_is_what_it_was() {
        let before = || -> std::result::Result<Vec<u8>, minicbor::encode::Error<_>> {
            let mut body = Encoder::new(Vec::new());
            body.array(2)?.bytes(RequestId::of(&[9; 16]).octets())?;
            body.array(6)?.bytes(&[8; 16])?.i64(99)?.bytes(&[4; 40])?.bool(false)?.str("gw1")?;
            Ok(body.i64(98)?.writer().clone())
        };
        let before = before().unwrap();
        let payload = payload(0, Timestamp::default(), Kind::Joined, &before).unwrap();
        let entry = Envelope::parse(&payload).unwrap().open().unwrap().entry;
        let Entry::Joined { transaction, .. } = &entry else { panic!("{entry:?}") };
        assert_eq!((transaction.client, &transaction.registrar), (None, &None));
        assert_eq!(entry.encode_body().unwrap(), before);
    }

    #[test]
    fn a_crl_of_which_nobody_knows_how_far_it_reaches_is_what_it_was_before_that_was_recorded() {
        let of = |reached| {
            let crl = samples().into_iter().find_map(|entry| match entry {
                Entry::Crl(crl) => Some(CrlRecord { reached, ..crl }),
                _ => None,
            });
            Entry::Crl(crl.unwrap())
        };
        let (without, with) = (of(None).encode_body().unwrap(), of(Some(7)).encode_body().unwrap());
        // CBOR arrays of nine and of ten.
        assert_eq!([without[0], with[0]], [0x89, 0x8a]);
        let payload = payload(0, Timestamp::default(), of(None).kind(), &without).unwrap();
        assert_eq!(Envelope::parse(&payload).unwrap().open().unwrap().entry, of(None));
    }

    #[test]
    fn a_newer_version_and_an_unknown_kind_are_named() {
        let newer = [0x85, 2, 0, 0, 1, 0x80];
        let error = Envelope::parse(&newer).unwrap().open().unwrap_err().to_string();
        assert!(error.contains("version `2`"), "{error}");
        let unknown = [0x85, 1, 0, 0, 0x18, 99, 0x80];
        let error = Envelope::parse(&unknown).unwrap().open().unwrap_err().to_string();
        assert!(error.contains("kind `99`"), "{error}");
    }
}
