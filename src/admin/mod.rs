//! The actions of administrators. The same handlers serve the socket of a running server, its administration API, and a
//! command that opens the store itself.
//!
//! [`Request`] and the types of [`answer`] are the whole interface. Every change is recorded with the administrator who made it: in an
//! entry of its own, or in the decision about a request.

mod accounts;
pub mod actor;
pub mod administrators;
pub mod answer;
mod cas;
mod certificates;
mod cps;
mod crls;
mod directories;
mod handler;
mod issuing;
mod notifications;
mod plan;
mod principal;
pub mod recorded;
mod recovery;
pub mod refusals;
pub mod report;
mod request;
mod requests;
mod revoking;
pub mod socket;
mod status;
mod store;
mod vendors;

pub use handler::handle_alone;
pub use principal::{Obstacle, Person, Principal, Proof, Unfulfilled};
pub use recorded::record as record_action;
pub use recorded::record_here;
pub use request::{
    AccountFilter, AccountState, CaDuty, CertificateFilter, Existing, ReportFilter, Request,
    RequestedDevice, RequestedEdit, RequestedGrant, RequestedPeer, RequestedRevocation,
    RequestedSecret, RequestedVendor, ShownBy, SortKey,
};
pub use status::look;
