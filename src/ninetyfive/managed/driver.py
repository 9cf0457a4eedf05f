"""The main program of a job on a Spark service: runs the plans of its folder with the session that it finds.

    driver.py <folder> <id> ─▶ plans ─ SparkEngine ─▶ <id>/files/… ─▶ results | <id>/error

An attempt that begins again clears what it wrote before; results that are there are left as they are.
What does not belong here: what is submitted (`dataproc`), and the client of a service: none is imported here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from ninetyfive.engines.shipping import pack_error
from ninetyfive.engines.spark import SparkEngine
from ninetyfive.errors import NinetyfiveError, ServiceError
from ninetyfive.managed.packing import ERROR, FILES, PLANS, RESULTS, Place, pack_results, unpack
from ninetyfive.plan import Engine


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the job whose folder and id are the arguments; exit code 1 where an error of ours is written there."""
    folder, id = sys.argv[1:] if arguments is None else arguments
    place = Place(folder)
    if place.read(RESULTS) is not None:
        return
    try:
        work(place, id, lambda memory: SparkEngine(partition_memory=memory))
    except NinetyfiveError as error:
        print(error, file=sys.stderr)
        place.write(f"{id}/{ERROR}", pack_error(error))
        sys.exit(1)


def work(place: Place, id: str, engine_of: Callable[[int], Engine]) -> None:
    """Run the plans of a place as the attempt `id`, by an engine of so many bytes a partition; leave results there."""
    packed = place.read(PLANS)
    if packed is None:
        raise ServiceError(
            f"folder {place.url}",
            expected="the plans of a job",
            got="none",
            do="submit it again; see that nothing removes the folder while its job runs",
        )
    place.remove(id)
    plans, partition_memory = unpack(packed, f"{place.url}/{id}/{FILES}")
    place.write(RESULTS, pack_results(plans, engine_of(partition_memory).run(plans)))
