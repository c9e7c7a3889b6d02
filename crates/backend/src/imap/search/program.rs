//! A search made ready to be evaluated: sets resolved, keywords turned to bits, strings folded.

use std::ops::RangeInclusive;

use murder_imap::{Code, Date, SearchKey, SequenceSet};
use murder_mailbox::MailboxId;
use murder_mime::fold;
use murder_store::{Flags, MailboxView};

use super::MAX_STRINGS;
use crate::imap::errors::{OpError, bad, no};

/// A compiled search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(super) root: Key,
    /// Fields of the header and folded strings to be found in them, by their number.
    pub(super) fields: Vec<(String, String)>,
    /// Folded strings to be found in the texts of a message, by their number.
    pub(super) texts: Vec<String>,
    /// How many keys there are.
    pub(super) size: usize,
    /// The search asks for mod-sequences: the answer has the greatest (RFC 7162 section 3.1.5).
    pub modseq: bool,
    /// The sequence numbers that a set in the search leaves, if one does.
    pub(super) places: Option<Ranges>,
}

/// What a search is compiled for.
pub(crate) struct Context<'a> {
    /// The client's view.
    pub view: &'a MailboxView,
    /// Seconds since 1970, for OLDER and YOUNGER.
    pub now: i64,
}

/// Ascending ranges that do not touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ranges(pub Vec<RangeInclusive<u32>>);

impl Ranges {
    pub fn contain(&self, number: u32) -> bool {
        let at = self.0.partition_point(|range| *range.end() < number);
        self.0.get(at).is_some_and(|range| range.contains(&number))
    }
}

/// A search key. Those that look at the message itself name a string of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Is(bool),
    Flag(Flags),
    Seen,
    Recent,
    /// One bit, or none for a keyword that the mailbox has not got.
    Keyword(u64),
    Internal(Days),
    Sent(Days),
    Saved(Days),
    /// INTERNALDATE at or before, and at or after.
    NotAfter(i64),
    NotBefore(i64),
    Larger(u64),
    Smaller(u64),
    ModSeq(u64),
    EmailId([u8; 16]),
    Places(Ranges),
    Uids(Ranges),
    /// The header has the field with this number.
    Field(usize),
    /// The text with this number.
    Body(usize),
    /// The same, or the header has it.
    Text(usize),
    Not(Box<Key>),
    And(Vec<Key>),
    Or(Vec<Key>),
}

/// A comparison of days since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Days {
    Before(i64),
    On(i64),
    Since(i64),
}

impl Days {
    pub fn match_day(self, day: i64) -> bool {
        match self {
            Self::Before(limit) => day < limit,
            Self::On(wanted) => day == wanted,
            Self::Since(limit) => day >= limit,
        }
    }
}

impl Program {
    /// Compiles the keys of a SEARCH.
    ///
    /// # Errors
    /// NO BADCHARSET for another charset than US-ASCII and UTF-8; BAD for a string that is not
    /// UTF-8 and for what is not served (and not advertised): FILTER, FUZZY, `$`; NO LIMIT.
    pub fn new(
        charset: Option<&str>,
        keys: &[SearchKey],
        context: &Context<'_>,
    ) -> Result<Self, OpError> {
        let known = ["US-ASCII", "UTF-8"];
        if charset.is_some_and(|c| !known.iter().any(|k| k.eq_ignore_ascii_case(c))) {
            return Err(no(
                Code::BadCharset(known.map(str::to_owned).to_vec()),
                "Charset is not supported",
            ));
        }
        let mut program = Self {
            root: Key::Is(true),
            fields: Vec::new(),
            texts: Vec::new(),
            size: 0,
            modseq: false,
            places: None,
        };
        let keys = program.compile_all(keys, context)?;
        program.places = keys.iter().find_map(|key| match key {
            Key::Places(ranges) => Some(ranges.clone()),
            Key::Uids(ranges) => Some(places_of(ranges, context.view)),
            _ => None,
        });
        program.root = Key::And(keys);
        if program.texts.len() + program.fields.len() > MAX_STRINGS {
            return Err(no(Code::Limit, "Too many strings to search for"));
        }
        Ok(program)
    }

    fn compile_all(
        &mut self,
        keys: &[SearchKey],
        context: &Context<'_>,
    ) -> Result<Vec<Key>, OpError> {
        keys.iter().map(|key| self.compile(key, context)).collect()
    }

    /// Recursion is bounded by the nesting that the parser takes, 100 levels.
    fn compile(&mut self, key: &SearchKey, context: &Context<'_>) -> Result<Key, OpError> {
        self.size += 1;
        let not = |key| Key::Not(Box::new(key));
        let keyword = |name: &str| {
            let bit = context.view.keywords().bit(name);
            Key::Keyword(bit.map_or(0, |bit| 1 << bit))
        };
        Ok(match key {
            SearchKey::All | SearchKey::SaveDateSupported => Key::Is(true),
            SearchKey::Answered => Key::Flag(Flags::ANSWERED),
            SearchKey::Deleted => Key::Flag(Flags::DELETED),
            SearchKey::Draft => Key::Flag(Flags::DRAFT),
            SearchKey::Flagged => Key::Flag(Flags::FLAGGED),
            SearchKey::Seen => Key::Seen,
            SearchKey::Recent => Key::Recent,
            SearchKey::Unanswered => not(Key::Flag(Flags::ANSWERED)),
            SearchKey::Undeleted => not(Key::Flag(Flags::DELETED)),
            SearchKey::Undraft => not(Key::Flag(Flags::DRAFT)),
            SearchKey::Unflagged => not(Key::Flag(Flags::FLAGGED)),
            SearchKey::Unseen => not(Key::Seen),
            SearchKey::Old => not(Key::Recent),
            SearchKey::New => Key::And(vec![Key::Recent, not(Key::Seen)]),
            SearchKey::Keyword(name) => keyword(name.as_str()),
            SearchKey::Unkeyword(name) => not(keyword(name.as_str())),
            SearchKey::Bcc(string) => self.header("Bcc", string)?,
            SearchKey::Cc(string) => self.header("Cc", string)?,
            SearchKey::From(string) => self.header("From", string)?,
            SearchKey::To(string) => self.header("To", string)?,
            SearchKey::Subject(string) => self.header("Subject", string)?,
            SearchKey::Header(name, string) => self.header(name, string)?,
            SearchKey::Body(string) => self.text(string, Key::Body)?,
            SearchKey::Text(string) => self.text(string, Key::Text)?,
            SearchKey::Before(date) => Key::Internal(Days::Before(day(date))),
            SearchKey::On(date) => Key::Internal(Days::On(day(date))),
            SearchKey::Since(date) => Key::Internal(Days::Since(day(date))),
            SearchKey::SentBefore(date) => Key::Sent(Days::Before(day(date))),
            SearchKey::SentOn(date) => Key::Sent(Days::On(day(date))),
            SearchKey::SentSince(date) => Key::Sent(Days::Since(day(date))),
            SearchKey::SavedBefore(date) => Key::Saved(Days::Before(day(date))),
            SearchKey::SavedOn(date) => Key::Saved(Days::On(day(date))),
            SearchKey::SavedSince(date) => Key::Saved(Days::Since(day(date))),
            SearchKey::Larger(octets) => Key::Larger(*octets),
            SearchKey::Smaller(octets) => Key::Smaller(*octets),
            SearchKey::Older(seconds) => Key::NotAfter(context.now - i64::from(*seconds)),
            SearchKey::Younger(seconds) => Key::NotBefore(context.now - i64::from(*seconds)),
            // Mod-sequences are not kept apart by entry, so the entry is ignored (RFC 7162
            // section 3.1.5).
            SearchKey::ModSeq { value, .. } => {
                self.modseq = true;
                Key::ModSeq(*value)
            }
            SearchKey::EmailId(id) => id
                .parse::<MailboxId>()
                .map_or(Key::Is(false), |id| Key::EmailId(id.to_bytes())),
            SearchKey::ThreadId(_) => Key::Is(false),
            SearchKey::Uid(set) => Key::Uids(resolve(set, context.view.last_uid().unwrap_or(0))?),
            SearchKey::Sequence(set) => Key::Places(resolve(set, context.view.len())?),
            SearchKey::Not(key) => not(self.compile(key, context)?),
            SearchKey::Or(one, other) => Key::Or(vec![
                self.compile(one, context)?,
                self.compile(other, context)?,
            ]),
            SearchKey::And(keys) => Key::And(self.compile_all(keys, context)?),
            SearchKey::Filter(_) => return Err(bad("FILTER is not supported")),
            SearchKey::Fuzzy(_) => return Err(bad("FUZZY is not supported")),
        })
    }

    fn header(&mut self, name: &str, string: &[u8]) -> Result<Key, OpError> {
        self.fields.push((name.to_owned(), folded(string)?));
        Ok(Key::Field(self.fields.len() - 1))
    }

    fn text(&mut self, string: &[u8], make: fn(usize) -> Key) -> Result<Key, OpError> {
        let string = folded(string)?;
        if string.is_empty() {
            return Ok(Key::Is(true));
        }
        let at = self.texts.iter().position(|known| *known == string);
        let at = at.unwrap_or_else(|| {
            self.texts.push(string);
            self.texts.len() - 1
        });
        Ok(make(at))
    }
}

fn folded(string: &[u8]) -> Result<String, OpError> {
    let text = std::str::from_utf8(string).map_err(|_| bad("Search strings must be UTF-8"))?;
    Ok(fold(text))
}

fn day(date: &Date) -> i64 {
    date.days_since_epoch()
}

fn resolve(set: &SequenceSet, max: u32) -> Result<Ranges, OpError> {
    match set.is_saved_result() {
        true => Err(bad("Saved search results are not supported")),
        false => Ok(Ranges(set.resolve(max))),
    }
}

/// The sequence numbers of UIDs.
fn places_of(uids: &Ranges, view: &MailboxView) -> Ranges {
    let ranges = uids.0.iter().map(|uids| {
        let above = uids.end().checked_add(1);
        let end = above.map_or(view.len(), |above| view.seq_from_uid(above) - 1);
        view.seq_from_uid(*uids.start())..=end
    });
    Ranges(ranges.filter(|range| !range.is_empty()).collect())
}
