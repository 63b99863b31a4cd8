#!/usr/bin/env bash
# scapy 2.8.0 (PyPI), `ISAKMP_payload_ID`: an IPv6 address as identity of IKEv1.
#
# Expected: RFC 2407 §4.6.2.6 has ID_IPV6_ADDR of sixteen octets; the payload takes `192.0.2.1` for ID_IPV4_ADDR and makes four octets of it, and
# `IKEv2_IDi` of the same library takes both kinds of address.
# Seen: the text itself goes out, eleven octets of ASCII for `2001:db8::1`, under the type of an address; what is received comes as octets.
# So: a test peer made so has another identity than its script says, and nothing in the script shows it: give `socket.inet_pton` of the address.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check scapy==2.8.0
cat >probe.py <<'PYTHON'
import logging

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.contrib.ikev2 import IKEv2_IDi
from scapy.layers.isakmp import ISAKMP_payload_ID

for kind, address in [(1, "192.0.2.1"), (5, "2001:db8::1")]:
    print(f"IKEv1 {kind} {address}: {bytes(ISAKMP_payload_ID(IDtype=kind, IdentData=address))[8:].hex()}")
    print(f"IKEv2 {kind} {address}: {bytes(IKEv2_IDi(IDtype=kind, ID=address))[8:].hex()}")
PYTHON
cat >expected <<'TEXT'
IKEv1 1 192.0.2.1: c0000201
IKEv2 1 192.0.2.1: c0000201
IKEv1 5 2001:db8::1: 323030313a6462383a3a31
IKEv2 5 2001:db8::1: 20010db8000000000000000000000001
TEXT
tools/bin/python probe.py >seen
diff expected seen
cat seen
