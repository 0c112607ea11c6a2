"""What a training tells while it runs: the log, the boards, the line for people, the plot at its end."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any, Final, Self

from training.arithmetic import flops_per_token
from training.optimization import Training
from training.planned.shapes import shape_of_config
from training.recipe import Work
from training.trainer.boards import open_boards
from training.trainer.course import Course
from training.trainer.history import Rewind
from training.trainer.learner import Learner
from training.trainer.meters import Meter, progress_text
from training.trainer.parallel import World
from training.trainer.plot import draw
from training.trainer.records import Event, Log, curve, read_log
from training.trainer.schedule import learning_rate
from training.trainer.stepping import Measured

LOG = "log.jsonl"
_SPIKE: Final = ("step", "loss", "gradient_norm", "reason")
_REWIND: Final = ("step", "to_step", "skipped", "skipped_steps", "attempt")


class Telling:
    """Speaks in the main process alone; the others call it in vain."""

    def __init__(
        self, work: Work, training: Training, *, learner: Learner, course: Course, world: World
    ) -> None:
        self.work, self.training, self.course, self.world = work, training, course, world
        shape = shape_of_config(learner.model.config.get_text_config().to_dict())
        flops = flops_per_token(
            shape,
            trainable=training.trainable,
            sequence_length=training.sequence_length,
            vocabulary=learner.head.shape[0],
        )
        compute, cuda = work.run.compute, world.device.type == "cuda"
        # The peak that a run file states is of its machine: of no use for a try on another kind.
        stated = "peak_tflops" in compute.model_fields_set and cuda == bool(compute.gpus)
        peak = compute.peak_tflops * 1e12 * (world.size if cuda else 1) if stated else 0.0
        self.meter = Meter(flops_per_token=flops, peak_flops=peak)
        self.last: Measured | None = None
        self._open = contextlib.ExitStack()
        self._config = training.model_dump(mode="json") | {
            "processes": world.size,
            "device": world.device.type,
        }

    def __enter__(self) -> Self:
        if self.world.main:
            self.log = self._open.enter_context(Log(self.work.folder / LOG))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def begin(self) -> None:
        """Say where the training begins or goes on."""
        self.course.heard, self.course.saved = self.rewound, self.saved
        if not self.world.main:
            return
        step, history = self.course.step, self.course.rewinds.history
        for rewind in history[len(curve(read_log(self.work.folder / LOG)).rewinds) :]:
            self._log_rewind(rewind)  # a kill came between its record and its lines
        self.boards = open_boards(
            self.work.run.tracking,
            folder=self.work.folder,
            run_name=f"{self.work.run.name}/{self.training.name}",
            config=self._config,
            step=step,
        )
        self._open.callback(self.boards.close)
        self.log.write("resume" if step or history else "start", step=step, **self._config)

    def tell(self, measured: Measured, *, step: int) -> None:
        """Tell of a step that was taken: `step` is its number."""
        self.last = measured
        tokens = self.training.batch_tokens
        self.meter.step(tokens)
        if not self.world.main:
            return
        told: dict[str, float | None] = {
            "loss": measured.loss,
            "bits_per_character": measured.bits_per_character,
            "gradient_norm": measured.gradient_norm,
            "learning_rate": learning_rate(step, settings=self.training),
            "tokens_per_s": round(self.meter.tokens_per_s, 1),
            "mfu": self.meter.mfu,
        }
        self.log.write("step", step=step, tokens=(step + 1) * tokens, targets=measured.targets, **told)
        self.boards.write(step, told)
        text = progress_text(
            loss=measured.loss,
            bits_per_character=measured.bits_per_character,
            tokens_per_s=self.meter.tokens_per_s,
            mfu=self.meter.mfu,
            gradient_norm=measured.gradient_norm,
        )
        self.work.progress(text, step + 1, self.training.num_steps)

    def saved(self, step: int, seconds: float) -> None:
        """Tell of a checkpoint, for whose sake the loop stood still so long."""
        self.meter.add_aside("saving", seconds)
        if self.world.main:
            self.log.write("checkpoint", step=step, seconds=round(seconds, 4))

    def rewound(self, rewind: Rewind, seconds: float) -> None:
        """Tell of a spike and the way back from it, which took so long with the step that was in vain."""
        self.meter.add_aside("rewinding", seconds)
        if not self.world.main:
            return
        self._log_rewind(rewind)
        self.boards.go_back(rewind.to_step)
        told = f"spike at step {rewind.step}, back to {rewind.to_step}: {rewind.reason}"
        self.work.progress(told, rewind.to_step, self.training.num_steps)

    def _log_rewind(self, rewind: Rewind) -> None:
        events: dict[Event, tuple[str, ...]] = {"spike": _SPIKE, "rewind": _REWIND}
        for event, names in events.items():
            self.log.write(event, **{name: getattr(rewind, name) for name in names})

    def end(self) -> dict[str, Any]:
        """Draw the plot and return the figures of the stage."""
        if not self.world.main:
            return {}
        figures: dict[str, Any] = {
            "steps": self.course.step,
            "tokens": self.course.step * self.training.batch_tokens,
        }
        if self.last:
            figures |= {
                "loss at the end": round(self.last.loss, 4),
                "bits a character at the end": round(self.last.bits_per_character, 4),
            }
        if self.meter.trained_s:
            figures["tokens/s"] = round(self.meter.tokens / self.meter.trained_s)
        if self.meter.mfu is not None:
            figures["MFU"] = f"{self.meter.mfu:.0%}"
        figures["seconds lost to checkpoints"] = round(self.meter.aside_s.get("saving", 0.0), 2)
        figures["rewinds"] = self.course.rewinds.timeline
        figures["steps of data skipped"] = sum(
            (end - begin) // self.training.batch_rows for begin, end in self.course.rewinds.skips
        )
        self.log.write("end", step=self.course.step, figures=figures)
        draw(self.work.folder / LOG, self.work.folder / "loss.png")
        return figures
