#!/usr/bin/env bash
# erlang-eldap 1:25.2.3+dfsg-1+deb12u4 (Debian), `eldap:parse_ldap_url`: LDAP URLs, as certificates have them for CRLs.
#
# Expected: RFC 4516 §2: the host may be left out, an IPv6 address stands in brackets (RFC 3986 §3.2.2), `,` and others may be written `%2C` (§2.1);
# attributes, scope and filter follow, each after a `?`, and an attribute may have an option (`;binary`, RFC 4522).
# Seen: a host must be there, and is no address in brackets. A percent sign in the DN is a function_clause, `=` in a value (which RFC 4514 §3 lets
# stand) an error. Scope and filter are dropped without a word.
# So: URLs of CRL distribution points that leave the host to the client are refused, as are names with a blank; take `uri_string:parse`, and decode each
# part.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
version=1:25.2.3+dfsg-1+deb12u4
apt-get -qq -o APT::Sandbox::User=root download erlang-eldap=$version erlang-base=$version >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
cat >probe.erl <<'ERLANG'
-module(probe).
-export([main/0]).

main() ->
    [show(Url) || Url <- [
        "ldap://dir.example/cn=CA,o=Example?certificateRevocationList;binary",
        "ldap://dir.example:1389/o=Example?cn,sn?sub?(cn=gw)",
        "ldap:///cn=CA,o=Example?certificateRevocationList",
        "ldap://[2001:db8::1]/cn=CA,o=Example",
        "ldap://dir.example/cn=Gate%20East,o=Example",
        "ldap://dir.example/cn=a=b,o=Example"
    ]].

show(Url) ->
    Read = try eldap:parse_ldap_url(Url) catch _:Reason -> {error, Reason} end,
    io:format("~s~n  ~0p~n", [Url, Read]).
ERLANG
cat >expected <<'TEXT'
ldap://dir.example/cn=CA,o=Example?certificateRevocationList;binary
  {ok,{"dir.example",389},[[{attribute_type_and_value,"cn","CA"}],[{attribute_type_and_value,"o","Example"}]],{attributes,["certificateRevocationList;binary"]}}
ldap://dir.example:1389/o=Example?cn,sn?sub?(cn=gw)
  {ok,{"dir.example",1389},[[{attribute_type_and_value,"o","Example"}]],{attributes,["cn","sn"]}}
ldap:///cn=CA,o=Example?certificateRevocationList
  {error,{parse_error,parsing_host,"/cn=CA,o=Example?certificateRevocationList"}}
ldap://[2001:db8::1]/cn=CA,o=Example
  {error,{parse_error,parsing_host,"/cn=CA,o=Example"}}
ldap://dir.example/cn=Gate%20East,o=Example
  {error,function_clause}
ldap://dir.example/cn=a=b,o=Example
  {parse_error,invalid_attribute_type,{"ldap://dir.example/cn=a","=b,o=Example"}}
TEXT
export ROOTDIR=$place/root/usr/lib/erlang EMU=beam PROGNAME=erl
export BINDIR=$(echo "$ROOTDIR"/erts-*/bin)
erlang() {
    "$BINDIR/erlexec" -boot "$ROOTDIR/bin/start_clean" -noshell "$@"
}
erlang -eval 'c:c(probe), probe:main(), init:stop().' >seen
diff expected seen
cat seen
