#!/usr/bin/env bash
# rasn-pkix 0.30.0 (crates.io), `GeneralNames`: an otherName beside other names.
#
# Expected: RFC 5280 §4.2.1.6: the value of an otherName is anything that its type defines: an IA5String for dnsSRV (RFC 4985 §2), a UTF8String for
# a user principal name or XMPP address (RFC 6120 §13.7.1.4), a SEQUENCE for a hardware module (RFC 4108 §5). One that a program does not know is
# passed over.
# Seen: the type is `InstanceOf<OctetString>`: whatever is no OCTET STRING is an error, and with it the whole extension: the DNS name is not read
# either. The message speaks of tag 4.
# So: subjectAltNames with a principal name, a service or a device's serial number do not decode, and their other names are lost with them; read
# this extension with another crate.
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
rasn = "=0.30.0"
rasn-pkix = "=0.30.0"
[workspace]
TOML
cat >src/main.rs <<'RUST'
use rasn_pkix::{GeneralName, GeneralNames};

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, u8::try_from(content.len()).unwrap()][..], content].concat()
}

fn main() {
    const DNS_SRV: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 8, 7];
    const PRINCIPAL: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x14, 2, 3];
    const HARDWARE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 8, 4];
    for (label, identifier, value) in [
        ("an OCTET STRING", PRINCIPAL, tagged(0x04, b"gw@example.net")),
        ("dnsSRV", DNS_SRV, tagged(0x16, b"_ldap.example.net")),
        ("a principal name", PRINCIPAL, tagged(0x0c, b"gw@example.net")),
        ("a hardware module", HARDWARE, tagged(0x30, &[tagged(6, &[0x2a, 3]), tagged(4, b"7")].concat())),
    ] {
        let other = tagged(0xa0, &[tagged(6, identifier), tagged(0xa0, &value)].concat());
        let names = tagged(0x30, &[tagged(0x82, b"gw.example.net"), other].concat());
        match rasn::der::decode::<GeneralNames>(&names) {
            Ok(names) => println!("{label}: {} names, the first a DNS name: {}", names.len(), matches!(names[0], GeneralName::DnsName(_))),
            Err(error) => println!("{label}: {error}"),
        }
    }
}
RUST
cat >expected <<'TEXT'
an OCTET STRING: 2 names, the first a DNS name: true
dnsSRV: BER decoding error: Expected Tag { class: Universal, value: 4 } tag, actual tag: Tag { class: Universal, value: 22 } (Codec: DER)
a principal name: BER decoding error: Expected Tag { class: Universal, value: 4 } tag, actual tag: Tag { class: Universal, value: 12 } (Codec: DER)
a hardware module: BER decoding error: Expected Tag { class: Universal, value: 4 } tag, actual tag: Tag { class: Universal, value: 16 } (Codec: DER)
TEXT
cargo run --quiet >seen
diff expected seen
cat seen
