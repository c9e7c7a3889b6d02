//! A message: its ENVELOPE and structure are what RFC 9051 lets them be, and its sections are
//! parts of it.
#![no_main]

#[path = "../../crates/mime/tests/response/mod.rs"]
#[allow(dead_code)]
mod response;

use libfuzzer_sys::fuzz_target;
use murder_mime::{
    FetchItems, Message, Part, PartKind, PartWhat, Section, for_each_text, section, section_decoded,
};
use response::{Value, check_body, check_envelope};

fn sections(raw: &[u8], part: &Part<'_>, path: &mut Vec<u32>) {
    if !path.is_empty() {
        let of = |what| {
            let path = path.clone();
            section(raw, &Section::Part { path, what })
        };
        assert_eq!(of(PartWhat::Body).as_deref(), Some(part.body()));
        assert_eq!(of(PartWhat::Mime).as_deref(), Some(part.header()));
        of(PartWhat::Header);
        of(PartWhat::Text);
        section_decoded(raw, path);
    }
    match part.kind() {
        PartKind::Leaf => {
            part.decoded();
            part.text();
        }
        PartKind::Multipart(parts) => {
            for (at, part) in parts.iter().enumerate() {
                path.push(at as u32 + 1);
                sections(raw, part, path);
                path.pop();
            }
        }
        // Its own numbers go on where the message's do; `crates/mime` tests them.
        PartKind::Message(_) => {}
    }
}

fuzz_target!(|data: &[u8]| {
    let items = FetchItems::compute(data);
    check_envelope(&Value::read(&items.envelope));
    check_body(&Value::read(&items.body), false);
    check_body(&Value::read(&items.bodystructure), true);
    let header = section(data, &Section::Header).expect("every message has one");
    let text = section(data, &Section::Text).expect("every message has one");
    assert_eq!([header, text].concat(), data);
    let message = Message::parse(data);
    sections(data, message.root(), &mut Vec::new());
    for_each_text(data, &mut |_| true);
});
