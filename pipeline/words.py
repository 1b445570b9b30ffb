"""Text to tokens and back, by the bundle's tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import BPE

from pipeline.errors import BundleError


class Words:
    def __init__(self, path: Path) -> None:
        """Raises BundleError, one line, where the file is no tokenizer."""
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:
            raise BundleError(f"{path}: the tokenizer does not load: {str(error).splitlines()[0]}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        # It keeps the tokens of the first 10,000 words it meets, up to 5 KB each. Windows hardly repeat a
        # word: a process that runs for months would grow for weeks, in small blocks among others that go.
        if isinstance(self._tokenizer.model, BPE):
            self._tokenizer.model._resize_cache(0)

    @property
    def size(self) -> int:
        """Number of tokens."""
        return int(self._tokenizer.get_vocab_size())

    def ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def text(self, ids: Sequence[int]) -> str:
        """What cannot be part of a text, such as half a letter, comes out as U+FFFD."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def id(self, token: str) -> int | None:
        """Of a token as the vocabulary spells it."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def most(self, texts: Iterable[str]) -> int:
        """Tokens of the text that takes most."""
        return max(len(self.ids(text)) for text in texts)
