"""The configuration: what is refused, and that each refusal is one line that names the key."""

import subprocess
import sys
from pathlib import Path

import pytest

from daemon.config import load_config
from daemon.errors import ConfigError
from daemon.mqtt_settings import read_password, warnings
from daemon.sources.settings import RecordingSource, SimulatorSource
from daemon.unit import ETC, Program, unit_of

STREAM = '[[stream]]\nname = "bed-1"\nsource = {kind = "simulator"}\n'
SIGNER = '[[signer]]\nid = "dr-1"\n'
KEY = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="  # RFC 8032, 7.1, the first test's


def write(folder: Path, text: str) -> Path:
    file = folder / "copilot.toml"
    file.write_text(text)
    return file


def test_defaults(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, STREAM))
    assert config.mqtt.host == "127.0.0.1"
    assert config.stream[0].subject == "pseudo-unknown"
    assert isinstance(config.stream[0].source, SimulatorSource)
    assert len(config.fingerprint()) == 64


def test_same_meaning_same_fingerprint(tmp_path: Path) -> None:
    one = load_config(write(tmp_path, STREAM)).fingerprint()
    two = load_config(write(tmp_path, "# a comment\n[mqtt]\nport = 1883\n" + STREAM)).fingerprint()
    three = load_config(write(tmp_path, "[mqtt]\nport = 1884\n" + STREAM)).fingerprint()
    assert one == two != three


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[mqt]\n" + STREAM, ["mqt: unknown key", "'mqtt'"]),
        ("[mqtt]\nprt = 1\n" + STREAM, ["mqtt.prt: unknown key", "did you mean 'port'", "keepalive"]),
        ("[mqtt]\nport = '1883'\n" + STREAM, ["mqtt.port", "int", "got '1883'"]),
        ("[mqtt]\nport = 70000\n" + STREAM, ["mqtt.port", "65535", "70000"]),
        ("[mqtt]\nsite = 'a/b'\n" + STREAM, ["mqtt.site", "letters, digits", "'a/b'"]),
        ("[mqtt]\nnode = 'a#'\n" + STREAM, ["mqtt.node", "letters, digits"]),
        ('[mqtt]\nnode = "a\\n"\n' + STREAM, ["mqtt.node", "letters, digits"]),
        (
            STREAM.replace("simulator", "simulater"),
            ["stream[0].source.kind", "did you mean 'simulator'", "lsl"],
        ),
        (STREAM.replace('kind = "simulator"', ""), ["stream[0].source.kind", "missing"]),
        (
            STREAM.replace('"simulator"', '"simulator", sed = 3'),
            ["stream[0].source.sed", "did you mean 'seed'", "electrodes"],
        ),
        (STREAM.replace('"simulator"', '"lsl"'), ["stream[0].source", "at least one of name"]),
        (STREAM + "gander = 'female'\n", ["stream[0].gander", "did you mean 'gender'"]),
        (STREAM + "gender = 'woman'\n", ["stream[0].gender", "'woman'", "female, male, other"]),
        (STREAM + "mains_hz = 55\n", ["stream[0].mains_hz", "55", "50"]),
        (STREAM + "age = 400\n", ["stream[0].age", "120"]),
        (STREAM + "subject = 'Jane Doe'\n", ["stream[0].subject", "pseudonym"]),
        ("[mqtt]\nhost = 'mqtt://broker'\n" + STREAM, ["mqtt.host", "a host name or an address"]),
        ("[mqtt]\nhost = ''\n" + STREAM, ["mqtt.host", "a host name or an address"]),
        (STREAM + STREAM, ["stream[1].name", "taken"]),
        (STREAM.replace("bed-1", "cmd"), ["stream[0].name", "reserved"]),
        ("", ["stream: is missing"]),
        ("stream = []\n", ["stream", "length >= 1"]),
        ("stream = 3\n", ["stream", "array", "got 3"]),
        ("[mqtt\n", ["not a TOML file"]),
        ("[mqtt]\npassword = 'secret'\n" + STREAM, ["mqtt.password: unknown key", "'password_file'"]),
        (
            "[mqtt]\nhost = 'broker.example'\n" + STREAM,
            ["mqtt.host", "tls = true", "plain_over_network = true"],
        ),
        ("[mqtt]\nhost = '10.0.0.5'\n" + STREAM, ["mqtt.host", "plain_over_network = true"]),
        ("[mqtt]\nca_file = 'none.pem'\n" + STREAM, ["mqtt.ca_file", "none.pem is not a file"]),
        ("[mqtt]\ncert_file = 'a.pem'\n" + STREAM, ["mqtt.key_file", "both"]),
        ("[mqtt]\nusername = 'me'\n" + STREAM, ["mqtt.username", "password_file"]),
        ("[mqtt]\ntls = true\nplain_over_network = true\n" + STREAM, ["plain_over_network", "leave it out"]),
        ("[mqtt]\nca_file = 'credential:ca'\n" + STREAM, ["mqtt.ca_file", "LoadCredential="]),
        ("[mqtt]\nca_file = 'credential:../ca'\n" + STREAM, ["mqtt.ca_file", "LoadCredential="]),
        ("[mqtt]\nusername = 'me'\npassword_file = 'none'\n" + STREAM, ["mqtt.password_file", "not a file"]),
        ("[model]\ntrusted_keys = ['ed25519:x']\n" + STREAM, ["model.trusted_keys[0]", "key new"]),
        ("[drafts]\nidentity = 'mqtt'\n" + STREAM, ["drafts.identity", "node, refuse"]),
        ("[commands]\nmax_age_s = 1\n" + STREAM, ["commands.max_age_s", ">= 5"]),
        (SIGNER + "may = ['dance']\n" + STREAM, ["signer[0].may", "calibrate", "'dance'"]),
        (SIGNER + SIGNER + STREAM, ["signer[1].id", "taken"]),
        (SIGNER + "public_key = 'me'\n" + STREAM, ["signer[0].public_key", "not a public key"]),
        (
            SIGNER + f"public_key = '{KEY}'\n[[signer]]\nid = 'dr-2'\n" + STREAM,
            ["signer[1].public_key", "missing"],
        ),
        (
            SIGNER + f"public_key = '{KEY}'\n[[signer]]\nid = 'dr-2'\npublic_key = '{KEY}'\n" + STREAM,
            ["signer[1].public_key", "'dr-1' has the same"],
        ),
        (
            "[mqtt]\nhost = 'broker.example'\ntls = true\n" + SIGNER + STREAM,
            ["signer[0].public_key", "missing", "another machine"],
        ),
        ("[log]\nlevel = 'loud'\n" + STREAM, ["log.level", "'loud'", "warning"]),
        ("[model]\nthreads = 0\n" + STREAM, ["model.threads", ">= 1"]),
        ("[model]\nthreads = " + "9" * 5000 + "\n" + STREAM, ["not a TOML file", "digits"]),
        ("[model]\nthreads = 0x" + "f" * 5000 + "\n" + STREAM, ["model.threads", "thousands of digits"]),
    ],
)
def test_refusals_name_the_key_in_one_line(tmp_path: Path, text: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_config(write(tmp_path, text))
    line = str(refusal.value)
    assert line.startswith(str(tmp_path / "copilot.toml"))
    assert "\n" not in line
    for part in parts:
        assert part in line


def test_secret_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_config(write(tmp_path, "[mqtt]\npassword = 'hunter2'\n" + STREAM))
    assert "hunter2" not in str(refusal.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


def test_other_machine_with_tls_or_plain(tmp_path: Path) -> None:
    for extra in ("tls = true", "plain_over_network = true"):
        config = load_config(write(tmp_path, f"[mqtt]\nhost = 'broker.example'\n{extra}\n" + STREAM))
        assert config.mqtt.encrypted == (extra == "tls = true")


def test_paths_start_at_the_file(tmp_path: Path) -> None:
    text = '[state]\ndirectory = "state"\n[[stream]]\nname = "r"\n[stream.source]\nkind = "recording"\n'
    config = load_config(write(tmp_path, text + 'files = ["a.edf", "/b.edf"]\n'))
    source = config.stream[0].source
    assert isinstance(source, RecordingSource)
    assert source.files == (str(tmp_path / "a.edf"), "/b.edf")
    assert config.state_directory() == tmp_path / "state"


def test_password_from_file_and_from_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("from-file\n")
    (tmp_path / "secret").chmod(0o600)
    with_file = "[mqtt]\nusername = 'me'\npassword_file = 'secret'\n" + STREAM
    assert read_password(load_config(write(tmp_path, with_file)).mqtt) == "from-file"
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "mqtt-password").write_text("from-systemd")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    without = "[mqtt]\nusername = 'me'\n" + STREAM
    assert read_password(load_config(write(tmp_path, without)).mqtt) == "from-systemd"


def test_secrets_that_others_may_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    file = write(tmp_path, "[mqtt]\nusername = 'me'\npassword_file = 'secret'\n" + STREAM)
    for mode in (0o644, 0o604, 0o660):
        secret.chmod(mode)
        with pytest.raises(ConfigError, match=r"mqtt.password_file: others may read .*chmod 600") as refusal:
            load_config(file)
        assert "hunter2" not in str(refusal.value)
    secret.chmod(0o600)
    assert read_password(load_config(file).mqtt) == "hunter2"
    # systemd's own, whose access list shows as group bits.
    secret.chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    named = "[mqtt]\nusername = 'me'\npassword_file = 'credential:secret'\n" + STREAM
    assert read_password(load_config(write(tmp_path, named)).mqtt) == "hunter2"


def test_what_is_unwise_is_said(tmp_path: Path) -> None:
    def said(text: str) -> list[str]:
        return warnings(load_config(write(tmp_path, f"[mqtt]\n{text}\n" + STREAM)).mqtt)

    assert said("") == said("tls = true") == []
    (aloud,) = said("host = '10.0.0.5'\nplain_over_network = true")
    assert aloud.startswith("mqtt.plain_over_network: everybody")
    (named,) = said("tls = true\ncheck_server_name = false")
    assert named.startswith("mqtt.check_server_name")


def test_state_directory_of_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/eeg-copilot")
    assert load_config(write(tmp_path, STREAM)).state_directory() == Path("/var/lib/eeg-copilot")


def check_config(file: Path, *told: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "daemon", "check-config", str(file), *told]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("name", "program", "line"),
    [
        ("eeg-copilot", "node", "  stream  bed-1: simulator, pseudo-0001"),
        ("monitor", "monitor", "  page    127.0.0.1:8080, plain"),
        ("reader", "reader", "  reader  reader-1 of the pool at site home"),
    ],
)
def test_sample_configurations_are_right(name: str, program: str, line: str) -> None:
    sample = Path(__file__).parent.parent / "systemd" / f"{name}.toml"
    result = check_config(sample, "--for", program)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{sample}: good\n  broker  127.0.0.1:1883, plain\n")
    assert line in result.stdout.splitlines()


@pytest.mark.parametrize(
    ("program", "text", "named"),
    [
        ("node", STREAM + "nmae = 'x'\n", "stream[0].nmae"),
        ("monitor", "[web]\nhost = '0.0.0.0'\n", "web.host: '0.0.0.0' would send passwords in the clear"),
        ("reader", "[model]\nbundle = 'nowhere'\n", "nowhere"),
    ],
)
def test_check_config_exits_with_78(tmp_path: Path, program: str, text: str, named: str) -> None:
    result = check_config(write(tmp_path, text), "--for", program)
    assert result.returncode == 78
    assert len(result.stderr.splitlines()) == 1
    assert named in result.stderr


@pytest.mark.parametrize(
    ("name", "program", "unit"),
    [
        ("eeg-copilot", "node", "eeg-copilot.service"),
        ("bed-2", "node", "eeg-copilot@bed-2.service"),
        ("monitor", "monitor", "eeg-copilot-monitor.service"),
        ("reader-2", "reader", "eeg-copilot-reader@2.service"),
    ],
)
def test_units_that_run_a_configuration_are_there(name: str, program: Program, unit: str) -> None:
    assert unit_of(ETC / f"{name}.toml", program) == unit
    kind, instance, _ = unit.partition("@")
    file = Path(__file__).parent.parent / "systemd" / (f"{kind}@.service" if instance else unit)
    assert file.is_file()
