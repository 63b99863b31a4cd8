#!/usr/bin/env bash
# ruby-net-ldap 0.17.0-1 (Debian), `Net::LDAP::DN`: two attributes in one relative distinguished name, and what is escaped at the ends of a value.
#
# Expected: RFC 4514 §2.2 joins the attributes of an RDN by `+`; §2.4 escapes a blank at either end of a value and `#` at its start, and `DN.new` with
# pairs of types and values writes the name so that `DN.new` with the text reads these pairs.
# Seen: `+` is read as a character of the value, and escaped when the name is written again: another name, which has no entry. A value that starts
# or ends with a blank, or starts with `#`, is read and cannot be written: a TypeError ("no implicit conversion of nil into String").
# So: keep the text of such a name as the directory gave it; escape these characters by hand (`\20`, `\23`).
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
require "net/ldap/dn"

['CN=Gate\, East,O=Example', "OU=Ops+CN=gw,O=Example", 'CN=\20gate,O=Example', 'CN=\#7,O=Example', "1.3.6.1.4.1.1466.0=#04024869,O=Example"].each do |text|
  pairs = Net::LDAP::DN.new(text).to_a
  written =
    begin
      Net::LDAP::DN.new(*pairs).to_s
    rescue TypeError => error
      error.message
    end
  puts "#{text} is read as #{pairs}, written as #{written}"
end
RUBY
cat >expected <<'TEXT'
CN=Gate\, East,O=Example is read as ["CN", "Gate, East", "O", "Example"], written as CN=Gate\, East,O=Example
OU=Ops+CN=gw,O=Example is read as ["OU", "Ops+CN=gw", "O", "Example"], written as OU=Ops\+CN=gw,O=Example
CN=\20gate,O=Example is read as ["CN", " gate", "O", "Example"], written as no implicit conversion of nil into String
CN=\#7,O=Example is read as ["CN", "#7", "O", "Example"], written as no implicit conversion of nil into String
1.3.6.1.4.1.1466.0=#04024869,O=Example is read as ["1.3.6.1.4.1.1466.0", "#04024869", "O", "Example"], written as no implicit conversion of nil into String
TEXT
LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/bin/ruby3.1 --disable-gems -I root/usr/lib/ruby/3.1.0 -I root/usr/lib/x86_64-linux-gnu/ruby/3.1.0 -I root/usr/lib/ruby/vendor_ruby probe.rb >seen
diff expected seen
cat seen
