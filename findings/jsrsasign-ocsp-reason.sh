#!/usr/bin/env bash
# jsrsasign 11.1.5 (npm), `OCSPParser`: the reason in an OCSP answer about a revoked certificate.
#
# Expected: RFC 6960 §4.2.1: RevokedInfo has the time and, at will, a CRLReason in [0]; it tells a certificate on hold (6), which may come
# back, from one whose key is lost. `SingleResponse` of the same library writes it.
# Seen: the reader gives status and time, never the reason, so that an answer that it made with `reason: 6` loses it when it is made again from
# what was read.
# So: take the reason from the octets (`ASN1HEX`, the tag a0 in a1 of each answer) before a hold is treated as final.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts jsrsasign@11.1.5 >install.log 2>&1
cat >probe.cjs <<'JAVASCRIPT'
const { KJUR, ASN1HEX } = require("jsrsasign");

const answer = {
  certid: { alg: "sha1", issname: "11".repeat(20), isskey: "22".repeat(20), sbjsn: "07" },
  status: { status: "revoked", time: "20260101000000Z", reason: 6 },
  thisupdate: "20260102000000Z",
};
const status = (made) => ASN1HEX.getTLVbyList(made, 0, [1]);
const made = new KJUR.asn1.ocsp.SingleResponse(answer).tohex();
const read = new KJUR.asn1.ocsp.OCSPParser().getSingleResponse(made);
console.log(`made:  ${status(made)}`);
console.log(`read:  ${JSON.stringify(read.status)}`);
console.log(`again: ${status(new KJUR.asn1.ocsp.SingleResponse(read).tohex())}`);
JAVASCRIPT
cat >expected <<'TEXT'
made:  a116180f32303236303130313030303030305aa0030a0106
read:  {"status":"revoked","time":"20260101000000Z"}
again: a111180f32303236303130313030303030305a
TEXT
node probe.cjs >seen
diff expected seen
cat seen
