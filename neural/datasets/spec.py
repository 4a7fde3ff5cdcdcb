"""What is known about a data set before any of it is on disk: names, places, published sizes, where to get it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from neural.datasets.items import ImageDataset
from neural.datasets.reading import MissingError, listed

__all__ = ["DatasetSpec"]


@dataclass(frozen=True)
class DatasetSpec:
    """One data set of the registry.

    Attributes:
        key: short name, as in `neural.datasets.load`.
        title: as the paper prints it.
        folder: name of its folder below the data root.
        image_root: folder below that to which image paths are relative; "" is the folder itself.
        read: makes the data set from this description and the data root; files are not looked at yet.
        n_classes: published number of classes; None for a data set of one's own.
        published: published sizes of train, val, test (Gupta et al. 2025, Table 3, or the released split); None where
            not published.
        split_file: name of the file with the split; None where other files give it.
        templates: sentences for a class, with {} for its name (the field's hand-crafted set, as in Zhang et al. 2022).
        fetch: what to download, from where, to where; one line each.
        also: other names under which the folder is found.
        display_names: class folder -> class name, where the class is not called like its folder.
        skip_folders: class folders that are left out.
    """

    key: str
    title: str
    folder: str
    image_root: str
    read: Callable[["DatasetSpec", Path], ImageDataset]
    n_classes: int | None = None
    published: tuple[int | None, int | None, int | None] = (None, None, None)
    split_file: str | None = None
    templates: tuple[str, ...] = ("a photo of a {}.",)
    fetch: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    display_names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    skip_folders: tuple[str, ...] = ()

    @property
    def folders(self) -> tuple[str, ...]:
        """Names under which its folder is found: `folder`, `key` and `also`."""
        return tuple(dict.fromkeys((self.folder, self.key, *self.also)))

    def locate(self, root: Path) -> Path:
        """The first existing folder of `folder`, `key` and `also` below the root; the first of these where none is."""
        candidates = [Path(root) / name for name in self.folders]
        return next((folder for folder in candidates if folder.is_dir()), candidates[0])

    def image_folder(self, root: Path) -> Path:
        """Folder to which image paths are relative, whether or not it exists."""
        return self.locate(root) / self.image_root

    def locate_split(self, root: Path) -> Path:
        """The file with the split: in the data set's folder, or among other splits in ``splits/``."""
        places = self.split_places(root)
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise MissingError(
                places[0],
                f"split file not found (also looked for {listed(map(str, places[1:]))}); fetch it "
                "(`python -m neural doctor` says where from), or make another split of the class folders with "
                "neural.datasets.image_folder.read_folder, whose numbers are then not comparable with published ones",
            )
        return found

    def split_places(self, root: Path) -> list[Path]:
        """Where the split file may lie, in order of preference; empty without a split file."""
        if self.split_file is None:
            return []
        root = Path(root)
        splits = root / "splits"
        folders = (self.locate(root), splits, splits / self.key, splits / self.folder)
        return [folder / self.split_file for folder in dict.fromkeys(folders)]
