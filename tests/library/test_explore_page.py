"""The page of a library, in a real browser: neighbors, filters, keys, hostile names, no network."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import bod_keras
from bod_keras.data import Record
from bod_keras.library import PageServer, read_library, write_page
from bod_keras.library.library_file import write_rows
from bod_keras.library.video_key import video_key
from tests.small_run import write_video
from tests.tiers import slow

HOSTILE = [
    '<img src=x onerror="document.title=1">.avi',
    "</script><script>document.title=2</script>.avi",
]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")


def write_library(file, paths, labels, static, dynamic):
    rows = {
        "path": [str(path) for path in paths],
        "start": [0.0] * len(paths),
        "end": [1.0] * len(paths),
        "label": labels,
        "key": [video_key(Record(str(path))) for path in paths],
        "static": static,
        "dynamic": dynamic,
    }
    clips = {"frames": 4, "stride": 1, "size": 16}
    write_rows(file, rows, {"run": "gone", "model": "none", "clips": clips, "every": None})
    return read_library(file)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Six videos, two with hostile names; appearance orders them 0 1 2 ..., motion the other way round."""
    folder = tmp_path_factory.mktemp("explore")
    names = ["a.avi", "b/c\nd.avi", *HOSTILE, os.fsdecode(b"\xe9.avi")]
    paths = []
    for number, name in enumerate(names):
        path = folder / "videos" / name
        if "/script" in name:
            path = folder / "videos" / name.replace("</script>", "<⁄script>")
        path.parent.mkdir(parents=True, exist_ok=True)
        os.rename(write_video(folder / "new.avi", number), path)
        paths.append(path)
    paths.append(folder / "videos" / "gone.avi")
    angle = np.array([0, 0.1, 0.3, 0.6, 1.0, 1.5])
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    order = [0, 5, 1, 4, 2, 3]
    labels = ["x", "x", "</script><b>y", None, "x", "x"]
    library = write_library(folder / "library.parquet", paths, labels, circle, circle[order])
    written, unread = write_page(library, folder / "page", workers=0)
    return library, written, unread


def data_of(page):
    text = page.read_text(encoding="utf-8")
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1]
    )


def test_neighbors_are_exact_and_names_are_data(page):
    library, written, unread = page
    data = data_of(written)
    for kind, part in (("appearance", "static"), ("motion", "dynamic")):
        unit = library.vectors(part) / np.linalg.norm(library.vectors(part), axis=1, keepdims=True)
        cosine = unit @ unit.T - 9 * np.eye(6)
        assert [row[0] for row in data["near"][kind]] == cosine.argmax(axis=1).tolist()
        assert all(len(row) == 5 and i not in row for i, row in enumerate(data["near"][kind]))
        assert np.ptp(data["map"][kind], axis=0)[0] == 1000
    assert list(unread) == [library.paths[5]] and data["loops"][5] == ""
    assert len(list((written.parent / "loops").glob("*.webp"))) == 5
    text = written.read_text(encoding="utf-8")
    assert "<img src=x" not in text and "<b>y" not in text and text.count("</script>") == 2


def test_nothing_is_fetched_from_elsewhere(page):
    text = page[1].read_text(encoding="utf-8")
    assert not re.search(
        r"https?:|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text
    )


def test_loops_are_the_frames_of_the_clip(page):
    import cv2

    library, written, _ = page
    strip = cv2.imread(str(written.parent / "loops" / f"{data_of(written)['loops'][0]}.webp"))
    assert strip.shape == (112, 8 * 112, 3)
    tiles = strip.reshape(112, 8, 112, 3).transpose(1, 0, 2, 3).astype(float)
    # Four frames of a clip are eight pictures: each twice, and others are other noise.
    assert abs(tiles[0] - tiles[1]).mean() < 5 < 20 < abs(tiles[1] - tiles[2]).mean()


def test_a_second_call_makes_no_loop_again_and_a_large_library_is_thinned(page):
    library, written, _ = page
    before = {file: file.stat().st_mtime_ns for file in (written.parent / "loops").iterdir()}
    write_page(library, written.parent, workers=0)
    assert before == {
        file: file.stat().st_mtime_ns for file in (written.parent / "loops").iterdir()
    }
    small, _ = write_page(library, written.parent.with_name("small"), most=3, workers=0)
    assert len(data_of(small)["names"]) == 3 and "3 of 6 rows" in data_of(small)["title"]


def test_wrong_use_is_told(page, tmp_path):
    (tmp_path / "page").write_text("")
    with pytest.raises(bod_keras.UserError, match="is a file"):
        write_page(page[0], tmp_path / "page")
    with pytest.raises(bod_keras.UserError, match="most must be at least 1"):
        write_page(page[0], tmp_path / "other", most=0)


@contextlib.contextmanager
def served(library):
    with PageServer(library) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def get(server, path, host=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    with contextlib.closing(connection):
        connection.putrequest("GET", path, skip_host=True)
        if host != "":
            connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()


def test_a_server_gives_what_the_written_page_has(page):
    library, written, unread = page
    data = data_of(written)
    with served(library) as server:
        status, _, text = get(server, "/")
        shown = json.loads(re.search(rb'id="data">(.*?)</script>', text)[1])
        assert status == 200 and text.count(b"</script>") == 2 and b"<img src=x" not in text
        assert [shown[key] for key in ("names", "labels", "spans", "title")] == [
            data[key] for key in ("names", "labels", "spans", "title")
        ]
        for row in range(6):
            found = json.loads(get(server, f"/near/{row}")[2])
            for kind in ("appearance", "motion"):
                assert found["near"][kind] == data["near"][kind][row]
                assert found["similarity"][kind] == data["similarity"][kind][row]
        for kind in ("appearance", "motion"):
            assert json.loads(get(server, f"/map/{kind}")[2]) == data["map"][kind]
        loops = [get(server, f"/loops/{name}.webp") for name in shown["loops"]]
        for loop, name in zip(loops[:5], data["loops"]):
            assert loop == (
                200,
                "image/webp",
                (written.parent / "loops" / f"{name}.webp").read_bytes(),
            )
        status, kind, reason = loops[5]  # the video that is gone
        assert (status, kind) == (404, "text/plain; charset=utf-8")
        assert reason.decode() == unread[library.paths[5]]


def test_a_server_gives_nothing_else(page):
    library = page[0]
    with served(library) as server:
        for path in (
            "/../../../etc/passwd",
            "/loops/../../../../etc/passwd",
            "/loops/%2e%2e%2fpage.html",
            f"/loops/{library.paths[0]}",
            library.paths[0],
            "//etc/passwd",
            "/near/6",
            "/near/-1",
            "/map/labels",
            "/loops/",
        ):
            answer = get(server, path)
            assert answer[0] == 404 and answer[2] == b"There is nothing at this address.", path
        # A name that an attacker lets point here (DNS rebinding), another port, no name.
        for host in ("evil.example", f"evil.example:{server.server_port}", "127.0.0.1:1", ""):
            assert get(server, "/", host)[0] == 403
            assert get(server, "/near/0", host)[0] == 403
        assert get(server, "/", f"localhost:{server.server_port}")[0] == 200
        assert server.server_address[0] == "127.0.0.1"
        with pytest.raises(bod_keras.UserError, match="Choose another, or 0 for a free one"):
            PageServer(library, server.server_port)
    with pytest.raises(bod_keras.UserError, match="cannot be served at port 70000"):
        PageServer(library, 70000)


@slow
def test_ctrl_c_ends_the_command_without_an_error(page):
    command = "import sys; from bod_keras.commands.console.main import main; main(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "explore", str(page[0].path), "--serve"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "BOD_KERAS_READER": "1"},
    )
    with process:
        line = process.stdout.readline()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/ shows 6 rows\. Ctrl-C ends it\.\n", line)
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=20)
    assert (process.returncode, *rest) == (0, "", "")


def test_options_of_the_other_kind_are_refused(page, capsys):
    from bod_keras.commands.console.explore import main

    for options, told in (
        (["--serve", "--output=page"], "Leave out --output"),
        (["--port=1"], "Add --serve"),
    ):
        with pytest.raises(SystemExit):
            main([str(page[0].path), *options])
        assert told in capsys.readouterr().err


@pytest.fixture
def browser(monkeypatch, tmp_path):
    webdriver = pytest.importorskip("selenium.webdriver")
    if not (BROWSER and DRIVER):
        pytest.skip("Chromium and its driver are not on this machine")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        "window-size=1000,800",
    ):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def wait_for(condition):
    import time

    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


@slow
@pytest.mark.parametrize("how", ["written", "served"])
def test_in_a_browser(page, browser, how):
    with served(page[0]) if how == "served" else contextlib.nullcontext() as server:
        look_around(page, browser, server)


def look_around(page, browser, server):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    library, written, _ = page
    data = data_of(written)
    browser.get(server.url if server else written.as_uri())

    def tiles(where="#grid"):
        return browser.find_elements(By.CSS_SELECTOR, f"{where} .tile")

    def rows(where):
        return [int(tile.get_attribute("data-row")) for tile in tiles(where)]

    def loaded():
        return browser.execute_script(
            "return [...document.querySelectorAll('#grid img')].every(i => i.complete && i.naturalWidth)"
        )

    assert rows("#grid") == list(range(6))
    wait_for(loaded)
    if server:  # a video that is gone is told where its loop would be
        told = browser.find_element(By.CSS_SELECTOR, '#grid [data-row="5"] .loop')
        wait_for(lambda: told.get_attribute("textContent") == page[2][library.paths[5]])
    # Hostile names are shown as they are, and nothing in them ran.
    assert browser.title == "library"
    shown = [
        tile.find_element(By.CSS_SELECTOR, ".name").get_attribute("textContent") for tile in tiles()
    ]
    assert shown == data["names"] and HOSTILE[0] in shown
    assert not browser.find_elements(By.CSS_SELECTOR, "[onerror], b")
    # A click shows the neighbors by either part; a click on one goes there, Back goes back.
    tiles()[0].click()
    wait_for(lambda: rows("[data-kind=motion]"))
    assert rows("[data-kind=appearance]") == data["near"]["appearance"][0]
    assert rows("[data-kind=motion]") == data["near"]["motion"][0]
    tiles("[data-kind=motion]")[0].click()
    name = data["names"][data["near"]["motion"][0][0]]
    heading = browser.find_element(By.ID, "name")
    wait_for(lambda: heading.get_attribute("textContent") == name)
    browser.back()
    wait_for(lambda: heading.get_attribute("textContent") == data["names"][0])
    # Keys: Escape closes, arrows move, Enter opens.
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    wait_for(lambda: not browser.execute_script("return document.getElementById('one').open"))
    assert browser.switch_to.active_element.get_attribute("data-row") == "0"
    browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    wait_for(lambda: heading.get_attribute("textContent") == data["names"][1])
    browser.find_element(By.ID, "close").click()
    # Filters.
    browser.find_element(By.ID, "text").send_keys("onerror")
    wait_for(lambda: rows("#grid") == [2])
    assert browser.find_element(By.ID, "count").text == "1 of 6 rows"
    browser.find_element(By.ID, "text").clear()
    browser.find_element(By.ID, "text").send_keys(" ")
    browser.find_element(By.CSS_SELECTOR, "#label option:nth-child(3)").click()
    wait_for(lambda: rows("#grid") == [0, 1, 4, 5])
    # The map: a click on a point opens its video.
    browser.find_element(By.CSS_SELECTOR, "#maps summary").click()
    wait_for(lambda: browser.execute_script("return points.length") == 4)
    browser.execute_script(
        "const box = document.getElementById('map').getBoundingClientRect();"
        "document.getElementById('map').dispatchEvent(new MouseEvent('click',"
        "{bubbles: true, clientX: box.left + points[2][0], clientY: box.top + points[2][1]}));"
    )
    wait_for(lambda: heading.get_attribute("textContent") == data["names"][4])
    # On a phone nothing is wider than the screen.
    browser.set_window_size(500, 800)
    wide = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert browser.execute_script(wide)
    messages = [line["message"] for line in browser.get_log("browser")]
    assert [text for text in messages if not (server and "404 (Not Found)" in text)] == []
