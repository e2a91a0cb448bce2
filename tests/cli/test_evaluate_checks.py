"""What is wrong is told before models translate."""

from pathlib import Path

import pytest
import sacrebleu.metrics.bleu

from seq2seq.cli.evaluate import main


def test_a_tokenizer_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(_: str) -> None:
        raise RuntimeError('Please install sacrebleu["ja"]')

    monkeypatch.setattr(sacrebleu.metrics.bleu, "_get_tokenizer", missing)
    for name in ("s", "r"):
        (tmp_path / name).write_text("a\n")
    sides = ["--source", str(tmp_path / "s"), "--reference", str(tmp_path / "r"), "--langpair", "en-ja"]
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "not looked for"), *sides])
    assert ended.value.code == 2
    assert "BLEU for target language 'ja': Please install" in capsys.readouterr().err
