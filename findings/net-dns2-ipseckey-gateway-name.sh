#!/usr/bin/env bash
# php-net-dns2 1.5.0-1 (Debian), `Net_DNS2_RR_IPSECKEY`: a record whose gateway is a domain name.
#
# Expected: RFC 4025 §2.5: a gateway of type 3 is a domain name in wire format (RFC 1035 §3.1: each label with its length, the root's octet
# last), as other records' names are written by the library.
# Seen: the name goes out as one label with dots in it, and no root follows. The library's own reader, which takes the RFC's form, finds the
# gateway `.` and no key in it. Addresses and "no gateway" pass both ways.
# So: a dynamic update with such a record is malformed, or stores another gateway than was written; give the gateway's address.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download php-net-dns2=1.5.0-1 php8.2-cli=8.2.36-1~deb12u1 libargon2-1 libsodium23 libxml2 libedit2 libpcre2-8-0 libicu72 libbsd0 libmd0 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
cat >probe.php <<'PHP'
<?php
error_reporting(E_ALL & ~E_DEPRECATED);
set_include_path("root/usr/share/php");
require_once "Net/DNS2.php";

function read_back(string $wire): string
{
    $packet = new Net_DNS2_Packet();
    $packet->rdata = $wire;
    $packet->rdlength = strlen($wire);
    $packet->offset = 0;
    return trim((string) Net_DNS2_RR::parse($packet));
}

// owner gw.example, type, class, time to live, length of the data
$head = 12 + 10;
foreach (["10 0 2 . AQNR", "10 1 2 192.0.2.38 AQNR", "10 3 2 vpn.example.net. AQNR"] as $text) {
    $record = Net_DNS2_RR::fromString("gw.example. 60 IN IPSECKEY $text");
    $packet = new Net_DNS2_Packet_Request("gw.example", "IPSECKEY", "IN");
    $packet->offset = 0;
    $wire = $record->get($packet);
    echo "$text: ", bin2hex(substr($wire, $head)), ", read back: ", read_back($wire), "\n";
}
$data = hex2bin("0a0302" . "0376706e" . "076578616d706c65" . "036e6574" . "00" . "010351");
$wire = substr($wire, 0, $head - 2) . pack("n", strlen($data)) . $data;
echo bin2hex($data), " is read: ", read_back($wire), "\n";
PHP
cat >expected <<'TEXT'
10 0 2 . AQNR: 0a0002010351, read back: gw.example. 60 IN IPSECKEY 10 0 2 . AQNR
10 1 2 192.0.2.38 AQNR: 0a0102c0000226010351, read back: gw.example. 60 IN IPSECKEY 10 1 2 192.0.2.38 AQNR
10 3 2 vpn.example.net. AQNR: 0a03020f76706e2e6578616d706c652e6e6574010351, read back: gw.example. 60 IN IPSECKEY 10 3 2 .
0a03020376706e076578616d706c65036e657400010351 is read: gw.example. 60 IN IPSECKEY 10 3 2 vpn.example.net. AQNR
TEXT
LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/bin/php8.2 -n probe.php >seen
diff expected seen
cat seen
