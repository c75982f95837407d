"""Artifacts: no manifest, no artifact; a changed, missing or added file is found and named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from thinkling.core.artifact import Artifact, Manifest, hash_files, identity, sha256_file, write_manifest
from thinkling.core.errors import UserError


def make(folder: Path) -> Artifact:
    (folder / "sub").mkdir(parents=True)
    (folder / "model.bin").write_bytes(bytes(range(256)))
    (folder / "sub" / "notes.txt").write_text("notes")
    (folder / "log.jsonl").write_text('{"step": 0}\n')
    (folder / ".hidden").write_text("x")
    draft = Manifest("", "toy", {"a": "1"}, {"stage": "toy", "parents": {"a": "x"}}, "c", hash_files(folder))
    manifest = dataclasses.replace(draft, id=identity(draft))
    write_manifest(folder, manifest)
    return Artifact.open(folder)


def test_a_folder_without_a_manifest_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(UserError, match="unfinished or no artifact"):
        Artifact.open(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        Artifact.open(tmp_path / "nowhere")


def test_a_sound_artifact_verifies_and_lists_what_counts(tmp_path: Path) -> None:
    artifact = make(tmp_path / "a")
    artifact.verify()
    assert sorted(artifact.manifest.files) == ["model.bin", "sub/notes.txt"]
    assert artifact.name == "a" and artifact.log() == [{"step": 0}] and artifact.timing() == {}


@pytest.mark.parametrize("position", [0, 100, 255])
def test_a_flipped_byte_is_named_with_both_hashes(tmp_path: Path, position: int) -> None:
    artifact = make(tmp_path / "a")
    file = artifact.path / "model.bin"
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        artifact.verify()
    expected, found = artifact.manifest.files["model.bin"], sha256_file(file)
    assert f"{file}: expected sha256 {expected}, found {found}" in str(caught.value)
    assert "notes.txt" not in str(caught.value)


def test_a_missing_and_an_added_file_are_named(tmp_path: Path) -> None:
    artifact = make(tmp_path / "a")
    (artifact.path / "sub" / "notes.txt").unlink()
    (artifact.path / "extra.bin").write_bytes(b"")
    with pytest.raises(UserError) as caught:
        artifact.verify()
    assert f"notes.txt: missing; expected sha256 {artifact.manifest.files['sub/notes.txt']}" in str(caught.value)
    assert "extra.bin: not in the manifest" in str(caught.value)


def test_a_manifest_edited_to_match_is_caught_by_its_id(tmp_path: Path) -> None:
    artifact = make(tmp_path / "a")
    (artifact.path / "model.bin").write_bytes(b"forged")
    file = artifact.path / "manifest.json"
    fields = json.loads(file.read_text())
    fields["files"]["model.bin"] = sha256_file(artifact.path / "model.bin")
    file.write_text(json.dumps(fields))
    with pytest.raises(UserError, match="does not match its own content"):
        Artifact.open(artifact.path).verify()


def test_a_torn_manifest_is_the_users_error(tmp_path: Path) -> None:
    artifact = make(tmp_path / "a")
    file = artifact.path / "manifest.json"
    file.write_text(file.read_text()[:50])
    with pytest.raises(UserError, match="not a manifest"):
        Artifact.open(artifact.path)


def test_the_id_depends_on_content_and_not_on_names_metrics_or_logs(tmp_path: Path) -> None:
    one = make(tmp_path / "a").manifest
    assert identity(dataclasses.replace(one, metrics={"x": 1}, environment={"python": "4"})) == one.id
    assert identity(dataclasses.replace(one, recipe={"stage": "toy", "parents": {"a": "other"}})) == one.id
    for changed in (
        dataclasses.replace(one, kind="other"),
        dataclasses.replace(one, recipe={"stage": "toy", "seed": 1}),
        dataclasses.replace(one, parents={"a": "2"}),
        dataclasses.replace(one, code="d"),
        dataclasses.replace(one, files={}),
        dataclasses.replace(one, inputs={"x.py": "1"}),
    ):
        assert identity(changed) != one.id


def test_metrics_that_are_not_json_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    artifact = make(tmp_path / "a")
    before = (artifact.path / "manifest.json").read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        write_manifest(artifact.path, dataclasses.replace(artifact.manifest, metrics={"loss": float("nan")}))
    assert (artifact.path / "manifest.json").read_bytes() == before
