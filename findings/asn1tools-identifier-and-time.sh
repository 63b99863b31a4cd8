#!/usr/bin/env bash
# asn1tools 0.169.0 (PyPI): object identifiers below 2, and UTCTime.
#
# Expected: X.690 §8.19.4: the first octets are 40 times the first arc plus the second, and below 2 the second may be more than 39: `88 37` is 2.999,
# the arc for examples. RFC 5280 §4.1.2.5.1: a year from 50 to 99 is of the 1900s.
# Seen: 2.999.1 is written right and read as 26.39.1, 2.40.1 as 3.0.1. UTCTime goes by Python's `%y`: 50 to 68 are read as 2050 to 2068.
# So: an identifier that was read is no longer the one that was written; add the arcs up again where the first is more than 2. Certificates until
# 2049 are right.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check asn1tools==0.169.0 pyparsing==3.3.3
cat >probe.py <<'PYTHON'
import asn1tools

module = asn1tools.compile_string("Finding DEFINITIONS ::= BEGIN Id ::= OBJECT IDENTIFIER When ::= UTCTime END", "der")
for identifier in ["1.3.6.1.5.5.7.3.17", "2.5.4.3", "2.23.140.1.2.1", "2.39.1", "2.40.1", "2.48.1", "2.999.1"]:
    octets = module.encode("Id", identifier)
    print(f"{identifier} is written as {octets.hex()}, read as {module.decode('Id', octets)}")
for text in ["491231235959Z", "500101000000Z", "681231235959Z", "690101000000Z", "991231235959Z"]:
    print(f"{text} is read as {module.decode('When', bytes([0x17, 13]) + text.encode())}")
PYTHON
cat >expected <<'TEXT'
1.3.6.1.5.5.7.3.17 is written as 06082b06010505070311, read as 1.3.6.1.5.5.7.3.17
2.5.4.3 is written as 0603550403, read as 2.5.4.3
2.23.140.1.2.1 is written as 060667810c010201, read as 2.23.140.1.2.1
2.39.1 is written as 06027701, read as 2.39.1
2.40.1 is written as 06027801, read as 3.0.1
2.48.1 is written as 0603810001, read as 3.8.1
2.999.1 is written as 0603883701, read as 26.39.1
491231235959Z is read as 2049-12-31 23:59:59
500101000000Z is read as 2050-01-01 00:00:00
681231235959Z is read as 2068-12-31 23:59:59
690101000000Z is read as 1969-01-01 00:00:00
991231235959Z is read as 1999-12-31 23:59:59
TEXT
tools/bin/python probe.py >seen
diff expected seen
cat seen
