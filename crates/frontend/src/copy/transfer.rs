//! Message after message from the source's connection to the destination's, streamed.

use crate::backend::scanner::literal_at_end;
use crate::backend::{Answer, BackendError, Completion, Connection, Event, Status};
use crate::imap::arguments::quote_always;
use crate::imap::client::Client;
use crate::imap::errors::Refusal;
use crate::imap::selected::{Selected, write_status};
use crate::wire::{Want, either, shift};

use super::{Arrived, Fault, Message, Order, lost, pass};

/// Copies all of `messages`, or tells what stopped it; `arrived` grows as they arrive.
pub(super) async fn copy_all(
    client: &mut Client,
    selected: &mut Selected,
    destination: &mut Connection,
    order: &Order,
    messages: &[Message],
    arrived: &mut Arrived,
) -> Result<(), Fault> {
    let gone = lost(selected);
    let Some(source) = selected.connection() else {
        return Err(Fault::Source(gone));
    };
    let ask = |source: &mut Connection, message: &Message| {
        source.send(format!("UID FETCH {} (BODY.PEEK[])", message.uid).as_bytes())
    };
    let mut asked = messages.first().map(|first| ask(source, first));
    for (at, message) in messages.iter().enumerate() {
        let Some(tag) = asked.take() else { break };
        let body = find_body(client, source, tag)
            .await
            .map_err(Fault::Source)?;
        let Some(octets) = body else {
            // Expunged by somebody else meanwhile: nothing to copy any more.
            asked = messages.get(at + 1).map(|next| ask(source, next));
            continue;
        };
        let append = begin_append(destination, order, message, octets);
        let early = match stream(source, destination, append, octets).await {
            // The selected mailbox is still of use, once the message has gone by.
            Err(Fault::Destination(error)) => {
                end_fetch(client, source, tag)
                    .await
                    .map_err(Fault::Source)?;
                return Err(Fault::Destination(error));
            }
            early => early?,
        };
        destination.wire.put(b"\r\n");
        end_fetch(client, source, tag)
            .await
            .map_err(Fault::Source)?;
        if early.is_none() {
            // The next message is on its way while this one is stored.
            asked = messages.get(at + 1).map(|next| ask(source, next));
        }
        let completion = match early {
            Some(completion) => Ok(completion),
            None => destination.finish(append, &mut |_| {}).await,
        };
        let completion = match completion {
            Ok(completion) => completion,
            Err(error) => {
                if let Some(tag) = asked {
                    pass_over(client, source, tag)
                        .await
                        .map_err(Fault::Source)?;
                }
                return Err(Fault::Destination(error));
            }
        };
        let uids = completion
            .is_ok()
            .then(|| completion.code("APPENDUID"))
            .flatten()
            .and_then(|code| code.split_once(' '))
            .and_then(|(v, uid)| Some((v.parse().ok()?, uid.parse().ok()?)));
        match uids {
            Some((uidvalidity, uid)) => {
                arrived.uidvalidity = uidvalidity;
                arrived.from.push(message.uid);
                arrived.to.push(uid);
            }
            None => {
                if let Some(tag) = asked {
                    pass_over(client, source, tag)
                        .await
                        .map_err(Fault::Source)?;
                }
                return Err(Fault::Refused(refused(completion)));
            }
        }
    }
    Ok(())
}

/// An OK without APPENDUID is none: nobody could say where the message is.
fn refused(completion: Completion) -> Completion {
    match completion.status {
        Status::Ok => Refusal::Cannot("The destination does not keep UIDs".into()).completion(),
        _ => completion,
    }
}

fn begin_append(
    destination: &mut Connection,
    order: &Order,
    message: &Message,
    octets: u64,
) -> u32 {
    let flags: Vec<String> = message
        .flags
        .iter()
        .map(ToString::to_string)
        .filter(|flag| !flag.eq_ignore_ascii_case("\\Recent"))
        .collect();
    let head = format!(
        "APPEND {} ({}) {} {{{octets}+}}",
        quote_always(order.destination.name.as_str()),
        flags.join(" "),
        quote_always(message.internal_date.trim_matches('"')),
    );
    destination.send(head.as_bytes())
}

/// Reads up to the message's first octet; its size, or `None` when the FETCH ends without.
async fn find_body(
    client: &mut Client,
    source: &mut Connection,
    tag: u32,
) -> Result<Option<u64>, BackendError> {
    let mut bytes = Vec::new();
    loop {
        match source.event()? {
            None => source.fill().await?,
            Some(Event::Untagged { len, last, .. }) => {
                source.take(len, &mut bytes);
                let is_body = bytes.windows(7).any(|w| w.eq_ignore_ascii_case(b"BODY[] "));
                if last && !is_body {
                    let bytes = std::mem::take(&mut bytes);
                    pass(client, &Answer { bytes });
                } else if last {
                    return Err(source.lost("a message came as something else than a literal"));
                } else if is_body {
                    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
                    return literal_at_end(line)
                        .map(Some)
                        .ok_or_else(|| source.lost("a message without a size"));
                }
            }
            Some(Event::Status(status)) => write_status(client, &status),
            Some(Event::Tagged(of, completion)) if of == tag => {
                if !completion.is_ok() {
                    tracing::warn!(%completion, "could not fetch a message");
                }
                return Ok(None);
            }
            Some(Event::Continuation | Event::Tagged(..)) => {}
        }
    }
}

/// Moves the message's octets. The destination may refuse it before they are all there; it
/// gets the rest all the same.
async fn stream(
    source: &mut Connection,
    destination: &mut Connection,
    append: u32,
    octets: u64,
) -> Result<Option<Completion>, Fault> {
    let mut left = octets;
    let mut early = None;
    while left > 0 {
        if destination.wire.has_room() {
            match source.event().map_err(Fault::Source)? {
                Some(Event::Untagged { len, .. }) => {
                    shift(&mut source.wire.input, &mut destination.wire.output, len);
                    left = left.saturating_sub(len as u64);
                    continue;
                }
                Some(_) => return Err(Fault::Source(source.lost("a message cut short"))),
                None => {}
            }
        }
        let room = destination.wire.has_room();
        let silence = source.silence();
        let waiting = either(
            (&mut source.wire, Want { read: room }),
            (&mut destination.wire, Want { read: true }),
        );
        let moved = tokio::time::timeout(silence, waiting).await;
        let moved = match moved {
            Ok(moved) => moved,
            Err(_) if room => return Err(Fault::Source(source.lost("no answer in time"))),
            Err(_) => {
                let error = destination.lost("does not take the message");
                return Err(Fault::Destination(error));
            }
        };
        if let Some(read @ (Ok(0) | Err(_))) = moved.first {
            return Err(Fault::Source(source.lost_io(read)));
        }
        if let Some(read @ (Ok(0) | Err(_))) = moved.second {
            return Err(Fault::Destination(destination.lost_io(read)));
        }
        while early.is_none() {
            match destination.event().map_err(Fault::Destination)? {
                Some(Event::Tagged(of, completion)) if of == append => early = Some(completion),
                Some(Event::Untagged { len, .. }) => {
                    bytes::Buf::advance(&mut destination.wire.input, len);
                }
                Some(_) => {}
                None => break,
            }
        }
    }
    Ok(early)
}

/// Reads what follows the message, to the end of the FETCH.
async fn end_fetch(
    client: &mut Client,
    source: &mut Connection,
    tag: u32,
) -> Result<(), BackendError> {
    // What is left of the message, `)`, and whatever the backend wants to tell besides.
    loop {
        match source.event()? {
            None => source.fill().await?,
            Some(Event::Untagged { len, last, .. }) => {
                bytes::Buf::advance(&mut source.wire.input, len);
                if last {
                    break;
                }
            }
            Some(_) => return Err(source.lost("a message cut short")),
        }
    }
    pass_over(client, source, tag).await
}

/// Reads to the end of a FETCH of ours, dropping messages.
async fn pass_over(
    client: &mut Client,
    source: &mut Connection,
    tag: u32,
) -> Result<(), BackendError> {
    while let Some(octets) = find_body(client, source, tag).await? {
        let mut left = octets;
        let mut ended = false;
        while !ended {
            match source.event()? {
                None => source.fill().await?,
                Some(Event::Untagged { len, last, .. }) => {
                    bytes::Buf::advance(&mut source.wire.input, len);
                    left = left.saturating_sub(len as u64);
                    ended = last;
                }
                Some(_) => return Err(source.lost("a message cut short")),
            }
        }
        debug_assert_eq!(left, 0);
    }
    Ok(())
}
