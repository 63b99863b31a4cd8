#!/usr/bin/env bash
# pkijs 4.0.0 (npm), `IssuingDistributionPoint`: a CRL for some reasons only.
#
# Expected: RFC 5280 §5.2.5: onlySomeReasons is a BIT STRING of up to nine flags (§4.2.1.13), whose first octet in DER counts unused bits.
# `DistributionPoint.reasons` of the same library gives the flags.
# Seen: the number that it gives is that count: 6 for keyCompromise, 7 for aACompromise, 5 for both keyCompromise and cACompromise. Written
# again it is one octet, the count, with no flag behind it.
# So: take the extension's octets (`extnValue`) and read the flags there; do not write a CRL again from what this library read.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts pkijs@4.0.0 asn1js@4.0.0 >install.log 2>&1
cat >probe.mjs <<'JAVASCRIPT'
import { IssuingDistributionPoint } from "pkijs";

const cases = { keyCompromise: "300483020640", "keyCompromise and cACompromise": "300483020560", aACompromise: "30058303070080" };
for (const [reasons, hex] of Object.entries(cases)) {
  const point = IssuingDistributionPoint.fromBER(new Uint8Array(Buffer.from(hex, "hex")).buffer);
  const again = Buffer.from(point.toSchema().toBER(false)).toString("hex");
  console.log(`${reasons}: ${hex} is read as ${point.onlySomeReasons}, written as ${again}`);
}
JAVASCRIPT
cat >expected <<'TEXT'
keyCompromise: 300483020640 is read as 6, written as 3003830106
keyCompromise and cACompromise: 300483020560 is read as 5, written as 3003830105
aACompromise: 30058303070080 is read as 7, written as 3003830107
TEXT
node probe.mjs >seen
diff expected seen
cat seen
