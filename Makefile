# Tasks for people: `make demo` and `make test` install what they need and say so. CI runs `.ci/run`.

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# Where rustup puts cargo, when this shell does not know it yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

.DEFAULT_GOAL := help
.PHONY: help demo test conformance prerequisites test-prerequisites

help:
	@echo "make demo         watch requests spread over real servers, in network namespaces that vanish afterwards"
	@echo "make test         run every test"
	@echo "make conformance  compare ipvsd with the recordings of the kernel's IPVS"

demo: prerequisites
	@echo "== Building ipvsd and ipvsadm (cargo build --release)"
	cargo build --release --locked -p ipvsd
	@echo "== 300 HTTP requests, masquerading, round robin"
	$(SUDO) target/release/ipvsd lab --requests 300
	@echo "== 300 HTTP requests, direct routing, weighted round robin"
	$(SUDO) target/release/ipvsd lab --requests 300 --mode dr --scheduler wrr --weights 3,2,1

# cargo-nextest when it is installed, else cargo's own test runner: the tests are the same.
test: test-prerequisites
	@if cargo nextest --version >/dev/null 2>&1; then \
		set -ex; cargo nextest run --workspace --locked; cargo test --workspace --locked --doc; \
	else \
		set -ex; cargo test --workspace --locked; \
	fi

conformance: test-prerequisites
	@echo "== Building ipvsd and ipvsadm (cargo build --release)"
	cargo build --release --locked -p ipvsd -p xtask
	$(SUDO) target/release/xtask conformance check --bin-dir target/release

# What tests run: ip(8) to make network namespaces, clients and servers that must work unmodified, Debian's, and a C library for
# both ends of SCTP. Programs lie in sbin, too, which is not in everybody's PATH. No package may start anything: nginx would, but
# for a policy-rc.d (invoke-rc.d(8)), which is there while they are installed if the system has none.
TEST_PROGRAMS := ip:iproute2 ping:iputils-ping ps:procps python3:python3 setpriv:util-linux \
	iptables:iptables ipvsadm:ipvsadm keepalived:keepalived sipp:sip-tester curl:curl nginx:nginx dnsmasq:dnsmasq-base \
	dig:bind9-dnsutils /usr/include/usrsctp.h:libusrsctp-dev
# A server that is no program of its own.
TEST_PACKAGES := python3-pyftpdlib

test-prerequisites: prerequisites
	@missing=; for program in $(TEST_PROGRAMS); do \
		PATH=$$PATH:/usr/sbin:/sbin command -v "$${program%:*}" >/dev/null || test -e "$${program%:*}" || missing="$$missing $${program#*:}"; \
	done; \
	for package in $(TEST_PACKAGES); do dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then \
		echo "== Installing what the tests run (apt-get install$$missing)"; \
		policy=/usr/sbin/policy-rc.d; made=; \
		test -e $$policy || { made=$$policy; printf '#!/bin/sh\nexit 101\n' | $(SUDO) tee $$policy >/dev/null; $(SUDO) chmod 755 $$policy; }; \
		$(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends $$missing; done=$$?; \
		test -z "$$made" || $(SUDO) rm -f "$$made"; \
		exit $$done; \
	fi

# A C linker and Rust are all that a build needs. A linker that is missing is installed, and said.
prerequisites:
	@if ! command -v cc >/dev/null; then \
		echo "== Installing a C linker (apt-get install gcc libc6-dev)"; \
		$(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends gcc libc6-dev; \
	fi
	@if ! command -v cargo >/dev/null; then \
		echo "No cargo: install stable Rust with rustup (https://rustup.rs), then run this again"; exit 1; \
	fi
