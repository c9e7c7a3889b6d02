//! Commands: the examples of the RFCs, and what is refused.

use murder_imap::command::{AclMode, SelectParam, StoreMode, StoreModifier};
use murder_imap::{
    Command, Date, FetchItem, FetchModifier, Flag, Keyword, List, ListReturn, ListSelection,
    MailboxArg, PartWhat, Partial, Search, SearchKey, SearchReturn, Secret, Section, SequenceSet,
    StatusItem, parse_command,
};

fn parse(line: &str) -> Command {
    let (tag, command) = parse_command(format!("{line}\r\n").as_bytes())
        .unwrap_or_else(|fault| panic!("{line}: {fault}"));
    assert!(line.starts_with(tag.as_str()));
    command
}

fn name(name: &str) -> MailboxArg {
    MailboxArg::from(name)
}

fn set(text: &str) -> SequenceSet {
    SequenceSet::parse(text.as_bytes()).unwrap()
}

fn keys(line: &str) -> Vec<SearchKey> {
    match parse(line) {
        Command::Search(Search { keys, .. }) => keys,
        other => panic!("{other:?}"),
    }
}

fn items(line: &str) -> Vec<FetchItem> {
    match parse(line) {
        Command::Fetch { items, .. } => items,
        other => panic!("{other:?}"),
    }
}

fn keyword(text: &str) -> Keyword {
    Keyword::new(text).unwrap()
}

fn fields(names: &[&str], not: bool) -> Section {
    Section::HeaderFields {
        names: names.iter().map(|n| (*n).to_owned()).collect(),
        not,
    }
}

fn peek(section: Section) -> FetchItem {
    FetchItem::BodySection {
        section,
        partial: None,
        peek: true,
    }
}

#[test]
fn commands_without_arguments() {
    for (line, command) in [
        ("abcd CAPABILITY", Command::Capability),
        ("a002 NOOP", Command::Noop),
        ("A023 LOGOUT", Command::Logout),
        ("a002 STARTTLS", Command::StartTls),
        ("A001 NAMESPACE", Command::Namespace),
        ("A342 UNSELECT", Command::Unselect),
        ("A341 CLOSE", Command::Close),
        ("FXXZ CHECK", Command::Check),
        ("A202 EXPUNGE", Command::Expunge),
        ("A002 IDLE", Command::Idle),
        ("a nOoP", Command::Noop),
    ] {
        assert_eq!(parse(line), command, "{line}");
    }
}

#[test]
fn authentication() {
    assert_eq!(
        parse("a001 LOGIN SMITH SESAME"),
        Command::Login {
            user: "SMITH".into(),
            password: Secret::new(*b"SESAME"),
        }
    );
    assert_eq!(
        parse("A001 LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man"),
        Command::Login {
            user: "FRED FOOBAR".into(),
            password: Secret::new(*b"fat man"),
        }
    );
    assert_eq!(
        parse("A001 LOGIN {11+}\r\nFRED FOOBAR \"fat \\\"\\\\man\""),
        Command::Login {
            user: "FRED FOOBAR".into(),
            password: Secret::new(*b"fat \"\\man"),
        }
    );
    assert_eq!(
        parse("a001 AUTHENTICATE GSSAPI"),
        Command::Authenticate {
            mechanism: "GSSAPI".into(),
            initial_response: None,
        }
    );
    assert_eq!(
        parse("C01 AUTHENTICATE PLAIN dGVzdAB0ZXN0AHRlc3Q="),
        Command::Authenticate {
            mechanism: "PLAIN".into(),
            initial_response: Some(Secret::new(*b"test\0test\0test")),
        }
    );
    assert_eq!(
        parse("C01 authenticate external ="),
        Command::Authenticate {
            mechanism: "EXTERNAL".into(),
            initial_response: Some(Secret::new([])),
        }
    );
    assert_eq!(
        parse("t2 ENABLE CONDSTORE x-good-idea"),
        Command::Enable {
            capabilities: vec!["CONDSTORE".into(), "X-GOOD-IDEA".into()],
        }
    );
}

#[test]
fn passwords_do_not_show() {
    let shown = format!("{:?}", parse("a001 LOGIN SMITH SESAME"));
    assert!(
        shown.contains("SMITH") && !shown.contains("SESAME"),
        "{shown}"
    );
    let fault = parse_command(b"a LOGIN SMITH SESAME more\r\n").unwrap_err();
    assert!(!fault.text.contains("SESAME"), "{fault}");
}

#[test]
fn identification() {
    assert_eq!(parse("a023 ID NIL"), Command::Id(None));
    assert_eq!(parse("a023 ID ()"), Command::Id(Some(vec![])));
    assert_eq!(
        parse(r#"a023 ID ("name" "sodr" "version" "19.34" "vendor" NIL)"#),
        Command::Id(Some(vec![
            ("name".into(), Some("sodr".into())),
            ("version".into(), Some("19.34".into())),
            ("vendor".into(), None),
        ]))
    );
}

#[test]
fn mailboxes() {
    assert_eq!(
        parse("A003 CREATE owatagusiam/"),
        Command::Create {
            mailbox: name("owatagusiam/"),
            partition: None,
            special_use: vec![],
        }
    );
    assert_eq!(
        parse("t2 CREATE MyDrafts (USE (\\Drafts))"),
        Command::Create {
            mailbox: name("MyDrafts"),
            partition: None,
            special_use: vec!["\\Drafts".into()],
        }
    );
    assert_eq!(
        parse("t2 CREATE user.bob fast"),
        Command::Create {
            mailbox: name("user.bob"),
            partition: Some("fast".into()),
            special_use: vec![],
        }
    );
    assert_eq!(
        parse("t2 CREATE \"user/bob/Sent\" (PARTITION \"be1!default\" USE (\\Sent \\Archive))"),
        Command::Create {
            mailbox: name("user/bob/Sent"),
            partition: Some("be1!default".into()),
            special_use: vec!["\\Sent".into(), "\\Archive".into()],
        }
    );
    assert_eq!(
        parse("A683 DELETE blurdybloop"),
        Command::Delete {
            mailbox: name("blurdybloop"),
        }
    );
    assert_eq!(
        parse("A683 RENAME blurdybloop sarasoop"),
        Command::Rename {
            from: name("blurdybloop"),
            to: name("sarasoop"),
            partition: None,
        }
    );
    assert_eq!(
        parse("A683 RENAME user/bob user/bob be2!default"),
        Command::Rename {
            from: name("user/bob"),
            to: name("user/bob"),
            partition: Some("be2!default".into()),
        }
    );
    assert_eq!(
        parse("A002 SUBSCRIBE #news.comp.mail.mime"),
        Command::Subscribe {
            mailbox: name("#news.comp.mail.mime"),
        }
    );
    assert_eq!(
        parse("A002 UNSUBSCRIBE #news.comp.mail.mime"),
        Command::Unsubscribe {
            mailbox: name("#news.comp.mail.mime"),
        }
    );
    assert_eq!(
        parse("A042 STATUS blurdybloop (UIDNEXT MESSAGES uidnext)"),
        Command::Status {
            mailbox: name("blurdybloop"),
            items: vec![StatusItem::UidNext, StatusItem::Messages],
        }
    );
    assert_eq!(
        parse("A142 SELECT INBOX"),
        Command::Select {
            mailbox: name("INBOX"),
            params: vec![],
        }
    );
    assert_eq!(
        parse("A932 EXAMINE \"bl \\\"urdy\\\"\" (CONDSTORE)"),
        Command::Examine {
            mailbox: name("bl \"urdy\""),
            params: vec![SelectParam::CondStore],
        }
    );
    assert_eq!(
        parse("A02 SELECT INBOX (QRESYNC (67890007 20050715194045000 41,43:211,214:541))"),
        Command::Select {
            mailbox: name("INBOX"),
            params: vec![SelectParam::QResync {
                uidvalidity: 67_890_007,
                modseq: 20_050_715_194_045_000,
                known_uids: Some(set("41,43:211,214:541")),
                seq_match: None,
            }],
        }
    );
    assert_eq!(
        parse(
            "A03 SELECT INBOX (QRESYNC (67890007 90060115194045000 41:211,214:541 (1,3 5,7)) CONDSTORE)"
        ),
        Command::Select {
            mailbox: name("INBOX"),
            params: vec![
                SelectParam::QResync {
                    uidvalidity: 67_890_007,
                    modseq: 90_060_115_194_045_000,
                    known_uids: Some(set("41:211,214:541")),
                    seq_match: Some((set("1,3"), set("5,7"))),
                },
                SelectParam::CondStore,
            ],
        }
    );
}

#[test]
fn mailbox_names_are_decoded_for_the_session() {
    let decode = |line: &str, utf8| match parse(line) {
        Command::Delete { mailbox } => mailbox.to_utf8(utf8),
        other => panic!("{other:?}"),
    };
    let utf7 = "a DELETE \"~peter/mail/&U,BTFw-/&ZeVnLIqe-\"";
    assert_eq!(decode(utf7, false).unwrap(), "~peter/mail/台北/日本語");
    assert_eq!(
        decode(utf7, true).unwrap(),
        "~peter/mail/&U,BTFw-/&ZeVnLIqe-"
    );
    assert_eq!(decode("a DELETE \"Entwürfe\"", true).unwrap(), "Entwürfe");
    assert_eq!(decode("a DELETE \"Entwürfe\"", false).unwrap(), "Entwürfe");
    assert!(decode("a DELETE \"R&D\"", false).is_err());
    assert!(MailboxArg(vec![0xff]).to_utf8(true).is_err());
    assert!(MailboxArg(vec![0xff]).to_utf8(false).is_err());
}

#[test]
fn lists() {
    let basic = |reference: &str, pattern: &str| {
        Command::List(List {
            reference: name(reference),
            patterns: vec![name(pattern)],
            ..List::default()
        })
    };
    assert_eq!(parse("A101 LIST \"\" \"\""), basic("", ""));
    assert_eq!(
        parse("A102 LIST #news.comp.mail.misc \"\""),
        basic("#news.comp.mail.misc", "")
    );
    assert_eq!(parse("A202 LIST ~/Mail/ %"), basic("~/Mail/", "%"));
    assert_eq!(parse("A01 LIST \"\" *"), basic("", "*"));
    assert_eq!(
        parse("A002 LSUB \"#news.\" \"comp.mail.*\""),
        Command::Lsub {
            reference: name("#news."),
            pattern: name("comp.mail.*"),
        }
    );
    let extended = |selection, patterns: &[&str], returns| {
        Command::List(List {
            reference: name(""),
            patterns: patterns.iter().map(|p| name(p)).collect(),
            selection,
            returns,
            extended: true,
        })
    };
    let subscribed = ListSelection {
        subscribed: true,
        ..ListSelection::default()
    };
    assert_eq!(
        parse("A02 LIST (SUBSCRIBED) \"\" \"*\""),
        extended(subscribed.clone(), &["*"], ListReturn::default())
    );
    assert_eq!(
        parse("A03 LIST () \"\" \"%\" RETURN (CHILDREN)"),
        extended(
            ListSelection::default(),
            &["%"],
            ListReturn {
                children: true,
                ..ListReturn::default()
            }
        )
    );
    assert_eq!(
        parse("A06 LIST (REMOTE) \"\" \"%\" RETURN (CHILDREN SUBSCRIBED)"),
        extended(
            ListSelection {
                remote: true,
                ..ListSelection::default()
            },
            &["%"],
            ListReturn {
                children: true,
                subscribed: true,
                ..ListReturn::default()
            }
        )
    );
    assert_eq!(
        parse("A08 LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (\"INBOX\" Drafts Sent/%)"),
        extended(
            ListSelection {
                recursive_match: true,
                ..subscribed
            },
            &["INBOX", "Drafts", "Sent/%"],
            ListReturn::default()
        )
    );
    assert_eq!(
        parse(
            "A02 LIST (SPECIAL-USE) \"\" % RETURN (STATUS (MESSAGES UNSEEN) SPECIAL-USE MYRIGHTS)"
        ),
        extended(
            ListSelection {
                special_use: true,
                ..ListSelection::default()
            },
            &["%"],
            ListReturn {
                special_use: true,
                myrights: true,
                status: vec![StatusItem::Messages, StatusItem::Unseen],
                ..ListReturn::default()
            }
        )
    );
    assert_eq!(
        parse("A02 LIST \"\" % RETURN ()"),
        extended(ListSelection::default(), &["%"], ListReturn::default())
    );
}

#[test]
fn searches() {
    assert_eq!(
        keys("A282 SEARCH RETURN (MIN COUNT) FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\""),
        vec![
            SearchKey::Flagged,
            SearchKey::Since(Date::new(1994, 2, 1).unwrap()),
            SearchKey::Not(Box::new(SearchKey::From(b"Smith".to_vec()))),
        ]
    );
    assert_eq!(
        parse("A283 SEARCH RETURN () FLAGGED"),
        Command::Search(Search {
            uid: false,
            charset: None,
            keys: vec![SearchKey::Flagged],
            returns: Some(vec![]),
        })
    );
    assert_eq!(
        parse("A285 UID SEARCH RETURN (MIN MAX SAVE) CHARSET UTF-8 TEXT {12}\r\nпривет"),
        Command::Search(Search {
            uid: true,
            charset: Some("UTF-8".into()),
            keys: vec![SearchKey::Text("привет".into())],
            returns: Some(vec![
                SearchReturn::Min,
                SearchReturn::Max,
                SearchReturn::Save
            ]),
        })
    );
    assert_eq!(
        keys("A284 SEARCH TEXT \"string not in mailbox\""),
        vec![SearchKey::Text(b"string not in mailbox".to_vec())]
    );
    assert_eq!(
        keys("a SEARCH 2,4:7,9,12:* UID 1:* $"),
        vec![
            SearchKey::Sequence(set("2,4:7,9,12:*")),
            SearchKey::Uid(set("1:*")),
            SearchKey::Sequence(SequenceSet::saved_result()),
        ]
    );
    assert_eq!(
        keys("a SEARCH OR (SEEN KEYWORD $Junk) NOT DELETED HEADER List-Id \"\""),
        vec![
            SearchKey::Or(
                Box::new(SearchKey::And(vec![
                    SearchKey::Seen,
                    SearchKey::Keyword(keyword("$Junk")),
                ])),
                Box::new(SearchKey::Not(Box::new(SearchKey::Deleted))),
            ),
            SearchKey::Header("List-Id".into(), vec![]),
        ]
    );
    assert_eq!(
        keys("a SEARCH SENTON \"25-Dec-2020\" LARGER 4294967296 SMALLER 0 UNKEYWORD x NEW OLD"),
        vec![
            SearchKey::SentOn(Date::new(2020, 12, 25).unwrap()),
            SearchKey::Larger(4_294_967_296),
            SearchKey::Smaller(0),
            SearchKey::Unkeyword(keyword("x")),
            SearchKey::New,
            SearchKey::Old,
        ]
    );
    assert_eq!(
        keys("a SEARCH MODSEQ \"/flags/\\\\draft\" all 620162338 MODSEQ 720162338 YOUNGER 259200"),
        vec![
            SearchKey::ModSeq {
                entry: Some(("/flags/\\draft".into(), "all".into())),
                value: 620_162_338,
            },
            SearchKey::ModSeq {
                entry: None,
                value: 720_162_338,
            },
            SearchKey::Younger(259_200),
        ]
    );
    assert_eq!(
        keys("a SEARCH FUZZY (SUBJECT \"IMAP break\") SAVEDSINCE 1-Jan-2020 EMAILID M00000001"),
        vec![
            SearchKey::Fuzzy(Box::new(SearchKey::And(vec![SearchKey::Subject(
                b"IMAP break".to_vec()
            )]))),
            SearchKey::SavedSince(Date::new(2020, 1, 1).unwrap()),
            SearchKey::EmailId("M00000001".into()),
        ]
    );
}

#[test]
fn fetches() {
    assert_eq!(
        parse("A654 FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])"),
        Command::Fetch {
            uid: false,
            set: set("2:4"),
            items: vec![
                FetchItem::Flags,
                FetchItem::BodySection {
                    section: fields(&["DATE", "FROM"], false),
                    partial: None,
                    peek: false,
                },
            ],
            modifiers: vec![],
        }
    );
    assert_eq!(
        parse("s100 UID FETCH 1:* (FLAGS MODSEQ) (CHANGEDSINCE 12345 VANISHED)"),
        Command::Fetch {
            uid: true,
            set: set("1:*"),
            items: vec![FetchItem::Flags, FetchItem::ModSeq],
            modifiers: vec![FetchModifier::ChangedSince(12_345), FetchModifier::Vanished],
        }
    );
    let fast = [
        FetchItem::Flags,
        FetchItem::InternalDate,
        FetchItem::Rfc822Size,
    ];
    assert_eq!(items("a FETCH 1 FAST"), fast);
    assert_eq!(items("a FETCH 1 all")[..3], fast);
    assert_eq!(items("a FETCH 1 all")[3..], [FetchItem::Envelope]);
    assert_eq!(
        items("a FETCH 1 FULL")[3..],
        [FetchItem::Envelope, FetchItem::Body]
    );
    assert_eq!(
        items("a FETCH 1 BODY[]<0.2048>"),
        [FetchItem::BodySection {
            section: Section::Full,
            partial: Some(Partial {
                origin: 0,
                length: 2048,
            }),
            peek: false,
        }]
    );
    assert_eq!(items("a FETCH 1 BODY"), [FetchItem::Body]);
    assert_eq!(
        items("a FETCH 1 (BODY BODYSTRUCTURE ENVELOPE UID INTERNALDATE RFC822.SIZE)"),
        [
            FetchItem::Body,
            FetchItem::BodyStructure,
            FetchItem::Envelope,
            FetchItem::Uid,
            FetchItem::InternalDate,
            FetchItem::Rfc822Size,
        ]
    );
    assert_eq!(
        items("a FETCH 1 (RFC822 RFC822.HEADER RFC822.TEXT)"),
        [
            FetchItem::Rfc822,
            FetchItem::Rfc822Header,
            FetchItem::Rfc822Text,
        ]
    );
    let part = |path: &[u32], what| {
        peek(Section::Part {
            path: path.to_vec(),
            what,
        })
    };
    assert_eq!(
        items(
            "a FETCH 1 (BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[HEADER.FIELDS.NOT (\"To\")] \
             BODY.PEEK[4.2.2.1] BODY.PEEK[3.HEADER] BODY.PEEK[4.1.MIME] BODY.PEEK[3.TEXT] \
             BODY.PEEK[2.HEADER.FIELDS (Subject)])"
        ),
        [
            peek(Section::Header),
            peek(Section::Text),
            peek(fields(&["To"], true)),
            part(&[4, 2, 2, 1], PartWhat::Body),
            part(&[3], PartWhat::Header),
            part(&[4, 1], PartWhat::Mime),
            part(&[3], PartWhat::Text),
            part(
                &[2],
                PartWhat::HeaderFields {
                    names: vec!["Subject".into()],
                    not: false,
                }
            ),
        ]
    );
    assert_eq!(
        items("a FETCH 1 (BINARY[1] BINARY.PEEK[1.2]<5.10> BINARY.SIZE[3] PREVIEW (LAZY) PREVIEW)"),
        [
            FetchItem::Binary {
                path: vec![1],
                partial: None,
                peek: false,
            },
            FetchItem::Binary {
                path: vec![1, 2],
                partial: Some(Partial {
                    origin: 5,
                    length: 10,
                }),
                peek: true,
            },
            FetchItem::BinarySize { path: vec![3] },
            FetchItem::Preview { lazy: true },
            FetchItem::Preview { lazy: false },
        ]
    );
}

#[test]
fn partials_stay_inside_the_octets() {
    let cut = |origin, length| Partial { origin, length }.slice(b"0123456789").to_vec();
    assert_eq!(cut(0, 4), b"0123");
    assert_eq!(cut(8, 4), b"89");
    assert_eq!(cut(10, 4), b"");
    assert_eq!(cut(u64::MAX, u64::MAX), b"");
    assert_eq!(cut(3, u64::MAX), b"3456789");
}

#[test]
fn stores_copies_and_moves() {
    assert_eq!(
        parse("A003 STORE 2:4 +FLAGS (\\Deleted)"),
        Command::Store {
            uid: false,
            set: set("2:4"),
            modifiers: vec![],
            mode: StoreMode::Add,
            silent: false,
            flags: vec![Flag::Deleted],
        }
    );
    assert_eq!(
        parse("d105 UID STORE 7,5,9 (UNCHANGEDSINCE 320162338) -FLAGS.SILENT \\seen $MDNSent"),
        Command::Store {
            uid: true,
            set: set("7,5,9"),
            modifiers: vec![StoreModifier::UnchangedSince(320_162_338)],
            mode: StoreMode::Remove,
            silent: true,
            flags: vec![Flag::Seen, Flag::Keyword(keyword("$mdnsent"))],
        }
    );
    assert_eq!(
        parse("a STORE 1 FLAGS ()"),
        Command::Store {
            uid: false,
            set: set("1"),
            modifiers: vec![],
            mode: StoreMode::Replace,
            silent: false,
            flags: vec![],
        }
    );
    assert_eq!(
        parse("A003 COPY 2:4 MEETING"),
        Command::Copy {
            uid: false,
            set: set("2:4"),
            mailbox: name("MEETING"),
        }
    );
    assert_eq!(
        parse("a UID MOVE 42:69 foo"),
        Command::Move {
            uid: true,
            set: set("42:69"),
            mailbox: name("foo"),
        }
    );
    assert_eq!(
        parse("A003 UID EXPUNGE 3000:3002"),
        Command::UidExpunge {
            set: set("3000:3002"),
        }
    );
}

#[test]
fn access_control() {
    let rights = |letters: &str| letters.parse().unwrap();
    for (line, mode, letters) in [
        ("A035 SETACL INBOX John lrQswicda", AclMode::Replace, None),
        (
            "A035 SETACL INBOX John lrswicda",
            AclMode::Replace,
            Some("lrswicda"),
        ),
        ("A036 SETACL INBOX John +te", AclMode::Add, Some("te")),
        ("A036 SETACL INBOX John -kx", AclMode::Remove, Some("kx")),
        ("A036 SETACL INBOX John \"\"", AclMode::Replace, Some("")),
    ] {
        let parsed = parse_command(format!("{line}\r\n").as_bytes());
        match letters {
            None => assert!(parsed.is_err(), "{line}"),
            Some(letters) => assert_eq!(
                parsed.unwrap().1,
                Command::SetAcl {
                    mailbox: name("INBOX"),
                    identifier: "John".into(),
                    mode,
                    rights: rights(letters),
                },
                "{line}"
            ),
        }
    }
    assert_eq!(
        parse("B001 DELETEACL INBOX -Fred"),
        Command::DeleteAcl {
            mailbox: name("INBOX"),
            identifier: "-Fred".into(),
        }
    );
    assert_eq!(
        parse("A002 GETACL INBOX"),
        Command::GetAcl {
            mailbox: name("INBOX"),
        }
    );
    assert_eq!(
        parse("a001 LISTRIGHTS ~/Mail/saved smith"),
        Command::ListRights {
            mailbox: name("~/Mail/saved"),
            identifier: "smith".into(),
        }
    );
    assert_eq!(
        parse("A003 MYRIGHTS INBOX"),
        Command::MyRights {
            mailbox: name("INBOX"),
        }
    );
}

#[test]
fn sequence_sets() {
    let numbers = |text: &str, max| set(text).iter(max).collect::<Vec<_>>();
    // RFC 9051 section 9, the examples at sequence-set.
    assert_eq!(
        numbers("2,4:7,9,12:*", 15),
        [2, 4, 5, 6, 7, 9, 12, 13, 14, 15]
    );
    assert_eq!(numbers("*:4,5:7", 10), [4, 5, 6, 7, 8, 9, 10]);
    assert!(
        set("3291:*").contains(17, 17),
        "* may be below the other end"
    );
    assert_eq!(numbers("4:2", 9), [2, 3, 4]);
    assert_eq!(numbers("1:4294967295", 3), [1, 2, 3]);
    assert_eq!(numbers("5,1,5,2:3,3:4", 9), [1, 2, 3, 4, 5]);
    assert_eq!(set("1:3,2:9,11").resolve(20), [1..=9, 11..=11]);
    assert_eq!(set("1:4294967295,7").resolve(20), [1..=u32::MAX]);
    assert_eq!(set("2,9:7,*").largest_number(), Some(9));
    assert_eq!(set("*").largest_number(), None);
    assert_eq!(set("*").resolve(0), [1..=1]);
    assert!(set("$").is_saved_result());
    assert_eq!(set("$").to_string(), "$");
    for same in ["1", "1:*", "*:4,5:7", "2,4:7,9,12:*", "7:3"] {
        assert_eq!(set(same).to_string(), same);
    }
    let compact = |numbers: &[u32]| SequenceSet::from_numbers(numbers.iter().copied());
    assert_eq!(
        compact(&[1, 2, 3, 7, 9, 10]).unwrap().to_string(),
        "1:3,7,9:10"
    );
    assert_eq!(compact(&[3, 2, 1]).unwrap().to_string(), "3,2,1");
    assert_eq!(compact(&[]), None);
    assert_eq!(
        set("304,319:320").fixed_ranges().unwrap(),
        [304..=304, 319..=320]
    );
    assert_eq!(set("1:*").fixed_ranges(), None);
    let wide = |ranges: usize| vec!["1"; ranges].join(",");
    assert!(SequenceSet::parse(wide(murder_imap::sequence::MAX_RANGES).as_bytes()).is_ok());
    assert!(SequenceSet::parse(wide(murder_imap::sequence::MAX_RANGES + 1).as_bytes()).is_err());
}

#[test]
fn dates() {
    use murder_imap::DateTime;
    assert_eq!(Date::new(1970, 1, 1).unwrap().days_since_epoch(), 0);
    assert_eq!(Date::new(2000, 3, 1).unwrap().days_since_epoch(), 11_017);
    assert_eq!(Date::new(2023, 2, 29), None);
    assert_eq!(Date::new(1900, 2, 29), None);
    assert!(Date::new(2000, 2, 29).is_some());
    for days in (-719_528..2_932_897).step_by(97) {
        assert_eq!(Date::from_days_since_epoch(days).days_since_epoch(), days);
    }
    assert_eq!(
        Date::from_days_since_epoch(i64::MAX).to_string(),
        "31-Dec-9999"
    );
    assert_eq!(
        Date::from_days_since_epoch(i64::MIN).to_string(),
        "1-Jan-0000"
    );
    let example = DateTime {
        unix: 760_168_345,
        offset_minutes: -480,
    };
    assert_eq!(example.to_string(), " 1-Feb-1994 21:52:25 -0800");
    assert_eq!(example.local_date(), Date::new(1994, 2, 1).unwrap());
    assert_eq!(
        DateTime::utc(example.unix).local_date(),
        Date::new(1994, 2, 2).unwrap()
    );
}

#[test]
fn keywords_compare_without_case() {
    use std::collections::HashSet;
    let set: HashSet<Keyword> = [keyword("$Junk"), keyword("$JUNK"), keyword("$junk")].into();
    assert_eq!(set.len(), 1);
    assert_eq!(Flag::parse("\\SEEN").unwrap(), Flag::Seen);
    assert_eq!(Flag::parse("\\XFoo").unwrap().to_string(), "\\XFoo");
    for bad in ["", "\\", "a b", "\\*", "(", "a\\b", "ü", "a]"] {
        assert!(Flag::parse(bad).is_err(), "{bad}");
    }
}

/// What is refused with a tagged BAD.
const BAD: &[&str] = &[
    "a",
    "a ",
    "a  NOOP",
    "a NOOP ",
    "a NOOP x",
    "a FROBNICATE",
    "a UID",
    "a UID NOOP",
    "a UID  FETCH 1 FLAGS",
    "a LOGIN",
    "a LOGIN user",
    "a LOGIN user pass more",
    "a LOGIN user \"pass",
    "a LOGIN user \"pa\\ss\"",
    "a LOGIN us(er pass",
    "a LOGIN {4}\r\nuser{4}\r\npass",
    "a LOGIN \"\u{7f}\0\" x",
    "a AUTHENTICATE",
    "a AUTHENTICATE PLAIN not_base64",
    "a AUTHENTICATE PLAIN dGVzdA",
    "a ENABLE",
    "a ID",
    "a ID (\"name\")",
    "a ID (\"name\" \"x\"",
    "a ID (name x)",
    "a LIST",
    "a LIST \"\"",
    "a LIST \"\" (",
    "a LIST \"\" ()",
    "a LIST (RECURSIVEMATCH) \"\" *",
    "a LIST (REMOTE RECURSIVEMATCH) \"\" *",
    "a LIST (WHATEVER) \"\" *",
    "a LIST \"\" * RETURN",
    "a LIST \"\" * RETURN (WHATEVER)",
    "a LIST \"\" * RETURN (STATUS ())",
    "a LIST \"\" * RETURN (STATUS (WHATEVER))",
    "a LSUB \"\"",
    "a SUBSCRIBE",
    "a CREATE",
    "a CREATE x (WHATEVER y)",
    "a CREATE x (USE \\Sent)",
    "a CREATE x ()",
    "a RENAME x",
    "a RENAME a b c d",
    "a STATUS INBOX",
    "a STATUS INBOX ()",
    "a STATUS INBOX MESSAGES",
    "a STATUS INBOX (MESSAGES FOO)",
    "a SELECT",
    "a SELECT INBOX ()",
    "a SELECT INBOX (FOO)",
    "a SELECT INBOX (FOO (bar))",
    "a SELECT INBOX (QRESYNC (0 1))",
    "a SELECT INBOX (QRESYNC (1 1 1:*))",
    "a SELECT INBOX \u{fc}",
    "a UID EXPUNGE",
    "a SEARCH",
    "a SEARCH ()",
    "a SEARCH FOO",
    "a SEARCH NOT",
    "a SEARCH OR SEEN",
    "a SEARCH (SEEN",
    "a SEARCH SEEN)",
    "a SEARCH 0",
    "a SEARCH 1:",
    "a SEARCH 1,,2",
    "a SEARCH $,1",
    "a SEARCH 4294967296",
    "a SEARCH SINCE 30-Feb-2020",
    "a SEARCH SINCE 1-Foo-2020",
    "a SEARCH SINCE \"1-Feb-2020",
    "a SEARCH LARGER -1",
    "a SEARCH LARGER 9223372036854775808",
    "a SEARCH KEYWORD \\Seen",
    "a SEARCH OLDER 0",
    "a SEARCH CHARSET UTF-8",
    "a SEARCH RETURN (FOO) ALL",
    "a SEARCH RETURN MIN ALL",
    "a SEARCH MODSEQ \"/flags/x\" public 1",
    "a FETCH",
    "a FETCH 1",
    "a FETCH 1 ()",
    "a FETCH 1 (ALL)",
    "a FETCH 1 FOO",
    "a FETCH 1 (FLAGS",
    "a FETCH 1 (FLAGS  UID)",
    "a FETCH 0 FLAGS",
    "a FETCH x FLAGS",
    "a FETCH +1 FLAGS",
    "a FETCH 1 BODY[",
    "a FETCH 1 BODY[FOO]",
    "a FETCH 1 BODY[0]",
    "a FETCH 1 BODY[1.]",
    "a FETCH 1 BODY[1..2]",
    "a FETCH 1 BODY[MIME]",
    "a FETCH 1 BODY[HEADER.FIELDS ()]",
    "a FETCH 1 BODY[HEADER.FIELDS]",
    "a FETCH 1 BODY[]<0>",
    "a FETCH 1 BODY[]<0.0>",
    "a FETCH 1 BODY[]<1.-1>",
    "a FETCH 1 BODY.PEEK",
    "a FETCH 1 FLAGS (FOO 1)",
    "a STORE 1",
    "a STORE 1 FLAGS",
    "a STORE 1 *FLAGS (\\Seen)",
    "a STORE 1 FLAGS (\\Seen",
    "a STORE 1 FLAGS (\\*)",
    "a STORE 1 +FLAGS.LOUD (\\Seen)",
    "a STORE 1 (FOO 1) FLAGS (\\Seen)",
    "a COPY 1",
    "a COPY INBOX 1",
    "a MOVE 1",
    "a SETACL INBOX x",
    "a SETACL INBOX x +l+r",
    "a DELETEACL INBOX",
    "a MYRIGHTS",
    "a APPEND INBOX hello",
    "a APPEND",
];

#[test]
fn bad_commands() {
    for line in BAD {
        let fault = parse_command(format!("{line}\r\n").as_bytes())
            .map(|(_, command)| panic!("{line:?} is {command:?}"))
            .unwrap_err();
        assert_eq!(fault.tag.unwrap().as_str(), "a", "{line}");
        assert!(!fault.text.is_empty());
    }
    for line in [
        "", "* NOOP", "+ NOOP", "a+b NOOP", "(a NOOP", "\0\0", "ü NOOP", " NOOP",
    ] {
        let fault = parse_command(format!("{line}\r\n").as_bytes()).unwrap_err();
        assert_eq!(fault.tag, None, "{line}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| {
        [
            format!(
                "a SEARCH {}SEEN{}\r\n",
                "(".repeat(depth),
                ")".repeat(depth)
            ),
            format!("a SEARCH {}SEEN\r\n", "NOT ".repeat(depth)),
            format!(
                "a SEARCH {}SEEN{}\r\n",
                "OR ".repeat(depth),
                " SEEN".repeat(depth)
            ),
            format!(
                "a SEARCH {}SEEN{}\r\n",
                "(NOT ".repeat(depth / 2),
                ")".repeat(depth / 2)
            ),
        ]
    };
    for line in nested(100) {
        assert!(parse_command(line.as_bytes()).is_ok(), "{line}");
    }
    for depth in [101, 1_001, 100_000] {
        for line in &nested(depth)[..3] {
            let fault = parse_command(line.as_bytes()).unwrap_err();
            assert_eq!(fault.text, "SEARCH: expected less nesting");
        }
    }
    // Not nested, so a long list is fine.
    let wide = format!("a SEARCH {}\r\n", vec!["SEEN"; 10_000].join(" "));
    assert!(parse_command(wide.as_bytes()).is_ok());
    let parts = format!("a FETCH 1 BODY[{}]\r\n", vec!["1"; 10_000].join("."));
    assert!(parse_command(parts.as_bytes()).is_err());
    for text in [
        "a SELECT x (F ",
        "a FETCH 1 FLAGS (F ",
        "a LIST ",
        "a CREATE x (F ",
    ] {
        let line = format!("{text}{}\r\n", "(".repeat(30_000));
        assert!(parse_command(line.as_bytes()).is_err());
    }
}

#[test]
fn bare_line_feeds_end_lines() {
    assert_eq!(parse_command(b"a NOOP\n").unwrap().1, Command::Noop);
    assert!(parse_command(b"a NOOP").is_err());
    assert!(parse_command(b"a NOOP\r\nx").is_err());
}
