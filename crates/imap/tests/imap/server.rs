//! Cutting a client's octets into commands.

use std::collections::VecDeque;

use murder_imap::server::{Limits, Line};
use murder_imap::{
    AppendData, AppendNext, CatPart, Command, CommandReader, Event, Flag, LiteralHead,
};
use proptest::prelude::*;

use crate::script::{Script, run};

/// What a session saw, in words.
#[derive(Debug, PartialEq, Eq, Clone)]
enum Seen {
    Command(String, &'static str),
    /// Tag, mailbox, and the messages, with URLs in `<>`.
    Append(String, String, Vec<Vec<u8>>),
    /// An APPEND that was refused.
    Refused(String),
    AppendBad(String),
    Continue,
    Bad(Option<String>),
    ValueTooLarge(String),
    Fatal,
    Eof,
    /// The stream ended inside an APPEND.
    Cut,
}

const LIMITS: Limits = Limits {
    command: 256,
    append: 2_000,
};

/// Reads everything as a server would: takes APPENDs up to the limit.
async fn session(mut script: Script) -> Vec<Seen> {
    let mut reader = CommandReader::new(LIMITS);
    let mut seen = Vec::new();
    loop {
        match reader.next(&mut script).await.unwrap() {
            Event::Command { tag, command } => {
                seen.push(Seen::Command(tag.to_string(), command.name()));
            }
            Event::NeedContinuation => seen.push(Seen::Continue),
            Event::Bad { tag, text } => {
                assert!(!text.is_empty());
                seen.push(Seen::Bad(tag.map(|t| t.to_string())));
            }
            Event::ValueTooLarge { tag } => seen.push(Seen::ValueTooLarge(tag.to_string())),
            Event::Fatal { .. } => {
                seen.push(Seen::Fatal);
                return seen;
            }
            Event::Eof => {
                seen.push(Seen::Eof);
                assert!(!reader.has_buffered());
                return seen;
            }
            Event::Append(start) => {
                let tag = start.tag.to_string();
                let mut messages = Vec::new();
                let mut message = Vec::new();
                let mut literal = literal_of(start.data);
                loop {
                    if let Some(head) = literal.take() {
                        if head.len > LIMITS.append {
                            seen.push(Seen::Refused(tag));
                            break;
                        }
                        if reader.accept_literal() {
                            seen.push(Seen::Continue);
                        }
                        loop {
                            match reader.read_literal_chunk(&mut script, 100).await {
                                Ok(Some(chunk)) => {
                                    assert!((1..=100).contains(&chunk.len()));
                                    message.extend_from_slice(&chunk);
                                }
                                Ok(None) => break,
                                Err(_) => {
                                    seen.push(Seen::Cut);
                                    return seen;
                                }
                            }
                        }
                    }
                    match reader.finish_append(&mut script).await {
                        Ok(AppendNext::Part(CatPart::Text(head))) => literal = Some(head),
                        Ok(AppendNext::Part(CatPart::Url(url))) => {
                            message.push(b'<');
                            message.extend(url);
                            message.push(b'>');
                        }
                        Ok(AppendNext::NeedContinuation) => seen.push(Seen::Continue),
                        Ok(AppendNext::Message(next)) => {
                            messages.push(std::mem::take(&mut message));
                            literal = literal_of(next.data);
                        }
                        Ok(AppendNext::End) => {
                            messages.push(message);
                            let name = start.mailbox.to_string();
                            seen.push(Seen::Append(tag, name, messages));
                            break;
                        }
                        Ok(AppendNext::Bad { .. }) => {
                            seen.push(Seen::AppendBad(tag));
                            break;
                        }
                        Ok(AppendNext::Fatal { .. }) => {
                            seen.push(Seen::Fatal);
                            return seen;
                        }
                        Err(_) => {
                            seen.push(Seen::Cut);
                            return seen;
                        }
                    }
                }
            }
        }
    }
}

fn literal_of(data: AppendData) -> Option<LiteralHead> {
    match data {
        AppendData::Literal(head) => Some(head),
        AppendData::Catenate => None,
    }
}

fn command(tag: &str, name: &'static str) -> Seen {
    Seen::Command(tag.into(), name)
}

fn bad(tag: &str) -> Seen {
    Seen::Bad(Some(tag.into()))
}

fn append(tag: &str, mailbox: &str, messages: &[&str]) -> Seen {
    Seen::Append(
        tag.into(),
        mailbox.into(),
        messages.iter().map(|m| m.as_bytes().to_vec()).collect(),
    )
}

/// Input and what is to be seen of it, whole, octet by octet, and cut anywhere.
fn check(input: &[u8], expected: &[Seen]) {
    let shown = String::from_utf8_lossy(input);
    let mut expected = expected.to_vec();
    if !matches!(expected.last(), Some(Seen::Fatal | Seen::Cut)) {
        expected.push(Seen::Eof);
    }
    assert_eq!(run(session(Script::whole(input))), expected, "{shown}");
    assert_eq!(run(session(Script::bytes(input))), expected, "{shown}");
    for at in 0..input.len().min(400) {
        assert_eq!(
            run(session(Script::cut(input, &[at]))),
            expected,
            "cut at {at}: {shown}"
        );
    }
}

#[test]
fn pipelined_commands() {
    check(
        b"a NOOP\r\nb CAPABILITY\nc LOGIN {4}\r\nuser {4+}\r\npass\r\nd LOGOUT\r\ne NOO",
        &[
            command("a", "NOOP"),
            command("b", "CAPABILITY"),
            Seen::Continue,
            command("c", "LOGIN"),
            command("d", "LOGOUT"),
        ],
    );
}

#[test]
fn literals_hold_line_breaks() {
    check(
        b"a LOGIN {4+}\r\n\r\n\r\n {6+}\r\na{5}\r\n\r\nb SELECT {3+}\r\nx\r\r\n\nc NOOP\r\n",
        &[
            command("a", "LOGIN"),
            // The literal ends with CR, and a bare LF follows it.
            command("b", "SELECT"),
            Seen::Bad(None),
            command("c", "NOOP"),
        ][..],
    );
}

#[test]
fn appends() {
    check(
        b"A003 APPEND saved-messages (\\Seen) {10}\r\nDate: Mon\n\r\n\
          b APPEND {5+}\r\nINBOX \" 7-Feb-1994 22:43:04 -0800\" {3+}\r\na\r\n\r\n\
          c APPEND x {0}\r\n\r\n\
          d APPEND x ~{2+}\r\n\0\0\r\n\
          e APPEND \"y z\" UTF8 (~{2+}\r\nhi)\r\n\
          f NOOP\r\n",
        &[
            Seen::Continue,
            append("A003", "saved-messages", &["Date: Mon\n"]),
            append("b", "INBOX", &["a\r\n"]),
            Seen::Continue,
            append("c", "x", &[""]),
            append("d", "x", &["\0\0"]),
            append("e", "y z", &["hi"]),
            command("f", "NOOP"),
        ],
    );
}

#[test]
fn several_messages_in_one_append() {
    check(
        b"A003 APPEND saved {3+}\r\none (\\Seen) {3}\r\ntwo \" 7-Feb-1994 22:43:04 -0800\" {5+}\r\nthree\r\n\
          b NOOP\r\n",
        &[
            Seen::Continue,
            append("A003", "saved", &["one", "two", "three"]),
            command("b", "NOOP"),
        ],
    );
}

/// A message that comes octet by octet may be kept as it comes.
#[test]
fn chunks_own_no_more_than_they_are() {
    run(async {
        let mut reader = CommandReader::new(LIMITS);
        let sent = format!("a APPEND x {{1000+}}\r\n{}\r\n", "y".repeat(1000));
        let mut script = Script::bytes(sent.as_bytes());
        let event = reader.next(&mut script).await.unwrap();
        assert!(matches!(event, Event::Append(_)));
        assert!(!reader.accept_literal());
        let mut held = 0;
        while let Some(chunk) = reader.read_literal_chunk(&mut script, 500).await.unwrap() {
            held += chunk.try_into_mut().unwrap().capacity();
        }
        assert!(held < 20_000, "{held}");
    });
}

#[test]
fn append_heads_are_typed() {
    run(async {
        let mut reader = CommandReader::default();
        let mut script = Script::whole(
            b"a APPEND box (\\Seen $Junk) \"17-Jul-1996 02:44:25 -0700\" {4294967296+}\r\n",
        );
        let Event::Append(start) = reader.next(&mut script).await.unwrap() else {
            panic!();
        };
        assert_eq!(start.mailbox, "box".into());
        assert_eq!(start.flags, [Flag::Seen, Flag::parse("$Junk").unwrap()]);
        let date = start.internal_date.unwrap();
        assert_eq!((date.unix, date.offset_minutes), (837_596_665, -420));
        let literal = literal_of(start.data).unwrap();
        assert_eq!(literal.len, 4_294_967_296);
        assert!(!literal.sync && !literal.binary);
    });
}

#[test]
fn refused_appends_are_skipped() {
    // A client that waits is refused by the answer; one that does not is read to the end.
    check(
        b"a APPEND x {2001}\r\nb NOOP\r\n",
        &[Seen::Refused("a".into()), command("b", "NOOP")],
    );
    // One above the limit for messages, and one above what is skipped.
    for (len, last) in [(2_001, command("b", "NOOP")), (2_257, Seen::Fatal)] {
        let mut input = format!("a APPEND x {{{len}+}}\r\n").into_bytes();
        input.resize(input.len() + len, b'\n');
        input.extend_from_slice(b"\r\nb NOOP\r\n");
        check(&input, &[Seen::Refused("a".into()), last]);
    }
    check(
        b"a APPEND x {99999999999+}\r\nzzz",
        &[Seen::Refused("a".into()), Seen::Fatal],
    );
}

#[test]
fn an_append_that_is_dropped_is_skipped() {
    run(async {
        let mut reader = CommandReader::new(LIMITS);
        let mut script = Script::bytes(
            b"a APPEND x {10+}\r\n1 NOOP\r\n2  {4+}\r\n\n\n\n\n {3}\r\nb APPEND x {5+}\r\nabcde\r\nc NOOP\r\n",
        );
        let event = reader.next(&mut script).await.unwrap();
        assert!(matches!(event, Event::Append(_)));
        // The client waits with its third message, so its next octets are a command.
        let event = reader.next(&mut script).await.unwrap();
        assert!(matches!(event, Event::Append(_)), "{event:?}");
        assert!(!reader.accept_literal());
        let chunk = reader.read_literal_chunk(&mut script, 2).await.unwrap();
        assert!(chunk.is_some());
        let event = reader.next(&mut script).await.unwrap();
        assert!(
            matches!(&event, Event::Command { tag, command: Command::Noop } if tag.as_str() == "c"),
            "{event:?}"
        );
    });
}

/// Found by fuzzing: what follows a message was too long only if it did not come at once.
#[test]
fn what_follows_a_message_is_as_bounded() {
    let flags = ["x"; 150].join(" ");
    let sent = format!("a APPEND x {{3+}}\r\nabc ({flags}) {{4+}}\r\nabcd\r\nb NOOP\r\n");
    check(
        sent.as_bytes(),
        &[Seen::AppendBad("a".into()), command("b", "NOOP")],
    );
}

/// Example 1 of RFC 4469, and the other ways to write its parts.
#[test]
fn messages_in_parts() {
    let drafts = "/Drafts;UIDVALIDITY=385759045/;UID=20";
    check(
        format!(
            "A003 APPEND Drafts (\\Seen \\Draft $MDNSent) CATENATE \
             (URL \"{drafts}/;section=HEADER\" TEXT {{3}}\r\none URL \"{drafts}/;section=1\" \
             URL /x/;UID=30 TEXT {{4+}}\r\nfour)\r\n\
             b NOOP\r\n"
        )
        .as_bytes(),
        &[
            Seen::Continue,
            append(
                "A003",
                "Drafts",
                &[&format!(
                    "<{drafts}/;section=HEADER>one<{drafts}/;section=1></x/;UID=30>four"
                )],
            ),
            command("b", "NOOP"),
        ],
    );
    // Without a literal; with literals for names and URLs; in UTF8; one after another.
    check(
        b"a append x catenate (url /y/;UID=1)\r\n\
          b APPEND {1}\r\nx CATENATE (URL {9}\r\n/y/;UID=1 URL {1+}\r\ny TEXT {0+}\r\n)\r\n\
          c APPEND x CATENATE (UTF8 (~{2+}\r\nhi) URL y)\r\n\
          d APPEND x CATENATE (URL y) (\\Seen) CATENATE (TEXT {3}\r\ntwo) {5+}\r\nthree CATENATE (URL z)\r\n\
          e UID REPLACE 4 x \"17-Jul-1996 02:44:25 -0700\" CATENATE (URL y)\r\n\
          f NOOP\r\n",
        &[
            append("a", "x", &["</y/;UID=1>"]),
            Seen::Continue,
            Seen::Continue,
            append("b", "x", &["</y/;UID=1><y>"]),
            append("c", "x", &["hi<y>"]),
            Seen::Continue,
            append("d", "x", &["<y>", "two", "three", "<z>"]),
            append("e", "x", &["<y>"]),
            command("f", "NOOP"),
        ],
    );
}

#[test]
fn bad_parts() {
    for parts in [
        "",
        "(",
        "()",
        "( URL x)",
        "(URL)",
        "(URL x",
        "(URL x  URL y)",
        "(URL x,URL y)",
        "(URL x) x",
        "(URL x)(URL y)",
        "(URL \"x)",
        "(URL \"\")",
        "(URL {0+}\r\n)",
        "(URL ~{1+}\r\nx)",
        "(BINARY x)",
        "(TEXT x)",
        "(TEXT \"x\")",
        "(TEXT ~{1+}\r\nx)",
        "(UTF8 ({1+}\r\nx))",
        "(UTF8 (~{1+}\r\nx URL y)",
        "(TEXT {1+}\r\nxTEXT {1+}\r\ny)",
        "(TEXT {1+}\r\nx",
        "(TEXT {99999999999999999999}",
        "(URL x TEXT {1+}\r\nx bad {3+}\r\nb\r\n)",
        "(URL {300}",
        "(URL {300+}\r\n",
    ] {
        let rest = if parts.ends_with("{300+}\r\n") {
            "x".repeat(300)
        } else {
            String::new()
        };
        let sent = format!("a APPEND x CATENATE {parts}{rest}\r\nb NOOP\r\n");
        let refused = match parts {
            "" => bad("a"),
            _ => Seen::AppendBad("a".into()),
        };
        check(sent.as_bytes(), &[refused, command("b", "NOOP")]);
    }
    check(
        b"a APPEND x CATENATE (URL {9}\r\nab",
        &[Seen::Continue, Seen::Cut],
    );
    check(b"a APPEND x CATENATE (URL x", &[]);
    check(b"a APPEND x CATENATE (TEXT {1+}\r\nx URL y", &[Seen::Cut]);
    // As long as a command may be, and longer; in a line of its own.
    let long = |len: usize| "x".repeat(len);
    let sent = format!(
        "a APPEND x CATENATE (TEXT {{1+}}\r\n- URL {})\r\nb APPEND x CATENATE (TEXT {{1+}}\r\n- URL {})\r\nc NOOP\r\n",
        long(248),
        long(249)
    );
    let seen = [
        append("a", "x", &[&format!("-<{}>", long(248))]),
        Seen::AppendBad("b".into()),
        command("c", "NOOP"),
    ];
    check(sent.as_bytes(), &seen);
}

/// What the client sends of a message that is refused is skipped, wherever that happens.
#[test]
fn parts_that_are_dropped_are_skipped() {
    let parts = "URL x URL y TEXT {3+}\r\nabc URL {4+}\r\nb N\n TEXT {2+}\r\n\r\n URL z TEXT {2}";
    for taken in 0..6 {
        run(async {
            let mut reader = CommandReader::new(LIMITS);
            let sent = format!("a APPEND x CATENATE ({parts}\r\nb NOOP\r\n");
            let mut script = Script::bytes(sent.as_bytes());
            let event = reader.next(&mut script).await.unwrap();
            assert!(matches!(event, Event::Append(_)));
            for _ in 0..taken {
                let next = reader.finish_append(&mut script).await.unwrap();
                assert!(matches!(next, AppendNext::Part(_)), "{next:?}");
                let _ = reader.accept_literal();
            }
            let event = reader.next(&mut script).await.unwrap();
            assert!(
                matches!(&event, Event::Command { tag, .. } if tag.as_str() == "b"),
                "{taken}: {event:?}"
            );
        });
    }
}

#[test]
fn bad_appends() {
    check(
        b"a APPEND x\r\nb NOOP\r\n",
        &[bad("a"), command("b", "NOOP")],
    );
    check(
        b"a APPEND x (bad {5+}\r\na\r\n\nc\r\nb NOOP\r\n",
        &[bad("a"), command("b", "NOOP")],
    );
    check(
        b"a APPEND x (\\Seen) garbage {5}\r\nb NOOP\r\n",
        &[bad("a"), command("b", "NOOP")],
    );
    check(
        b"a APPEND x {99999999999999999999}\r\nb NOOP\r\n",
        &[bad("a"), command("b", "NOOP")],
    );
    check(
        b"a APPEND x {99999999999999999999+}\r\nb NOOP\r\n",
        &[Seen::Fatal],
    );
    check(
        b"a APPEND x\0y {3+}\r\nabc\r\nb NOOP\r\n",
        &[bad("a"), command("b", "NOOP")],
    );
    check(
        b"a APPEND x {3+}\r\nabcdef\r\nb NOOP\r\n",
        &[Seen::AppendBad("a".into()), command("b", "NOOP")],
    );
    check(
        b"a APPEND x {3+}\r\nabc garbage {4+}\r\n\n\n\n\n\r\nb NOOP\r\n",
        &[Seen::AppendBad("a".into()), command("b", "NOOP")],
    );
    check(
        b"a APPEND x UTF8 (~{3+}\r\nabc\r\nb NOOP\r\n",
        &[Seen::AppendBad("a".into()), command("b", "NOOP")],
    );
    check(b"a APPEND x {3+}\r\nab", &[Seen::Cut]);
    check(b"a APPEND x {3+}\r\nabc", &[Seen::Cut]);
    let mut long = b"a APPEND x {3+}\r\nabc ".to_vec();
    long.extend_from_slice(&[b'x'; 300]);
    long.extend_from_slice(b"\r\nb NOOP\r\n");
    check(&long, &[Seen::AppendBad("a".into()), command("b", "NOOP")]);
}

#[test]
fn garbage_is_bad_and_the_next_command_is_read() {
    check(
        b"\r\n\n\0\0\0\r\n* OK\r\n+ x\r\n\xff\xfe\r\na FOO\r\nb LOGIN x\0 y\r\nc NOOP {x}\r\nd NOOP\r\n",
        &[
            Seen::Bad(None),
            Seen::Bad(None),
            Seen::Bad(None),
            Seen::Bad(None),
            Seen::Bad(None),
            Seen::Bad(None),
            bad("a"),
            bad("b"),
            bad("c"),
            command("d", "NOOP"),
        ],
    );
}

#[test]
fn long_lines_are_bad() {
    let line = |tag: &str, len: usize| {
        let mut line = format!("{tag} SELECT ").into_bytes();
        line.resize(len - 2, b'x');
        line.extend_from_slice(b"\r\n");
        line
    };
    let mut input = line("a", 256);
    input.extend(line("b", 257));
    input.extend(line("c", 1_500));
    input.extend_from_slice(b"d NOOP\r\n");
    check(
        &input,
        &[
            command("a", "SELECT"),
            bad("b"),
            bad("c"),
            command("d", "NOOP"),
        ],
    );
    // No end in sight.
    check(&[b'x'; 4_000], &[Seen::Fatal]);
}

#[test]
fn literals_count_to_the_limit() {
    check(
        b"a SELECT {300}\r\nb NOOP\r\n",
        &[bad("a"), command("b", "NOOP")],
    );
    let mut input = b"a SELECT {300+}\r\n".to_vec();
    input.resize(input.len() + 300, b'\n');
    input.extend_from_slice(b" {7+}\r\n1234567 {8}\r\nb NOOP\r\n");
    check(&input, &[bad("a"), command("b", "NOOP")]);
    check(b"a SELECT {2257+}\r\nb NOOP\r\n", &[Seen::Fatal]);
    check(
        b"a SELECT {18446744073709551616}\r\nb NOOP\r\n",
        &[bad("a"), command("b", "NOOP")],
    );
    check(b"a SELECT {18446744073709551616+}\r\n", &[Seen::Fatal]);
    // Many small ones.
    let mut input = b"a LOGIN".to_vec();
    for _ in 0..100 {
        input.extend_from_slice(b" {3+}\r\n\r\n\r");
    }
    input.extend_from_slice(b"\r\nb NOOP\r\n");
    check(&input, &[bad("a"), command("b", "NOOP")]);
    // A long line that ends with a literal: the announcement is seen though the line is not
    // kept.
    let mut input = b"a SELECT ".to_vec();
    input.resize(1_000, b'x');
    input.extend_from_slice(b" {9+}\r\nz NOOP\r\n\n\r\nb NOOP\r\n");
    check(&input, &[bad("a"), command("b", "NOOP")]);
    // More leading zeros than an announcement may have: no literal.
    check(
        format!("a SELECT {{{}3+}}\r\nb NOOP\r\n", "0".repeat(40)).as_bytes(),
        &[bad("a"), command("b", "NOOP")],
    );
}

/// RFC 5464 section 4.3: it has an answer of its own, however the value comes.
#[test]
fn values_that_are_too_large() {
    let too_large = || Seen::ValueTooLarge("a".into());
    let long = "x".repeat(300);
    for (sent, seen) in [
        (
            "a SETMETADATA x (/shared/a {300}\r\n".to_owned(),
            too_large(),
        ),
        (
            format!("a setmetadata x (/shared/a ~{{300+}}\r\n{long})\r\n"),
            too_large(),
        ),
        (
            format!("a SETMETADATA x (/shared/a \"{long}\")\r\n"),
            too_large(),
        ),
        (
            format!("a SETMETADATAX x (/shared/a \"{long}\")\r\n"),
            bad("a"),
        ),
    ] {
        let sent = format!("{sent}b NOOP\r\n");
        check(sent.as_bytes(), &[seen, command("b", "NOOP")]);
    }
}

#[test]
fn a_lost_reader_stays_lost() {
    run(async {
        let mut reader = CommandReader::new(LIMITS);
        let mut script = Script::whole(b"a SELECT {9999+}\r\nb NOOP\r\n");
        for _ in 0..3 {
            let event = reader.next(&mut script).await.unwrap();
            assert!(matches!(event, Event::Fatal { .. }), "{event:?}");
        }
    });
}

#[test]
fn lines_between_commands() {
    run(async {
        let mut reader = CommandReader::new(LIMITS);
        let mut input = b"a IDLE\r\nDONE\r\nb AUTHENTICATE PLAIN\r\n".to_vec();
        input.resize(input.len() + 700, b'x');
        input.extend_from_slice(b"\r\n*\n\r\nc NOOP\r\nrest");
        let mut script = Script::bytes(&input);
        let name = |event: Event| match event {
            Event::Command { command, .. } => command.name(),
            other => panic!("{other:?}"),
        };
        assert_eq!(name(reader.next(&mut script).await.unwrap()), "IDLE");
        let line = |text: &'static [u8]| Line::Line(text.into());
        assert_eq!(reader.read_line(&mut script).await.unwrap(), line(b"DONE"));
        assert_eq!(
            name(reader.next(&mut script).await.unwrap()),
            "AUTHENTICATE"
        );
        assert_eq!(reader.read_line(&mut script).await.unwrap(), Line::TooLong);
        assert_eq!(reader.read_line(&mut script).await.unwrap(), line(b"*"));
        assert_eq!(reader.read_line(&mut script).await.unwrap(), line(b""));
        assert_eq!(name(reader.next(&mut script).await.unwrap()), "NOOP");
        assert_eq!(reader.read_line(&mut script).await.unwrap(), Line::Eof);
    });
}

#[test]
fn input_behind_starttls_is_refused() {
    run(async {
        let mut reader = CommandReader::default();
        let mut script = Script::whole(b"a STARTTLS\r\nb LOGIN x y\r\n");
        reader.next(&mut script).await.unwrap();
        assert!(reader.start_tls().is_err());

        let mut reader = CommandReader::default();
        let mut script = Script::whole(b"a STARTTLS\r\n");
        reader.next(&mut script).await.unwrap();
        assert!(reader.start_tls().is_ok());
    });
}

#[test]
fn pipelined_input_is_taken_without_reading() {
    run(async {
        let mut reader = CommandReader::default();
        let mut script = Script::whole(b"a NOOP\r\nb NOOP\r\nc NO");
        reader.next(&mut script).await.unwrap();
        assert!(reader.has_buffered());
        assert!(matches!(
            reader.next_buffered(),
            Some(Event::Command { tag, .. }) if tag.as_str() == "b"
        ));
        assert_eq!(reader.next_buffered(), None);
        assert!(reader.has_buffered());
    });
}

/// Every future is dropped at its first pending poll, and made anew.
#[test]
fn dropped_futures_lose_nothing() {
    run(async {
        let input = b"a LOGIN {4+}\r\nuser pass\r\nb APPEND x {5+}\r\nhello\r\nc IDLE\r\nDONE\r\n";
        let mut script = Script::bytes(input);
        let mut reader = CommandReader::new(LIMITS);
        let mut seen = VecDeque::new();
        macro_rules! retry {
            ($future:expr) => {
                loop {
                    tokio::select! {
                        biased;
                        done = $future => break done.unwrap(),
                        () = std::future::ready(()) => {}
                    }
                }
            };
        }
        seen.push_back(format!("{:?}", retry!(reader.next(&mut script))));
        assert!(seen[0].contains("Login"), "{seen:?}");
        let event = retry!(reader.next(&mut script));
        assert!(matches!(event, Event::Append(_)));
        assert!(!reader.accept_literal());
        let mut body = Vec::new();
        while let Some(chunk) = retry!(reader.read_literal_chunk(&mut script, 3)) {
            body.extend_from_slice(&chunk);
        }
        assert_eq!(body, b"hello");
        assert_eq!(retry!(reader.finish_append(&mut script)), AppendNext::End);
        let event = retry!(reader.next(&mut script));
        assert!(matches!(
            event,
            Event::Command {
                command: Command::Idle,
                ..
            }
        ));
        let line = retry!(reader.read_line(&mut script));
        assert_eq!(line, Line::Line("DONE".into()));
    });
}

/// Words that make interesting streams when thrown together.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        4 => any::<Vec<u8>>(),
        8 => prop::sample::select(vec![
            "a ", "b ", "* ", "\r\n", "\n", "\r", " ", "NOOP", "LOGIN", "APPEND x ", "SEARCH ",
            "FETCH 1 ", "UID ", "{3}\r\n", "{3+}\r\n", "~{3+}\r\n", "{0+}\r\n", "{300+}\r\n",
            "{99999999999999999999999}\r\n", "abc", "(", ")", "\"", "\\", "BODY[", "]", "NOT ",
            "UTF8 (", "CATENATE (", "TEXT ", "URL ", "/x/;UID=1 ", "1:*", "$", "\0", "(\\Seen) ", "\" 1-Feb-1994 21:52:25 -0800\" ",
        ])
        .prop_map(|word| word.as_bytes().to_vec()),
        1 => (0usize..600).prop_map(|len| vec![b'x'; len]),
    ];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever comes: no panic, an end, and the same events however it is cut.
    #[test]
    fn any_stream_is_cut_alike(input in noise(), cuts in prop::collection::vec(any::<usize>(), 0..8)) {
        let whole = run(session(Script::whole(&input)));
        prop_assert_eq!(&run(session(Script::bytes(&input))), &whole);
        prop_assert_eq!(&run(session(Script::cut(&input, &cuts))), &whole);
    }

    #[test]
    fn any_octets_parse_or_not(input in noise()) {
        let _ = murder_imap::parse_command(&input);
        let _ = murder_imap::response::parse(&input);
        let mut star = b"* ".to_vec();
        star.extend_from_slice(&input);
        let _ = murder_imap::response::parse(&star);
    }
}
