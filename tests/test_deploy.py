"""The recipes of deploy/: what can be said of them without a cluster. deploy/try.sh runs them."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
PODS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


@pytest.mark.parametrize("path", PODS, ids=lambda path: path.name)
def test_kubernetes_would_take_it(path):
    validate = pytest.importorskip("kubernetes_validate").validate
    for resource in yaml.safe_load_all(path.read_text()):
        validate(resource, "1.30", strict=True)


def test_all_pods_that_touch_runs_see_the_same_folder():
    mounts = {}
    for path in PODS:
        for resource in yaml.safe_load_all(path.read_text()):
            pod = resource["spec"].get("template", {}).get("spec")
            for container in pod["containers"] if pod else []:
                paths = [v["mountPath"] for v in container.get("volumeMounts", [])]
                mounts[container["name"]] = "/work" in paths
                if container["name"] in ("driver", "worker"):
                    assert container["workingDir"].startswith("/work/")
    assert mounts == {"driver": True, "worker": True, "scheduler": False}


@pytest.mark.parametrize("name", ["try.sh", "ssh/start.sh", "slurm/sweep.sbatch"])
def test_scripts_are_whole(name):
    shell = "bash" if name.endswith("sbatch") else "sh"
    subprocess.run([shell, "-n", str(DEPLOY / name)], check=True)


def test_slurm_jobs_are_described_for_dask_jobqueue():
    described = yaml.safe_load((DEPLOY / "slurm" / "jobqueue.yaml").read_text())
    jobs = described["jobqueue"]["slurm"]
    assert (jobs["cores"], jobs["processes"]) == (1, 1)  # a run at a time


def test_files_that_are_named_exist():
    for path in re.findall(r"deploy/[\w/]+\.\w+", (DEPLOY / "README.md").read_text()):
        assert (DEPLOY.parent / path).is_file(), path


@pytest.mark.parametrize("name", ["ssh/start.sh", "slurm/sweep.sbatch"])
def test_without_dask_they_end(name, tmp_path):
    hosts = tmp_path / "hosts.txt"
    hosts.write_text("nowhere\n")
    done = subprocess.run(
        ["bash", str(DEPLOY / name), str(hosts)],
        env={"PATH": "/usr/bin:/bin", "SLURM_JOB_ID": "7"},
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode in (1, 5) and "dask" in done.stderr.lower()
