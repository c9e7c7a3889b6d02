//! ENVELOPE, BODY and BODYSTRUCTURE, octet for octet.
#![allow(clippy::unwrap_used)]

mod response;

use murder_mime::FetchItems;
use response::{Value, check_body, check_envelope};

fn items(raw: &str) -> FetchItems {
    let items = FetchItems::compute(raw.as_bytes());
    check_envelope(&Value::read(&items.envelope));
    check_body(&Value::read(&items.body), false);
    check_body(&Value::read(&items.bodystructure), true);
    items
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_session_of_rfc_3501_section_8() {
    let header = "\
Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r
From: Terry Gray <gray@cac.washington.edu>\r
Subject: IMAP4rev1 WG mtg summary and minutes\r
To: imap@cac.washington.edu\r
cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r
Message-Id: <B27397-0100000@cac.washington.edu>\r
MIME-Version: 1.0\r
Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r
\r
";
    // 92 lines, 3028 octets.
    let body = format!(
        "{}{}\r\n",
        "0123456789012345678901234567890\r\n".repeat(91),
        "x".repeat(23)
    );
    let items = items(&format!("{header}{body}"));
    assert_eq!(
        text(&items.envelope),
        "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \
         \"IMAP4rev1 WG mtg summary and minutes\" \
         ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
         ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
         ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
         ((NIL NIL \"imap\" \"cac.washington.edu\")) \
         ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")\
         (\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL \
         \"<B27397-0100000@cac.washington.edu>\")"
    );
    assert_eq!(
        text(&items.body),
        r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 3028 92)"#
    );
    assert_eq!(
        text(&items.bodystructure),
        r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 3028 92 NIL NIL NIL NIL)"#
    );
    assert_eq!(items.sent, Some(837_595_405));
    assert_eq!(items.sent_date, Some((1996, 7, 17)));
    assert_eq!(items.header_len as usize, header.len());
}

#[test]
fn the_structure_of_rfc_3501_section_7_4_2() {
    let first = format!("{}{}\r\n", "x\r\n".repeat(22), "y".repeat(1084));
    let second = format!("{}{}\r\n", "x\r\n".repeat(72), "y".repeat(4336));
    assert_eq!((first.len(), second.len()), (1152, 4554));
    let raw = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n{first}\r\n\
         --b\r\nContent-Type: TEXT/PLAIN; CHARSET=US-ASCII; NAME=\"cc.diff\"\r\n\
         Content-ID: <960723163407.20117h@cac.washington.edu>\r\n\
         Content-Description: Compiler diff\r\n\
         Content-Transfer-Encoding: BASE64\r\n\r\n{second}\r\n--b--\r\n"
    );
    assert_eq!(
        text(&items(&raw).body),
        "((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 1152 23)\
         (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\" \"NAME\" \"cc.diff\") \
         \"<960723163407.20117h@cac.washington.edu>\" \"Compiler diff\" \
         \"BASE64\" 4554 73) \"MIXED\")"
    );
}

#[test]
fn all_extension_data() {
    let raw = "\
Content-Type: multipart/related; boundary=\"b\"; type=\"text/html\"\r
Content-Disposition: inline\r
Content-Language: en, de\r
Content-Location: http://example.org/\r
\r
--b\r
Content-Type: image/png; name*0*=utf-8''caf%C3; name*1*=%A9; name*2=.png\r
Content-ID: <id@example.org>\r
Content-Description: a \"picture\"\r
Content-Transfer-Encoding: base64\r
Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r
Content-Disposition: attachment; filename=\"a b.png\"; size=3\r
Content-Language: fr\r
Content-Location: a.png\r
\r
AAAA\r
--b--\r
";
    let items = items(raw);
    assert_eq!(
        text(&items.bodystructure),
        "((\"IMAGE\" \"PNG\" (\"NAME*\" \"utf-8''caf%C3%A9.png\") \"<id@example.org>\" \
         \"a \\\"picture\\\"\" \"BASE64\" 4 \"Q2hlY2sgSW50ZWdyaXR5IQ==\" \
         (\"ATTACHMENT\" (\"FILENAME\" \"a b.png\" \"SIZE\" \"3\")) (\"fr\") \"a.png\") \
         \"RELATED\" (\"BOUNDARY\" \"b\" \"TYPE\" \"text/html\") (\"INLINE\" NIL) \
         (\"en\" \"de\") \"http://example.org/\")"
    );
    assert_eq!(
        text(&items.body),
        "((\"IMAGE\" \"PNG\" (\"NAME*\" \"utf-8''caf%C3%A9.png\") \"<id@example.org>\" \
         \"a \\\"picture\\\"\" \"BASE64\" 4) \"RELATED\")"
    );
}

#[test]
fn messages_inside() {
    let raw = "\
Content-Type: multipart/digest; boundary=b\n\
\n\
--b\n\
\n\
Subject: in digest\n\
\n\
one\ntwo\n\
--b\n\
Content-Type: message/global\n\
\n\
From: j\u{f6}@example.org\n\
\n\
--b\n\
Content-Type: text/plain\n\
\n\
--b--\n";
    assert_eq!(
        text(&items(raw).body),
        "((\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 27 \
         (NIL \"in digest\" NIL NIL NIL NIL NIL NIL NIL NIL) \
         (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 7 1) 3)\
         (\"MESSAGE\" \"GLOBAL\" NIL NIL NIL \"7BIT\" 23 \
         (NIL NIL ((NIL NIL {3}\r\nj\u{f6} \"example.org\")) \
         ((NIL NIL {3}\r\nj\u{f6} \"example.org\")) \
         ((NIL NIL {3}\r\nj\u{f6} \"example.org\")) NIL NIL NIL NIL NIL) \
         (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 0 0) 2)\
         (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 0 0) \"DIGEST\")"
    );
}

#[test]
fn envelopes() {
    for (raw, want) in [
        ("", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"),
        (
            "Date:\nSubject:\nIn-Reply-To: \nMessage-ID:\nFrom:\nTo: \n\n",
            r#"("" "" NIL NIL NIL NIL NIL NIL "" "")"#,
        ),
        // Defaults from From, also for fields that are present but empty.
        (
            "From: a@x\nSender: ,\nReply-To: r@x\n",
            r#"(NIL NIL ((NIL NIL "a" "x")) ((NIL NIL "a" "x")) ((NIL NIL "r" "x")) NIL NIL NIL NIL NIL)"#,
        ),
        // The raw value unfolded, RFC 2047 words and quoting as they are.
        (
            "Subject: =?utf-8?q?caf=C3=A9?=\r\n\t\"quoted\" \\\r\n\r\n",
            "(NIL \"=?utf-8?q?caf=C3=A9?=\t\\\"quoted\\\" \\\\\" NIL NIL NIL NIL NIL NIL NIL NIL)",
        ),
        (
            "To: A Group:Ed <ed@x>, jo@y;\nTo: Undisclosed:;\n",
            "(NIL NIL NIL NIL NIL ((NIL NIL \"A Group\" NIL)(\"Ed\" NIL \"ed\" \"x\")\
             (NIL NIL \"jo\" \"y\")(NIL NIL NIL NIL)(NIL NIL \"Undisclosed\" NIL)\
             (NIL NIL NIL NIL)) NIL NIL NIL NIL)",
        ),
        // The first of two; a name that only begins alike is another.
        (
            "Subject: 1\nSubject: 2\nSubjects: 3\nX-Date: no\n",
            r#"(NIL "1" NIL NIL NIL NIL NIL NIL NIL NIL)"#,
        ),
        (
            "Cc: <@a,@b:c@d>\nBcc: \"x\" <y@z>\nIn-Reply-To: <1@x> <2@x>\n",
            "(NIL NIL NIL NIL NIL NIL ((NIL \"@a,@b\" \"c\" \"d\")) ((\"x\" NIL \"y\" \"z\")) \
             \"<1@x> <2@x>\" NIL)",
        ),
        // A carriage return alone is no line end, and no quoted string may hold it.
        (
            "Subject: a\rb\n\n",
            "(NIL {3}\r\na\rb NIL NIL NIL NIL NIL NIL NIL NIL)",
        ),
        (
            "Subject: a\0b\n\n",
            r#"(NIL "ab" NIL NIL NIL NIL NIL NIL NIL NIL)"#,
        ),
    ] {
        assert_eq!(text(&items(raw).envelope), want, "{raw:?}");
    }
}

#[test]
fn structures_of_odd_messages() {
    for (raw, want) in [
        (
            "",
            r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 0 0)"#,
        ),
        // Charset is added to text, to nothing else.
        (
            "Content-Type: text/html; format=x\n\na",
            r#"("TEXT" "HTML" ("FORMAT" "x" "CHARSET" "US-ASCII") NIL NIL "7BIT" 1 0)"#,
        ),
        (
            "Content-Type: application/pdf\n\na",
            r#"("APPLICATION" "PDF" NIL NIL NIL "7BIT" 1)"#,
        ),
        // What is no media type is text.
        (
            "Content-Type: garbage\n\na",
            r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 1 0)"#,
        ),
        // A multipart without parts is text, for the grammar knows none.
        (
            "Content-Type: multipart/mixed\n\n--b\n\nx\n",
            r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 7 3)"#,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b--\n\nx\n",
            r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 9 3)"#,
        ),
        (
            "Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\nx\n--\n",
            r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 9 4)"#,
        ),
        // No closing boundary.
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n",
            r#"(("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 2 1) "MIXED")"#,
        ),
        // An unknown encoding is passed on.
        (
            "Content-Transfer-Encoding: x-uue\n\na",
            r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "X-UUE" 1 0)"#,
        ),
        // A boundary that ends with a blank, and its closing one.
        (
            "Content-Type: multipart/mixed; boundary=\"b \"\n\n--b \n\nx\n--b --\ny\n",
            "((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 1 0) \"MIXED\")",
        ),
        // A boundary that another begins with; one with blanks after it; the inner not closed.
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/x; boundary=bb\n\n--bb \t\n\n1\n--bb\n\n2\n--b\n\n3\n--b--",
            "(((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 1 0)\
             (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 1 0) \"X\")\
             (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 1 0) \"MIXED\")",
        ),
        // Parts cut off in their header.
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n--b\nContent-Type: multipart/x; boundary=c\n--b--",
            "((\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 0 \
             (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) \
             (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 0 0) 0)\
             (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 0 0) \"MIXED\")",
        ),
    ] {
        assert_eq!(text(&items(raw).body), want, "{raw:?}");
    }
}
