//! The instance's store and keys, for commands that make CAs and sign with their keys while no server runs.

use std::sync::Arc;

use countersign_ca::founding::Foundation;

use super::context::Context;
use crate::exit::Failure;
use crate::passphrase;

/// Opens the store of the instance for a command that makes CA keys. No server may be running; `what` says in the message what to do once
/// it is stopped.
pub fn open_foundation(context: &Context, what: &str) -> Result<Foundation, Failure> {
    let location = &context.location;
    if location.server()?.is_some() {
        return Err(Failure::unavailable(format!(
            "a server runs on this data folder; stop it, {what}, and start it again"
        )));
    }
    let passphrase = passphrase::existing(&location.folder, location.passphrase_file.as_deref())?;
    Ok(location.foundation(Arc::new(location.open_store()?), passphrase))
}
