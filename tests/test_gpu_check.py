"""`make gpu-check` without a GPU, and without what a machine that only computes lacks."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCKED = ("streamlit", "plotly", "playwright", "fvcore", "sklearn")
BLOCK = f"import sys\nfor name in {BLOCKED!r}: sys.modules[name] = None\nimport runpy\n"


def run(script, *arguments, cwd=ROOT):
    command = [sys.executable, "-c", f"{BLOCK}sys.argv[1:] = {list(map(str, arguments))!r}\n{script}"]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_check_runs_dry_on_a_cpu(tmp_path):
    script = f"runpy.run_path({str(ROOT / 'benchmarks' / 'gpu_check.py')!r}, run_name='__main__')"
    found = run(script, "--device", "cpu", "--out", tmp_path / "found.json")
    assert found.returncode == 0, found.stdout + found.stderr
    lines = found.stdout.splitlines()
    assert {line.split()[0] for line in lines[:-1]} == {"INFO", "PASS", "SKIP"}
    assert lines[-1].startswith("0 checks failed")
    numbers = json.loads((tmp_path / "found.json").read_text())
    assert numbers["dry_run"] is True
    assert numbers["agreement"]["resnet18 float32"] == {"largest_difference": 0.0, "predictions_changed": 0}
    assert numbers["throughput"]["resnet18 float32"]["images_per_second"] > 0


def test_logits_are_computed_and_gpu_tests_collected_where_there_is_no_dashboard():
    fixtures = "sys.path.insert(0, 'tests')\nimport browsing, duo_core.cli.reporting\nprint('fine')"
    found = run(f"{fixtures}\nrunpy.run_module('duo_core.__main__', run_name='__main__')", "logits", "--help")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("fine\nusage: ")
    options = ["--noconftest", "-p", "no:cacheprovider", "--collect-only", "-q", "tests/test_gpu.py"]
    found = run("import pytest\nsys.exit(pytest.main(sys.argv[1:]))", *options)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "test_gpu.py::test_no_model_waits_for_the_one_before" in found.stdout
