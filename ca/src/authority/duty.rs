//! Duties that an administrator assigns to an issuing CA: to be the default CA, to issue in its predecessor's place, or to issue no more.

use std::sync::PoisonError;

use super::state::Authority;
use crate::error::{Denial, Error, Result};
use crate::record::line::{Member, issuing_now};
use crate::record::{Duty, Label};

impl Authority {
    /// Records a duty of an issuing CA and puts it into effect.
    ///
    /// # Errors
    /// As [`Store::record_assigned`](crate::Store::record_assigned); `Denied` with [`Denial::Conflict`] if the
    /// configuration names the default CA.
    pub fn assign(&self, name: &Label, duty: Duty) -> Result<()> {
        refuse_overruled(self.cas.values(), self.settings.default_ca.as_ref(), name, duty)?;
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
            Duty::Retire | Duty::Return => {
                if let Some(ca) = self.cas.get(name) {
                    ca.set_retired(duty == Duty::Retire);
                }
            }
        }
        Ok(())
    }
}

/// Refuses the duty [`Duty::Default`] if the configuration names the default CA (`configured`), because the configuration takes
/// precedence over the records, and [`Duty::Retire`] for a CA of its line among `cas`: any key of it. Any other duty passes.
///
/// # Errors
/// `Denied` with [`Denial::Conflict`] if it refuses.
pub fn refuse_overruled<'a, C: Member + 'a>(
    cas: impl Iterator<Item = &'a C> + Clone,
    configured: Option<&Label>,
    name: &Label,
    duty: Duty,
) -> Result<()> {
    let issuer = |of: &Label| issuing_now(cas.clone(), of).map(Member::name);
    let is_of_its_line = |configured: &Label| {
        configured == name || issuer(name).is_some_and(|ca| issuer(configured) == Some(ca))
    };
    match configured {
        Some(configured)
            if duty == Duty::Default || (duty == Duty::Retire && is_of_its_line(configured)) =>
        {
            Err(Error::denied(
                Denial::Conflict,
                format!(
                    "the configuration names the default CA: `authority.default_ca` is `{configured}`; change that line, or take it out"
                ),
            ))
        }
        _ => Ok(()),
    }
}
