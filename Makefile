# `make demo`: watch requests spread over real servers, in network namespaces that vanish afterwards.

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# Where rustup puts cargo, when this shell does not know it yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: demo prerequisites

demo: prerequisites
	@echo "== Building ipvsd and ipvsadm (cargo build --release)"
	cargo build --release --locked -p ipvsd
	@echo "== 300 HTTP requests, masquerading, round robin"
	$(SUDO) target/release/ipvsd lab --requests 300
	@echo "== 300 HTTP requests, direct routing, weighted round robin"
	$(SUDO) target/release/ipvsd lab --requests 300 --mode dr --scheduler wrr --weights 3,2,1

# A C linker and Rust are all that a build needs; what is missing is installed, and said.
prerequisites:
	@if ! command -v cc >/dev/null; then \
		echo "== Installing a C linker (apt-get install gcc libc6-dev)"; \
		$(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends gcc libc6-dev; \
	fi
	@if ! command -v cargo >/dev/null; then \
		echo "== Installing Rust for this user (https://rustup.rs)"; \
		command -v curl >/dev/null || $(SUDO) apt-get install -y -q --no-install-recommends curl ca-certificates; \
		curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal; \
	fi
