//! The rules for CAs and their duties.

use super::super::keys;
use super::super::keys::Space;
use super::super::view::View;
use super::Rules;
use super::refusal::conflict;
use crate::error::Result;
use crate::journal::{decode_ca, encode_ca};
use crate::record::line::issuing_now;
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
        let waits = ca.succeeds.as_ref().is_some_and(|succession| succession.waits);
        let is_retired = self.view.value(&keys::retired(name))?.is_some();
        match duty {
            Duty::Retire if is_retired => {
                Err(conflict(format!("the CA `{name}` is retired already")))
            }
            Duty::Retire if waits => Err(conflict(format!(
                "the CA `{name}` waits to issue in place of another, and issues nothing yet"
            ))),
            Duty::Retire if self.is_of_default_line(&ca)? => Err(conflict(format!(
                "the CA `{name}` issues for accounts that name no CA: choose another one with `--default NAME`, or with \
                 `countersign ca set-default NAME`; `countersign ca add` makes one"
            ))),
            Duty::Return if !is_retired => Err(conflict(format!("the CA `{name}` is not retired"))),
            Duty::Default | Duty::Issue if is_retired => Err(conflict(format!(
                "the CA `{name}` is retired: `countersign ca retire {name} --undo` first"
            ))),
            Duty::Issue if !waits => {
                Err(conflict(format!("the CA `{name}` does not wait to issue in place of another")))
            }
            Duty::Default if waits => Err(conflict(format!(
                "the CA `{name}` waits to issue in place of another: `countersign ca activate {name}` first"
            ))),
            Duty::Default | Duty::Issue => self.refuse_retired_line(name),
            _ => Ok(()),
        }
    }

    /// Refuses a CA if the one that issues in its place now is retired: with no key does that line issue.
    fn refuse_retired_line(&self, name: &Label) -> Result<()> {
        let mut names = Vec::new();
        self.view.scan_durable(Space::Ca, &mut |_, octets| {
            names.push(decode_ca(octets)?.name);
            Ok(())
        })?;
        let mut cas = Vec::with_capacity(names.len());
        for name in &names {
            cas.extend(self.ca(name)?);
        }
        let Some(issuing) = issuing_now(cas.iter(), name).map(|ca| &ca.name) else { return Ok(()) };
        match self.view.value(&keys::retired(issuing))? {
            None => Ok(()),
            Some(_) => Err(conflict(format!(
                "the CA `{issuing}`, which issues in place of `{name}`, is retired: `countersign ca retire {issuing} --undo` first"
            ))),
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
            (Duty::Retire, _) => self.view.put(keys::retired(name), Vec::new()),
            (Duty::Return, _) => self.view.remove(keys::retired(name)),
        }
        Ok(())
    }

    /// Whether this CA or one with an earlier or later key of it is the default CA.
    fn is_of_default_line(&self, ca: &CaRecord) -> Result<bool> {
        let default = self.view.value(&keys::default_ca())?;
        let name = default.and_then(|octets| String::from_utf8(octets).ok()?.parse().ok());
        let Some(default) = name.map(|name| self.ca(&name)).transpose()?.flatten() else {
            return Ok(false);
        };
        Ok(self.is_or_follows(ca, &default.name)? || self.is_or_follows(&default, &ca.name)?)
    }

    /// Whether the CA is the one of this name, or has a later key of it.
    fn is_or_follows(&self, ca: &CaRecord, name: &Label) -> Result<bool> {
        let mut ca = Some(ca.clone());
        for _ in 0..super::MAX_KEYS {
            let Some(now) = ca else { return Ok(false) };
            if now.name == *name {
                return Ok(true);
            }
            let before = now.succeeds.map(|succession| succession.predecessor);
            ca = before.map(|before| self.ca(&before)).transpose()?.flatten();
        }
        Ok(false)
    }

    fn make_default(&mut self, name: &Label) {
        self.view.put(keys::default_ca(), name.as_str().as_bytes().to_vec());
    }
}
