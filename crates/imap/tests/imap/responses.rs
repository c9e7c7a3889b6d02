//! Responses: the examples of the RFCs, read and written.

use bytes::Bytes;
use murder_imap::list::{ListAttribute, ListRow, StatusValue};
use murder_imap::node::CopiedUids;
use murder_imap::response::{NamespacePrefix, NamespaceRow, parse};
use murder_imap::{
    Code, DateTime, Esearch, FetchData, Flag, Keyword, MailboxArg, NameEncoding, NodeCode,
    Response, ResponseWriter, Section, SequenceSet, Status, Tag, Untagged,
};
use murder_mailbox::SpecialUse;

fn set(text: &str) -> SequenceSet {
    SequenceSet::parse(text.as_bytes()).unwrap()
}

fn read(line: &str) -> Response {
    parse(format!("{line}\r\n").as_bytes()).unwrap_or_else(|fault| panic!("{line}: {fault}"))
}

fn untagged(line: &str) -> Untagged {
    match read(line) {
        Response::Untagged(untagged) => untagged,
        other => panic!("{other:?}"),
    }
}

fn code(line: &str) -> Code {
    match read(line) {
        Response::Tagged {
            code: Some(code), ..
        }
        | Response::Untagged(Untagged::Status {
            code: Some(code), ..
        }) => code,
        other => panic!("{other:?}"),
    }
}

fn written(write: impl FnOnce(&mut ResponseWriter)) -> String {
    let mut writer = ResponseWriter::new(NameEncoding::Utf7);
    write(&mut writer);
    String::from_utf8(writer.output().take().to_vec()).unwrap()
}

fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

#[test]
fn conditions() {
    assert_eq!(
        read("A001 OK LOGIN completed"),
        Response::Tagged {
            tag: tag("A001"),
            status: Status::Ok,
            code: None,
            text: "LOGIN completed".into(),
        }
    );
    assert_eq!(
        read("A222 NO COPY failed: disk is full"),
        Response::Tagged {
            tag: tag("A222"),
            status: Status::No,
            code: None,
            text: "COPY failed: disk is full".into(),
        }
    );
    assert_eq!(
        read("* BYE Autologout; idle for too long"),
        Response::Untagged(Untagged::Status {
            status: Status::Bye,
            code: None,
            text: "Autologout; idle for too long".into(),
        })
    );
    assert_eq!(
        read("+ Ready for additional command text"),
        Response::Continuation {
            text: "Ready for additional command text".into(),
        }
    );
    assert_eq!(
        read("+"),
        Response::Continuation {
            text: String::new(),
        }
    );
    assert!(parse(b"A001 PREAUTH hello\r\n").is_err());
    assert!(parse(b"A001 FINE\r\n").is_err());
    assert!(parse(b"* OK [ALERT\r\n").is_err());
    assert!(parse(b"* OK no line break").is_err());
}

#[test]
fn codes() {
    assert_eq!(code("* OK [ALERT] System shutdown"), Code::Alert);
    assert_eq!(code("* OK [UNSEEN 17] Message 17"), Code::Unseen(17));
    assert_eq!(
        code("* OK [UIDVALIDITY 3857529045] x"),
        Code::UidValidity(3_857_529_045)
    );
    assert_eq!(code("* OK [UIDNEXT 4392] Predicted"), Code::UidNext(4392));
    assert_eq!(
        code("* OK [PERMANENTFLAGS (\\Deleted \\Seen \\*)] Limited"),
        Code::PermanentFlags {
            flags: vec![Flag::Deleted, Flag::Seen],
            any_keyword: true,
        }
    );
    assert_eq!(
        code("* OK [PERMANENTFLAGS ()] None"),
        Code::PermanentFlags {
            flags: vec![],
            any_keyword: false,
        }
    );
    assert_eq!(
        code("A142 OK [READ-WRITE] SELECT completed"),
        Code::ReadWrite
    );
    assert_eq!(code("A003 NO [TryCreate] No such mailbox"), Code::TryCreate);
    assert_eq!(
        code("A003 OK [APPENDUID 38505 3955] APPEND completed"),
        Code::AppendUid {
            uidvalidity: 38_505,
            uids: set("3955"),
        }
    );
    assert_eq!(
        code("A004 OK [COPYUID 38505 304,319:320 3956:3958] Done"),
        Code::CopyUid {
            uidvalidity: 38_505,
            from: set("304,319:320"),
            to: set("3956:3958"),
        }
    );
    assert_eq!(
        code("a OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] Logged in"),
        Code::Capability(vec!["IMAP4rev1".into(), "AUTH=PLAIN".into()])
    );
    assert_eq!(
        code("a NO [BADCHARSET (UTF-8 US-ASCII)] x"),
        Code::BadCharset(vec!["UTF-8".into(), "US-ASCII".into()])
    );
    assert_eq!(code("a NO [BADCHARSET] x"), Code::BadCharset(vec![]));
    assert_eq!(
        code("* OK [HIGHESTMODSEQ 715194045007] x"),
        Code::HighestModSeq(715_194_045_007)
    );
    assert_eq!(
        code("d105 OK [MODIFIED 7,9] Conditional STORE failed"),
        Code::Modified(set("7,9"))
    );
    assert_eq!(
        code("3 OK [MAILBOXID (F2212ea87)] x"),
        Code::MailboxId("F2212ea87".into())
    );
    assert_eq!(
        code("A1 NO [REFERRAL IMAP://user;AUTH=*@SERVER2/] Try SERVER2"),
        Code::Referral("IMAP://user;AUTH=*@SERVER2/".into())
    );
    assert_eq!(code("a NO [UIDNEXT 0] x"), Code::Other("UIDNEXT 0".into()));
    assert_eq!(
        code("a NO [XYZZY plugh (1] x"),
        Code::Other("XYZZY plugh (1".into())
    );
    // Found by fuzzing: it became that code when it was written and read again.
    assert_eq!(code("a OK [REA\0D-WRITE\n] x"), Code::ReadWrite);
}

/// Found by fuzzing: as above, of what is no UTF-8.
#[test]
fn codes_that_are_no_text() {
    let parsed = parse(b"* NO [nOUPDATE \"B\xcb02\"] Too many\r\n").unwrap();
    let line = "* NO [NOUPDATE \"B\u{fffd}02\"] Too many\r\n";
    assert_eq!(written(|w| w.response(&parsed)), line);
}

#[test]
fn codes_inside_the_murder() {
    let set = |text: &str| SequenceSet::parse(text.as_bytes()).unwrap();
    let claimed = NodeCode::Claimed {
        messages: 2,
        octets: 11,
    };
    let receiving = NodeCode::Receiving {
        partition: "main".into(),
        home: 7,
    };
    let adopted = NodeCode::Adopted(Some(CopiedUids {
        uidvalidity: 7,
        from: set("11:12"),
        to: set("40:41"),
    }));
    for (text, node_code) in [
        ("X-NOT-HERE", NodeCode::NotHere),
        ("X-DELETED", NodeCode::Deleted),
        ("X-NOT-DONE", NodeCode::NotDone),
        ("X-REVISION 123", NodeCode::Revision(123)),
        ("X-CLAIMED 2 11", claimed),
        ("X-EXPORTED 2", NodeCode::Exported { messages: 2 }),
        ("X-RECEIVING main 7", receiving),
        ("X-REFUSED", NodeCode::Refused),
        ("X-ADOPTED", NodeCode::Adopted(None)),
        ("X-ADOPTED 7 11:12 40:41", adopted),
    ] {
        assert_eq!(
            code(&format!("a OK [{text}] done")),
            Code::Node(node_code.clone())
        );
        assert_eq!(
            NodeCode::parse(&text.to_lowercase()),
            Some(node_code.clone())
        );
        assert_eq!(node_code.to_string(), text);
    }
    for other in [
        "X-REVISION",
        "X-REVISION x",
        "X-CLAIMED 1",
        "X-NOT-HERE 1",
        "X-ADOPTED 7",
        "X-",
    ] {
        let text = code(&format!("a OK [{other}] done"));
        assert_eq!(text, Code::Other(other.to_owned()));
        assert_eq!(NodeCode::parse(other), None);
    }
}

#[test]
fn text_cannot_break_the_line() {
    let evil = Code::Other("X ]\r\na OK [".into());
    assert_eq!(
        written(|w| w.no(&tag("a"), Some(&evil), "one\r\n* BYE\0 two")),
        "a NO [X a OK [] one* BYE two\r\n"
    );
    // Nor have who reads it wait for a literal.
    for (text, wanted) in [
        ("no {0}", "a NO no {0}.\r\n"),
        ("{12+}\r", "a NO {12+}.\r\n"),
        ("no {}", "a NO no {}\r\n"),
    ] {
        assert_eq!(written(|w| w.no(&tag("a"), None, text)), wanted);
    }
    // Found by fuzzing: nor can it start with what is no code of ours.
    for text in ["[ALERT] all", "\0[\0[ALERT] all"] {
        assert_eq!(
            written(|w| w.no(&tag("a"), None, text)),
            "a NO ALERT] all\r\n"
        );
    }
}

#[test]
fn mailbox_data() {
    assert_eq!(
        untagged("* LIST (\\Noselect \\Subscribed \\XFoo \\sent) \"/\" ~/Mail/foo"),
        Untagged::List(ListRow {
            attributes: vec![
                ListAttribute::NoSelect,
                ListAttribute::Subscribed,
                ListAttribute::Other("XFoo".into()),
                ListAttribute::SpecialUse(SpecialUse::Sent),
            ],
            separator: Some('/'),
            name: "~/Mail/foo".into(),
            child_info: vec![],
            old_name: None,
        })
    );
    assert_eq!(
        untagged("* LSUB () NIL {3}\r\nfoo"),
        Untagged::Lsub(ListRow {
            name: "foo".into(),
            ..ListRow::default()
        })
    );
    assert_eq!(
        untagged("* LIST () \"/\" \"Foo\" (\"CHILDINFO\" (\"SUBSCRIBED\"))"),
        Untagged::List(ListRow {
            separator: Some('/'),
            name: "Foo".into(),
            child_info: vec!["SUBSCRIBED".into()],
            ..ListRow::default()
        })
    );
    assert_eq!(
        untagged("* LIST () \"\\\\\" \"new\" (X-FOO (a (b \"c d\")) OLDNAME (\"old\"))"),
        Untagged::List(ListRow {
            separator: Some('\\'),
            name: "new".into(),
            old_name: Some("old".into()),
            ..ListRow::default()
        })
    );
    assert_eq!(
        untagged("* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292 SIZE 4294967297 X-FOO (1 2))"),
        Untagged::MailboxStatus {
            mailbox: "blurdybloop".into(),
            items: vec![
                StatusValue::Messages(231),
                StatusValue::UidNext(44_292),
                StatusValue::Size(4_294_967_297),
                StatusValue::Other("X-FOO".into(), b"(1 2)".to_vec()),
            ],
        }
    );
    assert_eq!(
        untagged("* FLAGS (\\Answered \\Flagged $Junk)"),
        Untagged::Flags(vec![
            Flag::Answered,
            Flag::Flagged,
            Flag::Keyword(Keyword::new("$Junk").unwrap()),
        ])
    );
    assert_eq!(untagged("* 23 EXISTS"), Untagged::Exists(23));
    assert_eq!(untagged("* 5 RECENT"), Untagged::Recent(5));
    assert_eq!(untagged("* 44 EXPUNGE"), Untagged::Expunge(44));
    assert_eq!(
        untagged("* VANISHED (EARLIER) 300:310,405,411"),
        Untagged::Vanished {
            earlier: true,
            uids: set("300:310,405,411"),
        }
    );
    assert_eq!(
        untagged("* SEARCH 2 5 6 7 11 12 18 19 20 23 (MODSEQ 917162500)"),
        Untagged::Search {
            numbers: vec![2, 5, 6, 7, 11, 12, 18, 19, 20, 23],
            modseq: Some(917_162_500),
        }
    );
    assert_eq!(
        untagged("* SEARCH"),
        Untagged::Search {
            numbers: vec![],
            modseq: None,
        }
    );
    assert_eq!(
        untagged("* ESEARCH (TAG \"A285\") UID COUNT 17 ALL 4:18,21,28 X-FOO (a b)"),
        Untagged::Esearch(Esearch {
            tag: Some("A285".into()),
            uid: true,
            count: Some(17),
            all: Some(set("4:18,21,28")),
            ..Esearch::default()
        })
    );
    assert_eq!(
        untagged(
            "* NAMESPACE ((\"\" \"/\")(\"#mh/\" \"/\" \"X-PARAM\" (\"FLAG1\" \"FLAG2\"))) NIL ((\"Public\" NIL))"
        ),
        Untagged::Namespace(NamespaceRow {
            personal: vec![
                NamespacePrefix {
                    prefix: "".into(),
                    separator: Some('/'),
                },
                NamespacePrefix {
                    prefix: "#mh/".into(),
                    separator: Some('/'),
                },
            ],
            other_users: vec![],
            shared: vec![NamespacePrefix {
                prefix: "Public".into(),
                separator: None,
            }],
        })
    );
    assert_eq!(
        untagged("* ACL INBOX Fred rwipslxetad Chris lrswi -Bob \"\""),
        Untagged::Acl {
            mailbox: "INBOX".into(),
            entries: vec![
                ("Fred".into(), "rwipslxetad".into()),
                ("Chris".into(), "lrswi".into()),
                ("-Bob".into(), String::new()),
            ],
        }
    );
    assert_eq!(
        untagged("* LISTRIGHTS ~/Mail/saved smith la r swicdkxte"),
        Untagged::ListRights {
            mailbox: "~/Mail/saved".into(),
            identifier: "smith".into(),
            required: "la".into(),
            optional: vec!["r".into(), "swicdkxte".into()],
        }
    );
    assert_eq!(
        untagged("* MYRIGHTS INBOX rwiptsldaex"),
        Untagged::MyRights {
            mailbox: "INBOX".into(),
            rights: "rwiptsldaex".into(),
        }
    );
    assert_eq!(
        untagged("* XQUOTA \"\" (STORAGE 10 512)"),
        Untagged::Other {
            keyword: "XQUOTA".into(),
            rest: b"\"\" (STORAGE 10 512)".to_vec(),
        }
    );
    assert_eq!(untagged("* ENABLED"), Untagged::Enabled(vec![]));
}

/// Found by fuzzing: it was written as it stood.
#[test]
fn child_info_is_quoted() {
    let line = "* LIST () \"/\" \"a\" (\"CHILDINFO\" (\"SUBSCRIBED\" \"x\\\\\"))\r\n";
    let parsed = parse(line.as_bytes()).unwrap();
    assert_eq!(written(|w| w.response(&parsed)), line);
}

/// Found by fuzzing: they became other attributes when they were written and read again.
#[test]
fn attributes_of_mailboxes_are_no_flags() {
    let line = "* LSUB (\\SEEN) NIL \"foo\"\r\n";
    let parsed = parse(line.as_bytes()).unwrap();
    assert_eq!(written(|w| w.response(&parsed)), line);
    assert!(parse(b"* LSUB (SEEN) NIL \"foo\"\r\n").is_err());
}

/// RFC 9051 section 8.
const FETCH: &str = "* 12 FETCH (FLAGS (\\Seen \\Recent) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" \
    RFC822.SIZE 4286 UID 7 MODSEQ (12111230047) ENVELOPE (\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \
    {18}\r\nIMAP4rev2 WG mtg (  ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) NIL) \
    BODY (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 3028 92) \
    BODY[HEADER.FIELDS (Date)] {6}\r\nDate:\n BODY[]<5> \"abc\" BODY[2] NIL \
    BINARY[1] ~{4}\r\na\0)\n BINARY.SIZE[1] 4 RFC822.TEXT \"x\" SAVEDATE NIL THREADID (T1) \
    X-OTHER (1 (2)) PREVIEW \"hi\")";

#[test]
fn fetch_data() {
    let Untagged::Fetch { seq, items } = untagged(FETCH) else {
        panic!();
    };
    assert_eq!(seq, 12);
    let section = |section, origin, octets: Option<&str>| FetchData::Section {
        section,
        origin,
        octets: octets.map(|o| o.as_bytes().to_vec()),
    };
    assert_eq!(
        items,
        [
            FetchData::Flags(vec![Flag::Seen, Flag::Recent]),
            FetchData::InternalDate(DateTime {
                unix: 837_596_665,
                offset_minutes: -420,
            }),
            FetchData::Rfc822Size(4286),
            FetchData::Uid(7),
            FetchData::ModSeq(12_111_230_047),
            FetchData::Envelope(
                b"(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" {18}\r\nIMAP4rev2 WG mtg (  \
                ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) NIL)"
                    .to_vec()
            ),
            FetchData::Body(
                b"(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 3028 92)"
                    .to_vec()
            ),
            section(
                Section::HeaderFields {
                    names: vec!["Date".into()],
                    not: false,
                },
                None,
                Some("Date:\n")
            ),
            section(Section::Full, Some(5), Some("abc")),
            section(
                Section::Part {
                    path: vec![2],
                    what: murder_imap::PartWhat::Body,
                },
                None,
                None
            ),
            FetchData::Binary {
                path: vec![1],
                origin: None,
                octets: Some(b"a\0)\n".to_vec()),
            },
            FetchData::BinarySize {
                path: vec![1],
                size: 4,
            },
            FetchData::Rfc822Text(Some(b"x".to_vec())),
            FetchData::SaveDate(None),
            FetchData::ThreadId(Some("T1".into())),
            FetchData::Other("X-OTHER".into(), b"(1 (2))".to_vec()),
            FetchData::Preview(Some(b"hi".to_vec())),
        ]
    );
    assert_eq!(untagged(FETCH).fetch_uid(), Some(7));
    for bad in [
        "* 1 FETCH",
        "* 1 FETCH (",
        "* 1 FETCH (UID)",
        "* 1 FETCH (UID 0)",
        "* 1 FETCH (BODY[] {5}\r\nabc)",
        "* 1 FETCH (BODY (((()",
        "* 1 WHATEVER",
        "* 1",
        "*",
        "* LIST () / x",
        "* STATUS x (MESSAGES)",
    ] {
        assert!(parse(format!("{bad}\r\n").as_bytes()).is_err(), "{bad}");
    }
    let deep = format!("* 1 FETCH (BODY {}\r\n", "(".repeat(1_000_000));
    assert!(parse(deep.as_bytes()).is_err());
    let deep = format!(
        "* 1 FETCH (BODY {}{})\r\n",
        "(".repeat(100_000),
        ")".repeat(100_000)
    );
    assert!(
        parse(deep.as_bytes()).is_ok(),
        "values as sent do not recurse"
    );
}

#[test]
fn writing() {
    let row = ListRow {
        attributes: vec![
            ListAttribute::HasNoChildren,
            ListAttribute::SpecialUse(SpecialUse::Sent),
        ],
        separator: Some('/'),
        name: "Entwürfe & \"mehr\"".into(),
        child_info: vec!["SUBSCRIBED".into()],
        old_name: Some("alt".into()),
    };
    assert_eq!(
        written(|w| w.list(&row)),
        "* LIST (\\HasNoChildren \\Sent) \"/\" \"Entw&APw-rfe &- \\\"mehr\\\"\" \
         (\"CHILDINFO\" (\"SUBSCRIBED\") \"OLDNAME\" (\"alt\"))\r\n"
    );
    assert_eq!(
        written(|w| {
            w.set_names(NameEncoding::Utf8);
            w.lsub(&ListRow {
                name: row.name.clone(),
                ..ListRow::default()
            });
        }),
        "* LSUB () NIL \"Entwürfe & \\\"mehr\\\"\"\r\n"
    );
    assert_eq!(
        written(|w| w.capability(["IMAP4rev1", "IDLE"])),
        "* CAPABILITY IMAP4rev1 IDLE\r\n"
    );
    assert_eq!(
        written(|w| w.status(
            "a b",
            &[StatusValue::Messages(1), StatusValue::AppendLimit(None)]
        )),
        "* STATUS \"a b\" (MESSAGES 1 APPENDLIMIT NIL)\r\n"
    );
    assert_eq!(
        written(|w| {
            w.flags(&Flag::SYSTEM);
            w.exists(172);
            w.search([2, 84], Some(9));
            w.search([], Some(9));
            w.vanished(true, &set("41,43:116"));
            w.my_rights("INBOX", "lr");
            w.acl("INBOX", [("Fred Flint", "lr"), ("NIL", "")]);
        }),
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n\
         * 172 EXISTS\r\n\
         * SEARCH 2 84 (MODSEQ 9)\r\n\
         * SEARCH\r\n\
         * VANISHED (EARLIER) 41,43:116\r\n\
         * MYRIGHTS \"INBOX\" lr\r\n\
         * ACL \"INBOX\" \"Fred Flint\" lr \"NIL\" \"\"\r\n"
    );
    assert_eq!(
        written(|w| {
            let mut fetch = w.fetch(12);
            assert!(fetch.is_empty());
            fetch.flags(["\\Seen"]);
            fetch.uid(7);
            fetch.internal_date(DateTime::utc(0));
            fetch.section(&Section::Text, Some(3), Some(Bytes::from_static(b"hi")));
            fetch.section_head(&Section::Full, None, 5);
            fetch.output().push(Bytes::from_static(b"hello"));
            fetch.rfc822_head("RFC822.TEXT", 2);
            fetch.output().push(Bytes::from_static(b"ho"));
            fetch.binary(&[1, 2], None, Some(Bytes::from_static(b"\0")));
            fetch.section(&Section::Header, None, None);
            fetch.finish();
            w.bad(None, "what?");
            w.continuation("");
        }),
        "* 12 FETCH (FLAGS (\\Seen) UID 7 INTERNALDATE \" 1-Jan-1970 00:00:00 +0000\" \
         BODY[TEXT]<3> {2}\r\nhi BODY[] {5}\r\nhello RFC822.TEXT {2}\r\nho BINARY[1.2] ~{1}\r\n\0 \
         BODY[HEADER] NIL)\r\n* BAD what?\r\n+ \r\n"
    );
}

#[test]
fn names_of_another_writer_are_encoded_anew() {
    let row = untagged("* LIST () \"/\" \"user/bob/Entwürfe\"");
    assert_eq!(
        written(|w| w.untagged_response(&row)),
        "* LIST () \"/\" \"user/bob/Entw&APw-rfe\"\r\n"
    );
    let Untagged::List(row) = row else { panic!() };
    assert_eq!(row.name, MailboxArg::from("user/bob/Entwürfe"));
}

mod output {
    //! Gathering and flushing.

    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use murder_imap::Output;
    use murder_imap::output::FLUSH_AT;
    use tokio::io::AsyncWrite;

    use crate::script::run;

    /// Takes a few octets at a time, with a pending poll before each.
    struct Sink {
        taken: Vec<u8>,
        at_once: usize,
        vectored: bool,
        flushed: bool,
        ready: bool,
    }

    impl Sink {
        fn new(at_once: usize, vectored: bool) -> Self {
            Self {
                taken: Vec::new(),
                at_once,
                vectored,
                flushed: false,
                ready: false,
            }
        }

        fn take(&mut self, octets: &[u8]) -> usize {
            let room = self.at_once.min(octets.len());
            self.taken.extend_from_slice(&octets[..room]);
            room
        }
    }

    impl AsyncWrite for Sink {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.ready = !self.ready;
            if self.ready {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(Ok(self.take(buf)))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[io::IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.ready = !self.ready;
            if self.ready {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let mut taken = 0;
            for buf in bufs {
                let room = buf.len().min(self.at_once - taken);
                self.taken.extend_from_slice(&buf[..room]);
                taken += room;
            }
            Poll::Ready(Ok(taken))
        }

        fn is_write_vectored(&self) -> bool {
            self.vectored
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushed = true;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn filled() -> (Output, Vec<u8>) {
        let mut output = Output::new();
        let mut all = Vec::new();
        for n in 0..50u8 {
            let small = [n; 10];
            let large = vec![n; 1000 + usize::from(n)];
            output.write(&small);
            output.push(Bytes::from(large.clone()));
            all.extend_from_slice(&small);
            all.extend_from_slice(&large);
        }
        assert_eq!(output.len(), all.len());
        (output, all)
    }

    #[test]
    fn everything_goes_out_in_order() {
        for vectored in [false, true] {
            for at_once in [1, 7, 1024, 100_000] {
                let (mut output, all) = filled();
                let mut sink = Sink::new(at_once, vectored);
                run(output.flush(&mut sink)).unwrap();
                assert_eq!(sink.taken, all);
                assert!(sink.flushed && output.is_empty());
            }
        }
        let (mut output, all) = filled();
        assert_eq!(output.take(), all);
        assert!(output.is_empty());
    }

    #[test]
    fn a_dropped_flush_loses_nothing() {
        let (mut output, all) = filled();
        let mut sink = Sink::new(999, true);
        run(async {
            while !output.is_empty() {
                tokio::select! {
                    biased;
                    result = output.flush(&mut sink) => result.unwrap(),
                    () = std::future::ready(()) => {}
                }
            }
        });
        assert_eq!(sink.taken, all);
    }

    #[test]
    fn only_a_full_output_goes_out_early() {
        let mut output = Output::new();
        let mut sink = Sink::new(usize::MAX, true);
        output.write(&vec![b'x'; FLUSH_AT - 1]);
        run(output.flush_if_full(&mut sink)).unwrap();
        assert!(sink.taken.is_empty());
        output.write(b"x");
        run(output.flush_if_full(&mut sink)).unwrap();
        assert_eq!(sink.taken.len(), FLUSH_AT);
    }

    #[test]
    fn a_stream_that_takes_nothing_is_an_error() {
        let (mut output, _) = filled();
        let mut sink = Sink::new(0, false);
        let error = run(output.flush(&mut sink)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }

    #[test]
    fn large_buffers_are_not_copied() {
        let body = Bytes::from(vec![1u8; 4096]);
        let mut output = Output::new();
        output.push(body.clone());
        let out = output.take();
        assert_eq!(out.as_ptr(), body.as_ptr());
    }
}
