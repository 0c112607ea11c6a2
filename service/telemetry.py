"""What a person on call sees: Prometheus metrics and JSON logs, never a user's text."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)
BY_VERSION = ("task", "model_version")


class Metrics:
    """All metrics of one app, on a registry of their own: two apps in one process do not collide."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=self.registry)

        def seconds(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(name, text, labels, registry=self.registry, buckets=LATENCY_BUCKETS_S)

        self.requests = counter("llm_requests_total", "Requests by outcome.", *BY_VERSION, "code")
        self.errors = counter("llm_errors_total", "Errors by problem code.", "path", "code")
        self.latency = seconds("llm_request_duration_seconds", "End to end, admitted requests.", *BY_VERSION)
        self.first = seconds("llm_time_to_first_sentence_seconds", "Request to first sentence.", *BY_VERSION)
        self.queue_wait = seconds("llm_queue_wait_seconds", "Waiting for admission.", *BY_VERSION)
        self.queued = gauge("llm_queued_requests", "Requests waiting for admission.", "model_version")
        self.in_flight = gauge("llm_in_flight_requests", "Requests at the engines.", "model_version")
        self.tokens = counter("llm_tokens_total", "Tokens by kind.", *BY_VERSION, "kind")
        self.drops = counter("llm_guard_drops_total", "Sentences held back.", *BY_VERSION, "reason")
        self.finishes = counter("llm_finish_total", "How answers ended.", *BY_VERSION, "finish")
        self.attempts = counter("llm_useless_attempts_total", "Attempts of no use.", *BY_VERSION)
        self.recalled = counter("llm_recalled_total", "Questions answered from the store.", *BY_VERSION)
        self.engine_up = gauge("llm_engine_up", "1 while the canary answers.", "model_version")
        self.canary_age = gauge("llm_engine_canary_age_seconds", "Since the last canary.", "model_version")
        self.engine_restarts = counter("llm_engine_restarts_total", "Local restarts.", "model_version")
        self.info = Gauge(
            "llm_model_info",
            "Live versions.",
            ["model_version", "card", "base", "git_sha"],
            registry=self.registry,
        )


def _orjson(event: MutableMapping[str, Any], **_: object) -> str:
    return orjson.dumps(event, default=str).decode()


def configure_logging(*, style: Literal["auto", "json", "console"], level: str) -> None:
    """Send structlog and the standard library's records through one renderer to stderr.

    `auto` is readable text on a terminal and one JSON object a line otherwise.
    """
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer(serializer=_orjson)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _safe_exception,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        log = logging.getLogger(name)
        log.handlers.clear()
        log.propagate = name != "uvicorn.access"  # the service writes an access line of its own


def _safe_exception(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Render an exception as its type and places in code: its message may quote a user's text."""
    info = event.pop("exc_info", None)
    if not info:
        return event
    kept = info[1] if isinstance(info, tuple) else sys.exc_info()[1]
    error = info if isinstance(info, BaseException) else kept
    if error is not None:
        frames: list[str] = []
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            frames.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
            trace = trace.tb_next
        event["exception"] = {"type": type(error).__name__, "frames": frames[-12:]}
    return event
