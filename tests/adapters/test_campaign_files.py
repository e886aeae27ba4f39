"""D1: a campaign's file and what it names, read from a folder."""

import os
from pathlib import Path

import pytest

from mailrotate.adapters.campaign_files import LARGEST_CAMPAIGN_FILE, read_campaign
from mailrotate.core.values.errors import BadInput, NotFound
from mailrotate.core.values.letter import MOST_ATTACHED_BYTES

CAMPAIGN = 'name = "x"\n[[steps]]\nsubject = "s"\nbody = "intro.md"\n'


def written(folder: Path, extra: str = "") -> Path:
    (folder / "intro.md").write_text("Hi {{ first_name }}")
    path = folder / "c.toml"
    path.write_text(CAMPAIGN + extra)
    return path


def problem_of(path: Path) -> str:
    with pytest.raises(BadInput) as refusal:
        read_campaign(path)
    assert refusal.value.code == "campaign.invalid"
    (problem,) = refusal.value.problems
    return problem


def test_d1_files_are_found_beside_the_campaign_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.pdf").write_bytes(b"%PDF")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "b.txt").write_bytes(b"b")
    path = written(tmp_path, f'attach = ["docs/a.pdf", "{(elsewhere / "b.txt").as_posix()}"]\n')
    monkeypatch.chdir(elsewhere)
    (step,) = read_campaign(path).steps
    assert step.body == "Hi {{ first_name }}"
    assert [(file.filename, file.data) for file in step.attachments] == [("a.pdf", b"%PDF"), ("b.txt", b"b")]


def test_d1_a_campaign_file_may_begin_with_a_bom(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_campaign(path).name == "x"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone.pdf", "cannot be read: No such file or directory"),
        (".", "is not a file"),
        ("pipe", "is not a file"),
        ("huge", "is larger than 18 MB"),
        ("a\\u0000b", "cannot be read"),
        ("x" * 300, "cannot be read"),
    ],
)
def test_d1_a_file_that_cannot_be_read_is_reported_with_its_key(
    tmp_path: Path, name: str, reason: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(MOST_ATTACHED_BYTES + 1)
    path = written(tmp_path, f'attach = ["{name}"]\n')
    problem = problem_of(path)
    assert problem.startswith(f"{path}:5: steps[1].attach: '")
    assert reason in problem


def test_d1_a_mistake_in_a_body_is_reported_in_the_body(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "intro.md").write_text("Hi\n{{ name | nope }}")
    # Both files are named from where the command was typed.
    assert problem_of(path).startswith(f"{tmp_path}/intro.md:2: there is no filter 'nope'")


def test_a_missing_campaign_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as refusal:
        read_campaign(tmp_path / "none.toml")
    assert refusal.value.code == "campaign_file.missing"


@pytest.mark.parametrize("content", [None, b"name = '\xfc'", b"#" * (LARGEST_CAMPAIGN_FILE + 1)])
def test_a_campaign_file_that_is_no_text_of_sane_size_is_refused(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "c.toml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(BadInput) as refusal:
        read_campaign(path)
    assert refusal.value.code == "campaign_file.unreadable"
    assert str(path) in refusal.value.message
