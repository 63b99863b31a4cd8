//! The transaction of a request. EST has no transactionID, so the request itself names its transaction: a client that asks again with the
//! same octets and the same credential goes on where it was, also after a restart of the server.

use std::net::IpAddr;

use countersign_ca::authority::TransactionDraft;
use countersign_ca::record::{ProvenBy, Serial};
use countersign_ca::{Credential, Requester, Timestamp};
use ring::digest::{Context, SHA256};

/// The prefix of the identifier of every EST transaction. The store files it beside the transactionIDs of CMP, which clients choose and
/// most of which have 16 octets. The prefix makes it unlikely that two are equal.
const PREFIX: &[u8] = b"est ";

/// The prefix for requests for a generated key, so that none is mistaken for a request with a key of its own.
const KEY_PREFIX: &[u8] = b"estkey ";

/// The context of every transaction: the protocol alone, because the next request repeats everything else.
const CONTEXT: &[u8] = b"EST";

/// The identifier of the transaction of a request by this requester. A new secret, a renewed certificate and a later account begin another
/// transaction; a rename of the account does not. `renews` is the serial number of the certificate that is renewed.
pub fn identifier(requester: &Requester, renews: Option<&Serial>, request: &[u8]) -> Vec<u8> {
    [PREFIX, &hash(requester, renews, request)].concat()
}

/// The identifier of the transaction of a request by this requester for a generated key. `digest` is that of the
/// CertificationRequestInfo: a client that signs the same content anew means the same request, because the signature proves nothing here.
pub fn key_identifier(requester: &Requester, digest: &[u8; 32]) -> Vec<u8> {
    [KEY_PREFIX, &hash(requester, None, digest)].concat()
}

fn hash(requester: &Requester, renews: Option<&Serial>, request: &[u8]) -> [u8; 32] {
    let account = requester.account();
    let incarnation = account.incarnation.offset().to_be_bytes();
    let credential = match requester.credential() {
        Credential::Secret => {
            account.secret.as_ref().map(|secret| secret.sealed.clone()).unwrap_or_default()
        }
        Credential::Certificate(record) | Credential::Registrar(record) => {
            record.certificate.clone()
        }
        // Beside the certificate, the name tells accounts of one import apart that were for the same equipment one after the other.
        Credential::Vendor(vendor) => {
            [account.name.as_str().as_bytes(), &[0], &vendor.certificate].concat()
        }
    };
    let renews = renews.map(ToString::to_string).unwrap_or_default();
    let mut hash = Context::new(&SHA256);
    for part in [&incarnation[..], &credential, renews.as_bytes(), request] {
        hash.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finish().as_ref().try_into().unwrap_or_default()
}

/// The draft of a transaction that expires at this time.
pub fn draft(
    id: Vec<u8>,
    expires: Timestamp,
    client: Option<IpAddr>,
    proof: ProvenBy,
) -> TransactionDraft {
    TransactionDraft {
        id,
        expires,
        context: CONTEXT.to_vec(),
        confirm_until: None,
        registrar: None,
        client,
        proof: Some(proof),
    }
}
