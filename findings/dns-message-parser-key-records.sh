#!/usr/bin/env bash
# dns-message-parser 0.9.0 (crates.io), `Dns::decode` and `Display`: records of keys, and of who may certify them.
#
# Expected: RFC 3597 §3: a record of a type that is not known is a number and octets; SSHFP (RFC 4255 §3.1.1) has a registry of algorithms, to which
# RFC 6594 added 3 (ECDSA) and RFC 7479 added 4 (Ed25519); records beside them are read. RFC 8659 §4.1.1: in text a CAA record's value is a string.
# `Display` writes names and flags as a zone has them.
# Seen: an SSHFP record of these algorithms, and any record of a type without a class here (CERT, IPSECKEY, 65280), takes the whole message with it.
# The CAA value is shown in hexadecimal digits, bare: text that a zone would take as the name of another CA.
# So: ask by this crate for one type only, one that it has, and write CAA values by hand.
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
dns-message-parser = "=0.9.0"
[workspace]
TOML
cat >src/main.rs <<'RUST'
use dns_message_parser::Dns;

fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut octets = b"\x02gw\x00".to_vec();
    octets.extend(kind.to_be_bytes());
    octets.extend([0, 1, 0, 0, 0x0e, 0x10]);
    octets.extend((data.len() as u16).to_be_bytes());
    octets.extend(data);
    octets
}

fn main() {
    let digest = [0x5a; 32];
    for (name, kind, data) in [
        ("SSHFP of RSA", 44, [&[1, 1], &digest[..20]].concat()),
        ("SSHFP of ECDSA", 44, [&[3, 2], &digest[..]].concat()),
        ("SSHFP of Ed25519", 44, [&[4, 2], &digest[..]].concat()),
        ("CERT", 37, vec![0, 1, 0, 0, 0, 0x30, 0]),
        ("IPSECKEY", 45, vec![10, 0, 2, 1, 2, 3]),
        ("type 65280", 65280, vec![1, 2, 3]),
        ("CAA", 257, b"\x00\x05issueca.example".to_vec()),
    ] {
        let mut message = vec![0, 1, 0x84, 0, 0, 0, 0, 2, 0, 0, 0, 0];
        message.extend(record(1, &[192, 0, 2, 1]));
        message.extend(record(kind, &data));
        match Dns::decode(message.into()) {
            Ok(read) => println!("A and {name}: {}", read.answers.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
            Err(error) => println!("A and {name}: {error}"),
        }
    }
}
RUST
cat >expected <<'TEXT'
A and SSHFP of RSA: gw. 3600 IN A 192.0.2.1; gw. 3600 IN SSHFP RSA Sha1 5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a
A and SSHFP of ECDSA: Could not decode SSHFPAlgorithm: 3
A and SSHFP of Ed25519: Could not decode SSHFPAlgorithm: 4
A and CERT: Decode of type CERT is not yet implemented
A and IPSECKEY: Decode of type IPSECKEY is not yet implemented
A and type 65280: Could not decode Type: 65280
A and CAA: gw. 3600 IN A 192.0.2.1; gw. 3600 IN CAA 0 issue 63612e6578616d706c65
TEXT
cargo run --quiet >seen
diff expected seen
cat seen
