"""Titles of the paper's figures and tables, and what the runs that stand for them differ in."""

from neural.datasets import SPECS
from studies.published_numbers import published

__all__ = ["DIFFERS", "TITLES"]

_PROBES = {
    15: "DINO ViT-B/8",
    16: "DINO ViT-B/16",
    17: "DINOv2 ViT-S/14",
    18: "DINOv2 ViT-B/14",
    19: "DINOv2 ViT-L/14",
    22: "CLIP ResNet-50",
    23: "CLIP ViT-B/16",
}
_WHOLE = {
    6: "DINO ViT-B/16",
    7: "DINO ViT-B/8",
    8: "DINOv2 ViT-S/14",
    9: "DINOv2 ViT-B/14",
    10: "DINO ViT-B/16",
    11: "DINO ViT-B/8",
    12: "DINOv2 ViT-S/14",
    13: "DINOv2 ViT-B/14",
    14: "DINOv2 ViT-L/14",
    20: "CLIP ResNet-50",
    21: "CLIP ResNet-50",
}
_FIGURES = {
    1: "unpaired text complements images (schematic)",
    2: "paired, unpaired with labels, unpaired without (schematic)",
    3: "Gaussian experiment: y samples against more x samples",
    4: "tokens in, shared network, two regimes (schematic)",
    5: "robustness under shift, 16 shots",
    6: "audio classification with unpaired images and text",
    7: "vision transformer started from BERT",
    10: "robustness under shift, 1 shot",
    11: "robustness under shift, 2 shots",
    12: "robustness under shift, 4 shots",
    13: "robustness under shift, 8 shots",
    30: "text encoders",
    31: "coarse and fine text, UML",
    32: "coarse and fine text, UML (init)",
    33: "number of texts per image",
    34: "image classification with audio and text, DINOv2",
    35: "image classification with audio and text, CLIP",
    36: "audio classification with images and text, CLIP",
    37: "Gaussian experiment, N/2 + N/2 against N",
    38: "decision boundary of a class pair, Oxford Pets",
    39: "decision boundary of a class pair, DTD",
    40: "decision boundary of a class pair, Oxford Flowers",
    41: "functional margin",
    42: "silhouette score",
    43: "Davies-Bouldin index",
    44: "prototypes and class mean texts",
}
_TABLES = {
    1: "self-supervised, linear probe",
    2: "full fine-tuning and few-shot linear probes",
    3: "sizes of the data sets",
    4: "sample descriptions",
    5: "hyperparameter grid",
    24: "unrelated text",
    25: "three modalities, audio classified",
    26: "three modalities, images classified",
    27: "batch ratio, few-shot",
    28: "batch ratio, full fine-tuning",
    29: "text encoder frozen or unfrozen",
}
_VISION = {"dinov2-s14": "DINOv2 and OpenLLaMA", "clip-rn50": "CLIP ResNet-50"}


def _words_per_image() -> dict[int, str]:
    rows = published("figures").itertuples()
    return {
        int(row.figure): f"words per image, {SPECS[row.dataset].title}, {_VISION[row.vision]}" for row in rows
    }


#: {(kind, number): title}, for all 44 figures and 29 tables.
TITLES = {
    **{("Figure", n): title for n, title in sorted((_FIGURES | _words_per_image()).items())},
    **{
        ("Table", n): title
        for n, title in sorted(
            (
                _TABLES
                | {n: f"few-shot linear probes, {name}" for n, name in _PROBES.items()}
                | {
                    n: f"full {'fine-tuning' if n in (*range(6, 10), 20) else 'linear probes'}, {name}"
                    for n, name in _WHOLE.items()
                }
            ).items()
        )
    },
}

_GLYPHS = (
    "Stand-in: 300 characters, their pictures and sentences from their Unicode names; a ConvNet that has learned other "
    "characters, and word statistics of names, for DINO and OpenLLaMA"
)
_SWEEP = "fewer trainings per cell"

#: {name of a run: what its data, encoders and protocol differ in from the paper's}
DIFFERS = {
    "schematics": "Drawn by code from the project's own pictures and sentences.",
    "data_sheets": "The embedded data beside what the paper prints; `--data ROOT` counts what lies on disk.",
    "information_gain": "Beyond the paper: Theorems 1 to 3 as experiments.",
    "exchange_isolines": "Beyond the paper: the theory of its section 4.4.",
    "streaming_memory": "Beyond the paper.",
    "gaussian_recon": (
        "Width, batch, optimiser, steps and scale of loadings are not stated in the paper; the released code pairs the "
        "samples and draws new loadings for validation."
    ),
    "image_text_fewshot_glyphs": f"{_GLYPHS}; fewer steps, a grid with higher rates.",
    "image_text_fewshot_concepts": "Beyond the paper: simulated classes whose views share a cause of rank 12.",
    "image_text_fewshot_digits": "Beyond the paper: scikit-learn's digits and written descriptions.",
    "image_text_fewshot_concepts_aligned-True": (
        "Stand-in for CLIP: simulated classes whose two views lie in one space; the baseline has as many parameters as UML "
        "there, as in the paper."
    ),
    "robustness_glyphs": f"{_GLYPHS}; shifts: an unseen type family, unseen weights, noise, blur, for the four ImageNets.",
    "classifier_analysis_glyphs": f"{_GLYPHS}; planes are of the two pairs that the control confuses most.",
    "exchange_rate_glyphs": f"{_GLYPHS}, for all nine data sets with unaligned encoders; {_SWEEP}.",
    "exchange_rate_concepts_pair": (
        "Stand-in for CLIP on nine data sets: simulated classes with aligned views (texts there have no words), beside the "
        f"same with unaligned ones; {_SWEEP}."
    ),
    "text_ablations_glyphs": f"{_GLYPHS}, for SUN397; both losses are means of one step, so a ratio changes no weight; {_SWEEP}.",
    "full_data_glyphs": f"{_GLYPHS}; fine-tuning is of that ConvNet, for a few hundred steps; aligned encoders (Table 20) have no stand-in.",
    "full_data_concepts_aligned-True": "Stand-in for CLIP: simulated classes whose two views lie in one space.",
    "three_modalities_glyphs": (
        "Stand-in for ImageNet-ESC: pictures, sentences and outlines of characters; outlines (sequences of points) take the "
        "place of sounds."
    ),
    "self_supervised_glyphs": "Stand-in: patches of pictures and letters of names; a smaller transformer, fewer steps.",
    "language_to_vision_glyphs": (
        "Stand-in: a BERT of four layers pretrained here on Unicode names, pictures of 50 characters, for BERT and ImageNet."
    ),
}
