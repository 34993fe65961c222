# Everything sets itself up in .venv (the doctor and its tools) and .demo (what the demo breaks).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint recipes models schema incidents bench cuts accuracy ansible train faults \
  accuracy-memory accuracy-weights languages release-check docs browser damage clean

demo: .venv/ready
	$(BIN)/python tools/demo.py

test: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses 2 --dist loadfile

lint: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/mypy

# Resolve the recipes anew, for every platform and Python, run what can be run here (with the Pythons
# on PATH), and write locks, sizes, extras and proofs. One recipe: make recipes RECIPE=torch-free
recipes: .venv/ready
	$(BIN)/python -m tools.recipes $(if $(RECIPE),--recipe $(RECIPE))

# The table of models and releases anew: environments without torch, predicted and measured.
models: .venv/ready
	$(BIN)/python tools/model_table.py

# The published JSON Schema, from the report's types.
schema: .venv/ready
	$(BIN)/python tools/write_schema.py

# The known incidents, from the files that people write to the one that is read.
incidents: .venv/ready
	$(BIN)/python tools/compile_incidents.py

# The texts of the source, brought into the catalogues of the other languages, and these compiled.
languages: .venv/ready
	$(BIN)/python -m tools.languages

# What a release must have, and a contribution need not: every text in every language.
release-check: .venv/ready
	$(BIN)/python -m tools.languages --check

# The documentation site, from what the doctor itself says, into .cache/docs/site.
docs: .venv/ready
	$(BIN)/python -m tools.documentation

# The pages of reports in a real Chromium (`make test` does it too, where there is one).
browser: .venv/ready
	@command -v chromium >/dev/null || apt-get install --yes chromium \
	  || $(BIN)/python -m playwright install chromium
	VLM_DOCTOR_BROWSER=required $(BIN)/pytest tests/test_browser.py

bench: .venv/ready
	$(BIN)/python -m tools.bench
	$(BIN)/python -m tools.bench_fix

# A real fix of a real environment, killed at hundreds of instants, and with what it needs taken away:
# an hour on two cores. Some faults need root (a full disk, a folder that is mounted read-only).
# FAULTS="--points 20" kills less often, FAULTS="--more" adds to what is recorded.
faults: .venv/ready
	$(BIN)/python -m tools.faults kill $(FAULTS)
	$(BIN)/python -m tools.faults kill-new --points 20
	$(BIN)/python -m tools.faults take-away

# Downloads that are cut at 50 random bytes, the line or the whole program: each goes on and ends whole.
cuts: .venv/ready
	VLM_DOCTOR_CUTS=50 $(BIN)/pytest tests/test_fetch.py -k cut

# Build and run the accuracy matrix for real, and judge it: about an hour on two cores the first time,
# and then only what is new. ACCURACY="--stage check" takes facts and verdicts anew, in a minute or two.
accuracy: .venv/ready
	$(BIN)/python -m tools.accuracy $(ACCURACY)

# Try the Ansible collection on targets over SSH on loopback, and record what happened: some minutes, as
# root, with sshd and a static busybox.
ansible: .venv/ready
	$(BIN)/python -m tools.rooms

# How near the memory estimates come to measured runs (recorded ones: nothing is run).
accuracy-memory: .venv/ready
	$(BIN)/python -m tools.estimate_accuracy $(ACCURACY)

# Convert small models in every way with a real mlx-vlm, load them, and hold the weights that their
# headers tell against MLX's count: two minutes. TARGET is an interpreter with mlx-vlm.
accuracy-weights: .venv/ready
	$(BIN)/python -m tools.estimate_accuracy.weights $(TARGET)

# Try each kind of damage to a model's files for real in both recipes' environments, and judge the
# doctor by it: an hour on two cores the first time, then only what is new.
damage: .venv/ready
	$(BIN)/python -m tools.damage $(DAMAGE)

# Train the doctor's own model from nothing: about 80 minutes on two cores of its own.
# TRAIN="--threads 1" leaves most of one core to others; TRAIN="--device cuda" takes minutes.
train: .venv/ready
	$(BIN)/uv venv --quiet --allow-existing --no-project .cache/train
	$(BIN)/uv pip install --quiet --python .cache/train/bin/python -r training/requirements.txt
	.cache/train/bin/python -m training.train --out .cache/smoke_model $(TRAIN)

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "vlm-doctor needs Python 3.10 or newer; name one: make PYTHON=python3.12 …"; exit 2; }
	@echo "Setting up .venv with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv --clear .venv \
	  || { echo "Python's venv module is not there (Debian, Ubuntu: apt install python3-venv)"; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable . --group dev
	@touch $@

clean:
	rm -rf .venv .demo .cache build dist *.egg-info
