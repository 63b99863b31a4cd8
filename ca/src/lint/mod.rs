//! The lint: rules of RFC 5280, RFC 4945 and others, applied to octets before they are signed and to finished objects. It does
//! no input or output. Certificates of more than 64 KiB are not parsed, and the running time for a CRL is linear in the number of
//! its entries.
//!
//! It reads mainly with x509-parser, while other libraries encode, so that a mistake of one library is not repeated by the
//! other.

mod certificate;
mod crl;
mod entry;
mod extensions;
mod finding;
mod names;
mod objects;
mod purpose;
mod rules;
mod severity;

pub use entry::{CrlKind, EntryLint};
pub use finding::Finding;
pub(crate) use objects::decoded_tbs_certificate;
pub use objects::{ObjectKind, certificate, crl, file, name, rules, tbs_certificate, tbs_crl};
pub use purpose::Purpose;
pub use rules::Rule;
pub use severity::Severity;
