"""Data of one's own by their path alone: a folder of images, or a list; and a file of sentences."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from neural.datasets.class_texts import VANILLA, ClassTexts
from neural.datasets.coop import read_split
from neural.datasets.descriptions import match_descriptions, read_descriptions
from neural.datasets.file_lists import read_list
from neural.datasets.image_folder import read_folder
from neural.datasets.items import ImageDataset
from neural.datasets.reading import DatasetError, MissingError, listed, read_json

__all__ = ["open_dataset", "open_texts"]


def open_dataset(
    path: str | Path, *, root: str | Path | None = None, seed: int = 0, require_files: bool = True
) -> ImageDataset:
    """Read a data set in whichever form it is.

    Args:
        path: a folder with one subfolder per class (`read_folder`), a .csv list (`read_list`), or a .json file: a
            list (`read_list`) or a CoOp split (`read_split`).
        root: folder to which the paths of a list are relative; None takes the list's own.
        seed: deals parts that are not given.
        require_files: whether every image must be on disk.

    Returns:
        ImageDataset.

    Raises:
        MissingError: no such file or folder.
        DatasetError: in none of these forms.
    """
    path = Path(path)
    images = path.parent if root is None else Path(root)
    if path.is_dir():
        dataset = read_folder(path, seed=seed)
    elif not path.exists():
        raise MissingError(path, "no such file or folder")
    elif path.suffix.lower() == ".csv":
        dataset = read_list(path, images, seed=seed)
    elif path.suffix.lower() != ".json":
        raise DatasetError(path, "expected a folder of class folders, a .csv list, or a .json list or split")
    elif isinstance(read_json(path), list):
        dataset = read_list(path, images, seed=seed)
    else:
        dataset = read_split(path, images)
    return dataset.require_files() if require_files else dataset


def open_texts(
    path: str | Path,
    classes: Sequence[str],
    *,
    aliases: Mapping[str, str] | None = None,
    fallback: Sequence[str] | None = (VANILLA,),
    strict: bool = False,
) -> ClassTexts:
    """Read a JSON file {class: [sentences]} for the classes of a data set.

    Args:
        path: the file.
        classes: class names in label order.
        aliases: {key of the file: class name} where they differ by more than case and underscores.
        fallback: templates for classes that the file leaves out; None makes such a class an error.
        strict: whether classes without sentences, and keys that name no class, are errors.

    Returns:
        ClassTexts; `coverage_text` says what came from where.

    Raises:
        DatasetError: not such a file; no key names a class; what `fallback` and `strict` refuse.
    """
    texts = match_descriptions(
        read_descriptions(Path(path)),
        classes,
        aliases=aliases,
        fallback=None if strict else fallback,
        source=Path(path),
    )
    if strict and texts.unused:
        raise DatasetError(
            Path(path),
            f"{len(texts.unused)} keys name no class: {listed(map(repr, texts.unused))}; correct or remove them",
        )
    return texts
