"""LitServe round the pipeline, with batching: up to 64 requests, after at most 2 ms.

    python -m bench.peers.litserve_app PORT

Settings: LitServe of litserve.lock, on the CPU, one worker, one API server, no access log. A request holds one row.
What does not belong here: the pipeline (`pipeline`).
"""

import os
import sys
from typing import Any

import joblib
import litserve
from bench.peers.pipeline import answers


class Flights(litserve.LitAPI):
    """The pipeline as LitServe calls it."""

    def setup(self, _: str) -> None:
        """Load it."""
        self.fitted = joblib.load(os.environ["PIPELINE"])

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        """The one row of a request."""
        [row] = request["instances"]
        return row

    def batch(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rows stay rows: the pipeline makes one data frame of them."""
        return inputs

    def predict(self, x: list[dict[str, Any]]) -> list[float]:
        """All rows of a batch at once."""
        return answers(self.fitted, x)

    def unbatch(self, output: list[float]) -> list[float]:
        """One answer a request."""
        return output

    def encode_response(self, output: float) -> dict[str, list[float]]:
        """The answer."""
        return {"predictions": [output]}


if __name__ == "__main__":
    api = Flights(max_batch_size=64, batch_timeout=0.002, api_path="/v1/models/flight-delays:predict")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        log_level="error",
        access_log=False,
        generate_client_file=False,
    )
