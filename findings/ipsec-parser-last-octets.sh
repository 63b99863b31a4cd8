#!/usr/bin/env bash
# ipsec-parser 0.7.0 (crates.io), `parse_ikev2_payload_list`: the data of Notify, Vendor ID and Delete payloads of IKEv2.
#
# Expected: RFC 7296 §3.2: the payload's length counts the generic header of four octets; what follows it belongs to the payload up to that
# length: notification data (§3.10), SPIs (§3.11), a vendor's identifier (§3.12). Nonces and certificates are read so by the crate.
# Seen: Notify loses its last 4 octets (all of data that is no longer), Delete the last 4 and a Vendor ID the last 8: of four signature hash
# algorithms (RFC 7427 §4) two are left, of the group in INVALID_KE_PAYLOAD and of a single deleted SPI nothing. No error.
# So: what is missing looks like a peer's choice; read these three payloads from the octets (`parse_ikev2_payload_generic`).
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
ipsec-parser = "=0.7.0"
[workspace]
TOML
cat >src/main.rs <<'RUST'
use ipsec_parser::{IkePayloadType, IkeV2PayloadContent as Content, parse_ikev2_payload_list};

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn main() {
    for (label, kind, body) in [
        ("nonce", IkePayloadType::Nonce, &[7; 16][..]),
        ("SIGNATURE_HASH_ALGORITHMS", IkePayloadType::Notify, &[0, 0, 0x40, 0x2f, 0, 1, 0, 2, 0, 3, 0, 5]),
        ("INVALID_KE_PAYLOAD", IkePayloadType::Notify, &[0, 0, 0, 17, 0, 19]),
        ("one deleted SPI", IkePayloadType::Delete, &[3, 4, 0, 1, 0xc0, 0, 0, 1]),
        ("two deleted SPIs", IkePayloadType::Delete, &[3, 4, 0, 2, 0xc0, 0, 0, 1, 0xc0, 0, 0, 2]),
        ("vendor", IkePayloadType::VendorID, b"Example gateway 2"),
    ] {
        let length = u16::try_from(body.len() + 4).unwrap().to_be_bytes();
        let payload = [&[0, 0][..], &length, body].concat();
        let (_, payloads) = parse_ikev2_payload_list(&payload, kind).unwrap();
        let seen = match &payloads.unwrap().last().unwrap().content {
            Content::Nonce(nonce) => hex(nonce.nonce_data),
            Content::Notify(notify) => notify.notify_data.map_or_else(|| String::from("no data"), hex),
            Content::Delete(delete) => format!("{} SPIs: {}", delete.num_spi, hex(delete.spi)),
            Content::VendorID(vendor) => String::from_utf8_lossy(vendor.vendor_id).into_owned(),
            other => format!("{other:?}"),
        };
        println!("{label}, {}: {seen}", hex(body));
    }
}
RUST
cat >expected <<'TEXT'
nonce, 07070707070707070707070707070707: 07070707070707070707070707070707
SIGNATURE_HASH_ALGORITHMS, 0000402f0001000200030005: 00010002
INVALID_KE_PAYLOAD, 000000110013: no data
one deleted SPI, 03040001c0000001: 1 SPIs: 
two deleted SPIs, 03040002c0000001c0000002: 2 SPIs: c0000001
vendor, 4578616d706c6520676174657761792032: Example g
TEXT
cargo run --quiet >seen
diff expected seen
cat seen
