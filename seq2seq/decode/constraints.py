"""What must or must not stand in a hypothesis; search on ids, as `beam.py` does."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.decode.forbidden import NO_WORDS, Forbidden, Words
from seq2seq.decode.pieces import Pieces

NEVER = -torch.inf


@dataclass(frozen=True)
class Phrase:
    """Tokens that must stand in a hypothesis, in one of several ways to write them, and that no word goes on behind.

    Attributes:
        ways: the tokens of each way, at least one.
        apart: characters that may stand directly behind it beside spaces, where nothing else may and in front of it
            only spaces and opening brackets; empty: it need not stand apart.
    """

    ways: tuple[tuple[int, ...], ...]
    apart: str = ""


@dataclass(frozen=True)
class Demand:
    """What is asked of the hypotheses of one sentence.

    Attributes:
        prefix: tokens with which they begin.
        phrases: that stand in them, none within another one; one that is here twice stands there twice.
        readable: whether phrases may stand in the prefix, which else stands for another text.
    """

    prefix: tuple[int, ...] = ()
    phrases: tuple[Phrase, ...] = ()
    readable: bool = True

    @property
    def length(self) -> int:
        """Tokens in which it surely has room: in front of each phrase there may have to be a space."""
        return len(self.prefix) + sum(1 + max(map(len, phrase.ways)) for phrase in self.phrases)


class _State(NamedTuple):
    """How far a hypothesis has come.

    Attributes:
        read: its tokens.
        met: bits of the phrases that stand in it.
        begun: phrases that it may be in the middle of: which, which way, tokens of it, and bits of those within it.
        open: bit of the phrase that has just come to its end, unless it turns out to go on; 0: none.
        ends: whether a word may begin without a space.
        opens: whether a phrase that stands apart may.
        apart: what alone may come beside spaces, because a phrase that stands apart has just come to its end.
        words: the last ones; see `forbidden`.
    """

    read: int = 0
    met: int = 0
    begun: tuple[tuple[int, int, int, int], ...] = ()
    open: int = 0
    ends: bool = True
    opens: bool = True
    apart: str = ""
    words: Words = NO_WORDS


class Waived(NamedTuple):
    """Tokens that do not count in comparisons.

    Attributes:
        tokens: how many.
        log_prob: their log-probability, in nats.
        begun_tokens: those of the phrase that a hypothesis is within, which may still be given up; counted above too.
        begun_log_prob: theirs.
        counted: log-probability of all tokens that do count. Where two hypotheses are waived all that they differ in it
            is exactly the same, which a difference of rounded sums is not.
    """

    tokens: int = 0
    log_prob: float = 0.0
    begun_tokens: int = 0
    begun_log_prob: float = 0.0
    counted: float = 0.0

    def plus(self, log_prob: float) -> "Waived":
        """Returns this and one token more."""
        begun = self.begun_tokens + 1, self.begun_log_prob + log_prob
        return Waived(self.tokens + 1, self.log_prob + log_prob, *begun, self.counted)

    def settled(self) -> "Waived":
        """Returns this when the phrase has come to its end."""
        return Waived(self.tokens, self.log_prob, counted=self.counted)

    def given_up(self) -> "Waived":
        """Returns this when the phrase has been left unfinished: its tokens count as all others do."""
        counted = self.counted + self.begun_log_prob
        return Waived(self.tokens - self.begun_tokens, self.log_prob - self.begun_log_prob, counted=counted)


class Constraints:
    """Follows the rows of a search as a stepper does, and says what may follow them.

    Required phrases need a search that keeps hypotheses which have come differently far with them, since those without
    are more probable: dynamic beam allocation, Post & Vilar 2018. `beam.py` asks `wanted` and `stage` for it.

    Args:
        demands: of each sentence, in the order in which they begin.
        eos: id that ends a hypothesis.
        pieces: tokens as text.
        forbidden: texts that no hypothesis holds; see `Forbidden`.
    """

    def __init__(self, demands: Sequence[Demand], eos: int, pieces: Pieces, forbidden: Iterable[str] = ()) -> None:
        self.demands = demands
        self._eos, self._pieces = eos, pieces
        self._forbidden = Forbidden(forbidden, pieces, eos)
        self._joining: dict[str, Tensor] = {}  # tokens that may not stand behind what stands apart
        self._going_on = (~torch.tensor(pieces.begins)).nonzero()[:, 0]
        self._space = [token for token, text in enumerate(pieces.texts) if text == " "][:1]
        self._beam_size = self._begun = 0
        self._rows: list[tuple[Demand, _State]] = []
        self._waived: list[Waived] = []  # of each row
        # Of each row: log-probabilities of tokens that may come, and whether they are waived.
        self._costs: list[dict[int, tuple[float, bool]]] = []
        self._new: set[int] = set()  # rows whose next token is the one in front of the sentence

    def start(self, beam_size: int, sentences: int) -> None:
        """Prepares `beam_size` rows for each of the first sentences."""
        self._beam_size, self._begun = beam_size, 0
        n = beam_size * sentences
        self._rows, self._waived = [(Demand(), _State())] * n, [Waived()] * n
        self._costs = [{} for _ in range(n)]
        self.refill(range(sentences))

    def refill(self, places: Iterable[int]) -> None:
        """Puts the next sentences in some places."""
        for place in places:
            for row in range(place * self._beam_size, (place + 1) * self._beam_size):
                self._rows[row], self._waived[row] = (self.demands[self._begun], _State()), Waived()
                self._costs[row] = {}
                self._new.add(row)
            self._begun += 1

    def reorder(self, rows: Tensor) -> None:
        """Makes row i what row rows[i] was."""
        parents = rows.tolist()
        self._rows = [self._rows[row] for row in parents]
        self._waived = [self._waived[row] for row in parents]
        self._costs = [self._costs[row] for row in parents]

    def step(self, tokens: Tensor) -> None:
        """Appends a token to each row, [N] int64."""
        for row, token in enumerate(tokens.tolist()):
            if row not in self._new:
                demand, state = self._rows[row]
                self._waived[row] = self._waived_after(row, token, *self._costs[row].get(token, (0.0, False)))
                self._rows[row] = demand, self._after(demand, state, token)
        self._new.clear()
        self._costs = [{} for _ in self._rows]

    @contextmanager
    def exempt(self, log_probs: Tensor, lengths: Sequence[int]) -> Iterator[None]:
        """Leaves the tokens that are asked for as they are, whatever the block rules out, where there is room for them.

        Args:
            log_probs: [N, V], of the next token.
            lengths: how many tokens each sentence may have, eos not counted.
        """
        pairs = [
            (row, token)
            for row, (_, state) in enumerate(self._rows)
            if state.read < lengths[row // self._beam_size]
            for token in self.wanted(row)
        ]
        rows, tokens = torch.tensor(pairs, dtype=torch.long, device=log_probs.device).view(-1, 2).T
        kept = log_probs[rows, tokens]
        yield
        log_probs[rows, tokens] = kept

    def bar(self, log_probs: Tensor, lengths: Sequence[int]) -> None:
        """Rules out, in place, what may not follow the rows; log_probs: [N, V].

        Args:
            log_probs: of the next token.
            lengths: how many tokens each sentence may have, eos not counted.
        """
        for row, (demand, state) in enumerate(self._rows):
            scores = log_probs[row]
            self._forbidden.bar(scores, state.words)
            if state.read < len(demand.prefix):
                _only(scores, [demand.prefix[state.read]])
            elif demand.phrases:
                self._bar_for_phrases(scores, demand, state, lengths[row // self._beam_size] - state.read)

    def wanted(self, row: int) -> list[int]:
        """Returns the tokens that bring a row on with its prefix or its phrases."""
        demand, state = self._rows[row]
        return self._wanted(demand, state) if state.read >= len(demand.prefix) else [demand.prefix[state.read]]

    def waived(self, row: int, token: int, log_prob: float) -> "Waived":
        """Returns what does not count where a row that goes on with a token is compared with others.

        Behind its first token a phrase is what was asked for, and no choice: how improbable it is says nothing about
        the hypothesis. If it counted, a long address would outweigh all words around it.
        """
        demand, state = self._rows[row]
        goes_on = token in self._next(demand, state)
        self._costs[row][token] = log_prob, goes_on
        return self._waived_after(row, token, log_prob, goes_on)

    def counted(self, row: int, token: int) -> float:
        """Returns which log-probability counts of a row that goes on with a token `waived` was asked of."""
        return self._waived_after(row, token, *self._costs[row][token]).counted

    def waived_at_end(self, row: int) -> "Waived":
        """Returns what does not count of a row that ends."""
        return self._waived_after(row, self._eos, 0.0, goes_on=False)

    def _waived_after(self, row: int, token: int, log_prob: float, goes_on: bool) -> "Waived":
        """Returns what is waived behind a token; goes_on: whether with a phrase."""
        found, state = self._waived[row], self._rows[row][1]
        if state.open and not self._goes_on(state, token):
            found = found.settled()
        elif state.open and not goes_on:
            found = found.given_up()
        if goes_on:
            return found.plus(log_prob)
        found = found.given_up()
        return found._replace(counted=found.counted + log_prob)

    def phrases(self, place: int) -> int:
        """Returns how many phrases the hypotheses in a place must have."""
        return len(self._rows[place * self._beam_size][0].phrases)

    def stage(self, row: int, token: int) -> int:
        """Returns how far a row comes with a token: twice the phrases that it has, plus one if it is within another."""
        demand, state = self._rows[row]
        after = self._after(demand, state, token)
        return 2 * after.met.bit_count() + any(not after.met >> p & 1 for p, *_ in after.begun)

    def spans(self, demand: Demand, tokens: Sequence[int]) -> list[tuple[int, int, int]]:
        """Returns where the phrases of a demand stand in tokens that hold them, in order: start, end and which."""
        state, found = _State(), list[tuple[int, int, int]]()
        for i, token in enumerate(tokens):
            if state.open and self._goes_on(state, token):
                found.pop()
                state = _reopened(state)
            after = self._after(demand, state, token)
            if new := after.met & ~state.met:
                phrase = new.bit_length() - 1
                ways = demand.phrases[phrase].ways
                start = i + 1 - max(len(way) for way in ways if tuple(tokens[i + 1 - len(way) : i + 1]) == way)
                found = [*filter(lambda span: span[0] < start, found), (start, i + 1, phrase)]
            state = after
        return found

    def _bar_for_phrases(self, scores: Tensor, demand: Demand, state: _State, left: int) -> None:
        longer = [
            token for token in self._next(demand, state) if self._debt(demand, self._after(demand, state, token)) < left
        ]
        if state.apart:
            if state.apart not in self._joining:
                found = [i for i in range(len(self._pieces.texts)) if self._joins(i, state.apart)]
                self._joining[state.apart] = torch.tensor(found, dtype=torch.long)
            _bar(scores, self._joining[state.apart], [self._eos, *longer])
        if not state.open and (digits := [token for token in self._digits_next(demand, state) if token in longer]):
            _only(scores, digits)
        debt = self._debt(demand, state)
        if debt:
            scores[self._eos] = NEVER
        if state.open and left <= self._debt(demand, _reopened(state)._replace(begun=())):
            _bar(scores, self._going_on, longer)  # the phrase would have to come again
        if debt and left <= debt:
            _only(scores, self._hurried(demand, state, left))

    def _next(self, demand: Demand, state: _State) -> list[int]:
        """Returns the tokens with which the phrases that are begun go on."""
        return [demand.phrases[p].ways[w][n] for p, w, n, _ in state.begun]

    def _digits_next(self, demand: Demand, state: _State) -> list[int]:
        """Returns with what a number that must stand apart goes on: given up it would be another number."""
        begun = [(demand.phrases[p], w, n) for p, w, n, _ in state.begun if not state.met >> p & 1]
        return [
            phrase.ways[w][n]
            for phrase, w, n in begun
            if phrase.apart and self._pieces.texts[phrase.ways[w][n - 1]][-1:].isdecimal()
        ]

    def _goes_on(self, state: _State, token: int) -> bool:
        """Says whether what has just come to its end was only the beginning of something longer."""
        if token == self._eos:
            return False
        return self._joins(token, state.apart) or not self._pieces.begins[token]

    def _joins(self, token: int, apart: str) -> bool:
        """Says whether a token becomes a part of what stands in front of it and must stand apart."""
        return apart != "" and not self._pieces.spaces[token] and not self._is_made_of(token, apart)

    def _is_made_of(self, token: int, chars: str) -> bool:
        text = self._pieces.texts[token]
        return text != "" and not text.strip(chars)

    def _hurried(self, demand: Demand, state: _State, left: int) -> list[int]:
        """Returns the tokens with which all phrases still find room."""
        wanted = [*self._wanted(demand, state), *self._space]
        return [token for token in wanted if self._debt(demand, self._after(demand, state, token)) < left]

    def _debt(self, demand: Demand, state: _State) -> int:
        """Returns how many tokens the phrases that are missing take at the least."""
        missing = {p: self._cost(phrase) for p, phrase in enumerate(demand.phrases) if not state.met >> p & 1}
        gains = [
            missing[p] - len(way)
            for p in missing
            for way in demand.phrases[p].ways
            if self._may_begin(demand.phrases[p], way[0], state)
        ]
        gains += [
            missing[p]
            - len(demand.phrases[p].ways[w][n:])
            - sum(self._cost(other) for q, other in enumerate(demand.phrases) if within & state.met & 1 << q)
            for p, w, n, within in state.begun
            if p in missing
        ]
        return sum(missing.values()) - max([0, *gains])

    def _cost(self, phrase: Phrase) -> int:
        """Returns how many tokens a phrase takes at the least, wherever it stands: a space in front counts too."""
        return min(len(way) + (not self._pieces.spaces[way[0]]) for way in phrase.ways)

    def _wanted(self, demand: Demand, state: _State) -> list[int]:
        tokens = [demand.phrases[p].ways[w][n] for p, w, n, _ in state.begun if not state.met >> p & 1]
        missing = [phrase for p, phrase in enumerate(demand.phrases) if not state.met >> p & 1]
        tokens += [way[0] for phrase in missing for way in phrase.ways if self._may_begin(phrase, way[0], state)]
        return list(dict.fromkeys(tokens))

    def _may_begin(self, phrase: Phrase, token: int, state: _State) -> bool:
        if state.apart:
            return self._pieces.spaces[token]
        if phrase.apart:
            return self._pieces.spaces[token] or state.opens
        return self._pieces.begins[token] or state.ends

    def _after(self, demand: Demand, state: _State, token: int) -> _State:
        """Returns the state behind a token."""
        if token == self._eos:
            return state._replace(begun=(), open=0)
        words = self._forbidden.after(state.words, token)
        state = _reopened(state) if state.open and self._goes_on(state, token) else state
        met, apart = state.met, state.apart if state.apart and self._is_made_of(token, state.apart) else ""
        opened = state.open if apart or self._pieces.joins[token] else 0
        begun = [
            (p, w, n + 1, within)
            for p, w, n, within in state.begun
            if not met >> p & 1 and demand.phrases[p].ways[w][n] == token
        ]
        begun += [
            (p, w, 1, 0)
            for p, phrase in enumerate(demand.phrases)
            if not met >> p & 1 and (demand.readable or state.read >= len(demand.prefix))
            for w, way in enumerate(phrase.ways)
            if way[0] == token and self._may_begin(phrase, token, state)
        ]
        whole = [(n, -p, within) for p, w, n, within in begun if n == len(demand.phrases[p].ways[w])]
        if whole:
            length, phrase, within = max(whole)
            opened, apart = 1 << -phrase, demand.phrases[-phrase].apart
            met = met & ~within | opened
            # What it is a part of may still come to its end: then it was no phrase of its own.
            begun = [
                (p, w, n, inside | opened) for p, w, n, inside in begun if length <= n < len(demand.phrases[p].ways[w])
            ]
        ends, opens = self._pieces.ends[token], self._pieces.opens[token]
        return _State(state.read + 1, met, tuple(begun), opened, ends, opens, apart, words)


def _reopened(state: _State) -> _State:
    """Returns a state in which the phrase that has just come to its end does not count: its last word has gone on."""
    return state._replace(met=state.met & ~state.open, open=0)


def _bar(scores: Tensor, tokens: Tensor, but: Sequence[int]) -> None:
    """Rules out tokens but some."""
    kept = scores[list(but)]
    scores[tokens.to(scores.device)] = NEVER
    scores[list(but)] = kept


def _only(scores: Tensor, tokens: Sequence[int]) -> None:
    """Rules out all tokens but some."""
    kept = scores[list(tokens)]
    scores.fill_(NEVER)
    scores[list(tokens)] = kept
