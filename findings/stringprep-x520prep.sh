#!/usr/bin/env bash
# stringprep 0.1.5 (crates.io), `x520prep`: names of X.520 as RFC 4518 prepares them for comparing.
#
# Expected: RFC 4518 §2.2 maps the format characters (Cf) to nothing, as it does with the soft hyphen; §2.6.1 leaves one space of several,
# and prepares an empty string, too, of which the crate's documentation says nothing.
# Seen: the soft hyphen goes, and ZERO WIDTH JOINER, LEFT-TO-RIGHT MARK, WORD JOINER and ZERO WIDTH NO-BREAK SPACE stay; spaces stay as
# they are; an empty string is an error.
# So: who compares names of certificates (RFC 5280 §7.1) takes the crate's tables, and does these steps himself.
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
stringprep = "=0.1.5"
[workspace]
TOML
cat >src/main.rs <<'RUST'
fn main() {
    for text in ["ga\u{ad}te", "ga\u{200d}te", "ga\u{200e}te", "ga\u{2060}te", "ga\u{feff}te", "Gate  7", ""] {
        match stringprep::x520prep(text, true) {
            Ok(prepared) => println!("{} -> {}", text.escape_debug(), prepared.escape_debug()),
            Err(_) => println!("{} -> an error", text.escape_debug()),
        }
    }
}
RUST
cat >expected <<'TEXT'
ga\u{ad}te -> gate
ga\u{200d}te -> ga\u{200d}te
ga\u{200e}te -> ga\u{200e}te
ga\u{2060}te -> ga\u{2060}te
ga\u{feff}te -> ga\u{feff}te
Gate  7 -> gate  7
 -> an error
TEXT
cargo run --quiet >seen
diff expected seen
cat seen
