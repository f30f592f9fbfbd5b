"""make audit: what it makes of pip-audit's answers, and of the list of what is allowed."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from tools import audit
from tools.audit import LONGEST, Allowed, Unanswered, judge, look_up, read_allowed, read_npm
from tools.console import REPOSITORY, OperatorError

TODAY = date(2026, 11, 23)


def vulnerable(name: str = "leaky", *, fixed: list[str] | None = None) -> dict[str, Any]:
    vuln = {"id": "PYSEC-2026-1", "fix_versions": fixed or [], "aliases": ["CVE-2026-1", "GHSA-1"], "description": "x"}
    return {"name": name, "version": "1.0", "vulns": [vuln]}


SOUND: dict[str, Any] = {"name": "sound", "version": "2.0", "vulns": []}


def skipped(name: str) -> dict[str, Any]:
    """As pip-audit 2.10 says it, and exits with 0."""
    return {"name": name, "skip_reason": f"Dependency not found on PyPI and could not be audited: {name} (1.0)"}


def allow(until: date = TODAY, *, name: str = "CVE-2026-1") -> Allowed:
    return Allowed(id=name, package="leaky", reason="never called here", until=until)


class TestLookUp:
    def test_a_finding_is_a_line(self) -> None:
        (finding,) = look_up(lambda service: [SOUND, vulnerable(fixed=["1.1"])])
        assert str(finding) == "leaky 1.0: PYSEC-2026-1 CVE-2026-1 GHSA-1; fixed in 1.1: run make lock"

    def test_asks_one_service_where_that_knows_all(self) -> None:
        asked: list[str] = []
        assert look_up(lambda service: asked.append(service) or [SOUND]) == []  # type: ignore[func-returns-value]
        assert asked == ["pypi"]

    def test_asks_the_other_for_what_the_first_does_not_know(self) -> None:
        answers = {"pypi": [SOUND, skipped("leaky")], "osv": [SOUND, vulnerable()]}
        assert [finding.package for finding in look_up(answers.__getitem__)] == ["leaky"]

    def test_asks_the_other_where_the_first_does_not_answer(self) -> None:
        answers = {"pypi": None, "osv": [SOUND]}
        assert look_up(answers.__getitem__) == []

    @pytest.mark.parametrize("answer", [None, [], [skipped("sound"), skipped("leaky")]])
    def test_without_an_answer_nothing_is_known(self, answer: list[dict[str, Any]] | None) -> None:
        with pytest.raises(Unanswered, match="says anything of any package"):
            look_up(lambda service: answer)

    def test_a_package_that_nobody_knows_is_not_taken_for_sound(self) -> None:
        with pytest.raises(Unanswered, match=r"says anything of leaky \(1 in all\)"):
            look_up(lambda service: [SOUND, skipped("leaky")])


class TestJudge:
    def test_a_finding_is_to_be_mended(self) -> None:
        mend, know = judge(look_up(lambda service: [vulnerable()]), [], TODAY)
        assert mend == ["leaky 1.0: PYSEC-2026-1 CVE-2026-1 GHSA-1; no version has a fix yet"]
        assert know == []

    @pytest.mark.parametrize("name", ["PYSEC-2026-1", "CVE-2026-1"])
    def test_an_allowed_one_is_told_with_its_reason(self, name: str) -> None:
        mend, (line,) = judge(look_up(lambda service: [vulnerable()]), [allow(name=name)], TODAY)
        assert mend == []
        assert line.endswith("(allowed until 2026-11-23: never called here)")

    def test_not_after_its_day(self) -> None:
        (line,), know = judge(look_up(lambda service: [vulnerable()]), [allow(date(2026, 11, 22))], TODAY)
        assert line.endswith("(it was allowed until 2026-11-22)")
        assert know == []

    def test_not_for_another_package(self) -> None:
        mend, _ = judge(look_up(lambda service: [vulnerable("other")]), [allow()], TODAY)
        assert len(mend) == 1

    def test_an_entry_that_is_not_needed_is_told(self) -> None:
        assert judge([], [allow()], TODAY) == ([], ["tools/audit.toml: CVE-2026-1 is not found any more: remove it"])


class TestAllowed:
    ENTRY = '[[allowed]]\nid = "CVE-2026-1"\npackage = "leaky"\nreason = "never called here"\nuntil = 2026-12-01\n'

    def test_is_read(self) -> None:
        assert read_allowed(self.ENTRY, TODAY) == [allow(date(2026, 12, 1))]

    def test_the_committed_one_holds(self) -> None:
        read_allowed((REPOSITORY / audit.ALLOWED).read_text(), TODAY)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ("[[allowed]", "is not TOML"),
            (ENTRY.replace('"never called here"', '""'), "reason"),
            (ENTRY.replace("reason", "why"), "reason"),
            (ENTRY.replace("until = 2026-12-01", ""), "until"),
            (ENTRY.replace("2026-12-01", '"for ever"'), "until"),
            (ENTRY.replace("2026-12-01", str(TODAY + LONGEST * 2)), "a nearer day"),
            (ENTRY + "[other]\n", "and not other"),
        ],
    )
    def test_a_mistake_is_one_line(self, given: str, said: str) -> None:
        with pytest.raises(OperatorError, match=said) as error:
            read_allowed(given, TODAY)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ([SOUND], 0, "no known vulnerability in the locked packages"),
        ([vulnerable()], 1, "tickler: leaky 1.0: PYSEC-2026-1"),
        (None, 3, "tickler: audit: neither PyPI nor OSV says anything of any package"),
    ],
)
def test_exit_status(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: list[dict[str, Any]] | None,
    status: int,
    said: str,
) -> None:
    monkeypatch.setattr(audit, "ask", lambda service: answer)
    monkeypatch.setattr(audit, "ask_npm", lambda: '{"auditReportVersion": 2, "vulnerabilities": {}}')
    assert audit.main() == status
    output = capsys.readouterr()
    lines = (output.out + output.err).splitlines()
    assert len(lines) == 1
    assert said in lines[0]


NPM: dict[str, Any] = {
    "auditReportVersion": 2,
    "vulnerabilities": {
        "leaky": {
            "name": "leaky",
            "via": [
                {
                    "source": 1,
                    "name": "leaky",
                    "title": "x",
                    "url": "https://github.com/advisories/GHSA-1",
                    "severity": "high",
                    "range": "<2",
                }
            ],
            "range": "<2",
            "fixAvailable": True,
        },
        "user": {"name": "user", "via": ["leaky"], "range": "*", "fixAvailable": False},
    },
}


class TestNpm:
    def test_a_finding_is_a_line_and_what_depends_on_it_is_none(self) -> None:
        (finding,) = read_npm(json.dumps(NPM))
        assert str(finding) == "leaky <2: GHSA-1; fixed in another version: run npm audit fix in web/"

    def test_what_is_allowed_is_allowed(self) -> None:
        mend, know = judge(read_npm(json.dumps(NPM)), [allow(name="GHSA-1")], TODAY)
        assert (mend, len(know)) == ([], 1)

    def test_nothing_found_is_nothing(self) -> None:
        assert read_npm('{"auditReportVersion": 2, "vulnerabilities": {}}') == []

    @pytest.mark.parametrize(
        "text", ["", "npm error", '{"error": {"code": "ENOAUDIT"}}', '{"message": "request failed"}', "[]"]
    )
    def test_without_an_answer_nothing_is_known(self, text: str) -> None:
        with pytest.raises(Unanswered, match="npm"):
            read_npm(text)
