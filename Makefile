# Kubewarden's names where they exist. Each target installs what it needs first, or says how to get it.

.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules --no-print-directory

locked := $(if $(CI),--locked)
demo := $(or $(CARGO_TARGET_DIR),target)/debug/demo

# cargo starts the runner in the crate's folder.
wasm_runner := node --no-warnings run-wasi.mjs
# As tools/build-module has it; on wasm32-unknown-unknown the core is tested without.
wasm_flags := -Ctarget-feature=+simd128

.PHONY: help
help: ## List the targets
	@awk -F ' *## *' '/^[a-z]/ && NF == 2 { sub(/:.*/, "", $$1); printf "%-23s%s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'make run POD=pod.yaml SERVICE_ACCOUNT=sa.yaml SETTINGS=settings.yaml'
	@echo 'make run POD=pod.yaml SETTINGS=settings.yaml CONFIG_MAP=mapping.yaml'

.PHONY: setup
setup: ## Install what the others need, and say what is left to do
	@tools/setup rust-all clippy fmt cc optional

# The policy

.PHONY: run
run: annotated-policy.wasm ## Show what the policy does with a pod (yours: see below)
	@tools/setup cc
	@[ -f $(demo) ] || echo "Building the host that runs it: Wasmtime takes minutes, once"
	@cargo build $(if $(wildcard $(demo)),--quiet) $(locked) --workspace --bin demo
	@echo
	@"$(demo)" $${POD:+--pod "$$POD"} $${SETTINGS:+--settings "$$SETTINGS"} \
	  $${SERVICE_ACCOUNT:+--service-account "$$SERVICE_ACCOUNT"} $${CONFIG_MAP:+--config-map "$$CONFIG_MAP"}

.PHONY: annotated-policy.wasm
annotated-policy.wasm: ## Build the module, with its metadata
	@tools/setup rust
	@tools/build-module

.PHONY: policy.wasm
policy.wasm: annotated-policy.wasm ## The same, as it is called before `kwctl annotate`

# The webhook

.PHONY: webhook
webhook: ## Build the webhook as it is released: target/release/pod-identity-webhook
	@tools/setup rust cc
	@tools/build-webhook

.PHONY: webhook-profile
webhook-profile: ## Find out anew what the webhook does most, which its build is told (needs wrk)
	@tools/build-webhook profile

# Checks

.PHONY: test
test: annotated-policy.wasm ## Run all tests (a real API server: needs Go)
	@tools/setup rust-all cc
	cargo test $(locked) --workspace --no-fail-fast
	@if ! command -v node >/dev/null; then \
	  echo "the core's tests in WebAssembly: not run: node is missing (https://nodejs.org, 20 or later)"; \
	else set -ex; \
	  export CARGO_TARGET_WASM32_WASIP1_RUNNER="$(wasm_runner)"; \
	  export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="$(wasm_flags)"; \
	  export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER="$(wasm_runner)"; \
	  cargo test $(locked) --package pod-identity-core --target wasm32-wasip1 --no-fail-fast; \
	  cargo test $(locked) --package pod-identity-core --target wasm32-unknown-unknown --no-fail-fast; \
	fi
	@tools/test-apiserver

.PHONY: e2e-tests
e2e-tests: annotated-policy.wasm ## Run the policy with kwctl (KWCTL=… names another)
	@missing=$$(tools/setup e2e); \
	if [ -n "$$missing" ]; then echo "$$missing"; echo "e2e-tests/kwctl.bats: not run"; \
	else set -x; bats e2e-tests/kwctl.bats; fi

# Rust for the webhook, Go for the API server that it asks and for its peer's handler, wrk for load, perf to see where time
# goes. policy-host, which has Wasmtime, takes minutes to build for release, and so does the webhook with symbols, once.
.PHONY: bench
bench: annotated-policy.wasm ## Measure against GO_WEBHOOK=… and POLICY_SERVER=… (SECTIONS=https: that alone)
	@tools/setup rust cc go wrk
	benches/policies/build $(or $(CARGO_TARGET_DIR),target)/bench
	tools/build-webhook
	tools/build-webhook benches
	cargo build $(locked) --profile profiling --package policy-host
	@if ! command -v perf >/dev/null; then echo "perf is missing: where the time goes is not measured"; \
	else set -x; cargo build $(locked) --profile profiling --package webhook; fi
	$(or $(CARGO_TARGET_DIR),target)/release/bench $(SECTIONS)

.PHONY: differential
differential: ## Compare with the Go webhook (GO_WEBHOOK=…)
	@[ -n "$(GO_WEBHOOK)" ] || { echo "There is no Go webhook to compare with: set GO_WEBHOOK to its binary." >&2; exit 2; }
	@tools/setup rust cc go
	GO_WEBHOOK="$(abspath $(GO_WEBHOOK))" cargo run $(locked) --package differential -- $(ARGS)

.PHONY: lint
lint: ## Check format, lints and docs; warnings are errors
	@tools/setup rust clippy fmt cc
	tools/build-webhook check
	cargo fmt --all --check
	cargo clippy $(locked) --workspace --all-targets -- -D warnings
	CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="$(wasm_flags)" \
	cargo clippy $(locked) --package pod-identity-policy --package pod-identity-core --target wasm32-wasip1 -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc $(locked) --workspace --no-deps

.PHONY: fmt
fmt: ## Format the code
	@tools/setup fmt
	cargo fmt --all

# Test data

.PHONY: record
record: ## Record reviews from a real kube-apiserver (needs Go)
	@tools/setup rust cc go
	cargo run --package envtest --bin record-reviews -- testdata/reviews
	cargo run --package envtest --bin record-reviews -- testdata/cases

.PHONY: update-expectations
update-expectations: annotated-policy.wasm ## Make what is answered what is expected, to be reviewed
	UPDATE_EXPECTATIONS=1 cargo test --test corpus the_core_answers_as_expected
	UPDATE_EXPECTATIONS=1 cargo test --package webhook --test corpus the_router_answers_as_expected
	cargo test --test corpus
	UPDATE_EXPECTATIONS=1 cargo test --test tidy reviews_cost_what_they_did
	UPDATE_EXPECTATIONS=1 cargo test --package demo
	UPDATE_EXPECTATIONS=1 cargo test --package differential

.PHONY: clean
clean: ## Remove what was built or installed here
	cargo clean
	rm -rf tools/node_modules annotated-policy.wasm policy.wasm
