#!/usr/bin/env bash
# scapy 2.8.0 (PyPI), `IPv6TrafficSelector` and `IKEv2_Delete`: lengths that are left to the library.
#
# Expected: RFC 7296 §3.13.1: the length of a selector is 40 for two IPv6 addresses, 16 for IPv4; §3.11: a Delete payload has the size of one SPI and
# their number. Fields that a script leaves out are calculated here, as the payload's own length, the number of selectors and Notify's SPI size are.
# Seen: an IPv6 selector of 40 octets says 20. A Delete payload with two SPIs of four octets says no SPI of eight octets; what was built is read back by
# the library with other contents than it was given.
# So: a peer refuses the payload as malformed (or sees nothing to delete), and the script looks right: give `length=40`, `SPIsize` and `SPInum`.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check scapy==2.8.0
cat >probe.py <<'PYTHON'
import logging

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.contrib.ikev2 import IKEv2_Delete, IKEv2_Notify, IKEv2_TSi, IPv4TrafficSelector, IPv6TrafficSelector


def shown(name, packet):
    print(f"{name}: {bytes(packet).hex()}")


four = {"starting_address_v4": "192.0.2.0", "ending_address_v4": "192.0.2.255"}
six = {"starting_address_v6": "2001:db8::", "ending_address_v6": "2001:db8::ffff"}
spis = [bytes.fromhex("01020304"), bytes.fromhex("05060708")]
shown("IPv4", IKEv2_TSi(traffic_selector=[IPv4TrafficSelector(**four)]))
shown("IPv6", IKEv2_TSi(traffic_selector=[IPv6TrafficSelector(**six)]))
shown("IPv6, length given", IKEv2_TSi(traffic_selector=[IPv6TrafficSelector(length=40, **six)]))
shown("Notify", IKEv2_Notify(proto=3, SPI=spis[0], type=11))
deletion = IKEv2_Delete(proto=3, SPI=spis)
shown("Delete", deletion)
print(f"Delete is read as {IKEv2_Delete(bytes(deletion)).SPI}")
deletion = IKEv2_Delete(proto=3, SPIsize=4, SPInum=2, SPI=spis)
shown("Delete, size and number given", deletion)
print(f"Delete is read as {[spi.hex() for spi in IKEv2_Delete(bytes(deletion)).SPI]}")
PYTHON
cat >expected <<'TEXT'
IPv4: 0000001801000000070000100000ffffc0000200c00002ff
IPv6: 0000003001000000080000140000ffff20010db800000000000000000000000020010db800000000000000000000ffff
IPv6, length given: 0000003001000000080000280000ffff20010db800000000000000000000000020010db800000000000000000000ffff
Notify: 0000000c0304000b01020304
Delete: 00000010030800000102030405060708
Delete is read as []
Delete, size and number given: 00000010030400020102030405060708
Delete is read as ['01020304', '05060708']
TEXT
tools/bin/python probe.py >seen
diff expected seen
cat seen
