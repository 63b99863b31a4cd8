# The few verbs. `make test` is all that a newcomer needs: it installs what the tests need, then runs everything.

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PACKAGES := build-essential charon-systemd curl faketime gnutls-bin iproute2 iputils-ping ldap-utils libaudit1 libbcpkix-java libbcprov-java libbcutil-java \
	libcap-ng0 libcharon-extra-plugins libcurl3-nss libevent-2.1-7 libevent-core-2.1-7 libevent-pthreads-2.1-7 libjansson-dev \
	libldap-2.5-0 libldns3 libnss3-tools libstrongswan-extra-plugins libstrongswan-standard-plugins libunbound8 nftables \
	openjdk-17-jdk-headless openssl pkg-config procps python3 python3-venv slapd strongswan-pki strongswan-swanctl util-linux
# What only the benches run against: another CA, and the counter of instructions.
BENCH_PACKAGES := golang-cfssl valgrind
# IKE daemons that do not go beside strongSwan, and fail2ban, whose service nobody wants started: unpacked into a folder, not installed.
UNPACKED := libreswan openiked fail2ban
VENV := target/test-tools
DAEMONS := target/test-daemons
# A newer OpenSSL than Debian's, as a CMP client: its command, built from the sources that tests/openssl names.
OPENSSL := target/test-openssl
# The plugin for charon, and the headers of the strongSwan that is installed, from Debian's source package.
PLUGIN := $(CURDIR)/target/charon-plugin
STRONGSWAN = $(shell dpkg-query -W -f '$${source:Version}' libstrongswan 2>/dev/null)
HEADERS = $(PLUGIN)/headers-$(firstword $(subst -, ,$(STRONGSWAN)))
APT_SOURCES = -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$(PLUGIN)/apt/parts -o Dir::State::lists=$(PLUGIN)/apt/lists \
	-o Dir::Cache=$(PLUGIN)/apt/cache

.PHONY: run test bench lint deps bench-deps charon-plugin

run:
	cargo run --release -- serve --init

test: deps
	cargo test --workspace

bench: bench-deps
	cargo bench --bench store
	cargo bench --bench status
	cargo bench --bench authorize
	cargo bench --bench enrol
	cargo bench -p countersign-policy --bench query

lint:
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings
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
	  true; \
	fi
endef

# What the tests run against, from Debian and PyPI: OpenSSL's CMP client, strongSwan, libreswan, OpenIKED, OpenLDAP, fail2ban's filters,
# pkilint, a faked clock, and four validators of paths.
deps: $(VENV)/.done
	$(call install,$(PACKAGES))
	@$(MAKE) -s --no-print-directory $(DAEMONS)/.done
	@$(MAKE) -s --no-print-directory $(OPENSSL)/openssl
	@$(MAKE) -s --no-print-directory charon-plugin

bench-deps: deps
	$(call install,$(BENCH_PACKAGES))

# strongSwan's plugin, for the strongSwan that is installed: target/charon-plugin/libstrongswan-countersign.so
charon-plugin: $(HEADERS)/.done
	@$(MAKE) -s --no-print-directory -C ike-plugin/charon HEADERS=$(HEADERS) TARGET=$(PLUGIN)/libstrongswan-countersign.so

$(HEADERS)/.done:
	@test -n "$(STRONGSWAN)" || { echo "strongSwan is not installed: run \`make deps\`" >&2; exit 1; }
	rm -rf $(PLUGIN) && mkdir -p $(HEADERS) $(PLUGIN)/apt/parts $(PLUGIN)/apt/lists/partial $(PLUGIN)/apt/cache/archives/partial
	for file in /etc/apt/sources.list.d/*.sources; do test ! -e $$file || sed 's/^Types:.*/Types: deb-src/' $$file; echo; done \
	  >$(PLUGIN)/apt/parts/src.sources
	sed -n 's/^deb /deb-src /p' /dev/null $$(ls /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null) \
	  >$(PLUGIN)/apt/parts/src.list
	apt-get -q $(APT_SOURCES) update
	cd $(PLUGIN) && { apt-get -q $(APT_SOURCES) source --download-only --tar-only strongswan=$(STRONGSWAN) || \
	  apt-get -q $(APT_SOURCES) source --download-only --tar-only strongswan || true; }
	@ls $(PLUGIN)/strongswan_$(patsubst headers-%,%,$(notdir $(HEADERS))).orig.tar.* >/dev/null 2>&1 || \
	  { echo "strongSwan $(STRONGSWAN) is installed, but its source package is not to be had, or is of another version: upgrade strongSwan" >&2; exit 1; }
	tar -xf $$(ls $(PLUGIN)/strongswan_$(patsubst headers-%,%,$(notdir $(HEADERS))).orig.tar.* | grep -v '\.asc$$') -C $(HEADERS) --strip-components=2 --wildcards \
	  '*/src/libstrongswan/*.h' '*/src/libcharon/*.h'
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

$(VENV)/.done: tests/requirements.txt
	@command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null || { \
	  $(SUDO) apt-get update && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 python3-venv; }
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
	touch $@
