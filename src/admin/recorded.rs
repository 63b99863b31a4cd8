//! Actions of administrators in the journal and the log.

use std::fmt::Display;

use countersign_ca::record::AdminAction;
use countersign_ca::{Clock, Store, SystemClock};

use super::actor;
use crate::exit::Failure;
use crate::instance::Instance;

/// Records in the journal that the user who runs this process did `action`, a command such as `ca add`, on the instance's files.
///
/// # Errors
/// As [`record`].
pub fn record_own(store: &dyn Store, action: &str, detail: String) -> Result<(), Failure> {
    let done = AdminAction { actor: actor::own(), action: action.to_owned(), detail };
    store.record_admin_action(SystemClock.now(), &done).map_err(|error| {
        let failure = Failure::from(error);
        let message = format!(
            "`{action}` is done, but the journal does not say by whom: {}",
            failure.message
        );
        Failure { message, ..failure }
    })
}

/// Records in the journal, and logs, that `actor`, such as `uid 0`, did `action`, a noun and a verb such as `peer remove`. `detail` names
/// the objects of the action. The caller has carried out the action.
///
/// # Errors
/// The store cannot record it. The message says that the action is done all the same.
pub fn record(
    instance: &Instance,
    actor: &str,
    action: &str,
    detail: &dyn Display,
) -> Result<(), Failure> {
    let done = AdminAction {
        actor: actor.to_owned(),
        action: action.to_owned(),
        detail: detail.to_string(),
    };
    tracing::info!(actor, action, detail = done.detail, "administrator");
    instance.store.record_admin_action(instance.now(), &done).map_err(|error| {
        let failure = Failure::from(error);
        let message = format!(
            "`{action}` is done ({}), but the journal does not say that {actor} did it: {}",
            done.detail, failure.message
        );
        tracing::error!(actor, action, "{message}");
        Failure { message, ..failure }
    })
}
