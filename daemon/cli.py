"""The command line, `eeg-copilot`. Exit codes: 0 done, 1 failed, 2 usage, 78 configuration."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Protocol

from daemon import access_arguments
from daemon.arguments import sentence, utc
from daemon.errors import ConfigError, LoginError, OutboxError
from daemon.notify import notify, under_journal
from pipeline.arguments import between, positive
from pipeline.engine import add_engine
from pipeline.errors import BundleError, PipelineError

DONE, FAILED, CONFIGURATION = 0, 1, 78
NOTICE = "Research use only: not a medical device, and nothing here is a diagnosis."

# Before numpy and ONNX Runtime load. Our arrays are small: a second BLAS thread costs more in contention
# than it computes. The pinned ONNX Runtime sends no telemetry; this says so to any other.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}


class Verb(Protocol):
    """A module of daemon.verbs. Imported for its own verb only, so that `--help` is quick."""

    def run(self, options: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb. Whatever goes wrong in a way we know is said in one line."""
    options = _parser().parse_args(argv)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        verb: Verb = importlib.import_module(f"daemon.verbs.{options.module}")
        return verb.run(options)
    except (ConfigError, BundleError, LoginError) as refusal:
        return _refuse(refusal, CONFIGURATION)
    except (PipelineError, OutboxError) as refusal:
        return _refuse(refusal, FAILED)
    except BaseExceptionGroup as group:
        return _refuse_group(group)
    except KeyboardInterrupt:
        return FAILED
    except BrokenPipeError:  # whoever read our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _refuse(refusal: BaseException, code: int) -> int:
    line = " ".join(str(refusal).split())
    # `systemctl status` goes on showing the reason, and journald files it as an error (sd-daemon(3)).
    notify(f"STATUS=refused: {line}")
    print(f"{'<3>' if under_journal() else ''}eeg-copilot: {line}", file=sys.stderr)
    return code


def _refuse_group(group: BaseExceptionGroup[BaseException]) -> int:
    """Failures of tasks that ran together: known ones are told, any other is a bug and keeps its trace."""
    leaves = list(_leaves(group))
    codes = {
        CONFIGURATION if isinstance(leaf, ConfigError | BundleError | LoginError) else FAILED
        for leaf in leaves
    }
    if not all(isinstance(leaf, ConfigError | LoginError | OutboxError | PipelineError) for leaf in leaves):
        raise group
    for leaf in leaves:
        _refuse(leaf, FAILED)
    return max(codes)


def _leaves(failure: BaseException) -> Iterator[BaseException]:
    if isinstance(failure, BaseExceptionGroup):
        for inner in failure.exceptions:
            yield from _leaves(inner)
    else:
        yield failure


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="eeg-copilot",
        description="Live EEG to emotion labels on MQTT, by a small language model on two CPU cores.",
        epilog=f"{NOTICE} Exit codes: 0 done, 1 failed, 2 usage, 78 configuration.",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    run = _verb(verbs, "run", "run", "run the daemon")
    run.add_argument("config", metavar="CONFIG", help="TOML file")
    _reader(_verb(verbs, "reader", "reader", "read windows for nodes with a remote reader, one of a pool"))
    check = _verb(verbs, "check-config", "check_config", "check a configuration and its bundle, and stop")
    check.add_argument("config", metavar="CONFIG", help="TOML file")
    check.add_argument(
        "--for",
        dest="program",
        choices=("node", "monitor", "reader"),
        default="node",
        help="what the file configures (default: node, the daemon)",
    )

    doctor = _verb(verbs, "doctor", "doctor", "examine this machine, and say what mends what is wrong")
    doctor.epilog = "Exit codes: 0 nothing has to be mended, 1 something has."
    doctor.add_argument(
        "config",
        metavar="CONFIG",
        nargs="?",
        default="/etc/eeg-copilot/eeg-copilot.toml",
        help="TOML file (default: %(default)s)",
    )
    doctor.add_argument("--json", action="store_true", help="one JSON object instead of lines")

    demo = _verb(verbs, "demo", "demo", "see it work on a simulated headset; nothing else is needed")
    demo.add_argument("--seconds", type=positive, help="end by itself; the last line is a JSON summary")
    demo.add_argument("--recording", metavar="FILE", help="play this recording instead of simulating")
    demo.add_argument("--bundle", metavar="FOLDER", help="the model (default: the shipped one)")

    devices = _verb(verbs, "devices", "devices", "list what there is to listen to")
    devices.add_argument("--wait", type=positive, default=2.0, help="seconds (default: %(default)s)")

    replay = _verb(verbs, "replay", "replay", "play recordings as a live LSL stream")
    replay.add_argument("files", metavar="FILE", nargs="+")
    replay.add_argument("--name", default="replay", help="of the LSL stream (default: %(default)s)")
    replay.add_argument("--speed", type=positive, default=1.0, help="times real time (default: 1)")
    replay.add_argument("--loop", action="store_true", help="start over at the end")
    replay.add_argument("--wait", type=float, default=0.0, help="seconds to wait for a listener first")
    replay.add_argument("--board", help="the board that wrote a BrainFlow csv")

    record = _verb(verbs, "record", "record", "record headsets to XDF, without a model or a broker")
    record.add_argument("config", metavar="CONFIG", nargs="?", help="TOML file; all its streams are recorded")
    record.add_argument("--lsl", metavar="NAME", help="record this LSL stream instead")
    record.add_argument("--stream", metavar="NAME", help="of the configuration, only this one")
    record.add_argument("--subject", metavar="PSEUDONYM", help="whose EEG it is: pseudo-…, never a name")
    record.add_argument("--out", metavar="FOLDER", help="default: the configuration's, else recordings")
    record.add_argument("--seconds", type=positive, help="end by itself")

    access_arguments.monitor(
        _verb(verbs, "monitor", "monitor", "serve the ward's screens, or manage who may log in")
    )

    _label(_verb(verbs, "label", "label", "label recordings, faster than real time"))

    _draft(_verb(verbs, "draft", "draft", "draft records from recordings, without a broker"))

    audit = _verb(verbs, "audit", "audit", "look for changes in a node's records and audit trail")
    audit.add_argument("what", choices=("verify",))
    audit.add_argument("file", metavar="FILE", nargs="?", help="records.sqlite, or its folder")
    audit.add_argument("--config", metavar="CONFIG", help="take the state directory of this configuration")
    audit.add_argument("--known", metavar="N:HASH", help="an entry as a draft or signature told it")

    fidelity = _verb(verbs, "fidelity", "fidelity", "show what each compression keeps of recordings")
    fidelity.add_argument("files", metavar="FILE", nargs="+", help="of one headset")
    fidelity.add_argument("--window", type=positive, metavar="S", help="seconds (default: the bundle's)")
    fidelity.add_argument("--mains", type=int, choices=(0, 50, 60), default=50, help="Hz (default: 50)")
    fidelity.add_argument("--board", help="the board that wrote a BrainFlow csv")

    _guidance(_verb(verbs, "guidance", "guidance", "search guidance, add documents, check edited entries"))

    bundle = _verb(verbs, "bundle", "bundle", "look at a model bundle")
    bundle.add_argument("what", choices=("verify", "show", "sign"))
    bundle.add_argument("bundle", metavar="FOLDER", nargs="?", help="default: the shipped one")
    bundle.add_argument("--trusted", metavar="KEY", action="append", default=[], help="verify: a public key")
    bundle.add_argument("--key", metavar="FILE", help="sign: the private key")

    access_arguments.key(_verb(verbs, "key", "key", "make keys, and sign commands with them"))
    return parser


def _guidance(guidance: argparse.ArgumentParser) -> None:
    what = guidance.add_subparsers(dest="what", required=True, metavar="WHAT")
    index = what.add_parser(
        "index", help="index a folder of Markdown, text and PDF beside the shipped entries"
    )
    index.add_argument("folder", metavar="FOLDER", help="with all its folders")
    index.add_argument("--out", metavar="INDEX", required=True, help="file for the index; made anew")
    search = what.add_parser("search", help="the passages that answer a question")
    search.add_argument("question", metavar="QUESTION")
    search.add_argument("--index", metavar="INDEX", help="search these documents too")
    search.add_argument("--number", type=between(1, 50), default=3, metavar="N", help="passages (default: 3)")
    for one in (index, search):
        one.add_argument("--dense", action="store_true", help="by meaning as well as by words")
        one.add_argument(
            "--embedder",
            metavar="FOLDER",
            default="build/minilm",
            help="made by make embedder (default: %(default)s)",
        )
    check = what.add_parser("check", help="check entries after editing")
    check.add_argument("folder", metavar="FOLDER", nargs="?", help="default: the shipped ones")


def _reader(reader: argparse.ArgumentParser) -> None:
    reader.epilog = "Each reader of a pool has a name of its own. See docs/fleet.md."
    where = reader.add_mutually_exclusive_group(required=True)
    where.add_argument("--config", metavar="CONFIG", help="TOML file (see reader.toml)")
    where.add_argument("--broker", metavar="HOST[:PORT]", help="without a file, for a broker without a login")
    reader.add_argument("--site", default="home", help="with --broker (default: %(default)s)")
    reader.add_argument("--name", default="reader-1", help="with --broker (default: %(default)s)")
    reader.add_argument(
        "--bundle", metavar="FOLDER", help="with --broker: the model (default: the shipped one)"
    )
    reader.add_argument(
        "--threads", type=between(1, 64), default=1, metavar="N", help="with --broker (default: %(default)s)"
    )


def _label(label: argparse.ArgumentParser) -> None:
    label.epilog = (
        "Files given together are one person's sitting, in order: the start of the first one is taken as "
        "rest, and calibrates. Each file, and each gap in one, begins a new segment. Of a folder, each "
        "recording in it is a sitting of its own, and each folder in it one sitting; OUT is then a folder "
        "too, and what is in it already is not labelled again."
    )
    label.add_argument(
        "--jsonl", metavar="OUT", required=True, help="one line a window; - is standard output"
    )
    _sitting(label)
    add_engine(label, "of a folder")
    label.add_argument("--age", type=between(0, 120), metavar="YEARS")
    label.add_argument("--gender", choices=("female", "male", "other"))


def _draft(draft: argparse.ArgumentParser) -> None:
    draft.epilog = (
        "Files given together are one person's sitting, in order, as with `label`. For each episode: "
        "draft-N.json, .fhir.json, .md, .html, .pdf, and facts-N.json, the facts that it may state."
    )
    draft.add_argument("--patient", metavar="CONTEXT", required=True, help="JSON; a pseudonym, never a name")
    draft.add_argument("--out", metavar="DIR", required=True)
    draft.add_argument("--start", type=utc, metavar="TIME", help="UTC of the first sample, ISO 8601")
    draft.add_argument("--fhir", choices=("R4B", "R5"), default="R4B", help="default: %(default)s")
    draft.add_argument("--guidance", metavar="INDEX", help="of the hospital's own documents")
    draft.add_argument(
        "--embedder", metavar="FOLDER", help="search guidance by meaning too (see `make embedder`)"
    )
    draft.add_argument("--font", metavar="TTF", help="for PDF in other scripts than Western European")
    _sitting(draft)


def _sitting(verb: argparse.ArgumentParser) -> None:
    """What `label` and `draft` need to know of recordings."""
    verb.add_argument("files", metavar="FILE", nargs="+", help="EDF, BDF, XDF, BrainVision or BrainFlow csv")
    verb.add_argument("--bundle", metavar="FOLDER", help="the model (default: the shipped one)")
    verb.add_argument(
        "--calibrate-seconds", type=positive, metavar="S", help="length of the rest (default: the bundle's)"
    )
    verb.add_argument("--mains", type=int, choices=(0, 50, 60), default=50, help="Hz (default: %(default)s)")
    verb.add_argument("--board", help="the board that wrote a BrainFlow csv")
    verb.add_argument("--threads", type=between(1, 64), default=2, metavar="N", help="default: 2")


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, module: str, what: str
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=what, description=sentence(what))
    parser.set_defaults(module=module)
    return parser
