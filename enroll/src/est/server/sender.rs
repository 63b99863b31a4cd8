//! Authenticates the sender of a request: by the secret of an account (HTTP Basic), by a certificate that this authority issued, or by one
//! of a trusted vendor. TLS has proven that the client holds the key of its certificate.

use std::net::IpAddr;
use std::time::Duration;

use countersign_ca::authority::{Attempt, Candidate};
use countersign_ca::record::Serial;
use countersign_ca::x509::Facts;
use countersign_ca::{Credential, Denial, Error, Requester};
use subtle::ConstantTimeEq;

use super::refusal::{Failure, Refusal, Stop};
use super::service::EstService;
use super::transaction::identifier;
use crate::est::connection::ClientCertificate;
use crate::est::wire::basic::Credentials;
use crate::est::wire::operation::Operation;
use crate::transport::account_slots::AccountSlot;
use crate::transport::pool::Pool;

/// The reason, for the log, why a request is not worked on.
const TOO_MANY: &str = "too many requests of the account are worked on; try again";

/// The proofs that came with a request.
pub struct Proofs<'a> {
    /// The reference and the secret of an account; `None` without HTTP Basic.
    pub credentials: Option<&'a Credentials>,
    /// The certificate of the TLS connection.
    pub certificate: Option<&'a ClientCertificate>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The request, DER.
    pub request: &'a [u8],
}

/// A sender that was authenticated.
pub struct Authenticated {
    /// The sender.
    pub requester: Requester,
    /// The serial number of the certificate that is renewed; `None` if the request is for a further certificate.
    pub renews: Option<Serial>,
    /// The slot of the account, which the request takes.
    pub _slot: AccountSlot,
}

impl EstService {
    /// Authenticates the sender of a request. A secret decides about a first certificate, and the client's certificate about the next
    /// one. A client that sends both must be the same account by both; only a stranger's certificate beside the right secret is ignored,
    /// because some clients present whichever they have.
    ///
    /// # Errors
    /// 401 without any proof or with a wrong secret, 403 for a certificate that is not accepted; [`Stop::Busy`];
    /// [`Stop::NeedsBlockingThread`] before a vendor's CRLs are read.
    pub(super) fn authenticate(
        &self,
        operation: Operation,
        proofs: &Proofs<'_>,
        pool: Pool,
    ) -> Result<Authenticated, Stop> {
        let renewing = operation == Operation::SimpleReenroll;
        let by_secret = match proofs.credentials {
            Some(credentials) => Some(self.by_secret(credentials, proofs.client)?),
            None => None,
        };
        let by_certificate = match proofs.certificate {
            None => None,
            Some(ClientCertificate::Unreadable(why)) if by_secret.is_none() => {
                return Err(unusable(why).into());
            }
            Some(ClientCertificate::Unreadable(_)) => None,
            Some(ClientCertificate::Proven(certificates)) => {
                // An expired certificate renews itself, and gets nothing else.
                let late = if renewing { self.config().renew_expired } else { Duration::ZERO };
                self.by_certificate(certificates, by_secret.is_some(), late, proofs.request, pool)?
            }
        };
        let (requester, slot) = match (by_secret, by_certificate) {
            (None, None) => {
                let text = "expected the reference and the secret of an account (HTTP Basic), or a client certificate";
                return Err(Refusal::new(Failure::Challenge, text).into());
            }
            (Some(_), None) if renewing && proofs.certificate.is_none() => {
                let text = "a renewal needs the certificate that it renews as the client certificate of TLS; with a secret, use \
                            /simpleenroll";
                return Err(Refusal::new(Failure::Forbidden, text).into());
            }
            (Some(requester), None) => (requester, None),
            (None, Some(sender)) => (sender.requester, sender.slot),
            (Some(requester), Some(sender)) => {
                let (own, other) = (requester.account(), sender.requester.account());
                if (&own.name, own.incarnation) != (&other.name, other.incarnation) {
                    let text = format!(
                        "the secret is of the account `{}`, and the client certificate of `{}`; use those of one account",
                        own.name, other.name
                    );
                    return Err(Refusal::new(Failure::Forbidden, text).into());
                }
                match renewing {
                    true => (sender.requester, sender.slot),
                    false => (requester, sender.slot),
                }
            }
        };
        let slot = slot.or_else(|| self.account_slots().try_acquire(&requester.account().name));
        let slot = slot.ok_or(Stop::Busy(TOO_MANY))?;
        let renews = match requester.credential() {
            Credential::Certificate(record) if renewing => Some(record.serial),
            _ => None,
        };
        Ok(Authenticated { requester, renews, _slot: slot })
    }

    /// Authenticates the sender by the secret of its account. The comparison takes as long for a wrong secret as for the right one, and
    /// for an unknown reference.
    fn by_secret(
        &self,
        credentials: &Credentials,
        from: Option<IpAddr>,
    ) -> Result<Requester, Error> {
        let attempt = Attempt { reference: credentials.reference(), from, continues: false };
        self.authority().authenticate_secret(attempt, &mut |candidate| match candidate {
            Candidate::Secret(secret) => bool::from(secret.ct_eq(credentials.secret())),
            Candidate::Decoy(decoy) => {
                let _ = bool::from(decoy.ct_eq(credentials.secret()));
                false
            }
        })
    }

    /// Authenticates the sender by its certificate, which expired at most `late` ago. `None` for a stranger's certificate if the sender has
    /// a secret as well.
    fn by_certificate(
        &self,
        certificates: &[Vec<u8>],
        has_secret: bool,
        late: Duration,
        request: &[u8],
        pool: Pool,
    ) -> Result<Option<ByCertificate>, Stop> {
        let Some(first) = certificates.first() else { return Ok(None) };
        let facts = Facts::of(first).map_err(|why| unusable(&why.to_string()))?;
        let authority = self.authority();
        // TLS has verified the signature of the handshake with the certificate's key.
        let mut proven = |_: &_| Ok(());
        if authority.is_foreign(&facts.issuer) {
            if has_secret {
                tracing::debug!(subject = %facts.subject, "a stranger's client certificate is not used");
                return Ok(None);
            }
            // The vendor's CRLs are read from files.
            // INVARIANT: nothing was recorded yet.
            pool.require_blocking()?;
            return self.by_vendor(certificates, request).map(Some);
        }
        let requester = authority.authenticate_late(first, &facts, late, &mut proven)?;
        // RFC 9810 §5.3.18: a certificate is not in use before it is confirmed.
        if let Credential::Certificate(record) = requester.credential()
            && record.awaits_confirmation
        {
            let text = format!(
                "the client certificate {} awaits its confirmation by CMP; send its certConf first",
                record.serial
            );
            return Err(Refusal::new(Failure::Forbidden, text).into());
        }
        Ok(Some(ByCertificate { requester, slot: None }))
    }

    /// Authenticates a device by the certificate of its vendor. The function takes a slot of the account, and refuses a certificate that
    /// is used up, before it reads the vendor's CRLs. A device that lost the answer may ask again with the same request.
    fn by_vendor(&self, certificates: &[Vec<u8>], request: &[u8]) -> Result<ByCertificate, Stop> {
        let authority = self.authority();
        let (mut slot, mut is_busy) = (None, false);
        let mut admit = |requester: &Requester| {
            if authority.transaction(&identifier(requester, None, request))?.is_none() {
                authority.check_vendors_uses(requester)?;
            }
            slot = self.account_slots().try_acquire(&requester.account().name);
            is_busy = slot.is_none();
            match is_busy {
                true => Err(Error::denied(Denial::Conflict, TOO_MANY)),
                false => Ok(()),
            }
        };
        let admitted = authority.authenticate_equipment(certificates, &mut |_| Ok(()), &mut admit);
        match admitted {
            _ if is_busy => Err(Stop::Busy(TOO_MANY)),
            Ok(requester) => Ok(ByCertificate { requester, slot }),
            Err(error) => Err(error.into()),
        }
    }
}

/// A sender that was authenticated by its certificate, and the slot of its account if that was taken already.
struct ByCertificate {
    requester: Requester,
    slot: Option<AccountSlot>,
}

/// The refusal of a client's certificate by which TLS proved nothing, for the reason `why`.
fn unusable(why: &str) -> Refusal {
    Refusal::new(Failure::Forbidden, format!("the client certificate cannot be used: {why}"))
}
