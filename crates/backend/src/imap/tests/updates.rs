//! A client that only listens knows its mailbox: random changes by others and by itself, told
//! with and without expunges, applied to a simple model.

use std::sync::Arc;

use murder_imap::{Command, FetchData, Flag, Response, Untagged, parse_command};
use murder_mailbox::Identity;
use murder_net::{Connection, SessionId, Stream};
use murder_store::{Flags, MailboxHandle, Partition, StoreMode, StoreOp, UidSet};

use super::support::{Server, message, short};
use crate::imap::selected::flag_words;
use crate::imap::session::Session;
use crate::imap::state::State;
use crate::imap::updates::{Expunges, report};

/// Numbers that a seed determines (splitmix64).
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn uids(&mut self, uidnext: u32) -> UidSet {
        let count = self.below(4) + 1;
        (0..count)
            .map(|_| 1 + self.below(u64::from(uidnext)) as u32)
            .collect()
    }
}

/// What a client believes.
#[derive(Default)]
struct Model {
    /// UID and flags of each message in order; a new one's are asked for when it is heard of.
    messages: Vec<(u32, Vec<String>)>,
    recent: u32,
}

impl Model {
    fn hear(&mut self, response: Untagged, session: &Session) {
        let selected = selected(session);
        match response {
            Untagged::Expunge(seq) => {
                assert!(seq >= 1 && seq as usize <= self.messages.len(), "{seq}");
                self.messages.remove(seq as usize - 1);
            }
            Untagged::Exists(count) => {
                assert!(count as usize >= self.messages.len());
                for seq in self.messages.len() as u32 + 1..=count {
                    let row = selected.view.row(seq).unwrap();
                    self.messages.push((row.uid, flags(session, &row)));
                }
            }
            Untagged::Recent(count) => self.recent = count,
            Untagged::Fetch { seq, items } => {
                let known = &mut self.messages[seq as usize - 1];
                for item in items {
                    match item {
                        FetchData::Flags(flags) => known.1 = names(&flags),
                        FetchData::Uid(uid) => assert_eq!(uid, known.0),
                        other => panic!("{other:?}"),
                    }
                }
            }
            Untagged::Flags(_) | Untagged::Status { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    fn uids(&self) -> Vec<u32> {
        self.messages.iter().map(|(uid, _)| *uid).collect()
    }
}

fn names(flags: &[Flag]) -> Vec<String> {
    let mut names: Vec<String> = flags.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    names
}

fn selected(session: &Session) -> &crate::imap::selected::Selected {
    let State::Selected(_, selected) = &session.state else {
        panic!("nothing is selected");
    };
    selected
}

fn flags(session: &Session, row: &murder_store::MessageRow) -> Vec<String> {
    let selected = selected(session);
    let view = &selected.view;
    let recent = selected.recent.contains(row.uid);
    let words = flag_words(view, selected.flags_of(view, row), recent, row.keywords);
    let mut words: Vec<String> = words.map(str::to_owned).collect();
    words.sort_unstable();
    words
}

/// Everything that the session has written.
fn written(session: &mut Session) -> Vec<Untagged> {
    let octets = session.client.writer.output().take();
    let mut responses = Vec::new();
    for line in octets.split_inclusive(|b| *b == b'\n') {
        match murder_imap::response::parse(line).unwrap() {
            Response::Untagged(response) => responses.push(response),
            other => panic!("{other:?}"),
        }
    }
    responses
}

async fn session(server: &Server, user: &str) -> Session {
    let client = Stream::connect(server.address).await.unwrap();
    session_over(client, server, user)
}

fn session_over(client: Stream, server: &Server, user: &str) -> Session {
    let connection = Connection {
        peer_addr: server.address,
        local_addr: server.address,
        session: SessionId::new(),
        stream: client,
    };
    let (node, imap) = (Arc::clone(&server.node), Arc::clone(&server.imap_shared));
    let mut session = Session::new(node, imap, connection);
    let sessions = &server.node.sessions;
    let identity = Some(Identity::user(user));
    let (authenticator, about) = (&server.node.authenticator, session.client.about());
    let logged_in = sessions.vouch(authenticator, about, None, user, identity);
    session.enter(logged_in.unwrap());
    session
}

async fn select(session: &mut Session, mailbox: murder_imap::MailboxArg) {
    let (tag, _) = parse_command(b"a NOOP\r\n").unwrap();
    let command = Command::Select {
        mailbox,
        params: Vec::new(),
    };
    session.execute(&tag, command).await.unwrap();
}

/// Tells the client what is new.
async fn tell(session: &mut Session, expunges: Expunges) {
    let State::Selected(account, selected) = &mut session.state else {
        panic!("nothing is selected");
    };
    let told = report(&mut session.client, account, selected, expunges).await;
    told.unwrap();
}

/// Something that others do.
async fn change(rng: &mut Rng, partition: &Partition, handle: &MailboxHandle) {
    let name = handle.meta().unwrap().name;
    let uidnext = handle.view().uidnext();
    let keywords = ["red", "green", "blue"];
    match rng.below(6) {
        0 => {
            let count = rng.below(3) + 1;
            let new = (0..count).map(|_| message(short("x"))).collect();
            partition.append(&name, new).await.unwrap();
        }
        1 | 2 => {
            let uids = rng.uids(uidnext);
            let delete = StoreOp::new(StoreMode::Add, Flags::DELETED, Vec::new());
            partition.store_flags(handle, &uids, delete).await.unwrap();
            partition.expunge(handle, Some(&uids)).await.unwrap();
        }
        _ => {
            let mode = [StoreMode::Add, StoreMode::Remove, StoreMode::Replace];
            let keyword = keywords[rng.below(3) as usize].to_owned();
            let op = StoreOp {
                user: match rng.below(3) {
                    0 => Some("carol".into()),
                    1 => Some("dave".into()),
                    _ => None,
                },
                ..StoreOp::new(
                    mode[rng.below(3) as usize],
                    Flags::from_bits(rng.below(32) as u8) & !Flags::DELETED,
                    vec![keyword],
                )
            };
            let uids = rng.uids(uidnext);
            partition.store_flags(handle, &uids, op).await.unwrap();
        }
    }
}

/// The session's own STORE, by message number.
async fn own_store(rng: &mut Rng, session: &mut Session, model: &mut Model) {
    let count = model.messages.len() as u64;
    if count == 0 {
        return;
    }
    let (low, high) = (rng.below(count) + 1, rng.below(count) + 1);
    let (low, high) = (low.min(high), low.max(high));
    let silent = rng.below(2) == 0;
    let (sign, flag) = (
        ["+", "-"][rng.below(2) as usize],
        ["\\Seen", "\\Flagged", "red"][rng.below(3) as usize],
    );
    let suffix = if silent { ".SILENT" } else { "" };
    let line = format!("a STORE {low}:{high} {sign}FLAGS{suffix} {flag}\r\n");
    let (tag, command) = parse_command(line.as_bytes()).unwrap();
    // NO tells that some were expunged; the others are changed.
    let _ = session.execute(&tag, command).await;
    if silent {
        // A client takes the flags for changed as it wanted.
        for (_, known) in &mut model.messages[low as usize - 1..high as usize] {
            known.retain(|name| name != flag);
            if sign == "+" {
                known.push(flag.to_owned());
                known.sort_unstable();
            }
        }
    }
}

async fn play(seed: u64, user: &str, mailbox: &str, server: &Server) {
    let mut rng = Rng(seed);
    let (partition, handle) = server.open(mailbox).await;
    let mut session = session(server, user).await;
    let name = murder_imap::MailboxArg::from(mailbox);
    select(&mut session, name).await;
    let mut model = Model::default();
    for response in written(&mut session) {
        if !matches!(response, Untagged::Status { .. }) {
            model.hear(response, &session);
        }
    }
    for step in 0..400 {
        let what = rng.below(8);
        match what {
            0 => own_store(&mut rng, &mut session, &mut model).await,
            1 => tell(&mut session, Expunges::Allowed).await,
            2 | 3 => tell(&mut session, Expunges::Held).await,
            4 if rng.below(4) == 0 => {
                let line = b"a FETCH 1:* BODY[TEXT]<0.1>\r\n";
                let (tag, command) = parse_command(line).unwrap();
                let _ = session.execute(&tag, command).await;
                // Literals hold no line break, so a response is still a line or two.
                let octets = session.client.writer.output().take();
                let mut reader = murder_imap::ResponseReader::new(1 << 20);
                let mut input = &octets[..];
                while let Some(response) = reader.next_response(&mut input).await.unwrap() {
                    let Response::Untagged(mut response) = response else {
                        panic!("{response:?}");
                    };
                    if let Untagged::Fetch { items, .. } = &mut response {
                        items.retain(|item| !matches!(item, FetchData::Section { .. }));
                    }
                    model.hear(response, &session);
                }
            }
            _ => change(&mut rng, &partition, &handle).await,
        }
        let context = format!("seed {seed} step {step}");
        let held = what != 1;
        for response in written(&mut session) {
            assert!(
                !held || !matches!(response, Untagged::Expunge(_)),
                "{context}"
            );
            model.hear(response, &session);
        }
        let view = Arc::clone(&selected(&session).view);
        assert_eq!(model.uids(), view.uids().collect::<Vec<_>>(), "{context}");
        for ((uid, known), row) in model.messages.iter().zip(view.rows(1, view.len())) {
            let here = selected(&session).newest.row_by_uid(*uid).is_some();
            if here {
                assert_eq!(*known, flags(&session, &row), "{context} UID {uid}");
            }
        }
        if what == 1 {
            let newest = handle.view();
            assert_eq!(model.uids(), newest.uids().collect::<Vec<_>>(), "{context}");
        }
    }
}

#[tokio::test]
async fn a_listening_client_knows_its_mailbox() {
    let server = Server::start();
    server.create("user/bob").await;
    server.allow("user/bob", "carol", "lrswite").await;
    for seed in 0..12 {
        let user = ["bob", "carol"][seed as usize % 2];
        let mailbox = format!("user/bob/{seed}");
        server.create(&mailbox).await;
        play(seed, user, &mailbox, &server).await;
    }
}

/// Of what there is to tell, no more is held than is sent at a time.
#[tokio::test]
async fn much_to_tell_is_sent_in_pieces() {
    const MESSAGES: u32 = 2_000;
    let server = Server::start();
    server.create("user/bob").await;
    let (partition, handle) = server.open("user/bob").await;
    let name = handle.meta().unwrap().name;
    let all = (0..MESSAGES).map(|_| message(short("x"))).collect();
    partition.append(&name, all).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sessions = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let client = Stream::connect(listener.local_addr().unwrap()).await;
        let mut session = session_over(client.unwrap(), &server, "bob");
        let name = murder_imap::MailboxArg::from("user/bob");
        select(&mut session, name).await;
        sessions.push(session);
        let (mut socket, _) = listener.accept().await.unwrap();
        clients.push(tokio::spawn(async move {
            let mut told = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut told)
                .await
                .unwrap();
            told
        }));
    }
    let keywords: Vec<String> = (0..60).map(|n| format!("{n}-{}", "k".repeat(50))).collect();
    let line = format!("a STORE 1:* +FLAGS ({})\r\n", keywords.join(" "));
    let (tag, command) = parse_command(line.as_bytes()).unwrap();
    // 64 KiB wait before they are sent, and a line.
    let most = (64 << 10) + line.len() + 100;
    sessions[0].execute(&tag, command).await.unwrap();
    tell(&mut sessions[1], Expunges::Allowed).await;
    for mut session in sessions {
        assert!(session.client.writer.output().len() < most);
        session.client.flush().await.unwrap();
    }
    for client in clients {
        let told = client.await.unwrap();
        let lines = told.split(|byte| *byte == b'\n');
        let fetches = lines.filter(|line| line.windows(7).any(|word| word == b" FETCH "));
        assert_eq!(fetches.count(), MESSAGES as usize);
        assert!(told.len() > 60 * 50 * MESSAGES as usize);
    }
}

/// RFC 2180 section 4.2.1: what could be done is done, and that is OK; only who changes nothing
/// but what is gone, and waits for the flags, is told NO.
#[tokio::test]
async fn a_store_by_number_of_messages_of_which_some_went() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for n in 1..=4 {
        server.put("user/bob", short(&format!("s{n}"))).await;
    }
    let mut other = server.login("bob").await;
    bob.select("INBOX").await;
    other.select("INBOX").await;
    let _ = other.ask("STORE 2:3 +FLAGS.SILENT \\Deleted").await;
    let _ = other.ask("EXPUNGE").await;
    bob.play(
        "C: a STORE 1:3 +FLAGS (\\Flagged)
         S: * 1 FETCH (FLAGS (\\Flagged …
         S: a OK STORE completed
         C: b STORE 2:3 +FLAGS.SILENT (\\Flagged)
         S: b OK STORE completed
         C: c STORE 2,3 +FLAGS (\\Flagged)
         S: c NO [EXPUNGEISSUED] …
         C: d STORE 4 +FLAGS (\\Answered)
         S: * 4 FETCH (FLAGS (\\Answered …
         S: d OK STORE completed
         C: e NOOP
         S: * 3 EXPUNGE
         S: * 2 EXPUNGE
         S: e OK …",
    )
    .await;
}
