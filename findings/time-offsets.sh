#!/usr/bin/env bash
# asn1js 4.0.0 and node-forge 1.4.3 (npm): times of ASN.1 with an offset from UTC.
#
# Expected: X.680 §46.2 and §47.3: `+0130` says that the local time before it is an hour and a half ahead of UTC, so that 12:00+0130 is 10:30 UTC. BER has
# such times (only DER and RFC 5280 §4.1.2.5 do without), and both libraries have code for them.
# Seen: asn1js moves a GeneralizedTime by four days; a UTCTime with an offset it does not read, says so in `error` alone, and gives a date of 1899. forge
# forgets the minutes: 11:00. Whole hours are right in forge, and so are times that end with `Z` in both.
# So: refuse what does not end with `Z` before `toDate`, `utcTimeToDate` or `generalizedTimeToDate` sees it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts asn1js@4.0.0 node-forge@1.4.3 >install.log 2>&1
cat >probe.mjs <<'JAVASCRIPT'
import * as asn1js from "asn1js";
import forge from "node-forge";

for (const text of ["261201120000Z", "261201120000-0300", "261201120000+0130", "20261201120000Z", "20261201120000-0300", "20261201120000+0130"]) {
  const short = /^.{12}(Z|[+-])/.test(text);
  const octets = Uint8Array.from([short ? 0x17 : 0x18, text.length, ...Buffer.from(text)]);
  const first = asn1js.fromBER(octets.buffer).result.toDate().toISOString();
  const second = (short ? forge.asn1.utcTimeToDate(text) : forge.asn1.generalizedTimeToDate(text)).toISOString();
  console.log(`${text}: asn1js ${first}, forge ${second}`);
}
JAVASCRIPT
cat >expected <<'TEXT'
261201120000Z: asn1js 2026-12-01T12:00:00.000Z, forge 2026-12-01T12:00:00.000Z
261201120000-0300: asn1js 1899-11-30T00:00:00.000Z, forge 2026-12-01T15:00:00.000Z
261201120000+0130: asn1js 1899-11-30T00:00:00.000Z, forge 2026-12-01T11:00:00.000Z
20261201120000Z: asn1js 2026-12-01T12:00:00.000Z, forge 2026-12-01T12:00:00.000Z
20261201120000-0300: asn1js 2026-12-05T09:00:00.000Z, forge 2026-12-01T15:00:00.000Z
20261201120000+0130: asn1js 2026-12-05T13:30:00.000Z, forge 2026-12-01T11:00:00.000Z
TEXT
TZ=UTC node probe.mjs >seen
diff expected seen
cat seen
