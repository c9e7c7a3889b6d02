//! A disk that is full, and has room again: over the layer under the journal.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use murder_location::PartitionState;
use murder_store::io::{DiskIo, JournalFile, JournalIo};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::alone::alone;
use super::*;
use crate::status::Watch;

/// A disk that has no room while it is told so.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<AtomicBool>);

#[derive(Debug)]
struct File {
    file: Arc<dyn JournalFile>,
    disk: Disk,
}

impl Disk {
    fn set_full(&self, full: bool) {
        self.0.store(full, Ordering::SeqCst);
    }

    fn room(&self) -> io::Result<()> {
        match self.0.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    fn over(&self, file: io::Result<Arc<dyn JournalFile>>) -> io::Result<Arc<dyn JournalFile>> {
        let disk = self.clone();
        Ok(Arc::new(File { file: file?, disk }))
    }
}

impl JournalIo for Disk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        self.over(DiskIo.create(path))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        self.over(DiskIo.open(path))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        DiskIo.remove(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        DiskIo.sync_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        DiskIo.list(path)
    }
}

impl JournalFile for File {
    fn write_all_at(&self, bufs: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.disk.room()?;
        self.file.write_all_at(bufs, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
    fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> bool {
        self.file.read_cached_at(buf, offset)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.disk.room()?;
        self.file.allocate(len)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

/// A connection that sends lines and reads answers.
struct Lines(BufReader<TcpStream>);

impl Lines {
    async fn connect(address: SocketAddr) -> Self {
        let mut lines = Self(BufReader::new(TcpStream::connect(address).await.unwrap()));
        lines.line().await;
        lines
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).await.unwrap() > 0, "closed");
        line.trim_end().to_owned()
    }

    /// Sends, and reads up to a line that begins so.
    async fn say(&mut self, text: &str, until: &str) -> String {
        self.0.get_mut().write_all(text.as_bytes()).await.unwrap();
        loop {
            let line = self.line().await;
            if line.starts_with(until) {
                return line;
            }
        }
    }
}

/// The last line of a delivery to bob.
async fn deliver(lmtp: &mut Lines) -> String {
    lmtp.say("MAIL FROM:<>\r\n", "250").await;
    lmtp.say("RCPT TO:<bob>\r\n", "250").await;
    lmtp.say("DATA\r\n", "354").await;
    lmtp.say("Subject: x\r\n\r\n.\r\n", "").await
}

async fn fetch(address: SocketAddr, path: &str) -> String {
    let mut lines = BufReader::new(TcpStream::connect(address).await.unwrap());
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    lines.get_mut().write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut lines, &mut text)
        .await
        .unwrap();
    text
}

#[tokio::test]
async fn a_full_disk_is_said_and_has_room_again() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let mut config = alone(&dir);
    config.imap.allow_plaintext_loopback = true;
    config.http.listen = Some(free_port());
    let backend = start_over(config, Arc::new(disk.clone()), None)
        .await
        .unwrap();
    let addresses = backend.addresses().clone();
    let http = backend.runtime().http().unwrap();
    let mut imap = Lines::connect(addresses.imap[0]).await;
    imap.say("a LOGIN bob secret\r\n", "a OK").await;
    let mut lmtp = Lines::connect(addresses.lmtp[0]).await;
    lmtp.say("LHLO x\r\n", "250 ").await;
    assert!(deliver(&mut lmtp).await.starts_with("250 2.1.5"));
    assert!(fetch(http, "/healthz").await.contains("200 OK"));

    disk.set_full(true);
    let append = "b APPEND INBOX {3+}\r\nx\r\n\r\n";
    let refused = imap.say(append, "b ").await;
    assert!(refused.starts_with("b NO [UNAVAILABLE]"), "{refused}");
    let refused = deliver(&mut lmtp).await;
    assert!(refused.starts_with("452 4.3.1"), "{refused}");
    // Reading goes on.
    imap.say("c SELECT INBOX\r\n", "c OK").await;
    imap.say("d FETCH 1 BODY[]\r\n", "d OK").await;
    let red = || async {
        let answer = fetch(http, "/healthz").await;
        answer.contains("503") && answer.contains("partition:default: file system is full")
    };
    until("health is red", red).await;
    // And stays so while nobody tries anything.
    let mut watch = Watch::new();
    for _ in 0..3 {
        let looked = watch.look(backend.node()).await;
        assert_eq!(looked[0].state, PartitionState::ReadOnly);
    }
    assert!(red().await);
    let metrics = fetch(http, "/metrics").await;
    assert!(metrics.contains("partition_writable{partition=\"default\"} 0"));

    disk.set_full(false);
    let looked = watch.look(backend.node()).await;
    assert_eq!(looked[0].state, PartitionState::Online);
    until("health is green", || async {
        fetch(http, "/healthz").await.contains("200 OK")
    })
    .await;
    assert!(deliver(&mut lmtp).await.starts_with("250 2.1.5"));
    let done = imap.say(&append.replacen('b', "e", 1), "e ").await;
    assert!(done.starts_with("e OK [APPENDUID"), "{done}");
    assert_eq!(bodies(backend.node(), "user/bob").await.len(), 3);
}
