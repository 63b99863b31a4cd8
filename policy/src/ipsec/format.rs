//! The formats of attribute values, and whether a literal can equal a value of a format.

use super::address::{self, AddressRange, Padded, Subnet};
use crate::attributes::MAX_VALUE;
use std::fmt;
use std::net::IpAddr;

/// The largest integer that an assertion can compare with (RFC 2704 §4.6.5); larger numbers of a proposal are replaced by it.
pub const MAX_NUMBER: u32 = i32::MAX as u32;

/// The format of an attribute's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One of these words, in exactly this case.
    OneOf(&'static [&'static str]),
    /// A decimal number up to the given one, without leading zeros.
    Number(u32),
    /// An address of fixed width ([`Padded`]).
    Address,
    /// An address, a range `lower-upper` of addresses, or any text that is a name.
    Identity,
    /// `tcp`, `udp`, `etherip`, or the number (0 to 255) of another IP protocol.
    TransportProtocol,
    /// `YYYYMMDDHHMMSS`.
    Time,
    /// Any text.
    Text,
}

impl Format {
    /// Checks whether a value of this format can equal (`==`) a literal. The empty string passes; whether an attribute can be empty is
    /// checked by [`Attribute::check`](super::Attribute::check).
    ///
    /// # Errors
    /// It cannot; the text says what was expected, what was found, and what to write.
    pub fn check(&self, literal: impl AsRef<[u8]>) -> Result<(), String> {
        let literal = literal.as_ref();
        if literal.is_empty() {
            return Ok(());
        }
        if literal.len() > MAX_VALUE {
            return Err(format!("expected at most {MAX_VALUE} bytes, found {}", literal.len()));
        }
        if literal.contains(&0) {
            return Err("a NUL byte, which no value holds".into());
        }
        let text = std::str::from_utf8(literal).ok();
        let found = || excerpt(literal);
        match self {
            Self::Text => Ok(()),
            Self::Identity => text.map_or(Ok(()), identity),
            Self::OneOf(words) => one_of(words, text.unwrap_or_default(), &found()),
            Self::Number(limit) => number(*limit, text.unwrap_or_default(), &found()),
            Self::TransportProtocol => transport(text.unwrap_or_default(), &found()),
            Self::Address => match text.and_then(address::parse) {
                Some(address) => padded(text.unwrap_or_default(), address),
                None => Err(format!(
                    "expected an address such as `192.168.002.001`, found `{}`",
                    found()
                )),
            },
            Self::Time => match text.and_then(address::parse_time) {
                Some(_) => Ok(()),
                None => Err(format!(
                    "expected a time `YYYYMMDDHHMMSS`, found `{}`; fewer digits only serve `<` and `>`",
                    found()
                )),
            },
        }
    }

    /// Checks whether a literal can be used in an ordering such as `<` or `>=`. Values are ordered as strings, so that the literal must be
    /// the beginning of a value. Only addresses and times are checked.
    ///
    /// # Errors
    /// Its order as a string differs from its meaning; the text says what to write.
    pub fn check_order(&self, literal: &[u8]) -> Result<(), String> {
        let Ok(text) = std::str::from_utf8(literal) else { return Ok(()) };
        match self {
            Self::Address => ordered_address(text),
            // A text that does not look like an address is a name, which has no other order.
            Self::Identity if is_address_like(text) => ordered_address(text),
            Self::Time if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.len() > 14 => {
                Err(format!(
                    "expected a time `YYYYMMDDHHMMSS` or its first digits, found `{}`",
                    excerpt(literal)
                ))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf(words) => f.write_str(&words.join(" | ")),
            Self::Number(_) => f.write_str("decimal number"),
            Self::Address => f.write_str("192.168.002.001 or 2001:0db8:…:0001"),
            Self::Identity => f.write_str("address, lower-upper, or name"),
            Self::TransportProtocol => f.write_str("tcp | udp | etherip | number"),
            Self::Time => f.write_str("YYYYMMDDHHMMSS"),
            Self::Text => f.write_str("text"),
        }
    }
}

fn one_of(words: &[&str], text: &str, found: &str) -> Result<(), String> {
    if words.contains(&text) {
        return Ok(());
    }
    let list = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let hint = nearest(words, text).map(|word| format!("; did you mean `{word}`?"));
    Err(format!("expected one of {list}, found `{found}`{}", hint.unwrap_or_default()))
}

/// The word that was probably meant: one that ends with the text after its first dash (`md5` for `hmac-md5`), or else one that differs
/// from the text by case and at most two typing errors.
fn nearest<'a>(words: &[&'a str], text: &str) -> Option<&'a str> {
    let text = text.get(..text.len().min(64))?.to_ascii_lowercase();
    let distance = |word: &str| strsim::damerau_levenshtein(&word.to_ascii_lowercase(), &text);
    let ending =
        words.iter().find(|word| word.split_once('-').is_some_and(|(_, rest)| rest == text));
    let closest =
        || words.iter().min_by_key(|word| distance(word)).filter(|word| distance(word) <= 2);
    ending.or_else(closest).copied()
}

fn number(limit: u32, text: &str, found: &str) -> Result<(), String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("expected a decimal number, found `{found}`"));
    }
    match text.parse::<u32>() {
        Ok(value) if value > limit => Err(format!("expected at most `{limit}`, found `{found}`")),
        Err(_) => Err(format!("expected at most `{limit}`, found `{found}`")),
        Ok(value) if value.to_string() != text => {
            Err(format!("numbers have no leading zeros: write `{value}`, not `{found}`"))
        }
        Ok(_) => Ok(()),
    }
}

fn transport(text: &str, found: &str) -> Result<(), String> {
    if ["tcp", "udp", "etherip"].contains(&text) {
        return Ok(());
    }
    let name = match text.to_ascii_lowercase().as_str() {
        "tcp" | "6" => "tcp",
        "udp" | "17" => "udp",
        "etherip" | "97" => "etherip",
        _ => {
            return number(u32::from(u8::MAX), text, found).map_err(|message| {
                format!(
                    "neither `tcp`, `udp`, `etherip` nor the number of another protocol: {message}"
                )
            });
        }
    };
    Err(format!("the protocol `{found}` is written `{name}`"))
}

fn padded(text: &str, address: IpAddr) -> Result<(), String> {
    let right = Padded(address).to_string();
    if text == right {
        return Ok(());
    }
    Err(format!("addresses are padded with zeros and in lower case: write `{right}`, not `{text}`"))
}

/// Whether a text looks like an address, a range, a subnet, or the beginning of one: only digits and separators, with a point or a colon.
fn is_address_like(text: &str) -> bool {
    let v4 = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'/');
    let v6 = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'-' | b'/');
    let has_digit = text.bytes().any(|byte| byte.is_ascii_hexdigit());
    has_digit
        && (text.bytes().all(v4) && text.contains('.')
            || text.bytes().all(v6) && text.contains(':'))
}

/// Refuses a text unless it is an address, a range, or the beginning of one, with all the digits of each part.
fn ordered_address(text: &str) -> Result<(), String> {
    if let Some((lower, upper)) = text.split_once('-') {
        return ordered_address(lower).and_then(|()| ordered_address(upper));
    }
    if let Some(address) = address::parse(text) {
        return padded(text, address);
    }
    let (separator, width) = if text.contains(':') { (':', 4) } else { ('.', 3) };
    let digit = |byte: u8| match separator {
        ':' => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        _ => byte.is_ascii_digit(),
    };
    let whole = |part: &str| part.len() == width && part.bytes().all(digit);
    let mut parts = text.split(separator).rev();
    // The beginning of an address may end behind a separator.
    let last = parts.next().is_some_and(|last| last.is_empty() || whole(last));
    if last && parts.all(whole) {
        return Ok(());
    }
    Err(format!(
        "addresses are padded with zeros and in lower case, as in `192.168.002.001` and `2001:0db8:…`: expected the beginning of one with \
         {width} digits in each part, found `{}`",
        excerpt(text.as_bytes())
    ))
}

fn identity(text: &str) -> Result<(), String> {
    if let Some(address) = address::parse(text) {
        return padded(text, address);
    }
    if let Some((lower, upper)) = pair(text, '-') {
        let range = AddressRange::new(lower, upper).map_err(|error| error.to_string())?.to_string();
        if text != range {
            return Err(format!(
                "addresses are padded with zeros and in lower case: write `{range}`, not `{text}`"
            ));
        }
        return Ok(());
    }
    let Some((address, prefix)) = text.split_once('/') else { return Ok(()) };
    let subnet = match (address::parse(address), prefix.parse::<u8>(), address::parse(prefix)) {
        (Some(address), Ok(length), _) => Subnet::new(address, length),
        (Some(address), _, Some(mask)) => Subnet::with_mask(address, mask),
        _ => return Ok(()),
    };
    let range = subnet.map_err(|error| error.to_string())?.range();
    Err(format!("a subnet is written as a range: `{range}`, not `{text}`"))
}

fn pair(text: &str, between: char) -> Option<(IpAddr, IpAddr)> {
    let (lower, upper) = text.split_once(between)?;
    Some((address::parse(lower)?, address::parse(upper)?))
}

fn excerpt(literal: &[u8]) -> String {
    String::from_utf8_lossy(literal.get(..64).unwrap_or(literal)).into_owned()
}
