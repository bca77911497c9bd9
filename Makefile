# What a newcomer types: `make demo`, then `make test`.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# A host is a program that serves the bundle and needs other versions than ours: an environment of its own, .venv-NAME, from
# scripts/NAME/requirements.txt. They are complete lists: nothing is resolved, so that nothing brings another torch.
HOSTS := $(patsubst scripts/%/requirements.txt,.venv-%/.installed,$(wildcard scripts/*/requirements.txt))

.PHONY: demo web viewer test test-hosts check install clean

demo: $(INSTALLED) ## read the sample study
	$(BIN)/python -m monai.bundle run --config_file configs/inference.yaml --output_dir out
	@echo "Open out/sample-study/report.html in a browser."

web: $(INSTALLED) ## the page: upload, read and sign studies in a browser
	$(BIN)/python -m scripts.web

viewer: ## the browser's side of the page, rebuilt from its source; needs Node 20.19 or later, the built files are committed
	cd scripts/web/viewer && npm ci --no-audit --no-fund && npm test && npm run build

test: $(INSTALLED) ## the whole test suite
	$(BIN)/python -m pytest

test-hosts: $(INSTALLED) $(HOSTS) ## MONAI Label, MONAI Deploy and the PACS listener, each really started; minutes
	$(BIN)/python -m pytest -m hosts tests/hosts

check: $(INSTALLED) ## style and types, as pre-commit runs them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: $(INSTALLED) ## the environment alone

$(INSTALLED): requirements.txt requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $(INSTALLED)

.venv-%/.installed: scripts/%/requirements.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

clean:
	rm -rf $(VENV) $(dir $(HOSTS)) out
