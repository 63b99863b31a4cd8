//! Administrators: the people who run an instance, what each may do, and the tokens of their programs.

use std::collections::BTreeSet;
use std::fmt;

use super::label::Label;
use crate::clock::Timestamp;
use crate::error::{Denial, Error};

/// The profile of the accounts whose certificates prove that somebody is an administrator. It is built in.
pub const ADMINISTRATOR_PROFILE: &str = "administrator";

/// Whether a profile is that of administrators.
pub fn is_administrators_profile(profile: &Label) -> bool {
    profile.as_str() == ADMINISTRATOR_PROFILE
}

/// Somebody who may administer the instance from another machine.
///
/// The administrator's certificates are those of the account of the same name, which has the profile
/// [`ADMINISTRATOR_PROFILE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Administrator {
    /// The administrator's name.
    pub name: Label,
    /// What the administrator may do. The grants add up; none of them takes anything away.
    pub grants: Vec<Grant>,
    /// The tokens of the administrator's programs.
    pub tokens: Vec<Token>,
    /// When the administrator was recorded first.
    pub created: Timestamp,
    /// The user of an OpenID provider who is this administrator, too.
    pub oidc: Option<OidcUser>,
}

/// A user of an OpenID provider. The two claims together are one person, for ever (OpenID Connect Core 1.0 §5.7); an e-mail address is not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OidcUser {
    /// The issuer (`iss`), a URL.
    pub issuer: String,
    /// The user at the issuer (`sub`), at most 255 characters of ASCII.
    pub subject: String,
}

impl OidcUser {
    /// The longest issuer and the longest subject, in octets. For the subject it is that of OpenID Connect Core 1.0 §2.
    pub const MAX: usize = 255;

    /// A user of an issuer.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the subject is no text of 1 to 255 characters of ASCII.
    pub fn new(issuer: &str, subject: &str) -> Result<Self, Error> {
        match (1..=Self::MAX).contains(&subject.len()) && subject.is_ascii() {
            true => Ok(Self { issuer: issuer.to_owned(), subject: subject.to_owned() }),
            false => Err(Error::malformed(format!(
                "expected the `sub` of a user, 1 to {} characters of ASCII, found `{}`",
                Self::MAX,
                subject.chars().take(Self::MAX).collect::<String>().escape_debug()
            ))),
        }
    }
}

/// The subject, `@` and the issuer, in which all but letters, digits and `-._~:/` is percent-encoded: one word, which stands for one user.
impl fmt::Display for OidcUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        encode(&self.subject, f)?;
        f.write_str("@")?;
        encode(&self.issuer, f)
    }
}

fn encode(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    text.bytes().try_for_each(|octet| match octet {
        b'-' | b'.' | b'_' | b'~' | b':' | b'/' => write!(f, "{}", char::from(octet)),
        _ if octet.is_ascii_alphanumeric() => write!(f, "{}", char::from(octet)),
        _ => write!(f, "%{octet:02X}"),
    })
}

/// The right to act in a role, perhaps only for some CAs and accounts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// The role, which stands for a set of commands.
    pub role: Label,
    /// The issuing CAs for which the grant holds; empty for all.
    pub cas: BTreeSet<Label>,
    /// Patterns of the names of accounts for which the grant is good, in which `*` stands for any text; empty for all.
    pub accounts: BTreeSet<String>,
}

impl Grant {
    /// A grant of a role for every CA and account.
    pub const fn of_everything(role: Label) -> Self {
        Self { role, cas: BTreeSet::new(), accounts: BTreeSet::new() }
    }

    /// Whether the grant holds for every CA and account.
    pub fn is_unbounded(&self) -> bool {
        self.cas.is_empty() && self.accounts.is_empty()
    }

    /// Whether the grant covers this account, whose certificates this CA issues.
    pub fn covers(&self, account: &Label, ca: &Label) -> bool {
        (self.cas.is_empty() || self.cas.contains(ca))
            && (self.accounts.is_empty()
                || self.accounts.iter().any(|pattern| matches(pattern, account.as_str())))
    }
}

/// A token by which a program acts as an administrator. The secret itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The token's name, unique among those of its administrator.
    pub name: Label,
    /// SHA-256 of the secret, which has 256 random bits.
    pub hash: [u8; 32],
    /// The roles of the administrator that the token may use; empty for all of them.
    pub roles: BTreeSet<Label>,
    /// When the token was made.
    pub created: Timestamp,
    /// The moment from which on the token is refused.
    pub expires: Timestamp,
}

/// Whether a text is a pattern of accounts' names: a name in which `*` stands for any text.
pub fn is_account_pattern(text: &str) -> bool {
    text.replace('*', "a").parse::<Label>().is_ok()
}

/// Whether the whole of `text` is as `pattern` says, in which `*` stands for any text. The work is at most the product of both lengths.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The error that there is no such administrator.
pub fn no_administrator(name: &Label) -> Error {
    Error::denied(
        Denial::Conflict,
        format!("there is no administrator `{name}`; `countersign admin list` shows them"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_whole_names() {
        for (pattern, text, expected) in [
            ("gw1", "gw1", true),
            ("gw1", "gw10", false),
            ("*", "gw1", true),
            ("gw-*", "gw-", true),
            ("gw-*", "xgw-1", false),
            ("*-berlin", "gw-berlin", true),
            ("*-berlin", "gw-berlin2", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*a", "a", false),
            ("**", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_user_of_an_issuer_is_one_word() {
        let user = |subject: &str| OidcUser::new("https://id.example.net/a b", subject);
        let text = user("7 (x, y)@é").map(|user| user.to_string());
        assert!(text.is_err(), "{text:?}");
        let text = user("7 (x, y)@b").unwrap().to_string();
        assert_eq!(text, "7%20%28x%2C%20y%29%40b@https://id.example.net/a%20b");
        for wrong in [String::new(), "x".repeat(256)] {
            assert!(user(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_grant_covers_what_all_its_bounds_permit() {
        let label = |text: &str| -> Label { text.parse().unwrap() };
        let everything = Grant::of_everything(label("operator"));
        assert!(everything.is_unbounded() && everything.covers(&label("gw1"), &label("issuing")));
        let some = Grant {
            cas: [label("issuing")].into(),
            accounts: ["gw-*".to_owned()].into(),
            ..everything
        };
        assert!(some.covers(&label("gw-1"), &label("issuing")) && !some.is_unbounded());
        assert!(!some.covers(&label("gw-1"), &label("other")));
        assert!(!some.covers(&label("host-1"), &label("issuing")));
    }
}
