//! The actions of administrators. The same handlers serve the socket of a running server and a command that opens the store itself.
//!
//! [`Request`] and the types of [`answer`] are the whole interface. An action that changes no other record is recorded with
//! the administrator who did it.

mod accounts;
pub mod answer;
mod cas;
mod certificates;
mod crls;
mod directories;
mod handler;
mod recorded;
mod recovery;
mod request;
mod requests;
pub mod socket;
mod store;
mod vendors;

pub use handler::handle;
pub use request::{Request, RequestedDevice, RequestedPeer, RequestedSecret, RequestedVendor};
