//! Runs the functions that read a message without a key on any octets: for the fuzzer, and for the test of the fuzzer's seed inputs. A
//! panic is a fault of this crate.

use super::config::{Legacy, ScepConfig};
use super::envelope::Envelope;
use super::message::PkiMessage;
use super::query;
use crate::ber;
use crate::request::extensions::AltNames;
use crate::request::pkcs10::certification_request_in;

/// Reads octets as a message, as an envelope, as the content of one, and as a query. The results are dropped.
pub fn decode(octets: &[u8]) {
    let bounds = ScepConfig::default().bounds;
    if let Ok(definite) = ber::definite(octets, bounds) {
        // What was made definite is so already.
        let again = ber::definite(&definite, ber::Bounds { bytes: usize::MAX, ..bounds });
        assert!(again.is_ok_and(|again| again == definite), "another octets at the second time");
        drop(certification_request_in(&definite, AltNames::Repaired));
    }
    if let Ok(message) = PkiMessage::read(octets, bounds) {
        drop(message.kind());
        drop(message.verify(Legacy::Accepted));
        drop(Envelope::read(&message.content, bounds, Legacy::Accepted));
    }
    if let Ok(envelope) = Envelope::read(octets, bounds, Legacy::Accepted) {
        drop(envelope.decrypt(&[0; 16]));
        envelope.recipients.iter().for_each(|recipient| drop(recipient.transport()));
    }
    if let Ok(text) = std::str::from_utf8(octets) {
        drop(query::parameter(text, "message").map(query::message));
    }
}
