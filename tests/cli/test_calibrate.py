"""seq2seq-calibrate and what comes of it: the model's folder, its translations, and the page; on a tiny model."""

import json
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from click.testing import CliRunner, Result
from conftest import make_pairs, tiny_recipe, write_pairs
from tiny_models import language_model

from seq2seq.cli import calibrate, inspect, translate
from seq2seq.config import TokenizerSettings, TranslationSettings
from seq2seq.decode.confidence import features_of
from seq2seq.decode.translator import Translator
from seq2seq.errors import DamagedError, ModelError
from seq2seq.evaluate.calibrate import spearman
from seq2seq.files import add_file, atomic_folder, lock, verify_manifest, write_json
from seq2seq.model.calibration import CALIBRATION
from seq2seq.model.folder import TrainedModel, build_model, load_model, save_model
from seq2seq.text.ids import EOS
from seq2seq.text.tokenizer import Tokenizer

Files = tuple[Path, Path]


def random_model(folder: Path, languages: tuple[str, ...] = ()) -> Path:
    settings = TranslationSettings.model_validate(tiny_recipe(folder))
    tokenizer = Tokenizer.train(make_pairs(200), TokenizerSettings(vocab_size=70), languages)
    torch.manual_seed(4)
    model = build_model(settings, tokenizer)
    with torch.no_grad():
        model.target_embedding.tokens.weight[EOS] *= 2.5
    with atomic_folder(folder / "run/best") as temporary:
        save_model(temporary, TrainedModel(model, tokenizer, settings, 40))
    return folder / "run"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    write_pairs(tmp_path, "dev", [*make_pairs(60, seed=5), ("", ""), ("a dog.", " ")])
    with open(tmp_path / "dev.en", "a") as source, open(tmp_path / "dev.de", "a") as target:
        source.write("red dog. " * 40 + "\n")  # is split
        target.write("DOG RED!\n")
    return tmp_path / "dev.en", tmp_path / "dev.de"


def run(model: Path, files: Files, *options: object) -> Result:
    source, reference = files
    arguments = [model, "--source", source, "--reference", reference, "--device", "cpu", *options]
    return CliRunner().invoke(calibrate.main, list(map(str, arguments)))


def test_from_text_to_confidence(tmp_path: Path, files: Files) -> None:
    model = random_model(tmp_path)
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    lines = files[0].read_text().split("\n")[:-1]
    assert all(
        one.confidence is None and not one.calibrated for one in Translator.load(model, "cpu").translate_all(lines)
    )
    done = run(model, files, "--report", tmp_path / "page.html")
    assert done.exit_code == 0, done.stderr
    assert "translations: 60 (3 lines left out)\n" in done.stdout
    assert re.search(
        r"expected calibration error: 0\.\d{4} \(cross-validated\)\nrank correlation with chrF: ", done.stdout
    )
    assert CALIBRATION in verify_manifest(model / "best")
    assert all(path.read_bytes() == content for path, content in before.items() if path.name != "MANIFEST.json")

    translator = Translator.load(model, "cpu")
    calibration = translator.calibration
    assert calibration and calibration.about["target_language"] == "de" and calibration.examples == 60
    found = translator.translate_all(lines)
    for one in found[:60]:
        assert one.confidence == pytest.approx(calibration(features_of(translator.tokenizer, one.searched)[0]))
    assert found[60].confidence is None and found[60].calibrated
    assert found[-1].parts > 1 and found[-1].confidence is not None
    parts = [calibration(features) for features in features_of(translator.tokenizer, found[-1].searched)]
    assert min(parts) - 1e-9 <= found[-1].confidence <= max(parts) + 1e-9

    out = CliRunner().invoke(
        translate.main, [str(model), "--device", "cpu", "--format", "jsonl"], input=f"{lines[0]}\n\n{lines[1]}\n"
    )
    confidences = [json.loads(line)["confidence"] for line in out.stdout.splitlines()]
    assert confidences == [found[0].confidence, None, found[1].confidence]
    page = (tmp_path / "page.html").read_text()
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|url\(|<script|<link", page)
    assert ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6]) is not None


def test_a_calibration_is_checked_on_other_text(tmp_path: Path, files: Files) -> None:
    model = random_model(tmp_path)
    refused = run(model, files, "--check")
    assert refused.exit_code == 4 and "the model is not calibrated for de" in refused.stderr
    assert run(model, files).exit_code == 0
    content = (model / "best" / CALIBRATION).read_bytes()
    write_pairs(tmp_path, "test", make_pairs(30, seed=6))
    done = run(model, (tmp_path / "test.en", tmp_path / "test.de"), "--check")
    assert done.exit_code == 0 and "translations: 30 (0 lines left out)" in done.stdout
    assert "(by the model's calibration)" in done.stdout
    assert (model / "best" / CALIBRATION).read_bytes() == content
    assert run(model, files, "--beam-size", 1).exit_code == 0
    calibration = load_model(model / "best").calibration
    assert calibration and calibration.about["decode"]["beam_size"] == 1
    shown = CliRunner().invoke(inspect.main, [str(model)])
    assert "60 translations, expected calibration error" in shown.stdout


def test_it_holds_for_its_model_and_language_alone(tmp_path: Path, files: Files) -> None:
    model = random_model(tmp_path, ("de", "en"))
    assert run(model, files, "--target-language", "de").exit_code == 0
    assert Translator.load(model, "cpu", target_language="de").calibration
    assert Translator.load(model, "cpu", target_language="en").calibration is None
    assert Translator.load(model, "cpu", target_language="de", others=[model]).calibration is None
    trained = load_model(model / "best")
    with atomic_folder(tmp_path / "other") as folder:
        save_model(folder, trained)  # maybe with other weights
    assert load_model(tmp_path / "other").calibration is None


def test_it_holds_for_its_search_alone(tmp_path: Path, files: Files) -> None:
    model = random_model(tmp_path)
    assert run(model, files).exit_code == 0
    same = Translator.load(model, "cpu", batch_tokens=100, precision="fp32")
    assert same.calibration and not same.doubt
    other = Translator.load(model, "cpu", beam_size=1, length_penalty=0.5)
    assert other.calibration is None
    assert other.doubt == "the model is calibrated with beam_size 2, not 1, with length_penalty 0.6, not 0.5"

    def translated(*options: str) -> Result:
        return CliRunner().invoke(translate.main, [str(model), "--device", "cpu", *options], input="red dog.\n\n")

    told = translated("--format", "jsonl")
    assert "confidence" in told.stdout and "no confidence" not in told.stderr
    untold = translated("--format", "jsonl", "--search", "sampling")
    assert untold.exit_code == 0 and "confidence" not in untold.stdout
    assert "no confidence: the model is calibrated with search beam, not sampling\n" in untold.stderr
    assert "no confidence" not in translated("--beam-size", "1").stderr
    checked = run(model, files, "--check", "--beam-size", 1)
    assert checked.exit_code == 0 and "note: the model is calibrated with beam_size 2, not 1\n" in checked.stdout
    assert run(model, files, "--search", "sampling", "--seed", 3).exit_code == 0
    assert Translator.load(model, "cpu", search="sampling").calibration
    assert "confidence" in translated("--format", "jsonl", "--search", "sampling").stdout


def test_what_is_steered_or_tried_again_has_no_confidence(tmp_path: Path, files: Files) -> None:
    model = random_model(tmp_path)
    assert run(model, files).exit_code == 0
    lines = [source for source, _ in make_pairs(3, seed=8)]
    begun = Translator.load(model, "cpu").translate_all(lines, prefixes=["DOG", "", ""])
    assert [one.confidence is None for one in begun] == [True, False, False]
    guarded = Translator.load(model, "cpu", guard=True).translate_all(lines)
    assert any(one.retried for one in guarded)
    assert [one.confidence is None for one in guarded] == [one.retried for one in guarded]


def test_one_that_is_not_usable_is_made_anew(tmp_path: Path, files: Files) -> None:
    model = random_model(tmp_path)
    add_file(model / "best", CALIBRATION, lambda folder: write_json(folder / CALIBRATION, {"format_version": 2}))
    with pytest.raises(ModelError, match="make it anew with seq2seq-calibrate"):
        load_model(model / "best")
    assert run(model, files).exit_code == 0
    assert load_model(model / "best").calibration


def test_what_cannot_be_calibrated(tmp_path: Path, files: Files) -> None:
    model = random_model(tmp_path)
    (tmp_path / "blank").write_text("\n \n")
    write_pairs(tmp_path, "few", make_pairs(4))
    with atomic_folder(tmp_path / "gpt") as folder:
        save_model(folder, language_model("learned"))
    (model / "status.json").write_text("{}")
    for folder, pair, options, code, message in (
        (model, (tmp_path / "blank", tmp_path / "blank"), [], 2, "no sentence pair to measure translations by"),
        (model, (tmp_path / "few.en", tmp_path / "few.de"), [], 2, "few.de: 4 translations are too few: it takes 5"),
        (model, (tmp_path / "few.en", files[1]), [], 2, "few.en has 4 lines and"),
        (model, files, ["--report", tmp_path / "no/page.html"], 2, "its folder does not exist"),
        (tmp_path / "gpt", files, [], 4, "is a language model"),
        (tmp_path / "nowhere", files, [], 4, "no such folder"),
    ):
        refused = run(folder, pair, *options)
        assert refused.exit_code == code and message in refused.stderr
    with lock(model):
        refused = run(model, files)
        assert refused.exit_code == 3 and refused.stderr.strip().endswith("is being trained; wait for its end")
    assert load_model(model / "best").calibration is None
    assert run(model, files).exit_code == 0
    content = (model / "best" / CALIBRATION).read_bytes()
    (model / "best" / CALIBRATION).write_bytes(content.replace(b"0", b"1", 1))
    with pytest.raises(DamagedError, match="does not match MANIFEST"):
        load_model(model / "best")


def test_rank_correlation_of_small_cases() -> None:
    assert spearman([1, 2, 3], [10, 20, 90]) == pytest.approx(1)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 1, 2], [5, 7, 9]) == pytest.approx(math.sqrt(0.75))
    assert spearman([1, 1], [1, 2]) == 0
