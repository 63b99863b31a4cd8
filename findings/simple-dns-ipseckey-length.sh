#!/usr/bin/env bash
# simple-dns 0.13.0 (crates.io), `Packet::build_bytes_vec`: the length of an IPSECKEY record in a message.
#
# Expected: RFC 1035 §3.2.1: RDLENGTH counts the octets of RDATA; RFC 4025 §2 has precedence, gateway type, algorithm, gateway and key there. What
# was read from a message is written with the same length, as with CERT (RFC 4398 §2).
# Seen: the length is two more than the octets that follow, with each type of gateway. The last record ends outside of the message, which the
# crate's own reader refuses.
# So: a message with such a record is lost whole; put the length right in its octets.
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
simple-dns = "=0.13.0"
[workspace]
TOML
cat >src/main.rs <<'RUST'
use simple_dns::Packet;

const IPSECKEY: u16 = 45;
const CERT: u16 = 37;

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn answer(kind: u16, rdata: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rdata.len()).unwrap();
    let header = [0, 1, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    [&header[..], b"\x02gw\x07example\x00", &kind.to_be_bytes(), &[0, 1, 0, 0, 0, 60], &length.to_be_bytes(), rdata].concat()
}

fn main() {
    for (label, kind, rdata) in [
        ("CERT", CERT, &[0, 1, 0, 0, 0, 1, 3, 0x51][..]),
        ("IPSECKEY without a gateway", IPSECKEY, &[10, 0, 2, 1, 3, 0x51]),
        ("IPSECKEY with an address", IPSECKEY, &[10, 1, 2, 192, 0, 2, 38, 1, 3, 0x51]),
        ("IPSECKEY with a name", IPSECKEY, b"\x0a\x03\x02\x03vpn\x07example\x00\x01\x03\x51"),
    ] {
        let message = answer(kind, rdata);
        let written = Packet::parse(&message).unwrap().build_bytes_vec().unwrap();
        let again = Packet::parse(&written).map_or_else(|error| format!("refused: {error}"), |_| String::from("read"));
        let start = message.len() - rdata.len() - 2;
        println!("{label}: {} is written as {}, which is {again}", hex(&message[start..]), hex(&written[start..]));
    }
}
RUST
cat >expected <<'TEXT'
CERT: 00080001000000010351 is written as 00080001000000010351, which is read
IPSECKEY without a gateway: 00060a0002010351 is written as 00080a0002010351, which is refused: Incomplete dns packet
IPSECKEY with an address: 000a0a0102c0000226010351 is written as 000c0a0102c0000226010351, which is refused: Incomplete dns packet
IPSECKEY with a name: 00130a03020376706e076578616d706c6500010351 is written as 00150a03020376706e076578616d706c6500010351, which is refused: Incomplete dns packet
TEXT
cargo run --quiet >seen
diff expected seen
cat seen
