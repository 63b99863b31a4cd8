#!/usr/bin/env bash
# ruby-net-ldap 0.17.0-1 (Debian), `Net::LDAP::Filter.from_rfc4515`: search filters in text.
#
# Expected: RFC 4515 §3: a value may be empty, and holds any character but `*`, `(`, `)`, `\` and NUL, blanks at its ends too; `~=` is an operator;
# what stands left may be an OID. `(seeAlso=)` is an example of §4; certificateExactMatch of RFC 4523 takes `{ … rdnSequence:"…" }`.
# Seen: an empty value, `~=`, any value with `"`, `;`, `<`, `>`, `|` or `?`, and an OID before a matching rule are errors. Blanks at the ends are
# cut off, in silence. The flag `:dn` goes out as the octet 31, the digit 1; RFC 4511 §5.1 writes true as ff.
# So: a certificate cannot be looked for by issuer and serial number, an LDAP URL not by text; escape these characters, too (`\22`, `\3b`).
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download ruby-net-ldap=0.17.0-1 ruby3.1 libruby3.1 libyaml-0-2 libgmp10 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
cat >probe.rb <<'RUBY'
require "net/ldap"

[
  '(cn=Babs Jensen)',
  '(seeAlso=)',
  '(cn~=gate)',
  '(cn= gate )',
  '(cn=\20gate\20)',
  '(cn=Gate;East)',
  '(cn=Gate\3bEast)',
  '(labeledURI=ldap://dir.example/cn=CA?certificateRevocationList)',
  '(2.5.4.3=gate)',
  '(2.5.4.3:caseExactMatch:=gate)',
  '(ou:dn:=Ops)',
  '(userCertificate:certificateExactMatch:={ serialNumber 7, issuer rdnSequence:"CN=CA" })',
].each do |text|
  puts "#{text} -> #{Net::LDAP::Filter.from_rfc4515(text).to_ber.unpack1('H*')}"
rescue Net::LDAP::Error => error
  puts "#{text} -> #{error.message}"
end
RUBY
cat >expected <<'TEXT'
(cn=Babs Jensen) -> a3110402636e040b42616273204a656e73656e
(seeAlso=) -> Invalid filter syntax.
(cn~=gate) -> Invalid filter syntax.
(cn= gate ) -> a30a0402636e040467617465
(cn=\20gate\20) -> a30c0402636e0406206761746520
(cn=Gate;East) -> Invalid filter syntax.
(cn=Gate\3bEast) -> a30f0402636e0409476174653b45617374
(labeledURI=ldap://dir.example/cn=CA?certificateRevocationList) -> Invalid filter syntax.
(2.5.4.3=gate) -> a30f0407322e352e342e33040467617465
(2.5.4.3:caseExactMatch:=gate) -> Bad attribute 2.5.4.3:caseExactMatch
(ou:dn:=Ops) -> a90c82026f7583034f7073840131
(userCertificate:certificateExactMatch:={ serialNumber 7, issuer rdnSequence:"CN=CA" }) -> Invalid filter syntax.
TEXT
LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/bin/ruby3.1 --disable-gems -I root/usr/lib/ruby/3.1.0 -I root/usr/lib/x86_64-linux-gnu/ruby/3.1.0 -I root/usr/lib/ruby/vendor_ruby probe.rb >seen
diff expected seen
cat seen
