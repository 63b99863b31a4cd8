//! What administrators may do: verbs, which are the requests on the admin socket, and roles, which are sets of verbs.

mod role;
mod verb;

pub use role::Roles;
pub use verb::{Effect, Verb};
