//! The rules for signed CRLs.

use super::super::keys;
use super::super::view::View;
use super::Rules;
use super::refusal::conflict;
use crate::error::{Error, Result};
use crate::journal::{decode_crl, encode_crl};
use crate::record::{CrlRecord, MAX_BROUGHT_CRL};

impl<V: View> Rules<'_, V> {
    /// Refuses a CRL whose number is not larger than that of the last one of the same CA and scope (RFC 5280 §5.2.3), and one that an
    /// administrator brings and that is too large for the journal.
    pub(super) fn check_crl(&self, crl: &CrlRecord) -> Result<()> {
        if let Some(der) = crl.brought.as_ref().filter(|der| der.len() > MAX_BROUGHT_CRL) {
            return Err(Error::malformed(format!(
                "expected a CRL of at most {MAX_BROUGHT_CRL} octets, found {}",
                der.len()
            )));
        }
        let last = self.view.value(&keys::last_crl(&crl.ca, crl.scope))?;
        match last.map(|octets| decode_crl(&octets)).transpose()? {
            Some(last) if last.number >= crl.number => Err(conflict(format!(
                "expected a CRL number above `{}`, the last one of `{}` ({}), found `{}`",
                last.number, crl.ca, crl.scope, crl.number
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn apply_crl(&mut self, crl: &CrlRecord) -> Result<()> {
        let record = encode_crl(crl)?;
        if crl.is_base {
            self.view.put(keys::base_crl(&crl.ca), record.clone());
        }
        self.view.put(keys::last_crl(&crl.ca, crl.scope), record);
        Ok(())
    }
}
