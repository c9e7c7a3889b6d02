//! What is written parses back.

use bytes::BytesMut;
use murder_imap::encode::Piece;
use murder_imap::{
    AppendData, AppendNext, CatPart, CommandReader, Event, MessageUrl, NameEncoding,
    ResponseReader, ResponseWriter, encode, parse_command, response,
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

    #[test]
    fn urls(url in arbitrary::url()) {
        let text = url.to_string();
        prop_assert!(text.bytes().all(|octet| octet.is_ascii_graphic()), "{text}");
        prop_assert_eq!(MessageUrl::parse(text.as_bytes()), Ok(url), "{}", text);
    }

    #[test]
    fn any_octets_are_a_url_or_not(octets in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = MessageUrl::parse(&octets);
        let mut url = b"/a;UIDVALIDITY=1/;UID=2/;SECTION=".to_vec();
        url.extend_from_slice(&octets);
        let _ = MessageUrl::parse(&url);
    }

    #[test]
    fn catenations(
        tag in arbitrary::tag(),
        messages in prop::collection::vec(
            (arbitrary::append(), prop::collection::vec(arbitrary::url(), 0..4)),
            1..3,
        ),
    ) {
        let mailbox = &messages[0].0.0;
        let mut out = BytesMut::new();
        encode::append_command(&mut out, &tag, mailbox);
        let mut expected = Vec::new();
        for ((_, flags, date, body), urls) in &messages {
            let urls: Vec<String> = urls.iter().map(MessageUrl::to_string).collect();
            // The text first, last, or both.
            let mut pieces = vec![Piece::Text(body)];
            pieces.extend(urls.iter().map(|url| Piece::Url(url.as_bytes())));
            pieces.push(Piece::Text(body));
            encode::catenate(&mut out, flags, *date, &pieces[..pieces.len() - urls.len() % 2]);
            let mut seen = vec![body.clone()];
            seen.extend(urls.iter().map(|url| url.clone().into_bytes()));
            if urls.len().is_multiple_of(2) {
                seen.push(body.clone());
            }
            expected.push((flags.clone(), *date, seen));
        }
        out.extend_from_slice(b"\r\n");
        let read = run(async {
            let mut script = Script::cut(&out, &[out.len() / 3, out.len() / 2]);
            let mut reader = CommandReader::default();
            let Event::Append(start) = reader.next(&mut script).await.unwrap() else {
                panic!("{}", String::from_utf8_lossy(&out));
            };
            assert_eq!((&start.tag, &start.mailbox, start.data), (&tag, mailbox, AppendData::Catenate));
            let mut read = vec![(start.flags, start.internal_date, Vec::new())];
            loop {
                let piece = match reader.finish_append(&mut script).await.unwrap() {
                    AppendNext::Part(CatPart::Url(url)) => url,
                    AppendNext::Part(CatPart::Text(_)) => {
                        assert!(!reader.accept_literal());
                        let mut text = Vec::new();
                        while let Some(chunk) =
                            reader.read_literal_chunk(&mut script, 50).await.unwrap()
                        {
                            text.extend_from_slice(&chunk);
                        }
                        text
                    }
                    AppendNext::Message(next) => {
                        read.push((next.flags, next.internal_date, Vec::new()));
                        continue;
                    }
                    AppendNext::End => return read,
                    other => panic!("{other:?}"),
                };
                read.last_mut().unwrap().2.push(piece);
            }
        });
        prop_assert_eq!(read, expected);
    }
}
