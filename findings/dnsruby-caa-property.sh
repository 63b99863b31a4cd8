#!/usr/bin/env bash
# ruby-dnsruby 1.61.5-3 (Debian), `RR.create` and `Message.decode`: the property of a CAA record.
#
# Expected: RFC 8659 §4.1: a tag is one or more letters and digits, compared without regard to case; a CA that does not know it looks at the flag.
# §4.1.1: the value is a <character-string>, with quotation marks or without; it may be empty. §4.5 has `128 tbs "Unknown"` as example.
# Seen: five tags in lower case, values in quotation marks, of one character at least. All else, RFC 9495's issuemail among it, is "undefined method
# `[]' for nil:NilClass", in a zone's line, and in a message, which is lost whole with the records beside it.
# So: a CA that asks by this library gets no answer where it should see a property that it must respect; catch NoMethodError, and read as octets.
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

def outcome
  yield
rescue StandardError => error
  "#{error.class}: #{error.message.lines.first.chomp}"
end

[
  [0, "issue", '"ca.example.net"'], [0, "issuewild", '";"'], [0, "issue", "ca.example.net"], [0, "ISSUE", '"ca.example.net"'], [0, "issue", '""'],
  [0, "issuemail", '"ca.example.net"'], [128, "tbs", '"Unknown"'],
].each do |flag, tag, value|
  puts "#{flag} #{tag} #{value}"
  puts "  a line: #{outcome { Dnsruby::RR.create("example.net. 3600 IN CAA #{flag} #{tag} #{value}").rdata_to_string }}"
  data = [flag, tag.bytesize].pack("CC") + tag + value.delete('"')
  message = [1, 0x8400, 0, 1, 0, 0].pack("n6") + "\x07example\x03net\x00" + [257, 1, 3600, data.bytesize].pack("nnNn") + data
  puts "  a message: #{outcome { Dnsruby::Message.decode(message).answer[0].rdata_to_string }}"
end
RUBY
cat >expected <<'TEXT'
0 issue "ca.example.net"
  a line: 0 issue "ca.example.net"
  a message: 0 issue "ca.example.net"
0 issuewild ";"
  a line: 0 issuewild ";"
  a message: 0 issuewild ";"
0 issue ca.example.net
  a line: NoMethodError: undefined method `[]' for nil:NilClass
  a message: 0 issue "ca.example.net"
0 ISSUE "ca.example.net"
  a line: NoMethodError: undefined method `[]' for nil:NilClass
  a message: NoMethodError: undefined method `[]' for nil:NilClass
0 issue ""
  a line: NoMethodError: undefined method `[]' for nil:NilClass
  a message: NoMethodError: undefined method `[]' for nil:NilClass
0 issuemail "ca.example.net"
  a line: NoMethodError: undefined method `[]' for nil:NilClass
  a message: NoMethodError: undefined method `[]' for nil:NilClass
128 tbs "Unknown"
  a line: NoMethodError: undefined method `[]' for nil:NilClass
  a message: NoMethodError: undefined method `[]' for nil:NilClass
TEXT
ruby=root/usr/lib/ruby
LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/bin/ruby3.1 --disable-gems -I $ruby/3.1.0 -I root/usr/lib/x86_64-linux-gnu/ruby/3.1.0 -I $ruby/vendor_ruby \
    -I root/usr/lib/x86_64-linux-gnu/ruby/vendor_ruby/3.1.0 -I root/usr/share/rubygems-integration/all/gems/simpleidn-0.1.1/lib \
    -I "$(echo $ruby/gems/3.1.0/gems/net-ftp-*/lib)" probe.rb >seen
diff expected seen
cat seen
