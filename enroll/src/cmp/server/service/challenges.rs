//! Challenges that await an answer. They are kept in memory, within bounds, and are gone after a restart: the peer begins
//! anew then, and nothing was issued.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use countersign_ca::record::{Label, Serial};
use countersign_ca::{Challenge, Timestamp};
use der::asn1::Int;

use crate::cmp::server::service::context::Context;
use crate::cmp::wire::crmf::CertReqMsg;
use crate::cmp::wire::refusal::{Failure, Refusal};

/// The most challenges of one account.
const PER_ACCOUNT: usize = 4;

/// The most challenges of all.
const ALL: usize = 1024;

/// A request that awaits the answer to its challenge.
pub struct Pending {
    /// Whose it is.
    pub account: Label,
    /// What the next message must fit to.
    pub context: Context,
    /// What the answer is compared with.
    pub challenge: Challenge,
    /// The request.
    pub request: CertReqMsg,
    /// Its certReqId.
    pub id: Int,
    /// The body that answers it.
    pub answer: u8,
    /// The certificate that it updates.
    pub updates: Option<Serial>,
    /// The profile that it names.
    pub profile: Option<Label>,
    /// Whether it asks for implicit confirmation.
    pub implicit: bool,
    /// When it is forgotten.
    pub expires: Timestamp,
}

/// Every request that awaits an answer, by its transactionID.
#[derive(Default)]
pub struct Challenges(Mutex<HashMap<Vec<u8>, Pending>>);

impl Challenges {
    /// Whether a transaction awaits an answer.
    pub fn contains(&self, transaction: &[u8], now: Timestamp) -> bool {
        self.locked().get(transaction).is_some_and(|pending| now < pending.expires)
    }

    /// Keeps a request. The transactionID must be new.
    pub fn put(&self, transaction: &[u8], pending: Pending, now: Timestamp) -> Result<(), Refusal> {
        let mut all = self.locked();
        all.retain(|_, kept| now < kept.expires);
        if all.contains_key(transaction) {
            return Err(Refusal::new(
                Failure::TransactionIdInUse,
                "this transactionID was used before; begin a new transaction",
            ));
        }
        let own = all.values().filter(|kept| kept.account == pending.account).count();
        if own >= PER_ACCOUNT || all.len() >= ALL {
            return Err(Refusal::new(
                Failure::SystemUnavail,
                "too many challenges await an answer; answer them, or try again later",
            ));
        }
        all.insert(transaction.to_vec(), pending);
        Ok(())
    }

    /// Takes a request that `fits`: it is answered once, rightly or not. One that does not fit stays.
    pub fn take(
        &self,
        transaction: &[u8],
        now: Timestamp,
        fits: impl FnOnce(&Pending) -> Result<(), Refusal>,
    ) -> Result<Pending, Refusal> {
        let mut all = self.locked();
        let unknown = || {
            Refusal::new(Failure::BadRequest, "no challenge of this transactionID awaits an answer")
        };
        let pending = all.get(transaction).filter(|pending| now < pending.expires);
        fits(pending.ok_or_else(unknown)?)?;
        all.remove(transaction).ok_or_else(unknown)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Challenges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Challenges(…)")
    }
}
