#!/usr/bin/env bash
# libapache-directory-api-java 2.1.2-1 (Debian), `Dn.getNormName`: normalised names, without a schema.
#
# Expected: RFC 4514 §2.2 and §2.4: `+` joins two attributes of an RDN, and a comma in a value is escaped, in a normalised name, too. Names that
# `equals` calls equal have one normalised form.
# Seen: the second attribute stands there with its value twice (`ou=Ops+CN=gw=gw`), and has another value when read again. Escapes are gone. Types
# are in lower case where the name has a `+` or an escape, otherwise as they came. With the packages that this one depends on, such names
# raise NoClassDefFoundError: libantlr-java is not among them.
# So: this text is no key of a map or index; use the `Dn` itself, whose `equals` is right, and install libantlr-java.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download libapache-directory-api-java=2.1.2-1 libcommons-codec-java libcommons-collections4-java libcommons-lang3-java libcommons-pool2-java \
    libcommons-text-java libdom4j-java libmina2-java libslf4j-java libxpp3-java libantlr-java >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
cat >Probe.java <<'JAVA'
import org.apache.directory.api.ldap.model.name.Dn;

public class Probe {
    public static void main(String[] names) throws Exception {
        for (String name : names) {
            try {
                Dn dn = new Dn(name);
                String normal = dn.getNormName();
                String again;
                try {
                    again = new Dn(normal).equals(dn) ? "the same name" : "another name";
                } catch (Exception error) {
                    again = "refused";
                }
                System.out.println(name + ": " + normal + ", read again: " + again);
            } catch (NoClassDefFoundError error) {
                System.out.println(name + ": no class " + error.getMessage());
            }
        }
        System.out.println("CN=gw,O=Example equals cn=gw, o=Example: " + new Dn("CN=gw,O=Example").equals(new Dn("cn=gw, o=Example")));
    }
}
JAVA
cat >expected <<'TEXT'
OU=Ops+CN=gw,O=Example: no class antlr/TokenStream
CN=gw,O=Example equals cn=gw, o=Example: true
CN=gw,O=Example: CN=gw,O=Example, read again: the same name
cn=gw, o=Example: cn=gw,o=Example, read again: the same name
CN=gw, O=Example: CN=gw,O=Example, read again: the same name
OU=Ops+CN=gw,O=Example: ou=Ops+CN=gw=gw,o=Example, read again: another name
CN=Gate\, East,O=Example: cn=Gate, East,o=Example, read again: refused
CN=a\+b,O=Example: cn=a+b,o=Example, read again: refused
CN=gw,O=Example equals cn=gw, o=Example: true
TEXT
jars=root/usr/share/java
classes=$jars/apache-directory-api-all.jar:$jars/slf4j-api.jar:$jars/slf4j-nop.jar:$jars/commons-codec.jar:$jars/commons-collections4.jar:$jars/commons-lang3.jar:$jars/commons-text.jar:$jars/mina2-core.jar
{
    java -cp "$classes" Probe.java OU=Ops+CN=gw,O=Example
    java -cp "$classes:$jars/antlr.jar" Probe.java CN=gw,O=Example 'cn=gw, o=Example' 'CN=gw, O=Example' OU=Ops+CN=gw,O=Example 'CN=Gate\, East,O=Example' 'CN=a\+b,O=Example'
} >seen
diff expected seen
cat seen
