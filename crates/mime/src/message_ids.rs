//! Message IDs in `Message-ID`, `In-Reply-To` and `References` (RFC 5322 section 3.6.4).

use crate::header::unfold;

/// No id that is longer is taken; a line of a header has at most 998 octets.
const ID_LIMIT: usize = 998;

/// The message IDs of a field's value, without angle brackets and normalised: quotes, quoting
/// backslashes, comments and white space are gone, so that `<"a"@b>` is `<a@b>` (RFC 5256
/// section 3). What has no `@` is none.
pub fn message_ids(value: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let value = unfold(value).into_owned();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let open = at + value.get(at..)?.iter().position(|b| *b == b'<')?;
            let (id, next) = read(&value, open + 1);
            at = next;
            if id.contains(&b'@') && id.len() <= ID_LIMIT {
                return Some(id);
            }
        }
    })
}

/// Reads from behind a `<` to behind its `>`, or up to another `<` or the end.
fn read(value: &[u8], from: usize) -> (Vec<u8>, usize) {
    let mut id = Vec::new();
    let mut at = from;
    let mut quoted = false;
    let mut comment = 0usize;
    while let Some(b) = value.get(at) {
        match b {
            b'\\' => {
                at += 1;
                if comment == 0 {
                    id.extend(value.get(at));
                }
            }
            b'"' if comment == 0 => quoted = !quoted,
            _ if quoted => id.push(*b),
            b'(' => comment += 1,
            b')' => comment = comment.saturating_sub(1),
            _ if comment > 0 => {}
            b'>' => return (id, at + 1),
            // It was not closed: none.
            b'<' => return (Vec::new(), at),
            _ if b.is_ascii_whitespace() => {}
            _ => id.push(*b),
        }
        at += 1;
    }
    (Vec::new(), value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        for (value, want) in [
            ("", &[][..]),
            ("<a@b>", &["a@b"]),
            (
                "<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>",
                &["01KF8JCEOCBS0045PS@xxx.yyy.com"],
            ),
            (" <a@b>\r\n <c@d>,<e@f> junk", &["a@b", "c@d", "e@f"]),
            ("<a\r\n @b>", &["a@b"]),
            ("<\"a \\\" b\"@c>", &["a \" b@c"]),
            ("Your message of Monday <joe> <x@y>", &["x@y"]),
            ("<open <x@y>", &["x@y"]),
            ("<a(c)@b>", &["a@b"]),
            ("a@b", &[]),
            ("<a@b", &[]),
            ("<<<>>>", &[]),
        ] {
            let got: Vec<_> = message_ids(value.as_bytes())
                .map(|id| String::from_utf8_lossy(&id).into_owned())
                .collect();
            assert_eq!(got, want, "{value:?}");
        }
        let long = format!("<{}@b>", "a".repeat(2000));
        assert_eq!(message_ids(long.as_bytes()).count(), 0);
    }
}
