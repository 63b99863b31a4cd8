//! Accounts: the incarnation (8 octets), then the account as in the body of its entry.

use crate::error::{Error, Result};
use crate::journal;
use crate::record::{Account, Incarnation};

/// Writes an account with its incarnation.
///
/// # Errors
/// [`Error::Internal`] when the account cannot be encoded.
pub fn encode(account: &Account) -> Result<Vec<u8>> {
    let body = journal::encode_account(account)?;
    Ok([&account.incarnation.offset().to_be_bytes()[..], &body].concat())
}

/// Reads an account with its incarnation.
///
/// # Errors
/// [`Error::Internal`] when the value is damaged.
pub fn decode(octets: &[u8]) -> Result<Account> {
    let (incarnation, body) = parts(octets)?;
    Ok(Account { incarnation, ..journal::decode_account(body)? })
}

/// Reads only the incarnation, which is cheaper than [`decode`].
///
/// # Errors
/// [`Error::Internal`] when the value is damaged.
pub fn incarnation(octets: &[u8]) -> Result<Incarnation> {
    parts(octets).map(|(incarnation, _)| incarnation)
}

fn parts(octets: &[u8]) -> Result<(Incarnation, &[u8])> {
    let parts = octets.split_first_chunk();
    let (offset, body) = parts.ok_or_else(|| Error::internal("an account is cut short"))?;
    Ok((Incarnation::new(u64::from_be_bytes(*offset)), body))
}
