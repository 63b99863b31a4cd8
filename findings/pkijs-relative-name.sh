#!/usr/bin/env bash
# pkijs 4.0.0 (npm): CRL distribution points, one of which is named relative to the CRL's issuer.
#
# Expected: RFC 5280 §4.2.1.13: nameRelativeToCRLIssuer is one of the two forms of a point's name; a reader that cannot use it skips that
# point (§6.3.3 goes through them one by one) and knows the others.
# Seen: the whole extension is "Incorrectly formatted", its list of points empty, although the first of them is an HTTP URL; an
# issuingDistributionPoint in a CRL (§5.2.5) is empty likewise, onlyContainsCACerts with it. Written again each is an empty sequence. No error
# is thrown: it stands in `parsingError` of the value only.
# So: look at `parsingError` of each `parsedValue` before its emptiness means anything.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts pkijs@4.0.0 asn1js@4.0.0 >install.log 2>&1
cat >probe.mjs <<'JAVASCRIPT'
import { Extension } from "pkijs";

const url = `a01ba0198617${Buffer.from("http://crl.example/a.cr").toString("hex")}`;
const relative = "a011a10f300d06035504030c06706172742031"; // CN=part 1
const sequence = (hex) => `30${(hex.length / 2).toString(16).padStart(2, "0")}${hex}`;
const read = (extnID, hex) => {
  return new Extension({ extnID, extnValue: new Uint8Array(Buffer.from(hex, "hex")).buffer }).parsedValue;
};

for (const [label, points] of [["a URL", [url]], ["a URL and a relative name", [url, relative]]]) {
  const value = read("2.5.29.31", sequence(points.map(sequence).join("")));
  console.log(`distribution points, ${label}: ${value.distributionPoints.length} read; ${value.parsingError ?? "no error"}`);
}
for (const [label, name] of [["a URL", url], ["a relative name", relative]]) {
  const value = read("2.5.29.28", sequence(`${name}8201ff`));
  console.log(`CRL for CAs, ${label}: onlyContainsCACerts ${value.onlyContainsCACerts}; ${value.parsingError ?? "no error"}`);
}
JAVASCRIPT
cat >expected <<'TEXT'
distribution points, a URL: 1 read; no error
distribution points, a URL and a relative name: 0 read; Incorrectly formatted value of extension CRLDistributionPoints (2.5.29.31)
CRL for CAs, a URL: onlyContainsCACerts true; no error
CRL for CAs, a relative name: onlyContainsCACerts false; Incorrectly formatted value of extension IssuingDistributionPoint (2.5.29.28)
TEXT
node probe.mjs >seen
diff expected seen
cat seen
