//! A header: its fields are all of it, and what is decoded of them is text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use murder_mime::{
    ContentType, Disposition, addresses, contains_folded, fields, fold, header_len,
    header_search_text, header_text, message_id, parse_date,
};

fuzz_target!(|data: &[u8]| {
    let header = &data[..header_len(data)];
    let own: usize = fields(header).map(|field| field.whole.len()).sum();
    assert!(header.len() - own <= 2, "fields and a blank line");
    for field in fields(header) {
        field.unfolded();
    }
    let text = header_search_text(data);
    let folded = fold(&text);
    assert!(contains_folded(&text, &folded));
    assert_eq!(fold(&folded), folded, "folding twice changes nothing");
    header_text(data, "Subject").for_each(drop);
    message_id(data);
    addresses(data);
    parse_date(data);
    ContentType::parse(data);
    Disposition::parse(data);
    murder_lmtp::Command::parse(data).ok();
});
