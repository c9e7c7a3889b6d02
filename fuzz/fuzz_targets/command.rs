//! What a client sends: the reader cuts it alike however it comes, and a command that parses is
//! written and parsed back to the same.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use murder_frontend::fuzzing::{Pieces, now};
use murder_imap::server::Limits;
use murder_imap::{
    AppendData, AppendNext, CatPart, CommandReader, Event, LiteralHead, MessageUrl, encode,
    parse_command,
};

/// The messages of an APPEND are read, or left to be skipped, by turns.
#[derive(Debug, PartialEq)]
enum Seen {
    Event(Event),
    Message(Vec<u8>),
    Next(AppendNext),
    Cut,
}

fn head_of(data: AppendData) -> Option<LiteralHead> {
    match data {
        AppendData::Literal(head) => Some(head),
        AppendData::Catenate => None,
    }
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
        let mut data = match &event {
            Event::Append(start) if reads => Some(start.data),
            _ => None,
        };
        seen.push(Seen::Event(event));
        if over {
            return seen;
        }
        while let Some(message) = data.take() {
            let mut literal = head_of(message);
            loop {
                if literal.take().is_some() {
                    let _ = reader.accept_literal();
                    let mut octets = Vec::new();
                    loop {
                        match now(reader.read_literal_chunk(&mut stream, 100)) {
                            Ok(Some(chunk)) => octets.extend_from_slice(&chunk),
                            Ok(None) => break,
                            Err(_) => {
                                seen.push(Seen::Cut);
                                return seen;
                            }
                        }
                    }
                    seen.push(Seen::Message(octets));
                }
                let Ok(next) = now(reader.finish_append(&mut stream)) else {
                    seen.push(Seen::Cut);
                    return seen;
                };
                seen.push(Seen::Next(next.clone()));
                match next {
                    AppendNext::Part(CatPart::Text(head)) => literal = Some(head),
                    AppendNext::Part(CatPart::Url(url)) => {
                        if let Ok(url) = MessageUrl::parse(&url) {
                            let written = url.to_string();
                            assert_eq!(MessageUrl::parse(written.as_bytes()), Ok(url));
                        }
                    }
                    AppendNext::NeedContinuation => {}
                    AppendNext::Message(message) => {
                        data = Some(message.data);
                        break;
                    }
                    AppendNext::End | AppendNext::Bad { .. } | AppendNext::Fatal { .. } => break,
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
