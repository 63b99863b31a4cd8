//! Actions of administrators in the journal and the log.

use std::fmt::Display;

use countersign_ca::Store;
use countersign_ca::record::Deed;

use crate::exit::Failure;
use crate::instance::Instance;

/// Records in the journal, and logs, that `actor`, such as `uid 0`, did `action`, a noun and a verb such as `peer remove`. `detail` names
/// the objects of the action.
///
/// # Errors
/// The store cannot record it.
pub fn record(
    instance: &Instance,
    actor: &str,
    action: &str,
    detail: &dyn Display,
) -> Result<(), Failure> {
    let deed =
        Deed { actor: actor.to_owned(), action: action.to_owned(), detail: detail.to_string() };
    tracing::info!(actor, action, detail = deed.detail, "administrator");
    Ok(instance.store.record_deed(instance.now(), &deed)?)
}
