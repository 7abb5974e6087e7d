# `make` alone lists what there is.

.DEFAULT_GOAL := help
.PHONY: help run test lint fmt deny bench bench-proxy bench-operator bench-timing fuzz soak campaign campaign-bugs e2e clean

MINUTES ?= 30
COUNTS ?= 100 1000 5000
LAB := cargo run --locked --package corral-tests --bin corral-lab --

help: ## List what there is
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: ## Show Corral at work on a Kubernetes of its own (CLUSTER=current: on that of your kubeconfig)
	@$(LAB) run

test: ## Check everything: format, lints, dependencies, all tests; ends with a summary
	@tests/all.sh

lint: ## Check format and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

fmt: ## Format the code
	cargo fmt --all

deny: ## Check licences, known vulnerabilities and origins of the dependencies
	@tests/deny.sh

bench: bench-proxy bench-operator ## Measure everything and write docs/benchmarks.md and docs/benchmarks-operator.md

bench-proxy: ## Measure the proxy against nginx, HAProxy, Caddy and a bare forwarder (about 15 min)
	@$(LAB) benchmark-tools
	cargo bench --profile image --package corral-proxy --bench against-others

bench-operator: ## Measure the operator with thousands of services, beside ollama-operator (about 30 min; COUNTS="100 1000")
	cargo bench --package corral-tests --bench operator -- --counts $(COUNTS)

bench-timing: ## Measure whether the time of checking a key tells anything of the keys (about 2 min)
	cargo bench --package corral-proxy --bench timing

fuzz: ## Fuzz the parsers, each for a minute (SECONDS_EACH=60, TARGETS="body model": only these)
	@proxy/fuzz/run.sh

soak: ## Run everything against the proxy at once, for MINUTES=30 (CORRAL_SOAK_SEED: as it was that time)
	CORRAL_SOAK_SECONDS=$$(($(MINUTES) * 60)) cargo test --package corral-proxy --test soak --locked -- --nocapture

campaign: ## Run the operator under faults, all of it (docs/campaign.md; about 30 min; ARGUMENTS="--case scale": a part)
	cargo test --package corral-tests --test campaign --locked -- --whole $(ARGUMENTS)

campaign-bugs: ## Plant bugs in the operator and see that the campaign finds each (BUG=word: those with it in their names)
	cargo test --package corral-tests --test campaign --locked -- --bugs=$(BUG) --seed 1

e2e: ## Run the end-to-end tests on a node with a real model (CASES=word: those with it in their names)
	cargo test --package corral-tests --test e2e --locked -- $(CASES)

clean: ## Remove what was built here, and what killed runs have left; the cache of tools stays
	-@$(LAB) sweep
	cargo clean
