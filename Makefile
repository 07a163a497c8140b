# The front door: `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONPATH := $(CURDIR):$(CURDIR)/generated

# The stack and `make token` read these from the environment: `make run PORT=9090 DATA_DIR=/srv/marketplace`.
export PORT DATA_DIR BACKUP_DIR

# Texts that people write. A recipe reads them from its environment, so that every character in them is only itself:
# quotes, spaces, `;` and, with the text taken as it was written, `$`. ARGS alone is a piece of a command line.
TEXTS := ARCHIVE BACKUP DROP FILES FROM GIGS MEDIA NAME OUT RETRY ROLE SEED SERVICE SINCE TIMELINE TO UNTIL USER VERSION
GIVEN := $(foreach text,$(TEXTS),$(if $(filter undefined,$(origin $(text))),,$(text)))
$(foreach text,$(GIVEN),$(eval override $(text) := $$(value $(text))))
export $(GIVEN)

CODE := benchmarks deploy docs/examples edge gig_service order_service review_service servicekit protos tests
PACKAGES := deploy edge gig_service order_service review_service servicekit protos

# Tests that need neither the stack nor Envoy.
FAST_TESTS := tests/domain tests/servicekit tests/store tests/servicer tests/events --ignore=tests/servicer/test_order_crashes.py

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The local stack. All of these use the stack of DATA_DIR, `.data` by default.

.PHONY: run
run: install ## Start the marketplace on this machine; Ctrl-C stops it. PORT=8080 DATA_DIR=.data
	@$(BIN)/python -m deploy.local.run

.PHONY: doctor
doctor: install ## Check whether this machine can run the marketplace, and print a remedy for each problem.
	@$(BIN)/python -m deploy.local doctor

.PHONY: seed
seed: install ## Fill the running marketplace with gigs, pictures, orders and reviews; a second run changes nothing.
	@$(BIN)/python -m deploy.local.seed

.PHONY: load-data
load-data: install-dev ## Fill the running marketplace with many invented gigs and orders, for trials. GIGS=1000000 SEED=1
	@$(BIN)/python -m deploy.local.load_data --gigs="$${GIGS:-10000}" $${SEED:+--seed="$$SEED"} $(ARGS)

.PHONY: status
status: install ## List the processes of the running stack.
	@$(BIN)/python -m deploy.local status

.PHONY: logs
logs: install ## Follow the logs until Ctrl-C; print their newest lines when not on a terminal. SERVICE=order
	@$(BIN)/python -m deploy.local logs $${SERVICE:+--service="$$SERVICE"}

.PHONY: trace
trace: install ## Show the last requests as trees, of a stack with TRACES=on. ARGS='--last 5 --errors --slower-than 100ms'
	@$(BIN)/python -m deploy.local trace $(ARGS)

.PHONY: scrape-config
scrape-config: install ## Print Prometheus's configuration for this stack, for the dashboard in deploy/grafana.
	@$(BIN)/python -m deploy.local scrape-config

.PHONY: psql
psql: install ## Open psql on a service's database. SERVICE=order ARGS="-c 'SELECT 1'"
	@$(BIN)/python -m deploy.local psql --service="$$SERVICE" -- $(ARGS)

.PHONY: restart
restart: install ## Replace the running processes one after the other, without a failed request. SERVICE=order
	@$(BIN)/python -m deploy.local restart $${SERVICE:+--service="$$SERVICE"}

.PHONY: debug
debug: install ## Run the first worker of a service on this terminal, for breakpoint(). SERVICE=order
	@$(BIN)/python -m deploy.local debug --service="$$SERVICE"

.PHONY: token
token: install ## Print an access token. ROLE=seller,buyer NAME=webdev_pro
	@$(BIN)/python -m edge.tokens --role="$$ROLE" --name="$$NAME"

.PHONY: outbox
outbox: install ## Show undelivered outbox rows; RETRY=all or RETRY=<id> sends parked rows again.
	@$(BIN)/python -m deploy.local outbox $${RETRY:+--retry="$$RETRY"}

.PHONY: attempts
attempts: install ## Show unfinished calls to the payment provider; RETRY=all or RETRY=<order>, DROP=<order> gives one up.
	@$(BIN)/python -m deploy.local attempts $${DROP:+--drop="$$DROP"} $${RETRY:+--retry="$$RETRY"}

.PHONY: check-books
check-books: install ## Compare orders, payments, ledger, payouts and the provider's records. SINCE=beginning
	@$(BIN)/python -m deploy.local check-books \
	  $${SINCE:+--since="$$SINCE"} $${UNTIL:+--until="$$UNTIL"}

.PHONY: report
report: install ## Write a CSV of money by day. FROM=2026-11-01 TO=2026-11-30 OUT=report.csv
	@$(BIN)/python -m deploy.local report --from="$$FROM" --to="$$TO" $${OUT:+--out="$$OUT"}

.PHONY: check-media
check-media: install ## List images and files that the storage lacks. Needs a running stack.
	@$(BIN)/python -m deploy.local check-media

.PHONY: repair-ratings
repair-ratings: install ## Compare the ratings of gigs with their reviews, and repair them. ARGS=--dry-run
	@$(BIN)/python -m deploy.local repair-ratings $(ARGS)

.PHONY: export-user
export-user: install ## Write all that is known of a user to a zip. Needs a running stack. USER=<id> OUT=user.zip
	@$(BIN)/python -m deploy.local export-user --user="$$USER" $${OUT:+--out="$$OUT"}

.PHONY: erase-user
erase-user: install ## Erase what is known of a user; the books stay. USER=<id>, or USER=listed after a restore. ARGS=--compact
	@$(BIN)/python -m deploy.local erase-user --user="$$USER" $(ARGS)

.PHONY: backup
backup: install ## Copy the databases, images and keys of the running stack, as one moment. BACKUP_DIR=.data-backups
	@$(BIN)/python -m deploy.local backup

.PHONY: restore
restore: install ## Make a stack of a backup, in an empty DATA_DIR. BACKUP=2026-11-29T12-00-00Z TO='2026-11-29 12:00:00Z'
	@$(BIN)/python -m deploy.local restore $${BACKUP:+--backup="$$BACKUP"} $${TO:+--to="$$TO"} \
	  $${ARCHIVE:+--archive="$$ARCHIVE"} $${TIMELINE:+--timeline="$$TIMELINE"} $${MEDIA:+--media="$$MEDIA"} $${FILES:+--files="$$FILES"}

# Tests

.PHONY: test
test: install-dev ## Run all tests, with a PostgreSQL, services and an Envoy of their own. ARGS='-k words'
	@$(BIN)/python -m pytest -n auto $(ARGS)

.PHONY: test-fast
test-fast: install-dev ## Run the tests that need neither the stack nor Envoy, in under a minute. ARGS='-k words'
	@$(BIN)/python -m pytest -n auto $(FAST_TESTS) $(ARGS)

.PHONY: record-sql
record-sql: install-dev ## Write the SQL of every RPC to tests/recorded_sql, after a change that is meant.
	@RECORD_SQL=1 $(BIN)/python -m pytest -q tests/*/test_recorded_sql*.py

.PHONY: coverage
coverage: install-dev ## Run all tests and print the coverage by file, subprocesses not counted. ARGS=tests/domain
	@$(BIN)/python -m pytest $(PACKAGES:%=--cov=%) --cov-report=term:skip-covered $(ARGS)

.PHONY: torture
torture: install-dev ## Kill parts of a loaded marketplace for three minutes, then check its books. ARGS='--seconds 60'
	@$(BIN)/python -m tests.torture $(ARGS)

.PHONY: cluster
cluster: install-dev ## Run three hosts, made of network namespaces, on this machine until Ctrl-C. Needs root, etcd, nft and ip.
	@$(BIN)/python -m tests.cluster

.PHONY: cluster-torture
cluster-torture: install-dev ## Take each host of such a loaded cluster away in turn, and check its books. ARGS='--seconds 180'
	@$(BIN)/python -m tests.cluster.torture $(ARGS)

.PHONY: fuzz
fuzz: install-dev ## Send mutated inputs to a stack of its own for ten minutes. NAME=http ARGS='--seed 1 --seconds 60'
	@$(BIN)/python -m tests.fuzz "$$NAME" $(ARGS)

.PHONY: benchmark
benchmark: install-dev ## Run a benchmark: balance, conversations, edge_cost, get_gig, growth, hot_paths, internal_tls, limits, listing, order_timeouts, outbox, placing, promptness, reconciliation, recovery, reminders, restart, search_plans, texts, thread_counts, traces, uploads, watches, writes. NAME=balance
	@$(BIN)/python -m "benchmarks.$${NAME:-balance}" $(ARGS)

.PHONY: bench
bench: install-dev ## Compare the product with FastAPI on this machine for half an hour, and write docs/benchmarks.md.
	@$(BIN)/python -m benchmarks.bench $(ARGS)

.PHONY: bench-quick
bench-quick: install-dev ## Do as `make bench` in two minutes, with less of everything.
	@$(BIN)/python -m benchmarks.bench --quick $(ARGS)

# The code

.PHONY: lint
lint: install-dev ## Check style, types, imports, protos, the edge's scripts and bootstrap, and the Helm chart.
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-cache
	$(BIN)/buf format --diff --exit-code protos
	$(BIN)/python -m protos.codegen.check
	$(BIN)/python -m edge.check
	$(BIN)/python -m deploy.helm.check

.PHONY: format
format: install-dev ## Format the code and the protos.
	$(BIN)/ruff check --fix-only $(CODE)
	$(BIN)/ruff format $(CODE)
	$(BIN)/buf format --write protos

.PHONY: generate
generate: install-dev ## Write generated/, docs/order-lifecycle.md and the README's table of settings.
	$(BIN)/python -m protos.codegen.generate generated
	$(BIN)/python -m order_service.lifecycle_page docs/order-lifecycle.md
	$(BIN)/python -m deploy.settings_table README.md

.PHONY: check-generated
check-generated: install-dev ## Fail when `make generate` would change a file.
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && cp README.md "$$scratch" \
	  && $(BIN)/python -m protos.codegen.generate "$$scratch/generated" \
	  && $(BIN)/python -m order_service.lifecycle_page "$$scratch/order-lifecycle.md" \
	  && $(BIN)/python -m deploy.settings_table "$$scratch/README.md" \
	  && diff -r -x __pycache__ generated "$$scratch/generated" \
	  && diff docs/order-lifecycle.md "$$scratch/order-lifecycle.md" \
	  && diff README.md "$$scratch/README.md" \
	  && echo "Generated files are up to date." \
	  || { echo "Generated files are stale or cannot be made: run make generate" >&2; exit 1; }

.PHONY: release-protos
release-protos: install-dev check-generated ## Keep the protos of a release, for later compatibility checks. VERSION=1.2.3
	@$(BIN)/python -m protos.codegen.release "$$VERSION"

.PHONY: lock
lock: install-dev ## Resolve the dependencies of pyproject.toml anew into the lock files.
	$(BIN)/uv pip compile $(LOCK) -o requirements.lock
	$(BIN)/uv pip compile $(LOCK) --group dev -o requirements-dev.lock

LOCK := pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --custom-compile-command "make lock"

.PHONY: clean
clean: ## Remove the environment and caches; the data in DATA_DIR stays.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment, from the lock files with their hashes. It is updated when they change.
.PHONY: install install-dev
install: $(VENV)/installed
install-dev: $(VENV)/installed-dev

$(VENV)/installed: requirements.lock | $(BIN)/python
	@$(INSTALL)
	@touch $@

$(VENV)/installed-dev: requirements-dev.lock | $(BIN)/python
	@$(INSTALL)
	@touch $@ $(VENV)/installed

INSTALL = echo "Installing the packages of $<; the first time takes a minute or two." >&2 \
  && $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V 2>&1). Run make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "Python's venv module is needed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
