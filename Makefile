# Everything a fresh clone needs: git, make and Python 3.11 or newer. PYTHON chooses the interpreter.
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo

.DEFAULT_GOAL := demo
.PHONY: demo test test-slow check format bench bench-translate bench-generate faults fuzz clean

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "On Debian: apt install python3-venv"; exit 1; }

.venv/.demo: .venv/bin/python setup.cfg constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/.test: .venv/.demo
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,check]'
	touch $@

.venv/.bench: .venv/.demo
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@

demo: .venv/.demo  ## trains on the demo corpus, translates its test sentences and scores them
	$(BIN)/seq2seq-train recipes/demo.yaml
	$(BIN)/seq2seq-translate $(DEMO) --input recipes/demo/test.en.gz --output $(DEMO)/test.de
	$(BIN)/seq2seq-evaluate --hypothesis $(DEMO)/test.de --reference recipes/demo/test.de.gz

test: .venv/.test  ## passes the tests, on all cores
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'not slow'

test-slow: .venv/.test  ## passes the long checks too
	$(BIN)/python -m pytest -n auto --dist worksteal

check: .venv/.test  ## format, lint, types, import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/.bench  ## measures the speed of training, also of others; BENCH='--size tiny --rounds 9' ... changes what
	$(BIN)/python tools/benchmark.py train --json runs/benchmark/train.json --picture runs/benchmark/train.png \
		--profile $(BENCH)

bench-translate: .venv/.bench  ## measures the speed of translating, also of others; BENCH as above
	$(BIN)/python tools/benchmark.py translate --beam-size 1,5 --batch-size 1,64 \
		--json runs/benchmark/translate.json --picture runs/benchmark/translate.png $(BENCH)

bench-generate: .venv/.bench  ## measures the speed of a GPT that writes, also of another; BENCH as above
	$(BIN)/python tools/benchmark.py generate --batch-size 1,32 \
		--json runs/benchmark/generate.json --picture runs/benchmark/generate.png $(BENCH)

faults: .venv/.demo  ## injects faults into training runs, for an hour or more; FAULTS='--minutes 10 --only sigterm' ... changes what
	$(BIN)/python tools/faults.py --json runs/faults/faults.json $(FAULTS)

fuzz: .venv/.test  ## gives all parsers 100,000 mutated files, for a quarter of an hour; FUZZ='--files 5000 --seed 2' ... changes what
	$(BIN)/python tools/fuzz_parsers.py --json runs/fuzz/parsers.json $(FUZZ)

clean:  ## removes what make installed; runs stay
	rm -rf .venv build *.egg-info
