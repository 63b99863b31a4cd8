//! `/serverkeygen` (RFC 7030 §4.4): a key that is generated here, for an account that may have one (ADR 10). The private key is in the answer,
//! which only TLS encrypts, and is kept nowhere.

use countersign_ca::record::approval::WaitingRequest;
use countersign_ca::{
    CertificateRequest, Credential, GeneratedKey, KeyKind, KeyOrder, Requester, WantedKey,
};
use tracing::Span;
use zeroize::Zeroizing;

use super::exchange::{Begun, Exchange, Pair, Reply, Route, log_changes};
use super::refusal::{Failure, Refusal, Stop};
use crate::request::pkcs10::KeyRequest;

/// The reason, for the log, why no key is generated now.
const TOO_MANY: &str = "too many keys are made at once; try again";

/// A request that was found to be permissible, and the key that is to be generated for it.
struct Order {
    request: CertificateRequest<()>,
    key: KeyOrder,
}

impl Exchange<'_> {
    /// Has a key generated and its certificate issued, or keeps the request for approval. No key is generated before the approval.
    ///
    /// # Errors
    /// 403 without the permission, and for a client that has neither a secret nor a certificate of this authority; 400 for a key that
    /// cannot be generated or encrypted as asked; [`Stop::Busy`] if too many keys are generated at once; [`Stop::NeedsBlockingThread`].
    pub(super) fn ask_for_key(self, asked: KeyRequest, span: &Span) -> Result<Begun, Stop> {
        let authority = self.service.authority();
        let Order { request, key: order } = self.order(&asked)?;
        // Generating a key takes long, and the record of a request that needs approval is waited for at once.
        // INVARIANT: nothing was recorded yet.
        self.pool.require_blocking()?;
        if order.needs_approval {
            return match authority.waiting_for_key(self.requester(), order, &request)? {
                Some(waiting) => {
                    self.join(&waiting)?;
                    match self.is_approved(&waiting)? {
                        true => self.approved_key(&waiting, &asked).map(Begun::Ready),
                        false => Ok(Begun::Ready(self.waits(waiting.id.to_string()))),
                    }
                }
                None => {
                    let draft = self.wait_draft();
                    let id = authority.submit_for_key(self.requester(), order, &request, draft)?;
                    Ok(Begun::Ready(self.waits(id.to_string())))
                }
            };
        }
        let key = self.generate(order)?;
        let private = private_key(&key)?;
        let Route { profile, ca, .. } = &self.received.route;
        let template = asked.template.with_key(key.proven());
        drop(key);
        let request = template.into_request(profile.clone(), ca.clone(), None);
        let authorized = authority.authorize(self.requester(), request)?;
        self.issue(authorized, Some(private), span)
    }

    /// Generates the key of an approved request, and has its certificate issued. What permitted the request then must still do so.
    ///
    /// # Errors
    /// As [`Self::ask_for_key`], and those of the authority.
    pub(super) fn approved_key(
        &self,
        waiting: &WaitingRequest,
        asked: &KeyRequest,
    ) -> Result<Reply, Stop> {
        let authority = self.service.authority();
        let Order { key: order, .. } = self.order(asked)?;
        let key = self.generate(order)?;
        let draft = self.answer_draft();
        let issued = authority.issue_with_key(self.requester(), waiting, &key, draft)?;
        log_changes(&self.requester().account().name, &issued.changes);
        Ok(Reply::Pair(Pair { key: private_key(&key)?, certificate: issued.certificate }))
    }

    /// Decides which key is generated. Everything that can be refused before is refused here.
    fn order(&self, asked: &KeyRequest) -> Result<Order, Stop> {
        check_credential(self.requester())?;
        if asked.names_decryption_key {
            let text = "the private key is sent under TLS alone, and is encrypted for no other key; leave DecryptKeyIdentifier and \
                        AsymmetricDecryptKeyIdentifier out (RFC 7030 §4.4.1), or have the key made over CMP, which encrypts it";
            return Err(Refusal::new(Failure::BadRequest, text).into());
        }
        let Route { profile, ca, .. } = &self.received.route;
        let request = asked.template.clone().into_request(profile.clone(), ca.clone(), None);
        let key =
            self.service.authority().key_order(self.requester(), wanted(asked.kind), &request)?;
        Ok(Order { request, key })
    }

    fn generate(&self, order: KeyOrder) -> Result<GeneratedKey, Stop> {
        // Generating an RSA key is expensive, so it has its own permits, which only authenticated clients can take.
        let permit = self.service.key_permits().try_acquire();
        let _permit = permit.ok_or(Stop::Busy(TOO_MANY))?;
        Ok(self.service.authority().generate_key(order.kind)?)
    }
}

/// Refuses a requester who is known only by the certificate of a vendor. As over CMP, no key is generated for such a requester.
fn check_credential(requester: &Requester) -> Result<(), Refusal> {
    match requester.credential() {
        Credential::Secret | Credential::Certificate(_) => Ok(()),
        Credential::Vendor(_) | Credential::Registrar(_) => Err(Refusal::new(
            Failure::Forbidden,
            "a key is made only for who has the secret of an account or a certificate that was issued here; make the key yourself",
        )),
    }
}

/// The kind of key that a request asks for: that of its own key. If an RSA key has a size that the server does not make, any size is
/// generated.
const fn wanted(kind: KeyKind) -> WantedKey {
    match kind {
        KeyKind::Rsa(2048 | 3072 | 4096) => WantedKey::Kind(kind),
        KeyKind::Rsa(_) => WantedKey::Rsa,
        _ => WantedKey::Kind(kind),
    }
}

/// The private key in the form of RFC 5208, which every client reads.
fn private_key(key: &GeneratedKey) -> Result<Zeroizing<Vec<u8>>, Stop> {
    Ok(key.private_key_info()?.to_bytes())
}
