#!/usr/bin/env bash
# ldap-types 0.7.5 (crates.io), `dn_parser` and `Display` of `DistinguishedName`: a name that is read and written again.
#
# Expected: RFC 4514 §2.4: commas, plus signs, backslashes and blanks at the ends are escaped in text, octets of a value may be, in UTF-8; a value
# after `#` is BER in hexadecimal. What is written is read as the same name.
# Seen: nothing is escaped when a name is written, and its own reader refuses what was written. Octets are written as characters of their numbers:
# two for `\C4\8D`, two controls and two letters for the BER after `#`.
# So: an entry's name from one answer does not find the entry in the next search; keep the text that came.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"
[dependencies]
chumsky = "=0.13.0"
ldap-types = "=0.7.5"
[workspace]
TOML
cat >src/main.rs <<'RUST'
use chumsky::Parser;
use ldap_types::basic::{DistinguishedName, dn_parser};

fn read(text: &str) -> Result<DistinguishedName, String> {
    dn_parser().parse(text).into_result().map_err(|errors| errors[0].to_string())
}

fn visible(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { format!("<{:02x}>", u32::from(char)) } else { char.to_string() }).collect()
}

fn main() {
    for text in [
        "OU=Ops+CN=gw,O=Example",
        r"CN=Gate\, East,O=Example",
        r"CN=a\+b,O=Example",
        r"CN=a\\b,O=Example",
        r"CN=Lu\C4\8Di\C4\87,O=Example",
        "1.3.6.1.4.1.1466.0=#04024869,O=Example",
    ] {
        let name = read(text).unwrap();
        let verdict = match read(&name.to_string()) {
            Ok(again) if again == name => String::from("the same name"),
            Ok(_) => String::from("another name"),
            Err(error) => format!("refused: {error}"),
        };
        println!("{text} is written as {}: {verdict}", visible(&name.to_string()));
    }
}
RUST
cat >expected <<'TEXT'
OU=Ops+CN=gw,O=Example is written as OU=Ops+CN=gw,O=Example: the same name
CN=Gate\, East,O=Example is written as CN=Gate, East,O=Example: refused: IllegalRootNode
CN=a\+b,O=Example is written as CN=a+b,O=Example: refused: found ',' expected something else, or '='
CN=a\\b,O=Example is written as CN=a\b,O=Example: refused: found ',' expected something else
CN=Lu\C4\8Di\C4\87,O=Example is written as CN=LuÄ<8d>iÄ<87>,O=Example: the same name
1.3.6.1.4.1.1466.0=#04024869,O=Example is written as 1.3.6.1.4.1.1466.0=<04><02>Hi,O=Example: the same name
TEXT
cargo run --quiet >seen
diff expected seen
cat seen
