//! Duties that an administrator assigns to an issuing CA: to be the default CA, or to issue in its predecessor's place.

use std::sync::PoisonError;

use super::state::Authority;
use crate::error::{Denial, Error, Result};
use crate::record::{Duty, Label};

impl Authority {
    /// Records a duty of an issuing CA and puts it into effect.
    ///
    /// # Errors
    /// As [`Store::record_assigned`](crate::Store::record_assigned); `Denied` with [`Denial::Conflict`] if the
    /// configuration names the default CA.
    pub fn assign(&self, name: &Label, duty: Duty) -> Result<()> {
        refuse_overruled(self.settings.default_ca.as_ref(), duty)?;
        self.foundation.store.record_assigned(self.now(), name, duty)?;
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

/// Refuses the duty [`Duty::Default`] if the configuration names the default CA (`configured`), because the configuration takes
/// precedence over the records. Any other duty passes.
///
/// # Errors
/// `Denied` with [`Denial::Conflict`] if it refuses.
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
