"""The doctor: every data set ready, different, incomplete, malformed and missing; what follows for the paper; its command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fisherkit.checks import UnknownNameError
from neural import __main__ as command_line
from neural.datasets import SPECS, MissingError
from neural.datasets.doctor import STATES, examine, known_keys
from neural.datasets.doctor_report import render
from neural.datasets.paper_results import RESULTS, reproducible
from tests.dataset_builders import (
    AFFECT,
    build,
    build_esc50,
    build_everything,
    write_descriptions,
    write_image,
    write_indices,
    write_json,
)

ROOT = Path(__file__).resolve().parent.parent
REAL = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A data root with every data set in miniature."""
    return build_everything(tmp_path_factory.mktemp("data"))


def only(root, key, **options):
    return examine(root, only=[key], **options).checkups[0]


def published_as(monkeypatch, key, n_classes, sizes):
    """Pretend that a miniature has the published size."""
    spec = SPECS[key]
    monkeypatch.setitem(SPECS, key, type(spec)(**{**vars(spec), "n_classes": n_classes, "published": sizes}))


def test_every_miniature_is_complete_but_of_another_size(everything):
    report = examine(everything, verify=True)
    states = {checkup.key: checkup.state for checkup in report.checkups}
    assert tuple(states) == known_keys()
    ready = {*AFFECT, "mimic"}  # no size is published for these
    assert states == {key: "ready" if key in ready else "different" for key in known_keys()}
    pets = next(checkup for checkup in report.checkups if checkup.key == "oxford_pets")
    assert pets.sizes == {"classes": 3, "train": 15, "val": 12, "test": 9}
    assert pets.published == {"classes": 37, "train": 2944, "val": 736, "test": 3669}
    assert "train: 15 found, 2,944 published" in pets.problems
    assert "few-shot index files: 1 good" in pets.notes
    assert pets.fetch == ()
    mosi = next(checkup for checkup in report.checkups if checkup.key == "mosi")
    assert mosi.sizes == {"train": 6, "valid": 4, "test": 3}
    assert mosi.notes == ("mosi_data.pkl; 1 clips without text are dropped",)


def test_the_published_size_makes_it_ready(everything, monkeypatch):
    published_as(monkeypatch, "dtd", 2, (10, 8, 6))
    checkup = only(everything, "dtd", verify=True)
    assert (checkup.state, checkup.problems) == ("ready", ())
    report = examine(everything, only=["dtd", "mosi"])
    assert report.ready == ("dtd", "mosi")
    assert [result.label for result in report.results["partly"]][:2] == ["Table 1", "Table 2"]


def test_nothing_there(tmp_path):
    report = examine(tmp_path)
    assert {checkup.state for checkup in report.checkups} == {"missing"}
    assert all(checkup.fetch for checkup in report.checkups)
    assert report.results["whole"] == ()
    with pytest.raises(MissingError, match="no such folder"):
        examine(tmp_path / "nothing")
    with pytest.raises(UnknownNameError, match="unknown data set 'dtt'; did you mean 'dtd'"):
        examine(tmp_path, only=["dtt"])


def test_missing_parts_are_named(tmp_path):
    split = build(tmp_path, "dtd")
    gone = [path for path, _, _ in split["test"]]
    for path in gone:
        (tmp_path / "dtd" / "images" / path).unlink()
    checkup = only(tmp_path, "dtd", verify=True)
    assert checkup.state == "incomplete"
    assert f"dtd/images: 6 of 24 images are missing: {', '.join(gone)}" in checkup.problems[0]
    assert [what.split(":")[0] for what in checkup.fetch] == ["dtd-r1.0.1.tar.gz"]  # the split is there
    (tmp_path / "dtd" / "split_zhou_DescribableTextures.json").unlink()
    checkup = only(tmp_path, "dtd")
    assert checkup.state == "incomplete"
    assert "split file not found" in checkup.problems[0]
    assert len(checkup.fetch) == 2


def test_more_than_ten_missing_files_are_counted(tmp_path):
    split = build(tmp_path, "dtd")
    for part in split.values():
        for path, _, _ in part:
            (tmp_path / "dtd" / "images" / path).unlink()
    (problem, *_) = only(tmp_path, "dtd").problems
    assert "24 of 24 images are missing" in problem
    assert problem.endswith("and 14 more")
    assert problem.count(".jpg") == 10


def test_malformed_splits_indices_descriptions_and_images(tmp_path):
    split = build(tmp_path, "eurosat")
    index = write_indices(tmp_path, "eurosat", split, 1, 1)
    content = json.loads(index.read_text())
    content["train"]["data"][0]["label"] = 2
    write_json(index, content)
    texts = write_descriptions(tmp_path, "eurosat", {"forest": ["Trees."]})
    broken = tmp_path / "eurosat" / "2750" / split["val"][0][0]
    broken.write_bytes(broken.read_bytes()[:-100])
    checkup = only(tmp_path, "eurosat", verify=True)
    assert checkup.state == "malformed"
    assert [p.split(":")[0] for p in checkup.problems[:2]] == [str(index), str(texts)]
    assert "no sentence about 0 'Annual Crop Land', 2 'Sea or Lake'" in checkup.problems[1]
    assert "1 of 36 images cannot be decoded" in checkup.problems[2]
    assert str(broken) in checkup.problems[2]
    assert "descriptions: 1 of 3 classes, 1 sentences" in checkup.notes
    assert only(tmp_path, "eurosat").state == "malformed"  # without opening images
    (tmp_path / "eurosat" / "split_zhou_EuroSAT.json").write_text("{")
    checkup = only(tmp_path, "eurosat")
    assert (checkup.state, checkup.sizes, checkup.fetch) == ("malformed", {}, ())
    assert "split_zhou_EuroSAT.json: not valid JSON" in checkup.problems[0]


def test_classes_called_like_their_folders(tmp_path):
    split = build(tmp_path, "caltech101")
    renamed = {
        part: [[path, label, "Faces" if name == "face" else name] for path, label, name in rows]
        for part, rows in split.items()
    }
    write_json(tmp_path / "caltech-101" / SPECS["caltech101"].split_file, renamed)
    checkup = only(tmp_path, "caltech101")
    assert checkup.state == "malformed"
    assert "classes are called like folders, not by their names: Faces" in checkup.problems[0]


def test_a_malicious_file_is_malformed_only_once_it_is_opened(tmp_path):
    folder = tmp_path / "multibench"
    folder.mkdir()
    (folder / "humor.pkl").write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    assert only(tmp_path, "ur_funny").notes[0].endswith("not opened")
    checkup = only(tmp_path, "ur_funny", verify=True)
    assert checkup.state == "malformed"
    assert "os.system" in checkup.problems[0]
    assert not (tmp_path / "ran").exists()


def test_sounds(tmp_path):
    folder = build_esc50(tmp_path)
    next((folder / "audio").iterdir()).unlink()
    checkup = only(tmp_path, "esc50")
    assert checkup.state == "incomplete"
    assert checkup.sizes == {"classes": 50, "clips": 500, "folds": 5}
    assert "1 of 500 clips are missing" in checkup.problems[0]


def test_links_in_circles_do_not_stop_the_others(tmp_path):
    build(tmp_path, "imagenet")
    train = tmp_path / "imagenet" / "images" / "train"
    (train / "n01440764" / "again").symlink_to(train)
    (tmp_path / "dtd").symlink_to(tmp_path / "dtd")
    report = examine(tmp_path)
    states = {checkup.key: checkup.state for checkup in report.checkups}
    assert {key for key, state in states.items() if state == "malformed"} == {"imagenet", "dtd"}
    problems = {checkup.key: checkup.problems[0] for checkup in report.checkups if checkup.problems}
    assert "symbolic link loop: it leads back to a folder it lies in" in problems["imagenet"]
    assert problems["dtd"] == f"symbolic links that lead nowhere or in a circle: {tmp_path / 'dtd'}"


# ---------------------------------------------------------------- what follows for the paper


def test_results_name_known_data_sets_and_every_table():
    assert {key for result in RESULTS for key in result.needs} <= set(known_keys())
    labels = " ".join(result.label for result in RESULTS)
    numbers = {kind: set() for kind in ("Table", "Figure")}
    for piece in (
        labels.replace("Tables", "Table").replace("Figures", "Figure").replace("; ", " ").split("Table ")
    ):
        for kind, text in (
            ("Table", piece.split("Figure")[0]),
            *(("Figure", f) for f in piece.split("Figure ")[1:]),
        ):
            for part in text.replace(",", " ").split():
                first, _, last = part.partition("-")
                numbers[kind] |= set(range(int(first), int(last or first) + 1))
    assert numbers["Table"] == {1, 2, *range(6, 30)}  # 3 to 5 describe data and settings
    assert numbers["Figure"] == set(range(5, 37)) | set(range(38, 45))  # others are sketches or simulations


def test_what_can_be_computed():
    assert reproducible(known_keys())["not"] == ()
    nothing = reproducible([])
    assert nothing["whole"] == nothing["partly"] == ()
    some = reproducible(["stanford_cars", "sun397"])
    assert "Table 24" in [result.label for result in some["whole"]]
    assert "Figure 5" in [result.label for result in some["not"]]


# ---------------------------------------------------------------- the command


def test_the_text_says_it_all(everything, monkeypatch):
    published_as(monkeypatch, "dtd", 2, (10, 8, 6))
    text = render(examine(everything, only=["dtd", "sun397", "mosi"]))
    assert "dtd     ready       classes 2, train 10, val 8, test 6\n" in text
    assert "sun397  different   classes 3 (published 397), train 15 (published 15,880)" in text
    assert "2 ready, 1 different" in text
    assert (
        "Table 1: self-supervised, linear probe (without mustard, mimic, mosei, ur_funny, oxford_pets, ucf101)"
        in text
    )
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize(
    ("options", "status"),
    [([], 0), (["--only", "dtd"], 0), (["--only", "mosi"], 0)],
)
def test_status_of_a_healthy_root(everything, options, status, capsys):
    assert command_line.main(["doctor", "--data", str(everything), *options]) == status
    assert "data root" in capsys.readouterr().out


def test_status_of_an_unhealthy_root(tmp_path, capsys):
    assert command_line.main(["doctor", "--data", str(tmp_path)]) == 0  # nothing is wrong with nothing
    assert (
        command_line.main(["doctor", "--data", str(tmp_path), "--only", "dtd"]) == 1
    )  # but it was asked for
    (tmp_path / "dtd").mkdir()
    write_image(tmp_path / "dtd" / "images" / "banded" / "1.jpg", 0, 0)
    assert command_line.main(["doctor", "--data", str(tmp_path)]) == 1
    assert "split_zhou_DescribableTextures.json: link in https://" in capsys.readouterr().out
    assert command_line.main(["doctor", "--data", str(tmp_path / "nothing")]) == 2
    assert command_line.main(["doctor", "--data", str(tmp_path), "--only", "dtt"]) == 2
    assert "error: unknown data set 'dtt'; did you mean 'dtd'" in capsys.readouterr().err


def test_json_output(everything, capsys):
    assert command_line.main(["doctor", "--data", str(everything), "--only", "dtd", "mosi", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["root"] == str(everything)
    assert [checkup["key"] for checkup in report["data sets"]] == ["dtd", "mosi"]
    assert all(checkup["state"] in STATES for checkup in report["data sets"])
    assert "Table 2" in report["results"]["not"]


def test_conversion_by_command(everything, capsys):
    source = everything / "multibench" / "sarcasm.pkl"
    assert command_line.main(["convert", str(source)]) == 0
    assert source.with_suffix(".npz").is_file()
    source.with_suffix(".npz").unlink()
    assert command_line.main(["convert", str(everything / "nothing.pkl")]) == 2
    assert "nothing.pkl: file not found" in capsys.readouterr().err


@pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not beside the repository")
def test_real_files_are_well_formed_and_pictures_are_there_or_missed():
    report = examine(REAL)
    states = {checkup.key: checkup.state for checkup in report.checkups}
    for key in ("oxford_pets", "oxford_flowers", "dtd", "caltech101"):
        pictures = REAL / SPECS[key].folder / SPECS[key].image_root
        assert states[key] == ("ready" if pictures.is_dir() else "incomplete")
    assert states["spoken_digits"] == "ready"
    assert "malformed" not in states.values()
    caltech = next(checkup for checkup in report.checkups if checkup.key == "caltech101")
    assert caltech.notes == (
        "few-shot index files: 15 good",
        "descriptions: 100 of 100 classes, 3,000 sentences",
    )


def test_the_module_runs_and_needs_no_torch(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import neural.datasets.doctor_report, neural.datasets.hub, neural.datasets.file_lists\n"
        "from neural.datasets.doctor import examine\n"
        "print(len(examine(sys.argv[1]).checkups))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert int(done.stdout) == len(known_keys())
    done = subprocess.run(
        [sys.executable, "-m", "neural", "doctor", "--data", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{len(known_keys())} missing" in done.stdout
