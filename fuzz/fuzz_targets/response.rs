//! What a server sends: the reader cuts it alike however it comes, and what is written of a
//! response parses and is written to the same octets again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use murder_frontend::fuzzing::{Pieces, now};
use murder_imap::{NameEncoding, Response, ResponseReader, ResponseWriter, response};

fn written(response: &Response) -> Vec<u8> {
    let mut writer = ResponseWriter::new(NameEncoding::Utf8);
    writer.response(response);
    writer.output().take().to_vec()
}

fn read(data: &[u8], step: usize) -> (Vec<Response>, bool) {
    let mut stream = Pieces { rest: data, step };
    let mut reader = ResponseReader::default();
    let mut responses = Vec::new();
    loop {
        match now(reader.next_response(&mut stream)) {
            Ok(Some(response)) => responses.push(response),
            Ok(None) => return (responses, true),
            Err(_) => return (responses, false),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(parsed) = response::parse(data) {
        let out = written(&parsed);
        match response::parse(&out) {
            Ok(again) => assert_eq!(written(&again), out),
            Err(error) => panic!("{error}: {parsed:?} is written {out:?}"),
        }
    }
    let at_once = read(data, usize::MAX);
    assert_eq!(read(data, 1), at_once);
    assert_eq!(read(data, 7), at_once);
});
