#!/usr/bin/env bash
# tshark 4.0.17-0+deb12u3 (Debian): name constraints on addresses, in a certificate of a CERT payload.
#
# Expected: RFC 5280 §4.2.1.10: an address in a constraint has eight octets or thirty-two, address and mask. The dissector shows addresses of four and
# sixteen octets in alternative names, and the other kinds of constraints.
# Seen: of such a constraint there is the kind, `iPAddress (7)`, and no address, no mask and no remark that something was left out.
# So: read permitted and excluded ranges with another tool; the field `x509ce.base` of `-T pdml` has the octets as its value.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check scapy==2.8.0
version=4.0.17-0+deb12u3
apt-get -qq -o APT::Sandbox::User=root download tshark=$version wireshark-common=$version libwireshark16=$version libwireshark-data=$version libwiretap13=$version \
    libwsutil14=$version libc-ares2 libspeexdsp1 liblua5.2-0 libsmi2ldbl libbcg729-0 libspandsp2 libopencore-amrnb0 libopus0 libsbc1 libsnappy1v5 libpcap0.8 \
    libssh-gcrypt-4 libnl-3-200 libnl-genl-3-200 libnl-route-3-200 libtiff6 libjbig0 libdeflate0 libwebp7 liblerc4 libmaxminddb0 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
cat >request.cnf <<'CONFIG'
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = Example CA
[extensions]
basicConstraints = critical, CA:TRUE
subjectAltName = IP:192.0.2.1, IP:2001:db8::1
nameConstraints = critical, permitted;DNS:example.net, permitted;IP:192.0.2.0/255.255.255.0, excluded;IP:2001:db8::/ffff:ffff::
CONFIG
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -config request.cnf -outform DER -out ca.der 2>openssl.log
cat >capture.py <<'PYTHON'
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

payload = b"\x04" + open("ca.der", "rb").read()
payload = b"\0\0" + (len(payload) + 4).to_bytes(2, "big") + payload
header = b"\1" * 8 + b"\2" * 8 + bytes([37, 0x20, 34, 8]) + bytes(4) + (28 + len(payload)).to_bytes(4, "big")
ends = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
wrpcap("capture", Ether(**ends) / IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=500, dport=500) / (header + payload))
PYTHON
tools/bin/python capture.py
cat >expected <<'TEXT'
GeneralName: iPAddress (7)
iPAddress: 192.0.2.1
GeneralName: iPAddress (7)
iPAddress: 2001:db8::1
permittedSubtrees: 2 items
GeneralSubtree
base: dNSName (2)
dNSName: example.net
GeneralSubtree
base: iPAddress (7)
excludedSubtrees: 1 item
GeneralSubtree
base: iPAddress (7)
TEXT
HOME=$PWD LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/bin/tshark -r capture -O isakmp 2>tshark.log |
    sed -n '/Extension (id-ce-subjectAltName)/,/algorithmIdentifier/p' | grep 'GeneralName:\|iPAddress\|Subtree\|dNSName' | sed 's/^    *//' >seen
diff expected seen
cat seen
