//! Devices that prove themselves by the certificate of their vendor (IDevID, 3GPP TS 33.310 §9), for a first enrolment.

use countersign_ca::x509::Facts;
use countersign_ca::{Denial, Error, Requester, SubjectPublicKey};
use x509_cert::name::Name;

use crate::cmp::server::service::CmpService;
use crate::cmp::server::service::stop::Stop;
use crate::cmp::wire::message::Message;
use crate::cmp::wire::{kind, names};
use crate::transport::account_slots::AccountSlot;

/// The reason, for the log, why a message is not worked on: all slots of its account are taken.
pub const TOO_MANY: &str = "too many requests of the account are worked on; try again";

/// A device that was authenticated.
pub struct AuthenticatedDevice {
    /// The device, with its account.
    pub requester: Requester,
    /// The slot of the device's account that the message takes.
    pub account_slot: AccountSlot,
}

/// Whether a vendor's certificate may sign a body: a first enrolment (RFC 9483 §4.1.1 and §4.1.4), or a message that continues one.
pub const fn may_sign(kind: u8) -> bool {
    matches!(kind, kind::IR | kind::P10CR) || kind::continues_transaction(kind)
}

/// Whether a device names the issuer of its vendor's certificate as the recipient. OpenSSL's client does so unless the operator gives a
/// recipient. Whether that certificate is a trusted vendor's is checked later, together with the signature.
pub fn is_vendor_named(message: &Message, recipient: &Name) -> bool {
    let signer = message.extra_certs.first().filter(|_| may_sign(message.kind));
    let signer = signer.and_then(|der| Facts::of(der).ok());
    signer.is_some_and(|signer| names::same(&signer.issuer, recipient))
}

impl CmpService {
    /// Authenticates a device by its vendor's certificate. `verify` verifies the message's signature with a key.
    ///
    /// This takes a slot of the account, and refuses a certificate that is used up, before it reads the vendor's CRLs from files. Reading
    /// them is expensive, and a device without a slot or a use left must not cause it.
    ///
    /// # Errors
    /// [`Stop::Busy`] when all slots of the account are taken, and refusals by the authority.
    pub(crate) fn authenticate_device(
        &self,
        message: &Message,
        verify: &mut dyn FnMut(&SubjectPublicKey) -> Result<(), Error>,
    ) -> Result<AuthenticatedDevice, Stop> {
        let authority = self.authority();
        let mut account_slot = None;
        let mut is_busy = false;
        let mut admit = |requester: &Requester| {
            if matches!(message.kind, kind::IR | kind::P10CR) {
                authority.check_vendors_uses(requester)?;
            }
            account_slot = self.account_slots().try_acquire(&requester.account().name);
            is_busy = account_slot.is_none();
            match is_busy {
                true => Err(Error::denied(Denial::Conflict, TOO_MANY)),
                false => Ok(()),
            }
        };
        let admitted = authority.authenticate_equipment(&message.extra_certs, verify, &mut admit);
        match (admitted, account_slot) {
            _ if is_busy => Err(Stop::Busy(TOO_MANY)),
            (Ok(requester), Some(account_slot)) => {
                Ok(AuthenticatedDevice { requester, account_slot })
            }
            (Ok(_), None) => Err(Error::internal("nobody was admitted").into()),
            (Err(error), _) => Err(error.into()),
        }
    }
}
