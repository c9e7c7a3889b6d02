//! Mail to send: made up from a seed, and Python's email test data.

mod generator;
mod python;

pub use generator::Generator;
pub use python::python_email_data;

/// With CRLF for every line end, and one at the end: what SMTP makes of a message.
#[must_use]
pub fn crlf(message: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(message.len() + message.len() / 32 + 2);
    let mut bytes = message.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if_eq(&b'\n');
                text.extend_from_slice(b"\r\n");
            }
            b'\n' => text.extend_from_slice(b"\r\n"),
            _ => text.push(byte),
        }
    }
    if !text.ends_with(b"\r\n") {
        text.extend_from_slice(b"\r\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::crlf;

    #[test]
    fn every_line_end() {
        assert_eq!(
            crlf(b"a\nb\r\nc\rd\r\r\ne"),
            b"a\r\nb\r\nc\r\nd\r\n\r\ne\r\n"
        );
        assert_eq!(crlf(b""), b"\r\n");
    }
}
