//! The requesters of a question (RFC 2704 §5.1.1).

use std::borrow::Cow;

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
    principals: Box<[Principal]>,
    /// The spellings, separated by commas; `None` if all of them are the canonical ones, which the principals have already.
    spelled: Option<Zeroizing<Vec<u8>>>,
}

impl Requesters {
    /// Reads requesters from their spellings, such as `ed25519-hex:…` or `DN:/CN=gw7`.
    ///
    /// # Errors
    /// There is no requester, there are more than [`MAX_REQUESTERS`], one is `POLICY`, or one is a malformed key of a known algorithm.
    pub fn new<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Result<Self, RequesterError> {
        let mut principals = Vec::new();
        let mut spelled = Zeroizing::new(Vec::new());
        for text in texts {
            if principals.len() == MAX_REQUESTERS {
                return Err(RequesterError::TooMany);
            }
            let principal = Principal::parse(text.as_ref())?;
            if principal.is_policy() {
                return Err(RequesterError::Policy);
            }
            if !principals.is_empty() {
                spelled.push(b',');
            }
            spelled.extend_from_slice(text.as_ref());
            principals.push(principal);
        }
        if principals.is_empty() {
            return Err(RequesterError::None);
        }
        Ok(Self { principals: principals.into(), spelled: Some(spelled) })
    }

    /// Makes requesters of principals, whose spellings are the canonical ones. It takes less memory than [`Self::new`], and parses no key.
    ///
    /// # Errors
    /// There is no requester, there are more than [`MAX_REQUESTERS`], or one is `POLICY`.
    pub fn of(principals: impl IntoIterator<Item = Principal>) -> Result<Self, RequesterError> {
        let principals: Box<[Principal]> =
            principals.into_iter().take(MAX_REQUESTERS + 1).collect();
        match principals.len() {
            0 => Err(RequesterError::None),
            _ if principals.iter().any(Principal::is_policy) => Err(RequesterError::Policy),
            1..=MAX_REQUESTERS => Ok(Self { principals, spelled: None }),
            _ => Err(RequesterError::TooMany),
        }
    }

    /// The requesters, in the order in which they were given.
    pub fn principals(&self) -> &[Principal] {
        &self.principals
    }

    /// `_ACTION_AUTHORIZERS`: the requesters as they were spelled, separated by commas.
    pub fn joined(&self) -> Cow<'_, [u8]> {
        match &self.spelled {
            Some(spelled) => Cow::Borrowed(spelled),
            None => {
                let texts: Vec<_> = self.principals.iter().map(Principal::text).collect();
                Cow::Owned(texts.join(&b","[..]))
            }
        }
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
        assert_eq!(&*Requesters::new(["b", "a"]).unwrap().joined(), b"b,a");
    }

    #[test]
    fn principals_ask_as_their_spellings_do() {
        let key = format!("ed25519-hex:{}", "01".repeat(32));
        let texts = [key.as_str(), "DN:/CN=gw7"];
        let principals = texts.map(|text| Principal::parse(text.as_bytes()).unwrap());
        let by_text = Requesters::new(texts).unwrap();
        let by_principal = Requesters::of(principals).unwrap();
        assert_eq!(by_principal.principals(), by_text.principals());
        assert_eq!(by_principal.joined(), by_text.joined());
        assert!(matches!(Requesters::of([]), Err(RequesterError::None)));
        assert!(matches!(Requesters::of([Principal::policy()]), Err(RequesterError::Policy)));
        let many = vec![Principal::opaque(b"a"); MAX_REQUESTERS + 1];
        assert!(matches!(Requesters::of(many), Err(RequesterError::TooMany)));
    }
}
