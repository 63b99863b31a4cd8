#!/usr/bin/env bash
# ldnsutils 1.8.3-1+b1 and pdns-server 4.7.3-2 (Debian), `ldns-read-zone` and `zone2json`: an IPSECKEY record whose gateway is a relative name.
#
# Expected: RFC 4025 §3.1 shows the gateway of type 3 as a domain name in the zone file; RFC 1035 §5.1: a name without a dot at its end is relative,
# and the origin follows it, as in the other records of the zone. nsd-checkzone (nsd 4.6.1-1) reads it so.
# Seen: ldns makes `vpn.`, a host below the root, of `vpn`, while the name server beside it is completed. zone2json hands `vpn` on as it stands, and
# the name server complete.
# So: the gateway that clients are told does not exist; write its name in full, with the last dot.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download ldnsutils=1.8.3-1+b1 libldns3=1.8.3-1+b1 pdns-server=4.7.3-2 nsd=4.6.1-1 libprotobuf-c1 libfstrm0 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
export LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu
cat >zone <<'ZONE'
$ORIGIN example.net.
$TTL 3600
@ IN SOA ns.example.net. hostmaster.example.net. 1 3600 900 604800 3600
@ IN NS ns
ns IN A 192.0.2.53
gw IN IPSECKEY 10 3 2 vpn AQNR
ZONE
cat >expected <<'TEXT'
nsd-checkzone:
NS ns.example.net.
IPSECKEY 10 3 2 vpn.example.net. AQNR
ldns-read-zone:
NS ns.example.net.
IPSECKEY 10 3 2 vpn. AQNR
zone2json:
NS ns.example.net
IPSECKEY 10 3 2 vpn AQNR
TEXT
{
    echo 'nsd-checkzone:'
    root/usr/sbin/nsd-checkzone -p example.net zone | grep -o '\(NS\|IPSECKEY\)[[:space:]].*'
    echo 'ldns-read-zone:'
    root/usr/bin/ldns-read-zone zone | grep -o '\(NS\|IPSECKEY\)[[:space:]].*'
    echo 'zone2json:'
    root/usr/bin/zone2json --zone=zone --zone-name=example.net 2>zone2json.log | python3 -c 'import json, sys; [print(record["type"], record["content"]) for record in json.load(sys.stdin)["records"] if record["type"] in ("NS", "IPSECKEY")]'
} | tr '\t' ' ' >seen
diff expected seen
cat seen
