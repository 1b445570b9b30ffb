"""The drafting thread: drafts, signatures and answers, one by one and never in the way of a label."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from daemon.archive import Archive
from daemon.draft_settings import Drafts
from daemon.errors import CommandError, OutboxError
from daemon.job import Job
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
# How soon a full disk is tried again, seconds.
FULL_S = 5.0
_DRAFT, _NOTE = "draft", "note"


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
        self.made = self.signed = self.answered = self.refused = self.failed = 0
        self._settings = settings
        self._signers = signers
        self._archive = archive
        self._post = post
        self._equip = equip
        self._guide: Guide
        self._drafter: Drafter
        self._jobs: deque[Job] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        # While the disk takes no records: when it is tried again, on the event loop's clock.
        self._full_until: float | None = None

    def draft(self, order: Order) -> asyncio.Future[str]:
        """The next version about the order's episode. Raises CommandError where too much waits."""
        return self._put(_DRAFT, lambda: self._draft(order), self._tell, MOST_WAITING, self._posted)

    def sign(self, stream: str, command: Sign) -> asyncio.Future[str]:
        """Raises CommandError where too much waits; the future, where it is refused."""
        return self._put("sign", lambda: self._sign(stream, command), self._tell, MOST_COMMANDS, self._posted)

    def ask(self, stream: str, command: Ask, known: Known, correlation: bytes | None) -> asyncio.Future[str]:
        """Raises CommandError where too much waits; the future, where it is refused."""

        def after(reply: Reply) -> str:
            self._post.answer(stream, reply, correlation)
            if reply.refused:
                raise CommandError(f"not answered: {reply.refused}")
            self.answered += 1
            return f"answered in {len(reply.statements)} statements"

        return self._put("ask", lambda: self._answer(stream, command, known), after, MOST_COMMANDS)

    def enter(self, stream: str, action: str, **detail: Any) -> None:
        """Enters a deed into the trail. What was done is done: it is counted where too many wait."""
        try:
            self._put(_NOTE, lambda: self._archive.note(stream, action, **detail), lambda _: "", MOST_NOTES)
        except CommandError as why:
            log.error("a deed is not in the trail", stream=stream, action=action, reason=str(why))

    def close(self) -> None:
        """`run` returns once nothing waits."""
        self._closed = True
        self._wake.set()

    def counts(self) -> dict[str, int]:
        return {
            "made": self.made,
            "signed": self.signed,
            "answered": self.answered,
            "refused": self.refused,
            "failed": self.failed,
            "waiting": len(self._jobs),
        }

    async def run(self) -> None:
        """Until closed; a draft that fails is logged and counted. Raises what `equip` raises."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="drafting") as thread:
            for made in await loop.run_in_executor(thread, self._begin):
                # A crash kept it from the outbox.
                again = partial(_same, made)
                self._jobs.append(Job(again, self._tell, self._posted, loop.create_future(), _DRAFT))
            while True:
                self._wake.clear()
                job, pause_s = self._next(loop.time())
                if job is not None:
                    await self._do(thread, job)
                elif self._closed:
                    return
                else:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(pause_s):
                            await self._wake.wait()

    def _next(self, now: float) -> tuple[Job | None, float | None]:
        """What is to be done, else how long to wait for it at most, seconds.

        While the disk takes nothing, whoever asks hears so at once, and what is due by itself waits.
        """
        if self._full_until is None or now >= self._full_until or self._closed:
            return (self._jobs.popleft() if self._jobs else None), None
        asked = next((job for job in self._jobs if not _waits(job)), None)
        if asked is not None:
            self._jobs.remove(asked)
        return asked, self._full_until - now

    async def _do(self, thread: ThreadPoolExecutor, job: Job) -> None:
        loop = asyncio.get_running_loop()
        try:
            if job.told is None:
                job.result = await loop.run_in_executor(thread, job.work)
                job.told = job.after(job.result)
            if job.last is not None:
                await loop.run_in_executor(thread, job.last, job.result)
        except CommandError as why:
            self.refused += 1
            job.refuse(why)
        except OutboxError as why:
            self._try_again(job, why)
        except Exception as why:
            # One record that cannot be made must not end the labels of everybody.
            self.failed += 1
            log.exception("not done", job=job.what)
            job.refuse(CommandError(f"failed: {type(why).__name__}, see the log"))
        else:
            self._full_until = None
            if not job.done.done():
                job.done.set_result(job.told)

    def _try_again(self, job: Job, why: OutboxError) -> None:
        """The disk takes no records: what is due by itself waits for room, whoever asked hears of it."""
        if _waits(job) and not self._closed:
            if self._full_until is None:
                log.error("records wait for room", job=job.what, reason=str(why))
            self._full_until = asyncio.get_running_loop().time() + FULL_S
            self._jobs.appendleft(job)
            return
        self.failed += 1
        log.error("not done", job=job.what, reason=str(why))
        job.refuse(CommandError(str(why)))

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

    def _put(
        self,
        what: str,
        work: Callable[[], Any],
        after: Callable[[Any], str],
        room: int,
        last: Callable[[Any], None] | None = None,
    ) -> asyncio.Future[str]:
        if len(self._jobs) >= room or self._closed:
            self.refused += 1
            raise CommandError(f"{len(self._jobs)} drafts and commands are waiting already: try again later")
        job = Job(work, after, last, asyncio.get_running_loop().create_future(), what)
        self._jobs.append(job)
        self._wake.set()
        return job.done


def _same(made: tuple[Draft, bytes]) -> tuple[Draft, bytes]:
    return made


def _waits(job: Job) -> bool:
    """Whether nobody asked for it, or it is done and told, and lacks only what makes it last."""
    return job.what in (_DRAFT, _NOTE) or job.told is not None
