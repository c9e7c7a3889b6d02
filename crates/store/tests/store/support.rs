//! What the tests share.

use std::sync::Arc;

use bytes::Bytes;
use murder_mailbox::{MailboxId, MailboxName};
use murder_store::{
    AppendMessage, CreateMailbox, Flags, InternalDate, MailboxView, Partition, PartitionConfig,
};
use tempfile::TempDir;

pub fn name(text: &str) -> MailboxName {
    MailboxName::parse_canonical(text).unwrap()
}

/// Small segments and few shards, so that tests meet every edge.
pub fn config(dir: &TempDir) -> PartitionConfig {
    PartitionConfig {
        segment_bytes: 1 << 20,
        shards: 2,
        ..PartitionConfig::new("test", dir.path().join("partition"))
    }
}

pub fn open(dir: &TempDir) -> Arc<Partition> {
    Partition::open(config(dir)).unwrap()
}

pub fn new_mailbox() -> CreateMailbox {
    CreateMailbox {
        id: MailboxId::new(),
        uidvalidity: 1000,
        acl: "anyone\tlrs\t".to_owned(),
        special_use: None,
        now: 1_700_000_000,
        shared_seen: false,
    }
}

pub async fn create(partition: &Partition, names: &[&str]) {
    for text in names {
        partition
            .create_mailbox(&name(text), new_mailbox())
            .await
            .unwrap();
    }
}

pub fn raw(text: &str) -> Bytes {
    format!("From: a@example.org\r\nDate: Tue, 24 Nov 2026 01:02:03 +0100\r\nSubject: {text}\r\n\r\n{text}\r\n")
        .into()
}

pub fn message(text: &str) -> AppendMessage {
    of_bytes(raw(text))
}

pub fn of_bytes(bytes: Bytes) -> AppendMessage {
    AppendMessage {
        body: bytes.into(),
        flags: Flags::NONE,
        keywords: Vec::new(),
        internal_date: InternalDate {
            seconds: 1_700_000_001,
            zone: 60,
        },
        save_date: 1_700_000_002,
        seen_by: None,
    }
}

pub fn uids(view: &MailboxView) -> Vec<u32> {
    view.uids().collect()
}
