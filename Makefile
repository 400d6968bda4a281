# Every target that needs it first brings .venv up to date; nothing else has to be installed or activated.
#
#   make search ARGS="digits_smoke --trials 8"      arguments go through ARGS
#   make test PYTHON=python3.12                     another Python for a new .venv

PYTHON ?= python3
ARGS ?=
N ?= 100

BIN := .venv/bin
READY := .venv/.ready

export RAY_USAGE_STATS_ENABLED := 0
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true

.DEFAULT_GOAL := help
.PHONY: help search test slow faults torture check bench bench-search bench-cluster bench-gpu questions reproduce format clean FORCE

help: ## this list
	@echo "usage: make TARGET [ARGS=\"...\"] [PYTHON=python3.12]"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-15s %s\n", $$1, $$2 }'

search: $(READY) ## run a hyperparameter search (default: MNIST); ARGS="digits_smoke" for one of seconds
	@$(BIN)/ffsnn search $(ARGS)

test: $(READY) ## run the tests, without the slow ones, in three processes: searches wait a lot
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

slow: $(READY) ## run the slow tests only, in three processes
	@$(BIN)/python -m pytest -m slow -n 3 --dist loadfile --no-loadscope-reorder --timeout=900 $(ARGS) || { rc=$$?; \
		[ $$rc -eq 5 ] && echo "make slow: there are no slow tests"; }  # pytest's 5: nothing collected

faults: $(READY) ## hit searches with each kind of fault that `make slow` leaves out (half an hour)
	@$(BIN)/python -m pytest -m faults --timeout=900 $(ARGS)

torture: $(READY) ## hit searches with N faults at random and count what is lost (about an hour for 100)
	@$(BIN)/python -m tests.faults.torture --number $(N) $(ARGS)

check: $(READY) ## lint, formatting and types
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy

bench: $(READY) ## measure the core beside the notes' loop (about 5 minutes); results in benchmarks/results/
	@OMP_WAIT_POLICY=passive $(BIN)/python -m benchmarks.speed $(ARGS)

bench-search: $(READY) ## measure what a search costs beyond its training (about 30 minutes, on an idle machine)
	@OMP_WAIT_POLICY=passive $(BIN)/python -m benchmarks.search $(ARGS)

bench-cluster: $(READY) ## measure how much sooner two nodes finish a search than one (10 minutes, as root, idle)
	@OMP_WAIT_POLICY=passive $(BIN)/python -m benchmarks.cluster $(ARGS)

bench-gpu: ## measure a GPU; where there is none, pack .gpu/ for a machine that has one, but no network
	@if nvidia-smi -L >/dev/null 2>&1; then \
		if [ -e .gpu/unpack.sh ]; then . .gpu/unpack.sh && python3 -m benchmarks.gpu $(ARGS); \
		else $(MAKE) --no-print-directory $(READY) && $(BIN)/python -m benchmarks.gpu $(ARGS); fi; \
	else \
		$(MAKE) --no-print-directory .gpu/packed.txz && \
		echo "no GPU here: take this folder, with .gpu/, to a machine that has one; there:" && \
		echo "  make bench-gpu    or    . .gpu/unpack.sh && python3 -m benchmarks.gpu"; \
	fi

.gpu/packed.txz: $(READY) constraints.txt benchmarks/gpu_pack.py
	@$(BIN)/python -m benchmarks.gpu_pack

questions: $(READY) ## answer the method notes' three questions by measurement (about 6 minutes)
	@$(BIN)/python -m benchmarks.questions

reproduce: $(READY) ## retrain the preset mnist_edges and compare it with its published accuracy (five trainings of under four minutes)
	@$(BIN)/ffsnn reproduce mnist_edges $(ARGS)

format: $(READY) ## write the formatting and the fixes that ruff can make
	@$(BIN)/python -m ruff check --fix-only .
	@$(BIN)/python -m ruff format .

clean: ## remove .venv, caches and build artefacts; mlruns/ stays
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find ffsnn spaces search tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# .venv is out of date when pyproject.toml or constraints.txt is newer than the stamp, when its Python is gone, or when
# the folder was moved (the stamp holds the path: scripts in .venv/bin carry it too).
ifeq ($(wildcard $(BIN)/python),)
$(READY): FORCE
else ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
$(READY): FORCE
endif

# The stamp is written last, so an interrupted installation is done again. While it runs, .venv/.installing holds the
# process id: a second make does not install into the same folder, and what a killed one left behind is thrown away.
$(READY): pyproject.toml constraints.txt
	@set -e; trap 'exit 130' INT TERM; \
	fail() { echo "make: $$1" >&2; exit 1; }; \
	if [ -e .venv/.installing ]; then \
		pid=$$(cat .venv/.installing); \
		if kill -0 "$$pid" 2>/dev/null; then \
			fail "process $$pid is installing into .venv: wait for it (if it is none of yours: make clean)"; \
		fi; \
		rm -rf .venv; \
	fi; \
	if $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		echo "make: bringing .venv up to date: seconds, or minutes if PyTorch has to be exchanged"; \
	else \
		$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || \
			fail "Python 3.11-3.13 is needed, $(PYTHON) is '$$($(PYTHON) --version 2>&1)': name another, make PYTHON=python3.12"; \
		echo "make: installing PyTorch, Ray, Optuna, MLflow and this project into .venv: 2-5 minutes, about 6.5 GB"; \
		rm -rf .venv; \
	fi; \
	mkdir -p .venv; rm -f $(READY); echo $$$$ > .venv/.installing; \
	if [ ! -e $(BIN)/python ]; then \
		$(PYTHON) -m venv .venv || { rm -rf .venv; fail "$(PYTHON) -m venv failed (Debian, Ubuntu: apt-get install python3-venv)"; }; \
	fi; \
	$(BIN)/python -m pip -qq --no-input --disable-pip-version-check --log .venv/install.log \
		install -c constraints.txt -e ".[dev]" || \
		{ rm -f .venv/.installing; fail "pip could not install (see above; all of it: .venv/install.log)"; }; \
	echo "$(CURDIR)" > .venv/.installing; mv .venv/.installing $(READY)
