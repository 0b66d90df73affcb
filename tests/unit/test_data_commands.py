"""`evalkit data`: fetched whole or not at all, terms first, held to hashes afterwards, everything wrong in one report."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import huggingface_hub
import pytest
from huggingface_hub import constants

from evalkit.benchmarks.dreambench import DREAMBENCH
from evalkit.benchmarks.manifest import MANIFEST_FILE, read_manifest
from evalkit.benchmarks.obtain import data_home, obtain
from evalkit.benchmarks.opens2v import OPENS2V
from evalkit.benchmarks.spec import BenchmarkSpec, read_spec
from evalkit.benchmarks.verify import verify
from evalkit.cli import main
from evalkit.engine.setting import Request, prepare
from evalkit.errors import DataError, PluginError, UsageError
from tests import fake_hub
from tests.fake_hub import COMMIT, FakeHub
from tests.fakes import benchmark_spec
from tests.unit.benchmark_samples import write_dreambench
from tests.unit.test_opens2v_benchmark import DOMAINS, FIRST, wrote

if TYPE_CHECKING:
    from collections.abc import Callable

DATASET = "BestWishYsh/OpenS2V-Eval"
ACCEPT = "CC BY-NC 4.0"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> BenchmarkSpec:
    """OpenS2V-Eval of five cases, in a cache of the test's own."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    spec = OPENS2V.spec.model_copy(update={"facts": {"domains": DOMAINS}})
    monkeypatch.setattr("evalkit.benchmarks.opens2v.read_spec", lambda _name: spec)
    return spec


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeHub:
    """A hub that has those five cases."""
    fake = fake_hub.install(monkeypatch, tmp_path / "hub")
    fake.publish(DATASET, fake_hub.files_in(wrote(tmp_path / "published")) | {"README.md": b"not asked for"})
    return fake


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """A command's exit code, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["data", *words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.mark.usefixtures("hub")
def test_a_fetch_says_the_terms_first_and_is_whole(told: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = told("fetch", "opens2v")
    home = data_home(OPENS2V.spec)
    assert (code, out) == (0, f"{home}\n")
    lines = err.splitlines()
    assert lines[:2] == [
        f"evalkit: OpenS2V-Eval from the hub dataset {DATASET}",
        f"evalkit: licence: {OPENS2V.spec.source.licence}",
    ]
    assert lines[2].startswith(f"evalkit: 9 files of {DATASET} at {COMMIT[:12]}; 0 are here, 9 to fetch, 0.0 MB")
    assert not (home / "README.md").exists()
    manifest = read_manifest(home)
    assert (manifest.benchmark, manifest.origin, manifest.accepted) == ("opens2v", f"{DATASET}@{COMMIT}", None)
    assert {name for name in manifest.files if "/" not in name} == {str(domain["file"]) for domain in DOMAINS.values()}
    assert len(manifest.files) == 9
    assert told("verify", "opens2v")[0] == 0


def test_what_is_here_whole_is_not_asked_for_again(hub: FakeHub) -> None:
    assert obtain(OPENS2V) == obtain(OPENS2V)
    assert len(hub.calls) == 2


def test_an_interrupted_fetch_leaves_no_data_and_is_gone_on_with(
    hub: FakeHub, told: Callable[..., tuple[int, str, str]]
) -> None:
    hub.after = 3
    code, _, err = told("fetch", "opens2v")
    assert code == 1
    assert "(the connection was lost); `evalkit data fetch opens2v` where the hub" in err.splitlines()[-1]
    assert not data_home(OPENS2V.spec).exists()
    assert len(hub.brought) == 3
    hub.after = None
    assert told("fetch", "opens2v")[0] == 0
    assert len(hub.brought) == len(set(hub.brought)) == 9


def test_offline_takes_what_is_here_and_says_what_is_not(
    hub: FakeHub, told: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, err = told("fetch", "opens2v", "--offline")
    assert code == 1
    assert f"of the hub dataset '{DATASET}' (offline, and nothing of it is in the hub client's cache" in err
    assert len(err.splitlines()) == 3
    hub.after = 7
    told("fetch", "opens2v")
    code, _, err = told("fetch", "opens2v", "--offline")
    assert code == 1
    assert "which is no whole copy of OpenS2V-Eval: cannot decode 'Images/" in err.splitlines()[-1]
    assert not (data_home(OPENS2V.spec) / MANIFEST_FILE).exists()
    assert [call.local for call in hub.calls] == [True, False, False, True]
    assert constants.HF_HUB_OFFLINE is False


def test_offline_is_enough_once_the_client_has_everything(hub: FakeHub, tmp_path: Path) -> None:
    obtain(OPENS2V)
    brought = len(hub.brought)
    assert obtain(OPENS2V, tmp_path / "elsewhere", offline=True) == tmp_path / "elsewhere"
    assert len(hub.brought) == brought


@pytest.mark.usefixtures("hub")
def test_a_folder_of_ones_own_is_named_for_the_run(told: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    code, out, _ = told("fetch", "opens2v", "--to", str(tmp_path / "mine"))
    assert (code, out.splitlines()[1]) == (0, f"use: evalkit run --bench opens2v --data {tmp_path / 'mine'}")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.tex").touch()
    code, _, err = told("fetch", "opens2v", "--to", str(tmp_path / "used"))
    assert code == 1
    assert "wanted an empty folder at " in err
    assert "found 'thesis.tex'; empty it or choose another" in err


def test_a_gated_dataset_says_where_its_terms_are_accepted(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class GatedRepoError(Exception):
        """By its name, as the client's."""

    def refuses(*_words: object, **_how: object) -> None:
        raise GatedRepoError("403")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuses)
    with pytest.raises(DataError, match=rf"terms: do so at https://huggingface.co/datasets/{DATASET}, `hf auth login`"):
        obtain(OPENS2V, tmp_path / "data")


@pytest.mark.parametrize("given", [None, "MIT"])
def test_a_licence_that_is_not_free_to_all_is_accepted_by_its_name(
    hub: FakeHub, told: Callable[..., tuple[int, str, str]], given: str | None
) -> None:
    code, _, err = told("fetch", "unifybench", *(["--accept", given] if given else []))
    assert code == 2
    assert err.splitlines()[-1] == (
        "evalkit: error: UnifyBench is under CC BY-NC 4.0: read it, and to accept it type `evalkit data fetch unifybench "
        f'--accept "CC BY-NC 4.0"`; found {repr(given) if given else "none"} accepted'
    )
    assert hub.calls == []


def test_an_accepted_licence_is_kept_and_the_steps_by_hand_are_said(
    hub: FakeHub, told: Callable[..., tuple[int, str, str]]
) -> None:
    hub.publish("HankYang428/unictokens_data", {"concepts_list.json": b"[]", "gen_test_data.py": b""})
    code, _, err = told("fetch", "unifybench", "--accept", ACCEPT)
    assert code == 1
    last = err.splitlines()[-1]
    home = data_home(read_spec("unifybench"))
    assert f"fetched {str(home)!r}, which is no whole copy of UnifyBench: " in last
    assert "run its gen_test_data.py" in last
    with pytest.raises(DataError, match=r"^unifybench needs its data whole: '.*' was never found whole: `evalkit data"):
        prepare(Request(bench="unifybench", profile="paper"))


def test_nothing_to_accept_is_said(told: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = told("fetch", "opens2v", "--accept", "MIT")
    assert code == 2
    assert "wanted no --accept, found 'MIT': OpenS2V-Eval asks for no licence to be accepted; leave it out" in err


def test_a_run_fetches_the_same_way(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    asked = Request(bench="opens2v/v1.1", profile="paper", fetch=False)
    with pytest.raises(DataError, match=r"^opens2v needs its data: --fetch brings it from the hub \(BestWishYsh/"):
        prepare(asked)
    found = prepare(Request(bench="opens2v/v1.1", profile="paper", fetch=True))
    assert found.data == data_home(OPENS2V.spec)
    assert "evalkit: licence: Apache-2.0" in capsys.readouterr().err
    assert prepare(asked).data == found.data
    (data_home(OPENS2V.spec) / MANIFEST_FILE).unlink()
    with pytest.raises(
        DataError, match=r"^opens2v needs its data whole: .* `evalkit data fetch opens2v` goes on with it"
    ):
        prepare(asked)
    with pytest.raises(UsageError, match='type `evalkit data fetch unifybench --accept "CC BY-NC 4.0"`'):
        prepare(Request(bench="unifybench", profile="paper", fetch=True))


def test_a_plugin_that_gives_no_folder_is_named(tmp_path: Path) -> None:
    class Nothing:
        spec = benchmark_spec()

        def load(self, data: Path, protocol: str) -> None:
            """Not reached."""

        def fetch(self, folder: Path) -> Path:
            """No folder."""
            return folder

        def embed(self, folder: Path) -> Path:
            """Not reached."""
            return folder

    with pytest.raises(PluginError, match=r"^the benchmark 'tiny': wanted the folder of its data from `fetch`, found"):
        obtain(Nothing(), tmp_path / "none")  # type: ignore[arg-type]


def test_everything_wrong_is_in_one_report(told: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    root = wrote(tmp_path / "data")
    code, out, _ = told("verify", "opens2v", "--data", str(root), "--write")
    assert code == 0
    assert out.splitlines()[-2:] == ["manifest written", "whole"]
    (root / "Images/singleobj/cup/2.png").write_bytes((root / FIRST).read_bytes())
    (root / "Images/singleface/crop_woman/1.png").write_bytes(b"no picture")
    (root / FIRST).unlink()
    (root / "Images/new.png").write_bytes(b"?")
    code, out, _ = told("verify", "opens2v", "--data", str(root), "--json", "--write")
    assert code == 1
    found = json.loads(out)
    assert (found["whole"], found["written"], found["cases"]) == (False, False, {})
    assert sorted(line.partition(":")[0] for line in found["problems"]) == sorted(
        [
            f"cannot decode {FIRST!r}",
            "cannot decode 'Images/singleface/crop_woman/1.png'",
            "1 files of the manifest are gone",
            "'Images/singleobj/cup/2.png'",
            "'Images/singleface/crop_woman/1.png'",
        ]
    )
    assert found["notes"] == ["1 files are not in the manifest: 'Images/new.png'"]


def test_data_without_pictures_load_and_are_not_whole(tmp_path: Path) -> None:
    found = verify(OPENS2V, wrote(tmp_path / "data", pictures=False))
    assert [line.partition(":")[0] for line in found.problems] == ["references"]
    assert found.problems[0].startswith("references: 6 of 6 are missing: 'Images/")
    assert sum("holds no Images/" in note for note in found.notes) == 1


@pytest.mark.parametrize("text", ["{", '{"format": 2, "benchmark": "opens2v", "written": "", "files": {}}'])
def test_a_damaged_manifest_is_a_problem_and_no_crash(tmp_path: Path, text: str) -> None:
    root = wrote(tmp_path / "data")
    (root / MANIFEST_FILE).write_text(text)
    (line,) = verify(OPENS2V, root).problems
    assert "delete it and run `evalkit data verify --write` to have another): not a manifest: " in line


def test_published_hashes_are_held_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_dreambench(tmp_path / "dreambooth" / "dataset")
    found = verify(DREAMBENCH, tmp_path / "dreambooth")
    assert (found.pinned, found.references) == (158, 158)
    (line,) = found.problems
    assert line.startswith("none of the 158 files with a published sha256 has it: this copy was encoded again, and")
    now = {
        name: hashlib.sha256(data).hexdigest()
        for name, data in fake_hub.files_in(root).items()
        if name.endswith(".jpg")
    }
    spec = DREAMBENCH.spec.model_copy(update={"sha256": now | {"cat/04.jpg": "0" * 64}})
    monkeypatch.setattr("evalkit.benchmarks.dreambench.read_spec", lambda _name: spec)
    (line,) = verify(DREAMBENCH, root).problems
    assert line.startswith(
        "'cat/04.jpg': wanted the bytes of the published data (sha256 000000000000...), found others"
    )


def test_the_published_hashes_are_of_every_photograph() -> None:
    spec = read_spec("dreambench")
    photographs = spec.facts["photographs"]
    assert set(spec.sha256) == {f"{name}/{n:02d}.jpg" for name, count in photographs.items() for n in range(count)}


def test_an_embedded_world_is_held_to_a_new_drawing(told: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = told("verify", "stories", "--world", "--json")
    found = json.loads(out)
    assert (code, found["problems"], found["notes"]) == (0, [], [])
    assert found["drawn"] > found["references"] > 0
    picture = next(Path(found["folder"], "references").iterdir())
    other = next(path for path in picture.parent.iterdir() if path != picture)
    picture.write_bytes(other.read_bytes())
    code, out, _ = told("verify", "stories", "--data", found["folder"])
    assert code == 1
    assert f"! 'references/{picture.name}': not as the embedded world draws it; delete the folder" in out


@pytest.mark.usefixtures("hub")
def test_the_list_says_what_is_needed_and_what_is_here(told: Callable[..., tuple[int, str, str]]) -> None:
    told("fetch", "opens2v")
    (data_home(read_spec("dreambench_pp"))).mkdir(parents=True)
    rows = {row["benchmark"]: row for row in json.loads(told("list", "--json")[1])}
    assert rows["opens2v"]["here"] == str(data_home(OPENS2V.spec))
    assert rows["stories"]["needs"] == "nothing: it travels with evalkit"
    assert rows["stories"]["here"].endswith("evalkit_stories")
    assert rows["dream_vbench"]["needs"].startswith("hub google/dreambooth, ")
    assert data_home(read_spec("dream_vbench")) == data_home(read_spec("dreambench"))
    assert rows["dreambench_pp"]["here"] is None
    assert rows["dreambench_pp"]["unfinished"].startswith("unfinished in ")
    assert rows["unifybench"]["accept"] == ACCEPT
    shown = told("list")[1]
    assert all(row["licence"] in shown for row in rows.values())


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("verify", "opens2v"), 1, "wanted data of opens2v to verify, found nothing at '"),
        (("verify", "opens2v", "--world", "--data", "x"), 2, "wanted --world or --data, found both; leave one out"),
        (
            ("verify", "stories", "--write"),
            2,
            "wanted --write for data of yours, found evalkit's own, which it can make",
        ),
        (("fetch", "opens3v"), 2, "wanted a benchmark, found 'opens3v', which is none; did you mean 'opens2v'?"),
    ],
)
def test_what_does_not_fit_is_one_line(
    told: Callable[..., tuple[int, str, str]], words: tuple[str, ...], code: int, message: str
) -> None:
    found, out, err = told(*words)
    assert (found, out) == (code, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_shipped_data_are_fetched_from_nowhere(told: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = told("fetch", "stories")
    assert (code, err) == (0, "")
    assert out.strip().endswith("evalkit_stories")


@pytest.mark.usefixtures("hub")
def test_data_of_another_benchmark_are_not_taken(tmp_path: Path) -> None:
    obtain(OPENS2V, tmp_path / "data")
    with pytest.raises(
        DataError, match=r"^wanted data of dreambench or nothing in '.*', found those of opens2v; choose"
    ):
        obtain(DREAMBENCH, tmp_path / "data")


def test_a_manifest_is_written_anew_where_nothing_else_changed(
    told: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    root = wrote(tmp_path / "data")
    for added in (None, "notes.txt"):
        if added is not None:
            (root / added).write_text("mine")
        assert told("verify", "opens2v", "--data", str(root), "--write")[0] == 0
        assert (added in read_manifest(root).files) == (added is not None)


def test_hashes_do_not_flood_the_description(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "benchmark", "dreambench"]) == 0
    out = capsys.readouterr().out
    assert "hub: google/dreambooth" in out
    assert "sha256" not in out
