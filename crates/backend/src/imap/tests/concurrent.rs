//! Several sessions on one mailbox, of every kind: whatever they do to it, each client that
//! believes what it is told knows the mailbox.

use std::collections::BTreeMap;
use std::sync::Arc;

use murder_imap::{Code, FetchData, Untagged};

use super::support::{Client, Server, short};

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

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }
}

/// What a client has enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    CondStore,
    QResync,
    Rev2,
    UidOnly,
    Everything,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Plain,
        Self::CondStore,
        Self::QResync,
        Self::Rev2,
        Self::UidOnly,
        Self::Everything,
    ];

    fn enable(self) -> Option<&'static str> {
        Some(match self {
            Self::Plain => return None,
            Self::CondStore => "ENABLE CONDSTORE",
            Self::QResync => "ENABLE QRESYNC",
            Self::Rev2 => "ENABLE IMAP4rev2",
            Self::UidOnly => "ENABLE UIDONLY",
            Self::Everything => "ENABLE UIDONLY QRESYNC IMAP4rev2 UTF8=ACCEPT",
        })
    }

    fn resyncs(self) -> bool {
        matches!(self, Self::QResync | Self::Everything)
    }

    fn uid_only(self) -> bool {
        matches!(self, Self::UidOnly | Self::Everything)
    }

    fn has_recent(self) -> bool {
        !matches!(self, Self::Rev2 | Self::Everything)
    }
}

/// A message as a client knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    /// `None` for one that it has only been counted to.
    uid: Option<u32>,
    flags: Option<Vec<String>>,
    modseq: u64,
}

/// A client and what it believes.
struct Player {
    client: Client,
    kind: Kind,
    /// In order: EXISTS and EXPUNGE are about places.
    messages: Vec<Known>,
    /// How far it has come, as RFC 7162 section 6 has it counted.
    highest: u64,
    uidvalidity: u32,
}

impl Player {
    async fn start(server: &Server, kind: Kind) -> Self {
        let mut player = Self {
            client: server.login("bob").await,
            kind,
            messages: Vec::new(),
            highest: 0,
            uidvalidity: 0,
        };
        player.enable().await;
        player.select("SELECT INBOX").await;
        player.fetch_new().await;
        player
    }

    async fn enable(&mut self) {
        if let Some(command) = self.kind.enable() {
            let answer = self.client.ask(command).await;
            assert_eq!(answer.last().unwrap(), "OK ENABLE completed");
        }
    }

    async fn select(&mut self, command: &str) {
        let (told, completion) = self.client.get(command).await;
        assert!(completion.starts_with("OK [READ-WRITE]"), "{completion}");
        // What it knew stays known, by UID, for QRESYNC to correct.
        let mut known = std::mem::take(&mut self.messages);
        let mut exists = 0;
        let mut changed = BTreeMap::new();
        for response in told {
            match response {
                Untagged::Exists(count) => exists = count,
                // What others do meanwhile is told before the command is done.
                Untagged::Expunge(_) => exists -= 1,
                Untagged::Vanished { earlier, uids } => {
                    known.retain(|m| !uids.contains(m.uid.unwrap(), 0));
                    if !earlier {
                        exists -= uids.iter(u32::MAX).count() as u32;
                    }
                }
                Untagged::Fetch { items, .. } => {
                    let news = told_of(&items);
                    // Without its UID it is for who knows no message yet.
                    if let Some(uid) = news.uid {
                        changed.insert(uid, news);
                    }
                }
                Untagged::UidFetch { uid, items } => {
                    changed.insert(uid, told_of(&items));
                }
                Untagged::Status { code, .. } => match code {
                    Some(Code::HighestModSeq(modseq)) => self.highest = modseq,
                    Some(Code::UidValidity(uidvalidity)) => self.uidvalidity = uidvalidity,
                    _ => {}
                },
                _ => {}
            }
        }
        for message in &mut known {
            if let Some(news) = changed.remove(&message.uid.unwrap()) {
                message.flags = news.flags;
                message.modseq = news.modseq;
            }
        }
        assert!(
            known.len() <= exists as usize,
            "{} of {exists}",
            known.len()
        );
        known.resize(exists as usize, Known::default());
        self.messages = known;
    }

    /// Loses its connection and comes back with what it knows.
    async fn come_back(&mut self, server: &Server) {
        self.client = server.login("bob").await;
        self.enable().await;
        if !self.kind.resyncs() {
            self.messages.clear();
            self.select("SELECT INBOX").await;
            return;
        }
        // The UIDs of messages that it knows only by number it cannot ask for; nor can it tell
        // where they are among those that it is told of when it has come back.
        let known = |m: &Known| m.uid.is_some() && m.flags.is_some();
        let unknown = self.messages.iter().position(|m| !known(m));
        self.messages
            .truncate(unknown.unwrap_or(self.messages.len()));
        let uids = self.messages.iter().filter_map(|m| m.uid);
        let set = murder_imap::SequenceSet::from_numbers(uids);
        let Some(set) = set.filter(|_| self.highest > 0) else {
            self.messages.clear();
            self.select("SELECT INBOX").await;
            return;
        };
        let select = format!(
            "SELECT INBOX (QRESYNC ({} {} {set}))",
            self.uidvalidity, self.highest
        );
        self.select(&select).await;
    }

    /// Sends a command and believes what it is told.
    async fn ask(&mut self, command: &str) -> String {
        let (told, completion) = self.client.get(command).await;
        let mut told_highest = None;
        let mut told_modseq = 0;
        let by_number = ["FETCH", "STORE", "SEARCH"]
            .iter()
            .any(|name| command.starts_with(name));
        for response in told {
            let context = format!("{:?} {command}: {response:?}", self.kind);
            match response {
                Untagged::Expunge(seq) => {
                    assert!(!by_number, "{context}");
                    assert!(!self.kind.resyncs() && !self.kind.uid_only(), "{context}");
                    assert!((seq as usize) <= self.messages.len(), "{context}");
                    self.messages.remove(seq as usize - 1);
                }
                Untagged::Vanished { earlier, uids } => {
                    assert!(!by_number && !earlier, "{context}");
                    assert!(self.kind.resyncs() || self.kind.uid_only(), "{context}");
                    for uid in uids.iter(u32::MAX) {
                        // A message without a known UID is between those whose are around it.
                        let above = |m: &Known| m.uid.is_some_and(|known| known > uid);
                        let end = self.messages.iter().position(above);
                        let end = end.unwrap_or(self.messages.len());
                        let is_it = |m: &Known| m.uid.is_none_or(|known| known == uid);
                        let known = self.messages[..end].iter().position(|m| m.uid == Some(uid));
                        let at = known.unwrap_or(end.checked_sub(1).unwrap());
                        assert!(is_it(&self.messages.remove(at)), "{context}");
                    }
                }
                Untagged::Exists(count) => {
                    assert!(count as usize >= self.messages.len(), "{context}");
                    self.messages.resize(count as usize, Known::default());
                }
                Untagged::Recent(_) => assert!(self.kind.has_recent(), "{context}"),
                Untagged::Fetch { seq, items } => {
                    assert!(!self.kind.uid_only(), "{context}");
                    let known = &mut self.messages[seq as usize - 1];
                    let news = told_of(&items);
                    if let (Some(before), Some(now)) = (known.uid, news.uid) {
                        assert_eq!(before, now, "{context}");
                    }
                    told_modseq = told_modseq.max(news.modseq);
                    known.uid = news.uid.or(known.uid);
                    known.modseq = news.modseq.max(known.modseq);
                    if news.flags.is_some() {
                        known.flags = news.flags;
                    }
                }
                Untagged::UidFetch { uid, items } => {
                    assert!(self.kind.uid_only(), "{context}");
                    let news = told_of(&items);
                    told_modseq = told_modseq.max(news.modseq);
                    // One that it has not asked for yet may be told of too.
                    let known = self.messages.iter_mut().find(|m| m.uid == Some(uid));
                    let Some(known) = known else { continue };
                    known.modseq = news.modseq.max(known.modseq);
                    if news.flags.is_some() {
                        known.flags = news.flags;
                    }
                }
                Untagged::Status {
                    code: Some(Code::HighestModSeq(modseq)),
                    ..
                } => told_highest = Some(modseq),
                _ => {}
            }
        }
        if let Some(rest) = completion.strip_prefix("OK [HIGHESTMODSEQ ") {
            let number = rest.split(']').next().unwrap();
            told_highest = Some(number.parse().unwrap());
        }
        // RFC 7162 section 6.
        match told_highest {
            Some(modseq) => self.highest = modseq,
            None => self.highest = self.highest.max(told_modseq),
        }
        completion
    }

    /// Asks for what it does not know yet, as a client does when it hears of new messages.
    async fn fetch_new(&mut self) {
        let known = self
            .messages
            .iter()
            .filter_map(|m| m.uid)
            .max()
            .unwrap_or(0);
        if self
            .messages
            .iter()
            .all(|m| m.uid.is_some() && m.flags.is_some())
        {
            return;
        }
        let from = known + 1;
        if self.kind.uid_only() {
            // UIDs of new messages are asked for by UID, and are behind the others.
            let command = format!("UID FETCH {from}:4294967295 (UID FLAGS)");
            let (told, _) = self.client.get(&command).await;
            let mut new = BTreeMap::new();
            let mut exists = 0;
            for response in told {
                match response {
                    Untagged::UidFetch { uid, items } => {
                        let mut news = told_of(&items);
                        news.uid = Some(uid);
                        match self.messages.iter_mut().find(|m| m.uid == Some(uid)) {
                            Some(known) => known.flags = news.flags.or(known.flags.take()),
                            // Once for a change of its flags, and once as an answer.
                            None => drop(new.insert(uid, news)),
                        }
                    }
                    Untagged::Exists(count) => exists = count as usize,
                    Untagged::Vanished { uids, .. } => {
                        exists = exists.saturating_sub(uids.iter(u32::MAX).count());
                        let gone = |m: &Known| {
                            let uid = m.uid;
                            uid.is_some_and(|uid| uids.contains(uid, 0))
                        };
                        self.messages.retain(|m| !gone(m));
                        new.retain(|_, m| !gone(m));
                    }
                    _ => {}
                }
            }
            self.messages.retain(|m| m.uid.is_some());
            self.messages.extend(new.into_values());
            // More came while it asked.
            let count = exists.max(self.messages.len());
            self.messages.resize(count, Known::default());
            return;
        }
        let unknown = |m: &Known| m.uid.is_none() || m.flags.is_none();
        let first = self.messages.iter().position(unknown);
        if let Some(first) = first {
            let _ = self
                .ask(&format!("FETCH {}:* (UID FLAGS)", first + 1))
                .await;
        }
    }

    /// One random command.
    async fn play(&mut self, rng: &mut Rng, server: &Server) {
        let count = self.messages.len() as u64;
        let flag = rng.pick(&["\\Seen", "\\Flagged", "red", "\\Deleted"]);
        let sign = rng.pick(&["+", "-"]);
        let silent = rng.pick(&["", ".SILENT"]);
        let uid = 1 + rng.below(60);
        let by_uid = self.kind.uid_only() || rng.below(2) == 0;
        match rng.below(12) {
            0 | 1 => {
                server.put("user/bob", short("new")).await;
            }
            2..=4 if by_uid => {
                let command = format!("UID STORE {uid}:{} {sign}FLAGS {flag}", uid + 3);
                let _ = self.ask(&command).await;
            }
            2..=4 if count > 0 => {
                let seq = 1 + rng.below(count);
                let command = format!("STORE {seq} {sign}FLAGS{silent} {flag}");
                let at = seq as usize - 1;
                // Who asks for silence takes it for done, unless it is told otherwise.
                if !silent.is_empty()
                    && let Some(flags) = &mut self.messages[at].flags
                {
                    flags.retain(|known| known != flag);
                    if sign == "+" {
                        flags.push(flag.to_owned());
                        flags.sort_unstable();
                    }
                }
                let completion = self.ask(&command).await;
                if !completion.starts_with("OK") {
                    self.messages[at].flags = None;
                }
            }
            5 => drop(self.ask("EXPUNGE").await),
            6 => drop(self.ask(&format!("UID EXPUNGE {uid}:{}", uid + 5)).await),
            7 if by_uid => drop(self.ask(&format!("UID FETCH {uid}:* (FLAGS)")).await),
            7 => drop(self.ask("SEARCH ALL").await),
            8 if by_uid => drop(self.ask(&format!("UID COPY {uid} INBOX")).await),
            8 if count > 0 => {
                let seq = 1 + rng.below(count);
                let _ = self
                    .ask(&format!("FETCH {seq} (FLAGS BODY[TEXT]<0.1>)"))
                    .await;
            }
            9 if rng.below(3) == 0 => self.come_back(server).await,
            10 => drop(self.ask(&format!("UID MOVE {uid} INBOX")).await),
            _ => drop(self.ask("NOOP").await),
        }
        if rng.below(3) > 0 {
            self.fetch_new().await;
        }
    }

    fn state(&self) -> Vec<(Option<u32>, Option<Vec<String>>)> {
        let state = self.messages.iter().map(|m| (m.uid, m.flags.clone()));
        state.collect()
    }
}

fn told_of(items: &[FetchData]) -> Known {
    let mut known = Known::default();
    for item in items {
        match item {
            FetchData::Uid(uid) => known.uid = Some(*uid),
            FetchData::ModSeq(modseq) => known.modseq = *modseq,
            FetchData::Flags(flags) => {
                let names = flags.iter().map(ToString::to_string);
                let mut names: Vec<String> = names.filter(|name| name != "\\Recent").collect();
                names.sort_unstable();
                known.flags = Some(names);
            }
            _ => {}
        }
    }
    known
}

async fn play(seed: u64) {
    let server = Server::start();
    let mut rng = Rng(seed);
    let mut players = Vec::new();
    for kind in Kind::ALL {
        players.push(Player::start(&server, kind).await);
    }
    let mut watcher = server.login("bob").await;
    for round in 0..30 {
        for _ in 0..8 {
            let at = rng.below(players.len() as u64) as usize;
            players[at].play(&mut rng, &server).await;
        }
        let when = format!("seed {seed} round {round}");
        check(&mut watcher, &mut players, &when).await;
    }
}

/// Everybody listens, and then knows what a new client sees.
async fn check(watcher: &mut Client, players: &mut [Player], when: &str) {
    watcher.select("INBOX").await;
    let (told, _) = watcher.get("UID FETCH 1:* FLAGS").await;
    let truth: Vec<_> = told
        .iter()
        .filter_map(|response| match response {
            Untagged::Fetch { items, .. } => Some(told_of(items)),
            _ => None,
        })
        .map(|known| (known.uid, known.flags))
        .collect();
    for player in players {
        let _ = player.ask("NOOP").await;
        player.fetch_new().await;
        let _ = player.ask("NOOP").await;
        let kind = player.kind;
        assert_eq!(player.state(), truth, "{when} {kind:?}");
    }
}

/// The same with all of them at once: what happens in the middle of a command is told too, and not
/// at the wrong time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_at_once() {
    let server = Arc::new(Server::start());
    let mut tasks = Vec::new();
    for (at, kind) in Kind::ALL.into_iter().cycle().take(8).enumerate() {
        let server = Arc::clone(&server);
        tasks.push(tokio::spawn(async move {
            let mut player = Player::start(&server, kind).await;
            let mut rng = Rng(at as u64);
            for _ in 0..80 {
                player.play(&mut rng, &server).await;
            }
            player
        }));
    }
    let mut players = Vec::new();
    for task in tasks {
        players.push(task.await.unwrap());
    }
    let mut watcher = server.login("bob").await;
    check(&mut watcher, &mut players, "all at once").await;
}

/// `MURDER_SEED=17` plays that one again, `MURDER_SEED=0..500` many.
#[tokio::test]
async fn clients_of_every_kind_know_their_mailbox() {
    let seeds = match std::env::var("MURDER_SEED") {
        Ok(seeds) => match seeds.split_once("..") {
            Some((from, to)) => from.parse().unwrap()..to.parse().unwrap(),
            None => {
                let seed = seeds.parse().unwrap();
                seed..seed + 1
            }
        },
        Err(_) => 0..3,
    };
    for seed in seeds {
        play(seed).await;
    }
}
