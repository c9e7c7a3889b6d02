//! What a client sends: the reader cuts it alike however it comes, and a command that parses is
//! written and parsed back to the same.
#![no_main]

mod pieces;

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use murder_imap::server::Limits;
use murder_imap::{AppendNext, CommandReader, Event, encode, parse_command};
use pieces::{Pieces, now};

/// A message of APPEND is read, or left to be skipped, by turns.
#[derive(Debug, PartialEq)]
enum Seen {
    Event(Event),
    Message(Vec<u8>),
    Next(AppendNext),
    Cut,
}

fn events(data: &[u8], step: usize) -> Vec<Seen> {
    let mut stream = Pieces { rest: data, step };
    let mut reader = CommandReader::new(Limits {
        command: 2048,
        append: 4096,
    });
    let mut seen = Vec::new();
    let mut reads = false;
    loop {
        let event = now(reader.next(&mut stream)).expect("memory does not fail");
        let over = matches!(event, Event::Eof | Event::Fatal { .. });
        reads ^= matches!(event, Event::Append(_));
        let message = matches!(event, Event::Append(_)) && reads;
        seen.push(Seen::Event(event));
        if over {
            return seen;
        }
        let mut more = message;
        while more {
            let _ = reader.accept_literal();
            let mut message = Vec::new();
            loop {
                match now(reader.read_literal_chunk(&mut stream, 100)) {
                    Ok(Some(chunk)) => message.extend_from_slice(&chunk),
                    Ok(None) => break,
                    Err(_) => {
                        seen.push(Seen::Cut);
                        return seen;
                    }
                }
            }
            seen.push(Seen::Message(message));
            match now(reader.finish_append(&mut stream)) {
                Ok(next) => {
                    more = matches!(next, AppendNext::Message(_));
                    seen.push(Seen::Next(next));
                }
                Err(_) => {
                    seen.push(Seen::Cut);
                    return seen;
                }
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok((tag, command)) = parse_command(data) {
        let mut out = BytesMut::new();
        encode::command(&mut out, &tag, &command);
        assert_eq!(parse_command(&out), Ok((tag, command)), "{out:?}");
    }
    let at_once = events(data, usize::MAX);
    assert_eq!(events(data, 1), at_once);
    assert_eq!(events(data, 7), at_once);
});
