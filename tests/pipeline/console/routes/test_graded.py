"""Graded results on the pages: uploaded, shown as read, sent; a refused file says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.night.grading import uploads
from tests.pipeline.console.client import Client
from tests.pipeline.console.html_rules import errors
from tests.pipeline.night.grading.test_delivery import FILE

Browsers = Callable[[str], Client]
PAGE = {"accept": "text/html"}


def upload(client: Client, path: str, content: bytes, name: str = "graded.json") -> Any:
    return client.post(
        path, {"then": "graded", "form": "graded", "source": "force"}, files={"file": (name, content)}, headers=PAGE
    )


def test_an_export_is_uploaded_checked_and_sent(app: Any, browser_of: Browsers) -> None:
    dan = browser_of("dan")
    number = dan.get("/queue?format=json").json()["cases"][0]["case_id"]
    path = f"/cases/{number}/graded"
    assert f'href="{path}"' in dan.get(f"/cases/{number}").text
    assert errors(dan.get(path).text) == []
    assert upload(dan, path, FILE.read_bytes()).headers["location"] == f"{path}?done=read-graded"
    page = dan.get(path)
    assert "Check before you send: graded.json" in page.text and errors(page.text) == []
    assert "says nothing of this case" in page.text
    [row] = dan.get(f"{path}?format=json").json()["uploads"]
    assert (row["state"], row["entries"], row["fitting"], row["by"]) == ("checked", 2, 0, "dan")
    here = f"{path}/{row['upload_id']}"
    assert dan.post(f"{here}/send", {"then": "graded"}).headers["location"] == f"{path}?done=sent-graded"
    assert uploads.waiting(app.app.state.settings) == 1
    again = dan.post(f"{here}/withdraw", {"then": "graded"}, headers=PAGE)
    assert again.status_code == 409 and "waiting already" in again.text and errors(again.text) == []
    page = dan.get(path).text
    assert "It is attached within minutes." in page and errors(page) == []


def test_a_file_that_is_no_export_is_refused_on_the_page(app: Any, browser_of: Browsers) -> None:
    ana = browser_of("ana")
    number = ana.get("/queue?format=json").json()["cases"][0]["case_id"]
    path = f"/cases/{number}/graded"
    refused = upload(ana, path, b"md5,category\n", "list.csv")
    assert refused.status_code == 422 and errors(refused.text) == []
    assert "list.csv is not of the declared format vics" in refused.text and 'href="#graded-file"' in refused.text
    nothing = ana.post(path, {"then": "graded", "form": "graded", "source": "force"}, headers=PAGE)
    assert nothing.status_code == 422 and "Choose the file that the grading tool exported." in nothing.text
    assert ana.get(f"{path}?format=json").json()["uploads"] == []
    kept = upload(ana, path, FILE.read_bytes())
    assert kept.status_code == 303
    [row] = ana.get(f"{path}?format=json").json()["uploads"]
    done = ana.post(f"{path}/{row['upload_id']}/withdraw", {"then": "graded"})
    assert done.headers["location"] == f"{path}?done=withdrawn-graded"
    assert browser_of("aud").get(path).status_code == 403
