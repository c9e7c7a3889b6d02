//! Messages of a partition: append, deliver, flags, expunge, copy, move.

use std::sync::Arc;

use murder_mailbox::MailboxName;

use super::Partition;
use super::once::{MOST_IDS, OnceId};
use crate::blocking::blocking;
use crate::body::BodyLocation;
use crate::claims::Claim;
use crate::command::{self, Append, CopyAcross, Op, Target};
use crate::config::INLINE_LIMIT;
use crate::entry::Outcome;
use crate::error::StoreError;
use crate::handle::MailboxHandle;
use crate::items::Items;
use crate::message::{
    AppendMessage, Appended, Body, Copied, CopyFlags, Expunged, StoreMode, StoreOp, Stored,
};
use crate::shared::Payload;
use crate::uidset::UidSet;
use crate::view::{MAX_KEYWORDS, MailboxView, MessageRow};

/// Mailboxes that one record delivers to; a longer list is delivered in several.
const MAX_TARGETS: usize = 1000;

impl Partition {
    /// Appends messages to a mailbox, all or none.
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`], [`StoreError::UidsExhausted`], [`StoreError::OverQuota`], and
    /// those of every change. Keywords that the mailbox has no room for are left out.
    pub async fn append(
        &self,
        name: &MailboxName,
        messages: Vec<AppendMessage>,
    ) -> Result<Appended, StoreError> {
        self.append_as(self.target(name)?, messages, &[]).await
    }

    /// Appends copies of messages of another partition, which keep their EMAILIDs (RFC 8474
    /// section 5.1): `email_ids` has one for each.
    ///
    /// # Errors
    /// As [`Partition::append`].
    pub async fn append_copies(
        &self,
        name: &MailboxName,
        messages: Vec<AppendMessage>,
        email_ids: &[[u8; 16]],
    ) -> Result<Appended, StoreError> {
        debug_assert_eq!(messages.len(), email_ids.len());
        self.append_as(self.target(name)?, messages, email_ids)
            .await
    }

    pub(super) async fn append_as(
        &self,
        target: Target,
        messages: Vec<AppendMessage>,
        email_ids: &[[u8; 16]],
    ) -> Result<Appended, StoreError> {
        let (mut messages, payload) = self.load(messages).await?;
        for (message, id) in messages.iter_mut().zip(email_ids) {
            message.email_id = id.to_vec();
        }
        let op = Op::Append(Append {
            targets: vec![target],
            messages,
            replaces: None,
            max_keywords: MAX_KEYWORDS as u32,
            most_ids: MOST_IDS,
        });
        appended(self.shared.submit_one(op, payload).await?)
    }

    /// Puts a message in the place of another (RFC 8508): appends it to `target`, which may be
    /// another mailbox, and removes message `uid` of `source`, whether it has `\Deleted` or not.
    /// Within a home it is one change; into another home the old message goes after the new one
    /// has come, so that a crash in between leaves both.
    ///
    /// # Errors
    /// [`StoreError::NoSuchMessage`] when the message is gone already, and as
    /// [`Partition::append`].
    pub async fn replace(
        &self,
        source: &MailboxHandle,
        uid: u32,
        target: &MailboxName,
        message: AppendMessage,
    ) -> Result<Appended, StoreError> {
        let place = self.target(target)?;
        let claim = source.claim(&UidSet::range(uid, uid));
        if claim.uids().is_empty() {
            return Err(StoreError::NoSuchMessage);
        }
        if place.home != source.home() {
            let appended = self.append(target, vec![message]).await?;
            self.remove(source, &UidSet::range(uid, uid)).await?;
            return Ok(appended);
        }
        let (messages, payload) = self.load(vec![message]).await?;
        let (now, keep_until) = self.shared.keep(self.shared.config.expunge_delay);
        let op = Op::Append(Append {
            targets: vec![place],
            messages,
            replaces: Some(command::Replaced {
                mailbox: source.id().to_bytes().to_vec(),
                uid,
                now,
                keep_until,
            }),
            max_keywords: MAX_KEYWORDS as u32,
            most_ids: MOST_IDS,
        });
        appended(self.shared.submit_one(op, payload).await?)
    }

    /// Delivers one message to many mailboxes, of any homes: one body on disk, a result for
    /// each target in its place.
    ///
    /// # Errors
    /// Those of every change, when nothing was delivered to anyone.
    pub async fn deliver(
        &self,
        targets: &[MailboxName],
        message: AppendMessage,
    ) -> Result<Vec<Result<Appended, StoreError>>, StoreError> {
        let targets = targets.iter().map(|name| (name, None));
        self.deliver_once(targets, message).await
    }

    /// As [`Partition::deliver`]; a target with an id that its home remembers gets nothing, and its
    /// result is that of the first time, with 0 for the MODSEQ.
    ///
    /// # Errors
    /// As [`Partition::deliver`].
    pub async fn deliver_once<'a>(
        &self,
        targets: impl ExactSizeIterator<Item = (&'a MailboxName, Option<OnceId>)>,
        message: AppendMessage,
    ) -> Result<Vec<Result<Appended, StoreError>>, StoreError> {
        let mut results: Vec<Result<Appended, StoreError>> =
            vec![Err(StoreError::NoSuchMailbox); targets.len()];
        let mut known = Vec::with_capacity(targets.len());
        let kept = self.shared.config.delivery_ids_kept;
        for (place, (name, id)) in targets.enumerate() {
            if let Ok(mut target) = self.target(name) {
                if let Some(id) = id.filter(|_| !kept.is_zero()) {
                    self.set_id(&mut target, id, kept);
                }
                known.push((place, target));
            }
        }
        if known.is_empty() {
            return Ok(results);
        }
        let (messages, mut payload) = self.load(vec![message]).await?;
        let mut chunks = known.chunks(MAX_TARGETS).enumerate().peekable();
        while let Some((nth, known)) = chunks.next() {
            let op = Op::Append(Append {
                targets: known.iter().map(|(_, target)| target.clone()).collect(),
                messages: messages.clone(),
                replaces: None,
                max_keywords: MAX_KEYWORDS as u32,
                most_ids: MOST_IDS,
            });
            let homes = op.homes();
            let next = chunks.peek().map(|_| payload.again()).unwrap_or_default();
            match self
                .shared
                .submit(op, std::mem::replace(&mut payload, next))
                .await
            {
                Ok(outcomes) => {
                    for (home, outcome) in homes.into_iter().zip(outcomes) {
                        match outcome {
                            Ok(Outcome::Appended(appended)) => {
                                for (at, result) in appended {
                                    results[known[at].0] = result;
                                }
                            }
                            Ok(_) => {}
                            Err(e) => {
                                for (place, _) in known.iter().filter(|(_, t)| t.home == home) {
                                    results[*place] = Err(e.clone());
                                }
                            }
                        }
                    }
                }
                Err(e) if nth == 0 => return Err(e),
                Err(e) => {
                    for (place, _) in known {
                        results[*place] = Err(e.clone());
                    }
                }
            }
        }
        Ok(results)
    }

    /// Changes flags of messages.
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`], [`StoreError::TooManyKeywords`], and those of every
    /// change.
    pub async fn store_flags(
        &self,
        mailbox: &MailboxHandle,
        uids: &UidSet,
        op: StoreOp,
    ) -> Result<Stored, StoreError> {
        let op = Op::Store(command::Store {
            home: mailbox.home(),
            mailbox: mailbox.id().to_bytes().to_vec(),
            uids: uids.to_bytes(),
            mode: match op.mode {
                StoreMode::Add => 0,
                StoreMode::Remove => 1,
                StoreMode::Replace => 2,
            },
            flags: u32::from(op.flags.bits()),
            keywords: op.keywords,
            unchanged_since: op.unchanged_since,
            user: op.user.unwrap_or_default(),
            flags_mask: u32::from(op.flags_mask.bits()),
            keywords_allowed: op.keywords_allowed,
            max_keywords: MAX_KEYWORDS as u32,
        });
        match self.shared.submit_one(op, Payload::default()).await? {
            Outcome::Stored(stored) => Ok(stored),
            _ => Err(StoreError::NoSuchMailbox),
        }
    }

    /// Removes the messages that have `\Deleted`, or those of `uids` that have it. They can be
    /// restored for [`expunge_delay`](crate::PartitionConfig::expunge_delay).
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`], and those of every change.
    pub async fn expunge(
        &self,
        mailbox: &MailboxHandle,
        uids: Option<&UidSet>,
    ) -> Result<Expunged, StoreError> {
        self.expunge_some(mailbox, uids, false).await
    }

    /// Removes messages whether they have `\Deleted` or not, in one record: all of those that are
    /// still there. They can be restored like others that were expunged.
    ///
    /// # Errors
    /// As [`Partition::expunge`].
    pub async fn remove(
        &self,
        mailbox: &MailboxHandle,
        uids: &UidSet,
    ) -> Result<Expunged, StoreError> {
        self.expunge_some(mailbox, Some(uids), true).await
    }

    async fn expunge_some(
        &self,
        mailbox: &MailboxHandle,
        uids: Option<&UidSet>,
        regardless: bool,
    ) -> Result<Expunged, StoreError> {
        let (now, keep_until) = self.shared.keep(self.shared.config.expunge_delay);
        let op = Op::Expunge(command::Expunge {
            home: mailbox.home(),
            mailbox: mailbox.id().to_bytes().to_vec(),
            uids: uids.map(UidSet::to_bytes),
            now,
            keep_until,
            regardless,
        });
        match self.shared.submit_one(op, Payload::default()).await? {
            Outcome::Expunged(expunged) => Ok(expunged),
            _ => Err(StoreError::NoSuchMailbox),
        }
    }

    /// Copies messages to a mailbox of any home, all or none; those expunged meanwhile are
    /// left out. No bytes are copied.
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`] for the target, [`StoreError::OverQuota`] (but not for a
    /// MOVE under one quota root), and those of every change.
    pub async fn copy(
        &self,
        source: &MailboxHandle,
        uids: &UidSet,
        target: &MailboxName,
        flags: CopyFlags,
    ) -> Result<Copied, StoreError> {
        self.copy_or_move(source, uids, target, flags, false).await
    }

    /// Moves messages to a mailbox of any home (RFC 6851). Never seen half done after a
    /// crash: what is gone from the source is in the target.
    ///
    /// # Errors
    /// As [`Partition::copy`].
    pub async fn move_messages(
        &self,
        source: &MailboxHandle,
        uids: &UidSet,
        target: &MailboxName,
        flags: CopyFlags,
    ) -> Result<Copied, StoreError> {
        self.copy_or_move(source, uids, target, flags, true).await
    }

    async fn copy_or_move(
        &self,
        source: &MailboxHandle,
        uids: &UidSet,
        target: &MailboxName,
        flags: CopyFlags,
        expunge: bool,
    ) -> Result<Copied, StoreError> {
        let (target_home, target) = self.find(target)?;
        // Until the messages are gone, or are not.
        let claim = expunge.then(|| source.claim(uids));
        let uids = claim.as_ref().map_or(uids, Claim::uids);
        if target_home == source.home() {
            let op = Op::Copy(command::Copy {
                home: target_home,
                source: source.id().to_bytes().to_vec(),
                target: target.id.to_bytes().to_vec(),
                uids: uids.to_bytes(),
                expunge,
                source_user: flags.source.unwrap_or_default(),
                target_user: flags.target.unwrap_or_default(),
                now: self.shared.config.clock.now(),
                without_flags: u32::from(flags.without.bits()),
                without_keywords: flags.without_keywords,
                max_keywords: MAX_KEYWORDS as u32,
            });
            return copied(self.shared.submit_one(op, Payload::default()).await?);
        }
        let view = source.view();
        let (messages, payload) = self.rows_to_copy(source, &view, uids, &flags).await?;
        if messages.is_empty() {
            return Ok(Copied {
                uidvalidity: target.uidvalidity,
                ..Copied::default()
            });
        }
        let op = Op::CopyAcross(CopyAcross {
            source_home: source.home(),
            source: source.id().to_bytes().to_vec(),
            target_home,
            target: target.id.to_bytes().to_vec(),
            messages,
            expunge,
            max_keywords: MAX_KEYWORDS as u32,
        });
        let mut results = self.shared.submit(op, payload).await?.into_iter();
        let mut result = copied(results.next().ok_or(StoreError::Closed)??)?;
        if let Some(at_source) = results.next()
            && let Outcome::Expunged(expunged) = at_source?
        {
            result.expunged = expunged.uids;
        }
        Ok(result)
    }

    /// The rows of a cross-home copy, with their bodies kept in place until it is applied.
    async fn rows_to_copy(
        &self,
        source: &MailboxHandle,
        view: &MailboxView,
        uids: &UidSet,
        flags: &CopyFlags,
    ) -> Result<(Vec<command::Message>, Payload), StoreError> {
        let rows: Vec<MessageRow> = uids
            .ranges()
            .iter()
            .flat_map(|&(low, high)| view.rows_by_uid(low, high))
            .collect();
        let segments = Arc::clone(&self.shared.segments);
        let fetched = source.fetch_items(&rows).await?;
        let save_date = self.shared.config.clock.now();
        let mut messages = Vec::with_capacity(rows.len());
        let mut items = Vec::with_capacity(rows.len());
        for (row, fetched) in rows.iter().zip(fetched) {
            // Expunged since the view was taken.
            let Some(fetched) = fetched else { continue };
            items.push(Arc::new(Items {
                content: fetched.encoded(),
                sent: row.sent,
                sent_day: row.sent_day,
                header_len: row.header_len,
            }));
            messages.push(command::Message {
                len: row.location.len,
                crc: row.location.crc,
                segment: row.location.segment,
                offset: row.location.offset,
                flags: {
                    let all = view.flags_for(row, flags.source.as_deref());
                    u32::from((all & !flags.without).bits())
                },
                keywords: if flags.without_keywords {
                    Vec::new()
                } else {
                    let names = view.keywords().names(row.keywords);
                    names.map(str::to_owned).collect()
                },
                internal_seconds: row.internal_date.seconds,
                internal_zone: i32::from(row.internal_date.zone),
                save_date,
                email_id: row.email_id.to_vec(),
                seen_by: flags.target.clone().unwrap_or_default(),
                source_uid: row.uid,
            });
        }
        blocking(move || {
            let mut numbers: Vec<u64> = messages.iter().map(|m| m.segment).collect();
            numbers.sort_unstable();
            numbers.dedup();
            let pins: Vec<_> = numbers.iter().map(|&n| segments.pin(n)).collect();
            let mut gone = Vec::new();
            for number in numbers {
                if !segments.exists(number)? {
                    gone.push(number);
                }
            }
            if !gone.is_empty() {
                let mut keep = messages.iter().map(|m| !gone.contains(&m.segment));
                items.retain(|_| keep.next().unwrap_or(false));
                messages.retain(|m| !gone.contains(&m.segment));
            }
            let payload = Payload {
                items,
                pins,
                ..Payload::default()
            };
            Ok((messages, payload))
        })
        .await
    }

    pub(super) fn target(&self, name: &MailboxName) -> Result<Target, StoreError> {
        let (home, mailbox) = self.find(name)?;
        Ok(Target {
            home,
            mailbox: mailbox.id.to_bytes().to_vec(),
            ..Target::default()
        })
    }

    /// Turns messages into what a record says of them and what goes beside it.
    pub(super) async fn load(
        &self,
        messages: Vec<AppendMessage>,
    ) -> Result<(Vec<command::Message>, Payload), StoreError> {
        let mut specs = Vec::with_capacity(messages.len());
        let mut payload = Payload::default();
        // Leaves half of the record to commands and headers.
        let room = self.shared.record_limit() / 2;
        let mut inline = 0;
        for message in messages {
            let body = match message.body {
                Body::Inline(bytes)
                    if bytes.len() > INLINE_LIMIT || inline + bytes.len() as u64 > room =>
                {
                    let mut writer = self.stage(bytes.len() as u64).await?;
                    writer.write(bytes).await?;
                    Body::Staged(writer.finish().await?)
                }
                body => body,
            };
            let location = match body {
                Body::Inline(bytes) => {
                    inline += bytes.len() as u64;
                    let location = BodyLocation {
                        len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
                        crc: crc32c::crc32c(&bytes),
                        ..BodyLocation::default()
                    };
                    payload.items.push(Arc::new(Items::compute(&bytes)));
                    payload.bodies.push(bytes);
                    location
                }
                Body::Staged(staged) => {
                    let location = staged.location();
                    payload.items.push(self.items_of(location).await?);
                    payload.staged.push(staged);
                    location
                }
            };
            specs.push(command::Message {
                len: location.len,
                crc: location.crc,
                segment: location.segment,
                offset: location.offset,
                flags: u32::from(message.flags.bits()),
                keywords: message.keywords,
                internal_seconds: message.internal_date.seconds,
                internal_zone: i32::from(message.internal_date.zone),
                save_date: message.save_date,
                email_id: uuid::Uuid::now_v7().as_bytes().to_vec(),
                seen_by: message.seen_by.unwrap_or_default(),
                source_uid: 0,
            });
        }
        Ok((specs, payload))
    }

    async fn items_of(&self, at: BodyLocation) -> Result<Arc<Items>, StoreError> {
        let _memory = self
            .shared
            .large_bodies
            .acquire()
            .await
            .map_err(|_| StoreError::Closed)?;
        let segments = Arc::clone(&self.shared.segments);
        blocking(move || {
            let raw = segments.read(at, 0, at.len)?;
            Ok(Arc::new(Items::compute(&raw)))
        })
        .await
    }
}

/// The outcome of an append to one mailbox.
pub(super) fn appended(outcome: Outcome) -> Result<Appended, StoreError> {
    match outcome {
        Outcome::Appended(mut results) => results
            .pop()
            .map_or(Err(StoreError::NoSuchMailbox), |(_, result)| result),
        _ => Err(StoreError::NoSuchMailbox),
    }
}

pub(super) fn copied(outcome: Outcome) -> Result<Copied, StoreError> {
    match outcome {
        Outcome::Copied(copied) => Ok(copied),
        _ => Err(StoreError::NoSuchMailbox),
    }
}
