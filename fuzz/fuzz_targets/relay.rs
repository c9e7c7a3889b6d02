//! What a client sends through a frontend: the backend's reader finds the same commands in what is
//! relayed as the frontend's cutter has found in what the client has sent, octet for octet, however
//! both come.
#![no_main]

mod pieces;

use libfuzzer_sys::fuzz_target;
use murder_frontend::fuzzing::relayed;
use murder_imap::server::Limits;
use murder_imap::{CommandReader, Event, parse_command};
use pieces::{Pieces, now};

fuzz_target!(|data: &[u8]| {
    let Some((first, client)) = data.split_first() else {
        return;
    };
    let step = usize::from(*first) + 1;
    let commands = relayed(client, client.len().max(1));
    assert_eq!(
        relayed(client, step),
        commands,
        "cut alike however it comes"
    );
    let wire = commands.concat();
    let mut stream = Pieces { rest: &wire, step };
    let mut reader = CommandReader::new(Limits {
        command: 1 << 20,
        append: 1 << 20,
    });
    for (at, octets) in commands.iter().enumerate() {
        let own = format!("f{}", at + 1);
        match now(reader.next(&mut stream)).expect("memory does not fail") {
            Event::Command { tag, command } => {
                assert_eq!(tag.as_str(), own);
                let alone = parse_command(octets).expect("a command by itself, too");
                assert_eq!(alone, (tag, command));
            }
            Event::Bad { tag, .. } => {
                assert_eq!(tag.as_ref().map(|tag| tag.as_str()), Some(&*own));
                assert!(parse_command(octets).is_err());
            }
            other => panic!("{other:?} of {}", octets.escape_ascii()),
        }
    }
    let end = now(reader.next(&mut stream)).expect("memory does not fail");
    assert_eq!(end, Event::Eof, "{}", wire.escape_ascii());
});
