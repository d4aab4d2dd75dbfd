# make demo   the app on the embedded simulated server, no GPU needed
# make test   the whole test suite
# make test-long   the tests that take more than a minute, such as a sweep of an hour, modelled, broken five times
# make test-vllm   the tests against a real vLLM on the CPU, which it installs into an environment of its own
# make test-triton the tests against a real Triton Inference Server on the CPU, likewise
# make test-llama  the tests against a real llama-server on the CPU, which it builds once (20 minutes of one core)
# make test-transformers  the tests against a real `transformers serve` on the CPU, likewise
# make test-ray    the tests against a real Ray and Ray Serve on a cluster of two nodes, both here
# make test-tools  GuideLLM, AIPerf and `vllm bench serve` beside vramp on one simulated server, which it installs likewise
# make test-ray-vllm  the tests against a real vLLM behind a real Ray Serve and over two nodes of Ray, on the CPU; both are installed first
# make study  the published tables made again on their simulated twins, with docs/study.md (some 12 minutes)
# make test-gpu    the tests on a real NVIDIA GPU with a real vLLM, which it installs likewise (tests/gpu/README.md)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
VLLM_VENV ?= .venv-vllm
VRAMP_TEST_GPU_VLLM ?= .venv-vllm-gpu
TRITON_VENV ?= .venv-triton
STUDY_VENV ?= .venv-study
LLAMA_VENV ?= .venv-llama
TRANSFORMERS_VENV ?= .venv-transformers
RAY_VENV ?= .venv-ray
TOOLS_VENV ?= .venv-tools
RAY_VLLM_VENV ?= .venv-ray-vllm

.DEFAULT_GOAL := demo
.PHONY: demo test test-long test-vllm test-triton test-llama test-transformers test-ray test-ray-vllm test-tools test-gpu bench study check lock screenshots clean

demo: $(READY)
	@$(BIN)/vramp demo $(DEMO_ARGS)

test: check
	$(BIN)/python -m pytest -m "not real and not gpu and not long" $(TEST_ARGS)

test-long: $(READY)
	$(BIN)/python -m pytest -m long $(TEST_ARGS)

test-vllm: $(READY)
	@PYTHON=$(PYTHON) tests/real/make_environment.sh $(VLLM_VENV)
	VRAMP_TEST_VLLM=$(abspath $(VLLM_VENV)) VRAMP_VLLM_PYTHON=$(abspath $(VLLM_VENV))/bin/python \
		$(BIN)/python -m pytest -m real $(TEST_ARGS)

test-triton: $(READY)
	@PYTHON=$(PYTHON) tests/triton/make_environment.sh $(TRITON_VENV)
	VRAMP_TEST_TRITON=$(abspath $(TRITON_VENV)) $(BIN)/python -m pytest tests/triton $(TEST_ARGS)

test-llama: $(READY)
	@PYTHON=$(PYTHON) tests/llama/make_environment.sh $(LLAMA_VENV)
	VRAMP_TEST_LLAMA=$(abspath $(LLAMA_VENV)) $(BIN)/python -m pytest tests/llama $(TEST_ARGS)

test-transformers: $(READY)
	@PYTHON=$(PYTHON) tests/transformers_serve/make_environment.sh $(TRANSFORMERS_VENV)
	VRAMP_TEST_TRANSFORMERS=$(abspath $(TRANSFORMERS_VENV)) $(BIN)/python -m pytest tests/transformers_serve $(TEST_ARGS)

test-ray: $(READY)
	@PYTHON=$(PYTHON) tests/ray_serve/make_environment.sh $(RAY_VENV)
	VRAMP_TEST_RAY=$(abspath $(RAY_VENV)) $(BIN)/python -m pytest tests/ray_serve tests/ray_hosts $(TEST_ARGS)

test-tools: $(READY)
	@PYTHON=$(PYTHON) VRAMP_TEST_VLLM=$(abspath $(VLLM_VENV)) tests/tools/make_environment.sh $(TOOLS_VENV)
	VRAMP_TEST_TOOLS=$(abspath $(TOOLS_VENV)) $(BIN)/python -m pytest tests/tools $(TEST_ARGS)

test-ray-vllm: $(READY)
	@PYTHON=$(PYTHON) tests/real/make_environment.sh $(VLLM_VENV)
	@PYTHON=$(PYTHON) tests/ray_serve/make_environment.sh $(RAY_VENV)
	@tests/ray_serve/make_vllm_environment.sh $(RAY_VLLM_VENV) $(VLLM_VENV) $(RAY_VENV)
	VRAMP_TEST_VLLM=$(abspath $(VLLM_VENV)) VRAMP_TEST_RAY_VLLM=$(abspath $(RAY_VLLM_VENV)) \
		$(BIN)/python -m pytest tests/ray_serve/test_vllm_behind_ray.py tests/ray_serve/test_vllm_over_nodes.py \
		tests/ray_serve/test_launched_vllm.py $(TEST_ARGS)

test-gpu: $(READY)
	@test -x $(VRAMP_TEST_GPU_VLLM)/bin/vllm || PYTHON=$(PYTHON) tests/gpu/make_environment.sh $(VRAMP_TEST_GPU_VLLM)
	@test -d $(VRAMP_TEST_GPU_VLLM)/models || $(VRAMP_TEST_GPU_VLLM)/bin/python tests/gpu/models.py $(VRAMP_TEST_GPU_VLLM)/models
	VRAMP_TEST_GPU_VLLM=$(abspath $(VRAMP_TEST_GPU_VLLM)) $(BIN)/python -m pytest -m gpu $(or $(TEST_ARGS),tests/gpu)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Both targets need the same environment, so one stamp serves both; a changed lock or project file renews it.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "vramp needs Python 3.11 or newer; say which: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) (once) ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q tui # so that the first start is as quick as all others
	@touch $@

# The load engine beside other clients: Linux and a C compiler; peers are installed once, 3 GB.
bench: $(READY)
	$(BIN)/python benchmarks/instructions.py
	$(BIN)/python benchmarks/dialects.py --write
	$(BIN)/python benchmarks/one_more.py --write
	$(BIN)/python benchmarks/run.py --write $(BENCH_ARGS)

# In an environment of its own, since its figures need matplotlib.
study: $(READY)
	@test -x $(STUDY_VENV)/bin/python || $(PYTHON) -m venv $(STUDY_VENV)
	@$(STUDY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(STUDY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements-study.txt
	@$(STUDY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(STUDY_VENV)/bin/python benchmarks/study.py $(STUDY_ARGS)

# Needs uv; the lock holds every platform and Python version that pyproject.toml allows.
lock:
	uv pip compile pyproject.toml --group dev --universal --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --python-version 3.11 --upgrade -o requirements.lock

screenshots: $(READY)
	env -u NO_COLOR TEXTUAL_COLOR_SYSTEM=truecolor $(BIN)/python screenshots/make.py

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
