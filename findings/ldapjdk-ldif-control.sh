#!/usr/bin/env bash
# libldap-java 5.3.0+dfsg1-1 (Debian; the Netscape SDK of Dogtag), `netscape.ldap.util.LDIF`: a change with a control.
#
# Expected: RFC 2849: controls stand between the DN and `changetype`, which says what kind of change the record is; `changetype` is no attribute.
# Seen: only a `changetype` right behind the DN is one. With a control before it the record is an entry with an attribute `changetype`: a program that
# goes through such a file adds the entry that it should delete, or fails at the schema.
# So: a tree that is deleted or renamed with controls (as in exports for another directory) is not what the file says; leave the controls out.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download libldap-java=5.3.0+dfsg1-1 >apt.log 2>&1
dpkg -x libldap-java_*.deb root
cat >Probe.java <<'JAVA'
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import netscape.ldap.util.LDIF;
import netscape.ldap.util.LDIFRecord;

public class Probe {
    public static void main(String[] records) throws Exception {
        for (String record : records) {
            System.out.println(record);
            String text = "version: 1\n" + record.replace("|", "\n") + "\n\ndn: cn=next\nchangetype: delete\n";
            try {
                LDIF reader = new LDIF(new DataInputStream(new ByteArrayInputStream(text.getBytes("UTF-8"))));
                for (LDIFRecord read = reader.nextRecord(); read != null; read = reader.nextRecord()) {
                    System.out.println("  " + read.getDN() + ": " + read.getContent());
                }
            } catch (Exception error) {
                System.out.println("  " + error);
            }
        }
    }
}
JAVA
cat >expected <<'TEXT'
dn: cn=gw|changetype: delete
  cn=gw: LDIFDeleteContent {}
  cn=next: LDIFDeleteContent {}
dn: cn=gw|control: 1.2.840.113556.1.4.805 true|changetype: delete
  cn=gw: LDIFAttributeContent {LDAPAttribute {type='changetype', values='delete'} LDAPControl {1.2.840.113556.1.4.805 true}}
  cn=next: LDIFDeleteContent {}
dn: cn=gw|changetype: modify|delete: cn|-
  cn=gw: LDIFModifyContent {LDAPModification: DELETE, LDAPAttribute {type='cn', values=''}}
  cn=next: LDIFDeleteContent {}
dn: cn=gw|control: 2.16.840.1.113730.3.4.2 false|changetype: modify|delete: cn|-
  cn=gw: LDIFAttributeContent {LDAPAttribute {type='changetype', values='modify'}LDAPAttribute {type='delete', values='cn'} {MANAGEDSITControl: isCritical=false}}
  cn=next: LDIFDeleteContent {}
TEXT
java -cp root/usr/share/java/ldapjdk.jar Probe.java \
    'dn: cn=gw|changetype: delete' 'dn: cn=gw|control: 1.2.840.113556.1.4.805 true|changetype: delete' \
    'dn: cn=gw|changetype: modify|delete: cn|-' 'dn: cn=gw|control: 2.16.840.1.113730.3.4.2 false|changetype: modify|delete: cn|-' >seen
diff expected seen
cat seen
