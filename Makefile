# The few verbs. `make test` is all that a newcomer needs: it installs what the tests need, then runs everything.

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PACKAGES := build-essential curl faketime libstrongswan-extra-plugins libstrongswan-standard-plugins openssl pkg-config \
	python3 python3-venv strongswan-pki util-linux
VENV := target/test-tools

.PHONY: run test bench lint deps

run:
	cargo run --release -- serve --init

test: deps
	cargo test --workspace

bench: deps
	cargo bench --bench store
	cargo bench -p countersign-policy --bench query

lint:
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --locked
	cargo deny --all-features check bans licenses sources

# What the tests run against, from Debian and PyPI: OpenSSL's CMP client, strongSwan's pki, pkilint, a faked clock.
deps: $(VENV)/.done
	@missing=""; for package in $(PACKAGES); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  $(SUDO) apt-get update && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$missing; \
	fi

$(VENV)/.done: tests/requirements.txt
	@command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null || { \
	  $(SUDO) apt-get update && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 python3-venv; }
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
	touch $@
