//! Profiles: what certificates of each kind contain. A request only proposes; the account and the profile decide.
//!
//! An operator writes a [`ProfileConfig`]. It is checked once, when the configuration is read, and becomes a [`Profile`] (RFC 5280
//! §4, RFC 4945 §5.1).

mod checked;
mod config;
mod reading;
pub mod subject;
mod template;
mod url;
mod wanted_key;

pub use checked::{AltNameKind, Profile};
pub use config::{BUILT_IN, DefaultUrls, PolicyConfig, ProfileConfig, built_in};
pub use reading::{Profiles, parse_oid};
pub use subject::Names;
pub use url::filled_url;
pub use wanted_key::{KeyOrder, WantedKey};

pub use crate::x509::Policy;
