"""Files that commands write: what is replaced, what is followed, what is written straight."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from backspike.ir.errors import UserError
from backspike.system.files import as_path, check_file, check_folder, check_name, write_file

WRITE = """
import sys
from backspike.system.files import write_json
print("before")
write_json(sys.argv[1], "json\\n")
print("after")
"""


def test_makes_folders_and_ordinary_permissions(tmp_path):
    """A new file has the permissions of any other new file."""
    path = tmp_path / "a" / "b" / "file"
    write_file(path, b"content")
    assert path.read_bytes() == b"content"
    (tmp_path / "ordinary").write_bytes(b"")
    assert path.stat().st_mode == stat.S_IFREG | (tmp_path / "ordinary").stat().st_mode & 0o777


def test_a_regular_file_is_replaced_and_keeps_its_permissions(tmp_path):
    """The old content stays whole for whoever has it open."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with path.open("rb") as reader:
        write_file(path, b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_name_as_long_as_names_may_be(tmp_path):
    """The file written aside has a short name."""
    path = tmp_path / ("x" * 255)
    write_file(path, b"content")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed(tmp_path, there):
    """Whether the file that it leads to exists or not."""
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    target.parent.mkdir()
    if there:
        target.write_bytes(b"old")
    link.symlink_to(Path("folder") / "target")
    check_file("--json", str(link))
    write_file(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_link_that_leads_to_itself_is_refused_and_stays(tmp_path):
    """Before any work, and when it is written."""
    link = tmp_path / "loop"
    link.symlink_to(link)
    with pytest.raises(UserError, match="loop', no name of a file: Too many levels of symbolic"):
        check_file("--save", str(link))
    with pytest.raises(UserError, match="loop cannot be written: Too many levels of symbolic"):
        write_file(link, b"x")
    assert link.is_symlink()
    with pytest.raises(UserError, match="loop', no name of a folder: Too many levels"):
        check_folder("--plots", str(link))


@pytest.mark.parametrize("check", [check_file, check_folder])
@pytest.mark.parametrize(
    ("name", "why"),
    [("a" * 300, "File name too long"), ("a\0b", "embedded null"), ("/proc/x", "/proc cannot be")],
)
def test_what_is_no_name_is_said_before_any_work(tmp_path, monkeypatch, check, name, why):
    """Too long a name, a 0 byte, a folder of the system's that takes no files."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=why):
        check("--json", name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("device", ["/dev/null", "/dev/full"])
def test_a_device_is_written_straight(tmp_path, device):
    """Through a link, so that a mistake replaces the link and not the machine's device."""
    link = tmp_path / "link"
    link.symlink_to(device)
    check_file("--json", str(link))
    if device == "/dev/full":
        with pytest.raises(UserError, match=r"link cannot be written: No space left on device$"):
            write_file(link, b"x")
    else:
        write_file(link, b"x")
    assert link.is_symlink()
    assert stat.S_ISCHR(os.stat(device).st_mode)


def test_a_named_pipe_is_written_straight(tmp_path):
    """A reader gets the content, and the pipe is still there."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_file("--json", str(pipe))
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_file(pipe, b"content")
    reader.join(10)
    assert got == [b"content"]
    assert pipe.is_fifo()


def test_the_shells_own_pipe(tmp_path):
    """`>(...)` is a pipe under /dev/fd."""
    code = (
        "from backspike.system.files import write_file; import sys; write_file(sys.argv[1], b'x')"
    )
    script = f'"{sys.executable}" -c "{code}" >(cat > {tmp_path}/got) && sleep 0.5'
    subprocess.run(["bash", "-c", script], check=True)
    assert (tmp_path / "got").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "link"])
@pytest.mark.parametrize("piped", [True, False])
def test_standard_output_under_any_name(tmp_path, name, piped):
    """What is printed before and after stays, in order, in a pipe as in a file."""
    (tmp_path / "link").symlink_to("/dev/stdout")
    command = [sys.executable, "-c", WRITE, name]
    with (tmp_path / "out").open("wb") as out:
        done = subprocess.run(
            command, stdout=subprocess.PIPE if piped else out, check=True, cwd=tmp_path
        )
    got = done.stdout if piped else (tmp_path / "out").read_bytes()
    assert got == b"before\njson\nafter\n"
    assert (tmp_path / "link").is_symlink()


def test_a_failed_write_leaves_the_old_file_and_names_it(tmp_path, monkeypatch):
    """The sentence names the file that was asked for, not the one written aside."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fails(*_):
        raise OSError(28, "No space left on device", str(tmp_path / ".backspike-x"))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(UserError, match=f"^{path} cannot be written: No space left on device$"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_said_before_any_work(tmp_path):
    """Each in our own sentence."""
    (tmp_path / "file").write_text("")
    for path, message in (
        ("", "--json is '', must be the name of a file"),
        (str(tmp_path), f"--json is {tmp_path}, a folder, must be a file"),
        (str(tmp_path / "file" / "x"), f"but {tmp_path / 'file'} is no folder"),
    ):
        with pytest.raises(UserError, match=message):
            check_file("--json", path)
    with pytest.raises(UserError, match="--plots is '', must be the name of a folder"):
        check_folder("--plots", "")
    check_file("--json", None)
    check_file("--json", str(tmp_path / "not" / "yet"))
    assert json.dumps([p.name for p in tmp_path.iterdir()]) == '["file"]'


def test_paths_of_any_kind():
    """Strings and paths are, nothing else is."""
    assert as_path("data", "a") == as_path("data", Path("a")) == Path("a")
    for wrong in (None, 3, b"a", [Path("a")]):
        with pytest.raises(UserError, match=r"^data is .*, must be a path: a string or a pathlib"):
            as_path("data", wrong)


def test_names_that_no_file_can_have():
    """Null characters and lone surrogates, but not those that stand for undecodable bytes."""
    for name in ("", "no such folder/ä ", "\udcff"):
        check_name("data", name)
    for name in ("a\0b", "\ud800"):
        with pytest.raises(UserError, match=r"data is .*, must be a name that a file can have"):
            check_name("data", name)
    with pytest.raises(UserError, match=r"data is .*, must be a name that a file can have"):
        as_path("data", "a\0b")
