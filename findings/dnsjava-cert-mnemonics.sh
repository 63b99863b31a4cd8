#!/usr/bin/env bash
# libdnsjava-java 2.1.8-2 (Debian), `Record.fromString`: the type of a CERT record, by its mnemonic.
#
# Expected: RFC 4398 §2.1 and §2.2: the type stands in a zone as a number or a mnemonic: PKIX 1, SPKI 2, PGP 3, IPKIX 4 (a URL and a hash in place of the
# certificate), ISPKI 5, IPGP 6, ACPKIX 7, IACPKIX 8, URI 253, OID 254. One that a library does not know is an error.
# Seen: the three that point to a certificate elsewhere become the type of the certificate itself: IPKIX is 1, ISPKI 2, IPGP 3; both kinds of
# attribute certificates are PGP. Numbers, and the names of the rest, are right. No error.
# So: a URL and a hash are published as if they were a certificate; write the type as a number.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download libdnsjava-java=2.1.8-2 >apt.log 2>&1
dpkg -x libdnsjava-java_*.deb root
cat >Probe.java <<'JAVA'
import org.xbill.DNS.DClass;
import org.xbill.DNS.Name;
import org.xbill.DNS.Record;
import org.xbill.DNS.Type;

public class Probe {
    public static void main(String[] arguments) throws Exception {
        Name owner = Name.fromString("gw.example.net.");
        for (String type : arguments) {
            try {
                Record record = Record.fromString(owner, Type.CERT, DClass.IN, 3600, type + " 0 0 AQID", Name.root);
                System.out.println(type + " is read as type " + record.rdataToString().split(" ")[0]);
            } catch (Exception error) {
                System.out.println(type + ": " + error.getMessage());
            }
        }
    }
}
JAVA
cat >expected <<'TEXT'
PKIX is read as type 1
SPKI is read as type 2
PGP is read as type 3
IPKIX is read as type 1
ISPKI is read as type 2
IPGP is read as type 3
ACPKIX is read as type 3
IACPKIX is read as type 3
URI is read as type 253
OID is read as type 254
4 is read as type 4
NONE: <none>:1: Invalid certificate type: NONE
TEXT
java -cp root/usr/share/java/dnsjava.jar Probe.java PKIX SPKI PGP IPKIX ISPKI IPGP ACPKIX IACPKIX URI OID 4 NONE >seen
diff expected seen
cat seen
