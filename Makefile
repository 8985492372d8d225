# Every target makes what it needs: a .venv with the tested versions, once, then again only when
# pyproject.toml or constraints.txt change.
#
#   make tour    run the first chapter: runs/tour/ has its notebook, its page and its numbers
#   make check   before a commit, two minutes: style, types, floors, the quick units
#   make test    all tests: units, notebooks, command line, book
#   make book    the site, in book/_build/html; with SOLUTIONS=no, without solutions
#   make lab     JupyterLab on a copy of the notebooks, runs/lab, which stays; LAB=fresh: a new one
#   make lint    style and spelling of the code
#   make course  notebooks for students and instructors, nbgrader and otter-grader: build/course
#   make slides  four lectures as pages that need no network: build/slides
#   make paper   a PDF of each part of the site, by Chromium: build/paper
#   make pairs   write each notebook's .ipynb anew from its .py, outputs included
#   make lock    resolve the newest versions into constraints.txt

PYTHON ?= python3
SOLUTIONS ?= yes
BIN := .venv/bin
READY := .venv/.ready
EXTRAS := notebooks,test,book,course,bench,cluster

.PHONY: tour check test test-units test-notebooks test-grading test-lab book paper lab lint static course slides \
    pairs lock clean

tour: $(READY)
	@rm -rf runs/tour
	@$(BIN)/mdlib run start_here --out runs/tour

test: test-units test-notebooks

# Two files at a time.
test-units: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest tests -n 2 --dist loadfile --no-loadscope-reorder \
	    -p no:benchmark --durations=10

# The chapters, each with cells more that prove that the exercises' blanks fail; two at a time.
test-notebooks: $(READY)
	$(BIN)/python tools/course.py proof
	OMP_NUM_THREADS=1 $(BIN)/pytest --nbval-lax --nbval-cell-timeout=300 --durations=10 \
	    -n 2 --dist loadfile -p no:benchmark -p no:cacheprovider build/proof

# Every chapter released, filled in and graded by nbgrader: an hour.
test-grading: $(READY)
	GRADE=$${GRADE:-all} OMP_NUM_THREADS=1 $(BIN)/pytest tests/test_grading.py -q \
	    -n 2 -p no:benchmark

# JupyterLab in Chromium: a chapter's first cells, a progress bar, an explorable.
test-lab: $(READY)
	JUPYTERLAB=yes $(BIN)/pytest tests/test_lab.py -q -p no:benchmark

book: $(READY)
	@SOLUTIONS=$(SOLUTIONS) $(BIN)/python book/build.py

paper: book
	@$(BIN)/python tools/paper.py

lab: $(READY)
	@$(BIN)/python tools/lab.py $(LAB)

# Units that start no kernel, no browser and no sweep; of these, what is not marked slow.
UNITS := $(filter-out tests/sweep tests/notebook tests/cli tests/book tests/support \
    tests/test_course.py tests/test_grading.py tests/test_lab.py tests/test_notebooks.py \
    tests/test_slides.py tests/conftest.py tests/conformance.yaml tests/__pycache__,$(wildcard tests/*))

check: static $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest $(UNITS) -q -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder \
	    -p no:benchmark

# What reads the code and runs none of it.
static: lint
	$(BIN)/ty check mdlib
	$(BIN)/lint-imports

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

course: $(READY)
	@$(BIN)/python tools/course.py

slides: $(READY)
	@$(BIN)/python tools/slides.py

pairs: $(READY)
	$(BIN)/python tools/pairs.py

lock: $(READY)
	$(BIN)/uv pip compile -q -U --no-emit-index-url --universal --all-extras \
	    --python-version 3.11 pyproject.toml -o constraints.txt

clean:
	rm -rf .venv runs build book/_build

$(READY): pyproject.toml constraints.txt
	@PYTHON="$(PYTHON)" EXTRAS="$(EXTRAS)" sh tools/setup.sh
	@touch $@
