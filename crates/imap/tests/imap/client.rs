//! Cutting a server's octets into responses and chunks.

use murder_imap::client::ReadError;
use murder_imap::framing::{NotImap, Piece, ResponseCutter};
use murder_imap::{Response, ResponseReader, Untagged};
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

/// What kind a response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Untagged,
    Status,
    Continuation,
    Tagged,
}

/// A piece as it came.
#[derive(Debug)]
struct Chunk {
    octets: Vec<u8>,
    kind: Kind,
    first: bool,
    last: bool,
}

/// The pieces of `stream` when it comes in the parts that `cuts` make of it; to where it is no IMAP.
fn chunks(stream: &[u8], cuts: &[usize]) -> Vec<Chunk> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    let (mut cutter, mut input, mut all) = (ResponseCutter::default(), Vec::new(), Vec::new());
    for part in cuts.windows(2) {
        input.extend_from_slice(&stream[part[0]..part[1]]);
        loop {
            let (len, kind, first, last) = match cutter.next(&input) {
                Ok(Piece::More) => break,
                Ok(Piece::Untagged { len, first, last }) => (len, Kind::Untagged, first, last),
                Ok(Piece::Status { len }) => (len, Kind::Status, true, true),
                Ok(Piece::Continuation { len }) => (len, Kind::Continuation, true, true),
                Ok(Piece::Tagged { len }) => (len, Kind::Tagged, true, true),
                Err(NotImap) => return all,
            };
            all.push(Chunk {
                octets: input.drain(..len).collect(),
                kind,
                first,
                last,
            });
        }
    }
    all
}

fn joined(chunks: &[Chunk]) -> Vec<u8> {
    chunks.iter().flat_map(|c| c.octets.to_vec()).collect()
}

/// What each response is.
fn kinds(chunks: &[Chunk]) -> Vec<Kind> {
    let mut inside = false;
    for chunk in chunks {
        assert!(!chunk.octets.is_empty());
        assert_eq!(chunk.first, !inside);
        inside = !chunk.last;
    }
    assert!(!inside);
    let first = chunks.iter().filter(|chunk| chunk.first);
    first.map(|chunk| chunk.kind).collect()
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
        Kind::Status,
        Kind::Untagged,
        Kind::Untagged,
        Kind::Continuation,
        Kind::Tagged,
        Kind::Status,
    ];
    let every: Vec<usize> = (0..STREAM.len()).collect();
    for at in 0..STREAM.len() {
        for cuts in [&[at, at / 2][..], &every] {
            let chunks = chunks(STREAM, cuts);
            assert_eq!(joined(&chunks), STREAM);
            assert_eq!(kinds(&chunks), expected);
        }
    }
    let whole = chunks(STREAM, &[]);
    assert_eq!(&whole[0].octets[..], b"* OK ready\r\n");
    assert!(whole[0].last);
    assert_eq!(&whole[1].octets[..], b"* 3 FETCH (UID 7 BODY[] {9}\r\n");
    assert_eq!(&whole[2].octets[..], b"ab\r\n{3}\r\n");
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
    let every: Vec<usize> = (0..stream.len()).step_by(1000).collect();
    let chunks = chunks(&stream, &every);
    assert_eq!(joined(&chunks), stream);
    assert!(chunks.iter().all(|c| c.octets.len() <= 32 * 1024));
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
        for cuts in [&[][..], &[len - 3], &[len + 1], &[len + 3]] {
            let chunks = chunks(&stream, cuts);
            assert_eq!(joined(&chunks), stream);
            assert_eq!(kinds(&chunks).len(), 2, "{len}");
        }
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
        let mut script = Script::whole(b"\x16\x03\x01\r\n");
        let no_imap = reader.next_response(&mut script).await;
        assert!(matches!(no_imap, Err(ReadError::NotImap(_))), "{no_imap:?}");

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
            match reader.next_frame(&mut script).await {
                Err(ReadError::Io(error)) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
                }
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn dropped_futures_lose_nothing() {
    run(async {
        let mut reader = ResponseReader::default();
        let mut script = Script::bytes(STREAM);
        let mut all = Vec::new();
        loop {
            tokio::select! {
                biased;
                frame = reader.next_frame(&mut script) => match frame.unwrap() {
                    Some(frame) => all.push(frame),
                    None => break,
                },
                () = std::future::ready(()) => {}
            }
        }
        assert_eq!(all.concat(), STREAM);
        assert_eq!(all.len(), 6);
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
        let passed = joined(&chunks(&stream, &cuts));
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
