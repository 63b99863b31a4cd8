#!/usr/bin/env bash
# asn1-ts 11.1.0 (npm), `DERElement`: large arcs of an object identifier, and the members of a SET OF.
#
# Expected: X.690 §8.19.2: an arc has as many octets as it needs; identifiers made of a UUID (X.667 §7, 2.25 and the UUID as a number) have one of 128
# bits. §11.6: in DER the members of a SET OF stand sorted by their octets, as `set` sorts those of a SET by tag (§10.3).
# Seen: of an arc the lower 32 bits are read, and as a negative number where the top one of them is set: no error, but for an octet `80` that
# follows where these bits are zero, and is taken for padding. `setOf` leaves the members as they were given.
# So: two identifiers of UUIDs can be one here: compare `value`, the octets. Sort attributes and RDNs before they go into `setOf`.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts asn1-ts@11.1.0 >install.log 2>&1
cat >probe.mjs <<'JAVASCRIPT'
import { DERElement } from "asn1-ts";

const element = (hex) => {
  const read = new DERElement();
  read.fromBytes(Buffer.from(hex, "hex"));
  return read;
};
for (const [identifier, hex] of [
  ["2.999.1", "0603883701"],
  ["1.3.6.1.4.1.4294967295.1", "060b2b060104018fffffff7f01"],
  ["1.3.6.1.4.1.4294967296.1", "060b2b06010401908080800001"],
  ["2.25.2 to the power of 64, plus 5", "060b6982808080808080808005"],
  ["2.25.2 to the power of 128, less 1", "06146983ffffffffffffffffffffffffffffffffff7f"],
]) {
  let read;
  try {
    read = element(hex).objectIdentifier.toString();
  } catch (error) {
    read = error.message;
  }
  console.log(`${identifier} is read as ${read}`);
}
for (const kind of ["set", "setOf"]) {
  const made = new DERElement();
  made.tagNumber = 17;
  made[kind] = ["0402aaaa", "0401ff", kind === "set" ? "020101" : "040101"].map(element);
  console.log(`${kind}: ${Buffer.from(made.toBytes()).toString("hex")}`);
}
JAVASCRIPT
cat >expected <<'TEXT'
2.999.1 is read as 2.999.1
1.3.6.1.4.1.4294967295.1 is read as 1.3.6.1.4.1.-1.1
1.3.6.1.4.1.4294967296.1 is read as 1.3.6.1.4.1.0.1
2.25.2 to the power of 64, plus 5 is read as Prohibited padding on RELATIVE-OID node.
2.25.2 to the power of 128, less 1 is read as 2.25.-1
set: 310a0201010401ff0402aaaa
setOf: 310a0402aaaa0401ff040101
TEXT
node probe.mjs >seen
diff expected seen
cat seen
