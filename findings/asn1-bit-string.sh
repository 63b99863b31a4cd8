#!/usr/bin/env bash
# asn1 3.3.0 (PyPI), `Decoder.read` and `Encoder.write`: BIT STRING and BMPString.
#
# Expected: X.690 §8.6.2: the first octet counts the unused bits at the end of the last one; the others are the bits, the first of them on top. The
# library takes the unused bits away, so that what is left is the string moved right as a whole: 08 80, 7 unused, would be 00 11. X.690 §8.23.8: a
# BMPString has two octets for each character, and the encoder, which takes text for it, writes these.
# Seen: of two octets or more each is moved for itself, and what falls out of one stands in the next where it stood: 12 34 with 2 unused is 04 0d,
# not 04 8d; with more than 4 it may be a ValueError. `ReadFlags.WithUnused` gives the same. A BMPString is written in UTF-8, and is read as octets.
# So: KeyUsage (RFC 5280 §4.2.1.3) is read until decipherOnly is set; cut the extension's octets by hand, and write BMPStrings as
# `text.encode("utf-16-be")`.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check asn1==3.3.0
cat >probe.py <<'PYTHON'
import asn1


def read(octets, flags):
    decoder = asn1.Decoder()
    decoder.start(bytes.fromhex(octets))
    try:
        value = decoder.read(flags)[1]
        return f"{value[0].hex()}, {value[1]} unused" if flags else value.hex()
    except ValueError as error:
        return f"ValueError: {error}"


def written(value, kind):
    encoder = asn1.Encoder()
    encoder.start()
    encoder.write(value, kind)
    return encoder.output().hex()


for octets in ["03020106", "030205a0", "0303070880", "0303021234", "0303041234"]:
    print(f"{octets} is read as {read(octets, asn1.ReadFlags.OnlyValue)}; with its unused bits as {read(octets, asn1.ReadFlags.WithUnused)}")
for text in ["gw", "Lučić"]:
    print(f"{text} is written as {written(text, asn1.Numbers.UnicodeString)}")
PYTHON
cat >expected <<'TEXT'
03020106 is read as 03; with its unused bits as 03, 1 unused
030205a0 is read as 05; with its unused bits as 05, 5 unused
0303070880 is read as ValueError: byte must be in range(0, 256); with its unused bits as ValueError: byte must be in range(0, 256)
0303021234 is read as 040d; with its unused bits as 040d, 2 unused
0303041234 is read as 0123; with its unused bits as 0123, 4 unused
gw is written as 1e026777
Lučić is written as 1e074c75c48d69c487
TEXT
tools/bin/python probe.py >seen
diff expected seen
cat seen
