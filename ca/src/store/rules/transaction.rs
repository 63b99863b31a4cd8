//! The rules for transactions: an identifier is not used again before its transaction has expired.

use super::super::keys;
use super::super::numbers::{TRANSACTION_CHUNK, bucket_of};
use super::super::values::{
    TransactionBlock, TransactionId, TransactionState, count_transactions, push_transaction,
    read_transactions,
};
use super::super::view::View;
use super::Rules;
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::record::Transaction;
use crate::record::approval::RequestId;

/// The most octets of a transaction's identifier.
const MAX_TRANSACTION_ID: usize = 64;
/// The most octets of a transaction's context.
const MAX_CONTEXT: usize = 64 << 10;

impl<V: View> Rules<'_, V> {
    pub(super) fn check_transaction(
        &self,
        at: Timestamp,
        transaction: Option<&Transaction>,
    ) -> Result<()> {
        let Some(transaction) = transaction else { return Ok(()) };
        check_lengths(transaction)?;
        match self.view.transaction(&self.transaction_id(&transaction.id)) {
            Some(known) if known.expires > at => Err(Error::denied(
                Denial::TransactionInUse,
                "the transaction identifier was used before: choose a new one",
            )),
            _ => Ok(()),
        }
    }

    /// Opens the transaction that the entry at `offset` holds, if it holds one.
    pub(super) fn open_transaction(
        &mut self,
        transaction: Option<&Transaction>,
        offset: u64,
    ) -> Result<()> {
        match transaction {
            Some(transaction) => self.open(transaction, offset, Opened::Answered),
            None => Ok(()),
        }
    }

    /// Opens the transaction of a request that an administrator must decide, or that joins one. The entry is at
    /// `offset`.
    pub(super) fn open_request(&mut self, transaction: &Transaction, offset: u64) -> Result<()> {
        self.open(transaction, offset, Opened::Request)
    }

    fn open(&mut self, transaction: &Transaction, offset: u64, opened: Opened) -> Result<()> {
        let id = self.transaction_id(&transaction.id);
        let bucket = bucket_of(transaction.expires);
        let number = self.view.blocks_in(bucket).saturating_sub(1);
        let mut block = TransactionBlock { bucket, number };
        let mut key = keys::transactions(block);
        if count_transactions(self.view.length(&key)?) >= TRANSACTION_CHUNK {
            block.number = number.saturating_add(1);
            key = keys::transactions(block);
        }
        let state = TransactionState {
            offset,
            expires: transaction.expires,
            is_awaiting: transaction.awaits.is_some(),
            is_request: opened == Opened::Request,
            block,
        };
        let mut record = Vec::with_capacity(64);
        push_transaction(&mut record, &id, &state);
        self.view.append(key, &record)?;
        self.view.set_blocks_in(bucket, block.number.saturating_add(1));
        self.view.set_transaction(id, Some(state));
        Ok(())
    }

    /// Records that a transaction awaits no confirmation any more. If `offset` is given, this concerns only a transaction in the entry at
    /// that offset, because the identifier may have been forgotten and used again.
    pub(super) fn end_awaiting(&mut self, id: &TransactionId, offset: Option<u64>) -> Result<()> {
        let Some(state) = self.view.transaction(id) else { return Ok(()) };
        if !state.is_awaiting || offset.is_some_and(|offset| offset != state.offset) {
            return Ok(());
        }
        let state = TransactionState { is_awaiting: false, ..state };
        let key = keys::transactions(state.block);
        let value = self.view.value(&key)?.unwrap_or_default();
        let mut changed = Vec::with_capacity(value.len());
        for (other, known) in read_transactions(&value, state.block) {
            let is_this = other == *id && known.offset == state.offset;
            push_transaction(&mut changed, &other, if is_this { &state } else { &known });
        }
        self.view.put(key, changed);
        self.view.set_transaction(*id, Some(state));
        Ok(())
    }

    /// Removes a transaction from its block, because its identifier is about to open another one.
    pub(super) fn remove_transaction(
        &mut self,
        id: &TransactionId,
        state: &TransactionState,
    ) -> Result<()> {
        let key = keys::transactions(state.block);
        let value = self.view.value(&key)?.unwrap_or_default();
        let mut left = Vec::with_capacity(value.len());
        for (other, known) in read_transactions(&value, state.block) {
            if other != *id || known.offset != state.offset {
                push_transaction(&mut left, &other, &known);
            }
        }
        // The key stays even if its value is empty, as the blocks of a bucket are numbered without gaps.
        self.view.put(key, left);
        self.view.set_transaction(*id, None);
        Ok(())
    }

    /// Forgets one block of transactions that have expired at `at`. Each entry forgets one block, so that no single entry takes long.
    pub(super) fn forget_block(&mut self, at: Timestamp) -> Result<()> {
        let now = bucket_of(at);
        let Some(bucket) = self.view.first_bucket().filter(|bucket| *bucket < now) else {
            return Ok(());
        };
        let number = self.view.blocks_in(bucket).saturating_sub(1);
        let block = TransactionBlock { bucket, number };
        let key = keys::transactions(block);
        let value = self.view.value(&key)?.unwrap_or_default();
        for (id, state) in read_transactions(&value, block) {
            // An identifier that expired may have been used again before its block was forgotten.
            if self.view.transaction(&id).is_some_and(|known| known.offset == state.offset) {
                self.view.set_transaction(id, None);
                if state.is_request {
                    self.forget_request(&RequestId::new(id));
                    self.view.remove(keys::joined(&id));
                }
            }
        }
        self.view.remove(key);
        self.view.set_blocks_in(bucket, number);
        Ok(())
    }
}

/// Refuses a transaction whose identifier or context is too long, or whose identifier is empty.
pub(super) fn check_lengths(transaction: &Transaction) -> Result<()> {
    let (id, context) = (transaction.id.len(), transaction.context.len());
    match (1..=MAX_TRANSACTION_ID).contains(&id) && context <= MAX_CONTEXT {
        true => Ok(()),
        false => Err(Error::malformed(format!(
            "expected a transaction identifier of 1 to {MAX_TRANSACTION_ID} octets and a context of at most \
             {MAX_CONTEXT}, found {id} and {context}"
        ))),
    }
}

/// The answer that the peer of a transaction got when the transaction was opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opened {
    /// The result of the transaction's request.
    Answered,
    /// The answer that the transaction's request waits for an administrator.
    Request,
}
