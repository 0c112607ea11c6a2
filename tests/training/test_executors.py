"""One setting decides where the corpus is cleaned: here it runs, on Slurm it is submitted, Ray needs Ray."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest
from datatrove.data import Document, DocumentsPipeline
from datatrove.executor import RayPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from training import config, corpus
from training.cleaning.accounts import Account, Counted, Dropped, examples, read_documents
from training.cleaning.executors import Pending, Phase, executors, launch
from training.config import Corpus, Executor, Run
from training.errors import ConfigError, CorpusError, TrainingError


class Source(PipelineStep):
    """Ten documents a task; task 1 fails where it is told to."""

    def __init__(self, folder: Path, fails: Exception | None = None) -> None:
        super().__init__()
        self.folder, self.fails = folder, fails

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Yield the documents, and leave a mark that this task ran."""
        (self.folder / f"ran-{rank}").touch()
        for number in range(10):
            if self.fails and rank == 1 and number == 5:
                raise self.fails
            yield Document("слово " * number, f"{rank}/{number}", metadata={"source": "s", "domain": "d"})


class Odd(PipelineStep):
    """Drop every second document."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.writer = Dropped(folder, step="odd")

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Yield the even ones."""
        with self.writer as writer:
            for number, document in enumerate(data):
                if number % 2:
                    writer.write(document, rank)
                else:
                    yield document


def steps(folder: Path, fails: Exception | None = None) -> list[PipelineStep]:
    return [Source(folder, fails), Counted(folder, place="read"), Odd(folder), Counted(folder, place="kept")]


def silent(name: str, done: int, total: int) -> None:
    pass


@pytest.mark.parametrize("workers", [1, 2])
def test_all_tasks_are_run_and_everything_is_accounted_for(tmp_path: Path, workers: int) -> None:
    told: list[tuple[str, int, int]] = []
    settings = Executor(tasks=3, workers=workers)
    seconds = launch(
        [Phase("first", steps(tmp_path), 3)], settings, folder=tmp_path, progress=lambda *it: told.append(it)
    )
    assert seconds.keys() == {"first"}
    assert told[0] == ("first", 0, 3)
    assert told[-1] == ("first", 3, 3)
    read, kept = (Account.total(tmp_path / "counts" / place) for place in ("read", "kept"))
    dropped = Account.total(tmp_path / "counts" / "dropped-odd")
    assert read.documents["s", "d"] == 30
    assert kept.documents["s", "d"] + dropped.documents["s", "d", "odd"] == 30
    assert read.characters["s", "d"] == kept.characters["s", "d"] + dropped.characters["s", "d", "odd"]
    lost = [
        document
        for path in sorted((tmp_path / "dropped" / "odd").iterdir())
        for document in read_documents(path)
    ]
    assert len(lost) == 15
    assert {document["metadata"]["filter_reason"] for document in lost} == {"odd"}
    assert len(examples(tmp_path)["odd"]) == 3


def test_a_failed_task_is_told_and_the_finished_ones_are_not_run_again(tmp_path: Path) -> None:
    settings = Executor(tasks=3, workers=1)
    fault = CorpusError("this is not JSON", place="ads.jsonl", line=7)
    with pytest.raises(TrainingError, match=r"ads\.jsonl:7: this is not JSON"):
        launch([Phase("first", steps(tmp_path, fault), 3)], settings, folder=tmp_path, progress=silent)
    (tmp_path / "ran-0").unlink()
    launch([Phase("first", steps(tmp_path), 3)], settings, folder=tmp_path, progress=silent)
    assert not (tmp_path / "ran-0").exists(), "task 0 was through before"
    assert Account.total(tmp_path / "counts" / "kept").documents["s", "d"] == 15


@pytest.mark.parametrize("workers", [1, 2])
def test_an_unforeseen_fault_names_the_phase_and_the_log(tmp_path: Path, workers: int) -> None:
    with pytest.raises(TrainingError, match=r"first: ZeroDivisionError: oh \(see .*logs\)"):
        launch(
            [Phase("first", steps(tmp_path, ZeroDivisionError("oh")), 2)],
            Executor(tasks=2, workers=workers),
            folder=tmp_path,
            progress=silent,
        )


def test_the_terminal_is_left_to_the_progress_bar(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    launch([Phase("first", steps(tmp_path), 2)], Executor(workers=1), folder=tmp_path, progress=silent)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


SBATCH = """#!/bin/sh
printf '%s\\n' "$*" >> "$SBATCH_CALLS"
echo "Submitted batch job $(wc -l < "$SBATCH_CALLS")"
"""


def test_slurm_gets_one_job_array_a_phase_each_after_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, calls = tmp_path / "bin" / "sbatch", tmp_path / "calls"
    command.parent.mkdir()
    command.write_text(SBATCH)
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(command.parent), prepend=":")
    monkeypatch.setenv("SBATCH_CALLS", str(calls))
    settings = Executor(kind="slurm", tasks=5, workers=2, partition="cpu", setup="source env.sh")
    phases = [Phase(name, steps(tmp_path), 5) for name in ("first", "second", "third")]
    with pytest.raises(Pending, match="3 Slurm jobs"):
        launch(phases, settings, folder=tmp_path, progress=silent)
    arrays = [line for line in calls.read_text().splitlines() if "RUN_OFFSET" in line]
    assert len(arrays) == 3
    assert "dependency" not in arrays[0]
    assert "--dependency=afterok:" in arrays[1]
    script = (tmp_path / "logs" / "00-first" / "launch_script.slurm").read_text()
    assert "#SBATCH --array=0-4%2" in script
    assert "#SBATCH --partition=cpu" in script
    assert "source env.sh" in script


def test_slurm_jobs_that_are_through_let_the_run_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases = [Phase("first", steps(tmp_path), 2)]
    launch(phases, Executor(tasks=2, workers=1), folder=tmp_path, progress=silent)
    (tmp_path / "sbatch").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    settings = Executor(kind="slurm", tasks=2, partition="cpu")
    assert launch(phases, settings, folder=tmp_path, progress=silent) == {"first": 0.0}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Executor(kind="slurm"), "partition"),
        (Executor(kind="slurm", partition="cpu"), "login node"),
        (Executor(kind="ray"), "not installed"),
    ],
)
def test_a_place_that_is_not_here_is_told(
    tmp_path: Path, settings: Executor, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=told):
        launch([Phase("first", steps(tmp_path), 2)], settings, folder=tmp_path, progress=silent)


@pytest.mark.filterwarnings("ignore")
def test_ray_gets_the_same_steps(tmp_path: Path) -> None:
    phases = [Phase(name, steps(tmp_path), 4) for name in ("first", "second")]
    made = executors(phases, Executor(kind="ray", tasks=4, workers=3, memory_gb=7), folder=tmp_path)
    assert all(isinstance(one, RayPipelineExecutor) for one in made)
    assert (made[1].depends, made[1].world_size, made[1].workers) == (made[0], 4, 3)
    assert made[1].mem_per_cpu_gb == 7.0


RUNS_AT_ONCE = """#!/bin/sh
# A cluster of one machine: the script's tasks are run here, one after the other, before sbatch answers.
for script do :; done
export SLURM_NODELIST=localhost
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
for task in $(seq 0 "$last"); do
  SLURM_ARRAY_TASK_ID=$task RUN_OFFSET=0 bash "$script" >> "$SBATCH_CALLS" 2>&1 || exit 1
done
echo "Submitted batch job 7"
"""


def test_what_slurm_gets_does_the_same_as_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name, text in (
        ("sbatch", RUNS_AT_ONCE),
        ("srun", '#!/bin/sh\nwhile [ "$1" != launch_pickled_pipeline ]; do shift; done\nexec "$@"\n'),
        ("scontrol", "#!/bin/sh\necho localhost\n"),
        ("merge_stats", "#!/bin/sh\n"),
    ):
        (bin_folder / name).write_text(text)
        (bin_folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    monkeypatch.setenv("PATH", str(bin_folder), prepend=":")
    monkeypatch.setenv("SBATCH_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    source = config.Source(name="made", made=60, domain="listings", profile="listings")
    outcomes = {}
    for kind in ("local", "slurm"):
        executor = Executor(kind=kind, tasks=2, workers=1, partition="cpu")
        run = Run(name=kind, seed=3, corpus=Corpus(sources=(source,), executor=executor, held_out=0.0))
        folder = tmp_path / kind
        phases = corpus.phases(run, folder=folder)
        if kind == "slurm":
            with pytest.raises(Pending):
                launch(phases, executor, folder=folder, progress=silent)
        launch(phases, executor, folder=folder, progress=silent)
        texts = [
            one["text"] for path in sorted((folder / "data").rglob("*.zst")) for one in read_documents(path)
        ]
        outcomes[kind] = sorted(texts)
    assert outcomes["slurm"] == outcomes["local"], (tmp_path / "calls").read_text()[-2000:]
    assert len(outcomes["local"]) > 40
