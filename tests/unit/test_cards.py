"""Cards to be printed: one an account, ten a sheet; nothing is executed, nor cut off."""

from __future__ import annotations

import re
import shutil
import subprocess
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botrix import cards
from botrix.cards import A_SHEET, as_cards
from botrix.passwords import DEFAULT_POLICY

_EVIL = [
    "<script>document.title='x'</script>", "<img src=x onerror=alert(1)>", '"><b>', "&lt;", "</p>",
    "</style><style>*{display:none}", "javascript:alert(1)", "{0} {x}", "%s", "\u202eabc", "a\0b",
]  # fmt: skip
_ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "section", "article", "p", "h2", "dl", "dt",
    "dd", "bdi", "b", "i",
}  # fmt: skip


class Page(HTMLParser):
    """What a browser makes of it: elements, the text of each class, and the policy."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.texts: dict[str, list[str]] = {}
        self.policy = self.style = ""
        self._open: list[str] = []
        self.feed(content.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.attributes |= named.keys()
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"]
        if tag != "meta":
            kind = named.get("class", tag).replace("mono ", "").split()[0]
            self._open.append(kind)
            self.texts.setdefault(kind, []).append("")

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["style"]:
            self.style += data
        for kind in self._open:
            self.texts[kind][-1] += data


def _row(username: str = "ada", shown: str = "Ada", password: str = "s3cret") -> list[str]:
    return [username, "e@x.example", "G", "F", shown, password]


def test_each_account_has_a_card_and_ten_are_a_sheet() -> None:
    rows = [_row(f"u{n}", f"N{n}", f"p{n} x") for n in range(23)]
    page = Page(as_cards(iter(rows), "Lab 3", "https://x.example/in"))
    assert (page.tags.count("section"), page.tags.count("article"), A_SHEET) == (3, 23, 10)
    assert page.texts["username"] == [row[0] for row in rows]
    assert page.texts["password"] == [row[5] for row in rows]
    assert page.texts["h2"] == [row[4] for row in rows]
    assert page.texts["title"] == ["Lab 3"] * 24, "also of the page"
    assert page.texts["sign-in"] == ["https://x.example/in"] * 23
    assert "sign-in" not in Page(as_cards(rows)).texts
    assert Page(as_cards([])).tags.count("article") == 0


@pytest.mark.parametrize("evil", _EVIL)
def test_nothing_is_executed(evil: str) -> None:
    page = Page(as_cards([_row(evil, evil, evil)], evil, evil))
    assert set(page.tags) <= _ALLOWED
    assert page.attributes <= {"lang", "charset", "http-equiv", "content", "name", "class", "dir"}
    assert page.tags.count("article") == page.tags.count("style") == 1
    assert page.texts["password"] == [evil]
    if evil.isprintable():
        shown = {page.texts[kind][-1] for kind in ("username", "h2", "title", "sign-in")}
        assert shown == {evil}


def test_the_policy_allows_the_one_style_and_nothing_else() -> None:
    page = Page(as_cards([_row()]))
    digest = b64encode(sha256(page.style.encode()).digest()).decode()
    assert page.policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"url\(|@import|expression|https?:", page.style)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])), st.integers(0, 9))
def test_any_password_stands_on_its_card(password: str, digit: int) -> None:
    text = password + str(digit)
    assert Page(as_cards([_row(password=text)])).texts["password"] == [text]


def test_what_looks_alike_is_marked() -> None:
    content = as_cards([_row(password="O0 l1 Il")]).decode()
    assert "O<b>0</b><i> </i>l<b>1</b><i> </i>Il" in content
    assert "Digits have a line above. <i> </i> is a space." in content
    assert "Digits" not in as_cards([_row(password="abc")]).decode()


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium on this machine: how cards are printed was NOT TRIED")
    return found


def _browsed(chromium: str, folder: Path, content: bytes, *what: str) -> str:
    """What the browser prints; its log is part of it."""
    (folder / "page.html").write_bytes(content)
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
        f"--user-data-dir={folder / 'profile'}", *what, (folder / "page.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert "Content Security Policy" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.suite("Chromium")
@pytest.mark.parametrize("paper", ["A4", "letter"])
def test_a_browser_prints_ten_on_a_page(
    chromium: str, tmp_path: Path, paper: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On either paper; the longest names that may be, and passwords as they are made."""
    style = cards._STYLE.replace("margin: 8mm", f"margin: 8mm; size: {paper}")
    monkeypatch.setattr(cards, "_STYLE", style)
    monkeypatch.setattr(cards, "POLICY", cards._policy(style))
    rows = [_row("u" * 64, "Name " * 40, DEFAULT_POLICY.new()) for _ in range(30)]
    content = as_cards(rows, "Lab " * 30, "https://lab.school.example/sign-in/here")
    pdf = tmp_path / "cards.pdf"
    _browsed(chromium, tmp_path, content, "--no-pdf-header-footer", f"--print-to-pdf={pdf}")
    sizes = re.findall(rb"/MediaBox \[0 0 ([0-9.]+)", pdf.read_bytes())
    assert len(sizes) == 3
    assert {round(float(size)) for size in sizes} == {{"A4": 595, "letter": 612}[paper]}


@pytest.mark.suite("Chromium")
def test_a_browser_executes_nothing(chromium: str, tmp_path: Path) -> None:
    content = as_cards([_row(evil, evil, "x") for evil in _EVIL], "Lab 3", _EVIL[1])
    said = _browsed(chromium, tmp_path, content, "--dump-dom")
    page = Page(said.encode())
    assert page.texts["title"][0] == "Lab 3"
    assert page.tags.count("article") == len(_EVIL)
    assert not {"script", "img"} & set(page.tags)
