#!/usr/bin/env python3
"""Uses a local murder with real clients: curl, imaplib, poplib, smtplib, mbsync, openssl.

    tests/clients/check.py [target/debug/murder]

Starts `murder up` in a temporary directory, or takes a running one with --topology FILE.
Prints one line a check and a closing line `N passed, M failed`; the exit code tells.
"""

import argparse
import collections
import imaplib
import json
import os
import pathlib
import poplib
import re
import shutil
import smtplib
import ssl
import subprocess
import sys
import tempfile
import traceback

imaplib._MAXLINE = 10_000_000
poplib._MAXLINE = 10_000_000
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


class Murder:
    def __init__(self, topology):
        self.topology = topology
        self.password = topology["users"]["password"]
        self.ca = topology["ca"]

    def address(self, role, number, service):
        host, port = self.topology[role][number][service].rsplit(":", 1)
        return host, int(port)

    def user(self, number):
        return self.topology["users"]["pattern"].replace("{}", str(number))

    def imap(self, frontend, user, password=None):
        client = imaplib.IMAP4(*self.address("frontends", frontend, "imap"), timeout=60)
        client.login(user, password or self.password)
        return client

    def admin(self):
        admin = self.topology["admin"]
        return self.imap(0, admin["user"], admin["password"])

    def pop3(self, backend, user):
        client = poplib.POP3(*self.address("backends", backend, "pop3"), timeout=60)
        client.user(user)
        client.pass_(self.password)
        return client

    def lmtp(self, frontend):
        return smtplib.LMTP(*self.address("frontends", frontend, "lmtp"), timeout=60)


def ok(answer):
    status, data = answer
    assert status == "OK", (status, data)
    return data


def bodies(client, which="1:*"):
    """Every message's bytes by UID."""
    found = {}
    for part in ok(client.uid("FETCH", which, "(UID BODY.PEEK[])")):
        if isinstance(part, tuple):
            found[int(re.search(rb"UID (\d+)", part[0]).group(1))] = part[1]
    return found


def email_test_data():
    folders = [pathlib.Path("/usr/lib/python3.11/test/test_email/data")]
    try:
        import test.test_email as package
        folders.insert(0, pathlib.Path(package.__file__).parent / "data")
    except ImportError:
        pass
    for folder in folders:
        files = sorted(folder.glob("msg_*.txt"))
        if files:
            return {file.name: file.read_bytes() for file in files}
    raise AssertionError("Python's email test data is not installed (libpython3.11-testsuite)")


def run(*command, stdin=""):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@check
def imaplib_session(murder):
    one, two = murder.user(1), murder.user(2)
    with murder.imap(0, one) as client:
        ok(client.create("Work"))
        ok(client.create("Work/Entw&APw-rfe"))
        message = b"Subject: hello\r\nFrom: a@example.org\r\n\r\nbody\r\n"
        for flags in (r"(\Seen)", r"(\Flagged $Label1)"):
            ok(client.append("Work", flags, None, message))
    with murder.imap(1, one) as client:
        assert ok(client.select("Work")) == [b"2"]
        assert ok(client.search(None, "FLAGGED", "KEYWORD", "$Label1")) == [b"2"]
        assert ok(client.uid("SEARCH", "SUBJECT", "hello")) == [b"1 2"]
        assert set(bodies(client).values()) == {message}
        ok(client.copy("1:2", '"Work/Entw&APw-rfe"'))
        ok(client.store("1", "+FLAGS", r"(\Deleted)"))
        assert ok(client.expunge()) == [b"1"]
        names = b" ".join(ok(client.list()))
        assert b'"/" Work/Entw&APw-rfe' in names or b'"Work/Entw&APw-rfe"' in names, names
        assert ok(client.status('"Work/Entw&APw-rfe"', "(MESSAGES)"))[0].endswith(b"(MESSAGES 2)")
        ok(client.setacl("Work", two, "lrs"))
    with murder.imap(0, two) as client:
        shared = f'"Other Users/{one}/Work"'
        assert shared.strip('"').encode() in b" ".join(ok(client.list()))
        assert ok(client.select(shared, readonly=True)) == [b"1"]
        assert list(bodies(client).values()) == [message]
        ok(client.select("INBOX"))


@check
def imaplib_wrong_password(murder):
    try:
        murder.imap(0, murder.user(1), "wrong")
    except imaplib.IMAP4.error as error:
        assert "AUTHENTICATIONFAILED" in str(error), error
    else:
        raise AssertionError("a wrong password was accepted")


@check
def lmtp_email_test_data_byte_for_byte(murder):
    user = murder.user(3)
    wanted = collections.Counter()
    with murder.lmtp(0) as lmtp:
        for raw in email_test_data().values():
            # SMTP has no other line end than CRLF, and DATA always ends in one.
            message = re.sub(rb"\r\n|\r|\n", b"\r\n", raw)
            message += b"" if message.endswith(b"\r\n") else b"\r\n"
            assert lmtp.sendmail("sender@example.org", [user], message) == {}
            wanted[message] += 1
    with murder.imap(1, user) as client:
        ok(client.select("INBOX", readonly=True))
        assert collections.Counter(bodies(client).values()) == wanted


@check
def append_email_test_data_byte_for_byte(murder):
    user = murder.user(4)
    wanted = collections.Counter(email_test_data().values())
    with murder.imap(0, user) as client:
        imaplib.MapCRLF = re.compile(rb"\r\n")  # imaplib would rewrite bare LFs
        for message in wanted.elements():
            ok(client.append("INBOX", None, None, message))
    with murder.imap(1, user) as client:
        ok(client.select("INBOX", readonly=True))
        assert collections.Counter(bodies(client).values()) == wanted


@check
def lmtp_to_both_backends_and_an_unknown(murder):
    one, two = murder.user(5), murder.user(6)
    with murder.lmtp(1) as lmtp:
        # By hand: sendmail() reads one reply after the message, LMTP has one for each recipient.
        lmtp.ehlo()
        assert lmtp.mail("s@example.org")[0] == 250
        assert [lmtp.rcpt(user)[0] for user in (one, "nobody-here", two)] == [250, 550, 250]
        assert lmtp.data(b"Subject: both\r\n\r\nx\r\n")[0] == 250
        assert lmtp.getreply()[0] == 250
    for user in (one, two):
        with murder.imap(0, user) as client:
            ok(client.select("INBOX"))
            assert ok(client.search(None, "SUBJECT", "both")) == [b"1"]


@check
def curl_imap_and_imaps(murder):
    user = f"{murder.user(7)}:{murder.password}"
    plain = "imap://%s:%d" % murder.address("frontends", 0, "imap")
    tls = "imaps://%s:%d" % murder.address("frontends", 1, "imaps")
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"Subject: from curl\r\n\r\nhello\r\n")
        file.flush()
        run("curl", "-sS", "-u", user, "-T", file.name, f"{plain}/INBOX")
    for url, more in ((plain, []), (plain, ["--ssl-reqd", "--cacert", murder.ca]), (tls, ["--cacert", murder.ca])):
        assert "INBOX" in run("curl", "-sS", "-u", user, *more, f"{url}/")
        assert "from curl" in run("curl", "-sS", "-u", user, *more, f"{url}/INBOX;UID=1")
        assert run("curl", "-sS", "-u", user, *more, f"{url}/INBOX", "-X", "SEARCH ALL").strip() == "* SEARCH 1"


@check
def openssl_starttls_and_imaps(murder):
    for service, more in (("imap", ["-starttls", "imap"]), ("imaps", [])):
        address = "%s:%d" % murder.address("frontends", 0, service)
        said = run(
            "openssl", "s_client", "-connect", address, *more, "-CAfile", murder.ca,
            "-verify_return_error", "-quiet", "-crlf",
            stdin=f"a login {murder.user(8)} {murder.password}\nb select INBOX\nc logout\n",
        )
        assert "b OK" in said and "* BYE" in said, said


@check
def imaplib_over_tls(murder):
    context = ssl.create_default_context(cafile=murder.ca)
    host, port = murder.address("frontends", 1, "imaps")
    with imaplib.IMAP4_SSL(host, port, ssl_context=context, timeout=60) as client:
        ok(client.login(murder.user(8), murder.password))
    host, port = murder.address("frontends", 0, "imap")
    with imaplib.IMAP4(host, port, timeout=60) as client:
        ok(client.starttls(ssl_context=context))
        ok(client.login(murder.user(8), murder.password))


def as_sent_by_pop3(message):
    """Every line ends with CRLF."""
    message = re.sub(rb"(?<!\r)\n", b"\r\n", message)
    return message if message.endswith(b"\n") or not message else message + b"\r\n"


@check
def poplib_email_test_data(murder):
    user = murder.user(11)
    messages = list(email_test_data().values())
    with murder.imap(0, user) as client:
        imaplib.MapCRLF = re.compile(rb"\r\n")
        for message in messages:
            ok(client.append("INBOX", None, None, message))
    client = murder.pop3(0, user)
    sent = [as_sent_by_pop3(message) for message in messages]
    assert client.stat() == (len(sent), sum(map(len, sent))), client.stat()
    sizes = [int(line.split()[1]) for line in client.list()[1]]
    assert sizes == list(map(len, sent))
    ids = [line.split()[1] for line in client.uidl()[1]]
    assert len(set(ids)) == len(ids)
    for number, message in enumerate(sent, 1):
        got = b"".join(line + b"\r\n" for line in client.retr(number)[1])
        # poplib takes a CR at the start of a line for a part of the line end before it.
        assert got == message or re.search(rb"\n\r[^\n]", message), number
        header = re.match(rb".*?\r\n\r\n|.*", message, re.DOTALL).group()
        top = b"".join(line + b"\r\n" for line in client.top(number, 0)[1])
        assert top == header, (number, top, header)
        client.dele(number)
    client.rset()
    for number in range(2, len(sent) + 1):
        client.dele(number)
    client.quit()
    client = murder.pop3(0, user)
    assert client.uidl(1) == b"+OK 1 " + ids[0], client.uidl(1)
    client.dele(1)
    # Without QUIT.
    client.close()
    client = murder.pop3(0, user)
    assert client.stat() == (1, len(sent[0]))
    client.quit()


@check
def poplib_over_tls(murder):
    user = murder.user(13)
    with murder.lmtp(0) as lmtp:
        assert lmtp.sendmail("s@example.org", [user], b"Subject: tls\r\n\r\nx\r\n") == {}
    context = ssl.create_default_context(cafile=murder.ca)
    host, port = murder.address("backends", 0, "pop3s")
    implicit = poplib.POP3_SSL(host, port, context=context, timeout=60)
    host, port = murder.address("backends", 0, "pop3")
    stls = poplib.POP3(host, port, timeout=60)
    assert "STLS" in stls.capa()
    stls.stls(context=context)
    for client in (implicit, stls):
        capabilities = client.capa()
        assert "STLS" not in capabilities and capabilities["SASL"] == ["PLAIN"], capabilities
        client.user(user)
        try:
            client.pass_("wrong")
        except poplib.error_proto as error:
            assert b"[AUTH]" in error.args[0], error
        else:
            raise AssertionError("a wrong password was accepted")
        client.user(user)
        client.pass_(murder.password)
        assert client.stat()[0] == 1
        client.quit()


@check
def curl_pop3_and_pop3s(murder):
    user = murder.user(15)
    login = f"{user}:{murder.password}"
    with murder.lmtp(0) as lmtp:
        for number in (1, 2):
            message = f"Subject: number {number}\r\n\r\n.dot\r\n".encode()
            assert lmtp.sendmail("s@example.org", [user], message) == {}
    plain = "pop3://%s:%d" % murder.address("backends", 0, "pop3")
    tls = "pop3s://%s:%d" % murder.address("backends", 0, "pop3s")
    size = len(b"Subject: number 1\r\n\r\n.dot\r\n")
    for url, more in ((plain, []), (plain, ["--ssl-reqd", "--cacert", murder.ca]), (tls, ["--cacert", murder.ca])):
        listing = run("curl", "-sS", "-u", login, *more, f"{url}/")
        assert listing.split() == ["1", str(size), "2", str(size)], listing
        assert "number 2\n\n.dot\n" in run("curl", "-sS", "-u", login, *more, f"{url}/2")
    run("curl", "-sS", "-u", login, f"{plain}/1", "-X", "DELE", "--head")
    listing = run("curl", "-sS", "-u", login, f"{plain}/", "-X", "UIDL")
    assert len(listing.splitlines()) == 1, listing


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


def print_logs(topology):
    """The end of each node's log, for whoever cannot look at the machine."""
    for role in ("masters", "backends", "frontends"):
        for node in topology[role]:
            log = pathlib.Path(node["config"]).with_suffix(".log")
            if log.exists():
                print(f"--- {log}")
                print("\n".join(log.read_text(errors="replace").splitlines()[-40:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("murder", nargs="?", default="target/debug/murder")
    parser.add_argument("--topology", help="use the running murder of this topology file")
    parser.add_argument("--only", help="run only the checks whose name holds this")
    arguments = parser.parse_args()
    folder = None
    if arguments.topology:
        topology = arguments.topology
    else:
        folder = tempfile.mkdtemp(prefix="murder-clients-")
        topology = os.path.join(folder, "topology.json")
        run(arguments.murder, "up", "--dir", folder, "--detach", "--topology", topology)
    passed = failed = 0
    try:
        murder = Murder(json.loads(pathlib.Path(topology).read_text()))
        for function in CHECKS:
            if arguments.only and arguments.only not in function.__name__:
                continue
            try:
                function(murder)
                passed += 1
                print(f"ok      {function.__name__}", flush=True)
            except Exception:
                failed += 1
                print(f"FAILED  {function.__name__}", flush=True)
                traceback.print_exc()
        if failed:
            print_logs(murder.topology)
    finally:
        if folder:
            run(arguments.murder, "down", "--dir", folder)
            shutil.rmtree(folder)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
