#!/usr/bin/env bash
# ldap3 0.12.1 (crates.io), `get_url_params` and `parse_filter`: the examples of the RFCs.
#
# Expected: RFC 4516 §4 and RFC 4515 §4 give examples, and RFC 5234 §2.3 makes words in a grammar independent of case: `ONE` is a scope and `:DN`
# the flag. A URL without a scope asks for the entry itself (RFC 4516 §2: "base").
# Seen: `ONE` is an "invalid scope string", `(:DN:2.4.6.8.10:=Dino)` an error without a word, the same in lower case is read; and a URL without a
# scope asks for the whole subtree (which the field's documentation says).
# So: a cRLDistributionPoint such as `ldap://host/cn=CA?certificateRevocationList` asks for more than the entry that it names: set the scope from
# the URL's own text.
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
ldap3 = { version = "=0.12.1", default-features = false }
url = "=2.5.8"
[workspace]
TOML
cat >src/main.rs <<'RUST'
use ldap3::{get_url_params, parse_filter};
use url::Url;

fn main() {
    for text in [
        "ldap://ldap.example.com/c=GB?objectClass?one",
        "LDAP://ldap.example.com/c=GB?objectClass?ONE",
        "ldap://ldap.example.net/o=University%20of%20Michigan,c=US?postalAddress",
    ] {
        match get_url_params(&Url::parse(text).unwrap()) {
            Ok(parameters) => println!("{text}: {:?}", parameters.scope),
            Err(error) => println!("{text}: {error}"),
        }
    }
    for text in ["(:dn:2.4.6.8.10:=Dino)", "(:DN:2.4.6.8.10:=Dino)"] {
        println!("{text}: {}", parse_filter(text).map_or("refused", |_| "read"));
    }
}
RUST
cat >expected <<'TEXT'
ldap://ldap.example.com/c=GB?objectClass?one: OneLevel
LDAP://ldap.example.com/c=GB?objectClass?ONE: invalid scope string in LDAP URL: ONE
ldap://ldap.example.net/o=University%20of%20Michigan,c=US?postalAddress: Subtree
(:dn:2.4.6.8.10:=Dino): read
(:DN:2.4.6.8.10:=Dino): refused
TEXT
cargo run --quiet >seen
diff expected seen
cat seen
