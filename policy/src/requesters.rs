//! Who asks (RFC 2704 §5.1.1).

use zeroize::Zeroizing;

use crate::principal::{Principal, PrincipalError};

/// The most requesters of one question.
pub const MAX_REQUESTERS: usize = 1024;

/// Why nobody can ask as this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequesterError {
    /// RFC 2704 §5.1.1 asks for at least one.
    #[error("expected at least one requester, found none")]
    None,
    /// `POLICY` is the root of trust; whoever may ask as it may do all.
    #[error("`POLICY` cannot ask: it is the root of trust, not a peer")]
    Policy,
    /// A key that cannot be read.
    #[error("requester {0}")]
    Principal(#[from] PrincipalError),
    /// Too many.
    #[error("expected at most {MAX_REQUESTERS} requesters, found more")]
    TooMany,
}

/// The principals that ask, each as if it asked alone.
#[derive(Clone)]
pub struct Requesters {
    principals: Vec<Principal>,
    joined: Zeroizing<Vec<u8>>,
}

impl Requesters {
    /// Requesters as they spell themselves.
    ///
    /// # Errors
    /// There is none, or too many, or `POLICY`, or a malformed key of a known algorithm.
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

    /// In the order in which they were given.
    pub fn principals(&self) -> &[Principal] {
        &self.principals
    }

    /// `_ACTION_AUTHORIZERS`: as they were spelled, with commas between.
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
