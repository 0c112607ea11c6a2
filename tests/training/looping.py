"""A small base, its packed texts and a run file, for tests that run the loop in processes of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig

from training.config import Source, Tokenizer
from training.packed.batches import Feed
from training.packed.meta import create_store
from training.packed.order import Order
from training.packed.rows import open_rows
from training.packed.tokens import TokenWriter
from training.packing import pack_store
from training.samples import make_texts
from training.tokenizer import train_tokenizer
from training.trainer.records import curve, read_log
from training.vocabulary.loading import load_vocabulary

SCRIPT = Path(__file__).with_name("loop_process.py")
STEPS, EVERY = 14, 4
RUN = """
name = "loop"
seed = 3
[base]
checkpoint = "base"
[corpus]
[[corpus.sources]]
name = "made"
made = 10
domain = "listings"
[tracking]
tensorboard = false
[[training]]
name = "all"
trainable = "all"
tokens = {tokens}
batch_tokens = 512
sequence_length = 64
learning_rate = 3e-3
precision = "float32"
micro_rows = 2
checkpoints = {{ every_steps = {every}, keep = 2 }}
"""


class Bench:
    """A base, its packed texts and a run file; each try has a folder of its own."""

    def __init__(self, folder: Path, *, tied: bool = False) -> None:
        self.folder, self.base, self.store = folder, folder / "base", folder / "store"
        texts = [text for text, _ in make_texts(Source(name="made", made=400, domain="listings"), seed=1)]
        self.base.mkdir()
        train_tokenizer(texts, settings=Tokenizer(vocabulary=512, sample_mb=1), folder=self.base)
        vocabulary = load_vocabulary(str(self.base))
        meta = create_store(self.store, vocabulary=vocabulary, vocabulary_folder=self.base)
        with TokenWriter(self.store, domain="listings") as writer:
            for text in texts:
                writer.add([meta.bos, *vocabulary.encode(text), meta.eos])
        pack_store(self.store, lengths=[64], seed=3)
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=512,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            tie_word_embeddings=tied,
        )
        AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(self.base)
        self.run_file = self.write()

    def write(self, more: str = "", *, steps: int = STEPS, every: int = EVERY, name: str = "run") -> Path:
        path = self.folder / f"{name}.toml"
        path.write_text(RUN.format(tokens=steps * 512, every=every) + more)
        return path

    def start(
        self,
        name: str,
        *,
        run_file: Path | None = None,
        store: Path | None = None,
        processes: int = 1,
        **environment: str,
    ) -> subprocess.Popen[str]:
        python = [sys.executable]
        if processes > 1:
            python += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        words = [
            str(SCRIPT),
            str(run_file or self.run_file),
            str(store or self.store),
            str(self.base),
            str(self.folder / name),
        ]
        root = str(Path(__file__).parents[2])
        return subprocess.Popen(
            python + words,
            env=os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, name: str, *, timeout_s: float = 240, **how: Any) -> tuple[int, str]:
        process = self.start(name, **how)
        out, error = process.communicate(timeout=timeout_s)
        return process.returncode, out + error

    def poisoned(self, name: str, *, steps: list[int]) -> Path:
        """Return a copy of the store in which the rows of these steps are noise."""
        copy = self.folder / f"store-{name}"
        shutil.copytree(self.store, copy)
        rows = open_rows(copy, length=64)
        feed = Feed(rows, order=Order(rows.domains, weights={}, seed=3))
        random = np.random.default_rng(0)
        for step in steps:
            for _, size, shard, begin in feed._pieces(np.arange(step * 8, (step + 1) * 8)):
                if shard is not None:
                    path = copy / "tokens" / "listings" / "00000.ids"
                    ids = np.memmap(path, dtype=shard.ids.dtype, mode="r+")
                    ids[begin + 1 : begin + size] = random.integers(20, 512, size - 1)
                    ids.flush()
        return copy

    def losses(self, name: str) -> list[float]:
        return [one["loss"] for one in curve(read_log(self.folder / name / "log.jsonl")).steps]

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        return load_file(self.folder / name / "model.safetensors")
