"""Finding the system that a command is about."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ninetyfive.cli.project import load_system
from ninetyfive.errors import DeclarationError, UsageError

if TYPE_CHECKING:
    from tests.conftest import Project

BARE = "import ninetyfive as nf\nfrom ninetyfive import col\n"
ONE = 's = nf.System("s", source=nf.parquet("a", id="k"), label=col("y") > 1, features={"a": col("a")})\n'


def wrong(project: Project, text: str, kind: type[Exception] = DeclarationError) -> str:
    path = project.folder / "system.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(kind) as caught:
        project.load()
    return str(caught.value)


def test_a_folder_without_a_system() -> None:
    with pytest.raises(UsageError, match="start one with `ninetyfive init`"):
        load_system(Path("nowhere") / "system.py")


def test_a_file_that_is_no_python(tmp_path: Path) -> None:
    (tmp_path / "system.txt").write_text("x")
    with pytest.raises(UsageError, match=r"expected a Python file, got \.txt"):
        load_system(tmp_path / "system.txt")


def test_faults_are_told_with_their_line(project: Project) -> None:
    assert "system.py, line 3: expected a file that Python can execute, got SyntaxError" in wrong(
        project, BARE + "s = nf.System(\n"
    )
    assert "line 3: expected a file that Python can execute, got NameError" in wrong(project, BARE + "nothing\n")
    assert "line 3" in wrong(project, BARE + ONE.replace("features", "featurs"))
    assert "got ModuleNotFoundError" in wrong(project, "import nowhere_to_be_found\n")
    assert "got SystemExit" in wrong(project, "raise SystemExit(3)\n")
    (project.folder / "part_of_it.py").write_text("x = 1 / 0\n", encoding="utf-8")
    assert "system.py, line 1" in wrong(project, "import part_of_it\n")


@pytest.mark.parametrize(
    ("right", "wrong_word"),
    [
        ("label=", "lable"),
        ("id=", "idd"),
        ('nf.Split("time", test=0.5)', "tets"),
        ('nf.StaticTraining(window="30d")', "windw"),
        ('col("a").clip(low=1)', "lo"),
        ('nf.feature(len, [col("a")], returns="number")', "retrns"),
    ],
)
def test_a_word_that_ours_do_not_take_is_told_with_the_one_that_was_meant(
    project: Project, right: str, wrong_word: str
) -> None:
    (word,) = re.findall(r"(\w+)=", right)
    text = BARE + (ONE if right in ONE else f"x = {right}\n")
    said = wrong(project, text.replace(f"{word}=", f"{wrong_word}="))
    assert f"unexpected keyword argument '{wrong_word}'" in said
    assert f"did you mean '{word}'" in said


def test_an_error_of_the_declaration_is_told_as_it_is(project: Project) -> None:
    assert "'Big'" in wrong(project, BARE + ONE.replace('"s"', '"Big"'))


def test_there_is_one_system_in_a_file_and_where_it_trains_it_has_a_model(project: Project) -> None:
    assert "expected one nf.System(...), got 0" in wrong(project, BARE, UsageError)
    assert "expected one nf.System(...), got 2" in wrong(project, BARE + ONE + "t" + ONE[1:], UsageError)
    (project.folder / "system.py").write_text(BARE + ONE, encoding="utf-8")
    assert project.load().declared_model is None
    with pytest.raises(DeclarationError, match=r"write a function below `@s\.model\(params=\.\.\.\)`"):
        load_system(project.folder / "system.py", trains=True)
    model = "@s.model\ndef model(x, y, params):\n    return None\n"
    (project.folder / "system.py").write_text(BARE + ONE + "again = s\n" + model, encoding="utf-8")
    assert project.load().name == "s"


def test_modules_beside_the_system_are_found(project: Project) -> None:
    (project.folder / "limits_beside.py").write_text("LIMIT = 3.0\n", encoding="utf-8")
    project.edit(
        ("> 3.0", "> LIMIT"),
        ("import ninetyfive as nf\n", "import ninetyfive as nf\nfrom limits_beside import LIMIT\n"),
    )
    assert str(project.load().label) == 'col("tip") > 3.0'
