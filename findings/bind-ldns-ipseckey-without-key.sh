#!/usr/bin/env bash
# bind9-utils 1:9.18.49-1~deb12u3 and ldnsutils 1.8.3-1+b1 (Debian): an IPSECKEY record without a key, in a zone file.
#
# Expected: RFC 4025 §3.1: the key is optional there, and one that is left out has zero octets (algorithm 0, §2.4). RFC 3597 §5 has a form for any
# record, `\#` with the octets. nsd-checkzone (nsd 4.6.1-1) reads both.
# Seen: BIND refuses the zone for either form ("unexpected end of input"). ldns refuses the first; of the second it says "Unable to convert rr to
# string", leaves the record out and ends with 0.
# So: a record that only names a gateway needs a key beside it, or a server such as NSD.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download bind9-utils=1:9.18.49-1~deb12u3 bind9-libs=1:9.18.49-1~deb12u3 ldnsutils=1.8.3-1+b1 libldns3=1.8.3-1+b1 nsd=4.6.1-1 \
    libjemalloc2 libuv1 libmaxminddb0 libfstrm0 libprotobuf-c1 liblmdb0 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
export LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu
cat >expected <<'TEXT'
10 1 2 192.0.2.38 AQNR
  nsd: IPSECKEY 10 1 2 192.0.2.38 AQNR
  BIND: IPSECKEY 10 1 2 192.0.2.38 AQNR
  ldns: IPSECKEY 10 1 2 192.0.2.38 AQNR
10 1 0 192.0.2.38
  nsd: IPSECKEY 10 1 0 192.0.2.38
  BIND: unexpected end of input
  ldns: could not parse the RR's rdata at line 6
\# 7 0a0100c0000226
  nsd: IPSECKEY 10 1 0 192.0.2.38
  BIND: unexpected end of input
  ldns: Unable to convert rr to string
10 0 0 .
  nsd: IPSECKEY 10 0 0 .
  BIND: unexpected end of input
  ldns: could not parse the RR's rdata at line 6
\# 3 0a0000
  nsd: IPSECKEY 10 0 0 .
  BIND: unexpected end of input
  ldns: Unable to convert rr to string
TEXT
for record in '10 1 2 192.0.2.38 AQNR' '10 1 0 192.0.2.38' '\# 7 0a0100c0000226' '10 0 0 .' '\# 3 0a0000'; do
    cat >zone <<'ZONE'
$ORIGIN example.net.
$TTL 3600
@ IN SOA ns.example.net. hostmaster.example.net. 1 3600 900 604800 3600
@ IN NS ns.example.net.
ns IN A 192.0.2.53
ZONE
    echo "gw IN IPSECKEY $record" >>zone
    echo "$record"
    echo "  nsd: $(root/usr/sbin/nsd-checkzone -p example.net zone 2>&1 | grep -o 'IPSECKEY.*\|error.*' | head -n 1)"
    echo "  BIND: $(root/usr/bin/named-compilezone -o - example.net zone 2>&1 | grep -o 'IPSECKEY.*\|unexpected end.*' | head -n 1)"
    echo "  ldns: $(root/usr/bin/ldns-read-zone zone 2>&1 | grep -o 'IPSECKEY.*\|could not.*\|Unable.*' | head -n 1)"
done | tr '\t' ' ' >seen
diff expected seen
cat seen
