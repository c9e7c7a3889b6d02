//! Commands made to cost much: each has its answer, and the session goes on. `docs/hostile.md` has
//! the list, with what bounds the memory of each.

use murder_store::Flags;

use super::support::{Client, Server, message, short};

/// Bob with three messages in his INBOX, which is selected.
async fn start() -> (Server, Client) {
    let server = Server::start();
    server.create("user/bob").await;
    for n in 0..3 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    let mut client = server.login("bob").await;
    client.select("INBOX").await;
    (server, client)
}

/// Each command is answered like this, and a good one after it.
async fn answered(client: &mut Client, table: &[(&str, String, &str)]) {
    for (name, command, wanted) in table {
        let answer = client.ask(command).await.pop().unwrap();
        assert!(
            answer.starts_with(wanted),
            "{name}: wanted {wanted}, got {:.200}",
            answer
        );
        let after = client.ask("NOOP").await.pop().unwrap();
        assert!(after.starts_with("OK "), "{name}: {after}");
    }
}

/// `(((ALL)))`
fn nested(depth: usize, inner: &str) -> String {
    format!("{}{inner}{}", "(".repeat(depth), ")".repeat(depth))
}

#[tokio::test]
async fn nesting() {
    let (_server, mut client) = start().await;
    let nested = |depth| nested(depth, "ALL");
    let unended = "(".repeat(20_000);
    answered(
        &mut client,
        &[
            ("a few", format!("SEARCH {}", nested(50)), "OK "),
            ("SEARCH", format!("SEARCH {}", nested(101)), "BAD "),
            ("SEARCH, much", format!("SEARCH {}", nested(30_000)), "BAD "),
            (
                "NOT",
                format!("SEARCH {}ALL", "NOT ".repeat(15_000)),
                "BAD ",
            ),
            (
                "OR",
                format!("SEARCH {}ALL", "OR ALL ".repeat(9_000)),
                "BAD ",
            ),
            (
                "FUZZY",
                format!("SEARCH {}ALL", "FUZZY ".repeat(9_000)),
                "BAD ",
            ),
            (
                "SORT",
                format!("SORT (DATE) UTF-8 {}", nested(20_000)),
                "BAD ",
            ),
            (
                "THREAD",
                format!("THREAD REFERENCES UTF-8 {}", nested(20_000)),
                "BAD ",
            ),
            ("ESEARCH", format!("ESEARCH IN {unended}"), "BAD "),
            ("LIST", format!("LIST {unended} \"\" *"), "BAD "),
            ("FETCH", format!("FETCH 1 {unended}"), "BAD "),
            ("STORE", format!("STORE 1 {unended}"), "BAD "),
            ("STATUS", format!("STATUS INBOX {unended}"), "BAD "),
            ("ID", format!("ID {unended}"), "BAD "),
            ("CREATE", format!("CREATE x {unended}"), "BAD "),
            ("SELECT", format!("EXAMINE INBOX {unended}"), "BAD "),
            ("NOTIFY", format!("NOTIFY SET {unended}"), "BAD "),
            ("METADATA", format!("GETMETADATA {unended}"), "BAD "),
            ("METADATA", format!("SETMETADATA INBOX {unended}"), "BAD "),
            ("QUOTA", format!("SETQUOTA x {unended}"), "BAD "),
            (
                "APPEND",
                format!("APPEND INBOX {unended} {{1+}}\r\nx"),
                "BAD ",
            ),
            ("unknown", format!("NONSENSE {unended}"), "BAD "),
        ],
    )
    .await;
}

#[tokio::test]
async fn lists_and_sets() {
    let (_server, mut client) = start().await;
    let many = |item: &str, count: usize| vec![item; count].join(" ");
    let numbers = |count: u32| {
        let numbers: Vec<String> = (1..=count).map(|n| (2 * n).to_string()).collect();
        numbers.join(",")
    };
    answered(
        &mut client,
        &[
            (
                "wildcards",
                format!("LIST \"\" \"{}\"", "*%".repeat(2_000)),
                "OK ",
            ),
            (
                "branches",
                format!("LIST \"\" \"{}\"", "%a*".repeat(700)),
                "OK ",
            ),
            (
                "LSUB",
                format!("LSUB \"\" \"{}\"", "*a%b".repeat(500)),
                "OK ",
            ),
            (
                "long",
                format!("LIST \"\" \"{}\"", "%a*".repeat(7_000)),
                "NO [LIMIT] ",
            ),
            (
                "reference",
                format!("LIST \"{}\" *", "a/".repeat(5_000)),
                "NO [LIMIT] ",
            ),
            ("patterns", format!("LIST \"\" ({})", many("*", 65)), "BAD "),
            (
                "STATUS of all",
                format!("LIST \"\" * RETURN (STATUS ({}))", many("MESSAGES", 5_000)),
                "OK ",
            ),
            (
                "STATUS",
                format!("STATUS INBOX ({})", many("UNSEEN", 5_000)),
                "OK ",
            ),
            (
                "one message",
                format!("FETCH {} FLAGS", vec!["1"; 16_000].join(",")),
                "OK ",
            ),
            (
                "too many",
                format!("FETCH {} FLAGS", vec!["1"; 16_385].join(",")),
                "BAD ",
            ),
            (
                "scattered",
                format!("UID FETCH {} FLAGS", numbers(9_000)),
                "OK ",
            ),
            (
                "scattered",
                format!("UID SEARCH UID {}", numbers(9_000)),
                "OK ",
            ),
            (
                "scattered",
                format!("UID STORE {} +FLAGS (x)", numbers(9_000)),
                "OK ",
            ),
            (
                "scattered",
                format!("UID COPY {} INBOX", numbers(9_000)),
                "OK ",
            ),
            (
                "all there are",
                "UID FETCH 1:4294967295 FLAGS".into(),
                "OK ",
            ),
            ("all there are", "UID EXPUNGE 1:4294967295".into(), "OK "),
            (
                "all there are",
                "UID SEARCH UID 1:4294967295 NOT UID 4294967295:1".into(),
                "OK ",
            ),
            ("not there", "FETCH 4294967295 FLAGS".into(), "BAD "),
            ("no numbers", "FETCH 4294967296 FLAGS".into(), "BAD "),
            (
                "no numbers",
                "UID FETCH 99999999999999999999999 FLAGS".into(),
                "BAD ",
            ),
            (
                "far behind",
                "FETCH 1 BODY.PEEK[]<4294967295.4294967295>".into(),
                "OK ",
            ),
            (
                "no numbers",
                "FETCH 1 BODY.PEEK[]<0.9999999999999999999>".into(),
                "BAD ",
            ),
            (
                "PARTIAL",
                "UID FETCH 1:* FLAGS (PARTIAL -1:-4294967295)".into(),
                "OK ",
            ),
            (
                "PARTIAL",
                "SEARCH RETURN (PARTIAL 1:4294967295) ALL".into(),
                "OK ",
            ),
            (
                "MODSEQ",
                "STORE 1 (UNCHANGEDSINCE 9223372036854775807) FLAGS ()".into(),
                "OK ",
            ),
            (
                "MODSEQ",
                "STORE 1 (UNCHANGEDSINCE 99999999999999999999) FLAGS ()".into(),
                "BAD ",
            ),
            ("ENABLE", format!("ENABLE {}", many("X", 30_000)), "OK "),
            ("ID", format!("ID ({})", many("\"a\" \"b\"", 8_000)), "OK "),
            (
                "SORT",
                format!("SORT ({}) UTF-8 ALL", many("SUBJECT", 8_000)),
                "OK ",
            ),
        ],
    )
    .await;
    let tag = "t".repeat(60_000);
    client.send(format!("{tag} NOOP\r\n")).await;
    let line = client.line().await;
    assert!(line.starts_with(&tag) && line.ends_with(" OK NOOP completed"));
}

#[tokio::test]
async fn what_would_be_kept() {
    let (server, mut client) = start().await;
    let keywords = |count: u32| -> String {
        let keywords: Vec<String> = (0..count).map(|n| format!("k{n}")).collect();
        keywords.join(" ")
    };
    let long = "k".repeat(256);
    answered(
        &mut client,
        &[
            (
                "keywords",
                format!("STORE 1 +FLAGS ({})", keywords(9_000)),
                "NO [LIMIT] ",
            ),
            (
                "none of them",
                format!("STORE 1 -FLAGS ({})", keywords(9_000)),
                "OK ",
            ),
            ("long", format!("STORE 1 +FLAGS ({long})"), "NO [LIMIT] "),
            (
                "long",
                format!("STORE 1 FLAGS (\\Seen {long})"),
                "NO [LIMIT] ",
            ),
            (
                "long enough",
                format!("STORE 1 +FLAGS ({})", &long[1..]),
                "OK ",
            ),
            (
                "APPEND",
                format!("APPEND INBOX ({}) {{5+}}\r\nhello", keywords(9_000)),
                "NO [LIMIT] ",
            ),
            (
                "APPEND",
                format!("APPEND INBOX ({long}) {{5+}}\r\nhello"),
                "NO [LIMIT] ",
            ),
            (
                "MULTIAPPEND",
                format!("APPEND INBOX{}", " {1+}\r\nx".repeat(1_001)),
                "NO [LIMIT] ",
            ),
            (
                "REPLACE",
                format!("REPLACE 1 INBOX ({long}) {{5+}}\r\nhello"),
                "NO [LIMIT] ",
            ),
            (
                "REPLACE",
                "REPLACE 1 INBOX {1+}\r\nx {1+}\r\ny".into(),
                "BAD ",
            ),
            ("identifier", format!("SETACL INBOX {long} lr"), "BAD "),
            (
                "identifier",
                format!("SETACL INBOX group:{long} lr"),
                "NO [CANNOT] ",
            ),
            (
                "rights",
                format!("SETACL INBOX carol {}", "lr".repeat(20_000)),
                "OK ",
            ),
            (
                "name",
                format!("CREATE {}", "x".repeat(50_000)),
                "NO [CANNOT] ",
            ),
            (
                "levels",
                format!("CREATE {}", "x/".repeat(25_000)),
                "NO [CANNOT] ",
            ),
            (
                "uses",
                format!("CREATE x (USE ({}))", vec!["\\Sent"; 9_000].join(" ")),
                "NO [USEATTR] ",
            ),
        ],
    )
    .await;
    assert_eq!(server.messages("user/bob").await, 3);
    // An ACL has its limit too.
    let full: String = (0..1_000).map(|n| format!("user{n}\tl\t")).collect();
    let (partition, handle) = server.open("user/bob").await;
    let name = handle.meta().unwrap().name;
    partition.set_acl(&name, &full).await.unwrap();
    let refused = client.ask("SETACL INBOX carol l").await;
    assert_eq!(refused, ["NO [CANNOT] Too many identifiers in one ACL"]);
}

#[tokio::test]
async fn searches() {
    let (server, mut client) = start().await;
    for n in 0..70 {
        server.create(&format!("user/bob/box{n}")).await;
    }
    let texts = |count: u32| -> String {
        let texts: Vec<String> = (0..count).map(|n| format!("TEXT word{n}")).collect();
        texts.join(" ")
    };
    let subtrees = |count: usize| vec!["subtree INBOX"; count].join(" ");
    answered(
        &mut client,
        &[
            ("strings", format!("SEARCH {}", texts(256)), "OK "),
            ("strings", format!("SEARCH {}", texts(257)), "NO [LIMIT] "),
            (
                "one string",
                format!("SEARCH TEXT {}", "x".repeat(60_000)),
                "OK ",
            ),
            (
                "words",
                format!("SEARCH FUZZY TEXT \"{}\"", "word ".repeat(10_000)),
                "OK ",
            ),
            (
                "field",
                format!("SEARCH HEADER {} x", "x".repeat(60_000)),
                "OK ",
            ),
            (
                "keys",
                format!("SEARCH {}", vec!["ALL"; 15_000].join(" ")),
                "OK ",
            ),
            (
                "charset",
                format!("SEARCH CHARSET {} ALL", "x".repeat(60_000)),
                "NO [BADCHARSET",
            ),
            (
                "charset",
                format!("SORT (DATE) {} ALL", "x".repeat(60_000)),
                "NO [BADCHARSET",
            ),
            (
                "charset",
                "THREAD REFERENCES \"\u{1}\" ALL".into(),
                "NO [BADCHARSET",
            ),
            (
                "returns",
                format!("SEARCH RETURN ({}) ALL", vec!["ALL"; 15_000].join(" ")),
                "OK ",
            ),
            (
                "subtrees",
                format!("ESEARCH IN ({}) ALL", subtrees(64)),
                "OK ",
            ),
            (
                "subtrees",
                format!("ESEARCH IN ({}) ALL", subtrees(65)),
                "NO [LIMIT] ",
            ),
            (
                "subtrees",
                format!(
                    "ESEARCH IN (subtree ({})) ALL",
                    vec!["INBOX"; 9_000].join(" ")
                ),
                "NO [LIMIT] ",
            ),
            (
                "mailboxes",
                format!(
                    "ESEARCH IN (mailboxes ({})) ALL",
                    vec!["INBOX"; 9_000].join(" ")
                ),
                "OK ",
            ),
            (
                "home",
                format!("ESEARCH IN ({}) ALL", vec!["personal"; 7_000].join(" ")),
                "NO [LIMIT] ",
            ),
        ],
    )
    .await;
}

/// RFC 5182 section 2.1: a result that is not saved is an empty one.
#[tokio::test]
async fn a_result_too_scattered_to_be_saved() {
    let (server, mut client) = start().await;
    let (partition, handle) = server.open("user/bob").await;
    let name = handle.meta().unwrap().name;
    for _ in 0..9 {
        let messages = (0..15_000).map(|n| {
            let mut new = message("\r\n");
            new.flags = [Flags::NONE, Flags::FLAGGED][n % 2];
            new
        });
        partition.append(&name, messages.collect()).await.unwrap();
    }
    client
        .play(
            "C: a SEARCH RETURN (SAVE) 1:2
             S: * 135003 EXISTS
             S: * …
             S: a OK …
             C: b SEARCH RETURN (SAVE) FLAGGED
             S: b NO [NOTSAVED] …
             C: c SEARCH RETURN (COUNT) $
             S: * ESEARCH (TAG \"c\") COUNT 0
             S: c OK …",
        )
        .await;
}

#[tokio::test]
async fn many_items_of_a_message() {
    let (server, mut client) = start().await;
    let header: String = (0..20_000).map(|n| format!("X-{n}: {n}\r\n")).collect();
    server.put("user/bob", format!("{header}\r\nx")).await;
    let names: Vec<String> = (0..7_000).map(|n| format!("x-{n}")).collect();
    let names = names.join(" ");
    let path = vec!["1"; 101].join(".");
    answered(
        &mut client,
        &[
            (
                "sections",
                format!("FETCH 1:* ({})", vec!["BODY.PEEK[1]"; 1_000].join(" ")),
                "OK ",
            ),
            (
                "sections",
                format!("FETCH 1:* ({})", vec!["BODY.PEEK[]"; 1_001].join(" ")),
                "BAD ",
            ),
            (
                "fields",
                format!("FETCH 4 BODY.PEEK[HEADER.FIELDS ({names})]"),
                "OK ",
            ),
            (
                "no fields",
                format!("FETCH 4 BODY.PEEK[HEADER.FIELDS.NOT ({names})]"),
                "OK ",
            ),
            ("path", format!("FETCH 1 BODY.PEEK[{}]", &path[2..]), "OK "),
            ("path", format!("FETCH 1 BODY.PEEK[{path}]"), "BAD "),
            ("path", format!("FETCH 1 BINARY.SIZE[{path}]"), "BAD "),
        ],
    )
    .await;
}

/// What others send, and no mail client would.
#[tokio::test]
async fn messages() {
    let server = Server::start();
    server.create("user/bob").await;
    let ids: String = (0..50_000).map(|n| format!(" <{n}@x>\r\n")).collect();
    let addresses: String = (0..50_000).map(|n| format!(" a{n}@x,\r\n")).collect();
    let mut multipart = String::new();
    let mut enclosed = String::new();
    for level in 0..2_000 {
        multipart +=
            &format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n");
        enclosed += "Content-Type: message/rfc822\r\n\r\n";
    }
    let parts = "--b\r\n\r\nx\r\n".repeat(50_000);
    for raw in [
        format!("Subject: {}x\r\n\r\n", "Re: ".repeat(250_000)),
        format!("Subject: {}\r\n\r\n", "=?utf-8?q?=c3?= ".repeat(60_000)),
        format!(
            "Subject: {}{}\r\n\r\n",
            "[".repeat(200_000),
            "]".repeat(200_000)
        ),
        format!("References:{ids}Message-ID: <49999@x>\r\n\r\n"),
        format!("In-Reply-To:{ids}\r\n\r\n"),
        format!("From:{addresses}To:{addresses}Cc:{addresses}\r\n\r\n"),
        format!("From: {}\r\n\r\n", "(".repeat(500_000)),
        format!("Date: {}\r\n\r\n", "1 Jan ".repeat(100_000)),
        format!("{}\r\n", "X: y\r\n".repeat(100_000)),
        format!(
            "Content-Type: text/plain{}\r\n\r\nx",
            "; a*1=b".repeat(50_000)
        ),
        format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}"),
        format!(
            "Content-Type: text/html\r\n\r\n{}",
            "<div>&amp".repeat(50_000)
        ),
        format!(
            "Content-Type: text/plain; charset={}\r\n\r\nx",
            "x".repeat(50_000)
        ),
        format!(
            "Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n{}",
            "\x1b$B".repeat(50_000)
        ),
        multipart,
        enclosed,
        "\r\n".repeat(200_000),
        "\u{0}".into(),
    ] {
        server.put("user/bob", raw).await;
    }
    let mut client = server.login("bob").await;
    client.select("INBOX").await;
    let search = |command: &str| (command.to_owned(), "OK ");
    for (command, wanted) in [
        search("FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY RFC822.SIZE)"),
        search("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (Subject From References)])"),
        search("FETCH 1:* (BODY.PEEK[1.1.1.1.1.1.1.1.1] BINARY.SIZE[1])"),
        search("SORT (SUBJECT FROM TO CC DATE) UTF-8 ALL"),
        search("SORT (DISPLAYFROM DISPLAYTO ARRIVAL SIZE) UTF-8 ALL"),
        search("THREAD REFERENCES UTF-8 ALL"),
        search("THREAD ORDEREDSUBJECT UTF-8 ALL"),
        search("SEARCH TEXT nothing-like-it"),
        search("SEARCH FUZZY SUBJECT nothing FROM nobody"),
        search("SEARCH SENTSINCE 1-Jan-1970"),
    ] {
        let answer = client.ask(&command).await.pop().unwrap();
        assert!(answer.starts_with(wanted), "{command}: {answer}");
    }
}

/// What comes in pieces, or never ends.
#[tokio::test]
async fn literals() {
    let (_server, mut client) = start().await;
    answered(
        &mut client,
        &[
            (
                "literal8",
                "APPEND INBOX ~{99999999999}".into(),
                "NO [TOOBIG] ",
            ),
            (
                "message",
                "APPEND INBOX {9223372036854775807}".into(),
                "NO [TOOBIG] ",
            ),
            (
                "no number",
                "APPEND INBOX {9223372036854775808}".into(),
                "BAD ",
            ),
            (
                "small ones",
                format!("ID ({})", vec!["{1+}\r\na {1+}\r\nb"; 4_000].join(" ")),
                "OK ",
            ),
            (
                "too many",
                format!("ID ({})", vec!["{1+}\r\na {1+}\r\nb"; 5_000].join(" ")),
                "BAD ",
            ),
            (
                "not the last",
                format!("SEARCH TEXT {{70000+}}\r\n{}", "x".repeat(70_000)),
                "BAD ",
            ),
        ],
    )
    .await;
    // One that is not awaited is skipped up to APPENDLIMIT, and above it is the end.
    client.send("a APPEND INBOX ~{99999999999+}\r\nx").await;
    let lines = client.ends().await;
    assert!(lines.last().unwrap().starts_with("* BYE "), "{lines:?}");
}

#[tokio::test]
async fn a_compressed_flood_is_a_flood() {
    let (_server, mut client) = start().await;
    client
        .play(
            "C: z COMPRESS DEFLATE
             S: z OK …",
        )
        .await;
    let mut client = client.compress();
    // A few kilobytes on the wire.
    client.send(b"a NOOP ").await;
    for _ in 0..32 {
        client.send(vec![b'x'; 1 << 20]).await;
    }
    client.send(b"\r\n").await;
    client.play("S: a BAD …").await;
    let noops = "b NOOP\r\n".repeat(2_000);
    client.send(noops).await;
    for _ in 0..2_000 {
        client.play("S: b OK …").await;
    }
    client.send("c APPEND INBOX {99999999999+}\r\n").await;
    let lines = client.ends().await;
    assert!(lines.last().unwrap().starts_with("* BYE "), "{lines:?}");
}

#[tokio::test]
async fn what_is_no_deflate_ends_the_session() {
    let (server, mut client) = start().await;
    client
        .play(
            "C: z COMPRESS DEFLATE
             S: z OK …",
        )
        .await;
    let _ = client.try_send([0xff; 4096]).await;
    client.ends().await;
    let mut other = server.login("bob").await;
    assert_eq!(other.ask("NOOP").await, ["OK NOOP completed"]);
}

#[tokio::test]
async fn floods_are_answered_in_order() {
    let (_server, mut client) = start().await;
    let commands: String = (0..5_000).map(|n| format!("t{n} NOOP\r\n")).collect();
    client.send(commands).await;
    for n in 0..5_000 {
        assert_eq!(client.line().await, format!("t{n} OK NOOP completed"));
    }
}

#[tokio::test]
async fn lines_within_commands_are_bounded() {
    let (server, mut client) = start().await;
    client
        .play(
            "C: a IDLE
             S: + idling",
        )
        .await;
    client.send(vec![b'x'; 1 << 20]).await;
    client
        .play(
            "C:
             S: a BAD Expected DONE
             C: b NOOP
             S: b OK …",
        )
        .await;
    let mut stranger = server.connect().await;
    stranger
        .play(
            "C: a AUTHENTICATE PLAIN
             S: +…",
        )
        .await;
    stranger.send(vec![b'A'; 1 << 20]).await;
    stranger
        .play(
            "C:
             S: a BAD …
             C: b LOGIN bob secret
             S: b OK …",
        )
        .await;
    let mut stranger = server.connect().await;
    let name = "x".repeat(10_000);
    for command in [
        format!("LOGIN {name} x"),
        format!("LOGIN bob {name}"),
        format!("AUTHENTICATE {name}"),
        format!("AUTHENTICATE PLAIN {}", "A".repeat(12_000)),
    ] {
        let answer = stranger.ask(&command).await.pop().unwrap();
        assert!(
            answer.starts_with("NO ") || answer.starts_with("BAD "),
            "{answer}"
        );
    }
}

/// What a client says that it knows (RFC 7162 section 3.2.5.2).
#[tokio::test]
async fn match_data() {
    let (_server, mut client) = start().await;
    client.ask("UNSELECT").await;
    let validity = client.ask("STATUS INBOX (UIDVALIDITY)").await.remove(0);
    let validity = validity.rsplit_once(' ').unwrap().1.trim_end_matches(')');
    client.ask("ENABLE QRESYNC").await;
    let scattered: Vec<String> = (1..4_000).map(|n| (2 * n).to_string()).collect();
    let scattered = scattered.join(",");
    let all = "1:4294967295";
    answered(
        &mut client,
        &[
            (
                "all",
                format!("SELECT INBOX (QRESYNC ({validity} 1 {all} ({all} {all})))"),
                "OK ",
            ),
            (
                "scattered",
                format!(
                    "SELECT INBOX (QRESYNC ({validity} 1 {scattered} ({scattered} {scattered})))"
                ),
                "OK ",
            ),
            (
                "uneven",
                format!("SELECT INBOX (QRESYNC ({validity} 1 1:9 ({all} 1)))"),
                "BAD ",
            ),
            (
                "down",
                format!("SELECT INBOX (QRESYNC ({validity} 1 1:9 (3,2,1 1:3)))"),
                "BAD ",
            ),
            (
                "star",
                format!("SELECT INBOX (QRESYNC ({validity} 1 1:9 (1:* 1:*)))"),
                "BAD ",
            ),
            (
                "not yet",
                format!("SELECT INBOX (QRESYNC ({validity} 9223372036854775807))"),
                "OK ",
            ),
            (
                "never",
                "SELECT INBOX (QRESYNC (1 99999999999999999999))".into(),
                "BAD ",
            ),
        ],
    )
    .await;
}

/// A reader that stops in the middle of a large answer holds no more than the answer's bound.
#[tokio::test]
async fn who_stops_reading_a_fetch_is_cut_off() {
    let server = Server::with(|config| config.limits.slow_reader_seconds = 1);
    server.create("user/bob").await;
    for _ in 0..4 {
        let mut large = message("x".repeat(4 << 20));
        large.flags = Flags::SEEN;
        server.put_message("user/bob", large).await;
    }
    let mut client = server.login("bob").await;
    client.select("INBOX").await;
    client
        .send("a FETCH 1:* (BODY[] BODY[TEXT] BODY[1])\r\n".repeat(20))
        .await;
    let gone = async {
        while server.node.sessions.used("bob") > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let gone = tokio::time::timeout(std::time::Duration::from_secs(20), gone);
    gone.await.expect("the session ends");
}
