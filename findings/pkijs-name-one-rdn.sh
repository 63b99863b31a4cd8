#!/usr/bin/env bash
# pkijs 4.0.0 (npm), `RelativeDistinguishedNames`: a subject that is made attribute by attribute.
#
# Expected: `typesAndValues` is a list, so C, O, CN become three relative distinguished names, one after the other, as RFC 5280 §4.1.2.4
# (RDNSequence) and other libraries have it; a name that was read keeps its grouping when it is changed.
# Seen: all attributes go into one SET: `C=DE+O=Example+CN=gw`, and its members stand as given, not in the order of DER (X.690 §11.6). A
# name that was read loses its grouping with the copy, too: `C=DE, O=Example + OU=Ops, CN=gw` is one SET.
# So: such a subject equals no name that another library makes of the same attributes. Make the sequence with asn1js and read it with
# `RelativeDistinguishedNames.fromBER`, which writes it back as it was, and leave its attributes alone.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts pkijs@4.0.0 asn1js@4.0.0 >install.log 2>&1
# C=DE, O=Example + OU=Ops, CN=gw: three RDNs, the second of two attributes.
echo 3038310b3009060355040613024445311c300a060355040b0c034f7073300e060355040a0c074578616d706c65310b300906035504030c026777 >name.hex
cat >probe.mjs <<'JAVASCRIPT'
import { readFileSync, writeFileSync } from "fs";
import { PrintableString, Utf8String } from "asn1js";
import { AttributeTypeAndValue, RelativeDistinguishedNames } from "pkijs";

const save = (file, name) => writeFileSync(file, Buffer.from(name.toSchema().toBER(false)));

const made = new RelativeDistinguishedNames();
made.typesAndValues.push(new AttributeTypeAndValue({ type: "2.5.4.6", value: new PrintableString({ value: "DE" }) }));
made.typesAndValues.push(new AttributeTypeAndValue({ type: "2.5.4.10", value: new Utf8String({ value: "Example" }) }));
made.typesAndValues.push(new AttributeTypeAndValue({ type: "2.5.4.3", value: new Utf8String({ value: "gw" }) }));
save("made", made);

const read = RelativeDistinguishedNames.fromBER(new Uint8Array(Buffer.from(readFileSync("name.hex", "utf8").trim(), "hex")).buffer);
save("read", read);
save("copied", new RelativeDistinguishedNames({ typesAndValues: read.typesAndValues }));
JAVASCRIPT
cat >expected <<'TEXT'
made: SET countryName organizationName commonName
read: SET countryName SET organizationalUnitName organizationName SET commonName
copied: SET countryName organizationalUnitName organizationName commonName
TEXT
node probe.mjs
for name in made read copied; do
    parts=$(openssl asn1parse -inform DER -in "$name" | sed -n 's/.*\(SET\) .*/\1/p; s/.*OBJECT *://p' | paste -sd ' ' | tr -s ' ')
    echo "$name: $parts"
done >seen
diff expected seen
cat seen
