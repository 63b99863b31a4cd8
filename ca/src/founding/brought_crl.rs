//! Takes the CRL of a CA whose private key is elsewhere, such as an offline root, so that this instance publishes it as if it had signed it.
//!
//! The journal keeps the whole CRL, because nobody here can sign it again. No private key is needed.

use std::path::Path;

use crate::clock::{BACKDATING, Clock};
use crate::durable_file::write_atomically;
use crate::error::{Denial, Error, Result};
use crate::name::same_name;
use crate::path::Certificate;
use crate::path::crl::Crl;
use crate::record::{CaRecord, CrlRecord, CrlScope, Label, MAX_BROUGHT_CRL};
use crate::store::Store;

/// The CA of this instance that signed a CRL (DER): the one with the issuer's name whose key verifies the signature.
///
/// # Errors
/// [`Error::Malformed`] if it is no CRL or too large; `Denied` with [`Denial::SignerNotTrusted`] if no CA of this instance signed it.
pub fn signer_of(store: &dyn Store, der: &[u8]) -> Result<CaRecord> {
    let crl = read(der)?;
    let cas = store.cas()?;
    for ca in &cas {
        if crl.is_signed_by(&certificate_of(ca)?) {
            return Ok(ca.clone());
        }
    }
    // One of this name is there, so that the file is probably of another key, or was changed.
    for ca in &cas {
        if same_name(crl.issuer(), &certificate_of(ca)?.subject_name) {
            return Err(refused(format!(
                "the CRL names `{}` as its issuer, and the key of the CA `{}` has not signed it",
                crl.issuer(),
                ca.name
            )));
        }
    }
    Err(refused(format!(
        "expected a CRL of a CA of this instance, found one of `{}`; `countersign ca show` lists them",
        crl.issuer()
    )))
}

/// Records the CRL (DER) of a CA whose private key is elsewhere, and writes its file in the folder of CRLs, where exports read it.
/// `has_key` tells whether the private key of a CA is here.
///
/// # Errors
/// As [`signer_of`]; `Denied` with [`Denial::Conflict`] if the CA's key is here, or if the CRL is not newer than the last one (by cRLNumber
/// and thisUpdate); with [`Denial::Template`] if it has ended, is of the future, is a delta or partial CRL, or has parts that are not
/// understood.
pub fn take_crl(
    store: &dyn Store,
    clock: &dyn Clock,
    folder: &Path,
    has_key: &dyn Fn(&Label) -> bool,
    der: &[u8],
) -> Result<CrlRecord> {
    let ca = signer_of(store, der)?.name;
    if has_key(&ca) {
        return Err(conflict(format!(
            "the key of the CA `{ca}` is here, and the server signs its CRLs: `countersign crl publish --ca {ca}`"
        )));
    }
    let crl = read(der)?;
    let now = clock.now();
    let unfit = |why: String| Error::denied(Denial::Template, format!("the CRL of `{ca}`: {why}"));
    // A CRL of an offline machine whose clock is a little ahead is good.
    crl.tells_of_all(now.max(crl.this_update.min(now.plus(BACKDATING)))).map_err(unfit)?;
    let next_update = crl.next_update.filter(|next| *next > now);
    let next_update = next_update.ok_or_else(|| unfit("it has ended".into()))?;
    let number = number(&crl).ok_or_else(|| {
        unfit("expected a cRLNumber of at most 64 bits (RFC 5280 §5.2.3), found none".into())
    })?;
    if let Some(last) = store.last_crl(&ca, CrlScope::Full)? {
        if last.number >= number {
            return Err(conflict(format!(
                "expected a CRL of `{ca}` with a number above `{}`, that of the last one, found `{number}`: bring the newest one",
                last.number
            )));
        }
        if last.this_update > crl.this_update {
            return Err(conflict(format!(
                "expected a CRL of `{ca}` that is not older than the last one, of {}, found one of {}",
                last.this_update, crl.this_update
            )));
        }
    }
    let record = CrlRecord {
        ca: ca.clone(),
        scope: CrlScope::Full,
        number,
        this_update: crl.this_update,
        signed: crl.this_update,
        next_update,
        entries: crl.len() as u64,
        tbs_sha256: crl.signed_sha256(),
        is_base: false,
        reached: None,
        brought: Some(der.to_vec()),
    };
    store.record_crl(now, &record)?;
    write_atomically(&folder.join(format!("{ca}.crl")), der)?;
    Ok(record)
}

/// Writes the files of the CRLs that were brought, where they are missing: a restore brings them back in the journal only.
///
/// # Errors
/// The store fails, or a file cannot be written.
pub fn restore_files(store: &dyn Store, folder: &Path) -> Result<()> {
    for ca in store.cas()? {
        let last = store.last_crl(&ca.name, CrlScope::Full)?;
        let Some(der) = last.and_then(|crl| crl.brought) else { continue };
        let file = folder.join(format!("{}.crl", ca.name));
        if std::fs::read(&file).ok().as_ref() != Some(&der) {
            write_atomically(&file, &der)?;
        }
    }
    Ok(())
}

fn read(der: &[u8]) -> Result<Crl> {
    if der.len() > MAX_BROUGHT_CRL {
        return Err(Error::malformed(format!(
            "expected a CRL of at most {MAX_BROUGHT_CRL} octets, found {}",
            der.len()
        )));
    }
    Crl::from_der(der).map_err(|e| Error::malformed(e.to_string()))
}

fn certificate_of(ca: &CaRecord) -> Result<Certificate> {
    Certificate::from_der(ca.certificate.clone()).map_err(|e| Error::internal(e.to_string()))
}

/// The cRLNumber, if it has at most 64 bits.
fn number(crl: &Crl) -> Option<u64> {
    let digits = crl.number()?;
    let start = size_of::<u64>().checked_sub(digits.len())?;
    let mut octets = [0; size_of::<u64>()];
    octets.get_mut(start..)?.copy_from_slice(digits);
    Some(u64::from_be_bytes(octets))
}

fn refused(why: String) -> Error {
    Error::denied(Denial::SignerNotTrusted, why)
}

fn conflict(why: String) -> Error {
    Error::denied(Denial::Conflict, why)
}
