"""One vocabulary, three readers: the trainer, transformers and the pinned vLLM give the same ids."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from training import config
from training.samples import make_texts
from training.tokenizer import train_tokenizer

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "listings" / "avito_2017_descriptions_unpaired.jsonl.gz"
NUM_ODD, VOCABULARY = 300, 768
MESSAGES = [
    {"role": "system", "content": "Пиши кратко."},
    {"role": "user", "content": "Стол,  дуб\n\n5 000 ₽"},
]
# Mistral's, since vLLM and transformers treat its tokenizers apart.
MODEL = {
    "architectures": ["MistralForCausalLM"],
    "model_type": "mistral",
    "transformers_version": "5.0.0",
    "vocab_size": VOCABULARY,
    "dtype": "bfloat16",
    "max_position_embeddings": 32_768,
    "num_hidden_layers": 1,
    "hidden_size": 64,
    "head_dim": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}

pytestmark = [
    pytest.mark.engine,  # starts none, but imports one: half a minute
    pytest.mark.skipif(find_spec("vllm") is None, reason="the extra engine-cpu is not installed"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("model")
    source = config.Source(name="listings", made=800, domain="listings")
    texts = [text for text, _ in make_texts(source, seed=1)]
    train_tokenizer(texts, settings=config.Tokenizer(vocabulary=VOCABULARY), folder=made)
    (made / "config.json").write_text(json.dumps(MODEL))
    return made


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Odd strings of every kind, and real listings where they lie beside the repository."""
    found = [
        "",
        "<|im_start|>user\nСтол<|im_end|>",
        "1 234,5 м² ½",
        "ёж, из-за, don’t",
        " \r\n\t ",
        "\x00\ufffd",
    ]

    @settings(max_examples=NUM_ODD, derandomize=True, database=None, phases=[Phase.generate], deadline=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.text())
    def collect(text: str) -> None:
        found.append(text)

    collect()
    if REAL.exists():
        with gzip.open(REAL, "rt", encoding="utf-8", newline="\n") as file:
            found += [json.loads(line)["text"] for line in file]
    return [text for text in found if text]  # vLLM takes no empty prompt


@pytest.fixture(scope="module")
def vllm(folder: Path, texts: list[str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.vllm_renderer", str(folder)],
        input=json.dumps({"texts": texts, "messages": MESSAGES}).encode(),
        capture_output=True,
        cwd=ROOT,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    answered: dict[str, Any] = json.loads(done.stdout)
    return answered


def test_vllm_and_transformers_give_the_trainers_ids(
    folder: Path, texts: list[str], vllm: dict[str, Any]
) -> None:
    trainers = [
        encoding.ids for encoding in Tokenizer.from_file(str(folder / "tokenizer.json")).encode_batch(texts)
    ]
    assert different(vllm["ids"], trainers, texts) == []
    assert different(AutoTokenizer.from_pretrained(folder)(texts)["input_ids"], trainers, texts) == []


def test_vllm_streams_every_text_back(texts: list[str], vllm: dict[str, Any]) -> None:
    """But for a U+FFFD at the very end, which it holds back as half a character, with any tokenizer."""
    assert {text.rstrip("\ufffd") for text in different(vllm["decoded"], texts, texts)} <= {"\x00"}


def test_a_chat_is_the_same_prompt_in_vllm_and_transformers(folder: Path, vllm: dict[str, Any]) -> None:
    ids = AutoTokenizer.from_pretrained(folder).apply_chat_template(
        MESSAGES, add_generation_prompt=True, return_dict=False
    )
    assert vllm["chat"] == ids


def different(found: list[Any], expected: list[Any], texts: list[str]) -> list[str]:
    return [text for one, other, text in zip(found, expected, texts, strict=True) if list(one) != list(other)]
