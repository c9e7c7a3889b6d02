//! Blocks of messages from the source's connection to the destination's, as they come.

use std::collections::VecDeque;

use bytes::Buf;
use murder_imap::framing::announced;
use murder_imap::node::{BLOCK, stage_head};
use murder_imap::{NodeCode, NodeCommand};
use tokio::time::{Instant, sleep_until};

use crate::backend::{Answer, BackendError, Completion, Connection, Event};
use crate::imap::client::Client;
use crate::imap::selected::write_status;
use crate::wire::{Moved, Want, either, shift};

use super::Fault;
use super::hear::pass;
use super::progress::Progress;

/// X-EXPORTs under way: one is being answered while the end of the one before is on its way.
const EXPORTS: usize = 2;

/// What has come of a block.
enum Block {
    /// Nothing.
    None,
    /// Its announcement: its octets, and then the end of the line. `true` if they go on to the
    /// destination.
    Under(bool),
}

/// Messages under way.
struct Carrying {
    /// Tags of [`NodeCommand::Export`] at the source.
    exports: VecDeque<u32>,
    /// Tags of [`NodeCommand::Stage`] at the destination.
    stages: VecDeque<u32>,
    block: Block,
    /// Of an answer that is no block.
    other: Vec<u8>,
    /// The source has sent all of so many messages.
    exported: Option<u32>,
    /// Why no more are wanted.
    stopped: Option<Fault>,
    /// There is no destination any more. What is under way from the source is passed over.
    lost: bool,
}

/// Carries all that the source has claimed; how many messages that were. Whatever comes of it, a
/// connection that is not lost is between commands afterwards.
pub(super) async fn carry(
    client: &mut Client,
    source: &mut Connection,
    destination: &mut Connection,
    progress: &mut Progress,
) -> Result<u32, Fault> {
    let mut carrying = Carrying {
        exports: VecDeque::new(),
        stages: VecDeque::new(),
        block: Block::None,
        other: Vec::new(),
        exported: None,
        stopped: None,
        lost: false,
    };
    let mut silent_until = Instant::now() + source.silence();
    loop {
        let wanted = carrying.stopped.is_none() && carrying.exported.is_none();
        while wanted && carrying.exports.len() < EXPORTS {
            carrying
                .exports
                .push_back(source.send(&NodeCommand::Export.line()));
        }
        // What the destination says comes first: it may not want any more.
        carrying.hear_destination(destination);
        if progress.is_gone() && carrying.stopped.is_none() {
            carrying.stopped = Some(Fault::ClientGone);
        }
        while (carrying.lost || destination.wire.has_room())
            && carrying.step(client, source, destination, progress)?
        {
            if !client.wire.has_room() {
                progress.drain(client).await;
            }
        }
        carrying.hear_destination(destination);
        if carrying.exports.is_empty() && carrying.stages.is_empty() {
            if let Some(fault) = carrying.stopped {
                return Err(fault);
            }
            if let Some(exported) = carrying.exported {
                return Ok(exported);
            }
            continue;
        }
        let room = carrying.lost || destination.wire.has_room();
        let from_source = room && !carrying.exports.is_empty();
        let moving = async {
            match carrying.lost {
                true => Moved {
                    first: Some(source.wire.fill().await),
                    second: None,
                },
                false => {
                    either(
                        (&mut source.wire, Want { read: from_source }),
                        (&mut destination.wire, Want { read: true }),
                    )
                    .await
                }
            }
        };
        let moved = tokio::select! {
            biased;
            moved = moving => moved,
            sent = client.wire.drain(), if progress.has_news(client) => {
                if let Err(error) = sent {
                    progress.set_gone(error);
                }
                continue;
            }
            () = sleep_until(silent_until.min(progress.next())) => {
                if Instant::now() < silent_until {
                    progress.tell_if_due(client).await;
                    continue;
                }
                // Who of the two is to blame: what is full is not being read.
                if from_source {
                    return Err(Fault::Source(source.lost("no answer in time")));
                }
                carrying.lose(destination.lost("no answer in time"));
                Moved::default()
            }
        };
        silent_until = Instant::now() + source.silence();
        if let Some(read @ (Ok(0) | Err(_))) = moved.first {
            return Err(Fault::Source(source.lost_io(read)));
        }
        if let Some(read @ (Ok(0) | Err(_))) = moved.second {
            carrying.lose(destination.lost_io(read));
        }
    }
}

impl Carrying {
    /// The destination has gone.
    fn lose(&mut self, error: BackendError) {
        self.stop(Fault::Destination(error));
        self.lost = true;
        self.stages.clear();
        if let Block::Under(goes_on) = &mut self.block {
            *goes_on = false;
        }
    }

    /// Takes answers of the destination.
    fn hear_destination(&mut self, destination: &mut Connection) {
        while !self.lost {
            match destination.event() {
                Ok(None) => return,
                Ok(Some(Event::Untagged { len, .. })) => destination.wire.input.advance(len),
                Ok(Some(Event::Tagged(of, completion))) if self.stages.front() == Some(&of) => {
                    self.stages.pop_front();
                    if !completion.is_ok() {
                        self.stop(Fault::Refused(completion));
                    }
                }
                Ok(Some(Event::Status(_) | Event::Continuation | Event::Tagged(..))) => {}
                Err(error) => self.lose(error),
            }
        }
    }

    /// Takes what the source has sent next; whether there was anything.
    fn step(
        &mut self,
        client: &mut Client,
        source: &mut Connection,
        destination: &mut Connection,
        progress: &mut Progress,
    ) -> Result<bool, Fault> {
        match source.event().map_err(Fault::Source)? {
            None => return Ok(false),
            Some(Event::Untagged { len, last }) => {
                self.untagged(client, source, destination, progress, (len, last))?;
            }
            Some(Event::Status(status)) => write_status(client, &status),
            Some(Event::Continuation) => {}
            Some(Event::Tagged(of, completion)) => {
                if self.exports.front() == Some(&of) {
                    self.exports.pop_front();
                    self.export_ended(completion);
                }
            }
        }
        Ok(true)
    }

    fn untagged(
        &mut self,
        client: &mut Client,
        source: &mut Connection,
        destination: &mut Connection,
        progress: &mut Progress,
        (len, last): (usize, bool),
    ) -> Result<(), Fault> {
        let input = &source.wire.input;
        match self.block {
            Block::Under(goes_on) => {
                match goes_on {
                    // The end of the line is that of the command.
                    true => {
                        shift(&mut source.wire.input, &mut destination.wire.output, len);
                    }
                    false => source.wire.input.advance(len),
                }
                progress.add(len as u64);
                if last {
                    self.block = Block::None;
                }
            }
            Block::None if self.other.is_empty() && is_block(&input[..len]) => {
                let literal = announced(&input[..len]).filter(|_| !last);
                let Some(octets) = literal.and_then(|literal| literal.len) else {
                    return Err(Fault::Source(source.lost("a block without a size")));
                };
                source.wire.input.advance(len);
                let goes_on = self.stopped.is_none();
                if goes_on {
                    self.stages.push_back(destination.send(&stage_head(octets)));
                }
                self.block = Block::Under(goes_on);
            }
            Block::None => {
                source
                    .take_bounded(len, &mut self.other)
                    .map_err(Fault::Source)?;
                if last {
                    let bytes = std::mem::take(&mut self.other);
                    pass(client, &Answer { bytes }, true);
                }
            }
        }
        Ok(())
    }

    fn export_ended(&mut self, completion: Completion) {
        if !completion.is_ok() {
            self.stop(Fault::Kept(completion));
        } else if let Some(NodeCode::Exported { messages }) = completion.node_code() {
            self.exported = Some(messages);
        }
    }

    fn stop(&mut self, fault: Fault) {
        self.stopped.get_or_insert(fault);
    }
}

fn is_block(line: &[u8]) -> bool {
    let word = line.get(2..2 + BLOCK.len());
    word.is_some_and(|word| word.eq_ignore_ascii_case(BLOCK.as_bytes()))
}
