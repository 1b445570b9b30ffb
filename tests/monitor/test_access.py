"""Who gets in and who may do what, asked of the server itself."""

from __future__ import annotations

import json
import sqlite3

import pytest
from stack import PASSWORD, Client, Process, Stack, until

from daemon.audit import verify
from daemon.monitor.roles import MAY
from daemon.monitor.throttle import FREE

BED = "/api/beds/north/room-1/bed-1"
NOBODY = "0" * 32
SIGN = {"draft": NOBODY, "version": 1, "sha256": "0" * 64, "decision": "accept", "password": "x"}
# Every request that somebody may not do: method, path, body, and what it is.
DEEDS = (
    ("POST", f"{BED}/calibrate", {}, "calibrate"),
    ("POST", f"{BED}/patient", {"subject": "pseudo-bed-1"}, "patient"),
    ("POST", f"{BED}/draft", {}, "draft"),
    ("POST", f"{BED}/sign", SIGN, "sign"),
    ("POST", f"{BED}/ask", {"question": "What is the present state?"}, "ask"),
    ("POST", "/api/users", {"name": "eve", "role": "administrator", "password": "x" * 12}, "users"),
    ("POST", "/api/users/disable", {"name": "dr.lee", "disabled": True}, "users"),
    ("GET", "/api/users", None, "users"),
    ("GET", "/api/audit", None, "audit"),
    ("GET", f"{BED}/records", None, "records"),
    ("GET", f"/api/records/{NOBODY}/1/record.json", None, "records"),
    ("GET", f"/api/records/{NOBODY}/1/record.pdf", None, "records"),
    ("GET", f"/api/records/{NOBODY}/1/record.fhir.json", None, "records"),
)


@pytest.fixture
def visitor(ward: Stack) -> Client:
    return Client(ward.port)


@pytest.fixture
def beds(ward: Stack) -> None:
    """Until the monitor has heard of them."""
    wall = Client(ward.port).log_in("wall")
    until(lambda: "north/room-1/bed-1" in wall.whole()["beds"], what="the beds are known")


@pytest.mark.parametrize(
    ("name", "role"), [("wall", "viewer"), ("dr.lee", "clinician"), ("root", "administrator")]
)
def test_each_role_is_refused_what_is_not_its_own(ward: Stack, beds: None, name: str, role: str) -> None:
    client = Client(ward.port).log_in(name)
    for method, path, body, action in DEEDS:
        if action not in MAY[role]:
            answer = client.get(path) if method == "GET" else client.post(path, body)
            assert answer.status == 403, (path, answer.content)
            assert action in answer.json["detail"] and role in answer.json["detail"]
    entries = Client(ward.port).log_in("root").get("/api/audit").json["entries"]
    refused = {entry["detail"]["action"] for entry in entries if entry["action"] == "refused"}
    assert {action for *_, action in DEEDS if action not in MAY[role]} <= refused


def test_nobody_gets_nothing(ward: Stack, beds: None, visitor: Client) -> None:
    for method, path, body, _ in (*DEEDS, ("GET", "/api/events", None, "look")):
        answer = visitor.get(path) if method == "GET" else visitor.post(path, body)
        assert answer.status == 401, path
    assert visitor.get("/api/session").json == {"session": None}


def test_a_deed_needs_the_page_of_this_very_session(ward: Stack, beds: None) -> None:
    client = Client(ward.port).log_in("dr.lee")
    path = f"{BED}/calibrate"
    token, client.csrf = client.csrf, ""
    assert client.post(path, {}).status == 403
    client.csrf = Client(ward.port).log_in("dr.lee").csrf
    assert client.post(path, {}).status == 403
    client.csrf = token
    assert client.post(path, {}, Origin="https://evil.example").status == 403
    assert client.post(path, {}, Sec_Fetch_Site="cross-site").status == 403
    assert client.post(path, {}, Content_Type="text/plain").status == 415
    assert client.post(path, b"x" * 70_000).status == 413
    assert client.post(path, b"{").status == 400
    answer = client.post(path, {"evil": 1})
    assert answer.status == 400 and "unknown key" in answer.json["detail"]
    assert client.post(path.replace("bed-1", "bed-9"), {}).status == 404
    assert client.get("/", Host="evil.example").status == 400
    answer = client.post(path, {})
    assert answer.status == 200 and answer.json["ok"], answer.content


def test_headers_and_cookie(ward: Stack, visitor: Client) -> None:
    for path in ("/", "/main.js", "/api/session", "/nowhere"):
        headers = visitor.get(path).headers
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
    answer = visitor.post("/api/login", {"name": "wall", "password": PASSWORD.format("wall")})
    cookie = answer.headers["Set-Cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    assert visitor.get("/api/session").headers["Cache-Control"] == "no-store"


def test_passwords_cannot_be_guessed_fast(ward: Stack, visitor: Client) -> None:
    wrong = {"name": "victim", "password": "not this one"}
    answers = [visitor.post("/api/login", wrong) for _ in range(FREE)]
    assert [answer.status for answer in answers] == [401] * FREE
    # The wait begins with 2 s, which a busy machine may need for an answer; it doubles with each.
    while (answer := visitor.post("/api/login", wrong)).status == 401:
        answers.append(answer)
        assert len(answers) < 2 * FREE
    assert answer.status == 429 and int(answer.headers["Retry-After"]) >= 1
    # Nobody else waits for it.
    right = {"name": "wall", "password": PASSWORD.format("wall")}
    assert visitor.post("/api/login", right).status == 200


def test_signing_needs_a_signer_a_record_and_the_password(ward: Stack, beds: None) -> None:
    answer = Client(ward.port).log_in("dr.new").post(f"{BED}/sign", SIGN)
    assert answer.status == 409 and "tied to no signer" in answer.json["detail"]
    lee = Client(ward.port).log_in("dr.lee")
    answer = lee.post(f"{BED}/sign", SIGN)
    assert answer.status == 409 and "no such version" in answer.json["detail"]
    # Nobody chooses under whose name they sign.
    assert lee.post(f"{BED}/sign", SIGN | {"signer": "dr-2"}).status == 400


@pytest.mark.parametrize("version", ["0", "-1", "x", str(2**31), "9" * 20, "9" * 5000])
def test_a_version_that_no_record_has_is_not_found(ward: Stack, beds: None, version: str) -> None:
    lee = Client(ward.port).log_in("dr.lee")
    for name in ("record.json", "record.pdf", "record.fhir.json"):
        assert lee.get(f"/api/records/{NOBODY}/{version}/{name}").status == 404
    if version.lstrip("-").isdecimal():
        wrong = json.dumps(SIGN).replace('"version": 1', f'"version": {version}')
        assert lee.post(f"{BED}/sign", wrong.encode()).status == 400


def test_accounts_are_changed_by_another_administrator_and_at_once(ward: Stack) -> None:
    root = Client(ward.port).log_in("root")
    put = {"name": "dr.two", "role": "clinician", "signer": "dr-1", "password": PASSWORD.format("dr.two")}
    answer = root.post("/api/users", put)
    assert answer.status == 400 and "tied to dr.lee" in answer.json["detail"]
    assert root.post("/api/users", put | {"signer": "", "password": "short"}).status == 400
    assert root.post("/api/users", put | {"signer": ""}).status == 200
    two = Client(ward.port).log_in("dr.two")
    assert two.get(f"{BED}/records").status == 200
    assert root.post("/api/users/disable", {"name": "dr.two", "disabled": True}).status == 200
    assert two.get(f"{BED}/records").status == 401
    assert two.post("/api/login", {"name": "dr.two", "password": put["password"]}).status == 401
    assert root.post("/api/users/disable", {"name": "root", "disabled": True}).status == 403
    assert root.post("/api/users", put | {"name": "root"}).status == 403


def test_what_the_command_line_does_to_an_account_ends_its_sessions(ward: Stack, beds: None) -> None:
    def command(deed: str, name: str, said: str = "") -> None:
        arguments = ("monitor", "--config", "monitor.toml", "user", deed, name)
        process = Process(ward.folder, "user", *arguments, said=said)
        assert process.wait() == 0, process.log.read_text()

    password = PASSWORD.format("dr.four")
    put = {"name": "dr.four", "role": "clinician", "password": password}
    assert Client(ward.port).log_in("root").post("/api/users", put).status == 200
    for deed, said in (("disable", ""), ("password", "another long password\n")):
        client = Client(ward.port).log_in("dr.four")
        with client.events() as events:
            assert client.get(f"{BED}/records").status == 200
            command(deed, "dr.four", said)
            assert client.get(f"{BED}/records").status == 401
            assert client.post(f"{BED}/calibrate", {}).status == 401
            # Its pages hear nothing more.
            assert events.read().endswith(b"event: over\ndata: {}\n\n")
        command("enable", "dr.four")
    assert Client(ward.port).log_in("wall").get("/api/session").json["session"]["name"] == "wall"


def test_the_trail_holds_nobodys_name(ward: Stack, beds: None, visitor: Client) -> None:
    lee = Client(ward.port).log_in("dr.lee")
    for verb, body, why in (
        ("patient", {"subject": "John Smith"}, "a pseudonym"),
        ("patient", {"subject": "pseudo-bed-1", "history": ["Name: John Smith"]}, "looks like a name"),
        ("patient", {"subject": "pseudo-bed-1", "laboratory": [{"email": "x"}]}, "pseudonym only"),
        ("ask", {"question": "How is Mrs. Jane Miller, born 3.4.1980?"}, "looks like a name"),
    ):
        answer = lee.post(f"{BED}/{verb}", body)
        assert answer.status in (400, 409) and why in answer.json["detail"], answer.content
    assert lee.post(f"{BED}/ask", {"question": "How was somebody from Basel?"}).status == 200
    wrong = {"name": "my-password-typed-here", "password": "x"}
    assert visitor.post("/api/login", wrong).status == 401
    assert visitor.post("/api/login", wrong | {"name": "dr.new"}).status == 401
    entries = Client(ward.port).log_in("root").get("/api/audit").json["entries"]
    for name in ("John", "Jane", "Basel", "typed-here"):
        assert name not in json.dumps(entries)
    newest = {one["action"]: one for one in reversed(entries)}
    assert newest["ask"]["detail"]["characters"] == len("How was somebody from Basel?")
    assert newest["ask refused"]["actor"] == newest["patient refused"]["actor"] == "dr.lee"
    assert [one["actor"] for one in entries if one["action"] == "login refused"][:2] == ["dr.new", ""]
    assert lee.post(f"{BED}/patient", {"subject": "pseudo-bed-1"}).status == 200
    entries = Client(ward.port).log_in("root").get("/api/audit").json["entries"]
    assert next(one for one in entries if one["action"] == "patient")["detail"]["subject"] == "pseudo-bed-1"


def test_every_deed_is_in_the_trail_and_a_change_of_it_is_seen(ward: Stack, beds: None) -> None:
    root = Client(ward.port).log_in("root")
    assert root.post(f"{BED}/calibrate", {}).status == 200
    entries = root.get("/api/audit").json["entries"]
    assert entries[0]["actor"] == "root" and entries[0]["action"] == "calibrate"
    assert entries[0]["detail"]["ok"] is True
    assert {"login", "login refused", "signature refused"} <= {entry["action"] for entry in entries}
    verdict = verify(ward.database)
    assert verdict.bad is None
    copy = ward.folder / "copy.sqlite"
    with sqlite3.connect(ward.database) as db:
        db.execute("vacuum into ?", (str(copy),))
    db.close()
    with sqlite3.connect(copy) as db:
        db.execute("update audit set entry=replace(entry, 'root', 'evil') where number=?", (verdict.entries,))
    db.close()
    assert verify(copy).bad is not None


def test_one_time_addresses_cannot_be_tried_without_end(ward: Stack, visitor: Client) -> None:
    answers = [visitor.post("/api/link", {"token": f"guess-{n}"}) for n in range(60)]
    assert {answer.status for answer in answers} == {401, 429}
    assert answers[-1].status == 429 and int(answers[-1].headers["Retry-After"]) >= 1
    entries = Client(ward.port).log_in("root").get("/api/audit").json["entries"]
    tried = [one for one in entries if one["detail"].get("why") == "one-time address"]
    assert len(tried) == sum(answer.status == 401 for answer in answers) < 30
