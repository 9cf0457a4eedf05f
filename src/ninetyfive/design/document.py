"""A design as the one JSON object of `ninetyfive design --json`: plain dictionaries, lists, numbers and text.

    Design (+ where it is recorded) ─▶ {"training": …, "serving": …, "sizing": …, "assumptions": …, "confidence": …}

Fields have the names of `evidence.py`; beside them stand those that a program asks for first. What does not belong
here: text for people (`markdown`, `cli`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from ninetyfive.design.accepting import accepts
from ninetyfive.design.evidence import Design
from ninetyfive.design.record import Record
from ninetyfive.design.wording import (
    cannot,
    chosen,
    declared,
    error,
    left_out,
    noticed,
    replayed,
    serving_words,
    training_words,
)


def document(design: Design, record: Record | None = None) -> dict[str, Any]:
    """The document of `design`; with `record` the paths of its files by kind ("html" is None where there is no page).

    `serving.forecast` is that of the chosen candidate and `serving.replayed` the replay of it, with the `error` of the
    forecast; None where there is none. All candidates and replays stand in `serving.evidence`.
    """
    training_text, serving_text = declared(design)
    said = {
        "number": design.number,
        "system": design.system,
        "made": design.made,
        "version": design.version,
        "release": design.release,
        "confidence": design.confidence,
        "training": _training(design) | {"text": training_words(design.training), "declared": training_text},
        "serving": _serving(design) | {"text": serving_words(design.serving), "declared": serving_text},
        "sizing": msgspec.to_builtins(design.sizing),
        "assumptions": msgspec.to_builtins(design.assumptions),
        "prices": design.prices,
        "budget": design.budget,
        "seconds": design.seconds,
        "left_out": left_out(design),
        "noticed": noticed(design),
        "cannot": cannot(design),
        "accept": accepts(design),
        "record": None if record is None else record.paths(),
        "notices": [] if record is None else list(record.notices),
    }
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(said))  # lists for tuples, null for infinity
    return found


def _training(design: Design) -> dict[str, Any]:
    return {**msgspec.to_builtins(design.training), "evidence": msgspec.to_builtins(design.training_evidence)}


def _serving(design: Design) -> dict[str, Any]:
    evidence, workload = design.serving_evidence, design.serving_evidence.workload
    best, proof = chosen(design), replayed(design)
    return {
        **msgspec.to_builtins(design.serving),
        "evidence": {
            "cardinality": None if workload is None else workload.entities,
            "peakedness": None if workload is None else workload.peakedness,
            "new_entity_rate": None if workload is None else workload.new_entity_rate,
            "coverage": [] if workload is None else msgspec.to_builtins(workload.coverage),
            **msgspec.to_builtins(evidence),
        },
        "forecast": None if best is None else msgspec.to_builtins(best),
        "replayed": None
        if proof is None
        else {
            **msgspec.to_builtins(proof),
            "error": {
                "hit": proof.forecast_hit - proof.hit,
                "cpu": error(proof.forecast_cpu, proof.cpu),
                "p50": error(proof.forecast_p50, proof.p50),
            },
        },
    }
