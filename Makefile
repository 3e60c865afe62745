# Five verbs. `make demo` and `make test` need Python 3.11, gcc, git and make, and install everything else into .venv.

# The distribution's own Python where it can make an environment: it gets the distribution's security updates, and takes less
# processor time than one that was compiled without profiles, as pyenv does. PYTHON=... names another.
PYTHON ?= $(or $(shell for p in /usr/bin/python3.11 python3.11 python3; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $$p && break; done),python3)
BIN := .venv/bin
export TRIAGE_CORPORA := $(if $(TRIAGE_CORPORA),$(abspath $(TRIAGE_CORPORA)),)

.DEFAULT_GOAL := help
.PHONY: help demo test check bench serve

help:
	@echo "make demo    a night on sample referrals, and the queue that comes out; again: the same night changes nothing"
	@echo "             (TRIAGE_CORPORA=FOLDER: on photographs from there; ARGS=--anew: from the start; ARGS=--help)"
	@echo "make test    all tests, side by side (ARGS='tests/dags -x': those, in one process)"
	@echo "make check   ruff, mypy, and whether the bill of materials is current (make bill makes it)"
	@echo "make bench   every benchmark (hours; NAME=matching: one)"
	@echo "make serve   the console and Airflow on this machine, until Ctrl-C (TRIAGE_HOME=var/demo: on the demo's night)"

.venv/run.stamp: requirements/bootstrap.lock requirements/run.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed; PYTHON=... names it")'
	@echo "Installing into .venv, once (about 1 GB)"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/run.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

.venv/dev.stamp: .venv/run.stamp requirements/dev.lock
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.lock
	touch $@

demo: .venv/run.stamp
	@$(BIN)/python -m deploy.demo $(ARGS)

test: .venv/dev.stamp
	@$(BIN)/python -m compileall -q pipeline hashsets triggers deploy dags tests
	$(BIN)/python -m pytest $(or $(ARGS),--numprocesses auto --dist loadgroup --no-loadscope-reorder)

check: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m deploy.bill --check

bench: .venv/dev.stamp
	for f in $(if $(NAME),bench/$(NAME).py,$$(grep -l '^def main' bench/*.py)); do $(BIN)/python -m bench.$$(basename $$f .py) || exit 1; done

serve: .venv/run.stamp
	$(BIN)/python -m deploy.serve

.PHONY: lock bill
bill: .venv/dev.stamp
	$(BIN)/python -m deploy.bill

lock: .venv/run.stamp
	$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate --constraint requirements/constraints.txt pyproject.toml -o requirements/run.lock
	$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate --constraint requirements/constraints.txt pyproject.toml --extra deploy -o requirements/deploy.lock
	$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate --constraint requirements/constraints.txt pyproject.toml --extra dev -o requirements/dev.lock
