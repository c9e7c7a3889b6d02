//! Conversations written as the RFCs write them.

use anyhow::{Context, bail};

use super::client::ImapClient;

/// Stands for anything in a server's line.
const ANYTHING: &str = "...";

impl ImapClient {
    /// Plays a conversation: lines with `C: ` are sent as they are, lines with `S: ` must come as
    /// they are, `...` standing for anything. Blank lines count for nothing. A literal is written as
    /// `{5}` at the end of a line and `\r\n` within the next.
    ///
    /// # Errors
    /// When the server says something else.
    pub async fn script(&mut self, text: &str) -> anyhow::Result<()> {
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            if let Some(command) = line.strip_prefix("C: ") {
                let command = command.replace("\\r\\n", "\r\n");
                self.send_raw(format!("{command}\r\n").as_bytes()).await?;
            } else if let Some(expected) = line.strip_prefix("S: ") {
                let expected = expected.replace("\\r\\n", "\r\n");
                let reply = self
                    .reply()
                    .await
                    .with_context(|| format!("line {}: {line}", number + 1))?;
                if !fits(&expected, &reply.text()) {
                    bail!(
                        "line {}: expected {expected:?}, the server says {reply:?}",
                        number + 1
                    );
                }
            } else {
                bail!("line {} is nobody's: {line}", number + 1);
            }
        }
        Ok(())
    }
}

/// Whether `text` is `pattern` with something for each [`ANYTHING`].
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split(ANYTHING);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in between {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns() {
        for (pattern, text) in [
            ("a OK done", "a OK done"),
            ("a OK ...", "a OK done"),
            ("* ... EXISTS", "* 5 EXISTS"),
            ("* OK [UIDNEXT ...] ...", "* OK [UIDNEXT 4] Predicted"),
            ("...", ""),
        ] {
            assert!(fits(pattern, text), "{pattern}");
        }
        for (pattern, text) in [
            ("a OK", "a OK done"),
            ("a OK ...", "a NO done"),
            ("* ... EXISTS", "* 5 RECENT"),
            ("* ...]x", "* [y]"),
        ] {
            assert!(!fits(pattern, text), "{pattern}");
        }
    }
}
