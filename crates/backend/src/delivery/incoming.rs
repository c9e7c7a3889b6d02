//! A message on its way from the connection to the store.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use murder_mailbox::MailboxName;
use murder_store::{
    AppendMessage, Body, BodyWriter, Flags, INLINE_LIMIT, InternalDate, Partition, StoreError,
};

use super::return_paths::ReturnPaths;
use super::trace::Trace;
use super::{DeliveryError, Target};
use crate::node::now;

/// What became of a message for one recipient.
pub(crate) type Delivered = Result<(), DeliveryError>;

/// A message that is being received: in memory up to [`INLINE_LIMIT`], on the partitions' disks
/// beyond that.
pub(crate) struct Incoming {
    places: Vec<Place>,
    /// For each recipient: which place, and which mailbox there.
    recipients: Vec<(usize, usize)>,
    memory: Vec<u8>,
    on_disk: bool,
    size: u64,
    limit: u64,
    /// A NUL has come. What it was in is passed over: no client could be sent it (RFC 9051 section
    /// 9), and no other backend.
    nul: bool,
    /// CRC32C of what has come.
    crc: u32,
    /// Bytes of `memory` that did not come, but were put before the message.
    added: usize,
    /// Takes former deliveries' `Return-Path:` out, where this one's is put in.
    return_paths: Option<ReturnPaths>,
    /// What the client calls the message.
    ident: Option<String>,
    /// By what the message is known, once its header has come.
    trace: Option<Trace>,
    /// What the sender says the size is.
    declared: u64,
}

/// What goes to one partition.
struct Place {
    partition: Arc<Partition>,
    mailboxes: Vec<MailboxName>,
    /// Of each mailbox, the recipient for whom the message goes there.
    recipients: Vec<String>,
    staged: Option<Result<BodyWriter, StoreError>>,
}

impl Incoming {
    /// Nothing yet of a message of `declared` bytes, if that was said, which the sender calls
    /// `ident`. `limit` is the most bytes in a message; `added` is put before it, and with `strips`
    /// fields `Return-Path:` are taken out of it.
    pub(crate) fn new(
        targets: Vec<Target>,
        ident: Option<String>,
        declared: Option<u64>,
        limit: u64,
        added: String,
        strips: bool,
    ) -> Self {
        let mut places: Vec<Place> = Vec::new();
        let mut recipients = Vec::with_capacity(targets.len());
        // Two addresses of one mailbox are one delivery.
        let mut seen: HashMap<MailboxName, (usize, usize)> = HashMap::new();
        for target in targets {
            let Target {
                partition,
                mailbox,
                recipient,
            } = target;
            if let Some(same) = seen.get(&mailbox) {
                recipients.push(*same);
                continue;
            }
            let known = places
                .iter()
                .position(|place| Arc::ptr_eq(&place.partition, &partition));
            let at = known.unwrap_or_else(|| {
                places.push(Place {
                    partition,
                    mailboxes: Vec::new(),
                    recipients: Vec::new(),
                    staged: None,
                });
                places.len() - 1
            });
            let mailboxes = &mut places[at].mailboxes;
            recipients.push((at, mailboxes.len()));
            seen.insert(mailbox.clone(), (at, mailboxes.len()));
            mailboxes.push(mailbox);
            places[at].recipients.push(recipient);
        }
        Self {
            places,
            recipients,
            added: added.len(),
            return_paths: strips.then(ReturnPaths::default),
            declared: declared.unwrap_or(0).min(limit) + added.len() as u64,
            memory: added.into_bytes(),
            on_disk: false,
            size: 0,
            limit,
            nul: false,
            crc: 0,
            ident,
            trace: None,
        }
    }

    /// Bytes that have come, also those that were thrown away.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next bytes. Past the limit, and once a NUL has come, they are thrown away, and what
    /// came before too.
    pub(crate) async fn take(&mut self, bytes: Bytes) {
        self.size += bytes.len() as u64;
        self.nul |= memchr::memchr(0, &bytes).is_some();
        if self.size > self.limit || self.nul {
            self.memory = Vec::new();
            for place in &mut self.places {
                place.staged = None;
            }
            return;
        }
        self.crc = crc32c::crc32c_append(self.crc, &bytes);
        match &mut self.return_paths {
            None => self.keep(bytes).await,
            Some(return_paths) => {
                for kept in return_paths.strip(bytes) {
                    self.keep(kept).await;
                }
            }
        }
    }

    async fn keep(&mut self, bytes: Bytes) {
        if !self.on_disk {
            if self.memory.len() + bytes.len() <= INLINE_LIMIT {
                self.memory.extend_from_slice(&bytes);
                return;
            }
            self.on_disk = true;
            self.trace = Trace::find(self.ident.as_deref(), &self.memory[self.added..]);
            let begun = Bytes::from(std::mem::take(&mut self.memory));
            for place in &mut self.places {
                place.staged = Some(place.partition.stage(self.declared).await);
            }
            self.stage(begun).await;
        }
        self.stage(bytes).await;
    }

    async fn stage(&mut self, bytes: Bytes) {
        for place in &mut self.places {
            if let Some(Ok(writer)) = &mut place.staged
                && let Err(error) = writer.write(bytes.clone()).await
            {
                place.staged = Some(Err(error));
            }
        }
    }

    /// Delivers it: what became of it for each recipient, in order.
    pub(crate) async fn deliver(mut self) -> Vec<Delivered> {
        if self.size > self.limit {
            return vec![Err(DeliveryError::TooLarge); self.recipients.len()];
        }
        if self.nul {
            return vec![Err(DeliveryError::Nul); self.recipients.len()];
        }
        if let Some(mut return_paths) = self.return_paths.take() {
            self.keep(return_paths.finish()).await;
        }
        let trace = match self.on_disk {
            true => self.trace,
            false => Trace::find(self.ident.as_deref(), &self.memory[self.added..]),
        };
        let (size, crc) = (self.size, self.crc);
        let inline = Bytes::from(self.memory);
        let mut of_places: Vec<Vec<Delivered>> = Vec::with_capacity(self.places.len());
        for place in self.places {
            let body = match place.staged {
                None => Ok(Body::Inline(inline.clone())),
                Some(Ok(writer)) => writer.finish().await.map(Body::Staged),
                Some(Err(error)) => Err(error),
            };
            let delivered = match body {
                Ok(body) => {
                    let ids = place.recipients.iter().map(|recipient| {
                        let trace = trace.as_ref();
                        trace.map(|trace| trace.id_for(recipient, size, crc))
                    });
                    let targets = place.mailboxes.iter().zip(ids);
                    place.partition.deliver_once(targets, message(body)).await
                }
                Err(error) => Err(error),
            };
            of_places.push(match delivered {
                Ok(results) => results
                    .iter()
                    .map(|result| match result {
                        Ok(_) => Ok(()),
                        Err(error) => Err(error.into()),
                    })
                    .collect(),
                Err(error) => vec![Err((&error).into()); place.mailboxes.len()],
            });
        }
        self.recipients
            .iter()
            .map(|(place, mailbox)| {
                let of_place = of_places[*place].get(*mailbox).copied();
                of_place.unwrap_or(Err(DeliveryError::Failed))
            })
            .collect()
    }
}

fn message(body: Body) -> AppendMessage {
    let now = now();
    AppendMessage {
        body,
        flags: Flags::default(),
        keywords: Vec::new(),
        internal_date: InternalDate {
            seconds: now,
            zone: 0,
        },
        save_date: now,
        seen_by: None,
    }
}
