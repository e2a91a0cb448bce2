"""The shortest script that translates a line with transformers: from stdin to stdout.

    python -P tools/bench/first_marian.py '{"model": ..., "source": ..., "target": ..., ...}'

What it is told is what `bench.first` asks of every system.
"""

import importlib
import json
import sys

import sentencepiece
import torch


def main() -> None:
    """Translates."""
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    transformers = importlib.import_module("transformers")
    source, target = (sentencepiece.SentencePieceProcessor(model_file=asked[side]) for side in ("source", "target"))
    dtype = getattr(torch, asked["format"])
    model = transformers.MarianMTModel.from_pretrained(asked["model"], dtype=dtype).to(asked["device"]).eval()
    ids = asked["tag"] + source.encode(sys.stdin.readline().rstrip("\n"), add_eos=True)
    beams = {"early_stopping": True, "length_penalty": asked["length_penalty"]} if asked["beam_size"] > 1 else {}
    with torch.inference_mode():
        out = model.generate(
            torch.tensor([ids], device=asked["device"]),
            num_beams=asked["beam_size"],
            min_new_tokens=asked["shortest"],
            max_new_tokens=asked["longest"],
            **beams,
        )
    print(target.decode(out[0].tolist()), flush=True)


if __name__ == "__main__":
    main()
