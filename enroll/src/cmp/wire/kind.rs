//! The kinds of PKIBody: the numbers of its context tags (RFC 9810 §5.1.2), and which kinds may do what.

/// ir: initialization request.
pub const IR: u8 = 0;
/// ip: initialization response.
pub const IP: u8 = 1;
/// cr: certification request.
pub const CR: u8 = 2;
/// cp: certification response.
pub const CP: u8 = 3;
/// p10cr: PKCS #10 certification request.
pub const P10CR: u8 = 4;
/// popdecc: challenge for a proof of possession.
pub const POPDECC: u8 = 5;
/// popdecr: response to the challenge.
pub const POPDECR: u8 = 6;
/// kur: key update request.
pub const KUR: u8 = 7;
/// kup: key update response.
pub const KUP: u8 = 8;
/// rr: revocation request.
pub const RR: u8 = 11;
/// rp: revocation response.
pub const RP: u8 = 12;
/// ccr: cross-certification request.
pub const CCR: u8 = 13;
/// ccp: cross-certification response.
pub const CCP: u8 = 14;
/// pkiconf: confirmation.
pub const PKICONF: u8 = 19;
/// nested: messages inside a message.
pub const NESTED: u8 = 20;
/// genm: general message.
pub const GENM: u8 = 21;
/// genp: general response.
pub const GENP: u8 = 22;
/// error: error message.
pub const ERROR: u8 = 23;
/// certConf: certificate confirmation.
pub const CERT_CONF: u8 = 24;
/// pollReq: polling request.
pub const POLL_REQ: u8 = 25;
/// pollRep: polling response.
pub const POLL_REP: u8 = 26;

/// The name of a kind of body in RFC 9810 §5.1.2; `an unknown body` for a number that is not there.
pub fn name(kind: u8) -> &'static str {
    const NAMES: [&str; 27] = [
        "ir", "ip", "cr", "cp", "p10cr", "popdecc", "popdecr", "kur", "kup", "krr", "krp", "rr",
        "rp", "ccr", "ccp", "ckuann", "cann", "rann", "crlann", "pkiconf", "nested", "genm",
        "genp", "error", "certConf", "pollReq", "pollRep",
    ];
    NAMES.get(usize::from(kind)).copied().unwrap_or("an unknown body")
}

/// Whether a body requests an end entity's certificate: ir, cr, p10cr and kur.
pub(crate) const fn requests_certificate(kind: u8) -> bool {
    matches!(kind, IR | CR | P10CR | KUR)
}

/// Whether the work on a body is mostly computing: a request for an end entity's certificate, and certConf. The server then records one
/// entry, and need not wait for the disk before it makes the answer.
pub(crate) const fn mostly_computes(kind: u8) -> bool {
    requests_certificate(kind) || kind == CERT_CONF
}

/// Whether a body always belongs to a transaction that another message opened: error, certConf and pollReq.
pub(crate) const fn continues_transaction(kind: u8) -> bool {
    matches!(kind, ERROR | CERT_CONF | POLL_REQ)
}

/// Whether a body may belong to a transaction that another message opened. These are the ones that always do, popdecr, and nested, which
/// repeats the transactionID and nonces of the message inside it. Every other body opens a transaction.
pub(crate) const fn may_continue_transaction(kind: u8) -> bool {
    continues_transaction(kind) || matches!(kind, POPDECR | NESTED)
}

/// Whether a body may ask for implicit confirmation: ir, cr, p10cr, kur and ccr, and nested, which may repeat the header of the
/// message inside it (RFC 9483 §3.1).
pub(crate) const fn may_ask_for_implicit_confirm(kind: u8) -> bool {
    requests_certificate(kind) || matches!(kind, CCR | NESTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_of_bodies_have_their_numbers() {
        let numbers = |set: fn(u8) -> bool| (0..=255).filter(|n| set(*n)).collect::<Vec<u8>>();
        assert_eq!(numbers(requests_certificate), [0, 2, 4, 7]);
        assert_eq!(numbers(continues_transaction), [23, 24, 25]);
        assert_eq!(numbers(may_continue_transaction), [6, 20, 23, 24, 25]);
        assert_eq!(numbers(may_ask_for_implicit_confirm), [0, 2, 4, 7, 13, 20]);
    }
}
