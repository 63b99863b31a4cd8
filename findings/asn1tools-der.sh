#!/usr/bin/env bash
# asn1tools 0.169.0 (PyPI), `compile_string(…, "der")`: what DER asks for beyond BER, in types of RFC 5280.
#
# Expected: X.690 §11.6 sorts the members of a SET OF, §10.3 those of a SET by tag; §11.2.2 leaves out the zero bits at the end of named bits,
# §11.5 a value that is the default. Signatures are over these octets (RFC 5280 §4.1.1.3), and names are compared in them.
# Seen: members of a SET OF and of a SET stay as given, and so do the zero bits of `KeyUsage`. `version` 0 is written although `DEFAULT v1` names it;
# left out, it is read as the text "v1", otherwise as a number, and "v3" cannot be given.
# So: sort, cut and leave out before encoding; octets that were read must be kept, not made again.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check asn1tools==0.169.0 pyparsing==3.3.3
cat >probe.py <<'PYTHON'
import asn1tools

MODULE = asn1tools.compile_string(
    """
    Finding DEFINITIONS EXPLICIT TAGS ::= BEGIN
    RelativeDistinguishedName ::= SET SIZE (1..MAX) OF AttributeTypeAndValue
    AttributeTypeAndValue ::= SEQUENCE { type OBJECT IDENTIFIER, value UTF8String }
    KeyUsage ::= BIT STRING { digitalSignature (0), nonRepudiation (1), keyEncipherment (2), dataEncipherment (3), keyAgreement (4),
        keyCertSign (5), cRLSign (6), encipherOnly (7), decipherOnly (8) }
    Version ::= INTEGER { v1(0), v2(1), v3(2) }
    Start ::= SEQUENCE { version [0] Version DEFAULT v1, serialNumber INTEGER }
    Extension ::= SEQUENCE { extnID OBJECT IDENTIFIER, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING }
    Pair ::= SET { second [1] INTEGER, first [0] INTEGER }
    END
    """,
    "der",
)


def shown(kind, value):
    try:
        octets = MODULE.encode(kind, value)
        print(f"{kind} {value}: {octets.hex()}, read as {MODULE.decode(kind, octets)}")
    except TypeError as error:
        print(f"{kind} {value}: {error}")


shown("Extension", {"extnID": "2.5.29.15", "critical": False, "extnValue": b"\0"})
shown("RelativeDistinguishedName", [{"type": "2.5.4.11", "value": "Ops"}, {"type": "2.5.4.3", "value": "gw"}])
shown("Pair", {"second": 2, "first": 1})
shown("KeyUsage", (b"\x06", 8))
shown("Start", {"serialNumber": 7})
shown("Start", {"version": 0, "serialNumber": 7})
shown("Start", {"version": 2, "serialNumber": 7})
shown("Start", {"version": "v3", "serialNumber": 7})
PYTHON
cat >expected <<'TEXT'
Extension {'extnID': '2.5.29.15', 'critical': False, 'extnValue': b'\x00'}: 30080603551d0f040100, read as {'extnID': '2.5.29.15', 'extnValue': b'\x00', 'critical': False}
RelativeDistinguishedName [{'type': '2.5.4.11', 'value': 'Ops'}, {'type': '2.5.4.3', 'value': 'gw'}]: 3117300a060355040b0c034f7073300906035504030c026777, read as [{'type': '2.5.4.11', 'value': 'Ops'}, {'type': '2.5.4.3', 'value': 'gw'}]
Pair {'second': 2, 'first': 1}: 310aa103020102a003020101, read as {'second': 2, 'first': 1}
KeyUsage (b'\x06', 8): 03020006, read as (b'\x06', 8)
Start {'serialNumber': 7}: 3003020107, read as {'serialNumber': 7, 'version': 'v1'}
Start {'version': 0, 'serialNumber': 7}: 3008a003020100020107, read as {'version': 0, 'serialNumber': 7}
Start {'version': 2, 'serialNumber': 7}: 3008a003020102020107, read as {'version': 2, 'serialNumber': 7}
Start {'version': 'v3', 'serialNumber': 7}: '<' not supported between instances of 'str' and 'int'
TEXT
tools/bin/python probe.py >seen
diff expected seen
cat seen
