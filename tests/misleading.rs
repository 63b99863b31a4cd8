//! Characters that mislead a reader: the crate `policy` depends on no other and has a table of its own, which must be that of `ca`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that panics is a test that fails"
)]

use std::process::Command;

use countersign_ca::name::escape_misleading;
use countersign_policy::source::printable;

fn all() -> impl Iterator<Item = char> {
    '\0'..=char::MAX
}

fn is_escaped(c: char) -> bool {
    escape_misleading(c.encode_utf8(&mut [0; 4])) != c.to_string()
}

#[test]
fn both_tables_have_the_same_characters() {
    for c in all() {
        let shown = printable(c.to_string().as_bytes());
        let expected = match c {
            // A finding points at columns, in which a tab is one.
            '\t' => " ".to_owned(),
            _ if is_escaped(c) => "\u{fffd}".to_owned(),
            _ => c.to_string(),
        };
        assert_eq!(shown, expected, "U+{:04X}", u32::from(c));
    }
}

#[test]
fn every_character_that_unicode_says_is_not_shown_is_in_them() {
    let script = r"for (0 .. 0x10ffff) { next if $_ >= 0xd800 && $_ <= 0xdfff;
        print qq($_\n) if chr =~ /[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\p{Cc}\p{Zl}\p{Zp}]/ }";
    let perl = Command::new("perl").args(["-e", script]).output();
    let perl = perl.expect("this test needs `perl`: apt-get install perl");
    assert!(perl.status.success(), "{}", String::from_utf8_lossy(&perl.stderr));
    let text = String::from_utf8(perl.stdout).unwrap();
    let named: Vec<char> =
        text.lines().map(|line| char::from_u32(line.parse().unwrap()).unwrap()).collect();
    assert!(named.len() > 4000, "{}", named.len());
    for c in named {
        assert!(is_escaped(c), "U+{:04X}", u32::from(c));
    }
}
