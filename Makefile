# Two commands set everything up: `make repro` and `make test`. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# Where `make audit` asks; a mirror of your site speaks the same API: https://google.github.io/osv.dev/post-v1-query/
OSV_URL ?= https://api.osv.dev/v1/query

# Compiled bytecode halves the seconds that every stage spends on imports.
unexport PYTHONDONTWRITEBYTECODE
export DO_NOT_TRACK = 1

.DEFAULT_GOAL := help
.PHONY: help install repro test check audit ui flow bench lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## install Quintet and the pinned versions of all it needs into .venv

$(INSTALLED): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --compile-bytecode --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# Where something is stale, the flow lets DVC run as many stages at a time as there are cores.
repro: $(INSTALLED) ## run what is stale of the suite in force, and show the leaderboard
	@$(BIN)/quintet check
	@PATH="$(CURDIR)/$(BIN):$$PATH"; dvc status --quiet || python -m pipelines run
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro
	@$(BIN)/quintet sync
	@$(BIN)/quintet leaderboard

test: $(INSTALLED) ## run all tests, on two cores
	@OMP_NUM_THREADS=1 PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -n 2 --dist worksteal

check: $(INSTALLED) ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports

audit: $(INSTALLED) ## look the pinned versions up among known vulnerabilities, at OSV_URL (default: api.osv.dev)
	@$(BIN)/python .ci/audit.py "$(OSV_URL)"

ui: $(INSTALLED) ## MLflow and Prefect in the browser, on this machine alone
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pipelines ui

flow: $(INSTALLED) ## run the suite as a Prefect flow, stages in parallel
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pipelines run

bench: $(INSTALLED) ## measure speed against a bare PyTorch loop, and what start-up costs
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks

lock: ## pin the versions anew, from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --generate-hashes --extra dev --extra ray \
		--custom-compile-command "make lock" pyproject.toml --output-file requirements.lock

clean: ## remove what the stages wrote, and the caches of tools; the DVC cache and MLflow stay
	rm -rf data outputs .scratch .pytest_cache .ruff_cache .mypy_cache
