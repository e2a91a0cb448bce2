"""CTranslate2's translator with our weights; on a CPU it needs no torch."""

import importlib
import sys
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from bench.translate_peer import PeerTranslator
from bench.translate_plan import TranslatePlan
from seq2seq.text.ids import BOS, PAD
from seq2seq.text.tokenizer import Tokenizer

SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")  # as CTranslate2 calls the ids that every tokenizer reserves


def vocabularies(tokenizer: Tokenizer) -> tuple[list[str], list[str]]:
    """Returns the tokens of CTranslate2 that stand for our source and target ids."""
    (source,) = tokenizer.source_pieces([np.arange(tokenizer.source_vocab_size)])
    (target,) = tokenizer.target_pieces([np.arange(tokenizer.target_vocab_size)])
    return [*SPECIAL, *source[len(SPECIAL) :]], [*SPECIAL, *target[len(SPECIAL) :]]


class CTranslate2Translator(PeerTranslator):
    """CTranslate2's Translator, loaded and asked as its users do."""

    def __init__(self, plan: TranslatePlan, name: str) -> None:
        super().__init__(plan)
        if plan.device == "cpu":  # it imports torch if it can, which costs time and memory that its users need not pay
            cast(dict[str, Any], sys.modules).setdefault("torch", None)
        self.translator = importlib.import_module("ctranslate2").Translator(
            str(plan.peer(name)),
            device=plan.device.partition(":")[0],
            device_index=int(plan.device.partition(":")[2] or 0),
            compute_type=name.partition("-")[2],
            intra_threads=plan.threads,
        )
        self.source, target = vocabularies(self.tokenizer)
        self.ids = {token: i for i, token in enumerate(target)}

    def search(self, sources: Sequence[list[int]], limits: Sequence[int]) -> list[list[int]]:
        """Returns the ids of a translation of each source."""
        found: Any = self.translator.translate_batch(
            [[self.source[i] for i in source] for source in sources],
            max_batch_size=self.batch_size,
            beam_size=self.plan.beam_size,
            length_penalty=self.plan.length_penalty,
            disable_unk=True,
            suppress_sequences=[[SPECIAL[PAD]], [SPECIAL[BOS]]],
            min_decoding_length=self.plan.forced + 1 if self.plan.forced else 0,
            max_decoding_length=max(limits) + 1,
            return_end_token=True,
        )
        return [[self.ids[token] for token in result.hypotheses[0]] for result in found]
