"""Programs that people read their mail with: neomutt."""

import mailbox
import os
import pathlib
import pty
import select
import tempfile
import time

from kit import check_alone, ok, put, seen_by_server


def in_a_terminal(*command, seconds=60):
    """Runs a program in a terminal of its own until it ends; returns what it has shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="vt100", LC_ALL="C.UTF-8")
        os.execvp(command[0], command)
    shown, end = b"", time.monotonic() + seconds
    try:
        while select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
            try:
                part = os.read(terminal, 65536)
            except OSError:  # EIO: it has ended
                part = b""
            if not part:
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                assert status == 0, (status, shown)
                return shown
            shown += part
    finally:
        os.close(terminal)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    raise AssertionError(f"{command[0]} does not end: {shown[-2000:]}")


@check_alone
def neomutt_reads_files_and_deletes(alone):
    user = alone.user(4)
    with alone.imap(user) as client:
        ok(client.create("Work"))
        for subject in ("one", "two", "three", "four"):
            put(client, "INBOX", subject)
    with tempfile.TemporaryDirectory() as folder:
        rc = pathlib.Path(folder, "rc")
        rc.write_text(f"""
set imap_user="{user}" imap_pass="{alone.PASSWORD}" imap_authenticators="login"
set folder="imap://127.0.0.1:{alone.imap_port}/" spoolfile="+INBOX"
set ssl_starttls=no ssl_force_tls=no
set quit=yes delete=yes move=no confirmappend=no confirmcreate=no auto_tag=no wait_key=no resolve=no
set sort=mailbox-order mbox_type=mbox header_cache="" sleep_time=0
""")
        keys = (
            "<first-entry><display-message><exit><flag-message>"
            f"<copy-message>{folder}/copy<enter>"
            "2<enter><save-message>=Work<enter>"
            "3<enter><delete-message>"
            "<sync-mailbox><quit>"
        )
        shown = in_a_terminal("neomutt", "-n", "-F", str(rc), "-e", f"push '{keys}'")
        copied = list(mailbox.mbox(f"{folder}/copy"))
        assert [m["subject"] for m in copied] == ["one"], (copied, shown)
        assert "Hello of one" in copied[0].get_payload()
    with alone.imap(user) as client:
        inbox = seen_by_server(client, "INBOX")
        assert set(inbox) == {"one", "four"}, (inbox, shown)
        assert {r"\Flagged", r"\Seen"} <= set(inbox["one"]) and r"\Seen" not in inbox["four"], inbox
        assert list(seen_by_server(client, "Work")) == ["two"]
