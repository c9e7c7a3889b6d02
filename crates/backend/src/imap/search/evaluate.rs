//! Evaluating a search for one message, with as much of the message as is at hand.

use murder_mime::{contains_folded, for_each_text, header_search_text, header_text};
use murder_store::{MailboxView, MessageRow, TextCandidates, UidSet};

use super::fuzzy::{self, Scores};
use super::program::{Fuzzy, Key, Program, Where};

/// What is known of a message.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub view: &'a MailboxView,
    pub row: &'a MessageRow,
    /// Whose `\Seen` counts.
    pub seen_user: Option<&'a str>,
    pub recent: &'a UidSet,
    /// Which messages can have the strings of the program, if the index was asked.
    pub index: Option<&'a TextCandidates>,
    /// What was found in the header, if it was looked at.
    pub header: Option<&'a Looked>,
    /// The same of what is not the header.
    pub texts: Option<&'a Looked>,
}

/// What was found in a header, or in the texts of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Looked {
    /// For each field of the program, whether it is there; empty for texts.
    fields: Vec<bool>,
    /// For each text of the program, whether it is there.
    texts: Vec<bool>,
    /// For each fuzzy string of the program, how well.
    fuzzy: Vec<Scores>,
}

impl Program {
    /// Whether the message matches; `None` if that takes more than is known.
    pub(super) fn matches(&self, known: &Known<'_>) -> Option<bool> {
        self.evaluate(&self.root, known)
    }

    /// How relevant a message is that matches: the average of the fuzzy strings that it has.
    pub(super) fn relevancy(&self, known: &Known<'_>) -> u8 {
        let all = (0..self.fuzzy.len()).filter_map(|at| self.fuzzy_score(at, known));
        let found: Vec<usize> = all.map(usize::from).filter(|score| *score > 0).collect();
        match found.len() {
            // Something exact.
            0 => 100,
            // Numbers from 1 to 100.
            count => (found.iter().sum::<usize>() / count) as u8,
        }
    }

    pub(super) fn evaluate(&self, key: &Key, known: &Known<'_>) -> Option<bool> {
        let row = known.row;
        Some(match key {
            Key::Is(value) => *value,
            Key::Flag(flag) => row.flags.contains(*flag),
            Key::Seen => known.view.is_seen(row, known.seen_user),
            Key::Recent => known.recent.contains(row.uid),
            Key::Keyword(at) => self.keywords[*at]
                .1
                .is_some_and(|number| known.view.keywords().has(row.keywords, number)),
            Key::Internal(days) => {
                let date = row.internal_date;
                let local = date.seconds.saturating_add(i64::from(date.zone) * 60);
                days.match_day(local.div_euclid(86_400))
            }
            Key::Sent(days) => row
                .sent_day
                .is_some_and(|day| days.match_day(i64::from(day))),
            Key::Saved(days) => days.match_day(row.save_date.div_euclid(86_400)),
            Key::Older(age) => row.internal_date.seconds <= self.now - age,
            Key::Younger(age) => row.internal_date.seconds >= self.now - age,
            Key::Larger(octets) => u64::from(row.location.len) > *octets,
            Key::Smaller(octets) => u64::from(row.location.len) < *octets,
            Key::ModSeq(least) => row.modseq >= *least,
            Key::EmailId(id) => row.email_id == *id,
            Key::Places(ranges) => ranges.contain(row.seq),
            Key::Uids(ranges) => ranges.contain(row.uid),
            Key::OpenUids(at) => self.open_sets[*at].1.contain(row.uid),
            Key::Field(at) => match known.header {
                _ if self.ruled_out(known, *at..*at + 1) => false,
                Some(header) => header.fields[*at],
                None => return None,
            },
            Key::Body(at) => match known.texts {
                _ if self.ruled_out(known, self.filter_of_text(*at)) => false,
                Some(texts) => texts.texts[*at],
                None => return None,
            },
            Key::Text(at) => {
                let in_header = known.header.map(|header| header.texts[*at]);
                match (in_header, known.texts) {
                    _ if self.ruled_out(known, self.filter_of_text(*at)) => false,
                    (Some(true), _) => true,
                    (_, Some(texts)) if texts.texts[*at] => true,
                    (Some(false), Some(_)) => false,
                    _ => return None,
                }
            }
            Key::Fuzzy(at) => self.fuzzy_score(*at, known)? > 0,
            Key::Not(key) => !self.evaluate(key, known)?,
            Key::And(keys) => return self.all(keys, known, false),
            Key::Or(keys) => return self.all(keys, known, true),
        })
    }

    /// Whether the index says that one of these is not in the message.
    fn ruled_out(&self, known: &Known<'_>, filters: std::ops::Range<usize>) -> bool {
        let Some(index) = known.index else {
            return false;
        };
        filters.into_iter().any(|at| index.excludes(known.row, at))
    }

    /// How well the message has a fuzzy string; `None` if that takes more than is known.
    fn fuzzy_score(&self, at: usize, known: &Known<'_>) -> Option<u8> {
        let Fuzzy { place, filters, .. } = &self.fuzzy[at];
        if self.ruled_out(known, filters.clone()) {
            return Some(0);
        }
        let header = known.header.map(|header| &header.fuzzy[at]);
        let texts = known.texts.map(|texts| &texts.fuzzy[at]);
        match place {
            Where::Field(_) => header.map(|scores| fuzzy::relevancy(scores)),
            Where::Body => texts.map(|scores| fuzzy::relevancy(scores)),
            Where::Text => {
                let header = header?;
                let score = fuzzy::relevancy(header);
                if score > 0 {
                    return Some(score);
                }
                let both = header
                    .iter()
                    .zip(texts?)
                    .map(|(one, other)| *one.max(other));
                Some(fuzzy::relevancy(&both.collect::<Scores>()))
            }
        }
    }

    /// `decisive` if one key is that, `None` if one is not known, else the contrary.
    fn all(&self, keys: &[Key], known: &Known<'_>, decisive: bool) -> Option<bool> {
        let mut result = Some(!decisive);
        for key in keys {
            match self.evaluate(key, known) {
                Some(value) if value == decisive => return Some(decisive),
                Some(_) => {}
                None => result = None,
            }
        }
        result
    }

    /// Looks at a header.
    pub(super) fn search_header(&self, raw: &[u8]) -> Looked {
        let has = |(name, string): &(String, String)| {
            header_text(raw, name).any(|value| contains_folded(&value, string))
        };
        let in_text = self.fuzzy.iter().any(|fuzzy| fuzzy.place == Where::Text);
        let all = match self.texts.is_empty() && !in_text {
            true => String::new(),
            false => header_search_text(raw),
        };
        let loose_all = match in_text {
            true => fuzzy::loose(&all),
            false => String::new(),
        };
        let fuzzy = |fuzzy: &Fuzzy| {
            let mut scores = fuzzy.words.none();
            match &fuzzy.place {
                Where::Field(name) => {
                    for value in header_text(raw, name) {
                        fuzzy.words.search(&fuzzy::loose(&value), &mut scores);
                    }
                }
                Where::Text => fuzzy.words.search(&loose_all, &mut scores),
                Where::Body => {}
            }
            scores
        };
        Looked {
            fields: self.fields.iter().map(has).collect(),
            texts: self
                .texts
                .iter()
                .map(|t| contains_folded(&all, t))
                .collect(),
            fuzzy: self.fuzzy.iter().map(fuzzy).collect(),
        }
    }

    /// Looks at a message, at what is not its header.
    pub(super) fn search_texts(&self, raw: &[u8]) -> Looked {
        let mut found = vec![false; self.texts.len()];
        let mut scores: Vec<Scores> = self.fuzzy.iter().map(|f| f.words.none()).collect();
        let any_fuzzy = self.fuzzy.iter().any(Fuzzy::is_in_texts);
        for_each_text(raw, &mut |text| {
            for (string, found) in self.texts.iter().zip(&mut found) {
                *found = *found || contains_folded(text, string);
            }
            if any_fuzzy {
                let text = fuzzy::loose(text);
                let fuzzies = self.fuzzy.iter().zip(&mut scores);
                for (fuzzy, scores) in fuzzies.filter(|(fuzzy, _)| fuzzy.is_in_texts()) {
                    fuzzy.words.search(&text, scores);
                }
            }
            any_fuzzy || found.iter().any(|found| !found)
        });
        Looked {
            fields: Vec::new(),
            texts: found,
            fuzzy: scores,
        }
    }
}
