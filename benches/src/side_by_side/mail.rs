//! The messages: the same for every server, no two with the same Message-ID, as some servers take
//! the second for a duplicate.

/// Stands in one message of the large mailbox.
pub const RARE: &str = "xylophonist";
/// Digits of the number in a Message-ID.
const DIGITS: usize = 16;
/// What the text consists of.
const WORDS: [&str; 16] = [
    "the", "crows", "meet", "at", "noon", "behind", "old", "mill", "and", "talk", "about",
    "letters", "that", "nobody", "ever", "answers",
];

/// Makes messages of one size.
#[derive(Debug)]
pub struct Mail {
    text: Vec<u8>,
    number_at: usize,
    number: u64,
}

impl Mail {
    /// Messages of about `size` octets; those of different `series` are different.
    pub fn new(size: usize, series: u64) -> Self {
        let mut text = format!(
            "Return-Path: <sender{series}@example.org>\r\n\
             Received: from mx.example.org (mx.example.org [192.0.2.7])\r\n\
             \tby mail.example.net with ESMTPS id 4Zq{series};\r\n\
             \tMon, 23 Nov 2026 10:11:13 +0000\r\n\
             Received: from desk.example.org ([192.0.2.99])\r\n\
             \tby mx.example.org with ESMTPSA; Mon, 23 Nov 2026 10:11:12 +0000\r\n\
             Date: Mon, 23 Nov 2026 11:11:12 +0100\r\n\
             From: Corvus Corax <sender{series}@example.org>\r\n\
             To: Somebody Else <somebody@example.net>, list@example.net\r\n\
             Cc: \"Crow, Hooded\" <hooded@example.com>\r\n\
             Subject: Re: [murder] where we meet, number {series}\r\n\
             Message-ID: <"
        );
        let number_at = text.len();
        text += &"0".repeat(DIGITS);
        text += &format!(".{series}@example.org>\r\n");
        text += "In-Reply-To: <earlier@example.net>\r\n\
                 References: <first@example.net> <earlier@example.net>\r\n\
                 User-Agent: Mozilla Thunderbird\r\n\
                 MIME-Version: 1.0\r\n\
                 Content-Type: multipart/alternative; boundary=\"=_crow\"\r\n\
                 Content-Language: en-GB\r\n\
                 \r\n\
                 --=_crow\r\n\
                 Content-Type: text/plain; charset=utf-8; format=flowed\r\n\
                 Content-Transfer-Encoding: 8bit\r\n\
                 \r\n";
        // The rest is half of it.
        let half = text.len() + size.saturating_sub(text.len() + HTML.len()) / 2;
        fill(&mut text, half);
        text += HTML;
        fill(&mut text, size.saturating_sub(END.len()));
        text += END;
        Self {
            text: text.into_bytes(),
            number_at,
            number: 0,
        }
    }

    /// The next one.
    pub fn next(&mut self) -> &[u8] {
        self.number += 1;
        let number = format!("{:0DIGITS$}", self.number);
        self.text[self.number_at..self.number_at + DIGITS].copy_from_slice(number.as_bytes());
        &self.text
    }

    /// The next one, with [`RARE`] in its text.
    pub fn next_rare(&mut self) -> Vec<u8> {
        let text = String::from_utf8_lossy(self.next());
        text.replacen("letters", RARE, 1).into_bytes()
    }
}

const HTML: &str = "\r\n--=_crow\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Content-Transfer-Encoding: 8bit\r\n\
    \r\n\
    <html><body><p>\r\n";
const END: &str = "</p></body></html>\r\n--=_crow--\r\n";

/// Lines of words until `text` has `size` octets.
fn fill(text: &mut String, size: usize) {
    let mut words = WORDS.iter().cycle();
    let mut line = 0;
    while text.len() + 2 < size {
        let word = words.next().copied().unwrap_or_default();
        line += word.len() + 1;
        text.push_str(word);
        if line > 60 {
            text.push_str("\r\n");
            line = 0;
        } else {
            text.push(' ');
        }
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_their_size_and_differ() {
        let mut mail = Mail::new(4096, 3);
        let first = mail.next().to_vec();
        assert!((4000..4200).contains(&first.len()), "{}", first.len());
        assert_ne!(first, mail.next());
        let rare = String::from_utf8_lossy(&mail.next_rare()).into_owned();
        assert_eq!(rare.matches(RARE).count(), 1);
        assert!(!String::from_utf8_lossy(&first).contains(RARE));
        assert!(!first.windows(3).any(|three| three == b"\r\n."));
    }
}
