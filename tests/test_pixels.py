"""Prepared images on disk, and networks that read them: step 0 of a fine-tuning is the frozen encoder."""

import copy

import numpy as np
import pytest
import torch
from PIL import Image

from neural.embed import FunctionEncoder, encode, encoder
from neural.embed.images import ImageTransform
from neural.heads.runs import HeadRun, Schedule
from neural.heads.training import train_head
from neural.store.array_cache import CorruptCacheWarning
from neural.tasks import pixels as pixels_module
from neural.tasks.pixels import PixelEncoder, keep_pixels
from neural.tasks.task import Numbered
from tests import tiny_encoders as tiny

FAMILIES = (*tiny.IMAGE_FAMILIES, "clip")
# two layers in single precision, entries of order 1: the same operations, but PyTorch's instead of NumPy's
ROUNDING = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("networks")
    made = {family: tiny.save_image(root / family, family) for family in tiny.IMAGE_FAMILIES}
    return made | {"clip": tiny.save_clip(root / "clip")}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return tiny.save_images(tmp_path_factory.mktemp("images"), 7)


@pytest.fixture
def vision(folders):
    return encoder(folders["dinov2"], batch_size=3)


def numbered(numbers):
    return torch.as_tensor(np.asarray(numbers)[:, None])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("options", [{}, {"pooling": "mean", "normalize": True}, {"preprocessing": "native"}])
def test_untrained_network_gives_the_frozen_features(folders, files, tmp_path, family, options):
    if family == "clip" and "preprocessing" in options:
        options = {"preprocessing": ImageTransform(resize=(120, 100), crop=(112, 56), flip=True)}
    vision = encoder(folders[family], modality="image", batch_size=3, **options)
    kept, numbers = keep_pixels(vision, files, cache=tmp_path, shard_size=4)
    tower = PixelEncoder(vision, kept)
    frozen = encode(vision, files)
    with torch.no_grad():
        np.testing.assert_allclose(tower(numbered(numbers)).numpy(), frozen, **ROUNDING)
    with_gradients = tower.train()(numbered(numbers[:2]))
    assert with_gradients.requires_grad
    np.testing.assert_allclose(with_gradients.detach().numpy(), frozen[:2], **ROUNDING)


def test_images_are_kept_by_content_and_prepared_once(vision, files, tmp_path, monkeypatch):
    asked, prepare = [], pixels_module._prepare

    def counted(reader, sources):
        asked.extend(sources)
        return prepare(reader, sources)

    monkeypatch.setattr(pixels_module, "_prepare", counted)
    copied = tmp_path / "copy.png"
    copied.write_bytes(files[2].read_bytes())
    kept, numbers = keep_pixels(vision, [*files, copied], cache=tmp_path / "c", shard_size=3)
    assert len(asked) == len(files)
    assert numbers[-1] == numbers[2]
    assert sorted(numbers[:-1]) == list(range(7))
    again, others = keep_pixels(vision, files[::-1], cache=tmp_path / "c", shard_size=3)
    assert len(asked) == len(files), "read, not made again"
    assert others.tolist() == numbers[-2::-1].tolist()
    assert again.fingerprint == kept.fingerprint
    for number, file in zip(numbers, files, strict=False):
        with Image.open(file) as image:  # 40 x 30: scaled by 224 / 30, then cut to the square
            wanted = image.resize((298, 224), Image.Resampling.BICUBIC).crop((37, 0, 261, 224))
        assert np.array_equal(kept.take([number])[0], np.asarray(wanted).transpose(2, 0, 1))


def test_other_images_or_other_preparation_have_another_fingerprint(folders, files, tmp_path):
    def of(sources, **options):
        return keep_pixels(encoder(folders["vit"], **options), sources, cache=tmp_path)[0].fingerprint

    prints = [of(files), of(files[1:]), of(files, preprocessing=ImageTransform(resize=(224, 224)))]
    assert len(set(prints)) == 3
    assert of(files, preprocessing="imagenet") == prints[0], (
        "mean and standard deviation belong to the network"
    )
    assert len(list(tmp_path.glob("pixels-*"))) == 3


def test_damaged_files_are_made_again(vision, files, tmp_path):
    kept, numbers = keep_pixels(vision, files, cache=tmp_path)
    before = kept.take(numbers.tolist())
    (path,) = tmp_path.glob("pixels-*.safetensors")
    content = bytearray(path.read_bytes())
    content[-5] ^= 255
    path.write_bytes(content)
    with pytest.warns(CorruptCacheWarning, match="this cached file is damaged"):
        kept, _ = keep_pixels(vision, files, cache=tmp_path)
    assert np.array_equal(kept.take(numbers.tolist()), before)


def test_copies_train_apart_and_share_the_images(folders, files, tmp_path):
    vision = encoder(folders["clip"], modality="image", batch_size=3)
    kept, numbers = keep_pixels(vision, files, cache=tmp_path)
    tower = PixelEncoder(vision, kept)
    before = copy.deepcopy(tower.state_dict())
    assert copy.deepcopy(tower).pixels is kept
    rows = Numbered(numbers, [0, 1, 0, 1, 0, 1, 0], "picture")
    run = HeadRun("tiny", 2, {"image": rows}, rows, {"image": 4}, 0, 1e-2, encoders={"image": tower})
    fits = [train_head(run, Schedule(3, 1, 1, None, "last")) for _ in range(2)]
    for name, weights in tower.state_dict().items():
        assert torch.equal(weights, before[name])
    changed = {
        name
        for name, weights in fits[0].encoders["image"].state_dict().items()
        if not torch.equal(weights, before[name])
    }
    assert "network.visual_projection.weight" in changed
    assert any("vision_model.encoder.layers.0" in name for name in changed)
    assert not any("text" in name or name in {"mean", "std"} for name in changed)
    assert torch.equal(fits[0].logits(rows), fits[1].logits(rows))


def test_dropout_stays_off(folders, files, tmp_path):
    vision = encoder(folders["vit"])
    kept, numbers = keep_pixels(vision, files, cache=tmp_path)
    tower = PixelEncoder(vision, kept)
    for module in tower.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.9
    tower.train()
    assert tower.training
    assert any(isinstance(module, torch.nn.Dropout) for module in tower.network.modules())
    assert torch.equal(tower(numbered(numbers)), tower(numbered(numbers)))


def test_source_says_what_features_depend_on(folders, files, tmp_path):
    def source(**options):
        vision = encoder(folders["vit"], **options)
        return PixelEncoder(vision, keep_pixels(vision, files, cache=tmp_path)[0]).source

    assert source() == source(dtype="bfloat16", batch_size=2), "weights are in single precision"
    assert source() != source(pooling="mean")
    assert source() != source(preprocessing="imagenet")


def test_wrong_encoders_and_files_are_named(folders, files, tmp_path):
    plain = FunctionEncoder("colours", "image", "1", lambda paths: [[1.0]] * len(paths))
    with pytest.raises(
        ValueError, match="colours: this encoder is a function; fine-tuning needs a pretrained network"
    ):
        keep_pixels(plain, files, cache=tmp_path)
    text = encoder(folders["clip"], modality="text")
    with pytest.raises(ValueError, match="this encoder is a network of text"):
        keep_pixels(text, files, cache=tmp_path)
    vision = encoder(folders["vit"])
    with pytest.raises(FileNotFoundError, match=r"input 1 .*nowhere"):
        keep_pixels(vision, [files[0], tmp_path / "nowhere.png"], cache=tmp_path)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"broken\.png: this image cannot be opened"):
        keep_pixels(vision, [broken], cache=tmp_path)
    with pytest.raises(ValueError, match="0 images to keep"):
        keep_pixels(vision, [], cache=tmp_path)


def test_nothing_is_read_before_it_is_asked_for(vision, files, tmp_path, monkeypatch):
    kept, numbers = keep_pixels(vision, files, cache=tmp_path, shard_size=2)
    read, take = [], type(kept).take
    monkeypatch.setattr(type(kept), "take", lambda self, some: (read.append(len(some)), take(self, some))[1])
    tower = PixelEncoder(vision, kept)
    assert read == []
    with torch.no_grad():
        tower(numbered(numbers))
    assert read == [3, 3, 1], "the encoder's own batches"
    tower(numbered(numbers[:5]))
    assert read[3:] == [5]
