"""The dated table of what managed services cost: `prices.toml` beside this file, with a source and a date for each.

    prices.toml ─ price_table() ─▶ PriceTable ─▶ design/sizing, managed/estimating

What does not belong here: the prices by which designs are compared, which a user sets in `[prices]` (`settings`).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

HOURS = 730.0
"""Hours of a month, of which all costs are told: 8,760 / 12."""
MONTH = HOURS * 3_600
"""Seconds of a month."""


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A list price: `value` a `unit` of a `service`, by its `source`, as it stood at `as_of` (or "undated").

    `seen`: "page" (a stored copy of the vendor's page), "quoted" (others quote the page, with a date) or "undated".
    """

    value: float
    unit: str
    service: str
    source: str
    as_of: str
    seen: Literal["page", "quoted", "undated"]


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the price table holds, by name."""

    vm_core_hour: Price
    vm_gib_hour: Price
    storage_gib_month: Price
    spark_dcu_hour: Price
    beam_core_hour: Price
    beam_gib_hour: Price
    train_node_hour: Price
    predict_node_hour: Price


class PriceTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices in one `currency` and `region`; `dated` is when the table was last gone through."""

    dated: str
    currency: str
    region: str
    prices: Prices


@cache
def price_table() -> PriceTable:
    """The table that this version brings.

    >>> price_table().currency, price_table().prices.spark_dcu_hour.value
    ('USD', 0.06)
    """
    text = files("ninetyfive").joinpath("prices.toml").read_text(encoding="utf-8")
    return msgspec.toml.decode(text, type=PriceTable)
