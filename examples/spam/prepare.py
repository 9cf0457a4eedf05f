"""Make up 60 days of mail: 20,000 judged messages to learn from, and the 200,000 requests of the last ten days.

    data/messages-01.parquet … -06.parquet    judged messages, ten days a file
    requests/*.parquet                        every message of the last ten days, as a filter's request log

Nothing here is real mail. What the generator assumes, and why:

- **Spammers answer the filter.** Six campaigns run at any time. Each has its own words (a product, misspelt in its
  own way, and a made-up shop) and lives for three to six days; then another one takes its place, with words that were
  never seen. A filter that learnt last week knows none of this week's words. What it can still use are the habits of
  all spam: many links, shouting, addresses that were registered lately; spammers know those habits too, so they tell
  only so much. And they hide their own words among good ones, half and half ("good word attacks", Lowd and Meek, CEAS
  2005).
- **Ham does not move.** Friends, colleagues and shops write with the same words all the time, and with many names.
- **Judgements come six hours late**, when the reader has opened the mailbox, and are wrong for two in a hundred.
- **Inputs are unbounded.** A message is written once. Three in a hundred requests are a message that came a minute
  before (sent to a second mailbox); every other one is new. A table of answers holds what nobody asks for again.

The seed is fixed: the same files each time, but for the names and random salts of the request log's spans.
"""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
from system import spam

from ninetyfive.testing.request_logs import write_request_log

HERE = Path(__file__).parent
BEGIN, DAYS, LOGGED_DAYS = datetime(2026, 1, 1), 60, 10
JUDGED, REQUESTS = 20_000, 200_000
SPAM, AT_ONCE, AGAIN, WRONG = 0.4, 6, 0.03, 0.02
SECONDS = 86_400
ONSETS, VOWELS = list("bcdfghklmnprstvwz"), list("aeiou")


def words(chance: np.random.Generator, count: int, syllables: int) -> np.ndarray:
    """Made-up words of so many syllables."""
    parts = [chance.choice(letters, (count, syllables)) for letters in (ONSETS, VOWELS)]
    return np.array(
        ["".join(a + b for a, b in zip(*row, strict=True)) for row in zip(*parts, strict=True)], dtype=object
    )


def campaigns(chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The words of every campaign, and for each hour which campaigns run: (campaigns × 8), (hours × AT_ONCE)."""
    running = np.zeros((DAYS * 24, AT_ONCE), dtype=np.int64)
    count = 0
    for slot in range(AT_ONCE):
        hour = -int(chance.integers(0, 72))
        while hour < DAYS * 24:
            end = hour + int(chance.integers(72, 145))
            running[max(hour, 0) : end, slot] = count
            hour, count = end, count + 1
    return words(chance, count * 8, 3).reshape(count, 8), running


def messages(chance: np.random.Generator, seconds: np.ndarray, lexicon: tuple[np.ndarray, ...]) -> pl.DataFrame:
    """A message for each moment: what a filter sees of it, and whether it is spam."""
    ham_words, spoken, names, own, running = lexicon
    count = len(seconds)
    is_spam = chance.random(count) < SPAM
    campaign = running[seconds // 3600, chance.integers(0, AT_ONCE, count)]
    # Words of ham follow Zipf's law; both kinds use the small words that everybody uses.
    rank = np.minimum(chance.zipf(1.3, (count, 6)) - 1, len(ham_words) - 1)
    body, theirs = ham_words[rank], own[campaign[:, None], chance.integers(0, 8, (count, 3))]
    body[:, :3] = np.where(is_spam[:, None], theirs, names[chance.integers(0, len(names), (count, 3))])
    body = np.hstack([spoken[chance.integers(0, len(spoken), (count, 4))], body])
    reference = chance.integers(10**7, 10**8, count)
    return pl.DataFrame(
        {
            "received_at": pl.Series(np.datetime64(BEGIN, "us") + seconds.astype("timedelta64[s]")),
            # A message names somebody, an order or a date: no two have one text.
            "text": [" ".join(row) + f" ref {number}" for row, number in zip(body, reference, strict=True)],
            "links": chance.poisson(np.where(is_spam, 2.2, 0.9)),
            "capitals": np.round(chance.beta(np.where(is_spam, 2.5, 2.0), 12.0), 3),
            "domain_days": np.round(chance.lognormal(np.where(is_spam, 4.6, 6.2), 1.4), 1),
            "is_spam": is_spam ^ (chance.random(count) < WRONG),
        }
    )


def generate() -> tuple[pl.DataFrame, pl.DataFrame]:
    """The judged messages in order of time, and the requests with the time of each."""
    chance = np.random.default_rng(95)
    lexicon = (words(chance, 3_000, 2), words(chance, 60, 1), words(chance, 20_000, 3), *campaigns(chance))
    judged = messages(chance, np.sort(chance.integers(0, DAYS * SECONDS, JUDGED)), lexicon)
    judged = judged.with_columns(message=pl.int_range(pl.len()))
    moments = chance.integers((DAYS - LOGGED_DAYS) * SECONDS, DAYS * SECONDS, round(REQUESTS * (1 - AGAIN)))
    once = messages(chance, np.sort(moments), lexicon).drop("is_spam")
    again = once.sample(REQUESTS - once.height, seed=95)
    asked = pl.concat(
        [
            once.with_columns(request_time="received_at"),
            again.with_columns(request_time=pl.col("received_at") + pl.duration(seconds=60)),
        ]
    ).sort("request_time", maintain_order=True)
    return judged, asked.with_columns(message=JUDGED + pl.int_range(pl.len()))


def main() -> None:
    judged, asked = generate()
    for name in ("data", "requests"):
        shutil.rmtree(HERE / name, ignore_errors=True)
    (HERE / "data").mkdir()
    part = (pl.col("received_at") - BEGIN).dt.total_days() // 10
    for number in range(6):
        judged.filter(part == number).write_parquet(HERE / "data" / f"messages-{number + 1:02}.parquet")
    spans = write_request_log(HERE / "requests", spam, asked.select(*judged.drop("is_spam").columns, "request_time"))
    share = 1 - asked["text"].n_unique() / asked.height
    print(f"data: {judged.height:,} judged messages of {DAYS} days, {judged['is_spam'].mean():.0%} spam (made up)")
    print(f"requests: {asked.height:,} requests of {LOGGED_DAYS} days in {len(spans)} spans (made up)")
    print(f"  asked before: {share:.1%}")


if __name__ == "__main__":
    main()
