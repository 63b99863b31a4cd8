#!/usr/bin/env bash
# php-net-ldap2 2.2.1-1 (Debian), `Net_LDAP2_Util::canonical_dn` and `ldap_explode_dn`: names with escapes, in text.
#
# Expected: RFC 4514 §2.4 and §3: `\,`, `\2C` and `\C4\8D` are three ways to write octets of a value, `#` and hexadecimal digits its BER. A canonical
# form names the same entry, and its own canonical form is itself.
# Seen: what is escaped is escaped again, backslash and comma, at each call once more; `#` becomes `\#`, a text. Exploding takes `\2C` for a bare
# comma and leaves `\,` as it is, so that two ways to write one name stay two. Names without escapes are right.
# So: a search under the "canonical" name of a subject with a comma, or beyond ASCII, finds nothing; pass names on as they came.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download php-net-ldap2=2.2.1-1 php-pear php8.2-cli=8.2.36-1~deb12u1 libargon2-1 libsodium23 libxml2 libedit2 libpcre2-8-0 libicu72 libbsd0 libmd0 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
cat >probe.php <<'PHP'
<?php
error_reporting(E_ALL & ~E_DEPRECATED & ~E_STRICT);
set_include_path("root/usr/share/php");
require_once "PEAR.php";
require_once "Net/LDAP2/Util.php";

$options = ["casefold" => "none"];
foreach (["OU=Ops+CN=gw,O=Example", 'CN=Gate\, East', 'CN=Gate\2C East', 'CN=Lu\C4\8Di\C4\87', "1.3.6.1.4.1.1466.0=#04024869"] as $name) {
    $once = Net_LDAP2_Util::canonical_dn($name, $options);
    echo "$name: exploded ", json_encode(Net_LDAP2_Util::ldap_explode_dn($name, $options), JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES), "\n";
    echo "  canonical $once, again ", Net_LDAP2_Util::canonical_dn($once, $options), "\n";
}
PHP
cat >expected <<'TEXT'
OU=Ops+CN=gw,O=Example: exploded [["CN=gw","OU=Ops"],"O=Example"]
  canonical CN=gw+OU=Ops,O=Example, again CN=gw+OU=Ops,O=Example
CN=Gate\, East: exploded ["CN=Gate\\, East"]
  canonical CN=Gate\\\, East, again CN=Gate\\\\\\\, East
CN=Gate\2C East: exploded ["CN=Gate, East"]
  canonical CN=Gate\\2C East, again CN=Gate\\\\2C East
CN=Lu\C4\8Di\C4\87: exploded ["CN=Lučić"]
  canonical CN=Lu\\C4\\8Di\\C4\\87, again CN=Lu\\\\C4\\\\8Di\\\\C4\\\\87
1.3.6.1.4.1.1466.0=#04024869: exploded ["1.3.6.1.4.1.1466.0=#04024869"]
  canonical 1.3.6.1.4.1.1466.0=\#04024869, again 1.3.6.1.4.1.1466.0=\\\#04024869
TEXT
LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/bin/php8.2 -n probe.php >seen
diff expected seen
cat seen
