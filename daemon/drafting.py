"""The drafting thread: drafts, signatures and answers, one by one and never in the way of a label."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from daemon.archive import Archive
from daemon.draft_settings import Drafts
from daemon.errors import CommandError
from daemon.job import Job
from daemon.job_queue import JobQueue
from daemon.messages import unix
from daemon.record_commands import Ask, Sign
from daemon.record_post import RecordPost
from daemon.signer_settings import Signer
from daemon.signing import sign
from pipeline.drafts import fhir
from pipeline.drafts.answering import Known, Reply, answer
from pipeline.drafts.drafting import Drafter, Order
from pipeline.drafts.record import Draft, digest
from pipeline.drafts.sources import Guide
from pipeline.drafts.writing import Writer
from pipeline.records import Episode

log = structlog.get_logger("drafting")

# Jobs that may wait. Drafts come every few minutes; more than this waits only where something is wrong.
MOST_WAITING = 256
# Of a subject, looked up for a question.
MOST_PAST = 20
# Commands have to leave room for what is due by itself.
MOST_COMMANDS = 32
# Deeds that wait for a full disk: hours of them, as the door lets few through.
MOST_NOTES = 4096


class Drafting:
    """Owns the thread and, through it, the archive. equip: makes guide and writer, in the thread."""

    def __init__(
        self,
        settings: Drafts,
        signers: Mapping[str, Signer],
        archive: Archive,
        post: RecordPost,
        equip: Callable[[], tuple[Guide, Writer]],
    ) -> None:
        self.made = self.signed = self.answered = 0
        self._settings = settings
        self._signers = signers
        self._archive = archive
        self._post = post
        self._equip = equip
        self._guide: Guide
        self._drafter: Drafter
        self._jobs = JobQueue()

    def draft(self, order: Order) -> asyncio.Future[str]:
        """The next version about the order's episode. Raises CommandError where too much waits."""
        return self._jobs.put(
            Job("draft", lambda: self._draft(order), self._tell, self._posted, due=True), MOST_WAITING
        )

    def sign(self, stream: str, command: Sign) -> asyncio.Future[str]:
        """Raises CommandError where too much waits; the future, where it is refused."""
        return self._jobs.put(
            Job("sign", lambda: self._sign(stream, command), self._tell, self._posted), MOST_COMMANDS
        )

    def ask(self, stream: str, command: Ask, known: Known, correlation: bytes | None) -> asyncio.Future[str]:
        """Raises CommandError where too much waits; the future, where it is refused."""

        def after(reply: Reply) -> str:
            self._post.answer(stream, reply, correlation)
            if reply.refused:
                raise CommandError(f"not answered: {reply.refused}")
            self.answered += 1
            return f"answered in {len(reply.statements)} statements"

        return self._jobs.put(Job("ask", lambda: self._answer(stream, command, known), after), MOST_COMMANDS)

    def enter(self, stream: str, action: str, **detail: Any) -> None:
        """Enters a deed into the trail. What was done is done: it is counted where too many wait."""
        note = Job("note", lambda: self._archive.note(stream, action, **detail), lambda _: "", due=True)
        try:
            self._jobs.put(note, MOST_NOTES)
        except CommandError as why:
            log.error("a deed is not in the trail", stream=stream, action=action, reason=str(why))

    def close(self) -> None:
        """`run` returns once nothing waits."""
        self._jobs.close()

    def counts(self) -> dict[str, int]:
        return {
            "made": self.made,
            "signed": self.signed,
            "answered": self.answered,
            "refused": self._jobs.refused,
            "failed": self._jobs.failed,
            "waiting": len(self._jobs),
        }

    async def run(self) -> None:
        """Until closed; a draft that fails is logged and counted. Raises what `equip` raises."""
        with self._jobs.thread:
            for made in await self._jobs.call(self._begin):
                # A crash kept it from the outbox.
                self._jobs.add(Job("draft", partial(_same, made), self._tell, self._posted, due=True))
            await self._jobs.run()

    def _begin(self) -> list[tuple[Draft, bytes]]:
        self._guide, writer = self._equip()
        self._drafter = Drafter(self._guide, writer)
        # Loads FHIR's classes before the first draft needs them.
        unposted = [(draft, self._fhir(draft)) for draft in self._archive.unposted()]
        fhir.preload(self._settings.fhir)
        return unposted

    def _draft(self, order: Order) -> tuple[Draft, bytes]:
        before = self._archive.open_draft(order.course.episode.id)
        draft = (
            self._drafter.draft(order)
            if before is None
            else self._drafter.draft(order, before.id, before.version + 1, digest(before))
        )
        encoded = self._fhir(draft)
        self._archive.add(draft, order.maker.model, "draft", trigger=order.trigger, cut=len(draft.notes))
        return draft, encoded

    def _tell(self, made: tuple[Draft, bytes]) -> str:
        draft, encoded = made
        self._post.record(draft, encoded, self._archive.audit.head, whole=self._settings.send == "record")
        if draft.signature is None:
            self.made += 1
        else:
            self.signed += 1
        log.info(
            "record told",
            stream=draft.provenance.stream,
            draft=draft.id,
            version=draft.version,
            status=draft.status,
            notes=draft.notes,
        )
        return f"{draft.status}: draft {draft.id} version {draft.version}, sha256 {digest(draft)}"

    def _posted(self, made: tuple[Draft, bytes]) -> None:
        # Until the outbox has it for sure, the archive is what it is told from after a crash.
        self._post.harden()
        self._archive.posted(made[0])

    def _sign(self, stream: str, command: Sign) -> tuple[Draft, bytes]:
        made = sign(self._archive, self._signers, stream, command)
        return made, self._fhir(made)

    def _answer(self, stream: str, command: Ask, known: Known) -> Reply:
        known = replace(known, past=[*known.past, *self._archived(known)])
        reply = answer(command.question, known, self._guide)
        deed = "question refused" if reply.refused else "question answered"
        self._archive.note(stream, deed, subject=known.subject, question=reply.question, why=reply.refused)
        return reply

    def _archived(self, known: Known) -> list[Episode]:
        """Episodes from before the daemon's start."""
        seen = {episode.id for episode in known.past}
        if known.running is not None:
            seen.add(known.running.episode.id)
        return [
            Episode(ref.id, "end", ref.label, unix(ref.start), unix(ref.end), readings=0, p_mean=0.0)
            for ref in self._archive.episodes(known.subject, MOST_PAST)
            if ref.id not in seen and ref.start
        ]

    def _fhir(self, draft: Draft) -> bytes:
        return fhir.dumps(fhir.bundle(draft, self._settings.fhir)).encode()


def _same(made: tuple[Draft, bytes]) -> tuple[Draft, bytes]:
    return made
