//! The requesters of a question (RFC 2704 §5.1.1).

use zeroize::Zeroizing;

use crate::principal::{Principal, PrincipalError};

/// The most requesters of one question.
pub const MAX_REQUESTERS: usize = 1024;

/// Why a list of principals cannot be the requesters of a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequesterError {
    /// The list is empty; RFC 2704 §5.1.1 requires at least one requester.
    #[error("expected at least one requester, found none")]
    None,
    /// `POLICY` is the root of trust: a requester of that name would be allowed everything.
    #[error("`POLICY` cannot ask: it is the root of trust, not a peer")]
    Policy,
    /// A key of a known algorithm is malformed.
    #[error("requester {0}")]
    Principal(#[from] PrincipalError),
    /// There are too many requesters.
    #[error("expected at most {MAX_REQUESTERS} requesters, found more")]
    TooMany,
}

/// The principals that request the action. Each has the value `_MAX_TRUST`.
#[derive(Clone)]
pub struct Requesters {
    principals: Vec<Principal>,
    joined: Zeroizing<Vec<u8>>,
}

impl Requesters {
    /// Reads requesters from their spellings, such as `ed25519-hex:…` or `DN:/CN=gw7`.
    ///
    /// # Errors
    /// There is no requester, there are more than [`MAX_REQUESTERS`], one is `POLICY`, or one is a malformed key of a known algorithm.
    pub fn new<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Result<Self, RequesterError> {
        let mut requesters = Self { principals: Vec::new(), joined: Zeroizing::new(Vec::new()) };
        for text in texts {
            if requesters.principals.len() == MAX_REQUESTERS {
                return Err(RequesterError::TooMany);
            }
            let principal = Principal::parse(text.as_ref())?;
            if principal.is_policy() {
                return Err(RequesterError::Policy);
            }
            if !requesters.principals.is_empty() {
                requesters.joined.push(b',');
            }
            requesters.joined.extend_from_slice(text.as_ref());
            requesters.principals.push(principal);
        }
        if requesters.principals.is_empty() { Err(RequesterError::None) } else { Ok(requesters) }
    }

    /// The requesters, in the order in which they were given.
    pub fn principals(&self) -> &[Principal] {
        &self.principals
    }

    /// `_ACTION_AUTHORIZERS`: the requesters as they were spelled, separated by commas.
    pub fn joined(&self) -> &[u8] {
        &self.joined
    }
}

impl std::fmt::Debug for Requesters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.principals).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_must_ask_and_not_as_policy() {
        assert!(matches!(Requesters::new::<&str>([]), Err(RequesterError::None)));
        assert!(matches!(Requesters::new(["a", "POLICY"]), Err(RequesterError::Policy)));
        assert!(matches!(Requesters::new(["rsa-hex:zz"]), Err(RequesterError::Principal(_))));
        assert!(matches!(Requesters::new(vec!["a"; 1025]), Err(RequesterError::TooMany)));
        assert_eq!(Requesters::new(["b", "a"]).unwrap().joined(), b"b,a");
    }
}
