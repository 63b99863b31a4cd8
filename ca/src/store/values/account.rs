//! Accounts: the incarnation (8 octets for the creation, 8 for the present name), then the account as in the body of its entry.

use crate::error::{Error, Result};
use crate::journal;
use crate::record::{Account, Incarnation};

/// Writes an account with its incarnation.
///
/// # Errors
/// [`Error::Internal`] when the account cannot be encoded.
pub fn encode(account: &Account) -> Result<Vec<u8>> {
    let body = journal::encode_account(account)?;
    let incarnation = account.incarnation;
    let (created, named) = (incarnation.offset().to_be_bytes(), incarnation.named().to_be_bytes());
    Ok([&created[..], &named, &body].concat())
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
    let short = || Error::internal("an account is cut short");
    let (created, rest) = octets.split_first_chunk().ok_or_else(short)?;
    let (named, body) = rest.split_first_chunk().ok_or_else(short)?;
    let created = Incarnation::new(u64::from_be_bytes(*created));
    Ok((created.named_at(u64::from_be_bytes(*named)), body))
}
