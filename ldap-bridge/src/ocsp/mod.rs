//! The Online Certificate Status Protocol (RFC 6960), with the lightweight profile (RFC 5019) and nonces (RFC 9654).
//!
//! One request, one answer, synchronous and without HTTP. A delegated responder of the CA signs
//! ([`countersign_ca::authority::Responder`]). Answers about one issued certificate are kept until its status changes or
//! half their validity is over, and [`OcspService::refresh`] signs them ahead; every look-up compares the kept status
//! with the present one, so a change shows in the very next answer.
//!
//! What is answered with an error, unsigned: a request that breaks a bound or holds a critical extension that is not
//! known (`malformedRequest`), one for a CA whose key is not here (`unauthorized`, RFC 5019 §2.2.3), and one for several
//! CAs, because one answer has one signer and RFC 6960 §4.2.2.2 binds it to one CA (`unauthorized` too). Signatures on
//! requests are not looked at: the status is public.

mod answer;
mod cache;
mod issuers;
mod request;
mod response;
mod service;

pub use answer::{Answer, Freshness, Kind};
pub use request::{MAX_CERTIFICATES, MAX_REQUEST};
pub use service::{OcspConfig, OcspService};
