#!/usr/bin/env bash
# php-phpseclib3 3.0.19-1+deb12u6 (Debian), `X509::getDN`: a subject with two attributes in one relative distinguished name.
#
# Expected: RFC 5280 §4.1.2.4: an RDN is a SET of attributes; RFC 4514 §2.2 joins them by `+` in text. DN_CANON and DN_HASH are OpenSSL's forms, by
# which it finds certificates in a folder.
# Seen: as text the first attribute alone is there, `OU=Ops` or `CN=gw`, whichever DER puts first. The canonical form has two attributes, both of
# them the last one, so that its hash is not OpenSSL's. The array form, and DER made from it, are right.
# So: logs and rules that use the text miss half of the name, and folders linked by the hash lack its certificate; take `DN_ARRAY`.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download php-phpseclib3=3.0.19-1+deb12u6 php8.2-cli=8.2.36-1~deb12u1 libargon2-1 libsodium23 libxml2 libedit2 libpcre2-8-0 libicu72 libbsd0 libmd0 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
for subject in /O=Example/CN=gw /O=Example/CN=gw+OU=Ops /O=Example/CN=gateway+OU=Ops; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -multivalue-rdn -subj "$subject" -days 30 -outform DER 2>>openssl.log >"$(basename "$subject").der"
done
cat >probe.php <<'PHP'
<?php
error_reporting(E_ALL & ~E_DEPRECATED);
spl_autoload_register(fn ($class) => require "root/usr/share/php/" . strtr($class, "\\", "/") . ".php");

use phpseclib3\File\X509;

$x509 = new X509();
$certificate = $x509->loadX509(file_get_contents($argv[1]));
echo "  text ", $x509->getDN(X509::DN_STRING), ", attributes of the last RDN ", count(end($x509->getDN()["rdnSequence"])), "\n";
echo "  canonical ", bin2hex($x509->getDN(X509::DN_CANON)), "\n";
echo "  hash ", $x509->getDN(X509::DN_HASH), "\n";
PHP
cat >expected <<'TEXT'
subject=CN=gateway+OU=Ops,O=Example
  text O=Example, OU=Ops, attributes of the last RDN 2
  canonical 3110300e060355040a0c076578616d706c653120300e06035504030c0767617465776179300e06035504030c0767617465776179
  hash 7e02e79f
  OpenSSL's hash d9d55804
subject=OU=Ops+CN=gw,O=Example
  text O=Example, CN=gw, attributes of the last RDN 2
  canonical 3110300e060355040a0c076578616d706c653118300a060355040b0c034f7073300a060355040b0c036f7073
  hash e4c8bbae
  OpenSSL's hash 4be7ab16
subject=CN=gw,O=Example
  text O=Example, CN=gw, attributes of the last RDN 1
  canonical 3110300e060355040a0c076578616d706c65310b300906035504030c026777
  hash d8b205e0
  OpenSSL's hash d8b205e0
TEXT
for certificate in *.der; do
    openssl x509 -inform DER -in "$certificate" -noout -subject -nameopt RFC2253
    LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/bin/php8.2 -n probe.php "$certificate"
    echo "  OpenSSL's hash $(openssl x509 -inform DER -in "$certificate" -noout -subject_hash)"
done >seen
diff expected seen
cat seen
