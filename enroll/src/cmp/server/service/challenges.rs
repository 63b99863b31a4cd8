//! Challenges that await their response (RFC 9810 §5.2.8.3.3). They are kept in memory, within bounds, and are gone after a restart. The
//! peer then begins anew; nothing was issued to it.

use std::collections::HashMap;
use std::sync::Mutex;

use countersign_ca::record::{Label, Serial};
use countersign_ca::{Challenge, Timestamp};
use der::asn1::Int;

use super::context::Context;
use crate::cmp::wire::crmf::CertReqMsg;
use crate::cmp::wire::refusal::{Failure, Refusal};
use crate::transport::lock::locked;

/// The most challenges of one account at a time.
const PER_ACCOUNT: usize = 4;

/// The most challenges of all accounts together at a time.
const ALL: usize = 1024;

/// A request whose challenge awaits its response.
pub struct ChallengedRequest {
    /// The account that the request is for.
    pub account: Label,
    /// The context against which the response is checked.
    pub context: Context,
    /// The key whose possession is to be proven, and the number that the response must contain.
    pub challenge: Challenge,
    /// The request.
    pub request: CertReqMsg,
    /// The certReqId of the request.
    pub id: Int,
    /// The kind of body with which the request is answered once the response was right: that of ip, cp or kup.
    pub answer: u8,
    /// For a kur: the serial number of the certificate that it updates. `None` for any other request.
    pub updates: Option<Serial>,
    /// The profile that the path or the certProfile of the request names.
    pub profile: Option<Label>,
    /// Whether the request asks for implicit confirmation.
    pub implicit: bool,
    /// When the challenge expires. From then on a response is refused.
    pub expires: Timestamp,
}

/// Every request whose challenge awaits its response, by transactionID.
#[derive(Default)]
pub struct Challenges(Mutex<HashMap<Vec<u8>, ChallengedRequest>>);

impl Challenges {
    /// Whether a challenge in this transaction awaits its response.
    pub fn contains(&self, transaction: &[u8], now: Timestamp) -> bool {
        locked(&self.0).get(transaction).is_some_and(|request| now < request.expires)
    }

    /// Remembers a request, and forgets those that have expired.
    ///
    /// # Errors
    /// `transactionIdInUse` if a challenge of this transactionID awaits its response already, `systemUnavail` beyond 4 challenges of the
    /// account or 1024 in all.
    pub fn put(
        &self,
        transaction: &[u8],
        request: ChallengedRequest,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let mut all = locked(&self.0);
        all.retain(|_, other| now < other.expires);
        if all.contains_key(transaction) {
            return Err(Refusal::new(
                Failure::TransactionIdInUse,
                "this transactionID was used before; begin a new transaction",
            ));
        }
        let own = all.values().filter(|other| other.account == request.account).count();
        if own >= PER_ACCOUNT || all.len() >= ALL {
            return Err(Refusal::new(
                Failure::SystemUnavail,
                "too many challenges await an answer; answer them, or try again later",
            ));
        }
        all.insert(transaction.to_vec(), request);
        Ok(())
    }

    /// Removes and returns the request of a transaction if `check` accepts it. A challenge may be answered only once, whether the answer
    /// is right or wrong. A message that `check` refuses does not count as an answer, and the request stays.
    ///
    /// # Errors
    /// `badRequest` if no challenge of this transactionID awaits its response; the refusals of `check`.
    pub fn take(
        &self,
        transaction: &[u8],
        now: Timestamp,
        check: impl FnOnce(&ChallengedRequest) -> Result<(), Refusal>,
    ) -> Result<ChallengedRequest, Refusal> {
        let mut all = locked(&self.0);
        let unknown = || {
            Refusal::new(Failure::BadRequest, "no challenge of this transactionID awaits an answer")
        };
        let request = all.get(transaction).filter(|request| now < request.expires);
        check(request.ok_or_else(unknown)?)?;
        all.remove(transaction).ok_or_else(unknown)
    }
}

impl std::fmt::Debug for Challenges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Challenges(…)")
    }
}
