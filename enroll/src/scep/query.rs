//! The query of a SCEP request (RFC 8894 §4.1), as clients really write it.

use data_encoding::BASE64_NOPAD;
use percent_encoding::percent_decode_str;

/// The value of a parameter, as it was sent; `None` if there is none.
///
/// The raw query is cut by hand, because a reader of forms makes a space of each `+`, and jscep sends `+` as it is.
pub fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
    values.next()
}

/// The octets of the parameter `message`; `None` if they are not in base64.
///
/// Clients escape what they like, and break lines or not. micromdm's client writes the alphabet for URLs (RFC 4648 §5).
pub fn message(value: &str) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(value.len());
    for octet in percent_decode_str(value) {
        match octet {
            b'-' => text.push(b'+'),
            b'_' => text.push(b'/'),
            b'=' => {}
            octet if octet.is_ascii_whitespace() => {}
            octet => text.push(octet),
        }
    }
    BASE64_NOPAD.decode(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clients_spelling_of_a_message_is_read() {
        let octets = [0xfb, 0xff, 0xbe, 0x01];
        for query in [
            // strongSwan, sscep, certmonger, jscep, micromdm, macOS.
            "operation=PKIOperation&message=%2B/%2B%2BAQ=%0A%0A",
            "operation=PKIOperation&message=%2B/%0A%2B%2BAQ%3D%3D%0A",
            "operation=PKIOperation&message=%2B%2F%2B%2BAQ%3D%3D",
            "operation=PKIOperation&message=+/++AQ==",
            "message=-_--AQ&operation=PKIOperation",
            "operation=PKIOperation&message=+/++AQ%3D%3D",
        ] {
            assert_eq!(parameter(query, "operation"), Some("PKIOperation"), "{query}");
            assert_eq!(message(parameter(query, "message").unwrap()).unwrap(), octets, "{query}");
        }
    }

    #[test]
    fn what_is_missing_or_no_base64_is_told_apart_from_what_is_empty() {
        assert_eq!(parameter("operation=GetCACaps", "message"), None);
        assert_eq!(parameter("operation=GetCACaps&message", "message"), Some(""));
        assert_eq!(parameter("operation=GetCACaps&message=", "message"), Some(""));
        assert_eq!(parameter("", "message"), None);
        for wrong in ["%", "a", "ab!d", "%c3%a4"] {
            assert_eq!(message(wrong), None, "{wrong}");
        }
    }
}
