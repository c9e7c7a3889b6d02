"""What the checks share: the servers that they use, and small helpers."""

import imaplib
import json
import os
import pathlib
import poplib
import re
import smtplib
import subprocess
import time

imaplib._MAXLINE = 10_000_000
poplib._MAXLINE = 10_000_000
MURDER_CHECKS = []
ALONE_CHECKS = []


def check(function):
    """A check of a murder."""
    MURDER_CHECKS.append(function)
    return function


def check_alone(function):
    """A check of a backend that works alone."""
    ALONE_CHECKS.append(function)
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


class Alone:
    """A backend that works alone, without TLS, in a folder of its own."""

    PASSWORD = "secret"
    USERS = 20

    def __init__(self, program, folder):
        self.log = folder / "log"
        hashed = run(program, "user", "hash", "--password", self.PASSWORD).strip()
        users = "".join(f"user{n}:{hashed}::\n" for n in range(1, self.USERS + 1))
        (folder / "users").write_text(users)
        (folder / "backend.toml").write_text("""
[node]
name = "mail"
data_dir = "data"
[users]
file = "users"
[imap]
listen = ["127.0.0.1:0"]
allow_plaintext_loopback = true
[pop3]
listen = ["127.0.0.1:0"]
allow_plaintext_loopback = true
[partitions.default]
path = "data/default"
""")
        with self.log.open("w") as log:
            command = [program, "role", "backend", "--config", str(folder / "backend.toml")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.imap_port = self._port("imap")
        self.pop3_port = self._port("pop3")

    def _port(self, protocol):
        pattern = rf'listening .*protocol="{protocol}" address=127\.0\.0\.1:(\d+)'
        return int(until(lambda: re.search(pattern, self.text()), f"listens for {protocol}")[1])

    def text(self):
        assert self.process.poll() is None, self.log.read_text()
        return self.log.read_text()

    def user(self, number):
        return f"user{number}"

    def imap(self, user):
        client = imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=60)
        client.login(user, self.PASSWORD)
        return client

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)


def until(condition, what, seconds=60):
    """What `condition` returns once that is true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not in {seconds} s: {what}"
        time.sleep(0.02)
    return value


def message(subject, text="Hello"):
    return (
        f"From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: {subject}\r\n"
        f"Date: Mon, 3 Feb 2020 00:10:00 +0200\r\nMessage-ID: <{subject}@example.org>\r\n\r\n"
        f"{text} of {subject}\r\n"
    ).encode()


def put(client, mailbox, subject, flags=None):
    ok(client.append(mailbox, flags, None, message(subject)))


def seen_by_server(client, mailbox):
    """The flags of each message by its subject; `\\Recent` left out."""
    found = {}
    ok(client.select(mailbox, readonly=True))
    for part in ok(client.fetch("1:*", "(FLAGS BODY.PEEK[])")) if ok(client.search(None, "ALL"))[0] else []:
        if isinstance(part, tuple):
            subject = re.search(rb"Subject: (\S+)", part[1])[1].decode()
            flags = re.search(rb"FLAGS \(([^)]*)\)", part[0])[1].decode().split()
            found[subject] = sorted(set(flags) - {r"\Recent"})
            assert f"of {subject}".encode() in part[1], part[1]
    return found


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


def run(*command, stdin="", status=(0,)):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)
    assert done.returncode in status, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


