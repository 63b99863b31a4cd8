//! Whether a message may continue a transaction: it comes from the same sender, is protected in the same way, and its nonces follow those
//! of the answer before (RFC 9483 §3.1 and §3.5).

use countersign_ca::record::approval::RequestId;
use countersign_ca::record::{Label, Transaction};
use der::asn1::OctetString;

use super::Exchange;
use crate::cmp::server::service::context::{Context, Protection};
use crate::cmp::wire::refusal::{Failure, Refusal, encoding_failed};

/// An open transaction that a message continues.
pub struct OpenTransaction {
    /// The record of the transaction.
    pub transaction: Transaction,
    /// The context against which the messages of the transaction are checked.
    pub context: Context,
}

impl Exchange<'_> {
    /// The open transaction of this message, if its sender may continue it. The nonces are not checked.
    ///
    /// # Errors
    /// `badRequest` if there is no such transaction, or it is another account's; `wrongIntegrity` or `badMessageCheck` if the message is
    /// protected in another way than the request.
    pub fn own_transaction(&self) -> Result<OpenTransaction, Refusal> {
        let unknown = || {
            Refusal::new(
                Failure::BadRequest,
                "no transaction of this transactionID awaits a message",
            )
        };
        let transaction = self
            .service
            .authority()
            .transaction(self.message.transaction_id())?
            .ok_or_else(unknown)?;
        let context = Context::decode(&transaction.context)?;
        // A registration authority may continue a transaction that it opened for another account, with the same certificate.
        let acts_for_it = self.registrar.is_some()
            && context.credential == Some(self.credential().map_err(encoding_failed)?);
        if transaction.account != self.requester.account().name && !acts_for_it {
            tracing::warn!(target: countersign_ca::REFUSED, owner = %transaction.account, "a message for another account's transaction");
            return Err(unknown());
        }
        self.check_same_protection(&context)?;
        Ok(OpenTransaction { transaction, context })
    }

    /// The open transaction of this message, if the message continues it after the last answer, or after one of the last answers to polls.
    ///
    /// # Errors
    /// As [`Self::own_transaction`]; `badSenderNonce` or `badRecipientNonce`.
    pub fn continued_transaction(&self) -> Result<OpenTransaction, Refusal> {
        let open = self.own_transaction()?;
        // After polls, the answer before is one of those to the polls.
        let nonces = self.service.poll_nonces();
        let is_poll = |nonce: &OctetString| {
            let id = RequestId::of(&open.transaction.id);
            open.context.answer.is_some() && nonces.is_ours(&id, nonce.as_bytes()) == Some(true)
        };
        self.check_nonces(&open.context, &is_poll)?;
        Ok(open)
    }

    /// Checks that this message continues the transaction of an account, after the answer that `context` describes.
    ///
    /// # Errors
    /// As [`Self::continued_transaction`].
    pub fn check_continues(&self, account: &Label, context: &Context) -> Result<(), Refusal> {
        if *account != self.requester.account().name {
            tracing::warn!(target: countersign_ca::REFUSED, owner = %account, "a message for another account's transaction");
            return Err(Refusal::new(
                Failure::BadRequest,
                "no transaction of this transactionID awaits a message",
            ));
        }
        self.check_same_protection(context)?;
        self.check_nonces(context, &|_| false)
    }

    /// Checks that this message is protected in the way, and with the credential, of the request.
    fn check_same_protection(&self, context: &Context) -> Result<(), Refusal> {
        if context.protection != self.protection {
            return Err(Refusal::new(
                Failure::WrongIntegrity,
                "protect every message of a transaction in the same way",
            ));
        }
        if context.credential.is_some()
            && context.credential != Some(self.credential().map_err(encoding_failed)?)
        {
            // A signature proves a sender, only another one than before. Another secret or kind of MAC is a wrong protection.
            let failure = match self.protection {
                Protection::Signature => Failure::BadRequest,
                Protection::Mac => Failure::BadMessageCheck,
            };
            return Err(Refusal::new(
                failure,
                "protect every message of a transaction with the same secret, in the same way, or the same certificate",
            ));
        }
        Ok(())
    }

    /// Checks that senderNonce is new, and that recipNonce repeats the nonce of the answer before or one that `is_ours` accepts.
    fn check_nonces(
        &self,
        context: &Context,
        is_ours: &dyn Fn(&OctetString) -> bool,
    ) -> Result<(), Refusal> {
        let nonce = &self.message.header.sender_nonce;
        if *nonce == context.peer_nonce || nonce.as_ref() == Some(&context.nonce) {
            return Err(Refusal::new(
                Failure::BadSenderNonce,
                "this senderNonce was used before in the transaction; each message has a new one",
            ));
        }
        let answered = self.message.header.recip_nonce.as_ref();
        if answered != Some(&context.nonce) && !answered.is_some_and(is_ours) {
            return Err(Refusal::new(
                Failure::BadRecipientNonce,
                "recipNonce is not the senderNonce of the answer before",
            ));
        }
        Ok(())
    }
}
