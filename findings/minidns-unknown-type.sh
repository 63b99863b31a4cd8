#!/usr/bin/env bash
# libminidns-java 1.0.0-2 (Debian), `DnsMessage.toArray` and the text of `DS`: a record of a type that the library does not know, and a digest.
#
# Expected: RFC 3597 §3: a type that is not known is handled as its number and its octets, which `payloadData` keeps: a message that was read is
# written with the same octets. RFC 4034 §5.3: in a zone a DS record's digest type is a decimal number, its algorithm a number or a mnemonic.
# Seen: the record is kept, and goes out as type 65535; types that have a name here, as IPSECKEY, keep theirs without a class for them. The text of a
# digest's type is a name, `SHA1`, which RFC 4034 does not have.
# So: a proxy or cache on this library turns private types into one that nobody asked for; hand on the octets that came.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download libminidns-java=1.0.0-2 >apt.log 2>&1
dpkg -x libminidns-java_*.deb root
cat >Probe.java <<'JAVA'
import java.util.HexFormat;
import org.minidns.dnsmessage.DnsMessage;
import org.minidns.record.Data;
import org.minidns.record.Record;

public class Probe {
    public static void main(String[] arguments) throws Exception {
        String before = "000184000000000100000000" + "02677700";
        HexFormat hex = HexFormat.of();
        for (String record : new String[] {
            "0001000100000e100004c0000201", "002d000100000e1000060a0002010203", "ff00000100000e1000040a000001",
            "002b000100000e100018ec4505012bb183af5f22588179a53b0a98631fad1a292118",
        }) {
            DnsMessage message = new DnsMessage(hex.parseHex(before + record));
            Record<? extends Data> read = message.answerSection.get(0);
            System.out.println(record);
            System.out.println("  read as " + read.type + ", written as " + hex.formatHex(message.toArray()).substring(before.length()));
            if (read.type == Record.TYPE.DS) {
                System.out.println("  text: " + read.payloadData);
            }
        }
    }
}
JAVA
cat >expected <<'TEXT'
0001000100000e100004c0000201
  read as A, written as 0001000100000e100004c0000201
002d000100000e1000060a0002010203
  read as IPSECKEY, written as 002d000100000e1000060a0002010203
ff00000100000e1000040a000001
  read as UNKNOWN, written as ffff000100000e1000040a000001
002b000100000e100018ec4505012bb183af5f22588179a53b0a98631fad1a292118
  read as DS, written as 002b000100000e100018ec4505012bb183af5f22588179a53b0a98631fad1a292118
  text: 60485 RSASHA1 SHA1 2BB183AF5F22588179A53B0A98631FAD1A292118
TEXT
java -cp root/usr/share/java/minidns-core.jar Probe.java >seen
diff expected seen
cat seen
