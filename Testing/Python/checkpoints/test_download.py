"""A download ends with the published file or with a reason, whatever the server does."""

import dataclasses
import hashlib
import itertools
import shutil

import pytest

import flaky_server as flaky
from flaky_server import FlakyServer
from SAMUNetSlicerLib.checkpoints import download as download_module
from SAMUNetSlicerLib.checkpoints.catalogue import ModelFile
from SAMUNetSlicerLib.checkpoints.download import Patience, download
from SAMUNetSlicerLib.checkpoints.steps import Phase
from SAMUNetSlicerLib.errors import ModelError, OutputError

CONTENT = hashlib.shake_256(b"weights").digest(200_000)
QUICK = Patience(attempts=3, first_wait_s=0.01, connect_s=2, read_s=0.3, chunk_bytes=10_000)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server():
    with FlakyServer(CONTENT) as running:
        yield running


@pytest.fixture
def file(server):
    return ModelFile(
        "model.pth", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), url=f"{server.address}/path/model.pth"
    )


def fetch(file, folder, patience=QUICK):
    return list(download(file, folder, patience))


def assert_arrived(folder):
    assert [path.name for path in folder.iterdir()] == ["model.pth"]
    assert (folder / "model.pth").read_bytes() == CONTENT


def assert_nothing_usable(folder):
    assert not (folder / "model.pth").exists()


def offsets(server):
    return [int(headers.get("Range", "bytes=0-")[6:-1]) for _path, headers in server.requests]


def test_a_good_server(server, file, tmp_path):
    steps = fetch(file, tmp_path / "new" / "folder")
    assert_arrived(tmp_path / "new" / "folder")
    assert [phase for phase, _ in itertools.groupby(steps, lambda step: step.phase)] == [
        Phase.CONNECTING,
        Phase.RECEIVING,
        Phase.VERIFYING,
        Phase.DONE,
    ]
    done = [step.done_bytes for step in steps if step.phase is Phase.RECEIVING]
    assert done == sorted(done)
    assert done[-1] == steps[-1].total_bytes == len(CONTENT)
    assert len(done) >= 10


def test_a_broken_connection_is_resumed_where_it_broke(server, file, tmp_path):
    server.plan = [flaky.break_after(50_000), flaky.break_after(70_000)]
    fetch(file, tmp_path)
    assert_arrived(tmp_path)
    assert offsets(server) == [0, 50_000, 120_000]
    assert server.requests[1][1]["If-Range"] == '"v1"'


def test_many_breaks_are_borne_while_something_arrives(server, file, tmp_path):
    server.plan = [flaky.break_after(15_000) for _ in range(12)]
    fetch(file, tmp_path)
    assert_arrived(tmp_path)


def test_a_server_that_ignores_ranges_sends_all_again(server, file, tmp_path):
    server.plan = [flaky.break_after(50_000), flaky.serve_whole]
    fetch(file, tmp_path)
    assert_arrived(tmp_path)


def test_a_version_that_changed_meanwhile_is_begun_anew(server, file, tmp_path):
    server.content = bytes(len(CONTENT))
    server.plan = [flaky.break_after(50_000)]
    steps = download(file, tmp_path, QUICK)
    for step in steps:
        if step.phase is Phase.WAITING:
            server.content, server.tag = CONTENT, '"v2"'
    assert_arrived(tmp_path)


def test_a_wrong_beginning_is_found_by_the_hash_and_fetched_anew(server, file, tmp_path):
    (tmp_path / "model.pth.part").write_bytes(bytes(60_000))
    fetch(file, tmp_path)
    assert_arrived(tmp_path)
    assert offsets(server) == [60_000, 0]


def test_a_wrong_beginning_of_a_wrong_file_is_fetched_anew_once(server, file, tmp_path):
    (tmp_path / "model.pth.part").write_bytes(bytes(60_000))
    server.content = bytes(len(CONTENT))
    with pytest.raises(ModelError, match="not the published"):
        fetch(file, tmp_path)
    assert offsets(server) == [60_000, 0]
    assert list(tmp_path.iterdir()) == []


def test_a_weak_tag_does_not_say_that_a_version_is_the_same(server, file, tmp_path):
    server.tag = 'W/"v1"'
    server.plan = [flaky.break_after(50_000)]
    fetch(file, tmp_path)
    assert_arrived(tmp_path)
    assert "If-Range" not in server.requests[1][1]


def test_nothing_is_left_of_a_download_of_which_nothing_came(server, file, tmp_path):
    server.plan = [flaky.break_after(0)] * QUICK.attempts
    with pytest.raises(ModelError, match="try again"):
        fetch(file, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_busy_server_is_asked_again(server, file, tmp_path, status):
    server.plan = [flaky.fail_with(status), flaky.fail_with(status, Retry_After="0")]
    steps = fetch(file, tmp_path)
    assert_arrived(tmp_path)
    assert Phase.WAITING in {step.phase for step in steps}


def test_a_server_that_stays_busy_is_given_up_with_the_reason(server, file, tmp_path):
    server.plan = [flaky.fail_with(503)] * 10
    with pytest.raises(ModelError, match=r"busy \(503\).*try again"):
        fetch(file, tmp_path)
    assert len(server.requests) == QUICK.attempts
    assert_nothing_usable(tmp_path)


def test_waits_grow(monkeypatch, server, file, tmp_path):
    waits = []
    monkeypatch.setattr(download_module, "_wait", lambda seconds, *_: waits.append(seconds) or iter(()))
    server.plan = [
        flaky.fail_with(503),
        flaky.fail_with(503, Retry_After="7"),
        flaky.fail_with(503),
        flaky.fail_with(503),
    ]
    fetch(file, tmp_path, Patience(attempts=5, first_wait_s=1))
    assert waits == [1, 7, 4, 8]


def test_a_server_that_asks_for_hours_is_waited_for_a_minute(monkeypatch, server, file, tmp_path):
    waits = []
    monkeypatch.setattr(download_module, "_wait", lambda seconds, *_: waits.append(seconds) or iter(()))
    server.plan = [flaky.fail_with(503, Retry_After="7200")]
    fetch(file, tmp_path)
    assert waits == [60]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final(server, file, tmp_path, status):
    server.plan = [flaky.fail_with(status)]
    with pytest.raises(ModelError, match=str(status)):
        fetch(file, tmp_path)
    assert len(server.requests) == 1


def test_another_file_of_the_same_length_is_refused_and_deleted(server, file, tmp_path):
    server.content = bytes(len(CONTENT))
    with pytest.raises(ModelError, match="not the published"):
        fetch(file, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_length_is_refused_before_it_is_read(server, file, tmp_path):
    server.plan = [flaky.serve_other(b"<html>Sign in</html>")]
    with pytest.raises(ModelError, match="20 bytes instead of 200,000"):
        fetch(file, tmp_path)
    assert_nothing_usable(tmp_path)


@pytest.mark.parametrize("extra", [1, 500_000])
def test_more_than_promised_is_cut_off(server, file, tmp_path, extra):
    server.plan = [flaky.serve_other(CONTENT + bytes(extra), length=-1)]
    with pytest.raises(ModelError, match="more than"):
        fetch(file, tmp_path)
    assert_nothing_usable(tmp_path)


def test_less_than_promised_without_a_length_is_asked_for_again(server, file, tmp_path):
    server.plan = [flaky.serve_other(CONTENT[:90_000], length=-1)]
    fetch(file, tmp_path)
    assert_arrived(tmp_path)
    assert offsets(server) == [0, 90_000]


def test_no_length_at_all_is_borne(server, file, tmp_path):
    server.plan = [flaky.serve_without_length]
    fetch(file, tmp_path)
    assert_arrived(tmp_path)


def test_a_server_that_sends_another_part_is_not_believed(server, file, tmp_path):
    server.plan = [
        flaky.break_after(50_000),
        flaky.serve_other(CONTENT[:150_000], 206, Content_Range="bytes 0-149999/200000"),
    ]
    fetch(file, tmp_path)
    assert_arrived(tmp_path)
    assert offsets(server) == [0, 50_000, 0]


def test_a_part_beyond_the_end_is_begun_anew(server, file, tmp_path):
    unsized = ModelFile(file.name, None, file.sha256, url=file.url)
    (tmp_path / "model.pth.part").write_bytes(bytes(300_000))
    server.plan = [flaky.fail_with(416)]
    fetch(unsized, tmp_path)
    assert_arrived(tmp_path)


def test_a_part_that_was_whole_is_kept_where_no_size_is_published(server, file, tmp_path):
    (tmp_path / "model.pth.part").write_bytes(CONTENT)
    server.plan = [flaky.fail_with(416)]
    fetch(ModelFile(file.name, None, file.sha256, url=file.url), tmp_path)
    assert_arrived(tmp_path)
    assert offsets(server) == [len(CONTENT)]


def test_redirects_are_followed(server, file, tmp_path):
    server.plan = [flaky.redirect_to("/elsewhere"), flaky.redirect_to(f"{server.address}/at/last")]
    fetch(file, tmp_path)
    assert_arrived(tmp_path)
    assert [path for path, _headers in server.requests] == ["/path/model.pth", "/elsewhere", "/at/last"]


def test_a_circle_of_redirects_ends(server, file, tmp_path):
    server.plan = [flaky.redirect_to("/path/model.pth")] * 100
    with pytest.raises(ModelError, match="redirects"):
        fetch(file, tmp_path)


def test_a_protected_address_may_not_lead_to_an_open_one(server, file, tmp_path, monkeypatch):
    protected = ModelFile(file.name, file.size, file.sha256, url="https://models.invalid/model.pth")
    session_get = download_module.requests.Session.get
    monkeypatch.setattr(
        download_module.requests.Session, "get", lambda self, _url, **options: session_get(self, file.url, **options)
    )
    with pytest.raises(ModelError, match="https"):
        fetch(protected, tmp_path)


def test_a_server_that_stalls_is_left_and_asked_again(server, file, tmp_path):
    server.plan = [flaky.stall(1.0)]
    fetch(file, tmp_path)
    assert_arrived(tmp_path)
    assert len(server.requests) == 2


def test_silence_is_borne_in_short_steps(server, file, tmp_path):
    """A window that takes the steps one by one lives on while the server says nothing, and Cancel takes at once."""
    server.plan = [flaky.stall_after(120_000, 30)]
    patience = dataclasses.replace(QUICK, read_s=60.0, chunk_bytes=50_000, step_s=0.01)
    steps = download(file, tmp_path, patience)
    silent = 0
    before = None
    for step in steps:
        silent = silent + 1 if step == before else 0
        before = step
        if silent == 5:
            break
    steps.close()
    assert before.done_bytes <= 120_000
    assert_nothing_usable(tmp_path)


def test_nobody_at_the_address_is_said_so(tmp_path):
    with FlakyServer(b"") as gone:
        url = f"{gone.address}/model.pth"
    with pytest.raises(ModelError, match=r"connection failed.*proxy"):
        fetch(ModelFile("model.pth", 10, "0" * 64, url=url), tmp_path)


def test_the_proxy_of_the_environment_is_used(server, file, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", server.address)
    fetch(ModelFile(file.name, file.size, file.sha256, url="http://models.invalid/model.pth"), tmp_path)
    assert_arrived(tmp_path)
    assert server.requests[0][0] == "http://models.invalid/model.pth"


def test_closing_cancels_and_the_next_time_continues(server, file, tmp_path):
    steps = download(file, tmp_path, QUICK)
    for step in steps:
        if step.done_bytes >= 60_000:
            break
    steps.close()
    assert_nothing_usable(tmp_path)
    kept = (tmp_path / "model.pth.part").stat().st_size
    assert kept >= 60_000
    fetch(file, tmp_path)
    assert_arrived(tmp_path)
    assert offsets(server) == [0, kept]


def test_a_second_download_of_the_same_file_leaves_the_first_alone(server, file, tmp_path):
    steps = download(file, tmp_path, QUICK)
    next(steps)  # nothing has arrived yet
    with pytest.raises(ModelError, match="Another program is downloading"):
        fetch(file, tmp_path)
    next(steps)
    with pytest.raises(ModelError, match="Another program is downloading"):
        fetch(file, tmp_path)
    assert list(steps)[-1].phase is Phase.DONE
    assert_arrived(tmp_path)


def test_a_part_that_was_whole_is_verified_without_asking(server, file, tmp_path):
    (tmp_path / "model.pth.part").write_bytes(CONTENT)
    fetch(file, tmp_path)
    assert_arrived(tmp_path)
    assert server.requests == []


def test_too_little_room_is_said_before_anything_is_received(server, file, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(download_module.shutil, "disk_usage", lambda _folder: usage._replace(free=1000))
    with pytest.raises(OutputError, match="left"):
        fetch(file, tmp_path)
    assert_nothing_usable(tmp_path)


@pytest.mark.parametrize(("free", "fits"), [(64 * 2**20 + 140_000, True), (64 * 2**20 + 139_999, False)])
def test_room_is_needed_for_what_is_missing_and_some_to_spare(server, file, tmp_path, monkeypatch, free, fits):
    (tmp_path / "model.pth.part").write_bytes(CONTENT[:60_000])
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(download_module.shutil, "disk_usage", lambda _folder: usage._replace(free=free))
    if fits:
        fetch(file, tmp_path)
        assert_arrived(tmp_path)
    else:
        with pytest.raises(OutputError, match="left"):
            fetch(file, tmp_path)


def test_a_folder_that_cannot_be_made_is_said_so(file, tmp_path):
    (tmp_path / "occupied").write_text("")
    with pytest.raises(OutputError, match="cannot be stored"):
        fetch(file, tmp_path / "occupied" / "models")


def test_an_md5_serves_where_no_sha256_is_published(server, file, tmp_path):
    digest = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    fetch(ModelFile(file.name, None, None, md5=digest, url=file.url), tmp_path)
    assert_arrived(tmp_path)
    with pytest.raises(ModelError, match="not the published"):
        fetch(ModelFile("other.pth", None, None, md5="0" * 32, url=file.url), tmp_path)


@pytest.mark.parametrize(
    "file", [ModelFile("a.pth", 1, "0" * 64), ModelFile("a.pth", 1, None, url="https://x.invalid")]
)
def test_without_address_or_hash_nothing_is_downloaded(file, tmp_path):
    with pytest.raises(ModelError, match="Install it from a file"):
        fetch(file, tmp_path)
