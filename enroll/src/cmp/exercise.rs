//! One function that puts octets through everything that reads a stranger's message without a key, for the fuzzer and the
//! test of its seeds. It panics only on a fault of this crate.

use countersign_ca::certificate::Facts;
use der::{Decode, Encode};

use crate::cmp::wire::content::{CertStatus, ErrorMsgContent, RevDetails};
use crate::cmp::server::service::context::Context;
use crate::cmp::wire::crmf::{CertReqMsg, elements, pkcs10};
use crate::cmp::server::sender::header::Echo;
use crate::cmp::wire::mac::MacParameters;
use crate::cmp::wire::message::Message;
use crate::cmp::server::exchange::poll::PollReq;
use crate::cmp::wire::refusal::legible;
use crate::cmp::server::service::CmpConfig;
use super::client;
use super::wire::bounds;

/// Reads a message and every kind of body in it.
pub fn decode(octets: &[u8]) {
    let _ = Context::decode(octets);
    let config = CmpConfig::default();
    if let Err(refusal) = bounds::check(octets, config.bounds) {
        // What is refused before it is decoded may be anything; what is decoded must have been within the bounds.
        return drop(legible(&refusal.text));
    }
    let Ok(message) = Message::decode(octets) else { return };
    let header = &message.header;
    assert!(message.protected_part.len() <= octets.len(), "more is protected than came");
    let echo = Echo::of(Some(header));
    assert!(echo.transaction_id.is_none_or(|id| id.as_bytes().len() <= 64), "a long echo");
    let algorithm = header.protection_alg.as_ref();
    let _ = algorithm.and_then(|algorithm| MacParameters::read(algorithm, &config));
    for certificate in &message.extra_certs {
        let _ = Facts::of(certificate);
    }
    crate::cmp::server::sender::nested::read(&message, config.bounds);
    let _ = message.body.decode_as::<Vec<PollReq>>();
    let _ = pkcs10(&message.body, true);
    if let Ok(request) = CertReqMsg::only(&message.body) {
        let _ = request.old_cert_id();
        let _ = request.proven(&header.sender, None);
    }
    let _ = message.body.decode_as::<ErrorMsgContent>();
    client::exercise(&message);
    for part in elements(&message.body).unwrap_or_default() {
        let Ok(der) = part.to_der() else { continue };
        let _ = RevDetails::from_der(&der);
        let _ = CertStatus::from_der(&der);
    }
}
