"""Libraries and small tools: imaplib, poplib, smtplib, curl, openssl, imapclient."""

import collections
import imaplib
import poplib
import re
import ssl
import tempfile

from kit import bodies, check, check_alone, email_test_data, message, ok, put, run, seen_by_server, until


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
            # The delivery puts its own before the message (RFC 5321 section 4.4).
            head, blank, rest = (b"\r\n" + message).partition(b"\r\n\r\n")
            head = re.sub(rb"(?i)\r\nReturn-Path:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*", b"", head)
            wanted[(head + blank + rest)[2:]] += 1
    trace = rb"\AReturn-Path: <sender@example\.org>\r\nReceived: (?:[^;\r\n]|\r\n[ \t])*;(?:\r\n[ \t])?[^\r\n]*\r\n"
    with murder.imap(1, user) as client:
        ok(client.select("INBOX", readonly=True))
        found = collections.Counter(re.sub(trace, b"", body) for body in bodies(client).values())
        assert found == wanted, list((found - wanted) + (wanted - found))[:2]


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
    with murder.imap(0, user) as client:
        ok(client.select("INBOX", readonly=True))
        size, other = (len(body) for body in bodies(client).values())
    for url, more in ((plain, []), (plain, ["--ssl-reqd", "--cacert", murder.ca]), (tls, ["--cacert", murder.ca])):
        listing = run("curl", "-sS", "-u", login, *more, f"{url}/")
        assert listing.split() == ["1", str(size), "2", str(other)], listing
        assert "number 2\n\n.dot\n" in run("curl", "-sS", "-u", login, *more, f"{url}/2")
    run("curl", "-sS", "-u", login, f"{plain}/1", "-X", "DELE", "--head")
    listing = run("curl", "-sS", "-u", login, f"{plain}/", "-X", "UIDL")
    assert len(listing.splitlines()) == 1, listing


@check_alone
def imapclient_session(alone):
    import imapclient  # Not of the standard library: where it is missing, only this check fails.

    user, other = alone.user(9), alone.user(10)
    client = imapclient.IMAPClient("127.0.0.1", alone.imap_port, ssl=False, timeout=60)
    client.login(user, alone.PASSWORD)
    client.create_folder("Entwürfe")
    client.create_folder("Work")
    for subject in ("b", "c", "a"):
        client.append("INBOX", message(subject), [b"\\Flagged"] if subject == "c" else ())
    reply = message("re").replace(b"Subject: re", b"Subject: Re: c\r\nIn-Reply-To: <c@example.org>")
    client.append("INBOX", reply)
    assert client.select_folder("INBOX")[b"EXISTS"] == 4
    assert client.search(["SUBJECT", "c", "NOT", "FLAGGED"]) == [4]
    assert client.sort("SUBJECT") == [3, 1, 2, 4]
    assert client.thread("REFERENCES") == ((1,), (2, 4), (3,))
    fetched = client.fetch([2], ["BODY.PEEK[]", "FLAGS", "ENVELOPE"])[2]
    assert fetched[b"BODY[]"] == message("c") and b"\\Flagged" in fetched[b"FLAGS"]
    assert fetched[b"ENVELOPE"].subject == b"c"
    # Idle: another session brings a message and a flag.
    client.idle()
    with alone.imap(user) as second:
        put(second, "INBOX", "news")
        ok(second.select("INBOX"))
        ok(second.store("1", "+FLAGS", r"(\Seen)"))
    told = []

    def all_told():
        told.extend(client.idle_check(timeout=1))
        text = repr(told)
        return "(5, b'EXISTS')" in text and "\\Seen" in text

    until(all_told, "told of the message and of the flag")
    client.idle_done()
    client.copy([1], "Entwürfe")
    client.move([2], "Work")
    assert client.search() == [1, 3, 4, 5]
    assert client.getacl("Work")
    client.setacl("Work", other, "lr")
    assert client.get_quota_root("INBOX")
    with alone.imap(user) as second:
        assert seen_by_server(second, "Entw&APw-rfe") == {"b": [r"\Seen"]}
        assert seen_by_server(second, "Work") == {"c": [r"\Flagged"]}
    with alone.imap(other) as second:
        assert seen_by_server(second, f'"Other Users/{user}/Work"') == {"c": [r"\Flagged"]}
    assert [name for _, _, name in client.list_folders()] == ["Entwürfe", "INBOX", "Work"]
    client.logout()
