"""Make up voice commands: 20,000 phrases with what was meant, and the 200,000 requests of the last two weeks.

    data/commands-1.parquet … -4.parquet    phrases that people have labelled, thirty days a file
    requests/*.parquet                      every phrase of the last two weeks, as a service's request log

Nobody said any of this. What the generator assumes, and why:

- **The relation is stable.** "turn on the kitchen lamp" means the same in April as in January. What is asked for does
  not change either: neither phrases nor their shares depend on the time. Three labels in a hundred are wrong at any
  time.
- **A few phrases dominate a long tail.** Of phrases, as of words, the r-th is said in proportion to 1/r (Zipf's law):
  the head is a few hundred commands that everybody gives, the tail is said once. Here the slope is 1.1 over the
  288,000 phrases that the grammar below can make.
- **New phrases never end.** So a table alone leaves requests without an answer, and a model alone computes "stop the
  timer" thousands of times.
- **The phrase is all that the model sees**, as text, so an answer that was computed beforehand stays right.
- **The model is dear**: several hundred trees for six intents, which beat a linear one. What an answer costs is
  measured, not assumed.

The seed is fixed: the same files each time, but for the names and random salts of the request log's spans.
"""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
from system import voice

from ninetyfive.testing.request_logs import write_request_log

HERE = Path(__file__).parent
BEGIN, DAYS, LOGGED_DAYS = datetime(2026, 1, 1), 120, 14
LABELLED, REQUESTS = 20_000, 200_000
SLOPE, WRONG, SECONDS = 1.1, 0.03, 86_400

VERBS = {
    "lights": "turn on,turn off,switch on,switch off,dim,brighten,light up,put out",
    "music": "play,put on,start,queue,skip,repeat,shuffle,stop",
    "timer": "set,start,cancel,stop,pause,add to,how long is left on,show",
    "weather": "tell me,what is,how is,give me,read,check,say,forecast",
    "calls": "call,ring,phone,dial,redial,hang up on,text,message",
    "shopping": "add,order,buy,put on the list,remember,get,reorder,take off the list",
}
THINGS = {
    "lights": "lamp,light,lights,spots,bulb,ceiling light,desk lamp,fairy lights,lantern,night light",
    "music": "song,album,playlist,radio,jazz,piano,rock,news show,podcast,audiobook",
    "timer": "timer,alarm,egg timer,countdown,pasta timer,reminder,stopwatch,wake-up call,oven clock,nap timer",
    "weather": "weather,temperature,rain,wind,sun,forecast,snow,humidity,storm warning,pollen count",
    "calls": "mum,dad,the office,my brother,my sister,grandma,the doctor,the school,the neighbour,a taxi",
    "shopping": "milk,bread,eggs,coffee,apples,soap,batteries,rice,cat food,tea",
}
WHERE = ",in the kitchen,in the bedroom,upstairs,downstairs,in the hall,outside,in the office,next door,at home"
WHEN = ",now,tonight,tomorrow,at six,in ten minutes,at noon,this evening,after lunch,on sunday,later,next week"
MANNERS = ",please,quickly,again,for me,if you can"


def pick(chance: np.random.Generator, words: str, count: int) -> np.ndarray:
    """So many of the words, which commas part."""
    return chance.choice(np.array(words.split(","), dtype=object), count)


def phrases(chance: np.random.Generator) -> pl.DataFrame:
    """What the grammar can say, in an order of chance, which is that of how often it is said, and what is meant."""
    made = []
    for intent, verbs in VERBS.items():
        said = [
            " ".join(f"{verb} {thing} {where} {when} {manner}".split())
            for verb in verbs.split(",")
            for thing in THINGS[intent].split(",")
            for where in WHERE.split(",")
            for when in WHEN.split(",")
            for manner in MANNERS.split(",")
        ]
        made.append(pl.DataFrame({"phrase": said, "intent": intent}))
    return pl.concat(made).sample(fraction=1.0, shuffle=True, seed=int(chance.integers(2**31)))


def spoken(chance: np.random.Generator, known: pl.DataFrame, first: int, count: int) -> pl.DataFrame:
    """So many commands from day `first` to the end, in order of time; few at night, most in the evening."""
    shares = np.arange(1, known.height + 1, dtype=np.float64) ** -SLOPE
    rank = np.searchsorted(np.cumsum(shares) / shares.sum(), chance.random(count))
    hours = np.array([1, 1, 1, 1, 1, 2, 5, 8, 6, 4, 4, 4, 5, 5, 4, 5, 6, 8, 10, 10, 8, 6, 4, 2], dtype=np.float64)
    seconds = (
        chance.integers(first, DAYS, count) * SECONDS
        + chance.choice(24, count, p=hours / hours.sum()) * 3600
        + chance.integers(0, 3600, count)
    )
    moments = pl.Series(np.datetime64(BEGIN, "us") + np.sort(seconds).astype("timedelta64[s]"))
    return known[rank].with_columns(said_at=moments).select("said_at", "phrase", "intent")


def generate() -> tuple[pl.DataFrame, pl.DataFrame]:
    """The labelled commands, and the requests."""
    chance = np.random.default_rng(95)
    known = phrases(chance)
    labelled = spoken(chance, known, 0, LABELLED)
    wrong = pl.Series(chance.random(LABELLED) < WRONG)
    other = pl.Series(pick(chance, ",".join(VERBS), LABELLED).astype(str))
    intent = pl.when(wrong).then(other).otherwise("intent").alias("intent")
    labelled = labelled.with_columns(intent, command=pl.int_range(pl.len()))
    asked = spoken(chance, known, DAYS - LOGGED_DAYS, REQUESTS).drop("intent")
    return labelled, asked.with_columns(command=LABELLED + pl.int_range(pl.len()), request_time="said_at")


def main() -> None:
    labelled, asked = generate()
    for name in ("data", "requests"):
        shutil.rmtree(HERE / name, ignore_errors=True)
    (HERE / "data").mkdir()
    part = (pl.col("said_at") - BEGIN).dt.total_days() // 30
    for number in range(4):
        labelled.filter(part == number).write_parquet(HERE / "data" / f"commands-{number + 1}.parquet")
    spans = write_request_log(HERE / "requests", voice, asked)
    often = asked["phrase"].value_counts(sort=True)["count"]
    print(f"data: {labelled.height:,} labelled commands of {DAYS} days (made up)")
    print(f"requests: {asked.height:,} requests of {LOGGED_DAYS} days in {len(spans)} spans (made up)")
    print(
        f"  phrases: {len(often):,}; the first hundred are {often.head(100).sum() / asked.height:.0%} of the requests"
    )


if __name__ == "__main__":
    main()
