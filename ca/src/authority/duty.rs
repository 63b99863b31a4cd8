//! What an administrator has an issuing CA do.

use std::sync::PoisonError;

use super::state::Authority;
use crate::error::{Denial, Error, Result};
use crate::record::{Duty, Label};

impl Authority {
    /// Records what an issuing CA does from now on, and has it do so.
    ///
    /// # Errors
    /// As [`Store::record_assigned`]; `Denied` with [`Denial::Conflict`] when the configuration names the default CA.
    pub fn assign(&self, name: &Label, duty: Duty) -> Result<()> {
        refuse_overruled(self.settings.default_ca.as_ref(), duty)?;
        self.ground.store.record_assigned(self.now(), name, duty)?;
        match duty {
            Duty::Default => {
                let mut default = self.default_ca.write().unwrap_or_else(PoisonError::into_inner);
                *default = Some(name.clone());
            }
            Duty::Issue => {
                if let Some(ca) = self.cas.get(name) {
                    ca.take_over();
                }
            }
        }
        Ok(())
    }
}

/// The configuration counts before the records do.
///
/// # Errors
/// `Denied` with [`Denial::Conflict`] for another default CA than the one that the configuration names.
pub fn refuse_overruled(configured: Option<&Label>, duty: Duty) -> Result<()> {
    match configured {
        Some(configured) if duty == Duty::Default => Err(Error::denied(
            Denial::Conflict,
            format!(
                "the configuration names the default CA: `authority.default_ca` is `{configured}`; change that line, or take it out"
            ),
        )),
        _ => Ok(()),
    }
}
