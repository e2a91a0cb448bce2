"""What an evaluation says, in words: which system is better, and whether that may be chance."""

from collections.abc import Sequence

from seq2seq.evaluate.evaluation import Evaluation
from seq2seq.evaluate.metrics import LESS_IS_BETTER
from seq2seq.evaluate.significance import LEVEL, Difference


def verdict(evaluation: Evaluation) -> list[str]:
    """Returns sentences that say what the scores of a test set mean."""
    scores, names = evaluation.scores, evaluation.names
    data = f"the {scores[0].lines:,} lines of {evaluation.test.title}"
    if len(names) == 1:
        values = ", ".join(f"{score.name} {score.value:.1f} (± {score.margin or 0:.1f})" for score in scores[0].metrics)
        return [f"{names[0]} reaches {values} on {data}."]
    best = evaluation.best
    tested = [found for k in range(len(names)) if (found := evaluation.difference("BLEU", k, best))]
    told = [f"{names[best]} has the highest BLEU, {scores[best]['BLEU']:.1f}, on {data}; {_next(tested, names)}"]
    told += _other_metrics(evaluation)
    if len(names) > 2:
        told += _against(evaluation, 0)
    return told


def _next(tested: Sequence[Difference], names: Sequence[str]) -> str:
    """Says how far the best system is from the second best, given how it differs from the others."""
    if equal := [names[each.first] for each in tested if each.value == 0]:
        return f"so {'has' if len(equal) == 1 else 'have'} {', '.join(equal)}."
    found = min(tested, key=lambda each: each.value)
    ahead = f"{names[found.first]} is next, {found.value:.2f} lower"
    if found.is_scarce:
        lines = "line differs" if found.lines == 1 else "lines differ"
        return f"{ahead}, but only {found.lines} {lines} by it: too few to tell whether that is chance."
    values = p_values(found)
    if found.is_significant:
        return f"{ahead}, and the difference is significant ({values})."
    return f"{ahead}, but the difference is not significant: it may be chance ({values})."


def _other_metrics(evaluation: Evaluation) -> list[str]:
    """Says whether the other metrics see the same system ahead."""
    best, names = evaluation.best, evaluation.names
    agree, others = [], []
    for metric in evaluation.scores[0].metrics[1:]:
        sign = -1 if metric.name in LESS_IS_BETTER else 1
        values = [sign * scores[metric.name] for scores in evaluation.scores]
        if values[best] == max(values):
            agree += [metric.name] * (values.count(max(values)) == 1)
            continue
        first = values.index(max(values))
        found = evaluation.difference(metric.name, best, first)
        if found:
            kind = "significantly so" if found.is_significant else "not significantly so"
            how = f"on {found.lines} lines" if found.is_scarce else f"{kind} ({p_values(found)})"
            ahead = f"By {metric.name} {names[first]} is ahead of it, {evaluation.scores[first][metric.name]:.1f} to "
            others.append(f"{ahead}{evaluation.scores[best][metric.name]:.1f}, {how}.")
    if agree:
        what = f"{', '.join(agree[:-1])} and {agree[-1]}" if len(agree) > 1 else agree[0]
        others.insert(0, f"It is best by {what} too.")
    return others


def _against(evaluation: Evaluation, base: int) -> list[str]:
    """Says which systems differ in BLEU from the one that is the measure of the others."""
    kinds: dict[str, list[str]] = {"better": [], "worse": [], "not different beyond chance": []}
    better, worse, equal = kinds.values()
    for k, name in enumerate(evaluation.names):
        found = evaluation.difference("BLEU", base, k)
        if found:
            (equal if not found.is_significant else better if found.is_better else worse).append(name)
    told = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names)
    return [f"Against {evaluation.names[base]}, the first one, by BLEU and p < {LEVEL:g}: {told}."]


def p_values(found: Difference) -> str:
    """Returns the p-values of both tests."""
    tests = ((found.bootstrap, "paired bootstrap"), (found.randomisation, "approximate randomisation"))
    return ", ".join(f"p {'< 0.001' if p < 0.001 else f'= {p:.3f}'} by {test}" for p, test in tests)
