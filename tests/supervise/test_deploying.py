"""What `deploy render` writes: manifests that parse, names that are none of a shell's, and a folder that serves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.supervise.conftest import KEY_FILE, ROW, ask, until

from ninetyfive.errors import UsageError
from ninetyfive.store.manifests import check_folder
from ninetyfive.supervise.deploying import check_image, resource_name

if TYPE_CHECKING:
    from tests.conftest import Project


@pytest.fixture(scope="module")
def rendered(pair: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered") / "out"
    words = ["deploy", "render", "--to", folder, "--image", "registry.example/team/trips:7", "--insecure", "--json"]
    said = pair.command(*words)
    assert said.code == 0, said
    assert set(said.json["files"]) == {
        *("Dockerfile", "kubernetes.yaml", "requirements.txt", "wheels/README", "service/config.json")
    }
    return folder


def test_the_manifest_is_what_it_should_be(rendered: Path) -> None:
    deployment, service = yaml.safe_load_all((rendered / "kubernetes.yaml").read_text(encoding="utf-8"))
    assert (deployment["kind"], service["kind"]) == ("Deployment", "Service")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "registry.example/team/trips:7"
    config = json.loads((rendered / "service" / "config.json").read_text(encoding="utf-8"))
    sleep = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > sleep + config["limits"]["drain"]
    for probe, path in (("startup", "ready"), ("readiness", "ready"), ("liveness", "live")):
        assert container[f"{probe}Probe"]["httpGet"]["path"] == f"/v2/health/{path}"
    assert container["ports"][0]["containerPort"] == config["port"] == 8080
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    assert Path(config["counters"]).parent.as_posix() in mounts
    assert set(mounts.values()) == {one["name"] for one in pod["volumes"]}
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels == deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]


def test_the_image_has_these_versions_and_no_root(rendered: Path) -> None:
    lines = (rendered / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim" in lines
    user = next(line for line in lines if line.startswith("USER"))
    assert user not in ("USER root", "USER 0")
    config = json.loads((rendered / "service" / "config.json").read_text(encoding="utf-8"))
    kept = Path(config["counters"]).parent
    number = user.rpartition(":")[2]
    assert lines.index(f"RUN install -d -m 0700 -o {number} -g {number} {kept}") < lines.index(user)
    assert lines[-1] == 'ENTRYPOINT ["python", "-P", "-m", "ninetyfive.serve", "config.json"]'
    copied = [line.split()[1].rstrip("/") for line in lines if line.startswith("COPY")]
    assert all((rendered / name).exists() for name in copied)
    pins = dict(line.split("==") for line in (rendered / "requirements.txt").read_text(encoding="utf-8").splitlines())
    for name, version in pins.items():
        assert metadata.version(name) == version
    assert {"onnxruntime", "tzdata", "uvicorn"} <= set(pins)
    assert "scikit-learn" not in pins


def test_the_release_is_whole_and_the_configuration_holds_anywhere(rendered: Path, pair: Project) -> None:
    config = json.loads((rendered / "service" / "config.json").read_text(encoding="utf-8"))
    assert check_folder(rendered / "service" / config["live"]["folder"]) == check_folder(pair.release(pair.champion()))
    assert config["live"]["release"] == pair.champion()
    text = json.dumps(config)
    assert str(pair.folder) not in text
    assert str(rendered) not in text


@pytest.mark.slow
def test_a_worker_serves_from_the_folder_alone(rendered: Path, pair: Project, tmp_path: Path) -> None:
    """As Vertex AI runs the container, but that the one folder that is written to is another."""
    path = tmp_path / "config.json"
    config: dict[str, Any] = json.loads((rendered / "service" / "config.json").read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "counters": str(tmp_path / "1.counters")}), encoding="utf-8")
    words = [sys.executable, "-P", "-m", "ninetyfive.serve", path]
    platform = {"AIP_HTTP_PORT": "18095", "AIP_HEALTH_ROUTE": "/ping", "AIP_PREDICT_ROUTE": "/v1/endpoints/1:predict"}
    process = subprocess.Popen(words, cwd=rendered / "service", env=os.environ | platform, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _status(18095) == 200)
        assert ask(18095, "GET", "/ping").status == 200
        for route in ("/v1/models/trips:predict", platform["AIP_PREDICT_ROUTE"]):
            answered = ask(18095, "POST", route, {"instances": [ROW]}, host="trips.example")
            assert answered.json["metadata"]["release"] == pair.champion()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_a_worker_that_cannot_begin_says_why(rendered: Path, tmp_path: Path) -> None:
    def said(*words: str | Path) -> str:
        command = [sys.executable, "-P", "-m", "ninetyfive.serve", *words]
        done = subprocess.run(command, cwd=rendered / "service", capture_output=True, text=True, check=False)
        assert done.returncode == 1
        return done.stderr

    assert said("nothing.json").startswith("nothing.json: [Errno 2] No such file or directory")
    config = json.loads((rendered / "service" / "config.json").read_text(encoding="utf-8"))
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**config, "counters": str(tmp_path / "none" / "1.counters")}), encoding="utf-8")
    assert said(path).endswith(
        f"expected the folder {tmp_path / 'none'}, got none. To do: make it, or name another in the file.\n"
    )


def _status(port: int) -> int:
    try:
        return ask(port, "GET", "/v2/health/ready").status
    except OSError:
        return 0


def test_without_a_token_it_wants_to_be_told(two: Project, tmp_path: Path) -> None:
    words = ("deploy", "render", "--to", tmp_path / "out", "--json")
    said = two.command(*words)
    assert said.code == 2
    assert "--insecure" in said.json["error"]["do"]
    assert not (tmp_path / "out").exists()
    two.load().new_token("predict")
    assert two.command(*words).code == 0
    access = json.loads((tmp_path / "out/service/config.json").read_text(encoding="utf-8"))["access"]
    assert access["required"]
    assert [one["scope"] for one in access["tokens"]] == ["read", "predict"]
    keys = json.loads((two.folder / KEY_FILE).read_text(encoding="utf-8")).values()
    assert not [key for key in keys if key in json.dumps(access)]
    assert two.command(*words).code == 2  # it holds something now


IMAGES = (
    *("trips", "trips:1", "team/trips:v1.2-3", "europe-docker.pkg.dev/team/models/trips:1", "localhost:5000/trips"),
    "trips@sha256:" + "0" * 64,
)
NO_IMAGES = (
    *("", "Trips", "trips:1\nRUN rm -rf /", 'trips" # ', "a b", "trips:", "$(id)", "trips;id", "`id`", "../x"),
    *("x" * 9_999, "trips@sha256:00", "trips\n"),
)


@pytest.mark.parametrize("image", IMAGES)
def test_images(image: str) -> None:
    assert check_image(image) == image


@pytest.mark.parametrize("image", NO_IMAGES)
def test_what_is_no_image(image: str) -> None:
    with pytest.raises(UsageError):
        check_image(image)


@pytest.mark.parametrize(
    ("system", "expected"), [("trips", "trips"), ("a_b", "a-b"), ("a-", "a"), ("0_", "0"), ("a" * 63, "a" * 50)]
)
def test_names_of_kubernetes(system: str, expected: str) -> None:
    assert resource_name(system) == expected
