"""A small BERT that has read descriptions of characters, by masked language modelling; it never sees a picture."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from fisherkit.checks import as_whole
from neural.minibatches import torch_generator
from neural.store.array_cache import ArrayCache, content_key
from neural.transfer.initialisations import randomise
from neural.transfer.stack import LanguageStack
from neural.transfer.training import Schedule, train
from neural.worlds.glyph_names import corpus_characters, fine_texts

__all__ = ["BertSettings", "Masking", "corpus_sentences", "pretrain_bert", "small_bert", "word_pieces"]

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # tokens 0 to 4
_PAD, _MASK, _FIRST_WORD = 0, 4, len(SPECIAL)
_VERSION = 1  # raise when the same settings would give other weights


@dataclass(frozen=True)
class BertSettings:
    """Sizes of the small BERT and of its pretraining."""

    width: int = 128  # d
    layers: int = 4  # depth
    heads: int = 4  # of the attention; divides the width
    vocabulary: int = 2000  # word pieces at most
    # about how many are described; None takes all that have words for a name (about 30,000)
    characters: int | None = None
    longest: int = 40  # tokens of a sentence at most
    held_out: float = 0.02  # share of the characters whose sentences are kept for validation
    steps: int = 2000  # optimiser steps
    batch: int = 64  # sentences per step
    learning_rate: float = 1e-3  # highest

    @property
    def schedule(self) -> Schedule:
        """How it is trained."""
        return Schedule(
            self.steps,
            self.batch,
            self.learning_rate,
            weight_decay=0.01,
            warmup=max(1, self.steps // 10),
            look_every=max(1, self.steps // 10),
            save_every=max(1, self.steps // 10),
        )


DEFAULT = BertSettings()


@dataclass(frozen=True)
class Masking:
    """BERT's noise: of 15% of the tokens, 8 in 10 become [MASK], 1 in 10 a random word, 1 in 10 stay."""

    vocabulary: int
    share: float = 0.15

    def __call__(self, tokens: Tensor, noise: torch.Generator) -> tuple[Tensor, Tensor]:
        """Tokens (b, n) to read, and which positions are to be told; special tokens and padding are never chosen."""

        def uniform() -> Tensor:
            return torch.rand(tokens.shape, generator=noise, device=tokens.device)

        asked = (uniform() < self.share) & (tokens >= _FIRST_WORD)
        kind = uniform()
        words = torch.randint(
            _FIRST_WORD, self.vocabulary, tokens.shape, generator=noise, device=tokens.device
        )
        read = torch.where(asked & (kind < 0.8), _MASK, tokens)
        return torch.where(asked & (kind >= 0.9), words, read), asked


def corpus_sentences(characters: Sequence[str]) -> list[str]:
    """All sentences about the named characters, each once, in order of appearance."""
    return list(dict.fromkeys(s for c in characters for s in fine_texts(c)))


def word_pieces(sentences: Sequence[str], vocabulary: int) -> tokenizers.Tokenizer:
    """Word pieces as BERT's: the commonest words whole, all others spelled; [CLS] in front, [SEP] at the end."""
    # The trainer of the tokenizers package breaks ties differently from run to run: equal seeds, other weights.
    splitter = tokenizers.pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for line, times in Counter(sentences).items():
        for word, _ in splitter.pre_tokenize_str(line):
            counts[word] += times
    letters = sorted({letter for word in counts for letter in word})
    tokens = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters)]
    if len(tokens) >= vocabulary:
        raise ValueError(
            f"vocabulary: {vocabulary} tokens leave no word beside {len(tokens)} letters and special tokens; "
            "allow more"
        )
    words = [
        word for word, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])) if len(word) > 1
    ]
    tokens += words[: vocabulary - len(tokens)]
    numbered = {token: number for number, token in enumerate(tokens)}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(numbered, unk_token="[UNK]"))
    made.pre_tokenizer = splitter
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def pretrain_bert(
    settings: BertSettings = DEFAULT,
    *,
    seed: int = 0,
    cache: Path | None = None,
    progress: Callable[[int], object] | None = None,
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Weights {name: array} of a ``BertModel`` without pooler, by masked language modelling; and what to know of it."""
    longest = as_whole(settings.longest, "longest", least=4)
    characters = np.array(corpus_characters(settings.characters))
    order = torch.randperm(len(characters), generator=torch_generator(seed, "held-out characters")).numpy()
    n_out = max(1, round(settings.held_out * len(characters)))
    held_out = corpus_sentences(characters[np.sort(order[:n_out])].tolist())
    out = set(held_out)
    sentences = [s for s in corpus_sentences(characters[np.sort(order[n_out:])].tolist()) if s not in out]
    what = {
        "version": _VERSION,
        "unicode": unicodedata.unidata_version,
        "torch": torch.__version__,
        "tokenizers": tokenizers.__version__,
        "settings": asdict(settings),
        "seed": seed,
    }
    key = content_key(what)

    def make() -> dict[str, NDArray[Any]]:
        tokenizer = word_pieces(sentences, settings.vocabulary)
        tokenizer.enable_truncation(longest)
        size = tokenizer.get_vocab_size()
        model = transformers.BertForMaskedLM(bert_config(settings, size))
        randomise(model, model.config.initializer_range, seed)
        learn = _padded(tokenizer, sentences)
        check = _padded(tokenizer, held_out[:: 1 + len(held_out) // 1000])
        masking = Masking(size)

        def loss(rows: Tensor, noise: torch.Generator) -> Tensor:
            logits, words = _told(model, learn[rows], masking, noise)
            return F.cross_entropy(logits, words)

        def look() -> dict[str, float]:
            noise = torch.Generator().manual_seed(0)  # the same masks at every look
            found = [
                (logits.argmax(dim=1) == words, words)
                for part in check.split(512)
                for logits, words in [_told(model, part, masking, noise)]
            ]
            words = torch.cat([w for _, w in found])
            right = torch.cat([r for r, _ in found])
            return {
                "accuracy": float(right.double().mean()),
                "guess": float((words == words.mode().values).double().mean()),
            }

        unfinished = None if cache is None else Path(cache) / f"small-bert-{key}.unfinished"
        log = train(
            model,
            loss,
            len(learn),
            settings.schedule,
            seed=seed,
            look=look,
            checkpoint=unfinished,
            what=what,
            progress=progress,
        )
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
        arrays = {f"bert {name}": values.numpy() for name, values in model.bert.state_dict().items()}
        arrays |= {f"log {name}": np.array(values) for name, values in log.looks.items()}
        return arrays | {"log counts": np.array([len(sentences), size])}

    arrays = ArrayCache(cache).get("small-bert", what, make)
    weights = {n.removeprefix("bert "): values for n, values in arrays.items() if n.startswith("bert ")}
    about = {
        "fingerprint": key,  # of everything that decides the weights
        # of told words on held-out characters, after each tenth of the steps; and always telling the commonest word
        "accuracy": arrays["log accuracy"].tolist(),
        "guess": float(arrays["log guess"][-1]),
        "sentences": int(arrays["log counts"][0]),
        "vocabulary": int(arrays["log counts"][1]),
    }
    return weights, about


def small_bert(
    settings: BertSettings = DEFAULT,
    *,
    seed: int = 0,
    cache: Path | None = None,
    progress: Callable[[int], object] | None = None,
) -> tuple[LanguageStack, dict[str, Any]]:
    """The layers of the small BERT, and what to know of its pretraining (see `pretrain_bert`)."""
    weights, about = pretrain_bert(settings, seed=seed, cache=cache, progress=progress)
    network = transformers.BertModel(bert_config(settings, about["vocabulary"]), add_pooling_layer=False)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return LanguageStack(network, "small BERT"), about


def bert_config(settings: BertSettings, vocabulary: int) -> transformers.BertConfig:
    """The small BERT as transformers describes it; without dropout, whose source would be the global one."""
    return transformers.BertConfig(
        vocab_size=vocabulary,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.width,
        max_position_embeddings=settings.longest,
        pad_token_id=_PAD,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def _padded(tokenizer: tokenizers.Tokenizer, sentences: Sequence[str]) -> Tensor:
    """(n, longest) tokens, padded at the end."""
    tokenizer.enable_padding(pad_id=_PAD, pad_token="[PAD]")
    coded = tokenizer.encode_batch_fast(list(sentences))
    return torch.from_numpy(np.array([e.ids for e in coded], dtype=np.int64))


def _told(
    model: transformers.BertForMaskedLM, tokens: Tensor, masking: Masking, noise: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Scores at the positions that are to be told, and the words there."""
    used = tokens != _PAD
    tokens, used = tokens[:, : int(used.sum(dim=1).max())], used[:, : int(used.sum(dim=1).max())]
    read, asked = masking(tokens, noise)
    if not asked.any():  # a batch of very few tokens: ask for one
        asked[0, 1] = True
    hidden = model.bert(input_ids=read, attention_mask=used.long()).last_hidden_state[asked]
    return model.cls(hidden), tokens[asked]
