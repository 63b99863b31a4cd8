#!/usr/bin/env bash
# ruby-dnsruby 1.61.5-3 (Debian), `RR.create`: lines of types that the library has no class for.
#
# Expected: a type that is known by its name only, as KEY (RFC 2535 §3, which RFC 2931 signs updates with), and one that is not, as SMIMEA (RFC 8162),
# are an error in a zone's line, unless RFC 3597's form (`\# 8 …`) gives the octets.
# Seen: a KEY record has no octets at all. SMIMEA becomes type 255, which RFC 1035 §3.2.3 has for questions only; its words stay in the text, and
# are not sent either. No error.
# So: an update with such a record sends nothing of its key; compare the record's `type` and its text with what was given, or use `TYPE25 \# …`.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download ruby-dnsruby=1.61.5-3 ruby-simpleidn ruby-unf ruby-unf-ext ruby3.1 libruby3.1 libyaml-0-2 libgmp10 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
cat >probe.rb <<'RUBY'
require "dnsruby"

[
  "SSHFP 4 1 123456789abcdef67890123456789abcdef67890", "KEY 512 3 13 AQIDBA==", 'TYPE25 \# 8 0200030d01020304',
  "SMIMEA 3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971",
].each do |line|
  record = Dnsruby::RR.create("gw.example.net. 3600 IN #{line}")
  message = Dnsruby::Message.new
  message.add_answer(record)
  puts line
  puts "  read as #{record.type} #{record.rdata_to_string}"
  type, _, _, length = message.encode[28..].unpack("nnNn")
  puts "  sent as type #{type}, #{length} octets"
end
RUBY
cat >expected <<'TEXT'
SSHFP 4 1 123456789abcdef67890123456789abcdef67890
  read as SSHFP 4 1 123456789abcdef67890123456789abcdef67890
  sent as type 44, 22 octets
KEY 512 3 13 AQIDBA==
  read as KEY \# 0 
  sent as type 25, 0 octets
TYPE25 \# 8 0200030d01020304
  read as KEY \# 8 0200030d01020304
  sent as type 25, 8 octets
SMIMEA 3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971
  read as ANY SMIMEA 3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971
  sent as type 255, 0 octets
TEXT
ruby=root/usr/lib/ruby
LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/bin/ruby3.1 --disable-gems -I $ruby/3.1.0 -I root/usr/lib/x86_64-linux-gnu/ruby/3.1.0 -I $ruby/vendor_ruby \
    -I root/usr/lib/x86_64-linux-gnu/ruby/vendor_ruby/3.1.0 -I root/usr/share/rubygems-integration/all/gems/simpleidn-0.1.1/lib \
    -I "$(echo $ruby/gems/3.1.0/gems/net-ftp-*/lib)" probe.rb >seen
diff expected seen
cat seen
