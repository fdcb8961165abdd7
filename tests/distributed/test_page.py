"""The page on distributed training: its code runs, on one rank and under mpiexec."""

import os
import re
import subprocess
import sys

import numpy as np

from needle.distributed.launcher import launched_as
from tests.distributed.launch import ROOT, run_ranks

PAGE = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8")
CODE = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))


def test_code_with_one_rank(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.random.seed(0)
    exec(compile(CODE, "docs/distributed.md", "exec"), {})


def test_code_with_a_host_file(tmp_path):
    (tmp_path / "hosts").write_text("localhost:2\n")
    (tmp_path / "page.py").write_text(CODE)
    done = run_ranks(2, "page.py", cwd=tmp_path, launcher=["-f", "hosts"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("(20, 10)") == 2


def test_the_script_for_slurm(monkeypatch):
    (script,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    for name in os.environ.keys() & {"PMI_RANK", "PMI_SIZE"}:
        monkeypatch.delenv(name)
    for name, value in {"PROCID": 5, "STEP_NUM_TASKS": 8, "LOCALID": 1}.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    assert launched_as() == (5, 8, 1)


def test_commands_name_existing_files_and_options():
    commands = re.findall(r"^    .*mpiexec.* python (\S+)(.*)$", PAGE, re.MULTILINE)
    scripts = {script for script, _ in commands if "/" in script}
    assert scripts == {"examples/train_mnist.py"}
    assert all((ROOT / script).exists() for script in scripts)
    shown = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "train_mnist.py"), "--help"],
        capture_output=True,
        text=True,
    ).stdout
    options = {option for _, rest in commands for option in re.findall(r"--[a-z]+", rest)}
    assert options
    assert all(option in shown for option in options)
