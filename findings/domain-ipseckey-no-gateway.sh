#!/usr/bin/env bash
# domain 0.12.3 (crates.io), `ZonefileFmt` of IPSECKEY: a record without a gateway.
#
# Expected: RFC 4025 §3.1 (and §2.5): a gateway of type 0 is written as `.`; the field is required.
# Seen: the crate's writer of zone files leaves the field out, so that the key stands where the gateway is looked for; its own reader refuses
# the line. `Display` of the same record writes the dot.
# So: zones that go through this writer lose these records, the only ones that libreswan takes (gateway of type 0); write these by `Display`, which
# in turn leaves a gateway's name without its last dot.
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
domain = { version = "=0.12.3", features = ["zonefile"] }
[workspace]
TOML
cat >src/main.rs <<'RUST'
use domain::base::zonefile_fmt::{DisplayKind, ZonefileFmt};
use domain::zonefile::inplace::{Entry, Zonefile};

fn read(line: &str) -> Result<(String, String), String> {
    let mut zone = Zonefile::from(format!("{line}\n").as_bytes());
    match zone.next_entry() {
        Ok(Some(Entry::Record(record))) => Ok((record.display_zonefile(DisplayKind::Simple).to_string(), record.data().to_string())),
        Ok(_) => Err(String::from("nothing")),
        Err(error) => Err(error.to_string()),
    }
}

fn main() {
    for rdata in ["10 1 2 192.0.2.38 AQNR", "10 3 2 gw.example. AQNR", "10 0 2 . AQNR"] {
        let (written, displayed) = read(&format!("gw.example. 60 IN IPSECKEY {rdata}")).unwrap();
        println!("{rdata}\n  Display: {displayed}\n  written: {written}");
        match read(&written) {
            Ok(_) => println!("  read again"),
            Err(error) => println!("  refused: {error}"),
        }
    }
}
RUST
cat >expected <<'TEXT'
10 1 2 192.0.2.38 AQNR
  Display: 10 1 2 192.0.2.38 ( AQNR )
  written: gw.example. 60 IN IPSECKEY 10 1 2 192.0.2.38 AQNR
  read again
10 3 2 gw.example. AQNR
  Display: 10 3 2 gw.example ( AQNR )
  written: gw.example. 60 IN IPSECKEY 10 3 2 gw.example. AQNR
  read again
10 0 2 . AQNR
  Display: 10 0 2 . ( AQNR )
  written: gw.example. 60 IN IPSECKEY 10 0 2 AQNR
  refused: 1:39: Invalid IPSECKEY gateway. As the gateway type is specified as 0 (None), the gateway MUST be set to '.'
TEXT
cargo run --quiet >seen
diff expected seen
cat seen
