//! The base64 of EST's bodies (RFC 8951 §3): the header field Content-Transfer-Encoding is ignored, and every body is base64.

use countersign_ca::Error;
use data_encoding::{BASE64, BASE64_NOPAD};

/// The length of a line for clients that want lines (RFC 2045 §6.8 permits 76).
const LINE: usize = 64;

/// How a body is divided into lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// One line, which strongSwan 5.9.8 needs.
    One,
    /// Lines of 64 characters, which libest needs.
    Many,
}

impl Lines {
    /// The form for the client that this User-Agent names.
    pub fn for_client(user_agent: Option<&str>) -> Self {
        match user_agent.is_some_and(|agent| agent.starts_with("libest")) {
            true => Self::Many,
            false => Self::One,
        }
    }
}

/// Decodes a body. White space is ignored everywhere.
///
/// # Errors
/// [`Error::Malformed`] that says what was found in place of base64.
pub fn decode(body: &[u8]) -> Result<Vec<u8>, Error> {
    let text: Vec<u8> = body.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
    let found = match text.as_slice() {
        [] => "nothing",
        [0x30, second, ..] if !second.is_ascii() => "DER",
        _ if text.starts_with(b"-----") => "PEM",
        _ => {
            return BASE64
                .decode(&text)
                .map_err(|e| Error::malformed(format!("expected base64 (RFC 8951 §3): {e}")));
        }
    };
    Err(Error::malformed(format!(
        "expected the base64 of a request, without any other line (RFC 8951 §3), found {found}"
    )))
}

/// Decodes the body of an answer, as servers of all makes write it: base64 with or without lines and padding, the same as PEM, or the octets
/// themselves, which RFC 7030 §4.1.3 does not allow and some servers send.
///
/// # Errors
/// [`Error::Malformed`] if the text is in none of these forms.
pub fn decode_answer(body: &[u8]) -> Result<Vec<u8>, Error> {
    if let [0x30, length, ..] = body
        && !length.is_ascii()
    {
        return Ok(body.to_vec());
    }
    let lines = body.split(|octet| matches!(octet, b'\r' | b'\n'));
    let lines = lines.filter(|line| !line.trim_ascii().starts_with(b"-----"));
    let octets = lines.flatten().copied();
    let text: Vec<u8> =
        octets.filter(|octet| !octet.is_ascii_whitespace() && *octet != b'=').collect();
    if text.is_empty() {
        return Err(Error::malformed("expected base64 (RFC 8951 §3), found nothing"));
    }
    let decoded = BASE64_NOPAD.decode(&text);
    decoded.map_err(|e| Error::malformed(format!("expected base64 (RFC 8951 §3): {e}")))
}

/// Encodes a body, with a line feed at its end.
pub fn encode(octets: &[u8], lines: Lines) -> String {
    let text = BASE64.encode(octets);
    let length = match lines {
        Lines::One => text.len().max(1),
        Lines::Many => LINE,
    };
    let mut divided = String::with_capacity(text.len().saturating_add(text.len() / length + 1));
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, others) = rest.split_at_checked(length).unwrap_or((rest, ""));
        divided.push_str(line);
        divided.push('\n');
        rest = others;
    }
    divided
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_division_into_lines_is_read_and_those_of_clients_are_written() {
        let octets: Vec<u8> = (0..200).collect();
        let one = encode(&octets, Lines::One);
        assert_eq!(one.matches('\n').count(), 1);
        let many = encode(&octets, Lines::Many);
        assert!(many.lines().all(|line| line.len() <= 64) && many.ends_with('\n'));
        assert_eq!(many.replace('\n', ""), one.trim_end());
        let crlf = many.replace('\n', "\r\n");
        for body in [&one, &many, &crlf, &format!(" \t{one}\r\n\r\n")] {
            assert_eq!(decode(body.as_bytes()).unwrap(), octets);
        }
        assert_eq!(encode(&[], Lines::One), "");
    }

    #[test]
    fn an_answer_may_be_in_lines_in_pem_or_no_base64_at_all() {
        let octets: Vec<u8> = [&[0x30, 0x81, 0xc8][..], &[7; 200]].concat();
        let text = BASE64.encode(&octets);
        let lines = encode(&octets, Lines::Many).replace('\n', "\r\n");
        let pem = format!("-----BEGIN PKCS7-----\n{lines}-----END PKCS7-----\n");
        let unpadded = text.trim_end_matches('=').to_owned();
        for body in [text, lines, pem, unpadded] {
            assert_eq!(decode_answer(body.as_bytes()).unwrap(), octets, "{body}");
        }
        assert_eq!(decode_answer(&octets).unwrap(), octets);
        for body in [&b""[..], b"\n", b"<html>no</html>", b"-----BEGIN PKCS7-----\n", b"AAAAA"] {
            assert!(decode_answer(body).is_err());
        }
    }

    #[test]
    fn what_is_no_base64_is_named() {
        for (body, word) in [
            (&b""[..], "nothing"),
            (b"\r\n", "nothing"),
            (b"\x30\x82\x01\x00", "DER"),
            (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END", "PEM"),
            (b"AAA*", "base64"),
            (b"AAAAA", "base64"),
        ] {
            let why = decode(body).unwrap_err().to_string();
            assert!(why.contains(word), "{why}");
        }
    }
}
