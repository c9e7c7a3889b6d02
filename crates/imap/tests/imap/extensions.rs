//! SORT, THREAD, ESEARCH, NOTIFY, METADATA, QUOTA, REPLACE and others: the examples of their RFCs,
//! and what is refused.

use murder_imap::{
    AppendData, Code, Command, CommandReader, ContextUpdate, Event, EventGroup, FetchItem,
    GetMetadata, LiteralHead, MailboxArg, MailboxFilter, MetadataDepth, MultiSearch, Notify,
    NotifyEvent, QuotaResource, Replaced, Response, SearchKey, SearchReturn, SequenceSet, Sort,
    SortCriterion, SortKey, Tag, Thread, ThreadAlgorithm, ThreadList, Untagged, parse_command,
    response,
};

use crate::script::{Script, run};

fn parse(line: &str) -> Command {
    match parse_command(format!("{line}\r\n").as_bytes()) {
        Ok((_, command)) => command,
        Err(fault) => panic!("{line}: {fault}"),
    }
}

fn refused(line: &str) -> String {
    match parse_command(format!("{line}\r\n").as_bytes()) {
        Ok((_, command)) => panic!("{line}: {command:?}"),
        Err(fault) => fault.text,
    }
}

fn untagged(line: &str) -> Untagged {
    match response::parse(format!("{line}\r\n").as_bytes()) {
        Ok(Response::Untagged(untagged)) => untagged,
        other => panic!("{line}: {other:?}"),
    }
}

fn name(name: &str) -> MailboxArg {
    MailboxArg::from(name)
}

/// RFC 5256 section 3.
#[test]
fn sort() {
    let by = |key| SortCriterion {
        reverse: false,
        key,
    };
    assert_eq!(
        parse("A282 SORT (SUBJECT) UTF-8 SINCE 1-Feb-1994"),
        Command::Sort(Sort {
            uid: false,
            returns: None,
            criteria: vec![by(SortKey::Subject)],
            charset: "UTF-8".into(),
            keys: vec![SearchKey::Since(
                murder_imap::Date::new(1994, 2, 1).unwrap()
            )],
        })
    );
    let Command::Sort(sort) = parse(
        "E01 UID SORT RETURN (COUNT MIN MAX) (REVERSE DATE displayfrom) \"US-ASCII\" UNDELETED ALL",
    ) else {
        panic!("no SORT");
    };
    assert!(sort.uid);
    assert_eq!(
        sort.returns,
        Some(vec![
            SearchReturn::Count,
            SearchReturn::Min,
            SearchReturn::Max
        ])
    );
    let reversed = SortCriterion {
        reverse: true,
        key: SortKey::Date,
    };
    assert_eq!(sort.criteria, [reversed, by(SortKey::DisplayFrom)]);
    assert_eq!(sort.keys, [SearchKey::Undeleted, SearchKey::All]);
    for line in [
        "a SORT () UTF-8 ALL",
        "a SORT (REVERSE) UTF-8 ALL",
        "a SORT (COLOUR) UTF-8 ALL",
        "a SORT (DATE) UTF-8",
        "a SORT DATE UTF-8 ALL",
        "a THREAD REFS UTF-8 ALL",
    ] {
        refused(line);
    }
    assert_eq!(
        untagged("* SORT 2 84 882"),
        Untagged::Sort {
            numbers: vec![2, 84, 882],
            modseq: None
        }
    );
    assert_eq!(
        untagged("* SORT 2 3 5 6 (MODSEQ 117)"),
        Untagged::Sort {
            numbers: vec![2, 3, 5, 6],
            modseq: Some(117)
        }
    );
    assert_eq!(
        untagged("* SORT"),
        Untagged::Sort {
            numbers: vec![],
            modseq: None
        }
    );
}

/// RFC 5256 sections 3 and 4.
#[test]
fn thread() {
    assert_eq!(
        parse("A284 UID THREAD ORDEREDSUBJECT US-ASCII TEXT \"gewp\""),
        Command::Thread(Thread {
            uid: true,
            algorithm: ThreadAlgorithm::OrderedSubject,
            charset: "US-ASCII".into(),
            keys: vec![SearchKey::Text(b"gewp".to_vec())],
        })
    );
    let list = |messages: &[u32], replies: Vec<ThreadList>| ThreadList {
        messages: messages.to_vec(),
        replies,
    };
    assert_eq!(
        untagged("* THREAD (2)(3 6 (4 23)(44 7 96))"),
        Untagged::Thread(vec![
            list(&[2], vec![]),
            list(
                &[3, 6],
                vec![list(&[4, 23], vec![]), list(&[44, 7, 96], vec![])]
            ),
        ])
    );
    assert_eq!(
        untagged("* THREAD ((3)(5))"),
        Untagged::Thread(vec![list(
            &[],
            vec![list(&[3], vec![]), list(&[5], vec![])]
        )])
    );
    assert_eq!(untagged("* THREAD"), Untagged::Thread(vec![]));
    let deep = format!("* THREAD {}1{}\r\n", "(".repeat(5_000), ")".repeat(5_000));
    assert!(response::parse(deep.as_bytes()).is_err());
}

/// RFC 7377 section 3.
#[test]
fn multi_search() {
    assert_eq!(
        parse("tag1 ESEARCH IN (mailboxes \"folder1\" subtree \"folder2\") unseen"),
        Command::MultiSearch(MultiSearch {
            sources: Some(vec![
                MailboxFilter::Mailboxes(vec![name("folder1")]),
                MailboxFilter::Subtree(vec![name("folder2")]),
            ]),
            returns: None,
            charset: None,
            keys: vec![SearchKey::Unseen],
        })
    );
    let Command::MultiSearch(search) = parse(
        "tag2 ESEARCH IN (mailboxes (a \"b c\") subtree-one d personal) RETURN (COUNT) CHARSET UTF-8 ALL",
    ) else {
        panic!("no ESEARCH");
    };
    assert_eq!(
        search.sources,
        Some(vec![
            MailboxFilter::Mailboxes(vec![name("a"), name("b c")]),
            MailboxFilter::SubtreeOne(vec![name("d")]),
            MailboxFilter::Personal,
        ])
    );
    refused("a ESEARCH IN (selected-delayed) ALL");
    refused("a ESEARCH IN () ALL");
    refused("a ESEARCH IN (subtree) ALL");
    let Untagged::Esearch(found) =
        untagged("* ESEARCH (TAG \"tag1\" MAILBOX \"folder1\" UIDVALIDITY 1) UID ALL 4001,4003")
    else {
        panic!("no ESEARCH");
    };
    assert_eq!(found.tag.as_deref(), Some("tag1"));
    assert_eq!(found.mailbox, Some(name("folder1")));
    assert_eq!(found.uidvalidity, Some(1));
    assert_eq!(found.all, SequenceSet::from_numbers([4001, 4003]));
    // RFC 6203 section 4.
    let Untagged::Esearch(found) = untagged("* ESEARCH (TAG \"B1\") UID ALL 5,10 RELEVANCY (4 99)")
    else {
        panic!("no ESEARCH");
    };
    assert_eq!(found.relevancy, [4, 99]);
}

/// RFC 5267 sections 4.2 and 4.3, RFC 5465 section 7.
#[test]
fn contexts() {
    let returns = |line: &str| match parse(line) {
        Command::Search(search) => search.returns.unwrap(),
        Command::Sort(sort) => sort.returns.unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        returns("A01 SEARCH RETURN (CONTEXT COUNT) UNDELETED UNKEYWORD $Junk"),
        [SearchReturn::Context, SearchReturn::Count]
    );
    assert_eq!(
        returns("B01 UID SEARCH RETURN (UPDATE COUNT) DELETED KEYWORD $Junk"),
        [SearchReturn::Update(Vec::new()), SearchReturn::Count]
    );
    let items = vec![FetchItem::Uid, FetchItem::Flags];
    for line in [
        "a00 SEARCH RETURN (UPDATE (UID FLAGS) COUNT) FROM \"boss\"",
        "a00 SORT RETURN (UPDATE(UID FLAGS) COUNT) (DATE) UTF-8 FROM \"boss\"",
    ] {
        assert_eq!(
            returns(line),
            [SearchReturn::Update(items.clone()), SearchReturn::Count]
        );
    }
    refused("a SEARCH RETURN (UPDATE ()) ALL");
    refused("a SEARCH RETURN (UPDATE UID) ALL");
    let many = "UID ".repeat(1001);
    refused(&format!(
        "a SEARCH RETURN (UPDATE ({})) ALL",
        many.trim_end()
    ));
    let tag = |tag: &str| Tag::new(tag).unwrap();
    assert_eq!(
        parse("B04 CANCELUPDATE \"B01\" \"B[2]\""),
        Command::CancelUpdate {
            tags: vec![tag("B01"), tag("B[2]")],
        }
    );
    refused("B04 CANCELUPDATE");
    refused("B04 CANCELUPDATE B01");
    refused("B04 CANCELUPDATE \"+\"");
    refused("B04 CANCELUPDATE \"\"");
    let set = |text: &str| SequenceSet::parse(text.as_bytes()).unwrap();
    let Untagged::Esearch(found) = untagged(
        "* ESEARCH (TAG \"C01\") UID ADDTO (1 2733) ADDTO (1 2731:2732) REMOVEFROM (0 7 3 2,1)",
    ) else {
        panic!("no ESEARCH");
    };
    assert!(found.uid);
    assert_eq!(
        found.updates,
        [
            ContextUpdate::AddTo(vec![(1, set("2733"))]),
            ContextUpdate::AddTo(vec![(1, set("2731:2732"))]),
            ContextUpdate::RemoveFrom(vec![(0, set("7")), (3, set("2,1"))]),
        ]
    );
    assert!(response::parse(b"* ESEARCH (TAG \"C01\") ADDTO ()\r\n").is_err());
    assert!(response::parse(b"* ESEARCH (TAG \"C01\") ADDTO (1)\r\n").is_err());
    let Untagged::Status { code, .. } = untagged("* NO [NOUPDATE \"B02\"] Too many contexts")
    else {
        panic!("no NO");
    };
    assert_eq!(code, Some(Code::NoUpdate("B02".into())));
}

/// RFC 5465 section 3.1 and others.
#[test]
fn notify() {
    let Command::Notify(Notify::Set { status, groups }) = parse(
        "a NOTIFY SET STATUS (selected MessageNew (uid body.peek[header.fields (from to subject)]) \
         MessageExpunge) (subtree Lists (MessageNew MessageExpunge))"
            .replace("selected MessageNew", "selected (MessageNew")
            .replace("MessageExpunge) (subtree", "MessageExpunge)) (subtree")
            .as_str(),
    ) else {
        panic!("no NOTIFY");
    };
    assert!(status);
    assert_eq!(groups[0].filter, MailboxFilter::Selected);
    let [NotifyEvent::MessageNew(items), NotifyEvent::MessageExpunge] = groups[0].events.as_slice()
    else {
        panic!("{:?}", groups[0].events);
    };
    assert_eq!(items[0], FetchItem::Uid);
    assert_eq!(
        groups[1],
        EventGroup {
            filter: MailboxFilter::Subtree(vec![name("Lists")]),
            events: vec![NotifyEvent::MessageNew(vec![]), NotifyEvent::MessageExpunge],
        }
    );
    assert_eq!(
        parse(
            "a NOTIFY SET (selected-delayed (messagenew MESSAGEEXPUNGE FlagChange Bogus)) (inboxes NONE)"
        ),
        Command::Notify(Notify::Set {
            status: false,
            groups: vec![
                EventGroup {
                    filter: MailboxFilter::SelectedDelayed,
                    events: vec![
                        NotifyEvent::MessageNew(vec![]),
                        NotifyEvent::MessageExpunge,
                        NotifyEvent::FlagChange,
                        NotifyEvent::Other("Bogus".into()),
                    ],
                },
                EventGroup {
                    filter: MailboxFilter::Inboxes,
                    events: vec![],
                },
            ],
        })
    );
    assert_eq!(parse("a NOTIFY NONE"), Command::Notify(Notify::None));
    for line in [
        "a NOTIFY",
        "a NOTIFY SET",
        "a NOTIFY SET STATUS",
        "a NOTIFY SET (personal ())",
        "a NOTIFY SET (subtree-one x NONE)",
        "a NOTIFY SET (selected NONE) (selected-delayed NONE)",
    ] {
        refused(line);
    }
}

/// RFC 5464 section 4.
#[test]
fn metadata() {
    let get = |max_size, depth, mailbox: &str, entries: &[&str]| {
        Command::GetMetadata(GetMetadata {
            mailbox: name(mailbox),
            max_size,
            depth,
            entries: entries.iter().map(|e| (*e).to_owned()).collect(),
        })
    };
    assert_eq!(
        parse("a GETMETADATA \"\" /shared/comment"),
        get(None, MetadataDepth::Zero, "", &["/shared/comment"])
    );
    assert_eq!(
        parse("a GETMETADATA \"INBOX\" (/shared/comment /private/comment)"),
        get(
            None,
            MetadataDepth::Zero,
            "INBOX",
            &["/shared/comment", "/private/comment"]
        )
    );
    let both = get(
        Some(1024),
        MetadataDepth::One,
        "INBOX",
        &["/private/filters/values"],
    );
    assert_eq!(
        parse("a GETMETADATA (MAXSIZE 1024 DEPTH 1) \"INBOX\" (/private/filters/values)"),
        both
    );
    // As the examples of section 4.2.1 and 4.2.2 have it.
    assert_eq!(
        parse("a GETMETADATA \"INBOX\" (depth 1 maxsize 1024) (/private/filters/values)"),
        both
    );
    assert_eq!(
        parse("a SETMETADATA INBOX (/private/comment \"My new comment\" /shared/x NIL)"),
        Command::SetMetadata {
            mailbox: name("INBOX"),
            entries: vec![
                ("/private/comment".into(), Some(b"My new comment".to_vec())),
                ("/shared/x".into(), None),
            ],
        }
    );
    assert_eq!(
        parse("a SETMETADATA \"\" (/shared/b ~{3+}\r\n\0\r\n)"),
        Command::SetMetadata {
            mailbox: name(""),
            entries: vec![("/shared/b".into(), Some(b"\0\r\n".to_vec()))],
        }
    );
    for line in [
        "a SETMETADATA INBOX ()",
        "a SETMETADATA INBOX (/shared/a)",
        "a SETMETADATA INBOX (/shared/* x)",
        "a SETMETADATA INBOX (/shared/a {1+}\r\n\0)",
        "a SETMETADATA \"\0\" (/shared/a NIL)",
        "a GETMETADATA INBOX ()",
        "a GETMETADATA (DEPTH 2) INBOX /shared/a",
        "a GETMETADATA (WIDTH 2) INBOX /shared/a",
    ] {
        refused(line);
    }
    assert_eq!(
        untagged("* METADATA \"\" (/shared/comment \"Shared comment\")"),
        Untagged::Metadata {
            mailbox: name(""),
            entries: vec![("/shared/comment".into(), Some(b"Shared comment".to_vec()))],
        }
    );
    assert_eq!(
        untagged("* METADATA INBOX /shared/comment /private/comment"),
        Untagged::MetadataChanged {
            mailbox: name("INBOX"),
            entries: vec!["/shared/comment".into(), "/private/comment".into()],
        }
    );
    let code = |line: &str| match response::parse(format!("{line}\r\n").as_bytes()) {
        Ok(Response::Tagged { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        code("a OK [METADATA LONGENTRIES 2199] done"),
        Some(Code::MetadataLongEntries(2199))
    );
    assert_eq!(
        code("a NO [METADATA TOOMANY] no"),
        Some(Code::MetadataTooMany)
    );
    assert_eq!(
        code("a NO [METADATA WHATEVER] no"),
        Some(Code::Other("METADATA WHATEVER".into()))
    );
}

/// RFC 9208 section 4.
#[test]
fn quota() {
    assert_eq!(
        parse("G0001 GETQUOTA \"!partition/sda4\""),
        Command::GetQuota {
            root: "!partition/sda4".into()
        }
    );
    assert_eq!(
        parse("G0002 GETQUOTAROOT INBOX"),
        Command::GetQuotaRoot {
            mailbox: name("INBOX")
        }
    );
    assert_eq!(
        parse("S0000 SETQUOTA \"#user/alice\" (STORAGE 510 message 3)"),
        Command::SetQuota {
            root: "#user/alice".into(),
            limits: vec![("STORAGE".into(), 510), ("MESSAGE".into(), 3)],
        }
    );
    assert_eq!(
        parse("S0001 SETQUOTA \"\" ()"),
        Command::SetQuota {
            root: String::new(),
            limits: vec![],
        }
    );
    refused("a SETQUOTA x STORAGE 1");
    refused("a SETQUOTA x (STORAGE -1)");
    refused("a SETQUOTA x (STORAGE 9223372036854775808)");
    assert_eq!(
        untagged("* QUOTA \"!partition/sda4\" (STORAGE 104 10923847)"),
        Untagged::Quota {
            root: "!partition/sda4".into(),
            resources: vec![QuotaResource {
                name: "STORAGE".into(),
                usage: 104,
                limit: 10_923_847
            }],
        }
    );
    assert_eq!(
        untagged("* QUOTAROOT INBOX \"#user/alice\" \"!partition/sda4\""),
        Untagged::QuotaRoot {
            mailbox: name("INBOX"),
            roots: vec!["#user/alice".into(), "!partition/sda4".into()],
        }
    );
    assert_eq!(
        untagged("* QUOTAROOT comp.mail.mime"),
        Untagged::QuotaRoot {
            mailbox: name("comp.mail.mime"),
            roots: vec![],
        }
    );
}

/// RFC 8508 section 3.
#[test]
fn replace() {
    let read = |text: &str| {
        let mut script = Script::cut(text.as_bytes(), &[]);
        run(async { CommandReader::default().next(&mut script).await.unwrap() })
    };
    let start = |text: &str| match read(text) {
        Event::Append(start) => start,
        other => panic!("{text}: {other:?}"),
    };
    let start_of = start("A003 REPLACE 4 Drafts (\\Seen \\Draft) {312}\r\n");
    let of = |uid, message: &str| {
        Some(Replaced {
            uid,
            message: SequenceSet::parse(message.as_bytes()).unwrap(),
        })
    };
    assert_eq!(start_of.replaces, of(false, "4"));
    assert_eq!(start_of.mailbox, name("Drafts"));
    let literal = LiteralHead {
        len: 312,
        sync: true,
        binary: false,
        utf8: false,
    };
    assert_eq!(start_of.data, AppendData::Literal(literal));
    let start_of =
        start("A004 UID REPLACE * {6+}\r\nDrafts \"25-Nov-2026 03:33:19 +0000\" {3}\r\n");
    assert_eq!(start_of.replaces, of(true, "*"));
    assert_eq!(start_of.mailbox, name("Drafts"));
    assert_eq!(start("a APPEND x {3}\r\n").replaces, None);
    for bad in [
        "a REPLACE 1:2 Drafts {3}\r\n",
        "a REPLACE 1,2 Drafts {3}\r\n",
        "a REPLACE $ Drafts {3}\r\n",
        "a UID REPLACE x Drafts {3}\r\n",
        "a REPLACE 1 Drafts\r\n",
    ] {
        // What announces a literal may be an argument of any command, and is asked for.
        match read(bad) {
            Event::Bad { .. } | Event::NeedContinuation => {}
            other => panic!("{bad}: {other:?}"),
        }
    }
}

/// RFC 4978, RFC 8437, RFC 9585, RFC 9586.
#[test]
fn others() {
    assert_eq!(
        parse("a COMPRESS DEFLATE"),
        Command::Compress {
            mechanism: "DEFLATE".into()
        }
    );
    assert_eq!(parse("a UNAUTHENTICATE"), Command::Unauthenticate);
    for (line, tag, done, goal) in [
        ("NIL NIL NIL", None, None, None),
        ("\"A001\" NIL NIL", Some("A001"), None, None),
        ("\"A001\" 175 NIL", Some("A001"), Some(175), None),
        ("\"A001\" 454 1000", Some("A001"), Some(454), Some(1000)),
    ] {
        let progress = untagged(&format!("* OK [INPROGRESS ({line})] Still working"));
        let Untagged::Status { code, .. } = progress else {
            panic!("{progress:?}");
        };
        let tag = tag.map(str::to_owned);
        let wanted = Code::InProgress { tag, done, goal };
        assert_eq!(wanted.to_string(), format!("INPROGRESS ({line})"));
        assert_eq!(code, Some(wanted));
    }
    let Ok(Response::Tagged { code, .. }) = response::parse(b"a BAD [UIDREQUIRED] no\r\n") else {
        panic!("no answer");
    };
    assert_eq!(code, Some(Code::UidRequired));
}
