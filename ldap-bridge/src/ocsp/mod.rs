//! The Online Certificate Status Protocol (RFC 6960), with the lightweight profile (RFC 5019) and nonces (RFC 9654).
//!
//! The service answers one request at a time, synchronously; HTTP is elsewhere. A delegated responder of the CA signs
//! ([`countersign_ca::authority::Responder`]). An answer about one issued certificate is cached until half of its validity is over, and
//! [`OcspService::refresh`] renews it before that. Each look-up compares the cached status with the present one, so that a change appears
//! in the very next answer. What can be answered without waiting ([`OcspService::ready`]) may be answered on an event loop.
//!
//! Unsigned errors answer a request that exceeds a bound or has an unknown critical extension (`malformedRequest`); a request about a CA
//! whose private key this instance does not have (`unauthorized`, RFC 5019 §2.2.3); and a request about several CAs, because an answer has
//! one signer, which belongs to one CA (RFC 6960 §4.2.2.2; also `unauthorized`). Signatures on requests are ignored, because the status is
//! public.

mod answer;
mod cache;
mod issued;
mod issuers;
mod request;
mod response;
mod service;

pub use answer::{Answer, Freshness, Kind};
pub use request::{MAX_CERTIFICATES, MAX_REQUEST};
pub use service::{OcspConfig, OcspService};
