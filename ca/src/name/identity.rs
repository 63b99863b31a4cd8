//! IKE phase 1 identities, as an operator writes them and as a certificate carries them (RFC 4945 §3.1).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use der::asn1::{Ia5String, OctetString};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::comparison::{normal_name, same_name};
use super::dn::distinguished_name;
use crate::error::{Denial, Error, Result};

/// The longest accepted identity in text form, in bytes. A DNS name has at most 253 of them.
const MAX_TEXT: usize = 1024;

/// An identity that a peer may present in IKE phase 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// `ID_FQDN`: a dNSName in the subjectAltName, in lower case.
    Fqdn(String),
    /// `ID_IPV4_ADDR` or `ID_IPV6_ADDR`: an iPAddress in the subjectAltName.
    Ip(IpAddr),
    /// `ID_USER_FQDN` (`ID_RFC822_ADDR`): an rfc822Name in the subjectAltName.
    Email(String),
    /// `ID_DER_ASN1_DN`: the subject itself.
    Dn(Name),
}

impl Identity {
    /// The subjectAltName entry that carries this identity; `None` for a DN, which the subject carries.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the text does not fit an IA5String.
    pub fn general_name(&self) -> Result<Option<GeneralName>> {
        let not_ia5 = |e: der::Error| Error::malformed(format!("`{self}` is not ASCII: {e}"));
        Ok(match self {
            Self::Fqdn(name) => Some(GeneralName::DnsName(Ia5String::new(name).map_err(not_ia5)?)),
            Self::Email(mailbox) => {
                Some(GeneralName::Rfc822Name(Ia5String::new(mailbox).map_err(not_ia5)?))
            }
            Self::Ip(address) => Some(GeneralName::IpAddress(
                match address {
                    IpAddr::V4(v4) => OctetString::new(v4.octets()),
                    IpAddr::V6(v6) => OctetString::new(v6.octets()),
                }
                .map_err(Error::internal)?,
            )),
            Self::Dn(_) => None,
        })
    }

    /// Whether two identities are the same. Case is ignored in a DNS name (RFC 4343) and in the domain of a mailbox
    /// (RFC 5280 §7.5); DNs are compared by RFC 5280 §7.1.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fqdn(own), Self::Fqdn(other)) => own.eq_ignore_ascii_case(other),
            (Self::Email(own), Self::Email(other)) => {
                match (own.rsplit_once('@'), other.rsplit_once('@')) {
                    (Some((local, domain)), Some((other_local, other_domain))) => {
                        local == other_local && domain.eq_ignore_ascii_case(other_domain)
                    }
                    _ => own == other,
                }
            }
            (Self::Dn(own), Self::Dn(other)) => same_name(own, other),
            (own, other) => own == other,
        }
    }

    /// A text that is equal for all identities that are the same, for use as a look-up key only. Different identities
    /// may share it.
    pub(crate) fn normal(&self) -> String {
        match self {
            Self::Dn(name) => format!("dn:{}", normal_name(name)),
            other => other.to_string().to_ascii_lowercase(),
        }
    }

    /// Reads a subjectAltName entry as an identity.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a dNSName or rfc822Name that is not well formed; `Denied` with [`Denial::Template`] for
    /// an iPAddress of the wrong length, and for a kind of name that is not an IKE identity.
    pub fn from_general_name(name: &GeneralName) -> Result<Self> {
        match name {
            GeneralName::DnsName(dns) => fqdn(dns.as_str()),
            GeneralName::Rfc822Name(mailbox) => email(mailbox.as_str()),
            GeneralName::IpAddress(octets) => {
                if let Ok(v4) = <[u8; 4]>::try_from(octets.as_bytes()) {
                    Ok(Self::Ip(IpAddr::from(v4)))
                } else if let Ok(v6) = <[u8; 16]>::try_from(octets.as_bytes()) {
                    Ok(Self::Ip(IpAddr::from(v6)))
                } else {
                    Err(not_held(&format!(
                        "an iPAddress has 4 or 16 octets (RFC 5280 §4.2.1.6), found {}",
                        octets.as_bytes().len()
                    )))
                }
            }
            GeneralName::DirectoryName(name) => Ok(Self::Dn(name.clone())),
            GeneralName::UniformResourceIdentifier(uri) => {
                Err(another_kind(&format!("the uniformResourceIdentifier `{}`", uri.as_str())))
            }
            GeneralName::RegisteredId(id) => Err(another_kind(&format!("the registeredID `{id}`"))),
            GeneralName::OtherName(name) => {
                Err(another_kind(&format!("an otherName of the type `{}`", name.type_id)))
            }
            GeneralName::EdiPartyName(_) => Err(another_kind("an ediPartyName")),
        }
    }
}

/// The error for a name that can be read but that no certificate of this CA contains. The request must change.
fn not_held(why: &str) -> Error {
    Error::denied(Denial::Template, why)
}

fn another_kind(found: &str) -> Error {
    not_held(&format!(
        "a subjectAltName holds dNSName, iPAddress and rfc822Name here, found {found}; leave it out"
    ))
}

/// Reads `fqdn:gw1.example.net`, `ip:192.0.2.1`, `email:a@example.net` or `dn:CN=gw1,O=Example` (RFC 4514). `dns:`
/// means the same as `fqdn:`, and `user-fqdn:` the same as `email:`.
impl FromStr for Identity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() > MAX_TEXT {
            return Err(Error::malformed(format!(
                "an identity has at most {MAX_TEXT} bytes, found {}",
                text.len()
            )));
        }
        match text.split_once(':') {
            Some(("fqdn" | "dns", name)) => fqdn(name),
            Some(("ip", address)) => address.parse().map(Self::Ip).map_err(|_| {
                Error::malformed(format!("expected an IPv4 or IPv6 address, found `{address}`"))
            }),
            Some(("email" | "user-fqdn", mailbox)) => email(mailbox),
            Some(("dn", name)) => distinguished_name(name).map(Self::Dn),
            _ => Err(Error::malformed(format!(
                "expected an identity such as `fqdn:gw1.example.net`, `ip:192.0.2.1`, \
                 `email:a@example.net` or `dn:CN=gw1,O=Example`, found `{text}`"
            ))),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fqdn(name) => write!(f, "fqdn:{name}"),
            Self::Ip(address) => write!(f, "ip:{address}"),
            Self::Email(mailbox) => write!(f, "email:{mailbox}"),
            Self::Dn(name) => write!(f, "dn:{name}"),
        }
    }
}

/// A DNS name in the preferred syntax of RFC 1034 §3.5, as RFC 5280 §4.2.1.6 demands; underscores, and digits at the
/// beginning of a label, are accepted, too. A leading `*.` is refused.
fn fqdn(name: &str) -> Result<Identity> {
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(label_ok) {
        Ok(Identity::Fqdn(name.to_ascii_lowercase()))
    } else {
        Err(Error::malformed(format!(
            "expected a DNS name such as `gw1.example.net` (letters, digits and hyphens; \
             an international name in its `xn--` form), found `{}`",
            name.escape_debug()
        )))
    }
}

/// An ASCII mailbox `local@domain` (RFC 5321) without a quoted local part. The domain is converted to lower case.
fn email(mailbox: &str) -> Result<Identity> {
    let wrong = || {
        Error::malformed(format!(
            "expected a mailbox such as `a@example.net`, found `{}`",
            mailbox.escape_debug()
        ))
    };
    let (local, domain) = mailbox.rsplit_once('@').ok_or_else(wrong)?;
    let local_ok = (1..=64).contains(&local.len())
        && local.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b))
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    let Ok(Identity::Fqdn(domain)) = fqdn(domain) else { return Err(wrong()) };
    if local_ok { Ok(Identity::Email(format!("{local}@{domain}"))) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_kind_and_shows_it_again() {
        for text in [
            "fqdn:gw1.example.net",
            "ip:192.0.2.1",
            "ip:2001:db8::1",
            "email:a.b@example.net",
            "dn:CN=gw1,O=Example,C=DE",
        ] {
            assert_eq!(text.parse::<Identity>().unwrap().to_string(), text);
        }
        assert_eq!("fqdn:GW1.Example.NET".parse(), Ok(Identity::Fqdn("gw1.example.net".into())));
        assert_eq!(
            "dn:CN=gw1, O=Example".parse::<Identity>().unwrap().to_string(),
            "dn:CN=gw1,O=Example"
        );
    }

    #[test]
    fn the_same_identity_in_other_letters_is_the_same() {
        let identity = |text: &str| text.parse::<Identity>().unwrap();
        for (one, other, same) in [
            ("fqdn:gw1.example.net", "fqdn:GW1.Example.NET", true),
            ("email:a.b@example.net", "email:a.b@EXAMPLE.net", true),
            ("email:a.b@example.net", "email:A.b@example.net", false),
            ("dn:CN=gw1,O=Example Inc", "dn:cn=GW1 , o=EXAMPLE   Inc", true),
            ("dn:CN=gw1,O=Example", "dn:O=Example,CN=gw1", false),
            ("dn:CN=gw1+OU=Lab,O=Example", "dn:OU=lab+CN=GW1,O=Example", true),
            ("dn:CN=gw1,O=Example", "dn:CN=gw1,O=Example2", false),
            ("ip:2001:db8::1", "ip:2001:DB8:0::1", true),
            ("fqdn:gw1.example.net", "email:a@gw1.example.net", false),
        ] {
            let (one, other) = (identity(one), identity(other));
            assert_eq!(one.is_same(&other), same, "{one} {other}");
            assert!(!same || one.normal() == other.normal(), "{one} {other}");
        }
    }

    #[test]
    fn refuses_what_is_no_identity() {
        for text in [
            "gw1",
            "fqdn:",
            "fqdn:*.example.net",
            "fqdn:a..b",
            "fqdn:-a.example",
            "fqdn:g\u{fc}.example",
            "ip:192.0.2.256",
            "ip:192.0.2.0/24",
            "email:@example.net",
            "email:a@b@c d",
            "dn:",
            "dn:gw1",
            "dn:CN=\u{202e}gw1",
            "dn:CN=a\u{0}b",
            "dn:CN=a\\00b",
            "dn:CN=gw1,C=Germany",
        ] {
            assert!(matches!(text.parse::<Identity>(), Err(Error::Malformed(_))), "{text}");
        }
    }
}
