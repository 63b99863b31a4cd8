#!/usr/bin/env bash
# libldap-java 5.3.0+dfsg1-1 (Debian; the Netscape SDK of Dogtag), `LDAPDN.escapeRDN`, `unEscapeRDN` and `DN.equals`: escapes in a name.
#
# Expected: RFC 4514 §2.4: `+`, quotation marks, `#` at the start and blanks at the ends of a value are escaped, as the comma is; a backslash and
# two hexadecimal digits are one octet. `equals` knows that `\,` and `\2C` are one name, and that the attributes of an RDN are a set.
# Seen: four of these are not escaped, and blanks are cut off; of `\2C` the digits are left. `equals` compares the text, letters' case aside, with the
# attributes of an RDN in their order.
# So: an entry for `Ops+Net` is made under another name, and two ways to write a subject are two entries' names: escape by hand, and compare parsed
# names of another library.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download libldap-java=5.3.0+dfsg1-1 >apt.log 2>&1
dpkg -x libldap-java_*.deb root
cat >Probe.java <<'JAVA'
import netscape.ldap.LDAPDN;
import netscape.ldap.util.DN;

public class Probe {
    public static void main(String[] arguments) {
        for (String name : new String[] {"OU=Gate, East", "OU=Ops;Net", "OU=Ops+Net", "OU=a\"b", "OU=#7", "OU= Ops "}) {
            System.out.println("[" + name + "] is escaped as [" + LDAPDN.escapeRDN(name) + "]");
        }
        for (String name : new String[] {"OU=Gate\\, East", "OU=Gate\\2C East", "OU=Lu\\C4\\8Di\\C4\\87"}) {
            System.out.println("[" + name + "] is unescaped as [" + LDAPDN.unEscapeRDN(name) + "]");
        }
        String[][] pairs = {{"OU=Ops,O=Example", "ou=ops, o=example"}, {"OU=Gate\\, East", "OU=Gate\\2C East"}, {"OU=a+CN=b", "CN=b+OU=a"}};
        for (String[] pair : pairs) {
            System.out.println(pair[0] + " equals " + pair[1] + ": " + new DN(pair[0]).equals(new DN(pair[1])));
        }
    }
}
JAVA
cat >expected <<'TEXT'
[OU=Gate, East] is escaped as [OU=Gate\, East]
[OU=Ops;Net] is escaped as [OU=Ops\;Net]
[OU=Ops+Net] is escaped as [OU=Ops+Net]
[OU=a"b] is escaped as [OU=a"b]
[OU=#7] is escaped as [OU=#7]
[OU= Ops ] is escaped as [OU=Ops]
[OU=Gate\, East] is unescaped as [OU=Gate, East]
[OU=Gate\2C East] is unescaped as [OU=Gate2C East]
[OU=Lu\C4\8Di\C4\87] is unescaped as [OU=LuC48DiC487]
OU=Ops,O=Example equals ou=ops, o=example: true
OU=Gate\, East equals OU=Gate\2C East: false
OU=a+CN=b equals CN=b+OU=a: false
TEXT
java -cp root/usr/share/java/ldapjdk.jar Probe.java >seen
diff expected seen
cat seen
