#!/usr/bin/env bash
# cryptography 50.0.2 (PyPI), `Name.from_rfc4514_string` and `rfc4514_string`: a value that is written as `#` and hexadecimal digits.
#
# Expected: RFC 4514 §2.4: the digits are the BER of the value, tag and length included; §4's example `1.3.6.1.4.1.1466.0=#04024869` is an
# OCTET STRING of two octets. A dotted type is written with such a value, too.
# Seen: the four octets, tag and length with them, become the text of a UTF8String. A name of a certificate is written with its dotted type
# and the bare text.
# So: subjects that came through text as another tool wrote it get two control characters in front of the value; hand names over as DER.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check cryptography==50.0.2
cat >probe.py <<'PYTHON'
from cryptography.x509 import Name, NameAttribute, ObjectIdentifier

for text in ["1.3.6.1.4.1.1466.0=#04024869", "CN=#0C0467617465"]:
    der = Name.from_rfc4514_string(text).public_bytes()
    print(f"{text} is read as {der[8 + der[7] :].hex()}")

gate = NameAttribute(ObjectIdentifier("1.3.6.1.4.1.99999.1"), "gate")
print(f"0c0467617465 is written as {Name([gate]).rfc4514_string()}")
PYTHON
cat >expected <<'TEXT'
1.3.6.1.4.1.1466.0=#04024869 is read as 0c0404024869
CN=#0C0467617465 is read as 0c060c0467617465
0c0467617465 is written as 1.3.6.1.4.1.99999.1=gate
TEXT
tools/bin/python probe.py >seen
diff expected seen
cat seen
