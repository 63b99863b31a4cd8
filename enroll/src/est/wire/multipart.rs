//! The answer to a request for a generated key: multipart/mixed, the private key first (RFC 7030 §4.4.2, RFC 2046 §5.1). Every buffer that
//! holds the key is wiped.

use data_encoding::BASE64;
use zeroize::Zeroizing;

/// The media type of the answer. Its boundary is not a line of base64.
pub const MEDIA_TYPE: &str = "multipart/mixed; boundary=countersign";

/// The header fields of the parts, in the spelling that libest compares. There is nothing before the first boundary, because libest reads
/// no preamble.
const KEY: &[u8] =
    b"--countersign\r\nContent-Type: application/pkcs8\r\nContent-Transfer-Encoding: base64\r\n\r\n";
const CERTIFICATE: &[u8] =
    b"\r\n--countersign\r\nContent-Type: application/pkcs7-mime; smime-type=certs-only\r\n\
    Content-Transfer-Encoding: base64\r\n\r\n";
const END: &[u8] = b"\r\n--countersign--\r\n";

/// The octets of one line before base64, and its characters afterwards ([`CHARACTERS`]).
const OCTETS: usize = 48;
const CHARACTERS: usize = 64;

/// The body with a private key (a PrivateKeyInfo, DER) and its certificate (a certs-only message, DER).
pub fn key_and_certificate(key: &[u8], certificate: &[u8]) -> Zeroizing<Vec<u8>> {
    let lines = [key, certificate].map(|octets| octets.len().div_ceil(OCTETS));
    let room = lines.iter().sum::<usize>().saturating_mul(CHARACTERS + 2);
    let room = room.saturating_add(KEY.len() + CERTIFICATE.len() + END.len());
    // There is room for all of it from the start. If it grew, a copy of the key would be left in memory.
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    body.extend_from_slice(KEY);
    append(&mut body, key);
    body.extend_from_slice(CERTIFICATE);
    append(&mut body, certificate);
    body.extend_from_slice(END);
    body
}

/// Appends octets in base64, in lines. The end of the last line belongs to the boundary that follows.
fn append(body: &mut Vec<u8>, octets: &[u8]) {
    let mut line = Zeroizing::new([0; CHARACTERS]);
    for (number, part) in octets.chunks(OCTETS).enumerate() {
        if number > 0 {
            body.extend_from_slice(b"\r\n");
        }
        if let Some(line) = line.get_mut(..BASE64.encode_len(part.len())) {
            BASE64.encode_mut(part, line);
            body.extend_from_slice(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stands_before_its_certificate_in_lines_of_base64() {
        let (key, certificate) = ([1; 100], [2; 48]);
        let body = key_and_certificate(&key, &certificate);
        assert!(body.capacity() >= body.len());
        let text = std::str::from_utf8(&body).unwrap();
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text}");
        let parts: Vec<&str> = text.split("--countersign").collect();
        let [before, first, second, end] = parts.as_slice() else { panic!("{text}") };
        assert_eq!((*before, *end), ("", "--\r\n"));
        for (part, kind, octets) in [
            (first, "application/pkcs8", &key[..]),
            (second, "application/pkcs7-mime; smime-type=certs-only", &certificate[..]),
        ] {
            let (head, rest) = part.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Type: {kind}\r\n")), "{head}");
            assert!(head.ends_with("Content-Transfer-Encoding: base64"), "{head}");
            let lines: Vec<&str> = rest.trim_end().split("\r\n").collect();
            assert!(lines.iter().all(|line| line.len() <= CHARACTERS), "{rest}");
            assert_eq!(BASE64.decode(lines.concat().as_bytes()).unwrap(), octets);
        }
    }
}
