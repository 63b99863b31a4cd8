//! Runs the functions that read a message without a key on any octets: for the fuzzer, and for the test of the fuzzer's seed inputs. A
//! panic is a fault of this crate.

use countersign_ca::x509::Facts;
use der::{Decode, Encode};

use super::client;
use super::server::reply::echo::Echo;
use super::server::service::config::CmpConfig;
use super::server::service::context::Context;
use super::wire::bounds;
use super::wire::content::{CertStatus, ErrorMsgContent, PollReq, RevDetails};
use super::wire::crmf::CertReqMsg;
use super::wire::mac::MacParameters;
use super::wire::message::Message;
use crate::legible::legible;
use crate::request::elements::elements;
use crate::request::extensions::AltNames;
use crate::request::pkcs10::certification_request;

/// Reads octets as a message, and the body of that message as each kind of body. The results are dropped.
pub fn decode(octets: &[u8]) {
    let _ = Context::decode(octets);
    let config = CmpConfig::default();
    if let Err(refusal) = bounds::check(octets, config.bounds) {
        // The server does not decode octets that the bounds refuse. Only the text of the refusal is tried.
        return drop(legible(&refusal.text));
    }
    let Ok(message) = Message::decode(octets) else { return };
    let header = &message.header;
    assert!(message.protected_part.len() <= octets.len(), "more is protected than came");
    let echo = Echo::of(Some(header));
    assert!(echo.transaction_id.is_none_or(|id| id.as_bytes().len() <= 64), "a long echo");
    let algorithm = header.protection_alg.as_ref();
    let _ = algorithm.and_then(|algorithm| MacParameters::read(algorithm, &config.mac_limits()));
    for certificate in &message.extra_certs {
        let _ = Facts::of(certificate);
    }
    read_nested(&message, config.bounds.elements);
    let _ = message.body.decode_as::<Vec<PollReq>>();
    let _ = certification_request(&message.body, AltNames::Repaired);
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

/// Decodes the messages in the body of a nested message, `most` of them at most.
fn read_nested(message: &Message, most: usize) {
    for part in elements(&message.body).unwrap_or_default().into_iter().take(most) {
        if let Ok(der) = part.to_der() {
            let _ = Message::decode(&der);
        }
    }
}
