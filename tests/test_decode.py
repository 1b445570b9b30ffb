"""Drafts from the reader's session: repeatable, held to a grammar, and ready to be interrupted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest

from daemon.turns import Turns
from pipeline.bundle import MODEL, TOKENIZER, Bundle, shipped_bundle
from pipeline.decode import Writer
from pipeline.grammar import Free, Grammar, OneOf
from pipeline.model import Cache, Model
from pipeline.prompt import ROLE, Person
from pipeline.reader import Reader
from pipeline.records import Float32
from pipeline.words import Words
from tests.bench.windows import random_window

# The shipped weights were trained on labels alone: what they write means nothing, and that is enough here.


class Watched(Model):
    """A model that notes how many tokens each run took."""

    runs: list[int]

    def run(self, cache: Cache, texts: Sequence[Sequence[int]], past: int = 0, keep: int = 1) -> Float32:
        self.runs.append(len(texts[0]))
        return super().run(cache, texts, past, keep)


@pytest.fixture(scope="module")
def model() -> Watched:
    model = Watched(shipped_bundle() / MODEL)
    model.runs = []
    return model


@pytest.fixture(scope="module")
def words() -> Words:
    return Words(shipped_bundle() / TOKENIZER)


def text(writer: Writer, *arguments: object) -> str:
    return "".join(step.text for step in writer.write(*arguments))  # type: ignore[arg-type]


def test_a_text_is_what_one_token_at_a_time_gives(model: Watched, words: Words) -> None:
    question, cache = words.ids(ROLE), model.cache(1, 200)
    expected, logits = [], model.run(cache, [question])
    for i in range(12):
        expected.append(int(logits[0, 0].argmax()))
        logits = model.run(cache, [expected[-1:]], len(question) + i)
    writer = Writer(model, words, 200, chunk=len(question))
    steps = list(writer.write(question, 12))
    assert [step.token for step in steps] == expected
    assert "".join(step.text for step in steps) == words.text(expected).rstrip("\N{REPLACEMENT CHARACTER}")


def test_a_text_does_not_depend_on_what_was_written_before(model: Watched, words: Words) -> None:
    writer, question = Writer(model, words, 300, chunk=16), words.ids(ROLE * 2)
    first = text(writer, question, 20)
    text(writer, question[:40] + words.ids(" another end"), 20)
    assert text(writer, question, 20) == first
    assert text(writer, question, 20) == first
    begun = writer.write(question[:50], 20)
    next(begun), next(begun)
    begun.close()
    assert text(writer, question, 20) == first == text(Writer(model, words, 300, chunk=16), question, 20)


def test_what_was_read_is_not_read_again_and_no_step_is_long(model: Watched, words: Words) -> None:
    writer, question = Writer(model, words, 400, chunk=16), words.ids(ROLE * 3)
    model.runs.clear()
    pauses = [step for step in writer.write(question, 4) if step.token is None]
    assert max(model.runs) == 16 and sum(model.runs) == len(question) + 3
    assert len(pauses) == (len(question) - 1) // 16
    model.runs.clear()
    list(writer.write(question, 4))
    assert sum(model.runs) <= 16 + 3


def test_two_writers_take_turns(model: Watched, words: Words) -> None:
    """A run in between, whoever it is for, changes nothing."""
    questions = [words.ids(ROLE), words.ids(ROLE + "age 20s")]
    alone = [text(Writer(model, words, 200), question, 15) for question in questions]
    running = [Writer(model, words, 200).write(question, 15) for question in questions]
    told = ["", ""]
    for steps in zip(*running, strict=True):
        told = [before + step.text for before, step in zip(told, steps, strict=True)]
    assert told == alone


def test_a_label_waits_for_one_short_step_of_a_draft_at_most(words: Words) -> None:
    """Between a label's asking and its run lies one run of the writer, however busy the machine is."""
    bundle, turns = Bundle.load(shipped_bundle()), Turns()
    reader = Reader(bundle)
    window = random_window(bundle, np.random.default_rng(0))
    alone = reader.read([(window, Person())])[0].p
    begun, stop = 0, threading.Event()

    @contextmanager
    def turn() -> Iterator[None]:
        nonlocal begun
        with turns.writing():
            begun += 1
            yield

    writer = reader.writer(600)

    def draft() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            steps = writer.write(words.ids(f"draft {n} {ROLE * 3}"), 40)
            while True:
                with turn():
                    if next(steps, None) is None:
                        break

    thread = threading.Thread(target=draft)
    thread.start()
    try:
        between = []
        for _ in range(20):
            time.sleep(0.02)
            before = begun
            with turns.reading():
                between.append(begun - before)
                assert reader.read([(window, Person())])[0].p == alone
    finally:
        stop.set()
        thread.join()
    assert begun > 20
    # The run that goes on is counted already; one may begin while the label still asks. A thread that the
    # system holds up just then sees more pass, which is not the writer's doing.
    assert sorted(between)[17] <= 1


def test_a_grammar_holds(model: Watched, words: Words) -> None:
    parts = [
        OneOf(("diagnosis:",)),
        OneOf((" calm", " stress", " neither of the two")),
        OneOf(("\ntreatment:",)),
        Free(6, until="\n"),
        OneOf(("\nend",)),
    ]
    told = text(Writer(model, words, 200), words.ids(ROLE), 80, Grammar(words, parts))
    head, _, rest = told.partition("\ntreatment:")
    assert head in {f"diagnosis:{choice}" for choice in parts[1].texts}
    assert rest.endswith("\nend")
    assert len(words.ids(rest.removesuffix("\nend"))) <= 12


def test_what_the_grammar_fixes_costs_no_choice(model: Watched, words: Words) -> None:
    fixed = "follow-up in seven days, by the clinician"
    model.runs.clear()
    assert text(Writer(model, words, 200), words.ids(ROLE), 80, Grammar(words, [OneOf((fixed,))])) == fixed
    assert model.runs == []


def test_a_choice_that_cannot_be_told_apart_is_refused(words: Words) -> None:
    with pytest.raises(ValueError, match="beginning of another"):
        Grammar(words, [OneOf((" calm", " calm and at rest"))])


def test_a_text_ends(model: Watched, words: Words) -> None:
    question = words.ids(ROLE)
    (first, *_) = list(Writer(model, words, 200).write(question, 1))[-1:]
    assert first.token is not None
    likeliest = next(token for token, i in vocabulary(words).items() if i == first.token)
    assert text(Writer(model, words, 200, ends=[likeliest]), question, 30) == ""
    assert text(Writer(model, words, 200), question, 30, lambda _: ()) == ""
    with pytest.raises(ValueError, match="do not fit 60"):
        Writer(model, words, 60).write(question, 60)
    with pytest.raises(ValueError, match="no question"):
        Writer(model, words, 60).write([], 1)


def vocabulary(words: Words) -> dict[str, int]:
    return dict(words._tokenizer.get_vocab())


def test_half_a_letter_waits_for_the_rest(model: Watched, words: Words) -> None:
    ids = words.ids("µV – 37 °C")
    assert len(ids) > 4
    steps = list(
        Writer(model, words, 200).write(words.ids(ROLE), 40, lambda done: ids[len(done) : len(done) + 1])
    )
    assert "".join(step.text for step in steps) == "µV – 37 °C"
    assert all("\N{REPLACEMENT CHARACTER}" not in step.text for step in steps)
    assert np.array_equal([step.token for step in steps], ids)
