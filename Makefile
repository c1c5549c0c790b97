# Needs python3.11, g++, make and perl; everything else comes into .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: venv demo test lint proofs rtl bench clean
venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@

demo: venv  ## train digits on the RTL, compared with PyTorch bit for bit
	$(BIN)/backspike train --layers 64,128,10 --steps 4 --batch 16 --epochs 2 \
	    --backend rtl --check --plots out/demo --force --save out/demo/weights.safetensors

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python

test: venv lint  ## the whole suite
	$(BIN)/pytest -n 2 --dist loadgroup

proofs: venv  ## prove what simulation cannot exhaust, and that each proof finds planted bugs
	$(BIN)/python -m backspike.sim.proofs

rtl: venv  ## write all presets to build/rtl, and rtl/ afresh
	$(BIN)/backspike emit --all --out build/rtl
	$(BIN)/python -m backspike.flow.rtl

bench: venv  ## measure the figures of merit
	$(BIN)/backspike bench
	$(BIN)/backspike bench --spectral
	$(BIN)/backspike bench --boards
	$(BIN)/backspike build --all --check
	$(BIN)/backspike bench --learning

clean:
	rm -rf $(VENV) .cache out build
