#!/usr/bin/env bash
# rfc2253 0.2.0 (npm), `parse` and the text of what it gives: escapes and `+` in a distinguished name.
#
# Expected: RFC 2253 §3 (and RFC 4514 §3): a backslash stands before a special character, or before two hexadecimal digits for one octet of UTF-8;
# `+` joins two attributes of an RDN (§2.2). A comma in a value is escaped in text (§2.4).
# Seen: `\+b` is taken for digits: U+000B. Octets become characters of their numbers. In text two attributes are joined by `/+`, and nothing is
# escaped.
# So: names with `+` or letters beyond ASCII are other names on the way in, and names with a comma on the way out.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts rfc2253@0.2.0 >install.log 2>&1
cat >probe.cjs <<'JAVASCRIPT'
const { parse } = require("rfc2253");

const visible = (text) => text.replace(/[^ -~]/g, (char) => `<${char.charCodeAt(0).toString(16)}>`);
for (const name of ["CN=gw,O=Example", "OU=Ops+CN=gw,O=Example", "CN=Gate\\, East,O=Example", "CN=a\\+b,O=Example", "CN=a\\+ b,O=Example", "CN=Lu\\C4\\8Di\\C4\\87,O=Example"]) {
  const read = parse(name);
  console.log(`${name}: RDNs ${read.length ?? read.size}, text ${visible(String(read))}`);
}
JAVASCRIPT
cat >expected <<'TEXT'
CN=gw,O=Example: RDNs 2, text CN=gw, O=Example
OU=Ops+CN=gw,O=Example: RDNs 2, text OU=Ops/+CN=gw, O=Example
CN=Gate\, East,O=Example: RDNs 2, text CN=Gate, East, O=Example
CN=a\+b,O=Example: RDNs 2, text CN=a<b>, O=Example
CN=a\+ b,O=Example: RDNs 2, text CN=a+ b, O=Example
CN=Lu\C4\8Di\C4\87,O=Example: RDNs 2, text CN=Lu<c4><8d>i<c4><87>, O=Example
TEXT
node probe.cjs >seen
diff expected seen
cat seen
