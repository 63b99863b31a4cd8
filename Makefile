# The few verbs. `make check` needs Rust alone, and takes a few minutes; `make test` installs the programs that the other tests need, then runs all.

# Debian's daemons, which a user's own PATH has not.
export PATH := $(PATH):/usr/sbin:/sbin
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PACKAGES := build-essential certmonger charon-systemd curl dbus faketime gnutls-bin iproute2 iputils-ping jq ldap-utils libaudit1 libbcpkix-java libbcprov-java libbcutil-java \
	libcap-ng0 libcharon-extra-plugins libcurl3-nss libevent-2.1-7 libevent-core-2.1-7 libevent-pthreads-2.1-7 libjansson-dev \
	libldap-2.5-0 libldns3 libnss3-tools libssl-dev libstrongswan-extra-plugins libstrongswan-standard-plugins libsystemd-dev libunbound8 \
	nftables openjdk-17-jdk-headless openssl openvpn pkg-config procps python3 python3-cryptography python3-oscrypto python3-requests python3-six python3-venv \
	scep slapd strongswan-pki strongswan-swanctl util-linux
# What only the benches run against: another CA, and the counter of instructions.
BENCH_PACKAGES := golang-cfssl valgrind
# IKE daemons that do not go beside strongSwan, and fail2ban and Prometheus, whose services nobody wants started: unpacked into a folder, not
# installed.
UNPACKED := libreswan openiked fail2ban prometheus
VENV := target/test-tools
# PyScep, over Debian's oscrypto: that of PyPI does not find OpenSSL 3.
PYSCEP := target/test-pyscep
# The driver of the administration API; its packages contradict those of the other tools.
API := target/test-api
DAEMONS := target/test-daemons
# A newer OpenSSL than Debian's, as a CMP client: its command, built from the sources that tests/openssl names.
OPENSSL := target/test-openssl
# The plugin for charon, and the headers of the strongSwan that is installed, from Debian's source package.
PLUGIN := $(CURDIR)/target/charon-plugin
STRONGSWAN = $(shell dpkg-query -W -f '$${source:Version}' libstrongswan 2>/dev/null)
HEADERS = $(PLUGIN)/headers-$(firstword $(subst -, ,$(STRONGSWAN)))
# strongSwan 6 beside it: charon with what the tests need, built from the source package of Debian's next release, and the plugin for that.
STRONGSWAN6 := $(CURDIR)/target/test-strongswan6
# The newest strongSwan that Debian has: its headers alone.
NEWEST := $(CURDIR)/target/charon-plugin-newest
SOURCE := ike-plugin/charon/debian-source.sh

.PHONY: run check test bench lint format clippy deny tests-alone tests-with-programs deps bench-deps charon-plugin charon-plugin-6 charon-plugin-newest

run:
	cargo run --release -- serve --init

# Before each commit: what can be said without an installed program. Several goals at once, as in `make check lint test`, run no part twice.
check: format clippy tests-alone

test: deps tests-alone tests-with-programs

# tests/lanes.sh says what each lane runs. Each compiled example of the documentation stands for itself.
tests-alone:
	tests/lanes.sh alone
	cargo test --workspace --doc

tests-with-programs: deps
	tests/lanes.sh programs

bench: bench-deps
	cargo bench --bench admin
	cargo bench --bench store
	cargo bench --bench status
	cargo bench --bench authorize
	cargo bench --bench enrol
	cargo bench -p countersign-policy --bench query

lint: format clippy deny

format:
	cargo fmt --all -- --check

clippy:
	cargo clippy --workspace --all-targets -- -D warnings

deny:
	cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --locked
	cargo deny --all-features check bans licenses sources

# Installs what is missing of these packages. policy-rc.d has them start no service, and none of them starts with the machine.
define install
	@missing=""; for package in $(1); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  policy=/usr/sbin/policy-rc.d; \
	  if [ ! -e $$policy ]; then \
	    trap "$(SUDO) rm -f $$policy" EXIT; \
	    printf '#!/bin/sh\nexit 101\n' | $(SUDO) tee $$policy >/dev/null && $(SUDO) chmod 755 $$policy; \
	  fi; \
	  $(SUDO) apt-get update && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$missing || exit; \
	  case "$$missing" in *slapd*) $(SUDO) systemctl disable slapd >/dev/null 2>&1;; esac; \
	  case "$$missing" in *charon-systemd*) $(SUDO) systemctl disable strongswan >/dev/null 2>&1;; esac; \
	  case "$$missing" in *certmonger*) $(SUDO) systemctl disable certmonger >/dev/null 2>&1;; esac; \
	  case "$$missing" in *openvpn*) $(SUDO) systemctl disable openvpn >/dev/null 2>&1;; esac; \
	  true; \
	fi
endef

# What the tests run against, from Debian and PyPI: OpenSSL's CMP client, strongSwan of two generations, libreswan, OpenIKED, OpenLDAP,
# fail2ban's filters, pkilint, a faked clock, and four validators of paths.
deps: $(VENV)/.done
	$(call install,$(PACKAGES))
	@$(MAKE) -s --no-print-directory $(PYSCEP)/.done
	@$(MAKE) -s --no-print-directory $(API)/.done
	@$(MAKE) -s --no-print-directory $(DAEMONS)/.done
	@$(MAKE) -s --no-print-directory $(OPENSSL)/openssl
	@$(MAKE) -s --no-print-directory charon-plugin
	@$(MAKE) -s --no-print-directory charon-plugin-6 || \
	  echo "strongSwan 6 was not built, see above: the tests that end with _on_strongswan_6 will fail" >&2
	@$(MAKE) -s --no-print-directory $(NEWEST)/headers/configure.ac || \
	  echo "the newest strongSwan's headers are not to be had, see above: the plugin is not compiled for it" >&2
	@test ! -e $(NEWEST)/headers/configure.ac || $(MAKE) -s --no-print-directory charon-plugin-newest || \
	  echo "the plugin does not compile for the newest strongSwan, see above: countersign_versions.h has what differs" >&2

bench-deps: deps
	$(call install,$(BENCH_PACKAGES))

# strongSwan's plugin, for the strongSwan that is installed: target/charon-plugin/libstrongswan-countersign.so
charon-plugin: $(HEADERS)/configure.ac
	@$(MAKE) -s --no-print-directory -C ike-plugin/charon HEADERS=$(HEADERS) TARGET=$(PLUGIN)/libstrongswan-countersign.so

# Its headers, and the file that says its version, from the tarball $(1) into $(2).
define headers
	mkdir -p $(2)
	tar -xf $(1) -C $(2) --strip-components=2 --wildcards '*/src/libstrongswan/*.h' '*/src/libcharon/*.h'
	tar -xf $(1) -C $(2) --strip-components=1 --wildcards --no-wildcards-match-slash 'strongswan-*/configure.ac'
endef

$(HEADERS)/configure.ac:
	@test -n "$(STRONGSWAN)" || { echo "strongSwan is not installed: run \`make deps\`" >&2; exit 1; }
	rm -rf $(PLUGIN)
	$(SOURCE) $(PLUGIN)
	$(call headers,$(PLUGIN)/strongswan_*.orig.tar.*[!c],$(HEADERS))
	touch $@

charon-plugin-6: $(STRONGSWAN6)/usr/bin/pki
	@$(MAKE) -s --no-print-directory -C ike-plugin/charon HEADERS=$(STRONGSWAN6)/headers LIBRARIES=$(STRONGSWAN6)/usr/lib/ipsec \
	  TARGET=$(STRONGSWAN6)/libstrongswan-countersign.so

# Without mediation, with which Debian's is built: the plugin shall run on both. `pki` speaks EST, and SCEP with the plugin for libcurl, of which
# only the headers are missing.
$(STRONGSWAN6)/usr/bin/pki:
	rm -rf $(STRONGSWAN6)
	$(SOURCE) $(STRONGSWAN6) trixie
	mkdir $(STRONGSWAN6)/curl && cd $(STRONGSWAN6)/curl && { apt-get -q download libcurl4-openssl-dev || \
	  { $(SUDO) apt-get update && apt-get -q download libcurl4-openssl-dev; }; } && dpkg -x libcurl4-openssl-dev_*.deb . && \
	  ln -s $$(ldconfig -p | awk '/libcurl\.so\.4 / { print $$NF; exit }') libcurl.so
	mkdir $(STRONGSWAN6)/source && tar -xf $(STRONGSWAN6)/strongswan_*.orig.tar.*[!c] -C $(STRONGSWAN6)/source --strip-components=1
	cd $(STRONGSWAN6)/source && { CFLAGS="-O1 -I$(STRONGSWAN6)/curl/usr/include/$$(gcc -print-multiarch)" LDFLAGS=-L$(STRONGSWAN6)/curl ./configure --prefix=/usr --sysconfdir=/etc --localstatedir=/var --libdir=/usr/lib --libexecdir=/usr/lib \
	  --with-systemdsystemunitdir=/lib/systemd/system --disable-static --disable-dependency-tracking --disable-defaults --enable-systemd \
	  --enable-swanctl --enable-vici --enable-ikev1 --enable-ikev2 --enable-socket-default --enable-kernel-netlink --enable-kernel-libipsec \
	  --enable-openssl --enable-kdf --enable-hmac --enable-sha1 --enable-sha2 --enable-random --enable-nonce --enable-x509 --enable-pubkey --enable-pem \
	  --enable-pkcs1 --enable-pkcs7 --enable-pkcs8 --enable-constraints --enable-revocation --enable-pki --enable-curl && $(MAKE) -j$$(nproc) && $(MAKE) install DESTDIR=$(STRONGSWAN6); } >../log 2>&1 || \
	  { tail -n 40 ../log >&2; exit 1; }
	rm -rf $(STRONGSWAN6)/source $(STRONGSWAN6)/curl
	$(call headers,$(STRONGSWAN6)/strongswan_*.orig.tar.*[!c],$(STRONGSWAN6)/headers)
	touch $@

# Whether the plugin compiles for the newest strongSwan in Debian, which may be another one any day: nothing else depends on it.
charon-plugin-newest: $(NEWEST)/headers/configure.ac
	@$(MAKE) -s --no-print-directory -C ike-plugin/charon check HEADERS=$(NEWEST)/headers

$(NEWEST)/headers/configure.ac:
	rm -rf $(NEWEST)
	$(SOURCE) $(NEWEST) sid
	$(call headers,$(NEWEST)/strongswan_*.orig.tar.*[!c],$(NEWEST)/headers)
	touch $@

$(DAEMONS)/.done: Makefile
	rm -rf $(DAEMONS) && mkdir -p $(DAEMONS)
	cd $(DAEMONS) && { apt-get download $(UNPACKED) || { $(SUDO) apt-get update && apt-get download $(UNPACKED); }; }
	for package in $(UNPACKED); do dpkg -x $(DAEMONS)/$${package}_*.deb $(DAEMONS)/$$package || exit; done
	touch $@

# Only what its commands `cmp`, `cms`, `x509` and the like need.
$(OPENSSL)/openssl: tests/openssl/Cargo.toml tests/openssl/Cargo.lock
	rm -rf $(OPENSSL) && mkdir -p $(OPENSSL)
	cargo vendor --quiet --locked --respect-source-config --manifest-path tests/openssl/Cargo.toml $(OPENSSL)/vendor >/dev/null
	cd $(OPENSSL)/vendor/openssl-src/openssl && perl Configure linux-$$(uname -m) no-shared no-tests no-docs no-dso no-quic no-sctp no-idea \
	  no-seed no-camellia no-bf no-cast no-rc2 no-rc4 no-md4 no-mdc2 no-whirlpool no-aria no-srp no-psk no-ts no-ct no-comp no-slh-dsa -O1 \
	  >../../../log 2>&1 && $(MAKE) -j$$(nproc) build_programs >>../../../log 2>&1 || { tail -n 40 ../../../log >&2; exit 1; }
	cp $(OPENSSL)/vendor/openssl-src/openssl/apps/openssl $@.new && rm -rf $(OPENSSL)/vendor && mv $@.new $@

$(PYSCEP)/.done: tests/requirements-scep.txt
	rm -rf $(PYSCEP)
	/usr/bin/python3 -m venv --system-site-packages $(PYSCEP)
	$(PYSCEP)/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement tests/requirements-scep.txt
	touch $@

$(API)/.done: tests/requirements-api.txt
	rm -rf $(API)
	python3 -m venv $(API)
	$(API)/bin/pip install --quiet --disable-pip-version-check --requirement tests/requirements-api.txt
	touch $@

$(VENV)/.done: tests/requirements.txt
	@command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null || { \
	  $(SUDO) apt-get update && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 python3-venv; }
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
	touch $@
