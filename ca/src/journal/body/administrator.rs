//! Bodies about administrators: their grants and tokens.

use minicbor::{Decode, Encode};

use super::cbor::{from_slice, to_vec};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::record::{Administrator, Grant, Label, OidcUser, Token};

/// Encodes an administrator as the body of its entry.
pub fn encode_administrator(administrator: &Administrator) -> Result<Vec<u8>> {
    to_vec(&AdministratorBody::new(administrator))
}

/// Decodes what [`encode_administrator`] wrote.
pub fn decode_administrator(octets: &[u8]) -> Result<Administrator> {
    from_slice::<AdministratorBody<'_>>(octets)?.record()
}

/// An administrator.
#[derive(Encode, Decode)]
pub struct AdministratorBody<'a> {
    #[b(0)]
    name: &'a str,
    #[b(1)]
    grants: Vec<GrantBody<'a>>,
    #[b(2)]
    tokens: Vec<TokenBody<'a>>,
    /// Milliseconds since 1970.
    #[n(3)]
    created: i64,
    #[b(4)]
    oidc: Option<OidcUserBody<'a>>,
}

impl<'a> AdministratorBody<'a> {
    /// The body for an administrator.
    pub fn new(administrator: &'a Administrator) -> Self {
        Self {
            name: administrator.name.as_str(),
            grants: administrator.grants.iter().map(GrantBody::new).collect(),
            tokens: administrator.tokens.iter().map(TokenBody::new).collect(),
            created: administrator.created.millis(),
            oidc: administrator.oidc.as_ref().map(OidcUserBody::new),
        }
    }

    /// The administrator in the body.
    pub fn record(self) -> Result<Administrator> {
        Ok(Administrator {
            name: self.name.parse()?,
            grants: self.grants.into_iter().map(GrantBody::record).collect::<Result<_>>()?,
            tokens: self.tokens.into_iter().map(TokenBody::record).collect::<Result<_>>()?,
            created: Timestamp::from_millis(self.created),
            oidc: self.oidc.map(OidcUserBody::record).transpose()?,
        })
    }
}

/// A user of an OpenID provider.
#[derive(Encode, Decode)]
struct OidcUserBody<'a> {
    #[b(0)]
    issuer: &'a str,
    #[b(1)]
    subject: &'a str,
}

impl<'a> OidcUserBody<'a> {
    fn new(user: &'a OidcUser) -> Self {
        Self { issuer: &user.issuer, subject: &user.subject }
    }

    fn record(self) -> Result<OidcUser> {
        OidcUser::new(self.issuer, self.subject)
    }
}

/// A grant.
#[derive(Encode, Decode)]
struct GrantBody<'a> {
    #[b(0)]
    role: &'a str,
    /// Names of CAs; none for all.
    #[b(1)]
    cas: Vec<&'a str>,
    /// Patterns of accounts' names; none for all.
    #[b(2)]
    accounts: Vec<&'a str>,
}

impl<'a> GrantBody<'a> {
    fn new(grant: &'a Grant) -> Self {
        Self {
            role: grant.role.as_str(),
            cas: grant.cas.iter().map(Label::as_str).collect(),
            accounts: grant.accounts.iter().map(String::as_str).collect(),
        }
    }

    fn record(self) -> Result<Grant> {
        Ok(Grant {
            role: self.role.parse()?,
            cas: self.cas.into_iter().map(str::parse).collect::<Result<_>>()?,
            accounts: self.accounts.into_iter().map(str::to_owned).collect(),
        })
    }
}

/// A token.
#[derive(Encode, Decode)]
struct TokenBody<'a> {
    #[b(0)]
    name: &'a str,
    /// SHA-256 of the secret.
    #[cbor(b(1), with = "minicbor::bytes")]
    hash: &'a [u8],
    /// Names of roles; none for all of the administrator's.
    #[b(2)]
    roles: Vec<&'a str>,
    /// Milliseconds since 1970.
    #[n(3)]
    created: i64,
    /// Milliseconds since 1970.
    #[n(4)]
    expires: i64,
}

impl<'a> TokenBody<'a> {
    fn new(token: &'a Token) -> Self {
        Self {
            name: token.name.as_str(),
            hash: &token.hash,
            roles: token.roles.iter().map(Label::as_str).collect(),
            created: token.created.millis(),
            expires: token.expires.millis(),
        }
    }

    fn record(self) -> Result<Token> {
        Ok(Token {
            name: self.name.parse()?,
            hash: self
                .hash
                .try_into()
                .map_err(|_| Error::internal("a token's hash has 32 octets"))?,
            roles: self.roles.into_iter().map(str::parse).collect::<Result<_>>()?,
            created: Timestamp::from_millis(self.created),
            expires: Timestamp::from_millis(self.expires),
        })
    }
}

/// The removal of an administrator.
#[derive(Encode, Decode)]
pub struct AdministratorRemovedBody<'a> {
    /// The name of the removed administrator.
    #[b(0)]
    pub name: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ADMINISTRATOR_PROFILE;

    #[test]
    fn who_is_no_user_of_a_provider_is_written_as_ever() {
        let known = Administrator {
            name: "alice".parse().unwrap(),
            grants: vec![Grant::of_everything(ADMINISTRATOR_PROFILE.parse().unwrap())],
            tokens: Vec::new(),
            created: Timestamp::from_millis(3),
            oidc: None,
        };
        let octets = encode_administrator(&known).unwrap();
        // An array of four, as before there were users.
        assert_eq!(octets.first(), Some(&0x84));
        assert_eq!(decode_administrator(&octets).unwrap(), known);
        let user = OidcUser::new("https://id.example.net", "7").unwrap();
        let bound = Administrator { oidc: Some(user), ..known };
        let octets = encode_administrator(&bound).unwrap();
        assert_eq!(octets.first(), Some(&0x85));
        assert_eq!(decode_administrator(&octets).unwrap(), bound);
    }
}
