"""Programs that keep two places alike: mbsync, offlineimap, interimap."""

import os
import pathlib
import re
import tempfile

from kit import check, check_alone, message, ok, put, run, seen_by_server


@check
def mbsync_two_way(murder):
    user, count = murder.user(9), 1000
    with tempfile.TemporaryDirectory() as folder:
        maildir = pathlib.Path(folder, "mail", "Big")
        for part in ("cur", "new", "tmp"):
            (maildir / part).mkdir(parents=True)
        for number in range(count):
            text = f"Subject: local {number}\r\nMessage-ID: <l{number}@example.org>\r\n\r\n{'x' * 200}\r\n"
            (maildir / "cur" / f"{number}.l:2,S").write_text(text.replace("\r\n", "\n"))
        with murder.imap(0, user) as client:
            ok(client.create("Big"))
            for number in range(count):
                text = f"Subject: remote {number}\r\nMessage-ID: <r{number}@example.org>\r\n\r\n{'y' * 200}\r\n"
                ok(client.append("Big", None, None, text.encode()))
        host, port = murder.address("frontends", 0, "imaps")
        rc = pathlib.Path(folder, "mbsyncrc")
        rc.write_text(f"""
IMAPAccount murder
Host localhost
Port {port}
User {user}
Pass {murder.password}
SSLType IMAPS
CertificateFile {murder.ca}
AuthMechs LOGIN

IMAPStore far
Account murder

MaildirStore near
Path {folder}/mail/
Inbox {folder}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns Big
Create Both
Expunge Both
SyncState *
""")

        def local():
            return [f for part in ("cur", "new") for f in (maildir / part).iterdir()]

        def remote():
            with murder.imap(1, user) as client:
                ok(client.select("Big", readonly=True))
                found = {"all": len(ok(client.search(None, "ALL"))[0].split())}
                for flag in ("FLAGGED", "SEEN"):
                    found[flag] = len(ok(client.search(None, flag))[0].split())
                return found

        run("mbsync", "-c", str(rc), "all")
        assert len(local()) == 2 * count, len(local())
        assert remote() == {"all": 2 * count, "FLAGGED": 0, "SEEN": count}, remote()
        # Both sides change: flags there, a deletion here.
        with murder.imap(0, user) as client:
            ok(client.select("Big"))
            ok(client.store("1:10", "+FLAGS", r"(\Flagged)"))
        victim = next(f for f in local() if f.read_text().startswith("Subject: local 5\n"))
        victim.unlink()
        run("mbsync", "-c", str(rc), "all")
        assert remote() == {"all": 2 * count - 1, "FLAGGED": 10, "SEEN": count - 1}, remote()
        flagged = [f for f in local() if "F" in f.name.rsplit(",", 1)[-1]]
        assert len(flagged) == 10 and len(local()) == 2 * count - 1, (len(flagged), len(local()))
        before = sorted(f.name for f in local())
        run("mbsync", "-c", str(rc), "all")
        assert sorted(f.name for f in local()) == before




@check_alone
def offlineimap_two_way(alone):
    user = alone.user(1)
    with alone.imap(user) as client:
        ok(client.create("Work"))
        ok(client.create("Entw&APw-rfe"))
        put(client, "Work", "one", r"(\Seen \Flagged)")
        put(client, "Work", "two", r"(\Answered)")
        put(client, "Entw&APw-rfe", "three")
    with tempfile.TemporaryDirectory() as folder:
        local, rc = pathlib.Path(folder, "mail"), pathlib.Path(folder, "rc")
        rc.write_text(f"""
[general]
accounts = all
metadata = {folder}/state
[Account all]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {local}
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = {alone.imap_port}
remoteuser = {user}
remotepass = {alone.PASSWORD}
ssl = no
starttls = no
""")

        def files(mailbox):
            """The file of each message by its subject."""
            found = [f for part in ("cur", "new") for f in (local / mailbox / part).iterdir()]
            return {re.search(r"^Subject: (\S+)", f.read_text(), re.M)[1]: f for f in found}

        def flags(file):
            return file.name.rsplit(",", 1)[-1] if ":2," in file.name else ""

        def sync():
            run("offlineimap", "-o", "-c", str(rc), "-u", "quiet")

        sync()
        here = files("Work")
        assert {subject: flags(file) for subject, file in here.items()} == {"one": "FS", "two": "R"}, here
        assert "Hello of two" in here["two"].read_text()
        assert list(files("Entw&APw-rfe")) == ["three"]
        # Here a new folder with a message, a flag and a deletion; there another flag.
        for part in ("cur", "new", "tmp"):
            (local / "Mine" / part).mkdir(parents=True)
        text = message("four").decode().replace("\r\n", "\n")
        (local / "Mine" / "cur" / "1.here:2,S").write_text(text)
        here["one"].unlink()
        here["two"].rename(here["two"].with_name(here["two"].name.replace(":2,R", ":2,RS")))
        with alone.imap(user) as client:
            ok(client.select("Work"))
            ok(client.store("2", "+FLAGS", r"(\Flagged)"))
        sync()
        with alone.imap(user) as client:
            assert seen_by_server(client, "Mine") == {"four": [r"\Seen"]}
            assert seen_by_server(client, "Work") == {"two": [r"\Answered", r"\Flagged", r"\Seen"]}
        here = files("Work")
        assert {subject: flags(file) for subject, file in here.items()} == {"two": "FRS"}, here


@check_alone
def interimap_two_way(alone):
    """With QRESYNC and COMPRESS; both sides are ours."""
    near, far = alone.user(2), alone.user(3)
    with alone.imap(far) as client:
        ok(client.create("Work/Entw&APw-rfe"))
        put(client, "INBOX", "one", r"(\Seen $Label1)")
        put(client, "INBOX", "two")
        put(client, "Work/Entw&APw-rfe", "three")
        for mailbox in ("INBOX", "Work/Entw&APw-rfe"):
            ok(client.subscribe(f'"{mailbox}"'))
    with alone.imap(near) as client:
        put(client, "INBOX", "four", r"(\Flagged)")
    with tempfile.TemporaryDirectory() as folder:
        rc = pathlib.Path(folder, "rc")
        account = f"""
type = imap
host = 127.0.0.1
port = {alone.imap_port}
password = {alone.PASSWORD}
STARTTLS = NO
compress = YES
"""
        rc.write_text(
            f"database = {folder}/db\n"
            f"[local]\n{account}username = {near}\n[remote]\n{account}username = {far}\n"
        )
        rc.chmod(0o600)

        def sync():
            run("interimap", "--config", str(rc), "--quiet")

        def both(mailbox):
            with alone.imap(near) as one, alone.imap(far) as other:
                here, there = seen_by_server(one, mailbox), seen_by_server(other, mailbox)
            assert here == there, (here, there)
            return here

        sync()
        assert both("INBOX") == {"one": ["$Label1", r"\Seen"], "two": [], "four": [r"\Flagged"]}
        assert both('"Work/Entw&APw-rfe"') == {"three": []}
        with alone.imap(near) as client:
            ok(client.select("INBOX"))
            ok(client.store(ok(client.search(None, "SUBJECT", "two"))[0], "+FLAGS", r"(\Answered)"))
            put(client, "INBOX", "five")
        with alone.imap(far) as client:
            ok(client.select("INBOX"))
            ok(client.store(ok(client.search(None, "SUBJECT", "one"))[0], "+FLAGS", r"(\Deleted)"))
            ok(client.store(ok(client.search(None, "SUBJECT", "four"))[0], "-FLAGS", r"(\Flagged)"))
            ok(client.expunge())
        sync()
        assert both("INBOX") == {"two": [r"\Answered"], "four": [], "five": []}
