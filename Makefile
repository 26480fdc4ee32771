# The commands of this project; `make` lists them.
# A command makes the virtual environment that it needs: with the run-time packages alone, or with the tools as well.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
INSTALL = $(PIP) install --quiet --constraint constraints.txt
# What the demo is told, e.g. `make demo ARGS="--events 100000 --rate 2000"`.
ARGS ?=
# Most tests wait for something, so three at once take two cores, with brokers four: 785 s instead of 837 and 891.  Each
# worker has brokers of its own.  None: WORKERS=0.
USUAL_WORKERS = 3
# In the order of their folders, the unit tests last: files with few tests are the slow ones, and left to the end one
# worker was at them for two minutes while the others had nothing to do.
PARALLEL = --numprocesses $(or $(WORKERS),$(USUAL_WORKERS)) --dist loadfile --no-loadscope-reorder
# The pythons besides our own that `make test-pythons` looks for: on the path, or among pyenv's.
OTHER_PYTHONS ?= 3.12 3.13
# What reads files and says the same on any of them.
NOT_ABOUT_PYTHON = $(addprefix --ignore=tests/,architecture contract docs typing)
PYENV_VERSIONS = $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-fast test-pythons check format sabotage fuzz chaos chaos-short soak bench schemas up down ci clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.with-examples ## run the scene: publisher, monitoring, billing, workflow, on a real broker found or started
	@$(BIN)/bus-amqp demo $(ARGS)

test: USUAL_WORKERS = 4
test: $(VENV)/.with-tools ## all tests, on memory and on both real brokers
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-fast: $(VENV)/.with-tools ## the tests that need no broker and no root, under a minute
	@$(BIN)/python -m pytest -m "not broker" $(PARALLEL) $(ARGS)

test-pythons: $(VENV)/.with-tools ## what runs without a broker, on each other Python that this machine has, side by side
	@$(MAKE) --no-print-directory --jobs=$(words $(OTHER_PYTHONS)) --output-sync=recurse $(OTHER_PYTHONS:%=test-on-%)
	@ls -d $(OTHER_PYTHONS:%=.venv-%) 2>/dev/null | grep -q . || { echo "none of Python $(OTHER_PYTHONS) is here"; exit 1; }

test-on-%:
	@python=$$(ls -d $(PYENV_VERSIONS)/$*.*/bin/python 2>/dev/null | sort -V | tail -n 1); \
	python=$${python:-$$(command -v python$*)}; \
	"$${python:-false}" -c 'import sys' 2>/dev/null || { echo "NOT RUN: no Python $* on this machine"; exit 0; }; \
	echo "Python $*:"; \
	$(MAKE) --no-print-directory test-fast PYTHON="$$python" VENV=".venv-$*" ARGS="$(NOT_ABOUT_PYTHON)"

check: $(VENV)/.with-tools ## style, types, floors, and the breaks of `make sabotage` still apply; runs no test
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(if $(wildcard tests/typing/*.py),$(BIN)/mypy tests/typing)
	@$(BIN)/lint-imports
	@$(BIN)/python tests/sabotage/run.py --check

format: $(VENV)/.with-tools ## bring all files into shape
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

sabotage: $(VENV)/.with-tools ## break the code on purpose, a line at a time: each break must turn its promise's test red
	@$(BIN)/python tests/sabotage/run.py $(ARGS)

fuzz: $(VENV)/.with-fuzzer ## search for bytes that break decoder and parsers, a minute each, led by coverage
	@$(BIN)/python -m tests.fuzz.atheris_target $(ARGS)

chaos: $(VENV)/.with-tools ## break everything, over a million events, and write docs/guide/guarantees.md (half an hour)
	@$(BIN)/python -m tests.chaos $(ARGS)

chaos-short: $(VENV)/.with-tools ## each fault once, on the broker where it bites, within ten minutes
	@$(BIN)/python -m tests.chaos --short $(ARGS)

soak: $(VENV)/.with-tools ## ten minutes of traffic under random faults: nothing is lost and nothing grows
	@$(BIN)/python -m tests.chaos --soak 600 $(ARGS)

bench: $(VENV)/.with-peers ## measure ourselves beside our peers on one broker: table, JSON, chart
	@$(BIN)/python -m benchmarks $(ARGS)

schemas: $(VENV)/.with-tools ## write schemas/ and the constants of event types anew from models and data
	@$(BIN)/python -m bus_amqp.source.json_schema
	@$(BIN)/python -m bus_amqp.source.constants

up: $(VENV)/.with-runtime ## start a broker that stays, and say where
	@$(BIN)/bus-amqp broker up --install

down: $(VENV)/.with-runtime ## end that broker and forget its queues
	@$(BIN)/bus-amqp broker down

ci: ## what the project's own machine runs before a change lands
	@bash .ci/run

clean: ## remove the environments, caches and build products
	@rm -rf .venv .venv-* dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# The environments.  Each mark names the last install that went through; a changed list of packages makes it again.
# A pip of our own choice: from 26 on it writes start scripts that take a third of the time, for they do not import `re`.

$(VENV)/.made:
	@command -v "$(PYTHON)" >/dev/null || { echo "there is no $(PYTHON) here: install Python 3.11 or later, or say make PYTHON=..."; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "$$("$(PYTHON)" --version) is too old, 3.11 or later is needed: make PYTHON=python3.12, for example"; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "this Python cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "making $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv --clear $(VENV)
	@$(INSTALL) --upgrade pip
	@touch $@

$(VENV)/.with-runtime: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing bus-amqp into $(VENV)"
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.with-examples: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing bus-amqp and what its examples need into $(VENV)"
	@$(INSTALL) --editable ".[examples]"
	@touch $(VENV)/.with-runtime $@

$(VENV)/.with-tools: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing bus-amqp and the tools of its tests into $(VENV)"
	@$(INSTALL) --editable ".[test]"
	@touch $(VENV)/.with-runtime $(VENV)/.with-examples $@

$(VENV)/.with-fuzzer: $(VENV)/.with-tools
	@echo "installing the fuzzer into $(VENV)"
	@$(INSTALL) --editable ".[test,fuzz]"
	@touch $@

$(VENV)/.with-peers: $(VENV)/.with-tools
	@echo "installing the peers of the benchmarks into $(VENV)"
	@$(INSTALL) --editable ".[test,bench]"
	@touch $@
