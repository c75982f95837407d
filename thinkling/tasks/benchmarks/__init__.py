"""Published benchmarks, read from files in the form in which their authors publish them.

Read `benchmark.py` (what comes out), then `word_problems.py` (a few formats), then `registry.py` (all of them).
"""

from thinkling.tasks.benchmarks.benchmark import Benchmark as Benchmark
from thinkling.tasks.benchmarks.fields import Fields as Fields
from thinkling.tasks.benchmarks.registry import FORMATS as FORMATS
from thinkling.tasks.benchmarks.registry import Format as Format
from thinkling.tasks.benchmarks.registry import load as load
from thinkling.tasks.benchmarks.registry import load_all as load_all
