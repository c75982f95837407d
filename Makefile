# make run    from nothing to a model that thinks: environment, every stage of recipes/nano, the report
# make test   the test suite        make lint   ruff and mypy        make smoke   every stage in seconds
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RECIPES ?= recipes/nano
OUT ?= runs/$(notdir $(patsubst %/,%,$(RECIPES)))
MODEL ?= rl
# More options for the installation of torch; PyTorch's site names the index of its small CPU-only builds.
TORCH_FLAGS ?=
PYTEST_FLAGS ?=

.PHONY: run chat smoke test slow lint ship clean

run: $(VENV)/.installed
	$(BIN)/thinkling run $(RECIPES) --out $(OUT)
	@if [ -t 0 ] && [ -t 1 ] && [ -f $(OUT)/$(MODEL)/manifest.json ]; then $(BIN)/thinkling chat $(OUT)/$(MODEL); fi

chat: $(VENV)/.installed
	$(BIN)/thinkling chat $(OUT)/$(MODEL)

smoke: $(VENV)/.installed
	$(BIN)/thinkling run recipes/smoke --out runs/smoke

# One thread per test process: two processes with two threads each would fight for two cores.
test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(PYTEST_FLAGS)

slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow $(PYTEST_FLAGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy thinkling

# torch first and pinned, so that nothing else decides which build of it comes.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "thinkling needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) --version`. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt $(TORCH_FLAGS) torch==2.13.0
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	@touch $@

# Renew the model that ships with the package (rarely: git keeps every copy).
ship:
	rm -rf thinkling/nano_model && mkdir thinkling/nano_model
	cp $(OUT)/$(MODEL)/*.json $(OUT)/$(MODEL)/model.safetensors thinkling/nano_model/
	rm -f thinkling/nano_model/timing.json
	$(BIN)/thinkling verify thinkling/nano_model

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
