"""The message table against the contract, and the reference page against the table."""

from __future__ import annotations

from dawlink.osc.messages import ANSWERS, REQUESTS
from dawlink.osc.reference import REFERENCE, reference

CONTRACT = {
    "ping": "i", "hello": "issiis", "bye": "i", "set/tempo": "f", "set/signature": "ii",
    "set/key": "is", "set/project": "s", "clip": "isiffif", "clip/warp": "isiiff",
    "suggest": "isis", "suggest/get": "iii", "audition": "issfi", "render": "issffs",
    "inserted": "iif", "cancel": "ii", "status": "i",
}  # fmt: skip
ANSWERED = {
    "pong": "isi", "welcome": "iissi", "bye/done": "i", "clip/done": "isfisf",
    "clip/warp/done": "is", "suggest/begin": "ii", "suggest/hit": "iisfssfiff",
    "suggest/end": "ii", "audition/done": "is", "render/progress": "ifi", "render/file": "iss",
    "render/done": "iiiiff", "inserted/done": "i", "cancelled": "i", "cancel/done": "i",
    "status/done": "isiif", "error": "iiss", "event/library": "i", "event/shutdown": "",
}  # fmt: skip


def test_requests_are_those_of_the_contract() -> None:
    found = {address: made.tags for address, made in REQUESTS.items()}
    assert {f"/dawlink/{name}": tags for name, tags in CONTRACT.items()}.items() <= found.items()


def test_answers_are_those_of_the_contract() -> None:
    found = {address: made.tags for address, made in ANSWERS.items()}
    assert {f"/dawlink/{name}": tags for name, tags in ANSWERED.items()}.items() <= found.items()


def test_every_request_is_answered_by_what_there_is() -> None:
    for made in REQUESTS.values():
        assert set(made.answers) <= ANSWERS.keys()
        assert bool(made.answers) == made.numbered
        assert made.text.endswith(".")


def test_the_reference_page_is_up_to_date() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference(), (
        "run: python -m dawlink.osc.reference"
    )
