//! What clients see is the same at a frontend and at a backend.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use murder_testkit::{ImapClient, Murder, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Tested, message};

fn doors(murder: &Murder) -> [SocketAddr; 2] {
    [murder.frontend(1).imap, murder.backend(1).imap]
}

async fn both(murder: &Murder, user: &str) -> anyhow::Result<[ImapClient; 2]> {
    Ok([
        murder.imap(1, user).await?,
        murder.imap_at_backend(1, user).await?,
    ])
}

/// Of RFC 2971 section 3.3: 30 fields of 30 octets with values of 1,024.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_id_is_taken_before_login() -> Tested {
    let murder = Murder::start().await?;
    let pair = |n| format!("\"{:f<30}\" \"{}\"", n, "v".repeat(1024));
    let pairs: Vec<String> = (0..30).map(pair).collect();
    for door in doors(&murder) {
        let mut client = ImapClient::connect(door).await?;
        client.ok(&format!("ID ({})", pairs.join(" "))).await?;
    }
    Ok(())
}

/// A pattern that is no modified UTF-7 matches nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listing() -> Tested {
    let murder = Murder::start().await?;
    let mut owner = murder.imap(1, "user1").await?;
    for command in [
        "CREATE a",
        "CREATE a/b",
        "SUBSCRIBE a/b",
        "CREATE c",
        "SUBSCRIBE c",
    ] {
        owner.ok(command).await?;
    }
    for mut client in both(&murder, "user1").await? {
        assert_eq!(client.list("a&b*").await?, [""; 0]);
        client.ok("LSUB \"\" \"&%\"").await?;
        // The parent of what is subscribed, though it is there and is not subscribed itself.
        let answer = client.ok("LSUB \"\" %").await?;
        let mut rows: Vec<String> = answer.all("LSUB").map(|row| row.text()).collect();
        rows.sort();
        assert_eq!(
            rows,
            ["* LSUB () \"/\" \"c\"", "* LSUB (\\Noselect) \"/\" \"a\""]
        );
    }
    Ok(())
}

/// How long the quickest of many commands takes whose two halves are written apart, by a client
/// that holds the second back until the first is acknowledged (Nagle's algorithm). Without those
/// at the beginning of a connection, when the system acknowledges at once by itself.
async fn in_halves(
    stream: &mut TcpStream,
    halves: [&[u8]; 2],
    end: &str,
) -> anyhow::Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..40 {
        let started = Instant::now();
        stream.write_all(halves[0]).await?;
        stream.write_all(halves[1]).await?;
        let mut answer = String::new();
        while !answer.contains(end) {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await?;
            anyhow::ensure!(read > 0, "closed after {answer:?}");
            answer += &String::from_utf8_lossy(&buffer[..read]);
        }
        times.push(started.elapsed());
    }
    Ok(times.into_iter().skip(20).min().unwrap_or_default())
}

/// The system acknowledges after some 40 ms by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_come_in_pieces_do_not_wait() -> Tested {
    const SOON: Duration = Duration::from_millis(25);
    let murder = Murder::start().await?;
    let text = message("x");
    let head = format!("a APPEND INBOX {{{}+}}\r\n", text.len());
    let rest = [&text[..], b"\r\n"].concat();
    for door in doors(&murder) {
        let mut stream = TcpStream::connect(door).await?;
        let login = b"a LOGIN user1 secret\r\n";
        stream.write_all(login).await?;
        in_halves(&mut stream, [b"a NO", b"OP\r\n"], "a OK NOOP").await?;
        for halves in [[&b"a NO"[..], b"OP\r\n"], [head.as_bytes(), &rest]] {
            let time = in_halves(&mut stream, halves, "a OK").await?;
            assert!(time < SOON, "{door}: {time:?} for {halves:?}");
        }
    }
    Ok(())
}

/// What was selected is told to be closed, wherever the next mailbox is, and whether it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_that_is_left_for_another_is_told_to_be_closed() -> Tested {
    let murder = Murder::start().await?;
    let mut owner = murder.imap(1, "user2").await?;
    owner.ok("CREATE Shared").await?;
    owner.ok("SETACL Shared user1 lr").await?;
    let closed = |untagged: &[murder_testkit::Reply]| {
        let codes = untagged.iter().filter_map(murder_testkit::Reply::code);
        codes.filter(|code| code == "CLOSED").count()
    };
    let elsewhere = "Other Users/user2/Shared";
    for (at, mut client) in both(&murder, "user1").await?.into_iter().enumerate() {
        let first = client.ok("SELECT INBOX").await?;
        assert_eq!(closed(&first.untagged), 0);
        for next in ["INBOX", "nowhere", "INBOX", elsewhere, "INBOX"] {
            if at == 1 && next == elsewhere {
                continue;
            }
            let was_selected = client.command("CHECK").await?.status == Status::Ok;
            let answer = client.command(&format!("SELECT \"{next}\"")).await?;
            let told = closed(&answer.untagged);
            assert_eq!(told, usize::from(was_selected), "{at} {next}: {answer:?}");
        }
    }
    Ok(())
}

/// ESEARCH names the command by the client's tag (RFC 4731 section 2.1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn esearch_has_the_tag_of_the_client() -> Tested {
    let murder = Murder::start().await?;
    let mut owner = murder.imap(1, "user1").await?;
    owner.append("INBOX", "", &message("one")).await?;
    for mut client in both(&murder, "user1").await? {
        client.select("INBOX").await?;
        let tag = client.send("UID SEARCH RETURN (ALL COUNT) ALL").await?;
        let answer = client.finish(&tag).await?;
        let found = answer.all("ESEARCH").next().unwrap().text();
        assert_eq!(
            found,
            format!("* ESEARCH (TAG \"{tag}\") UID ALL 1 COUNT 1")
        );
    }
    Ok(())
}

/// NULs in literal8 (RFC 3516), and 8-bit octets in a header, which need UTF8=ACCEPT (RFC 6855
/// section 4).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn octets_of_messages() -> Tested {
    let murder = Murder::start().await?;
    let head = "Subject: x\r\nContent-Transfer-Encoding: binary\r\n\r\n";
    let large = format!("{head}{}\0\r\n", "0123456789\r\n".repeat(20_000));
    let small = format!("{head}a\0b\0");
    for (door, mut client) in both(&murder, "user1").await?.into_iter().enumerate() {
        for message in [&small, &large] {
            let size = message.len();
            let append = format!("APPEND INBOX (\\Seen) ~{{{size}+}}\r\n{message}");
            let appended = client.ok(&append).await?;
            assert!(
                appended.code().starts_with("APPENDUID "),
                "{door}: {appended:?}"
            );
            client.select("INBOX").await?;
            let answer = client.ok("FETCH * BINARY.PEEK[]").await?;
            let told = answer.all("FETCH").next().unwrap().0.clone();
            let literal = format!("(BINARY[] ~{{{size}}}\r\n{message})");
            assert!(told.ends_with(literal.as_bytes()), "{door}: {answer:?}");
            for item in ["BODY.PEEK[]", "RFC822.SIZE", "BODY.PEEK[TEXT]"] {
                let answer = client.ok(&format!("FETCH * {item}")).await?;
                let told = &answer.all("FETCH").next().unwrap().0;
                assert!(!told.contains(&0), "{door}, {item}: {answer:?}");
            }
        }
        let refused = client
            .try_append("INBOX", "", &small.clone().into_bytes())
            .await;
        assert!(
            refused.is_err() || refused.unwrap().status != Status::Ok,
            "{door}"
        );
    }
    for (door, mut client) in both(&murder, "user1").await?.into_iter().enumerate() {
        let header = "Subject: bl\u{e5}\r\n\r\nx\r\n".as_bytes();
        let answer = client.try_append("INBOX", "", header).await?;
        assert_eq!(answer.status, Status::No, "{door}: {answer:?}");
        assert_eq!(answer.code(), "CANNOT", "{door}: {answer:?}");
        let body = "Subject: x\r\n\r\nbl\u{e5}\r\n".as_bytes();
        let answer = client.try_append("INBOX", "", body).await?;
        assert_eq!(answer.status, Status::Ok, "{door}: {answer:?}");
    }
    Ok(())
}
