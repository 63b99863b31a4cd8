#!/usr/bin/env bash
# dns-zonefile 0.3.2 and zone-file 1.0.0 (npm): a zone with a record over two lines.
#
# Expected: RFC 1035 §5.1: parentheses join lines, in any record; a SOA may stand on one line without them. The records between two others are
# read whatever surrounds them.
# Seen: dns-zonefile looks for the SOA's parentheses and takes the first it finds: NS and A before them are gone, and the SOA's numbers are those of
# the DS record. If the SOA has its own, the DS record has `(` for its type of digest. zone-file joins one pair right and misplaces what follows
# the second: the address of `ns` is that of `east`. No error.
# So: give either library a zone with one record on each line (`named-compilezone` writes such ones).
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts dns-zonefile@0.3.2 zone-file@1.0.0 >install.log 2>&1
cat >probe.mjs <<'JAVASCRIPT'
import first from "dns-zonefile";
import second from "zone-file";

const zone = (soa) => `$ORIGIN example.net.
$TTL 3600
@ IN SOA ${soa}
@ IN NS ns
gw IN A 192.0.2.1
east IN DS 60485 5 1 ( 2BB183AF5F22588179A5
  3B0A98631FAD1A292118 )
gw IN TXT "east"
ns IN A 192.0.2.2
`;
for (const soa of ["ns admin 1 3600 600 86400 60", "ns admin ( 1 3600 600 86400 60 )"]) {
  console.log(`SOA ${soa}`);
  for (const [name, parse] of [["dns-zonefile", first.parse], ["zone-file", second.parseZoneFile]]) {
    const read = parse(zone(soa));
    console.log(`  ${name}: SOA ${read.soa.mname} ${read.soa.rname} ${read.soa.serial} ${read.soa.refresh} ${read.soa.retry}`);
    for (const type of ["ns", "a", "ds", "txt"]) {
      console.log(`    ${type}: ${(read[type] ?? []).map((record) => Object.values(record).join(" ")).join(", ") || "none"}`);
    }
  }
}
JAVASCRIPT
cat >expected <<'TEXT'
SOA ns admin 1 3600 600 86400 60
  dns-zonefile: SOA IN DS 60485 5 1
    ns: none
    a: ns 192.0.2.2
    ds: none
    txt: gw "east"
  zone-file: SOA ns admin 1 3600 600
    ns: @ ns
    a: gw 192.0.2.1, ns 192.0.2.2
    ds: none
    txt: gw east
SOA ns admin ( 1 3600 600 86400 60 )
  dns-zonefile: SOA ns admin 1 3600 600
    ns: @ ns
    a: gw 192.0.2.1, ns 192.0.2.2
    ds: east 5 1 ( 2BB183AF5F22588179A5
    txt: gw "east"
  zone-file: SOA ns admin 1 3600 600
    ns: @ ns
    a: gw 192.0.2.1, east 192.0.2.2
    ds: none
    txt: none
TEXT
node probe.mjs >seen
diff expected seen
cat seen
