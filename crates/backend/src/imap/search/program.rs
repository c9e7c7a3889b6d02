//! A search made ready to be evaluated: sets resolved, keywords turned to numbers, strings folded.

use std::ops::{Range, RangeInclusive};

use murder_imap::{Code, Date, SearchKey, SequenceSet};
use murder_mailbox::MailboxId;
use murder_mime::{SEARCH_CHARSETS, charset_text, fold, is_listed};
use murder_store::{Flags, MailboxView, TextFilter, UidSet};

use super::MAX_STRINGS;
use super::fuzzy::{Words, loose};
use crate::imap::errors::{OpError, bad, no};

/// A compiled search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(super) root: Key,
    /// Fields of the header and folded strings to be found in them, by their number.
    pub(super) fields: Vec<(String, String)>,
    /// Folded strings to be found in the texts of a message, by their number.
    pub(super) texts: Vec<String>,
    /// Strings to be found fuzzily.
    pub(super) fuzzy: Vec<Fuzzy>,
    /// Some key is to be matched fuzzily: there is a relevancy.
    pub is_fuzzy: bool,
    /// What the full-text index can be asked: of each field, each text, each word of what is
    /// fuzzy, in this order.
    pub(super) filters: Vec<TextFilter>,
    /// The keywords that it names, and the number that each has in the view; none for one that the
    /// mailbox has not got.
    pub(super) keywords: Vec<(String, Option<u32>)>,
    /// UID sets with a `*`, and what they mean in the view.
    pub(super) open_sets: Vec<(SequenceSet, Ranges)>,
    /// Seconds since 1970, for OLDER and YOUNGER.
    pub(super) now: i64,
    /// How many keys there are.
    pub(super) size: usize,
    /// The search asks for mod-sequences: the answer has the greatest (RFC 7162 section 3.1.5).
    pub modseq: bool,
    /// The sequence numbers that a set in the search leaves, if one does.
    pub(super) places: Option<Ranges>,
}

/// What a search is compiled for.
pub(crate) struct Circumstances<'a> {
    /// The client's view.
    pub view: &'a MailboxView,
    /// Seconds since 1970, for OLDER and YOUNGER.
    pub now: i64,
    /// What `$` means; `None` where it means nothing.
    pub saved: Option<&'a UidSet>,
}

/// A string to be found fuzzily.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fuzzy {
    pub place: Where,
    pub words: Words,
    /// Their filters.
    pub filters: Range<usize>,
}

/// Where a fuzzy string is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Where {
    /// In this field of the header.
    Field(String),
    /// In what is not the header.
    Body,
    /// Anywhere.
    Text,
}

impl Fuzzy {
    /// Whether it can be in what is not the header.
    pub fn is_in_texts(&self) -> bool {
        !matches!(self.place, Where::Field(_))
    }
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
    /// The keyword with this number.
    Keyword(usize),
    Internal(Days),
    Sent(Days),
    Saved(Days),
    /// INTERNALDATE at or before so many seconds ago, and at or after.
    Older(i64),
    Younger(i64),
    Larger(u64),
    Smaller(u64),
    ModSeq(u64),
    EmailId([u8; 16]),
    Places(Ranges),
    Uids(Ranges),
    /// The UID set with this number, which has a `*`.
    OpenUids(usize),
    /// The header has the field with this number.
    Field(usize),
    /// The text with this number.
    Body(usize),
    /// The same, or the header has it.
    Text(usize),
    /// The fuzzy string with this number.
    Fuzzy(usize),
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
    /// NO BADCHARSET for an unknown charset; BAD for a string that is not in the charset, for `$`
    /// where it means nothing, and for FILTER, which is not advertised; NO LIMIT.
    pub fn new(
        charset: Option<&str>,
        keys: &[SearchKey],
        context: &Circumstances<'_>,
    ) -> Result<Self, OpError> {
        if charset_text(charset, b"").is_none() {
            return Err(no(
                Code::BadCharset(SEARCH_CHARSETS.map(str::to_owned).to_vec()),
                "Charset is not supported",
            ));
        }
        let mut program = Self {
            root: Key::Is(true),
            fields: Vec::new(),
            texts: Vec::new(),
            fuzzy: Vec::new(),
            is_fuzzy: false,
            filters: Vec::new(),
            keywords: Vec::new(),
            open_sets: Vec::new(),
            now: context.now,
            size: 0,
            modseq: false,
            places: None,
        };
        let mut compiler = Compiler {
            program: &mut program,
            charset,
            context,
            fuzzily: false,
        };
        let keys = compiler.compile_all(keys)?;
        program.places = keys.iter().find_map(|key| match key {
            Key::Places(ranges) => Some(ranges.clone()),
            Key::Uids(ranges) => Some(places_of(ranges, context.view)),
            Key::OpenUids(at) => Some(places_of(&program.open_sets[*at].1, context.view)),
            _ => None,
        });
        program.root = Key::And(keys);
        let words: usize = program
            .fuzzy
            .iter()
            .map(|f| f.words.needles().count())
            .sum();
        if program.texts.len() + program.fields.len() + words > MAX_STRINGS {
            return Err(no(Code::Limit, "Too many strings to search for"));
        }
        program.make_filters();
        Ok(program)
    }

    fn make_filters(&mut self) {
        let exact = |string: &String| TextFilter::any([loose(string)]);
        let fields = self.fields.iter().map(|(_, string)| exact(string));
        self.filters = fields.chain(self.texts.iter().map(exact)).collect();
        for fuzzy in &mut self.fuzzy {
            let first = self.filters.len();
            self.filters
                .extend(fuzzy.words.needles().map(TextFilter::any));
            fuzzy.filters = first..self.filters.len();
        }
    }

    /// The filter of a text.
    pub(super) fn filter_of_text(&self, at: usize) -> Range<usize> {
        let at = self.fields.len() + at;
        at..at + 1
    }

    /// Whether what is not the header may have to be looked at.
    pub(super) fn looks_at_texts(&self) -> bool {
        !self.texts.is_empty() || self.fuzzy.iter().any(Fuzzy::is_in_texts)
    }

    /// Whether fields that are stored beside messages are all that may have to be looked at.
    pub(super) fn looks_at_listed_fields_only(&self) -> bool {
        let fields = self.fields.iter().map(|(name, _)| &**name);
        let fuzzy = self.fuzzy.iter().filter_map(|fuzzy| match &fuzzy.place {
            Where::Field(name) => Some(&**name),
            Where::Body | Where::Text => None,
        });
        !self.looks_at_texts() && is_listed(fields.chain(fuzzy))
    }

    /// How many strings are looked for in a message.
    pub(super) fn strings(&self) -> usize {
        self.filters.len()
    }
}

/// Compiles keys into a program.
struct Compiler<'a> {
    program: &'a mut Program,
    charset: Option<&'a str>,
    context: &'a Circumstances<'a>,
    /// Within FUZZY.
    fuzzily: bool,
}

impl Compiler<'_> {
    fn compile_all(&mut self, keys: &[SearchKey]) -> Result<Vec<Key>, OpError> {
        keys.iter().map(|key| self.compile(key)).collect()
    }

    /// Recursion is bounded by the nesting that the parser takes, 100 levels.
    fn compile(&mut self, key: &SearchKey) -> Result<Key, OpError> {
        let context = self.context;
        self.program.size += 1;
        let not = |key| Key::Not(Box::new(key));
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
            SearchKey::Keyword(name) => self.keyword(name.as_str()),
            SearchKey::Unkeyword(name) => not(self.keyword(name.as_str())),
            SearchKey::Bcc(string) => self.header("Bcc", string)?,
            SearchKey::Cc(string) => self.header("Cc", string)?,
            SearchKey::From(string) => self.header("From", string)?,
            SearchKey::To(string) => self.header("To", string)?,
            SearchKey::Subject(string) => self.header("Subject", string)?,
            SearchKey::Header(name, string) => self.header(name, string)?,
            SearchKey::Body(string) => self.text(string, Where::Body, Key::Body)?,
            SearchKey::Text(string) => self.text(string, Where::Text, Key::Text)?,
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
            SearchKey::Older(seconds) => Key::Older(i64::from(*seconds)),
            SearchKey::Younger(seconds) => Key::Younger(i64::from(*seconds)),
            // Mod-sequences are not kept apart by entry, so the entry is ignored (RFC 7162
            // section 3.1.5).
            SearchKey::ModSeq { value, .. } => {
                self.program.modseq = true;
                Key::ModSeq(*value)
            }
            SearchKey::EmailId(id) => id
                .parse::<MailboxId>()
                .map_or(Key::Is(false), |id| Key::EmailId(id.to_bytes())),
            SearchKey::ThreadId(_) => Key::Is(false),
            SearchKey::Uid(set) | SearchKey::Sequence(set) if set.is_saved_result() => {
                let saved = context.saved.ok_or_else(|| bad("`$` means nothing here"))?;
                let ranges = saved.ranges().iter().map(|(low, high)| *low..=*high);
                Key::Uids(Ranges(ranges.collect()))
            }
            SearchKey::Uid(set) => {
                let ranges = Ranges(set.resolve(context.view.last_uid().unwrap_or(0)));
                if !set.has_star() {
                    return Ok(Key::Uids(ranges));
                }
                let sets = &mut self.program.open_sets;
                sets.push((set.clone(), ranges));
                Key::OpenUids(sets.len() - 1)
            }
            SearchKey::Sequence(set) => Key::Places(Ranges(set.resolve(context.view.len()))),
            SearchKey::Not(key) => not(self.compile(key)?),
            SearchKey::Or(one, other) => Key::Or(vec![self.compile(one)?, self.compile(other)?]),
            SearchKey::And(keys) => Key::And(self.compile_all(keys)?),
            SearchKey::Filter(_) => return Err(bad("FILTER is not supported")),
            SearchKey::Fuzzy(key) => {
                self.program.is_fuzzy = true;
                let before = std::mem::replace(&mut self.fuzzily, true);
                let key = self.compile(key);
                self.fuzzily = before;
                key?
            }
        })
    }

    fn keyword(&mut self, name: &str) -> Key {
        let keywords = &mut self.program.keywords;
        keywords.push((name.to_owned(), self.context.view.keywords().number(name)));
        Key::Keyword(keywords.len() - 1)
    }

    fn header(&mut self, name: &str, string: &[u8]) -> Result<Key, OpError> {
        let string = self.string(string)?;
        if let Some(key) = self.fuzzy(&string, Where::Field(name.to_owned())) {
            return Ok(key);
        }
        let fields = &mut self.program.fields;
        fields.push((name.to_owned(), fold(&string)));
        Ok(Key::Field(fields.len() - 1))
    }

    fn text(
        &mut self,
        string: &[u8],
        place: Where,
        make: fn(usize) -> Key,
    ) -> Result<Key, OpError> {
        let string = self.string(string)?;
        if let Some(key) = self.fuzzy(&string, place) {
            return Ok(key);
        }
        let string = fold(&string);
        if string.is_empty() {
            return Ok(Key::Is(true));
        }
        let texts = &mut self.program.texts;
        let at = texts.iter().position(|known| *known == string);
        let at = at.unwrap_or_else(|| {
            texts.push(string);
            texts.len() - 1
        });
        Ok(make(at))
    }

    /// The key of a string within FUZZY, if it has words.
    fn fuzzy(&mut self, string: &str, place: Where) -> Option<Key> {
        if !self.fuzzily {
            return None;
        }
        let words = Words::of(string)?;
        let fuzzy = &mut self.program.fuzzy;
        fuzzy.push(Fuzzy {
            place,
            words,
            filters: 0..0,
        });
        Some(Key::Fuzzy(fuzzy.len() - 1))
    }

    fn string(&self, octets: &[u8]) -> Result<String, OpError> {
        match charset_text(self.charset, octets) {
            Some(Some(text)) => Ok(text.into_owned()),
            _ => Err(bad(match self.charset {
                None => "Search strings must be UTF-8",
                Some(_) => "A search string is not in the charset",
            })),
        }
    }
}

fn day(date: &Date) -> i64 {
    date.days_since_epoch()
}

/// The sequence numbers of UIDs.
pub(super) fn places_of(uids: &Ranges, view: &MailboxView) -> Ranges {
    let ranges = uids.0.iter().map(|uids| {
        let above = uids.end().checked_add(1);
        let end = above.map_or(view.len(), |above| view.seq_from_uid(above) - 1);
        view.seq_from_uid(*uids.start())..=end
    });
    Ranges(ranges.filter(|range| !range.is_empty()).collect())
}
