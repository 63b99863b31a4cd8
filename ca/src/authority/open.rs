//! Opens the authority of a founded instance.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, RwLock};

use super::accounts::Accounts;
use super::changes::Changes;
use super::issuer::Ca;
use super::opened::OpenedSecrets;
use super::settings::Settings;
use super::signers::Signers;
use super::state::Authority;
use super::succession::connected;
use super::vendor_crls::CrlFiles;
use crate::error::{Error, Result};
use crate::founding::{AUDIT_KEY, Foundation, SEAL_KEY};
use crate::key::Opener;
use crate::profile::Profiles;
use crate::record::Label;
use crate::record::line::issuing_now;

impl Authority {
    /// Opens a founded instance: its sealing key, its audit key and the keys of its issuing CAs. An issuing CA whose delegate for CMP
    /// has no valid certificate issues one.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a wrong passphrase; [`Error::Unavailable`] if a key is missing or belongs to another certificate;
    /// [`Error::Malformed`] if the default CA in the settings is not an issuing CA of this instance; the errors of the store.
    pub fn open(foundation: Foundation, profiles: Profiles, settings: Settings) -> Result<Self> {
        let opener = Opener::load(&foundation.keys, SEAL_KEY, &foundation.passphrase)?;
        let audit = foundation.keys.load(AUDIT_KEY, &foundation.passphrase)?;
        let (mut cas, retired) = (BTreeMap::new(), foundation.store.retired_cas()?);
        for record in connected(foundation.store.cas()?, foundation.clock.now()) {
            let mut ca = Ca::open(&foundation, record)?;
            ca.set_retired(retired.contains(&ca.info().name));
            ca.appoint_protection(&foundation)?;
            cas.insert(ca.info().name.clone(), ca);
        }
        let recorded = foundation.store.default_ca()?;
        let default_ca = default_ca(&cas, settings.default_ca.as_ref(), recorded)?;
        let accounts = Accounts::new(
            Arc::clone(&foundation.store),
            opener.sealer().clone(),
            Arc::clone(&foundation.clock),
            Arc::clone(&foundation.entropy),
        );
        // Opening this box costs as much as opening a real secret (`try_decoy`).
        let decoy = opener.sealer().seal(&[0; 32], b"decoy", foundation.entropy.as_ref())?;
        Ok(Self {
            foundation,
            accounts,
            opener,
            opened: OpenedSecrets::default(),
            signers: Signers::default(),
            audit,
            profiles: RwLock::new(Arc::new(profiles)),
            settings,
            cas,
            default_ca: RwLock::new(default_ca),
            failures: Arc::default(),
            vendors: Mutex::default(),
            vendor_crls: CrlFiles::default(),
            crossing: Mutex::default(),
            confirmations: Arc::default(),
            changes: Changes::default(),
            decoy,
        })
    }
}

/// The default CA: the configured one (`wanted`), which must be an issuing CA, or else the recorded one.
fn default_ca(
    cas: &BTreeMap<Label, Ca>,
    wanted: Option<&Label>,
    recorded: Option<Label>,
) -> Result<Option<Label>> {
    let mut issuing =
        cas.values().map(Ca::info).filter(|info| !info.is_root).map(|info| &info.name);
    match wanted {
        Some(wanted) => match issuing.find(|name| *name == wanted) {
            Some(name) => match issuing_now(cas.values(), name).map(Ca::require_active) {
                None | Some(Ok(())) => Ok(Some(name.clone())),
                Some(Err(error)) => Err(Error::malformed(format!(
                    "`default_ca` names `{name}`: {error}; name another CA there, or undo it with `countersign ca retire NAME --undo`"
                ))),
            },
            None => Err(Error::malformed(format!(
                "`default_ca` names `{wanted}`, and there is no such issuing CA"
            ))),
        },
        None => Ok(recorded),
    }
}
