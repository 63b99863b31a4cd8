//! rr: the peer has its certificate revoked (RFC 9483 §4.2).

use countersign_ca::oid as ca;
use countersign_ca::record::Reason;
use countersign_ca::x509::Facts;
use der::asn1::OctetString;
use der::{Encode, Tag, Tagged};
use x509_cert::ext::Extension;
use x509_cert::serial_number::SerialNumber;

use super::peer::Client;
use super::response;
use super::transaction::{Outgoing, Transaction};
use crate::client::ClientError;
use crate::cmp::wire::content::RevDetails;
use crate::cmp::wire::crmf::CertTemplate;
use crate::cmp::wire::kind;
use crate::cmp::wire::status::{ACCEPTED, GRANTED_WITH_MODS, REVOCATION_NOTIFICATION};
use crate::request::elements::elements;

impl Client<'_> {
    /// Has a certificate, DER, revoked.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the CA refuses; [`ClientError::Untrusted`] for an answer that is not believed.
    pub fn revoke(&self, certificate: &[u8], reason: Reason) -> Result<(), ClientError> {
        let failed = ClientError::encoding;
        let facts = Facts::of(certificate)?;
        let details = RevDetails {
            cert_details: CertTemplate {
                serial_number: Some(SerialNumber::new(&facts.serial).map_err(failed)?),
                issuer: Some(facts.issuer),
                ..CertTemplate::default()
            },
            crl_entry_details: Some(vec![Extension {
                extn_id: ca::CRL_REASON,
                critical: false,
                // CRLReason ::= ENUMERATED (RFC 5280 §5.3.1).
                extn_value: OctetString::new(reason.to_der().map_err(failed)?).map_err(failed)?,
            }]),
        };
        let content = vec![details].to_der().map_err(failed)?;
        let outgoing = Outgoing { kind: kind::RR, content, ..Outgoing::default() };
        let answer = Transaction::begin(self)?.ask(&outgoing)?;
        if answer.kind != kind::RP {
            return Err(ClientError::untrusted(format!(
                "expected rp to the rr, found {}",
                kind::name(answer.kind)
            )));
        }
        let unreadable = ClientError::unreadable("a RevRepContent");
        let parts = elements(&answer.body).map_err(&unreadable)?;
        let statuses = parts.first().filter(|part| part.tag() == Tag::Sequence);
        let statuses: der::Any = statuses
            .map(|part| (*part).into())
            .ok_or_else(|| ClientError::untrusted("the RevRepContent has no status"))?;
        let statuses = elements(&statuses).map_err(&unreadable)?;
        let [status] = statuses.as_slice() else {
            return Err(ClientError::untrusted("expected one status in the RevRepContent"));
        };
        let status = response::status_info(*status)?;
        match status.status {
            ACCEPTED | GRANTED_WITH_MODS | REVOCATION_NOTIFICATION => Ok(()),
            _ => Err(ClientError::Refused(response::refusal(kind::name(kind::RR), &status))),
        }
    }
}
