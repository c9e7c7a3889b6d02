//! Messages of every shape, the same ones for the same seed.

use base64::Engine as _;

/// Words of texts and subjects; some are not ASCII.
const WORDS: [&str; 24] = [
    "the",
    "mailbox",
    "crow",
    "murder",
    "letter",
    "answer",
    "tomorrow",
    "Grüße",
    "naïve",
    "invoice",
    "meeting",
    "at",
    "noon",
    "please",
    "find",
    "attached",
    "report",
    "日本語",
    "of",
    "numbers",
    "regards",
    "team",
    "don't",
    "Ελλάδα",
];
/// Octets of a line in SMTP, without its end (RFC 5321 4.5.3.1.6).
const LONGEST_LINE: usize = 998;

/// Makes messages. Every line ends in CRLF; no two messages are the same.
#[derive(Debug, Clone)]
pub struct Generator {
    state: u64,
    made: u64,
    seed: u64,
}

impl Generator {
    /// One whose messages depend on `seed` alone.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed,
            made: 0,
            seed,
        }
    }

    /// A number below `bound` (splitmix64).
    pub fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    /// The next message, of any shape.
    pub fn message(&mut self) -> Vec<u8> {
        match self.below(9) {
            0..=2 => self.plain(),
            3 => self.alternative(),
            4 => self.attachment(),
            5 => self.eight_bit(),
            6 => self.long_lines(),
            7 => self.nested(),
            _ => self.odd(),
        }
    }

    /// `count` messages.
    pub fn messages(&mut self, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.message()).collect()
    }

    /// Text only.
    pub fn plain(&mut self) -> Vec<u8> {
        let mut text = self.header();
        text += "\r\n";
        text += &self.text(true);
        text.into_bytes()
    }

    /// A plain message of about `bytes` bytes, for measurements.
    pub fn sized(&mut self, bytes: usize) -> Vec<u8> {
        let mut text = self.header();
        text += "\r\n";
        while text.len() + 2 < bytes {
            let room = (bytes - text.len() - 2).min(72);
            text += &"x".repeat(room);
            text += "\r\n";
        }
        text.into_bytes()
    }

    /// multipart/alternative of text and HTML.
    pub fn alternative(&mut self) -> Vec<u8> {
        let text = self.text(true);
        let html = format!(
            "<html><body><p>{}</p></body></html>\r\n",
            self.text(true).trim()
        );
        let parts = [
            format!("Content-Type: text/plain; charset=us-ascii\r\n\r\n{text}"),
            format!("Content-Type: text/html; charset=us-ascii\r\n\r\n{html}"),
        ];
        self.multipart("alternative", &parts)
    }

    /// multipart/mixed with files.
    pub fn attachment(&mut self) -> Vec<u8> {
        let mut parts = vec![format!(
            "Content-Type: text/plain; charset=us-ascii\r\n\r\n{}",
            self.text(true)
        )];
        for number in 0..=self.below(3) {
            let size = self.below(20_000);
            let bytes: Vec<u8> = (0..size)
                .map(|_| self.below(256).to_le_bytes()[0])
                .collect();
            let text = base64::engine::general_purpose::STANDARD.encode(bytes);
            let lines: String = text
                .as_bytes()
                .chunks(76)
                .map(|line| format!("{}\r\n", String::from_utf8_lossy(line)))
                .collect();
            parts.push(format!(
                "Content-Type: application/octet-stream; name=\"file {number}.bin\"\r\n\
                 Content-Disposition: attachment; filename*=UTF-8''gr%C3%BC%C3%9Fe-{number}.bin\r\n\
                 Content-Transfer-Encoding: base64\r\n\r\n{lines}"
            ));
        }
        self.multipart("mixed", &parts)
    }

    /// Text that is not ASCII, as it is.
    pub fn eight_bit(&mut self) -> Vec<u8> {
        let latin = self.below(2) == 0;
        let charset = if latin { "iso-8859-1" } else { "utf-8" };
        let mut message = self.header().into_bytes();
        let fields = format!(
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset={charset}\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n"
        );
        message.extend_from_slice(fields.as_bytes());
        if latin {
            let bytes: Vec<u8> = (0..500)
                .map(|_| self.below(96).to_le_bytes()[0] + 0xa0)
                .collect();
            for line in bytes.chunks(70) {
                message.extend_from_slice(line);
                message.extend_from_slice(b"\r\n");
            }
        } else {
            message.extend_from_slice(self.text(false).as_bytes());
        }
        message
    }

    /// The longest lines that SMTP allows, some of them beginning with dots.
    pub fn long_lines(&mut self) -> Vec<u8> {
        let mut text = self.header();
        text += "\r\n";
        for number in 0..=self.below(20) {
            let dots = ".".repeat(usize::try_from(number % 3).unwrap_or_default());
            let rest = "0123456789".repeat(LONGEST_LINE / 10 + 1);
            text += &dots;
            text += &rest[..LONGEST_LINE - dots.len()];
            text += "\r\n";
        }
        text.into_bytes()
    }

    /// A message in a message in a message.
    pub fn nested(&mut self) -> Vec<u8> {
        let mut inner = self.plain();
        for _ in 0..=self.below(3) {
            let inner_text = String::from_utf8_lossy(&inner).into_owned();
            let parts = [
                format!(
                    "Content-Type: text/plain; charset=us-ascii\r\n\r\n{}",
                    self.text(true)
                ),
                format!("Content-Type: message/rfc822\r\n\r\n{inner_text}"),
            ];
            inner = self.multipart("mixed", &parts);
        }
        inner
    }

    /// What a test of well-formed mail would leave out.
    pub fn odd(&mut self) -> Vec<u8> {
        let id = self.message_id();
        let text = match self.below(6) {
            0 => format!("Message-ID: {id}\r\n\r\n"),
            1 => format!("\r\nno header at all {id}\r\n"),
            2 => format!("Subject: {id}\r\n"),
            3 => format!("Message-ID: {id}\r\nSubject:\r\n\r\n.\r\n..\r\n.leading dots\r\n"),
            4 => format!("Message-ID: {id}\r\nthis is no field\r\nSubject: x\r\n\r\nbody\r\n"),
            _ => format!(
                "Message-ID: {id}\r\nContent-Type: multipart/mixed; boundary=never\r\n\r\nnever\r\n"
            ),
        };
        text.into_bytes()
    }

    fn message_id(&mut self) -> String {
        self.made += 1;
        format!("<{}.{}@corpus.example.org>", self.made, self.seed)
    }

    fn header(&mut self) -> String {
        let id = self.message_id();
        let day = self.below(28) + 1;
        let hour = self.below(24);
        let subject = self.subject();
        format!(
            "Return-Path: <sender@example.org>\r\nReceived: from a.example.org (a [192.0.2.1])\r\n\
             \tby b.example.org; Mon, {day} Jan 2024 {hour:02}:00:00 +0000\r\n\
             From: \"Crow, A.\" <crow@example.org>\r\nTo: You <you@example.org>, \
             friends:friend@example.com;\r\n\
             Subject: {subject}\r\nDate: Mon, {day} Jan 2024 {hour:02}:30:00 +0100\r\nMessage-ID: {id}\r\n"
        )
    }

    fn subject(&mut self) -> String {
        let words: Vec<&str> = (0..4).map(|_| self.word()).collect();
        let text = words.join(" ");
        if text.is_ascii() {
            return text;
        }
        let encoded = base64::engine::general_purpose::STANDARD.encode(&text);
        format!("=?UTF-8?B?{encoded}?=")
    }

    fn word(&mut self) -> &'static str {
        let at = self.below(WORDS.len() as u64);
        WORDS[usize::try_from(at).unwrap_or_default()]
    }

    fn text(&mut self, ascii: bool) -> String {
        let mut text = String::new();
        for _ in 0..self.below(30) + 1 {
            let count = self.below(12) + 1;
            let words: Vec<&str> = (0..count)
                .map(|_| self.word())
                .filter(|word| !ascii || word.is_ascii())
                .collect();
            text += &words.join(" ");
            text += "\r\n";
        }
        text
    }

    fn multipart(&mut self, subtype: &str, parts: &[String]) -> Vec<u8> {
        let mut text = self.header();
        let random = self.below(u64::MAX);
        let boundary = format!("=_{}_{random}", self.made);
        text += &format!(
            "MIME-Version: 1.0\r\nContent-Type: multipart/{subtype}; boundary=\"{boundary}\"\r\n\r\n\
             A preamble.\r\n"
        );
        for part in parts {
            text += &format!("\r\n--{boundary}\r\n{part}");
        }
        text += &format!("\r\n--{boundary}--\r\n");
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_mail() {
        let first = Generator::new(7).messages(200);
        assert_eq!(first, Generator::new(7).messages(200));
        assert_ne!(first, Generator::new(8).messages(200));
        let different: std::collections::BTreeSet<_> = first.iter().collect();
        assert_eq!(different.len(), first.len());
    }

    #[test]
    fn what_smtp_carries() {
        for message in Generator::new(1).messages(300) {
            assert_eq!(super::super::crlf(&message), message);
            let longest = message.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
            assert!(longest <= Some(LONGEST_LINE + 1));
        }
    }

    #[test]
    fn a_size_is_kept() {
        let message = Generator::new(1).sized(4096);
        assert!((4090..=4100).contains(&message.len()), "{}", message.len());
    }
}
