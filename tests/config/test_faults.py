"""Recipes that are wrong: each message with its line, all of them at once."""

import time
from pathlib import Path

import pytest

from seq2seq.config import RecipeFaults, load_recipe, settings_from_dict
from seq2seq.errors import RecipeError

MINIMAL = """\
output: runs/x
data:
  source_language: en
  target_language: de
  train: [{source: a.en, target: a.de}]
  valid: {source: v.en, target: v.de}
"""

CORPUS = "a corpus, {source: FILE, target: FILE}, {tsv: FILE}, {jsonl: FILE} or {dataset: NAME}"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def errors(text: str | bytes, *overrides: str) -> list[str]:
    content = text if isinstance(text, bytes) else text.encode()
    Path("r.yaml").write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        load_recipe("r.yaml", overrides)
    assert isinstance(caught.value, RecipeFaults)
    assert str(caught.value).startswith("\n".join(caught.value.errors[:100]))
    return caught.value.errors


@pytest.mark.parametrize(
    ("line", "error"),
    [
        # unknown keys
        ("train: {warmup_step: 5}", "train.warmup_step: unknown key; did you mean train.warmup_steps?"),
        ("train: {batch_size: 5}", "train.batch_size: unknown key; did you mean train.batch_tokens?"),
        ("train: {lr: 5}", "train.lr: unknown key; did you mean train.learning_rate?"),
        ("train: {layers: 5}", "train.layers: unknown key; did you mean model.layers?"),
        ("learning_rate: 5", "learning_rate: unknown key; did you mean train.learning_rate?"),
        ("tokeniser: {}", "tokeniser: unknown key; did you mean tokenizer?"),
        ("decode: {max_length: 5}", "decode.max_length: unknown key; did you mean decode.max_length_ratio?"),
        ("train.max_steps: 5", "train.max_steps: unknown key; write max_steps below train instead"),
        ("<<: {seed: 1}", "<<: unknown key; valid are task, output, seed, data, tokenizer, model, train, decode"),
        # values of the wrong type
        ("seed: abc", "seed: is 'abc', must be a whole number from 0 to 2147483647"),
        ("seed: 1.5", "seed: is '1.5', must be a whole number from 0 to 2147483647"),
        ("seed: [1, 2]", "seed: is a list of 2, must be a whole number from 0 to 2147483647"),
        ("seed: {a: 1}", "seed: is a mapping, must be a whole number from 0 to 2147483647"),
        ("seed:", "seed: is empty, must be a whole number from 0 to 2147483647"),
        ("train: {max_steps: 1e5}", "train.max_steps: is '1e5', must be a whole number of at least 1; write 100000"),
        ("train: {learning_rate: fast}", "train.learning_rate: is 'fast', must be a number above 0"),
        ("train: {learning_rate: .inf}", "train.learning_rate: is '.inf', must be a number above 0"),
        ("train: {learning_rate: nan}", "train.learning_rate: is 'nan', must be a number above 0"),
        ("train: 5", "train: is '5', must be a section of keys"),
        ("train: [a]", "train: is a list, must be a section of keys"),
        ("tokenizer: {shared: ja}", "tokenizer.shared: is 'ja', must be true or false"),
        (
            "train: {betas: [0.9]}",
            "train.betas.1: missing; it must be a number of at least 0 and below 1",
        ),
        (
            "train: {betas: 0.9}",
            "train.betas: is '0.9', must be a list of 2 values, each a number of at least 0 and below 1",
        ),
        # choices
        ("task: Translation", "task: is 'Translation', must be {tasks}; did you mean 'translation'?"),
        ("task: translate", "task: is 'translate', must be {tasks}; did you mean 'translation'?"),
        ("task: speech", "task: is 'speech', must be {tasks}"),
        ("task:", "task: is empty, must be {tasks}"),
        ("task: [translation]", "task: is a list, must be {tasks}"),
        (
            "train: {best_metric: blue}",
            "train.best_metric: is 'blue', must be one of bleu, chrf, loss; did you mean 'bleu'?",
        ),
        ("model: {norm: Post}", "model.norm: is 'Post', must be one of post, pre; did you mean 'post'?"),
        ("model: {norm: layer}", "model.norm: is 'layer', must be one of post, pre"),
        (
            "train: {device_tokens: atuo}",
            "train.device_tokens: is 'atuo', must be a whole number of at least 1, or auto; did you mean 'auto'?",
        ),
        # ranges
        ("seed: -1", "seed: is -1, must be at least 0"),
        ("seed: 2147483648", "seed: is 2147483648, must be at most 2147483647"),
        ("train: {device_tokens: 0}", "train.device_tokens: is 0, must be at least 1"),
        ("train: {patience: 0}", "train.patience: is 0, must be at least 1"),
        ("train: {max_minutes: 0}", "train.max_minutes: is 0, must be above 0"),
        ("train: {betas: [0.9, 1]}", "train.betas.1: is 1, must be below 1"),
        ("tokenizer: {character_coverage: 0.5}", "tokenizer.character_coverage: is 0.5, must be at least 0.9"),
        ("model: {dropout: 1}", "model.dropout: is 1, must be at most 0.9"),
        ("model: {d_model: 511, heads: 7}", "model.d_model: is 511, must be a multiple of 2"),
        # keys that do not go together
        ("model: {heads: 7}", "model.heads: heads (7) must divide d_model (512)"),
        ("model: {d_model: 100}", "model.d_model: heads (8) must divide d_model (100)"),
        (
            "train: {keep_checkpoints: 3}",
            "train.keep_checkpoints: keep_checkpoints (3) must be at least average_last (5)",
        ),
        ("train: {average_last: 6}", "train.average_last: keep_checkpoints (5) must be at least average_last (6)"),
        (
            "train: {schedule: noam, warmup_steps: 0}",
            "train.warmup_steps: schedule noam needs warmup_steps of at least 1 (is 0)",
        ),
        (
            "train: {min_learning_rate: 0.1}",
            "train.min_learning_rate: min_learning_rate (0.1) must be at most learning_rate (0.0007)",
        ),
        (
            "tokenizer: {type: characters, sample_alpha: 0.1}",
            "tokenizer.sample_alpha: sample_alpha samples subwords, and characters have none",
        ),
        # what YAML allows and a recipe does not
        ("output: b", "output: set twice; first on line 1"),
        ("? [a, b]\n: 1", "a key must be a word, not a list or mapping"),
        ("seed: !!python/object/apply:os.system [ls]", "tag !!python/object/apply:os.system: tags are not read; {tag}"),
        ("seed: !!int 5", "tag !!int: tags are not read; {tag}"),
        ("seed: &a [*a]", "alias *a: aliases are not read; write the value out"),
        ("seed: *nowhere", "alias *nowhere: aliases are not read; write the value out"),
        ("---\nseed: 1", "a second document begins here; a recipe is one"),
        ("seed: " + "[" * 5000, "nested too deeply"),
        ("seed: 'a", "not valid YAML: found unexpected end of stream"),
        ("seed: a: b", "not valid YAML: mapping values are not allowed here"),
        ("seed: \x00", "not valid YAML: the character '\\x00' must not stand in it"),
    ],
)
def test_message_and_line(here: Path, line: str, error: str) -> None:
    (found,) = errors(MINIMAL + line)
    expected = error.format(tag="the key says what its value means", tasks="one of translation, language_model")
    assert found == f"r.yaml:7: {expected}"


@pytest.mark.parametrize(
    ("old", "new", "line", "error"),
    [
        ("output: runs/x", "seed: 1", 1, "output: missing; it must be text"),
        ("output: runs/x", "output: ''", 1, "output: is empty, must be text"),
        (
            "  target_language: de\n",
            "",
            2,
            "data.target_language: missing; it must be a language code such as en or pt-BR",
        ),
        ("language: en", "language: e", 3, "data.source_language: is 'e', must be a language code such as en or pt-BR"),
        (", target: a.de", "", 5, "data.train.0.target: missing; it must be text"),
        (", target: a.de", ", target:", 5, "data.train.0.target: is empty, must be text"),
        ("target: a.de}", "target: a, src: b}", 5, "data.train.0.src: unknown key; did you mean data.train.0.source?"),
        ("a.de}", "a, weight: 0}", 5, "data.train.0.weight: is 0, must be above 0"),
        (
            "a.de}",
            "a, config: x}",
            5,
            "data.train.0.config: does not go with source, only with dataset: a corpus is of one kind",
        ),
        ("[{source: a.en, target: a.de}]", "[]", 5, "data.train: is empty, must be a list, each entry {corpus}"),
        ("[{source: a.en, target: a.de}]", "{}", 5, "data.train: is a mapping, must be a list, each entry {corpus}"),
        ("[{source: a.en, target: a.de}]", "[a.en]", 5, "data.train.0: is 'a.en', must be {corpus}"),
        ("{source: v.en, target: v.de}", "", 6, "data.valid: is empty, must be {corpora}"),
        ("{source: v.en, target: v.de}", "[]", 6, "data.valid: is empty, must be {corpora}"),
        ("{source: v.en, target: v.de}", "v.en", 6, "data.valid: is 'v.en', must be {corpora}"),
        ("{source: v.en, target: v.de}", "[{tsv: a}, b]", 6, "data.valid.1: is 'b', must be {corpus}"),
        ("{source: v.en, target: v.de}", "{dataset: }", 6, "data.valid.dataset: is empty, must be text"),
    ],
)
def test_message_and_line_within_the_data(here: Path, old: str, new: str, line: int, error: str) -> None:
    assert old in MINIMAL
    (found,) = errors(MINIMAL.replace(old, new))
    expected = error.replace("{corpus}", CORPUS).replace("{corpora}", f"{CORPUS}, or a list of them")
    assert found == f"r.yaml:{line}: {expected}"


@pytest.mark.parametrize(
    ("corpus", "error"),
    [
        # unknown keys
        ("{source: a, target: b, wieght: 2}", "wieght: unknown key; did you mean data.train.0.weight?"),
        ("{tsv: a, sourc: b}", "sourc: unknown key; did you mean data.train.0.source_column?"),
        ("{tsv: a, source_lang: b}", "source_lang: unknown key; did you mean data.train.0.source_language?"),
        ("{jsonl: a, target_colum: b}", "target_colum: unknown key; did you mean data.train.0.target_column?"),
        ("{dataset: a, stream: yes}", "stream: unknown key; did you mean data.train.0.streaming?"),
        ("{dataset: a, qqqq: 1}", "qqqq: unknown key; valid are source_language, target_language, weight, source_co"),
        # keys of another kind
        ("{tsv: a, target: b}", "target: does not go with tsv, only with source: a corpus is of one kind"),
        ("{jsonl: a, tsv: b}", "jsonl: does not go with tsv, only with jsonl: a corpus is of one kind"),
        ("{jsonl: a, split: b}", "split: does not go with jsonl, only with dataset: a corpus is of one kind"),
        (
            "{source: a, target: b, source_column: 1}",
            "source_column: does not go with source, only with tsv or jsonl or dataset: a corpus is of one kind",
        ),
        # values
        ("{tsv: a, source_column: de}", "source_column: is 'de', must be a whole number of at least 1"),
        ("{tsv: a, target_column: 0}", "target_column: is 0, must be at least 1"),
        ("{tsv: }", "tsv: is empty, must be text"),
        ("{jsonl: a, target_language: d}", "target_language: is 'd', must be a language code such as en or pt-BR, or"),
        ("{dataset: a, streaming: ja}", "streaming: is 'ja', must be true or false"),
        # values that do not go together
        ("{tsv: a, source_column: 2}", "source_column: source_column and target_column are both 2: a model would"),
        ("{jsonl: a, source_column: x}", "source_column: name both source_column and target_column, or neither"),
        ("{dataset: a, target_column: x}", "target_column: name both source_column and target_column, or neither"),
        (
            "{dataset: a, source_column: x, target_column: x}",
            "source_column: source_column and target_column are both x: a model would learn to copy",
        ),
    ],
)
def test_message_and_line_within_a_corpus(here: Path, corpus: str, error: str) -> None:
    (found,) = errors(MINIMAL.replace("[{source: a.en, target: a.de}]", f"\n    - {corpus}"))
    assert found.startswith(f"r.yaml:6: data.train.0.{error}")
    (found,) = errors(MINIMAL.replace("{source: v.en, target: v.de}", f"\n    - {corpus}"))
    assert found.startswith(f"r.yaml:7: data.valid.0.{error.replace('data.train.0', 'data.valid.0')}")


def test_a_corpus_whose_kind_is_misspelt(here: Path) -> None:
    found = errors(MINIMAL.replace("{source: a.en, target: a.de}", "{datset: wmt/wmt14}"))
    assert "r.yaml:5: data.train.0.datset: unknown key; did you mean data.train.0.dataset?" in found


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (
            "  temperature: 5",
            "r.yaml:7: data.temperature: temperature needs to know all pairs of a corpus, and a/b is streamed",
        ),
        (
            "  drop_duplicates: yes",
            "r.yaml:7: data.drop_duplicates: drop_duplicates needs to know all pairs of a corpus, and a/b is streamed",
        ),
        (
            "train:\n  batch_tokens: 9\n  max_epochs: 3",
            "r.yaml:9: train.max_epochs: a streamed corpus has no epochs; set train.max_steps instead",
        ),
    ],
)
def test_what_a_stream_cannot_do(here: Path, lines: str, error: str) -> None:
    text = MINIMAL.replace("{source: a.en, target: a.de}", "{source: a, target: b}, {dataset: a/b, streaming: true}")
    (found,) = errors(f"{text}{lines}\n")
    assert found == error
    assert load_recipe("r.yaml", ["data.train.1.streaming=no"]).settings.data.streaming is False


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("train.warmup_step=5", "train.warmup_step=5: unknown key; did you mean train.warmup_steps?"),
        ("trian.max_steps=5", "trian.max_steps=5: trian: unknown key; did you mean train?"),
        ("train.max_steps=abc", "train.max_steps=abc: is 'abc', must be a whole number of at least 1"),
        ("train.max_steps=0", "train.max_steps=0: is 0, must be at least 1"),
        ("train={max_steps: 0}", "train={max_steps: 0}: train.max_steps: is 0, must be at least 1"),
        ("model.heads=7", "model.heads=7: heads (7) must divide d_model (512)"),
        ("train.max_steps", "train.max_steps: must have the form KEY=VALUE, such as train.learning_rate=6e-4"),
        ("=5", "=5: must have the form KEY=VALUE, such as train.learning_rate=6e-4"),
        ("train..x=5", "train..x=5: must have the form KEY=VALUE, such as train.learning_rate=6e-4"),
        ("data.root=[a", "data.root=[a: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("data.root=*a", "data.root=*a: alias *a: aliases are not read; write the value out"),
        ("train={seed: 1, seed: 2}", "train={seed: 1, seed: 2}: train.seed: unknown key; did you mean seed?"),
        (
            "data.train.1.weight=2",
            "data.train.1.weight=2: data.train is a list; its entries in the recipe have the number 0, not '1'",
        ),
        (
            "data.train.source=2",
            "data.train.source=2: data.train is a list; its entries in the recipe have the number 0, not 'source'",
        ),
        ("seed.x=2", "seed.x=2: seed is no section in the recipe, so nothing below it can be set"),
    ],
)
def test_message_of_an_override(here: Path, argument: str, error: str) -> None:
    assert f"command line: {error}" in errors(MINIMAL + "seed: 5", argument)


def test_all_faults_at_once_in_the_order_of_the_file(here: Path) -> None:
    text = """\
outputs: runs/x
data:
  source_language: no
  train:
    - {source: a.en, target: a.de}
    - source: b.en
      weight: -1
train:
  max_steps: many
  keep_checkpoints: 3
  max_steps: 5
decode:
  beam_size: 0
"""
    assert errors(text, "model.heads=7", "train.warmup=5", "junk") == [
        "r.yaml:1: output: missing; it must be text",
        "r.yaml:1: outputs: unknown key; did you mean output?",
        "r.yaml:2: data.target_language: missing; it must be a language code such as en or pt-BR",
        f"r.yaml:2: data.valid: missing; it must be {CORPUS}, or a list of them",
        "r.yaml:6: data.train.1.target: missing; it must be text",
        "r.yaml:7: data.train.1.weight: is -1, must be above 0",
        "r.yaml:9: train.max_steps: is 'many', must be a whole number of at least 1",
        "r.yaml:10: train.keep_checkpoints: keep_checkpoints (3) must be at least average_last (5)",
        "r.yaml:11: train.max_steps: set twice; first on line 9",
        "r.yaml:13: decode.beam_size: is 0, must be at least 1",
        "command line: model.heads=7: heads (7) must divide d_model (512)",
        "command line: train.warmup=5: unknown key; did you mean train.warmup_steps?",
        "command line: junk: must have the form KEY=VALUE, such as train.learning_rate=6e-4",
    ]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "r.yaml:1: the recipe is empty; it needs at least output and data"),
        (b"# nothing\n", "r.yaml:1: the recipe is empty; it needs at least output and data"),
        (b"\n- a\n", "r.yaml:2: a recipe is a mapping of keys to values, such as output: runs/demo"),
        (b"hello", "r.yaml:1: a recipe is a mapping of keys to values, such as output: runs/demo"),
        (b"seed: 1\noutput: \xe4\n", "r.yaml:2: is not UTF-8; save it in that encoding"),
        (b"a: 1\n" * 100_000, "r.yaml: is no recipe: it is larger than 200000 bytes"),
    ],
)
def test_files_that_are_no_recipes(here: Path, content: bytes, error: str) -> None:
    assert errors(content) == [error]


@pytest.mark.parametrize(
    ("text", "told", "last"),
    [
        ("".join(f"key{i}: 1\n" for i in range(4000)), "key0: unknown key", "and "),
        (
            "train:\n" + "".join(f"  learning_rat{i}: 1\n" for i in range(3000)),
            "did you mean train.learning_rate",
            "and ",
        ),
        ("a: b\n" * 4000, "a: set twice", "and 3,9"),
        ("data:\n  train:\n" + "  - sorce: b\n" * 9000, "holds more than 10000 keys and values", "r.yaml:"),
    ],
)
def test_very_many_faults_are_told_soon_and_not_all(here: Path, text: str, told: str, last: str) -> None:
    Path("r.yaml").write_text(text)
    began = time.process_time()
    with pytest.raises(RecipeError) as caught:
        load_recipe("r.yaml")
    assert time.process_time() - began < 10  # it took minutes
    assert told in str(caught.value)
    lines = str(caught.value).split("\n")
    assert len(lines) <= 101
    assert lines[-1].startswith(last)


def test_a_bomb_of_aliases_is_refused(here: Path) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    found = errors("\n".join(lines))
    assert found[0] == "r.yaml:2: alias *a0: aliases are not read; write the value out"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("recipes/dmeo.yaml", "recipes/dmeo.yaml: no such file; did you mean recipes/demo.yaml?"),
        ("recipes/demo", "recipes/demo: is a folder, not a recipe; did you mean recipes/demo.yaml?"),
        ("demo", "demo: no such file; did you mean recipes/demo.yaml?"),
        ("elsewhere/quite_another.yaml", "elsewhere/quite_another.yaml: no such file"),
    ],
)
def test_a_missing_file_and_the_recipe_that_was_meant(here: Path, path: str, message: str) -> None:
    (here / "recipes" / "demo").mkdir(parents=True)
    (here / "recipes" / "demo.yaml").write_text(MINIMAL)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert str(caught.value) == message


def test_stored_settings_are_refused_in_the_same_words() -> None:
    values = {"output": "x", "seed": -1, "train": {"warmup_step": 5}, "data": {"train": 3}}
    with pytest.raises(RecipeError) as caught:
        settings_from_dict(values, "best/config.json")
    assert str(caught.value).splitlines() == [
        "best/config.json: seed: is -1, must be at least 0",
        "best/config.json: data.source_language: missing; it must be a language code such as en or pt-BR",
        "best/config.json: data.target_language: missing; it must be a language code such as en or pt-BR",
        f"best/config.json: data.train: is '3', must be a list, each entry {CORPUS}",
        f"best/config.json: data.valid: missing; it must be {CORPUS}, or a list of them",
        "best/config.json: train.warmup_step: unknown key; did you mean train.warmup_steps?",
    ]
    with pytest.raises(RecipeError, match="x.json: must be a mapping of keys to values"):
        settings_from_dict([], "x.json")  # type: ignore[arg-type]
