"""A folder that is a service: the live release with all that a container needs to answer by it.

    Dockerfile, requirements.txt, wheels/     the image: this Python, these versions, the folder below; no root
    kubernetes.yaml                           a Deployment with probes, drain and limits, and a Service
    service/config.json, release/, table/     what one worker reads: python -m ninetyfive.serve config.json

The rule: one container, one worker, one release: a new release is a new image, and the platform swaps. All that is
written is checked or comes from a list; no text of the user's stands in a shell.
What does not belong here: the store and catalog, which no container of it needs.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from ninetyfive.errors import UsageError
from ninetyfive.models.forms import needed
from ninetyfive.models.release import open_release
from ninetyfive.serve import messages
from ninetyfive.serve.messages import Access, Live, Log, Token, WorkerConfig
from ninetyfive.store.failures import disk_errors
from ninetyfive.store.opening import Store
from ninetyfive.supervise.copies import Copies
from ninetyfive.version import __version__

_IMAGE = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9.-]{0,200}[a-z0-9])?(?::[0-9]{1,5})?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+){0,30}"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
_LONGEST = 512
_LIBRARIES = (
    *("httptools", "lmdb", "msgspec", "numpy", "onnxruntime", "polars", "prometheus-client"),
    *("tzdata", "uvicorn", "uvloop", "xxhash"),
)
_USER = 10095
_DATA = "/var/lib/ninetyfive"
_SETTLE = 5
_MARGIN = 10

_DOCKERFILE = """\
# Written by `ninetyfive deploy render` for release {release}.
FROM python:{python}-slim
WORKDIR /srv/service
COPY requirements.txt /srv/
COPY wheels/ /srv/wheels/
RUN pip install --no-cache-dir --find-links /srv/wheels -r /srv/requirements.txt
COPY service/ /srv/service/
RUN install -d -m 0700 -o {user} -g {user} {data}
USER {user}:{user}
EXPOSE {port}
ENTRYPOINT ["python", "-P", "-m", "ninetyfive.serve", "config.json"]
"""

_WHEELS = """\
Wheels that are not to be had from an index: pip looks here too. As long as no index has this version of ninetyfive, its
own is one of them: `make wheel` of a checkout writes it into build/dist.
"""

_KUBERNETES = """\
# Written by `ninetyfive deploy render` for release {release}.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: {{app.kubernetes.io/name: {name}}}
spec:
  replicas: 2
  selector:
    matchLabels: {{app.kubernetes.io/name: {name}}}
  strategy:
    type: RollingUpdate
    rollingUpdate: {{maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata:
      labels: {{app.kubernetes.io/name: {name}}}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "{port}"
        prometheus.io/path: /metrics
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: {grace}
      securityContext:
        runAsNonRoot: true
        runAsUser: {user}
        runAsGroup: {user}
        fsGroup: {user}
        seccompProfile: {{type: RuntimeDefault}}
      containers:
        - name: worker
          image: "{image}"
          ports:
            - {{name: http, containerPort: {port}}}
          startupProbe:
            httpGet: {{path: /v2/health/ready, port: http}}
            periodSeconds: 1
            failureThreshold: 60
          readinessProbe:
            httpGet: {{path: /v2/health/ready, port: http}}
            periodSeconds: 2
            failureThreshold: 2
          livenessProbe:
            httpGet: {{path: /v2/health/live, port: http}}
            periodSeconds: 5
            failureThreshold: 3
          lifecycle:
            preStop:
              exec: {{command: ["sleep", "{settle}"]}}
          resources:
            requests: {{cpu: "1", memory: 512Mi}}
            limits: {{memory: 1Gi}}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {{drop: ["ALL"]}}
          volumeMounts:
            - {{name: data, mountPath: {data}}}
            - {{name: tmp, mountPath: /tmp}}
      volumes:
        - name: data
          emptyDir: {{sizeLimit: 4Gi}}
        - name: tmp
          emptyDir: {{sizeLimit: 64Mi}}
---
apiVersion: v1
kind: Service
metadata:
  name: {name}
  labels: {{app.kubernetes.io/name: {name}}}
spec:
  selector: {{app.kubernetes.io/name: {name}}}
  ports:
    - {{name: http, port: 80, targetPort: http}}
"""


def check_image(image: str) -> str:
    """An image's name as it was given; `UsageError` where it is none."""
    if len(image) > _LONGEST or not _IMAGE.fullmatch(image):
        raise UsageError(
            "deploy render --image",
            expected="the name of an image",
            got=repr(image),
            do="write it like europe-docker.pkg.dev/team/models/flights:1",
        )
    return image


def resource_name(system: str) -> str:
    """A system's name as one of Kubernetes: letters, digits and dashes, none at an end."""
    return re.sub(r"[^a-z0-9-]", "-", system).strip("-")[:50].strip("-")


def deployed_access(tokens: tuple[Token, ...], insecure: bool) -> Access:
    """Who may predict in a container, whose port others reach: who has a token; `UsageError` where there is none."""
    predictors = tuple(one for one in tokens if one.scope == "predict")
    if not predictors and not insecure:
        raise UsageError(
            "deploy render",
            expected="a token to predict, as others than this machine may call a container",
            got="none",
            do="make one (ninetyfive token new --scope predict), or say --insecure where something in front of it asks",
        )
    kept = tuple(one for one in tokens if one.scope in ("predict", "read"))
    return Access(tokens=kept, required=bool(predictors), hosts=("*",))


def render(config: WorkerConfig, store: Store, folder: Path, image: str | None) -> dict[str, Any]:
    """Write all of it into `folder`, which is new or empty, for what is live; returns what was written.

    `UsageError` where there is no champion, or the folder holds something.
    """
    champion = store.champion()
    if champion is None:
        raise UsageError("deploy render", expected="a champion", got="none", do="make one: ninetyfive run")
    if image is not None:
        check_image(image)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            str(folder), expected="a new or empty folder", got="one that holds something", do="name another with --to"
        )
    with tempfile.TemporaryDirectory() as scratch:
        live = Copies(Path(scratch)).take(store, champion)
        about = open_release(Path(live.folder), live.release).about
        files = _write(config, live, folder, image, native=needed(about.form, about.adapter))
    return {"folder": str(folder), "release": live.release, "table": live.table, "files": files}


def _write(config: WorkerConfig, live: Live, folder: Path, image: str | None, *, native: tuple[str, ...]) -> list[str]:
    name = resource_name(config.system)
    words = {
        "release": live.release,
        "name": name,
        "image": image or f"{name}:{live.release[:12]}",
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "user": _USER,
        "port": config.port,
        "data": _DATA,
        "settle": _SETTLE,
        "grace": int(_SETTLE + config.limits.drain + _MARGIN),
    }
    files = {
        "Dockerfile": _DOCKERFILE.format(**words),
        "kubernetes.yaml": _KUBERNETES.format(**words),
        "requirements.txt": _requirements(native),
        "wheels/README": _WHEELS,
    }
    with disk_errors(str(folder)):
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    log = None if config.log is None or config.log.mode == "off" else _log(config.log)
    config = msgspec.structs.replace(config, log=log, counters=f"{_DATA}/1.counters", metrics=True)
    write_service(config, live, folder / "service")
    return [*files, "service/config.json"]


def write_service(config: WorkerConfig, live: Live, folder: Path) -> None:
    """Write what one worker serves `live` from, wherever the folder is brought: config.json, release/ and table/."""
    placed = placed_config(config, live)
    with disk_errors(str(folder)):
        shutil.copytree(live.folder, folder / "release")
        if live.table_folder is not None:
            shutil.copytree(live.table_folder, folder / "table")
        text = msgspec.json.format(messages.encode(placed).decode(), indent=2) + "\n"
        (folder / "config.json").write_text(text, encoding="utf-8")


def placed_config(config: WorkerConfig, live: Live) -> WorkerConfig:
    """The configuration as it holds in such a folder: everything beside it, and open to the host around it."""
    return msgspec.structs.replace(
        config,
        name="w1",
        live=msgspec.structs.replace(
            live,
            folder="release",
            table_folder=None if live.table_folder is None else "table",
            table_checked=False,
        ),
        host="0.0.0.0",
        listen_fd=None,
        tls_cert=None,
        tls_key=None,
    )


def _log(log: Log) -> Log:
    return msgspec.structs.replace(
        log, folder=f"{_DATA}/requests", key_file=None if log.key_file is None else f"{_DATA}/log.key"
    )


def _requirements(native: tuple[str, ...]) -> str:
    """The package and what a worker stands on, in the versions that answered here."""
    names = (*_LIBRARIES, *native)
    pins = [f"{name}=={metadata.version(name)}" for name in names]
    return "\n".join([f"ninetyfive=={__version__}", *pins]) + "\n"
