//! What is written parses back.

use bytes::BytesMut;
use murder_imap::{
    AppendNext, CommandReader, Event, NameEncoding, ResponseReader, ResponseWriter, encode,
    parse_command, response,
};
use proptest::prelude::*;

use crate::arbitrary;
use crate::script::{Script, run};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn commands(tag in arbitrary::tag(), command in arbitrary::command()) {
        let mut out = BytesMut::new();
        encode::command(&mut out, &tag, &command);
        let parsed = parse_command(&out);
        prop_assert_eq!(
            parsed,
            Ok((tag.clone(), command.clone())),
            "{}",
            String::from_utf8_lossy(&out)
        );
        // The reader finds the command's end, and nothing behind it.
        let cuts = [out.len() / 3, out.len() / 2];
        let mut script = Script::cut(&out, &cuts);
        let (event, end) = run(async {
            let mut reader = CommandReader::default();
            let event = reader.next(&mut script).await.unwrap();
            (event, reader.next(&mut script).await.unwrap())
        });
        prop_assert_eq!(event, Event::Command { tag, command });
        prop_assert_eq!(end, Event::Eof);
    }

    #[test]
    fn responses(response in arbitrary::response()) {
        let mut writer = ResponseWriter::new(NameEncoding::Utf8);
        writer.response(&response);
        let out = writer.output().take();
        let parsed = response::parse(&out);
        prop_assert_eq!(
            parsed,
            Ok(response.clone()),
            "{}",
            String::from_utf8_lossy(&out)
        );
        let mut script = Script::cut(&out, &[out.len() / 3, out.len() / 2]);
        let (read, end) = run(async {
            let mut reader = ResponseReader::default();
            let read = reader.next_response(&mut script).await.unwrap();
            (read, reader.next_response(&mut script).await.unwrap())
        });
        prop_assert_eq!(read, Some(response));
        prop_assert_eq!(end, None);
    }

    #[test]
    fn appends(tag in arbitrary::tag(), messages in prop::collection::vec(arbitrary::append(), 1..3)) {
        let mut out = BytesMut::new();
        let (mailbox, flags, date, body) = &messages[0];
        encode::append_head(&mut out, &tag, mailbox, flags, *date, body.len() as u64, false);
        out.extend_from_slice(body);
        for (_, flags, date, body) in &messages[1..] {
            encode::append_message(&mut out, flags, *date, body.len() as u64, true);
            out.extend_from_slice(body);
        }
        out.extend_from_slice(b"\r\n");
        let read = run(async {
            let mut script = Script::cut(&out, &[out.len() / 3, out.len() / 2]);
            let mut reader = CommandReader::default();
            let Event::Append(start) = reader.next(&mut script).await.unwrap() else {
                panic!("{}", String::from_utf8_lossy(&out));
            };
            assert_eq!(start.tag, tag);
            let mut read = Vec::new();
            let mut head = (start.flags, start.internal_date);
            loop {
                assert!(!reader.accept_literal());
                let mut body = Vec::new();
                while let Some(chunk) = reader.read_literal_chunk(&mut script, 50).await.unwrap() {
                    body.extend_from_slice(&chunk);
                }
                read.push((start.mailbox.clone(), head.0, head.1, body));
                match reader.finish_append(&mut script).await.unwrap() {
                    AppendNext::Message(next) => head = (next.flags, next.internal_date),
                    AppendNext::End => return read,
                    other => panic!("{other:?}"),
                }
            }
        });
        let expected: Vec<_> = messages
            .iter()
            .map(|(_, flags, date, body)| (mailbox.clone(), flags.clone(), *date, body.clone()))
            .collect();
        prop_assert_eq!(read, expected);
    }
}
