# The front door. `make help` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONPATH := $(CURDIR):$(CURDIR)/generated

# Read by the stack and by `make token`; say `make run PORT=9090 DATA_DIR=/srv/marketplace`.
export PORT DATA_DIR

CODE := benchmarks deploy edge gig_service order_service review_service servicekit protos tests

.PHONY: help
help: ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: install ## Starts the whole marketplace on this machine; Ctrl-C stops it. PORT=8080 DATA_DIR=.data
	@$(BIN)/python -m deploy.local run

.PHONY: token
token: install ## Prints a token: ROLE=seller,buyer NAME=webdev_pro
	@$(BIN)/python -m edge.tokens --role '$(ROLE)' --name '$(NAME)'

.PHONY: check-media
check-media: install ## Looks for images whose file is gone. The stack of DATA_DIR has to run.
	@$(BIN)/python -m deploy.local check-media

.PHONY: check-books
check-books: install ## Holds orders, payments, ledger and payouts against each other. The stack of DATA_DIR has to run.
	@$(BIN)/python -m deploy.local check-books

.PHONY: outbox
outbox: install ## Shows what services have yet to tell each other; RETRY=all or an id sends parked rows again.
	@$(BIN)/python -m deploy.local outbox $(if $(RETRY),--retry '$(RETRY)')

.PHONY: doctor
doctor: install ## Checks whether this machine can run the marketplace, and says what to do where it cannot.
	@$(BIN)/python -m deploy.local doctor

.PHONY: test
test: install-dev ## Runs all tests, with a PostgreSQL, services and an Envoy of their own. ARGS='-k words'
	@$(BIN)/python -m pytest $(ARGS)

.PHONY: torture
torture: install-dev ## Kills parts of a loaded marketplace for three minutes, then reads all its books. ARGS='--seconds 60'
	@$(BIN)/python -m tests.torture $(ARGS)

.PHONY: benchmark
benchmark: install-dev ## What a balance costs with 1,000 and with 1,000,000 entries in the ledger; takes two minutes.
	@$(BIN)/python -m benchmarks.balance $(ARGS)

.PHONY: lint
lint: install-dev ## Checks style, types, imports and protos.
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-cache
	$(BIN)/buf format --diff --exit-code protos
	$(BIN)/python protos/check.py

.PHONY: format
format: install-dev ## Formats the code and the protos.
	$(BIN)/ruff check --fix-only $(CODE)
	$(BIN)/ruff format $(CODE)
	$(BIN)/buf format --write protos

.PHONY: generate
generate: install-dev ## Writes everything that is derived from the protos into generated/.
	@$(BIN)/python protos/generate.py generated
	@$(BIN)/python -m order_service.domain.picture docs/order-lifecycle.md

.PHONY: check-generated
check-generated: install-dev ## Fails when generated/ is not what `make generate` would write.
	@scratch=$$(mktemp -d) && $(BIN)/python protos/generate.py $$scratch/generated \
	  && diff -r -x __pycache__ generated $$scratch/generated && rm -r $$scratch && echo "generated/ is up to date" \
	  || { rm -rf $$scratch; echo "generated/ is stale: run make generate" >&2; exit 1; }

.PHONY: lock
lock: install-dev ## Resolves the dependencies of pyproject.toml anew into the lock files.
	$(BIN)/uv pip compile $(LOCK) -o requirements.lock
	$(BIN)/uv pip compile $(LOCK) --group dev -o requirements-dev.lock

LOCK := pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --custom-compile-command "make lock"

.PHONY: clean
clean: ## Removes the environment and caches; your data in DATA_DIR stays.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment, from the lock files with their hashes. It is made anew when they change.
.PHONY: install install-dev
install: $(VENV)/installed
install-dev: $(VENV)/installed-dev

$(VENV)/installed: requirements.lock | $(BIN)/python
	@$(INSTALL)
	@touch $@

$(VENV)/installed-dev: requirements-dev.lock | $(BIN)/python
	@$(INSTALL)
	@touch $@ $(VENV)/installed

INSTALL = echo "Installing what $< pins; the first time takes a minute or two." >&2 \
  && $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V 2>&1). Say make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "Python's venv module is needed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
