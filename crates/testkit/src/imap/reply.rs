//! What a server says.

use std::fmt;

use anyhow::{Context, bail};

use super::value::Value;

/// How a command has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok,
    /// Refused or failed.
    No,
    /// Not understood.
    Bad,
}

/// One answer, with its literals, without its line end.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply(pub Vec<u8>);

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Of a long answer, this much is shown.
        const SHOWN: usize = 400;
        let shown = &self.0[..self.0.len().min(SHOWN)];
        write!(f, "{}", String::from_utf8_lossy(shown).escape_debug())?;
        if shown.len() < self.0.len() {
            write!(f, "… ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

impl Reply {
    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// Its word number `at`, in capitals; empty if there is none.
    #[must_use]
    pub fn word(&self, at: usize) -> String {
        let text = self.0.splitn(at + 2, |byte| *byte == b' ').nth(at);
        let word = text
            .unwrap_or_default()
            .split(|byte| matches!(byte, b' ' | b'\r' | b'\n'))
            .next();
        String::from_utf8_lossy(word.unwrap_or_default()).to_uppercase()
    }

    /// Whether it is `* keyword` or `* number keyword`.
    #[must_use]
    pub fn is(&self, keyword: &str) -> bool {
        self.word(0) == "*"
            && (self.word(1) == keyword || (self.number().is_some() && self.word(2) == keyword))
    }

    /// The number of `* number keyword`.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        (self.word(0) == "*").then(|| self.word(1).parse().ok())?
    }

    /// What stands in the brackets of `OK [CODE …] text`.
    #[must_use]
    pub fn code(&self) -> Option<String> {
        let text = self.text();
        let rest = text.splitn(3, ' ').nth(2)?.strip_prefix('[')?;
        // A code that has brackets itself (BADCHARSET, flags) is none of those that tests read.
        Some(rest.split_once(']')?.0.to_owned())
    }

    /// Its parts, the `*` or tag first.
    ///
    /// # Errors
    /// When it does not follow the grammar.
    pub fn values(&self) -> anyhow::Result<Vec<Value>> {
        Value::read_all(&self.0)
    }
}

/// The data of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Its message number.
    pub seq: u32,
    /// Name and value of each item.
    pub items: Vec<(String, Value)>,
}

impl Fetch {
    /// The item of that name, such as `UID` or `BODY[]`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let mut items = self.items.iter();
        items
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The UID, 0 when it is not there.
    #[must_use]
    pub fn uid(&self) -> u32 {
        let uid = self.get("UID").and_then(Value::number);
        uid.and_then(|uid| u32::try_from(uid).ok())
            .unwrap_or_default()
    }

    /// The flags, in order of their names; `\Recent` left out.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let flags = self.get("FLAGS").map(Value::list).unwrap_or_default();
        let mut flags: Vec<String> = flags.iter().map(Value::text).collect();
        flags.retain(|flag| flag != "\\Recent");
        flags.sort();
        flags
    }

    /// The bytes of an item.
    ///
    /// # Errors
    /// When it is not there or is no string.
    pub fn bytes(&self, name: &str) -> anyhow::Result<&[u8]> {
        self.get(name)
            .and_then(Value::bytes)
            .with_context(|| format!("no {name} in {self:?}"))
    }

    fn read(reply: &Reply) -> anyhow::Result<Self> {
        let values = reply.values()?;
        let (Some(seq), Some(list)) = (reply.number(), values.get(3)) else {
            bail!("no FETCH: {reply:?}");
        };
        let pairs = list.list().chunks(2).map(|pair| match pair {
            [name, value] => Ok((name.text(), value.clone())),
            _ => bail!("an item without a value: {reply:?}"),
        });
        Ok(Self {
            seq,
            items: pairs.collect::<anyhow::Result<_>>()?,
        })
    }
}

/// One row of LIST or LSUB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// `\HasChildren` and the like, in order of their names.
    pub attributes: Vec<String>,
    /// The mailbox, as the server writes it.
    pub name: String,
    /// What follows the name, such as `("CHILDINFO" ("SUBSCRIBED"))`.
    pub extended: Vec<Value>,
}

/// What SELECT or EXAMINE said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected {
    /// Messages.
    pub exists: u32,
    /// Of these, recent ones.
    pub recent: u32,
    /// The mailbox's UIDVALIDITY.
    pub uidvalidity: u32,
    /// The next UID.
    pub uidnext: u32,
    /// `READ-ONLY` or `READ-WRITE`.
    pub mode: String,
    /// The flags that can be kept.
    pub permanent: Vec<String>,
}

/// All answers to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The untagged ones, in their order.
    pub untagged: Vec<Reply>,
    /// The last one.
    pub tagged: Reply,
    /// What it says.
    pub status: Status,
}

impl Answer {
    /// The untagged answers of that keyword.
    pub fn all(&self, keyword: &str) -> impl Iterator<Item = &Reply> {
        self.untagged.iter().filter(move |reply| reply.is(keyword))
    }

    /// The code of the tagged answer; empty without one.
    #[must_use]
    pub fn code(&self) -> String {
        self.tagged.code().unwrap_or_default()
    }

    /// Every `FETCH`.
    ///
    /// # Errors
    /// When one does not follow the grammar.
    pub fn fetches(&self) -> anyhow::Result<Vec<Fetch>> {
        self.all("FETCH").map(Fetch::read).collect()
    }

    /// The numbers of `SEARCH`.
    ///
    /// # Errors
    /// When there is not exactly one.
    pub fn search(&self) -> anyhow::Result<Vec<u32>> {
        let mut found = self.all("SEARCH");
        let (Some(reply), None) = (found.next(), found.next()) else {
            bail!("not one SEARCH: {self:?}");
        };
        reply
            .text()
            .split(' ')
            .skip(2)
            .filter(|word| !word.is_empty())
            .map(|word| word.parse().with_context(|| reply.text()))
            .collect()
    }

    /// The message numbers of `EXPUNGE`.
    #[must_use]
    pub fn expunged(&self) -> Vec<u32> {
        self.all("EXPUNGE").filter_map(Reply::number).collect()
    }

    /// Every row of `LIST`, or of `LSUB`.
    ///
    /// # Errors
    /// When one does not follow the grammar.
    pub fn rows(&self, keyword: &str) -> anyhow::Result<Vec<Listed>> {
        let row = |reply: &Reply| {
            let values = reply.values()?;
            let (Some(attributes), Some(name)) = (values.get(2), values.get(4)) else {
                bail!("no row: {reply:?}");
            };
            let mut attributes: Vec<String> = attributes.list().iter().map(Value::text).collect();
            attributes.sort();
            Ok(Listed {
                attributes,
                name: name.text(),
                extended: values[5..].to_vec(),
            })
        };
        self.all(keyword).map(row).collect()
    }

    /// The names of the rows of `LIST`, or of `LSUB`, in their order.
    ///
    /// # Errors
    /// When one does not follow the grammar.
    pub fn names(&self, keyword: &str) -> anyhow::Result<Vec<String>> {
        Ok(self
            .rows(keyword)?
            .into_iter()
            .map(|row| row.name)
            .collect())
    }

    /// A number of the first `STATUS`, such as `MESSAGES`.
    ///
    /// # Errors
    /// When it is not there.
    pub fn status_item(&self, item: &str) -> anyhow::Result<u64> {
        let reply = self.all("STATUS").next().context("no STATUS")?;
        let values = reply.values()?;
        let items = values.get(3).map(Value::list).unwrap_or_default();
        items
            .chunks(2)
            .find(|pair| pair[0].text().eq_ignore_ascii_case(item))
            .and_then(|pair| pair.get(1)?.number())
            .with_context(|| format!("no {item} in {reply:?}"))
    }

    /// What a SELECT or EXAMINE said.
    #[must_use]
    pub fn selected(&self) -> Selected {
        let mut selected = Selected {
            mode: self.code(),
            ..Selected::default()
        };
        for reply in &self.untagged {
            if reply.is("EXISTS") {
                selected.exists = reply.number().unwrap_or_default();
            } else if reply.is("RECENT") {
                selected.recent = reply.number().unwrap_or_default();
            } else if let Some(code) = reply.code() {
                let (name, value) = code.split_once(' ').unwrap_or((&code, ""));
                match name {
                    "UIDVALIDITY" => selected.uidvalidity = value.parse().unwrap_or_default(),
                    "UIDNEXT" => selected.uidnext = value.parse().unwrap_or_default(),
                    "PERMANENTFLAGS" => {
                        let flags = value.trim_matches(['(', ')']).split(' ');
                        selected.permanent = flags.map(str::to_owned).collect();
                    }
                    _ => {}
                }
            }
        }
        selected
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn answer(untagged: &[&str], tagged: &str) -> Answer {
        Answer {
            untagged: untagged
                .iter()
                .map(|text| Reply(text.as_bytes().to_vec()))
                .collect(),
            tagged: Reply(tagged.as_bytes().to_vec()),
            status: Status::Ok,
        }
    }

    #[test]
    fn what_a_select_says() {
        let selected = answer(
            &[
                "* FLAGS (\\Seen)",
                "* 3 EXISTS",
                "* 1 RECENT",
                "* OK [UIDVALIDITY 7] x",
                "* OK [UIDNEXT 4] x",
                "* OK [PERMANENTFLAGS (\\Seen \\*)] x",
            ],
            "a1 OK [READ-WRITE] done",
        )
        .selected();
        let expected = Selected {
            exists: 3,
            recent: 1,
            uidvalidity: 7,
            uidnext: 4,
            mode: "READ-WRITE".to_owned(),
            permanent: vec!["\\Seen".to_owned(), "\\*".to_owned()],
        };
        assert_eq!(selected, expected);
    }

    #[test]
    fn rows_and_numbers() {
        let answer = answer(
            &[
                "* LIST (\\HasNoChildren \\Drafts) \"/\" \"a b\" (\"CHILDINFO\" (\"SUBSCRIBED\"))",
                "* SEARCH 2 5",
                "* 2 FETCH (UID 9 FLAGS (\\Seen \\Recent) BODY[] {1}\r\nx)",
                "* STATUS INBOX (MESSAGES 4)",
                "* 5 EXPUNGE",
            ],
            "a OK x",
        );
        let rows = answer.rows("LIST").unwrap();
        assert_eq!(rows[0].name, "a b");
        assert_eq!(rows[0].attributes, ["\\Drafts", "\\HasNoChildren"]);
        assert_eq!(rows[0].extended.len(), 1);
        assert_eq!(answer.search().unwrap(), [2, 5]);
        let fetch = &answer.fetches().unwrap()[0];
        assert_eq!((fetch.seq, fetch.uid()), (2, 9));
        assert_eq!(fetch.flags(), ["\\Seen"]);
        assert_eq!(fetch.bytes("BODY[]").unwrap(), b"x");
        assert_eq!(answer.status_item("MESSAGES").unwrap(), 4);
        assert_eq!(answer.expunged(), [5]);
    }
}
