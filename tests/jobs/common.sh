# What the scripts of this folder share; each begins with `. "$(dirname "$0")/common.sh"`.
#
# A job runs in a folder of its own, which is removed at the end, with a server of its own on free ports of 127.0.0.1. So any number of jobs run side
# by side. COUNTERSIGN names the program, `countersign` on the PATH without it. KEEP=1 keeps the folder.
#
#   operator     what follows is what people type, until `check`; `check` compares the number of commands with the head of the script
#   start, stop  as `systemctl start countersign` and `stop`
#   say          a line for the reader
#   fail         ends the job: it did not work
#   refused N COMMAND …  asserts that a command ends with exit code N; its output is in the files `refused.out` and `refused.err`, and
#                all of it in `refused`
set -euo pipefail
export LC_ALL=C TZ=UTC
umask 077
# Debian's daemons, which a user's own PATH has not.
PATH=$PATH:/usr/sbin:/sbin

script=$(realpath "$0")
jobs=$(dirname "$script")
# What `make deps` unpacks.
PATH=$PATH:$jobs/../../target/test-daemons/prometheus/usr/bin
program=$(command -v "${COUNTERSIGN:-countersign}") || { echo "no program \`${COUNTERSIGN:-countersign}\`: set COUNTERSIGN to it" >&2; exit 1; }
program=$(realpath "$program")
countersign() { "$program" "$@"; }
# Nothing of the caller's own instances counts here.
unset COUNTERSIGN_SERVER COUNTERSIGN_PASSPHRASE_FILE CREDENTIALS_DIRECTORY

job=$(mktemp -d "${TMPDIR:-/tmp}/countersign-job.XXXXXX")
cd "$job"
export COUNTERSIGN_DATA=$job/data
server= ports=() step=preparation

say() { echo "-- $*"; }
fail() {
  echo "FAILED: $*" >&2
  exit 1
}

ended() {
  local code=$?
  trap - EXIT DEBUG ERR
  [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null || true
  [ ${#ports[@]} -eq 0 ] || rmdir "${ports[@]}"
  if [ $code -ne 0 ]; then
    echo "FAILED ($step) with exit code $code" >&2
    [ ! -e server.log ] || { echo "--- the end of the server's log ---" && tail -n 30 server.log; } >&2
  fi
  if [ -n "${KEEP:-}" ]; then echo "kept: $job"; else rm -rf "$job"; fi
  exit $code
}
trap ended EXIT
trap 'exit 130' INT TERM
trap 'echo "FAILED: $(basename "$script") line $LINENO: $BASH_COMMAND" >&2' ERR

needs() {
  local package=$1 tool
  for tool in "${@:2}"; do
    command -v "$tool" >/dev/null || fail "no program \`$tool\`; this job needs the package \`$package\`: run \`make deps\`"
  done
}
needs curl curl
needs jq jq
needs openssl openssl

# A port that nobody listens on, and that no other job takes; below those that the kernel gives to clients. The result is in the variable $1.
free_port() {
  local candidate claim
  while :; do
    candidate=$((RANDOM % 12000 + 20000))
    claim=${TMPDIR:-/tmp}/countersign-job-port.$candidate
    mkdir "$claim" 2>/dev/null || continue
    ports+=("$claim")
    (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null || break
  done
  printf -v "$1" %s "$candidate"
}
free_port http_port
free_port ldap_port
url=http://127.0.0.1:$http_port
ldap=ldap://127.0.0.1:$ldap_port

# The configuration that every job begins with, as a file $1. What an operator adds comes behind it.
configuration() {
  install -d -m 0700 "$(dirname "$1")"
  cat > "$1" <<TOML
[http]
listen = "127.0.0.1:$http_port"
public_url = "$url"
[ldap]
listen = "127.0.0.1:$ldap_port"
public_url = "$ldap"
TOML
}

# Starts the server of the instance, and waits until it is ready. More arguments stand before the program, such as those that set another clock.
start() {
  "$@" "$program" serve >> server.log 2>&1 &
  server=$!
  wait_for "the server" ready
}
ready() {
  kill -0 "$server" 2>/dev/null || fail "the server ended: see its log"
  curl -sf --max-time 30 -o /dev/null "$url/readyz"
}
stop() {
  kill "$server"
  wait "$server" || fail "the server ended with exit code $?"
  server=
}

# Waits until a command succeeds. The bound only allows for a busy machine.
wait_for() {
  local what=$1 deadline=$((SECONDS + 120))
  shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || fail "waited 120 s for $what"
    sleep 0.05
  done
}

# Sets `clock` to the beginning of a command at another time: `clock_at -60d; "${clock[@]}" "$program" …`. The library is preloaded without the program
# `faketime`, so that signals reach the command itself; the clock by which the kernel waits stays.
clock_at() {
  needs faketime faketime
  clock=(env "LD_PRELOAD=$(faketime -f "$1" printenv LD_PRELOAD)" "FAKETIME=$1" FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1)
}

refused() {
  local expected=$1 code=0
  shift
  "$@" > refused.out 2> refused.err || code=$?
  cat refused.out refused.err > refused
  [ $code -eq "$expected" ] || fail "\`$*\` ended with $code, not with $expected: $(cat refused)"
}

# Commands that stand on one line, as those of a pipeline, are one; one in a loop is one, too: people type it once.
declare -A typed=()
operator() {
  step="the operator's part"
  trap 'case $BASH_COMMAND in check | say\ *) ;; *) typed[$LINENO]=1 ;; esac' DEBUG
}
check() {
  trap - DEBUG
  step="the check"
  local told
  told=$(sed -n 's/^# Commands: \([0-9]*\).*/\1/p' "$script")
  [ "${#typed[@]}" = "$told" ] ||
    fail "the head of $(basename "$script") says $told commands, and its operator typed ${#typed[@]}: lines $(printf '%s\n' "${!typed[@]}" | sort -n | xargs)"
  say "${#typed[@]} commands typed; now the check"
}

# What an incident does to a server: nobody says goodbye.
kill_server() {
  kill -KILL "$server"
  wait "$server" 2>/dev/null || true
  server=
}

# Enrols an account by CMP, as its gateway would: `enrol NAME` after `countersign peer add NAME … --json > NAME.json`. The files are in the folder NAME.
enrol() {
  jq -r .secret "$1.json" > "$1.secret"
  countersign enroll --server "$url" --reference "$(jq -r .reference "$1.json")" --secret-file "$1.secret" --trust "${2:-$COUNTERSIGN_DATA/keys/root.crt}" \
    --name "$1" --out "$1"
}
# The serial number of a certificate as Countersign writes it.
serial_of() { openssl x509 -in "$1" -noout -serial | cut -d= -f2 | tr A-F a-f; }
# Fetches the CRL of a CA, and gives the serial numbers on it, one a line.
listed() {
  curl -sf "$url/crl/$1.crl" -o "$1.crl"
  openssl crl -inform DER -in "$1.crl" -out "$1.crl.pem"
  openssl crl -in "$1.crl.pem" -noout -text | sed -n 's/^ *Serial Number: //p' | tr A-F a-f
}
