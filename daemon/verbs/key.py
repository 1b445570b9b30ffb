"""`eeg-copilot key new|show|command`: keys that sign commands and bundles."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from daemon.cli import DONE
from daemon.passwords import ask
from daemon.signed_command import seal
from pipeline.errors import KeyFileError
from pipeline.keys import new_key, private_key, public_text


def run(options: argparse.Namespace) -> int:
    path = Path(options.key)
    password = ask(new=options.what == "new") if options.encrypted else None
    if options.encrypted and not password:
        raise KeyFileError("an encrypted key needs a password")
    match options.what:
        case "new":
            print(public_text(new_key(path, password)))
            print(
                f"{path} is the private key: it stays with whoever signs, never on the node. Its public "
                "part, above, goes into public_key of a [[signer]], or trusted_keys of [model].",
                file=sys.stderr,
            )
        case "show":
            print(public_text(private_key(path, password)))
        case _:
            key = private_key(path, password)
            sys.stdout.buffer.write(seal(options.topic, options.json, options.signer, key, time.time()))
            sys.stdout.buffer.flush()
    return DONE
