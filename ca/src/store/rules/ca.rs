//! The rules for CAs and their duties.

use super::super::keys;
use super::super::view::View;
use super::Rules;
use super::refusal::conflict;
use crate::error::Result;
use crate::journal::{decode_ca, encode_ca};
use crate::record::{CaRecord, Duty, Label};

impl<V: View> Rules<'_, V> {
    pub(super) fn ca(&self, name: &Label) -> Result<Option<CaRecord>> {
        let record = self.view.value(&keys::ca(name))?;
        record.map(|octets| decode_ca(&octets)).transpose()
    }

    pub(super) fn check_assigned(&self, name: &Label, duty: Duty) -> Result<()> {
        // A root's next key certifies issuing CAs from its activation on; a root issues to no account.
        let may_have = |ca: &CaRecord| !ca.is_root || duty == Duty::Issue;
        let ca = self.ca(name)?.filter(may_have).ok_or_else(|| {
            conflict(format!("there is no issuing CA `{name}`; `countersign ca show` lists them"))
        })?;
        let waits = ca.succeeds.is_some_and(|succession| succession.waits);
        match duty {
            Duty::Issue if !waits => {
                Err(conflict(format!("the CA `{name}` does not wait to issue in place of another")))
            }
            Duty::Default if waits => Err(conflict(format!(
                "the CA `{name}` waits to issue in place of another: `countersign ca activate {name}` first"
            ))),
            _ => Ok(()),
        }
    }

    /// Records a CA. The first issuing CA becomes the default CA, and stays it until an administrator chooses another
    /// one.
    pub(super) fn apply_ca(&mut self, ca: &CaRecord) -> Result<()> {
        self.view.put(keys::ca(&ca.name), encode_ca(ca)?);
        if !ca.is_root && self.view.value(&keys::default_ca())?.is_none() {
            self.make_default(&ca.name);
        }
        Ok(())
    }

    pub(super) fn apply_assigned(&mut self, name: &Label, duty: Duty) -> Result<()> {
        match (duty, self.ca(name)?) {
            (Duty::Default, _) => self.make_default(name),
            (Duty::Issue, Some(mut ca)) => {
                if let Some(succession) = &mut ca.succeeds {
                    succession.waits = false;
                }
                self.apply_ca(&ca)?;
            }
            (Duty::Issue, None) => {}
        }
        Ok(())
    }

    fn make_default(&mut self, name: &Label) {
        self.view.put(keys::default_ca(), name.as_str().as_bytes().to_vec());
    }
}
