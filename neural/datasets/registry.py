"""The image data sets of the paper: where they lie, how they are read, how large they are, where to get them.

A data set of one's own joins in a few lines:

    register(DatasetSpec("birds", "My birds", "birds", "images", read_coop, split_file="split.json"))

or, with one subfolder per class and no split file, `lambda spec, root: read_folder(spec.image_folder(root))` as reader.
"""

from collections.abc import Sequence
from pathlib import Path

from fisherkit.checks import UnknownNameError, as_whole
from neural.datasets.aircraft import read_aircraft
from neural.datasets.class_texts import ClassTexts, from_templates, template_set
from neural.datasets.coop import read_coop, read_few_shot
from neural.datasets.descriptions import load_descriptions
from neural.datasets.imagenet import read_imagenet
from neural.datasets.items import FewShotItems, ImageDataset
from neural.datasets.spec import DatasetSpec

__all__ = ["SPECS", "load", "load_few_shot", "load_texts", "register", "spec_of"]

SPECS: dict[str, DatasetSpec] = {}

_COOP = "https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md"
_CMA = "https://github.com/linzhiqiu/cross_modal_adaptation"
_SUN = "http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz"
_VGG = "https://www.robots.ox.ac.uk/~vgg/data"


def register(spec: DatasetSpec) -> DatasetSpec:
    """Add a data set to those that `load` and the doctor know.

    Args:
        spec: its description.

    Returns:
        The same.

    Raises:
        ValueError: the key is taken by another description.
    """
    if SPECS.get(spec.key, spec) != spec:
        raise ValueError(f"a data set {spec.key!r} is registered already; choose another key")
    SPECS[spec.key] = spec
    return spec


def spec_of(key: str) -> DatasetSpec:
    """Description of a registered data set."""
    if key not in SPECS:
        raise UnknownNameError(key, SPECS, "data set")
    return SPECS[key]


def load(key: str, root: str | Path, *, require_files: bool = True) -> ImageDataset:
    """Read a registered data set.

    Args:
        key: short name, e.g. "oxford_pets".
        root: data root, the folder that holds the data sets' folders.
        require_files: whether every image must be on disk.

    Returns:
        ImageDataset.
    """
    spec = spec_of(key)
    dataset = spec.read(spec, Path(root))
    return dataset.require_files() if require_files else dataset


def load_few_shot(
    key: str, root: str | Path, shots: int, seed: int, *, dataset: ImageDataset | None = None
) -> FewShotItems:
    """The k files per class of one repetition: those of the published index file where it is there, else drawn.

    Args:
        key: short name.
        root: data root; index files are ``indices/KEY/shot_K-seed_S.json`` below it.
        shots: k, >= 1.
        seed: whole number >= 0.
        dataset: the whole data set, where it is loaded already.

    Returns:
        FewShotItems; `source` says which of the two they are.
    """
    spec = spec_of(key)
    shots, seed = as_whole(shots, "shots", least=1), as_whole(seed, "seed", least=0)
    if dataset is None:
        dataset = load(key, root, require_files=False)
    path = Path(root) / "indices" / key / f"shot_{shots}-seed_{seed}.json"
    if not path.exists():
        return dataset.few_shot(shots, seed)
    return read_few_shot(path, dataset, folders=spec.folders, image_root=spec.image_root)


def load_texts(key: str, root: str | Path, classes: Sequence[str], kind: str = "descriptions") -> ClassTexts:
    """Sentences about a data set's classes.

    Args:
        key: short name.
        root: data root.
        classes: class names in label order.
        kind: "descriptions" (a file; classes it leaves out get the hand-crafted templates), or a template set:
            "classname", "vanilla", "hand_crafted".

    Returns:
        ClassTexts.
    """
    templates = spec_of(key).templates
    if kind == "descriptions":
        return load_descriptions(key, Path(root), classes, fallback=templates)
    return from_templates(classes, template_set(kind, templates))


def _split(name: str, folder: str) -> str:
    return f"{name}: link in {_COOP}, into {folder}/"


for _spec in (
    DatasetSpec(
        "oxford_pets", "Oxford Pets", "oxford_pets", "images", read_coop, 37, (2944, 736, 3669),
        "split_zhou_OxfordPets.json", ("a photo of a {}, a type of pet.",),
        (f"images.tar.gz: {_VGG}/pets/data/images.tar.gz, unpacked in oxford_pets/",
         _split("split_zhou_OxfordPets.json", "oxford_pets")),
    ),
    DatasetSpec(
        "stanford_cars", "Stanford Cars", "stanford_cars", "", read_coop, 196, (6509, 1635, 8041),
        "split_zhou_StanfordCars.json", ("a photo of a {}.",),
        ("cars_train.tgz, cars_test.tgz: gone from their old address; any copy with cars_{train,test}/00001.jpg ...",
         _split("split_zhou_StanfordCars.json", "stanford_cars")),
    ),
    DatasetSpec(
        "oxford_flowers", "Oxford Flowers", "oxford_flowers", "jpg", read_coop, 102, (4093, 1633, 2463),
        "split_zhou_OxfordFlowers.json", ("a photo of a {}, a type of flower.",),
        (f"102flowers.tgz: {_VGG}/flowers/102/102flowers.tgz, unpacked in oxford_flowers/",
         _split("split_zhou_OxfordFlowers.json", "oxford_flowers")),
    ),
    DatasetSpec(
        "food101", "Food101", "food-101", "images", read_coop, 101, (50_500, 20_200, 30_300),
        "split_zhou_Food101.json", ("a photo of {}, a type of food.",),
        ("food-101.tar.gz: https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/, unpacked in the data root",
         _split("split_zhou_Food101.json", "food-101")),
    ),
    DatasetSpec(
        "fgvc_aircraft", "FGVC Aircraft", "fgvc_aircraft", "images", read_aircraft, 100, (3334, 3333, 3333),
        None, ("a photo of a {}, a type of aircraft.",),
        (f"{_VGG}/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz, its data/ renamed to fgvc_aircraft/",),
    ),
    DatasetSpec(
        "sun397", "SUN397", "sun397", "SUN397", read_coop, 397, (15_880, 3970, 19_850),
        "split_zhou_SUN397.json", ("a photo of a {}.",),
        (f"SUN397.tar.gz (not a copy rearranged into train/, test/): {_SUN}, unpacked in sun397/",
         _split("split_zhou_SUN397.json", "sun397")),
    ),
    DatasetSpec(
        "dtd", "DTD", "dtd", "images", read_coop, 47, (2820, 1128, 1692),
        "split_zhou_DescribableTextures.json", ("{} texture.",),
        (f"dtd-r1.0.1.tar.gz: {_VGG}/dtd/download/dtd-r1.0.1.tar.gz, unpacked in the data root",
         _split("split_zhou_DescribableTextures.json", "dtd")),
    ),
    DatasetSpec(
        "ucf101", "UCF101", "ucf101", "UCF-101-midframes", read_coop, 101, (7639, 1898, 3783),
        "split_zhou_UCF101.json", ("a photo of a person doing {}.",),
        (f"UCF-101-midframes.zip (the middle frame of every video): link in {_COOP}, unpacked in ucf101/",
         _split("split_zhou_UCF101.json", "ucf101")),
    ),
    DatasetSpec(
        "caltech101", "Caltech101", "caltech-101", "101_ObjectCategories", read_coop, 100, (4128, 1649, 2465),
        "split_zhou_Caltech101.json", ("a photo of a {}.",),
        ("101_ObjectCategories.tar.gz: https://data.caltech.edu/records/mzrjq-6wc02, unpacked in caltech-101/",
         _split("split_zhou_Caltech101.json", "caltech-101")),
        display_names={
            "airplanes": "airplane", "Faces": "face", "Leopards": "leopard", "Motorbikes": "motorbike",
        },
        skip_folders=("BACKGROUND_Google", "Faces_easy"),
    ),
    DatasetSpec(
        "eurosat", "EuroSAT", "eurosat", "2750", read_coop, 10, (13_500, 5400, 8100),
        "split_zhou_EuroSAT.json", ("a centered satellite photo of {}.",),
        ("EuroSAT.zip (RGB): https://github.com/phelber/EuroSAT, unpacked in eurosat/ (its folder is called 2750)",
         _split("split_zhou_EuroSAT.json", "eurosat")),
        display_names={
            "AnnualCrop": "Annual Crop Land", "Forest": "Forest",
            "HerbaceousVegetation": "Herbaceous Vegetation Land", "Highway": "Highway or Road",
            "Industrial": "Industrial Buildings", "Pasture": "Pasture Land",
            "PermanentCrop": "Permanent Crop Land", "Residential": "Residential Buildings", "River": "River",
            "SeaLake": "Sea or Lake",
        },
    ),
    DatasetSpec(
        "imagenet", "ImageNet", "imagenet", "images", read_imagenet, 1000, (None, None, 50_000),
        "split_ImageNet.json",
        ("itap of a {}.", "a bad photo of the {}.", "a origami {}.", "a photo of the large {}.",
         "a {} in a video game.", "art of the {}.", "a photo of the small {}."),
        ("ILSVRC2012 images: https://image-net.org, in imagenet/images/train/<WNID>/ and imagenet/images/val/<WNID>/",
         _split("classnames.txt", "imagenet"),
         f"split_ImageNet.json (optional, else a fifth of train becomes validation): link in {_CMA}, into imagenet/"),
    ),
):  # fmt: skip
    register(_spec)
