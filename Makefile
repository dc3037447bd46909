# `make run` shows keyrail, `make test` proves it. Both install what is missing, say so, and do nothing twice.

# The main job, in memory whatever the environment says. ARGS adds flags: make run ARGS='--listen 127.0.0.1:9000'
SERVE = target/release/keyrail serve --topology examples/shop/definitions.json --demo
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test build wasm www lint fmt conformance interop soak browser bench bench-redis instructions fuzz audit clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: ## route the shop's messages, print where they went and why, then serve the page (ARGS='--listen 127.0.0.1:9000')
	@scripts/release.sh keyrail
	@exec env -u KEYRAIL_REDIS $(SERVE) $(ARGS)

test: ## run every test: scripts/sections.txt lists them
	@scripts/test.sh

build: ## build the release programs, with npm package and page
	@scripts/release.sh

wasm: ## build the npm package into wasm/dist
	@scripts/wasm.sh

www: ## build the page into www/dist
	@scripts/www.sh

lint: ## check formatting, lints and types of Rust, JavaScript and shell
	@scripts/test.sh lock format shell javascript types clippy

fmt: ## format Rust and JavaScript
	@scripts/setup/rust.sh
	@scripts/setup/node.sh
	cargo fmt --all
	npx biome check --write

conformance: ## run the recorded vectors on the core and on its WebAssembly build
	@scripts/test.sh core wasm-node

soak: ## route ten million times and watch the memory; kill 200 consumers under load, and Kombu's and Celery's
	@scripts/soak.sh

interop: ## run against real Redis, Kombu and Celery
	@scripts/test.sh interop

bench: ## measure keyrail and its peers on the same files, then on Redis (ARGS=--quick for a short run on files)
	@bench/run.py $(ARGS)
	@[ -n "$(ARGS)" ] || bench/delivery.py

bench-redis: ## measure publishing and consuming on Redis beside Kombu, Celery's ports and redis-benchmark
	@bench/delivery.py $(ARGS)

instructions: ## count the instructions of a route and compare with the baseline (ARGS=--update)
	@bench/instructions.py $(ARGS)

fuzz: ## feed every importer with what breaks it (ARGS='600 snapshot': one of them for ten minutes)
	@scripts/fuzz.sh $(ARGS)

audit: ## model-check what threads share, in every order of their steps; look for public items without an example
	@scripts/checks/loom.sh
	@scripts/checks/examples.py

browser: ## use the page in a real Chromium
	@scripts/test.sh browser

clean: ## delete what was built; installed tools and packages stay
	rm -rf target wasm/pkg wasm/dist www/dist
