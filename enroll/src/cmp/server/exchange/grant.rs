//! Has a certificate issued whose key is proven, or keeps the request for an administrator's approval.

use countersign_ca::record::{Label, Serial};
use countersign_ca::{Recording, Requester};
use der::asn1::Int;
use x509_cert::name::Name;

use super::Exchange;
use super::delivery::Delivery;
use super::poll::Held;
use super::registration::ActsFor;
use crate::cmp::server::reply::answer::Answer;
use crate::cmp::server::service::context::Confirmation;
use crate::cmp::server::service::stop::Stop;
use crate::cmp::wire::names;
use crate::cmp::wire::refusal::{Failure, Refusal};
use crate::request::template::RequestTemplate;

/// A request for a certificate whose key is proven, and how it is answered.
pub struct Grant {
    /// The kind of body that answers: that of ip, cp or kup.
    pub answer: u8,
    /// The certReqId of the request.
    pub id: Int,
    /// The template of the certificate.
    pub template: RequestTemplate,
    /// For a kur: the serial number of the certificate that it updates. `None` for any other request.
    pub updates: Option<Serial>,
    /// The peer for whose account a registration authority asks; `None` if the sender asks for its own account.
    pub on_behalf: Option<Requester>,
    /// How the certificate reaches its holder.
    pub delivery: Delivery,
    /// Whether implicit confirmation is asked for.
    pub implicit: bool,
    /// The profile that is asked for; `None` leaves it to the account.
    pub profile: Option<Label>,
}

impl Exchange<'_> {
    /// Has the certificate issued, and answers with it; or with "waiting", if it needs approval.
    ///
    /// # Errors
    /// Refusals by the authority; `transactionIdInUse`; [`Stop::NeedsBlockingThread`] if the thread may not block and the request needs
    /// approval or no serial number is in reserve.
    pub fn grant(self, grant: Grant) -> Result<Recording<Answer>, Stop> {
        let Grant { answer: kind, id, template, updates, on_behalf, delivery, implicit, profile } =
            grant;
        let config = self.service.config();
        let authority = self.service.authority();
        // 1. The draft of the transaction. Where only the confirmation proves possession of the key, it must be explicit.
        let confirm_until = authority.now().plus(config.confirm_wait);
        let confirmation =
            match config.implicit_confirm && implicit && !delivery.proves_possession() {
                true => Confirmation::Implicit,
                false => Confirmation::AwaitedUntil(confirm_until),
            };
        let mut draft = self.draft(&id, confirm_until)?;
        draft.confirm_until = confirmation.until();
        draft.registrar = self.recorded_registrar(match on_behalf {
            Some(_) => ActsFor::AnotherAccount,
            None => ActsFor::OwnAccount,
        });
        // 2. The authority's decision.
        let (issuer, mut notices) = (template.issuer.clone(), template.notices.clone());
        let request = template.into_request(profile, self.route.ca.clone(), updates);
        let requester = on_behalf.as_ref().unwrap_or(self.requester);
        let mut authorized = authority.authorize(requester, request)?;
        notices.extend(self.notice_of_issuer(issuer.as_ref(), authorized.ca()));
        if authorized.needs_approval() {
            if updates.is_some() && on_behalf.is_some() {
                return Err(Refusal::new(
                    Failure::NotAuthorized,
                    "a key update that waits for an administrator is asked for by the peer itself; pass its own message on, in a \
                     nested one",
                )
                .into());
            }
            // The record of a request that needs approval is waited for at once.
            // INVARIANT: nothing was recorded yet.
            self.pool.require_blocking()?;
            let registrar = draft.registrar;
            let held = Held { answer: kind, id, confirmation, registrar, notices };
            return Ok(Recording::ready(self.hold(authorized, held)?));
        }
        // 3. A serial number that is recorded as reserved before anything is signed with it. If none is left, `issue` records more of
        //    them and waits for the disk.
        if !authority.take_serial(&mut authorized)? {
            // INVARIANT: nothing was recorded yet.
            self.pool.require_blocking()?;
        }
        // 4. The certificate. The answer is made while its record is written, and is sent when the record is durable.
        let issued = authority.begin_issue(authorized, Some(draft))?;
        Ok(issued.try_map(|mut issued| {
            issued.changes.extend(notices);
            self.issued_answer(kind, id, issued, delivery, confirmation)
        })?)
    }

    /// A notice for a peer that named one CA of this instance although another one issues; `None` for any other peer. After an account
    /// moved to another CA, its gateway still names the old one, and must not be left without a certificate.
    fn notice_of_issuer(&self, asked: Option<&Name>, ca: &Label) -> Option<String> {
        let authority = self.service.authority();
        let asked = asked.filter(|asked| authority.ca_by_subject(asked).is_some())?;
        let own = authority.cas().find(|own| own.name == *ca)?;
        let why =
            || format!("the issuer is `{}`, the account's CA, and not `{asked}`", own.subject);
        (!names::same(asked, &own.subject)).then(why)
    }
}
