//! Writes operations as LDIF change records (RFC 2849), for `ldapmodify`. It does no I/O.

use bytes::Bytes;

use super::plan::{Change, Operation};

/// The longest line, in octets; longer ones are folded (RFC 2849, note 2 on the syntax).
const WIDTH: usize = 76;

/// The operations as change records, in their order.
pub fn ldif(operations: &[Operation]) -> String {
    let mut text = String::new();
    for operation in operations {
        line(&mut text, "dn", operation.dn().as_bytes());
        match operation {
            Operation::Add { attributes, .. } => {
                text.push_str("changetype: add\n");
                for (name, values) in attributes {
                    lines(&mut text, name, values);
                }
            }
            Operation::Modify { changes, .. } => {
                text.push_str("changetype: modify\n");
                for change in changes {
                    let (verb, name, values) = match change {
                        Change::Add(name, values) => ("add", name, values),
                        Change::Delete(name, values) => ("delete", name, values),
                        Change::Replace(name, values) => ("replace", name, values),
                    };
                    line(&mut text, verb, name.as_bytes());
                    lines(&mut text, name, values);
                    text.push_str("-\n");
                }
            }
        }
        text.push('\n');
    }
    text
}

fn lines(text: &mut String, name: &str, values: &[Bytes]) {
    values.iter().for_each(|value| line(text, name, value));
}

/// Writes an attribute and its value as a line. A value that is not a SAFE-STRING is written in Base64; a long line is folded.
fn line(text: &mut String, name: &str, value: &[u8]) {
    let is_safe = value.iter().all(|octet| matches!(octet, 0x20..=0x7e))
        && !matches!(value.first(), Some(b' ' | b':' | b'<'))
        && value.last() != Some(&b' ');
    let whole = match std::str::from_utf8(value) {
        Ok(value) if is_safe => format!("{name}: {value}"),
        _ => format!("{name}:: {}", data_encoding::BASE64.encode(value)),
    };
    // Names, safe values and Base64 are ASCII, so that a line can be folded at any octet.
    let (first, rest) = whole.split_at_checked(WIDTH).unwrap_or((&whole, ""));
    text.push_str(first);
    for part in rest.as_bytes().chunks(WIDTH - 1) {
        text.push_str("\n ");
        text.push_str(&String::from_utf8_lossy(part));
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_folded_and_what_is_not_safe_is_encoded() {
        let operations = [Operation::Modify {
            dn: "cn=Lučić,o=x".into(),
            changes: vec![
                Change::Add(
                    "cn".into(),
                    vec![Bytes::from_static(b" leading"), Bytes::from_static(b"plain")],
                ),
                Change::Replace(
                    "certificateRevocationList;binary".into(),
                    vec![Bytes::from(vec![0x81; 200])],
                ),
                Change::Delete("userCertificate;binary".into(), vec![]),
            ],
        }];
        let text = ldif(&operations);
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
        let unfolded = text.replace("\n ", "");
        let expected = format!(
            "dn:: {}\nchangetype: modify\nadd: cn\ncn:: IGxlYWRpbmc=\ncn: plain\n-\nreplace: certificateRevocationList;binary\n\
             certificateRevocationList;binary:: {}\n-\ndelete: userCertificate;binary\n-\n\n",
            data_encoding::BASE64.encode("cn=Lučić,o=x".as_bytes()),
            data_encoding::BASE64.encode(&[0x81; 200])
        );
        assert_eq!(unfolded, expected);
    }

    #[test]
    fn every_length_is_folded_whole() {
        for length in 0..400 {
            let value = vec![b'a'; length];
            let mut text = String::new();
            line(&mut text, "cn", &value);
            assert_eq!(text.replace("\n ", ""), format!("cn: {}\n", "a".repeat(length)));
            assert!(text.lines().all(|line| line.len() <= WIDTH));
        }
    }
}
