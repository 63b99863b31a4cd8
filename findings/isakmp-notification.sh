#!/usr/bin/env bash
# isakmp 0.1.0 (crates.io), `v1::parser::parse_packet`: the notification payload of IKEv1.
#
# Expected: RFC 2408 §3.14: the SPI, as long as its size says, stands before the data, and both end with the payload's own length (§3.2); types 24576 to
# 32767 belong to the DOI, as INITIAL-CONTACT (24578, RFC 2407 §4.6.3.3), and the crate's documentation names RFC 2407.
# Seen: the data is all that follows in the message: the SPI in front of it, the next payloads behind it (a Vendor ID of its own is read, too). With
# INITIAL-CONTACT the whole message is an error, other payloads with it.
# So: cut the data by hand, SPI size and payload length are known; a responder that says more than an error is not understood.
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
isakmp = "=0.1.0"
[workspace]
TOML
cat >src/main.rs <<'RUST'
use isakmp::v1::parser::parse_packet;

/// An informational exchange with one notification of DOI 1 about ESP, and a Vendor ID behind it if there is one.
fn message(kind: u16, spi: &[u8], data: &[u8], vendor: &[u8]) -> Vec<u8> {
    let mut payloads = vec![if vendor.is_empty() { 0 } else { 13 }, 0];
    payloads.extend((12 + spi.len() as u16 + data.len() as u16).to_be_bytes());
    payloads.extend([0, 0, 0, 1, 3, spi.len() as u8]);
    payloads.extend(kind.to_be_bytes());
    payloads.extend([spi, data].concat());
    if !vendor.is_empty() {
        payloads.extend([0, 0]);
        payloads.extend((4 + vendor.len() as u16).to_be_bytes());
        payloads.extend(vendor);
    }
    let mut message = vec![0x11; 16];
    message.extend([11, 0x10, 5, 0, 0, 0, 0, 7]);
    message.extend((28 + payloads.len() as u32).to_be_bytes());
    message.extend(payloads);
    message
}

fn main() {
    let (spi, data, vendor) = ([1, 2, 3, 4], [0xaa, 0xbb], [0xee; 8]);
    for (name, octets) in [
        ("NO-PROPOSAL-CHOSEN with data", message(14, &[], &data, &[])),
        ("with an SPI", message(14, &spi, &data, &[])),
        ("with a Vendor ID behind it", message(14, &[], &data, &vendor)),
        ("INITIAL-CONTACT and a Vendor ID", message(24578, &spi, &[], &vendor)),
    ] {
        match parse_packet(&octets) {
            Ok(packet) => println!("{name}: data {:02x?}, {} Vendor ID", packet.notification_payloads[0].notification, packet.vendor_ids.len()),
            Err(error) => println!("{name}: {error:?}"),
        }
    }
}
RUST
cat >expected <<'TEXT'
NO-PROPOSAL-CHOSEN with data: data [aa, bb], 0 Vendor ID
with an SPI: data [01, 02, 03, 04, aa, bb], 0 Vendor ID
with a Vendor ID behind it: data [aa, bb, 00, 00, 00, 0c, ee, ee, ee, ee, ee, ee, ee, ee], 1 Vendor ID
INITIAL-CONTACT and a Vendor ID: UnparsableVariant
TEXT
cargo run --quiet >seen
diff expected seen
cat seen
