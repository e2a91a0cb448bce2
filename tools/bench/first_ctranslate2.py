"""The shortest script that translates a line with CTranslate2: from stdin to stdout.

    python -P tools/bench/first_ctranslate2.py '{"model": ..., "source": ..., "target": ..., ...}'

What it is told is what `bench.first` asks of every system.
"""

import importlib
import json
import sys
from typing import Any, cast

import sentencepiece


def main() -> None:
    """Translates."""
    asked = json.loads(sys.argv[1])
    device, _, number = asked["device"].partition(":")
    if device == "cpu":  # it imports torch if it can, which takes a second that its users need not wait
        cast(dict[str, Any], sys.modules)["torch"] = None
    source, target = (sentencepiece.SentencePieceProcessor(model_file=asked[side]) for side in ("source", "target"))
    translator = importlib.import_module("ctranslate2").Translator(
        asked["model"],
        device=device,
        device_index=int(number or 0),
        compute_type=asked["format"],
        intra_threads=asked["threads"],
    )
    ids = asked["tag"] + source.encode(sys.stdin.readline().rstrip("\n"), add_eos=True)
    (result,) = translator.translate_batch(
        [source.id_to_piece(ids)],
        beam_size=asked["beam_size"],
        length_penalty=asked["length_penalty"],
        min_decoding_length=asked["shortest"],
        max_decoding_length=asked["longest"],
    )
    print(target.decode(result.hypotheses[0]), flush=True)


if __name__ == "__main__":
    main()
