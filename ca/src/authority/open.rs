//! Opens the authority of an instance that was founded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, RwLock};

use super::accounts::Accounts;
use super::changes::Changes;
use super::issuer::Ca;
use super::settings::Settings;
use super::state::Authority;
use super::succession::connected;
use super::vendor_crls::CrlFiles;
use crate::error::{Error, Result};
use crate::founding::{AUDIT_KEY, Foundation, SEAL_KEY};
use crate::key::Opener;
use crate::profile::Profiles;
use crate::record::Label;

impl Authority {
    /// Opens the keys of an instance that was founded.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a wrong passphrase, [`Error::Unavailable`] when keys are missing,
    /// [`Error::Malformed`] when the settings name a CA that there is not.
    pub fn open(ground: Foundation, profiles: Profiles, settings: Settings) -> Result<Self> {
        let opener = Opener::load(&ground.keys, SEAL_KEY, &ground.passphrase)?;
        let audit = ground.keys.load(AUDIT_KEY, &ground.passphrase)?;
        let mut cas = BTreeMap::new();
        for record in connected(ground.store.cas()?, ground.clock.now()) {
            let mut ca = Ca::open(&ground, record)?;
            ca.appoint_protection(&ground)?;
            cas.insert(ca.info().name.clone(), ca);
        }
        let recorded = ground.store.default_ca()?;
        let default_ca = default_ca(&cas, settings.default_ca.as_ref(), recorded)?;
        let accounts = Accounts::new(
            Arc::clone(&ground.store),
            opener.sealer().clone(),
            Arc::clone(&ground.clock),
            Arc::clone(&ground.entropy),
        );
        let decoy = opener.sealer().seal(&[0; 32], b"decoy", ground.entropy.as_ref())?;
        Ok(Self {
            ground,
            accounts,
            opener,
            audit,
            profiles: RwLock::new(Arc::new(profiles)),
            settings,
            cas,
            default_ca: RwLock::new(default_ca),
            failures: Arc::default(),
            vendors: Mutex::default(),
            vendor_crls: CrlFiles::default(),
            crossing: Mutex::default(),
            confirming: RwLock::default(),
            changes: Changes::default(),
            decoy,
        })
    }
}

fn default_ca(
    cas: &BTreeMap<Label, Ca>,
    wanted: Option<&Label>,
    recorded: Option<Label>,
) -> Result<Option<Label>> {
    let mut issuing =
        cas.values().map(Ca::info).filter(|info| !info.is_root).map(|info| &info.name);
    match wanted {
        Some(wanted) => match issuing.find(|name| *name == wanted) {
            Some(name) => Ok(Some(name.clone())),
            None => Err(Error::malformed(format!(
                "`default_ca` names `{wanted}`, and there is no such issuing CA"
            ))),
        },
        None => Ok(recorded),
    }
}
