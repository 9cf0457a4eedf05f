"""FastAPI round the pipeline, as one writes it: a pydantic model of a row, an endpoint, `predict_proba`.

Settings: FastAPI and uvicorn of fastapi.lock with uvloop and httptools, one worker, no access log. The endpoint is
`async def`: at one connection that is quicker than a thread. What does not belong here: the pipeline (`pipeline`).
"""

import os
from datetime import datetime

import joblib
from bench.peers.pipeline import answers
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
fitted = joblib.load(os.environ["PIPELINE"])


class Flight(BaseModel):
    """What is known of a flight before it departs."""

    carrier: str
    flight: int
    origin: str
    scheduled_at: datetime
    tailnum: str | None = None
    dest: str | None = None
    distance: int | None = None
    arrival_minute: int | None = None
    temp: float | None = None
    dewp: float | None = None
    humid: float | None = None
    wind_dir: int | None = None
    wind_speed: float | None = None
    wind_gust: float | None = None
    precip: float | None = None
    pressure: float | None = None
    visib: float | None = None
    manufacturer: str | None = None
    engines: int | None = None
    seats: int | None = None
    plane_year: int | None = None
    dest_lat: float | None = None
    dest_lon: float | None = None
    dest_alt: int | None = None


class Flights(BaseModel):
    """A request."""

    instances: list[Flight]


class Predictions(BaseModel):
    """An answer."""

    predictions: list[float]


@app.post("/v1/models/flight-delays:predict")
async def predict(asked: Flights) -> Predictions:
    """The probability of each flight to be late."""
    return Predictions(predictions=answers(fitted, [flight.model_dump() for flight in asked.instances]))
