"""Programs that fetch mail to another place: fetchmail, getmail."""

import mailbox
import os
import pathlib
import shutil
import tempfile

from kit import check_alone, put, run, seen_by_server


def filled(alone, user):
    with alone.imap(user) as client:
        put(client, "INBOX", "one", r"(\Flagged)")
        put(client, "INBOX", "two", r"(\Seen)")


def left(alone, user):
    with alone.imap(user) as client:
        return seen_by_server(client, "INBOX")


def fetchmail(alone, user, folder, protocol, how):
    """Runs it; returns the subjects that it has delivered."""
    uidl = "uidl" if protocol == "pop3" else ""
    port = {"imap": alone.imap_port, "pop3": alone.pop3_port}[protocol]
    rc, out = pathlib.Path(folder, "rc"), pathlib.Path(folder, "out")
    out.write_bytes(b"")
    rc.write_text(f"""
poll 127.0.0.1 protocol {protocol} port {port} auth password {uidl}
  user "{user}" password "{alone.PASSWORD}" sslproto "" {how}
  no rewrite mda "/bin/sh -c 'echo From x; cat; echo' >> {out}"
""")
    rc.chmod(0o600)
    command = ["fetchmail", "-f", str(rc), "--nosyslog", "--pidfile", f"{folder}/pid", "-i", f"{folder}/ids"]
    # 1: no new mail.
    run(*command, status=(0, 1))
    messages = list(mailbox.mbox(out))
    for found in messages:
        assert f"Hello of {found['subject']}" in found.get_payload(), found
    return [found["subject"] for found in messages]


@check_alone
def fetchmail_by_imap(alone):
    user = alone.user(5)
    filled(alone, user)
    with tempfile.TemporaryDirectory() as folder:
        # What is unread, and it is read then.
        assert fetchmail(alone, user, folder, "imap", "keep") == ["one"]
        assert left(alone, user) == {"one": [r"\Flagged", r"\Seen"], "two": [r"\Seen"]}
        assert fetchmail(alone, user, folder, "imap", "keep") == []
        assert fetchmail(alone, user, folder, "imap", "fetchall nokeep") == ["one", "two"]
        assert left(alone, user) == {}


@check_alone
def fetchmail_by_pop3(alone):
    user = alone.user(6)
    filled(alone, user)
    with tempfile.TemporaryDirectory() as folder:
        assert fetchmail(alone, user, folder, "pop3", "keep") == ["one", "two"]
        assert left(alone, user) == {"one": [r"\Flagged"], "two": [r"\Seen"]}
        # It knows them by their unique-ids.
        with alone.imap(user) as client:
            put(client, "INBOX", "three")
        assert fetchmail(alone, user, folder, "pop3", "keep") == ["three"]
        assert fetchmail(alone, user, folder, "pop3", "fetchall nokeep") == ["one", "two", "three"]
        assert left(alone, user) == {}


def getmail(alone, user, folder, protocol, delete):
    """Runs it; returns the subjects of all that it has delivered so far."""
    port = {"IMAP": alone.imap_port, "POP3": alone.pop3_port}[protocol]
    rc = pathlib.Path(folder, "getmailrc")
    # It delivers no mail as root.
    as_root = os.geteuid() == 0
    rc.write_text(f"""
[retriever]
type = Simple{protocol}Retriever
server = 127.0.0.1
port = {port}
username = {user}
password = {alone.PASSWORD}
[destination]
type = Maildir
path = {folder}/mail/
{"user = nobody" if as_root else ""}
[options]
read_all = false
delete = {delete}
delivered_to = false
received = false
""")
    for part in ("", "cur", "new", "tmp"):
        maildir = pathlib.Path(folder, "mail", part)
        maildir.mkdir(exist_ok=True)
        if as_root:
            shutil.chown(maildir, "nobody")
    pathlib.Path(folder).chmod(0o755)
    run("getmail", "--getmaildir", folder, "--rcfile", str(rc), "--quiet")
    messages = list(mailbox.Maildir(f"{folder}/mail"))
    for found in messages:
        assert f"Hello of {found['subject']}" in found.get_payload(), found
    return sorted(found["subject"] for found in messages)


def getmail_by(alone, user, protocol):
    filled(alone, user)
    with tempfile.TemporaryDirectory() as folder:
        assert getmail(alone, user, folder, protocol, "false") == ["one", "two"]
        kept = left(alone, user)
        assert set(kept) == {"one", "two"} and r"\Flagged" in kept["one"], kept
        with alone.imap(user) as client:
            put(client, "INBOX", "three")
        # The others are known.
        assert getmail(alone, user, folder, protocol, "true") == ["one", "three", "two"]
        return left(alone, user)


@check_alone
def getmail_by_pop3(alone):
    getmail_by(alone, alone.user(7), "POP3")


@check_alone
def getmail_by_imap(alone):
    getmail_by(alone, alone.user(8), "IMAP")
