#!/usr/bin/env bash
# dnspython 2.9.2 (PyPI): an IPSECKEY record that names a gateway and no key.
#
# Expected: RFC 4025 §3.1 requires precedence, gateway type, algorithm and gateway in a zone file; the key is optional, and one that is left
# out has zero octets (algorithm 0, §2.4).
# Seen: the record is read from the wire, compared and written to the wire; its text (`10 1 0 192.0.2.1`) is refused by the same library's
# reader of zone files: it wants another word.
# So: copying a zone with this library drops the record or stops at it; RFC 3597's form (`\# 7 …`) passes both ways.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check dnspython==2.9.2
cat >probe.py <<'PYTHON'
import dns.exception
import dns.rdata

CASES = [
    ("gateway and key", "0a0102c0000201010351"),
    ("gateway, no key", "0a0100c0000201"),
    ("no gateway, no key", "0a0000"),
]


def read(text):
    try:
        return dns.rdata.from_text("IN", "IPSECKEY", text).to_wire().hex()
    except dns.exception.SyntaxError as error:
        return f"refused: {error}"


for label, wire in CASES:
    octets = bytes.fromhex(wire)
    record = dns.rdata.from_wire("IN", "IPSECKEY", octets, 0, len(octets))
    assert record.to_wire() == octets
    print(f"{label}: {record.to_text().strip()} -> {read(record.to_text())}")
    generic = read(rf"\# {len(octets)} {wire}")
    assert generic == wire, generic
PYTHON
cat >expected <<'TEXT'
gateway and key: 10 1 2 192.0.2.1 AQNR -> 0a0102c0000201010351
gateway, no key: 10 1 0 192.0.2.1 -> refused: expecting another identifier
no gateway, no key: 10 0 0 . -> refused: expecting another identifier
TEXT
tools/bin/python probe.py >seen
diff expected seen
cat seen
