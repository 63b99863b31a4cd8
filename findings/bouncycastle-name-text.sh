#!/usr/bin/env bash
# libbcprov-java 1.72-2 (Debian), `X500Name` of a text: equals signs, backslashes and octets in a value.
#
# Expected: RFC 4514 §3: `=` may stand in a value as it is; `\\` is one backslash; a backslash and two hexadecimal digits are one octet of the value in
# UTF-8, as in §4's last example (U+010D, U+0107).
# Seen: a value ends at `=`: `a` is left of `a=b`, without an error. A value that is a single backslash is empty. Two octets become two characters,
# as if they were Latin-1.
# So: a request or certificate for such a subject is for another one; write `\=` and plain characters, or make the name by `X500NameBuilder`.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download libbcprov-java=1.72-2 >apt.log 2>&1
dpkg -x libbcprov-java_*.deb root
cat >Probe.java <<'JAVA'
import org.bouncycastle.asn1.ASN1String;
import org.bouncycastle.asn1.x500.X500Name;

public class Probe {
    public static void main(String[] texts) {
        for (String text : texts) {
            ASN1String value = (ASN1String) new X500Name(text).getRDNs()[0].getFirst().getValue();
            StringBuilder characters = new StringBuilder();
            value.getString().codePoints().forEach(point -> characters.append(point < 127 ? Character.toString(point) : String.format("<%04X>", point)));
            System.out.println(text + " is read as [" + characters + "]");
        }
    }
}
JAVA
cat >expected <<'TEXT'
CN=a=b is read as [a]
CN=MIIB== is read as [MIIB]
CN=a\=b is read as [a=b]
CN=a\\b is read as [a\b]
CN=\\ is read as []
CN=\\,O=Example is read as []
CN=a\\ is read as [a\]
CN=a\,b is read as [a,b]
CN=a\2Cb is read as [a,b]
CN=Lu\C4\8Di\C4\87 is read as [Lu<00C4><008D>i<00C4><0087>]
TEXT
java -cp root/usr/share/java/bcprov.jar Probe.java 'CN=a=b' 'CN=MIIB==' 'CN=a\=b' 'CN=a\\b' 'CN=\\' 'CN=\\,O=Example' 'CN=a\\' 'CN=a\,b' 'CN=a\2Cb' 'CN=Lu\C4\8Di\C4\87' >seen
diff expected seen
cat seen
