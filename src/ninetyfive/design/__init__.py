"""The design command: which training and which serving a system needs, measured, decided and proved.

    history ─ backtest ─▶ decay, windows, policies ─▶ choose_training ─┐
    request log ─ workload ─┐                                          ├─▶ Design ─▶ design/0001.md, .html, .toml
    this machine ─ costs ───┴▶ forecast ─▶ choose_serving ─▶ proof ────┘              └─ accept ─▶ in force

The rule: what was measured is `evidence`, what follows from it is a pure function of it, and what could not be measured
is said. What does not belong here: doing what was decided (`run`, `supervise`).
"""

BUDGET = 180.0
"""Seconds that a design may take where nobody says how many."""
