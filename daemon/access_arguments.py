"""What `eeg-copilot monitor` and `eeg-copilot key` are told: who may do what, and how that is proved."""

from __future__ import annotations

import argparse

from daemon.arguments import sentence


def key(verb: argparse.ArgumentParser) -> None:
    what = verb.add_subparsers(dest="what", required=True, metavar="WHAT")
    for name, told in (("new", "make a key and print its public part"), ("show", "print the public part")):
        what.add_parser(name, help=told, description=sentence(told)).add_argument(
            "key", metavar="FILE", help="the private key, PKCS 8 in PEM, mode 600"
        )
    told = "print a command, signed, for mosquitto_pub -s"
    command = what.add_parser("command", help=told, description=sentence(told))
    command.add_argument("topic", metavar="TOPIC", help="that it will be published to")
    command.add_argument("json", metavar="JSON", nargs="?", default="", help="its content, if it has any")
    command.add_argument("--key", metavar="FILE", required=True, help="the private key")
    command.add_argument("--signer", metavar="ID", required=True, help="as in the node's [[signer]]")
    for one in what.choices.values():
        one.add_argument(
            "--encrypted", action="store_true", help="its password is asked for, or read from standard input"
        )


def monitor(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--config", metavar="CONFIG", required=True, help="TOML file (see monitor.toml)")
    verb.epilog = (
        "Without `user` it serves until it is told to stop. Research use only: not a medical device."
    )
    what = verb.add_subparsers(dest="what", metavar="[user]")
    told = "accounts; passwords are asked for, or read from standard input"
    user = what.add_parser("user", help=told, description=sentence(told))
    deed = user.add_subparsers(dest="deed", required=True, metavar="DEED")
    add = deed.add_parser("add", help="add an account", description="Add an account.")
    add.add_argument("--role", choices=("viewer", "clinician", "administrator"), required=True)
    add.add_argument(
        "--signer", default="", metavar="ID", help="of a clinician, as in [[signer]] of the node"
    )
    deed.add_parser("list", help="show all accounts")
    others = [
        deed.add_parser(name, help=what, description=sentence(what))
        for name, what in (
            ("password", "set a new password"),
            ("disable", "let nobody in with it; accounts are never removed"),
            ("enable", "let in again"),
        )
    ]
    for one in (add, *others):
        one.add_argument("name", metavar="NAME", help="that somebody logs in with")
