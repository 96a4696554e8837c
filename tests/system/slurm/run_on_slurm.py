"""profiles/slurm on a real SLURM of one node that is started for the test: `make test-slurm`, not part of `make test`.

One run makes a part of the `test` configuration: a certificate and a figure of the lens, and a posterior of the
convergence map. It meets what happens on clusters: its main process is killed and started again, jobs run out of
memory, one job is cancelled by hand, one cannot succeed. Each test reads SLURM's own record of one of these events. The
GPUs are devices that do nothing; SLURM counts them, reserves them and shows them to jobs.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.helpers.workflow import LIMIT, OVERLAYS, ROOT, clean_environment, copy_workflow, run_snakemake

PACKAGES = {"slurm-wlm": "slurmctld", "munge": "munged", "iproute2": "ip"}
WITH_GPU = {"train_prior", "sample_prior", "sample", "sample_ensemble"}
TARGETS = ["lens/mmps/certificate.json", "figures/lens_mmps.pdf", "kappa/gibbs/posterior.fits"]
SHOWN = [
    "JobId",
    "rule",
    "wildcards",
    "JobState",
    "Partition",
    "MinMemoryNode",
    "TresPerJob",
    "StartTime",
    "EndTime",
]
FINISHED = ["data/galaxies16/train.h5", "priors/galaxies16.safetensors"]  # when the main process is killed
TOO_LITTLE = 300  # MB that `prepare` asks for first: it holds more for seconds, and twice as much is enough


class Cluster:
    """A SLURM that is up, in namespaces of its own whose first process is `pid`."""

    def __init__(self, folder: Path, pid: int):
        self.folder, self.pid = folder, pid

    def start(self, *command: str, **options) -> subprocess.Popen:
        """Starts a command on the cluster's node, in a process group of its own."""
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--uts", "--net", "--pid", "--"]
        return subprocess.Popen(
            [*enter, *command], stdin=subprocess.DEVNULL, start_new_session=True, text=True, **options
        )

    def ask(self, *command: str) -> str:
        """What a command says."""
        done = self.start(*command, stdout=subprocess.PIPE)
        answer, _ = done.communicate(timeout=LIMIT)
        assert done.returncode == 0, command
        return answer

    def jobs(self, rule: str | None = None) -> list[dict[str, str]]:
        """SLURM's record of all jobs (`scontrol show job`), or of those of one rule, in the order of submission."""
        record = self.ask("scontrol", "--oneliner", "show", "job").splitlines()
        jobs = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in record if line.startswith("JobId=")]
        for job in jobs:
            job["rule"], _, job["wildcards"] = job["Comment"].removeprefix("rule_").partition("_wildcards_")
        return sorted((j for j in jobs if rule in (None, j["rule"])), key=lambda job: int(job["JobId"]))


def processes_of(namespace: str) -> list[str]:
    """Processes that live in a namespace of process numbers."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "ns" / "pid") == namespace:
                found.append(process.name)
        except OSError:  # it has ended
            continue
    return found


def until(condition, what: str, process: subprocess.Popen | None = None):
    """Waits for a condition and returns its value; fails if a process that has to run meanwhile ends."""
    end = time.monotonic() + LIMIT
    while not (value := condition()):
        assert time.monotonic() < end, f"{what}: not within {LIMIT} s"
        assert process is None or process.poll() is None, f"{what}: the run has ended before"
        time.sleep(0.5)
    return value


@contextmanager
def slurm():
    """A cluster that ends with this block, or with this process if that is killed."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root on Linux can start a SLURM")
    if missing := [package for package, program in PACKAGES.items() if shutil.which(program) is None]:
        pytest.skip(f"not installed: {' '.join(missing)} (Debian: apt-get install --no-install-recommends)")
    spaces = ["unshare", "--mount", "--uts", "--net", "--pid", "--mount-proc", "--fork", "--kill-child"]
    if subprocess.run([*spaces, "true"], capture_output=True).returncode:
        pytest.skip("this machine does not let root make namespaces (a container without CAP_SYS_ADMIN?)")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    with open(folder / "log", "w") as log:
        # unshare does not heed SIGTERM; killed, it takes all that it started with it
        parent = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", *spaces, str(Path(__file__).with_name("node.sh")), str(folder)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until(lambda: (folder / "up").exists() or parent.poll() is not None, "SLURM starts")
        assert parent.poll() is None, (folder / "log").read_text()
        pid = int(Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text())
        yield Cluster(folder, pid)
    finally:
        parent.kill()
        parent.wait()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def cluster():
    with slurm() as cluster:
        yield cluster


class Story:
    """The run that all tests look at: its folder, its files when its main process was killed, what it printed."""

    def __init__(self, cluster: Cluster, folder: Path):
        self.cluster, self.folder, self.results = cluster, folder, folder / "results" / "test"

    def snakemake(self, *options: str) -> subprocess.Popen:
        """Starts a main process with the profile as it is shipped, and polling fit for jobs of seconds."""
        with open(self.folder / "said", "w") as said:
            return self.cluster.start(
                "env", "-C", str(self.folder), sys.executable, "-m", "snakemake",
                *(f"results/test/{target}" for target in TARGETS), *OVERLAYS["test"],
                "--workflow-profile", "profiles/slurm", "--slurm-partition-config", "profiles/slurm/partitions.yaml",
                "--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "5", *options,
                stdout=said, stderr=said, env=clean_environment(),
            )  # fmt: skip

    def said(self) -> str:
        return (self.folder / "said").read_text()

    def running(self, rule: str) -> list[str]:
        """Numbers of the rule's jobs that run."""
        return [job["JobId"] for job in self.cluster.jobs(rule) if job["JobState"] == "RUNNING"]


@pytest.fixture(scope="module")
def story(cluster, tmp_path_factory) -> Story:
    story = Story(cluster, copy_workflow(tmp_path_factory.mktemp("run")))
    rules = story.folder / "workflow" / "rules" / "prepare.smk"
    text = rules.read_text()
    assert text.count("memory(4000, plan.needs.images)") == 1
    rules.write_text(text.replace("memory(4000, plan.needs.images)", f"memory({TOO_LITTLE})"))
    (story.folder / "weights" / "kappa16.safetensors").write_bytes(b"no weights")

    first = story.snakemake()
    try:
        until(lambda: story.running("sample_prior"), "the first prior is learned", first)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        story.first_said = story.said()
    # the jobs of a main process that is gone go on; they must not write beside those of the next
    cluster.ask("scancel", "--name", re.search(r"SLURM run ID: (\S+)", story.first_said)[1])
    until(lambda: not cluster.ask("squeue", "--noheader"), "the jobs left over end")
    finished = [story.results / name for name in FINISHED]
    story.before = {path: path.stat().st_mtime_ns for path in finished}
    story.submitted_before = len(cluster.jobs())
    assert story.snakemake("--unlock").wait(LIMIT) == 0, story.said()

    second = story.snakemake()
    try:
        story.cancelled = until(lambda: story.running("sample"), "sampling begins", second)[0]
        cluster.ask("scancel", story.cancelled)
        story.returned = second.wait(LIMIT)
    finally:
        if second.poll() is None:
            os.killpg(second.pid, signal.SIGKILL)
        for job in cluster.jobs():  # shown where a test fails
            print(*(job.get(key, "-") for key in SHOWN))
    return story


def test_a_killed_run_goes_on_where_it_stopped(story):
    assert {path: path.stat().st_mtime_ns for path in story.before} == story.before
    again = [(job["rule"], job["wildcards"]) for job in story.cluster.jobs()[story.submitted_before :]]
    assert not {("prepare", "galaxies16_train"), ("train_prior", "galaxies16")} & set(again)
    assert again.count(("sample_prior", "galaxies16")) == 1  # what was under way is done anew


def test_rules_with_a_gpu_get_one_and_others_none(story):
    shown = {}
    for line in (story.cluster.folder / "devices").read_text().splitlines():
        job, devices = line.split()
        shown.setdefault(job, set()).add(devices)
    jobs = [job for job in story.cluster.jobs() if job["JobState"] == "COMPLETED"]
    assert {job["rule"] for job in jobs} >= WITH_GPU
    for job in jobs:
        if job["rule"] in WITH_GPU:
            assert (job["Partition"], job["TresPerJob"]) == ("gpu", "gres:gpu:1"), job
            assert shown[job["JobId"]] in ({"0"}, {"1"})
        else:
            assert job["Partition"] == "cpu" and "TresPerJob" not in job, job
            assert shown[job["JobId"]] == {"none"}


def test_a_job_out_of_memory_is_submitted_again_with_more(story):
    for wildcards in ("galaxies16_train", "galaxies16_held_out"):
        jobs = [job for job in story.cluster.jobs("prepare") if job["wildcards"] == wildcards]
        states = [(job["JobState"], job["MinMemoryNode"]) for job in jobs]
        assert states == [("FAILED", f"{TOO_LITTLE}M"), ("COMPLETED", f"{2 * TOO_LITTLE}M")]
        (log,) = (story.folder / ".snakemake" / "slurm_logs").rglob(f"{jobs[0]['JobId']}.log")
        assert re.search(rf"StepId={jobs[0]['JobId']}\.0 exceeded memory limit", log.read_text())


def test_a_failing_job_stops_only_what_needs_it(story):
    assert story.returned == 1
    assert "weights/kappa16.safetensors" in story.said()
    failed = [job for job in story.cluster.jobs("train_prior") if job["wildcards"] == "kappa16"]
    assert {job["JobState"] for job in failed} <= {"FAILED", "CANCELLED"} and len(failed) >= 2
    assert not [job for job in story.cluster.jobs("sample") if job["wildcards"] == "kappa_gibbs"]
    lens, figure, kappa = (story.results / target for target in TARGETS)
    assert lens.exists() and figure.exists() and not kappa.exists()


def test_a_job_cancelled_by_hand_does_not_hang_the_run(story):
    jobs = story.cluster.jobs("sample")[-2:]
    assert [job["JobState"] for job in jobs] == ["CANCELLED", "COMPLETED"]
    assert jobs[0]["JobId"] == story.cancelled
    assert "status is: 'CANCELLED'" in story.said()


def groups() -> dict[str, str]:
    """The profile's groups, `{rule: group}`."""
    return yaml.safe_load((ROOT / "profiles" / "slurm" / "profile.yaml").read_text())["groups"]


def requests(folder: Path, target: str) -> dict[str, dict[str, int]]:
    """What the jobs of a target ask for in a dry run, `{rule: {resource: amount}}`.

    Snakemake prints it for rules without a message only, so messages are deleted from the rules in this folder.
    """
    for path in (folder / "workflow" / "rules").glob("*.smk"):
        path.write_text(re.sub(r"^ {4}message:\n.*\n", "", path.read_text(), flags=re.MULTILINE))
    options = ["--workflow-profile", "profiles/slurm", *OVERLAYS["test"]]
    printed = run_snakemake("-n", f"results/test/{target}", *options, cwd=folder).stdout
    jobs = re.findall(
        r"^ *(?:local)?rule (\w+):$(.*?)^ *resources: (.*?)$", printed, re.MULTILINE | re.DOTALL
    )
    return {
        rule: {
            "threads": int((re.findall(r"threads: (\d+)", rest) or [1])[0]),
            **{name: int(amount) for name, amount in re.findall(r"(\w+)=(\d+)(?=,|$)", resources)},
        }
        for rule, rest, resources in jobs
    }


def test_quick_jobs_of_a_chain_share_an_allocation(story, tmp_path):
    """Two jobs in place of seven. The tests of a certificate take turns: the time of all, the memory of the largest."""
    certificate, figure = (
        [job for job in story.cluster.jobs() if job["rule"].startswith(group)]
        for group in ("certificate_", "posterior_")
    )
    assert [job["JobState"] for job in certificate + figure] == ["COMPLETED", "COMPLETED"]
    each = requests(copy_workflow(tmp_path), TARGETS[0])
    members = [each[rule] for rule, group in groups().items() if group == "certificate"]
    minutes = sum(member["runtime"] for member in members)
    assert len(members) == 5 and minutes > max(member["runtime"] for member in members)
    asked = [certificate[0][key] for key in ("NumCPUs", "MinMemoryNode", "TimeLimit")]
    cores, memory = (max(member[key] for member in members) for key in ("threads", "mem_mb"))
    assert asked == [f"{cores}", f"{memory}M", f"{minutes // 60:02}:{minutes % 60:02}:00"]
    assert not {job["rule"] for job in story.cluster.jobs()} & {"certify", "mira_ensemble", "residuals"}


def test_nothing_is_left_behind():
    host = Path("/etc/hosts").read_text()
    with slurm() as cluster:
        namespace = os.readlink(f"/proc/{cluster.pid}/ns/pid")
        assert len(processes_of(namespace)) >= 4  # the shell, munged, slurmctld, slurmd
        cluster.ask("sbatch", "--wrap", "sleep 60", "--output", "/dev/null")
        until(lambda: "RUNNING" in cluster.ask("squeue", "--format=%T"), "the job runs")
        folder = cluster.folder
    until(lambda: not processes_of(namespace), "everything ends")
    assert not folder.exists() and not Path("/etc/slurm/slurm.conf").exists()
    assert Path("/etc/hosts").read_text() == host
