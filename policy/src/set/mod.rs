//! Policy sets: assertions that are parsed, verified and connected once, and then answer many questions.

mod ask;
mod builder;
mod dropped;
mod graph;
mod loaded;
mod policy_set;

pub use ask::{Answer, Question};
pub use builder::PolicySetBuilder;
pub use dropped::{DropReason, Dropped, MAX_CREDENTIAL};
pub use policy_set::PolicySet;

pub(crate) use ask::Outcome;
pub(crate) use loaded::{AssertionId, Loaded, PrincipalId};
