//! The rule for a restore from a backup.

use super::super::answers::LastRestore;
use super::super::keys::{self, Space};
use super::super::values;
use super::super::view::View;
use super::Rules;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::journal::decode_administrator;
use crate::record::{Account, AccountSecret, Administrator, MAX_GIVEN_BACK, Restoration};

impl<V: View> Rules<'_, V> {
    /// Makes up for what was recorded after the backup and is lost. Secrets and vendors' certificates may have been
    /// used since, so that they have no uses left, unless an administrator said that they keep them. Tokens of administrators
    /// may have been ended since, so that all of them end. Certificates may
    /// have been confirmed since, so that no confirmation is awaited any more; none is then revoked because its
    /// confirmation did not come.
    ///
    /// INVARIANT: only a replay of the journal applies the entry of a restore. It applies one entry at a time, so that
    /// the index, which is scanned without changes of a group, has everything before it.
    pub(super) fn apply_restored(
        &mut self,
        at: Timestamp,
        restoration: &Restoration,
        offset: u64,
    ) -> Result<()> {
        self.view.put(keys::restored(), values::restored::encode(LastRestore { at, offset }));
        let mut awaited = Vec::new();
        self.view.scan_durable(Space::Awaited, &mut |key, _| {
            awaited.push(key.to_vec());
            Ok(())
        })?;
        for key in awaited {
            self.view.remove(key);
        }
        // A token may have been ended since the backup. One that was ended must not act again.
        let mut administrators = Vec::new();
        self.view.scan_durable(Space::Administrator, &mut |_, value| {
            let known = decode_administrator(value)?;
            administrators.extend(Some(known).filter(|known| !known.tokens.is_empty()));
            Ok(())
        })?;
        for known in administrators {
            self.apply_administrator(&Administrator { tokens: Vec::new(), ..known })?;
        }
        if restoration.keeps_uses {
            return Ok(());
        }
        let mut accounts = Vec::new();
        self.view.scan_durable(Space::Account, &mut |_, value| {
            let account = values::account::decode(value)?;
            accounts.extend(Some(account).filter(has_uses));
            Ok(())
        })?;
        for mut account in accounts {
            if let Some(secret) = &mut account.secret {
                secret.uses_left = 0;
                // No use may come back for a certificate that the lost instance may have seen confirmed.
                secret.given_back = MAX_GIVEN_BACK;
            }
            if let Some(equipment) = &mut account.equipment {
                equipment.uses_left = 0;
            }
            self.put_account(&account)?;
        }
        Ok(())
    }
}

/// Whether the account's secret or the vendor's certificate of its equipment has a use left, or the secret may get one
/// back.
fn has_uses(account: &Account) -> bool {
    let may_have =
        |secret: &AccountSecret| secret.uses_left > 0 || secret.given_back < MAX_GIVEN_BACK;
    account.secret.as_ref().is_some_and(may_have)
        || account.equipment.as_ref().is_some_and(|equipment| equipment.uses_left > 0)
}
