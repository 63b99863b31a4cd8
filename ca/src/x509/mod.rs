//! X.509: reads the fields of certificates, and encodes the parts that certificates and CRLs share.

mod encoding;
mod facts;
mod pem;

pub use encoding::{
    Criticality, Policy, authority_info_access, authority_key_identifier, distribution_points,
    extension, octets, policy_information, subject_alt_name, time,
};
pub use facts::{Facts, verify_signature};
pub use pem::{read_all, to_pem};
