#!/usr/bin/env bash
# ldap3_proto 0.9.0 (crates.io), `parse_ldap_filter_str`: search filters in text.
#
# Expected: RFC 4515 §3 and §4: a value may hold blanks and equals signs, an escape `\2a` is one octet, what stands left may be an OID or have
# options. The first example of §4 is `(cn=Babs Jensen)`.
# Seen: the first example is refused at the blank. Escapes are kept as they stand (the value of `\2a` has three characters, in a substring as
# well), blanks at the ends are cut off, `=` in a value, OIDs and options are refused.
# So: it serves tests with simple words only; a server's configuration or a URL's filter needs the client crate's reader, or `LdapFilter` made
# by hand.
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
ldap3_proto = "=0.9.0"
[workspace]
TOML
cat >src/main.rs <<'RUST'
fn main() {
    for text in [
        "(cn=Babs Jensen)",
        "(cn=Babs)",
        r"(cn=\2a)",
        r"(cn=*\2A*)",
        r"(o=A\28b\29)",
        "(cn= gate )",
        "(cn=a=b)",
        "(2.5.4.3=gate)",
        "(userCertificate;binary=*)",
    ] {
        match ldap3_proto::parse_ldap_filter_str(text) {
            Ok(filter) => println!("{text} -> {filter:?}"),
            Err(error) => println!("{text} -> refused at column {}", error.location.column),
        }
    }
}
RUST
cat >expected <<'TEXT'
(cn=Babs Jensen) -> refused at column 10
(cn=Babs) -> Equality("cn", "Babs")
(cn=\2a) -> Equality("cn", "\\2a")
(cn=*\2A*) -> Substring("cn", LdapSubstringFilter { initial: None, any: ["\\2A"], final_: None })
(o=A\28b\29) -> Equality("o", "A\\28b\\29")
(cn= gate ) -> Equality("cn", "gate")
(cn=a=b) -> refused at column 6
(2.5.4.3=gate) -> refused at column 3
(userCertificate;binary=*) -> refused at column 17
TEXT
cargo run --quiet >seen
diff expected seen
cat seen
