//! Cutting a server's octets into responses and chunks.

use murder_imap::client::{ReadError, UntaggedKind, head_kind};
use murder_imap::{Chunk, HeadKind, Response, ResponseReader, Status, Tag, Untagged};
use proptest::prelude::*;

use crate::script::{Script, run};

const STREAM: &[u8] =
    b"* OK ready\r\n* 3 FETCH (UID 7 BODY[] {9}\r\nab\r\n{3}\r\n FLAGS () RFC822 {0}\r\n)\r\n\
    * LIST () \"/\" {3}\r\nx y\r\n+ go\r\na1 OK [READ-WRITE] done\r\n* BYE\r\n";

async fn responses(mut script: Script) -> Vec<Response> {
    let mut reader = ResponseReader::default();
    let mut all = Vec::new();
    while let Some(response) = reader.next_response(&mut script).await.unwrap() {
        all.push(response);
    }
    all
}

async fn chunks(mut script: Script) -> Vec<Chunk> {
    let mut reader = ResponseReader::default();
    let mut all = Vec::new();
    while let Some(chunk) = reader.next_chunk(&mut script).await.unwrap() {
        all.push(chunk);
    }
    all
}

fn joined(chunks: &[Chunk]) -> Vec<u8> {
    chunks.iter().flat_map(|c| c.bytes.to_vec()).collect()
}

/// What each response is.
fn kinds(chunks: &[Chunk]) -> Vec<HeadKind> {
    let mut inside = false;
    for chunk in chunks {
        assert!(!chunk.bytes.is_empty());
        assert_eq!(chunk.start_of_response, !inside);
        assert_eq!(chunk.kind.is_some(), chunk.start_of_response);
        inside = !chunk.end_of_response;
    }
    assert!(!inside);
    chunks.iter().filter_map(|c| c.kind.clone()).collect()
}

fn untagged(keyword: UntaggedKind, number: Option<u32>) -> HeadKind {
    HeadKind::Untagged { keyword, number }
}

#[test]
fn whole_responses() {
    let whole = run(responses(Script::whole(STREAM)));
    assert_eq!(whole.len(), 6);
    assert!(matches!(
        &whole[1],
        Response::Untagged(Untagged::Fetch { seq: 3, items }) if items.len() == 4
    ));
    assert_eq!(run(responses(Script::bytes(STREAM))), whole);
    for at in 0..STREAM.len() {
        assert_eq!(run(responses(Script::cut(STREAM, &[at]))), whole, "{at}");
    }
}

#[test]
fn chunks_are_the_stream() {
    let expected = [
        untagged(UntaggedKind::Status(Status::Ok), None),
        untagged(UntaggedKind::Fetch, Some(3)),
        untagged(UntaggedKind::List, None),
        HeadKind::Continuation,
        HeadKind::Tagged {
            tag: Tag::new("a1").unwrap(),
            status: Status::Ok,
        },
        untagged(UntaggedKind::Status(Status::Bye), None),
    ];
    for at in 0..STREAM.len() {
        for script in [Script::cut(STREAM, &[at, at / 2]), Script::bytes(STREAM)] {
            let chunks = run(chunks(script));
            assert_eq!(joined(&chunks), STREAM);
            assert_eq!(kinds(&chunks), expected);
        }
    }
    let whole = run(chunks(Script::whole(STREAM)));
    assert_eq!(&whole[0].bytes[..], b"* OK ready\r\n");
    assert!(whole[0].end_of_response);
    assert_eq!(&whole[1].bytes[..], b"* 3 FETCH (UID 7 BODY[] {9}\r\n");
    assert_eq!(&whole[2].bytes[..], b"ab\r\n{3}\r\n");
}

#[test]
fn heads() {
    assert_eq!(
        head_kind(b"* 12 exists\r\n"),
        untagged(UntaggedKind::Exists, Some(12))
    );
    assert_eq!(head_kind(b"* XLIST x"), untagged(UntaggedKind::Other, None));
    assert_eq!(head_kind(b"+\r\n"), HeadKind::Continuation);
    for bad in [
        "", "*", "* ", "a", "a FOO x", "a BYE x", "(a) OK", " OK", "\0",
    ] {
        assert_eq!(head_kind(bad.as_bytes()), HeadKind::Malformed, "{bad:?}");
    }
}

#[test]
fn long_lines_and_literals_pass_in_pieces() {
    let mut stream = b"* SEARCH".to_vec();
    for number in 1..60_000u32 {
        stream.extend_from_slice(format!(" {number}").as_bytes());
    }
    stream.extend_from_slice(b"\r\n* 1 FETCH (BODY[] {1000000}\r\n");
    stream.extend((0..1_000_000u32).map(|n| (n % 251) as u8));
    stream.extend_from_slice(b")\r\na OK done\r\n");
    let chunks = run(chunks(Script::whole(&stream)));
    assert_eq!(joined(&chunks), stream);
    assert!(chunks.iter().all(|c| c.bytes.len() <= 64 * 1024));
    assert_eq!(kinds(&chunks).len(), 3);
    assert_eq!(run(responses(Script::whole(&stream))).len(), 3);
}

#[test]
fn an_announcement_is_never_cut() {
    // The line is passed on in pieces; wherever its end falls, the literal is seen.
    for len in 16_300..16_420 {
        let mut stream = b"* X ".to_vec();
        stream.resize(len, b'x');
        stream.extend_from_slice(b" {5}\r\n\n\n\n\n\n)\r\na OK\r\n");
        let chunks = run(chunks(Script::whole(&stream)));
        assert_eq!(joined(&chunks), stream);
        assert_eq!(kinds(&chunks).len(), 2, "{len}");
    }
}

#[test]
fn limits_and_ends() {
    run(async {
        let mut reader = ResponseReader::new(100);
        let too_long = |result| matches!(result, Err(ReadError::TooLong(100)));
        let mut script = Script::whole(b"* 1 FETCH (BODY[] {200}\r\n");
        assert!(too_long(reader.next_response(&mut script).await));

        let mut reader = ResponseReader::new(100);
        let mut script = Script::whole(&[b'x'; 200]);
        assert!(too_long(reader.next_response(&mut script).await));

        let mut reader = ResponseReader::new(100);
        let mut script = Script::whole(b"* 1 FETCH (BODY[] {99999999999999999999}\r\n");
        assert!(too_long(reader.next_response(&mut script).await));

        let mut reader = ResponseReader::default();
        let mut script = Script::whole(b"* 1 X {99999999999999999999}\r\n");
        assert!(reader.next_chunk(&mut script).await.is_err());

        // A fault is not the end.
        let mut reader = ResponseReader::default();
        let mut script = Script::whole(b"what is this\r\na OK done\r\n* 1 FETC");
        let fault = reader.next_response(&mut script).await;
        assert!(matches!(fault, Err(ReadError::Fault(_))), "{fault:?}");
        assert!(reader.next_response(&mut script).await.unwrap().is_some());
        let cut = reader.next_response(&mut script).await;
        assert!(matches!(cut, Err(ReadError::Io(_))), "{cut:?}");

        for cut in [
            &b"* 1 FETCH (BODY[] {5}\r\nab"[..],
            b"* OK",
            b"* 1 X {5}\r\n",
        ] {
            let mut reader = ResponseReader::default();
            let mut script = Script::whole(cut);
            let error = loop {
                match reader.next_chunk(&mut script).await {
                    Ok(chunk) => assert!(chunk.is_some()),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
        }
    });
}

#[test]
fn both_ways_by_turns() {
    run(async {
        let mut reader = ResponseReader::default();
        let mut script = Script::bytes(STREAM);
        let greeting = reader.next_response(&mut script).await.unwrap();
        assert!(greeting.is_some());
        let mut octets = Vec::new();
        loop {
            let chunk = reader.next_chunk(&mut script).await.unwrap().unwrap();
            octets.extend_from_slice(&chunk.bytes);
            if chunk.end_of_response {
                break;
            }
        }
        assert!(octets.starts_with(b"* 3 FETCH") && octets.ends_with(b")\r\n"));
        let row = reader.next_response(&mut script).await.unwrap().unwrap();
        assert!(matches!(row, Response::Untagged(Untagged::List(_))));
    });
}

#[test]
fn dropped_futures_lose_nothing() {
    run(async {
        let mut reader = ResponseReader::default();
        let mut script = Script::bytes(STREAM);
        let mut all = Vec::new();
        let mut turn = 0;
        loop {
            turn += 1;
            if turn % 2 == 0
                && let Some(chunk) = reader.next_chunk_buffered().unwrap()
            {
                all.push(chunk);
                continue;
            }
            tokio::select! {
                biased;
                chunk = reader.next_chunk(&mut script) => match chunk.unwrap() {
                    Some(chunk) => all.push(chunk),
                    None => break,
                },
                () = std::future::ready(()) => {}
            }
        }
        assert_eq!(joined(&all), STREAM);
        assert_eq!(kinds(&all).len(), 6);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Chunks are the stream, however it is cut and whatever it is, up to where it breaks off.
    #[test]
    fn any_stream_passes_unchanged(
        pieces in prop::collection::vec(prop_oneof![
            any::<Vec<u8>>(),
            prop::sample::select(vec!["\r\n", "* ", "{3}\r\n", "~{0}\r\n", "{10}\r\n", "a OK", " "])
                .prop_map(|word| word.as_bytes().to_vec()),
        ], 0..30),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let stream = pieces.concat();
        let passed = run(async {
            let mut reader = ResponseReader::default();
            let mut script = Script::cut(&stream, &cuts);
            let mut all = Vec::new();
            while let Ok(Some(chunk)) = reader.next_chunk(&mut script).await {
                all.push(chunk);
            }
            joined(&all)
        });
        prop_assert!(stream.starts_with(&passed));
        let whole = run(async {
            let mut reader = ResponseReader::new(1_000_000);
            let mut script = Script::cut(&stream, &cuts);
            let mut all = Vec::new();
            while let Ok(Some(frame)) = reader.next_frame(&mut script).await {
                all.extend_from_slice(&frame);
            }
            all
        });
        prop_assert!(stream.starts_with(&whole));
    }
}
