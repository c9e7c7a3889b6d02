//! Names of a mailbox's keywords, and which of them messages have.
//!
//! A keyword has a number. What a message has is one word, whatever it is: a bit each for the first
//! 40 numbers, and above them the id of the set of all others that it has, 0 for none. Nearly all
//! mailboxes get by with the bits; sets are shared by the messages that have the same.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;

/// The most keywords in a mailbox.
pub const MAX_KEYWORDS: usize = 1024;
/// Numbers that have bits in the word itself.
const DIRECT: u32 = 40;
const DIRECT_BITS: u64 = (1 << DIRECT) - 1;
/// The most sets of a mailbox: what is left of the word.
const MAX_SETS: usize = (1 << (64 - DIRECT)) - 1;

/// Keywords by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeywordSet([u64; MAX_KEYWORDS / 64]);

impl KeywordSet {
    /// Adds a keyword.
    pub fn insert(&mut self, number: u32) {
        if let Some(word) = self.0.get_mut(number as usize / 64) {
            *word |= 1 << (number % 64);
        }
    }

    /// Whether the keyword with this number is in it.
    #[must_use]
    pub fn contains(&self, number: u32) -> bool {
        let word = self.0.get(number as usize / 64);
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word |= other;
        }
    }

    /// Takes those of another away.
    pub fn remove(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word &= !other;
        }
    }

    /// The bits of those that have some in a message's word.
    pub(crate) fn direct(&self) -> u64 {
        self.0[0] & DIRECT_BITS
    }

    /// Those that have no bits in a message's word, as they are stored: the numbers' bits in words of
    /// 8 bytes, little-endian, without the last ones that are zero. Empty when there are none.
    pub(crate) fn rest(&self) -> Vec<u8> {
        let mut rest = self.0;
        rest[0] &= !DIRECT_BITS;
        let len = rest
            .iter()
            .rposition(|&word| word != 0)
            .map_or(0, |n| n + 1);
        rest[..len]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect()
    }

    /// Adds what [`KeywordSet::rest`] gave.
    pub(crate) fn add_rest(&mut self, rest: &[u8]) {
        let (words, _) = rest.as_chunks::<8>();
        for (word, bytes) in self.0.iter_mut().zip(words) {
            *word |= u64::from_le_bytes(*bytes);
        }
    }
}

/// The id of a set and [`KeywordSet::rest`], to be stored.
type NewSet = (u32, Vec<u8>);

/// The sets of a mailbox by their ids. It only grows, so that views of before go on with it; where
/// sets are forgotten there is another one.
#[derive(Debug, Default)]
struct Sets(RwLock<Table>);

#[derive(Debug, Clone, Default)]
struct Table {
    /// The set with id 1, 2 and so on, as [`KeywordSet::rest`]; nothing for a free id.
    sets: Vec<Option<Arc<[u8]>>>,
    ids: HashMap<Arc<[u8]>, u32>,
    free: BTreeSet<u32>,
}

impl Table {
    fn put(&mut self, id: u32, set: Arc<[u8]>) {
        let at = id as usize - 1;
        let len = self.sets.len();
        if at >= len {
            self.free.extend(len as u32 + 1..id);
            self.sets.resize(at + 1, None);
        }
        self.free.remove(&id);
        self.sets[at] = Some(Arc::clone(&set));
        self.ids.insert(set, id);
    }

    fn get(&self, id: u64) -> Option<Arc<[u8]>> {
        let at = usize::try_from(id).ok()?.checked_sub(1)?;
        self.sets.get(at)?.clone()
    }
}

/// The keywords of a mailbox: a name, or nothing, for each number.
#[derive(Debug, Clone, Default)]
pub struct Keywords {
    names: Vec<Option<Arc<str>>>,
    /// Numbers in the order of their names.
    order: Vec<u16>,
    sets: Arc<Sets>,
}

/// What sets there are makes no difference.
impl PartialEq for Keywords {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

impl Eq for Keywords {}

/// The order of names: without regard to case.
fn compare(a: &str, b: &str) -> std::cmp::Ordering {
    fn folded(name: &str) -> impl Iterator<Item = u8> {
        name.bytes().map(|byte| byte.to_ascii_lowercase())
    }
    folded(a).cmp(folded(b))
}

impl Keywords {
    /// The number of a keyword; names are compared without regard to case.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u32> {
        let at = self.place(name).ok()?;
        self.order.get(at).map(|&number| number.into())
    }

    /// Where a name is in `order`, or would be.
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.order.binary_search_by(|&number| {
            let other = self.names.get(usize::from(number));
            compare(other.and_then(Option::as_deref).unwrap_or(""), name)
        })
    }

    /// The names of what a message's word says.
    pub fn names(&self, word: u64) -> impl Iterator<Item = &str> {
        let mut direct = word & DIRECT_BITS;
        let first = std::iter::from_fn(move || {
            let number = (direct != 0).then(|| direct.trailing_zeros())?;
            direct &= direct - 1;
            Some(number)
        });
        // Nearly always there is none.
        let rest = (word >> DIRECT != 0).then(|| self.set_of(word & !DIRECT_BITS));
        let rest = rest.into_iter().flat_map(|set| {
            let numbers = DIRECT..MAX_KEYWORDS as u32;
            numbers.filter(move |&number| set.contains(number))
        });
        first
            .chain(rest)
            .filter_map(|number| self.names.get(number as usize)?.as_deref())
    }

    /// What a message's word says, by numbers.
    #[must_use]
    pub fn set_of(&self, word: u64) -> KeywordSet {
        let mut set = KeywordSet::default();
        set.0[0] = word & DIRECT_BITS;
        let id = word >> DIRECT;
        if id != 0
            && let Some(rest) = self.sets.0.read().get(id)
        {
            set.add_rest(&rest);
        }
        set
    }

    /// Whether a message's word says that it has the keyword with this number.
    #[must_use]
    pub fn has(&self, word: u64, number: u32) -> bool {
        if number < DIRECT {
            return word >> number & 1 == 1;
        }
        let id = word >> DIRECT;
        let set = (id != 0).then(|| self.sets.0.read().get(id)).flatten();
        let byte = set.as_deref().and_then(|set| set.get(number as usize / 8));
        byte.is_some_and(|byte| byte >> (number % 8) & 1 == 1)
    }

    /// What `word` means among the keywords `from`, by these numbers; `None` when one of them has none
    /// here.
    #[must_use]
    pub fn translate(&self, from: &Self, word: u64) -> Option<KeywordSet> {
        if std::ptr::eq(self, from) {
            return Some(self.set_of(word));
        }
        let mut set = KeywordSet::default();
        for name in from.names(word) {
            set.insert(self.number(name)?);
        }
        Some(set)
    }

    /// Whether words mean the same among others.
    pub(crate) fn means_the_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.sets, &other.sets) && self == other
    }

    /// All names, for the FLAGS response.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|name| name.as_deref())
    }

    /// How many sets there are.
    pub(crate) fn sets(&self) -> usize {
        self.sets.0.read().ids.len()
    }

    /// Bytes of memory that the sets take.
    pub(crate) fn memory(&self) -> usize {
        // The set, its places in both tables and what the allocator takes.
        self.sets() * 192
    }

    /// The number of a keyword, given to it when it is new; `None` when there are `max` already.
    pub(crate) fn intern(&mut self, name: &str, max: usize) -> Option<u32> {
        let place = match self.place(name) {
            Ok(at) => return Some(self.order[at].into()),
            Err(place) => place,
        };
        let max = max.min(MAX_KEYWORDS);
        let free = self.names.iter().take(max).position(Option::is_none);
        let at = match free {
            Some(at) => at,
            None if self.names.len() < max => {
                self.names.push(None);
                self.names.len() - 1
            }
            None => return None,
        };
        self.names[at] = Some(name.into());
        let number = u16::try_from(at).ok()?;
        self.order.insert(place, number);
        Some(number.into())
    }

    /// The word for a set of numbers, and what is to be stored with it when its id is new; `None` when
    /// there are no ids left.
    pub(crate) fn word(&self, set: &KeywordSet) -> Option<(u64, Option<NewSet>)> {
        let rest = set.rest();
        if rest.is_empty() {
            return Some((set.direct(), None));
        }
        let mut table = self.sets.0.write();
        if let Some(&id) = table.ids.get(rest.as_slice()) {
            return Some((set.direct() | u64::from(id) << DIRECT, None));
        }
        let id = match table.free.first() {
            Some(&id) => id,
            None if table.sets.len() < MAX_SETS => table.sets.len() as u32 + 1,
            None => return None,
        };
        table.put(id, rest.as_slice().into());
        Some((set.direct() | u64::from(id) << DIRECT, Some((id, rest))))
    }

    /// Whether the word for a set of numbers needs no new id, or there are that many.
    pub(crate) fn has_ids(&self, count: usize) -> bool {
        self.sets() + count <= MAX_SETS
    }

    /// Forgets the keywords that are not in `used`.
    pub(crate) fn keep(&mut self, used: &KeywordSet) {
        for (number, name) in (0..).zip(&mut self.names) {
            if !used.contains(number) {
                *name = None;
            }
        }
        self.order.retain(|&number| used.contains(number.into()));
    }

    /// Keywords that share no sets with others, without the sets that are in no word of `used`. Returns
    /// the ids that are free now.
    pub(crate) fn without_unused_sets(&self, used: &[u64]) -> (Self, Vec<u32>) {
        let mut table = self.sets.0.read().clone();
        let used: std::collections::HashSet<u64> = used.iter().map(|word| word >> DIRECT).collect();
        let mut gone = Vec::new();
        for (id, set) in (1u32..).zip(&mut table.sets) {
            if !used.contains(&id.into())
                && let Some(set) = set.take()
            {
                table.ids.remove(&set);
                table.free.insert(id);
                gone.push(id);
            }
        }
        (self.with_sets(table), gone)
    }

    /// The same keywords, with sets of their own.
    pub(crate) fn fork(&self) -> Self {
        self.with_sets(self.sets.0.read().clone())
    }

    fn with_sets(&self, table: Table) -> Self {
        Self {
            names: self.names.clone(),
            order: self.order.clone(),
            sets: Arc::new(Sets(RwLock::new(table))),
        }
    }

    /// As stored: names in order of their numbers, a line each, free ones empty.
    pub(crate) fn to_text(&self) -> String {
        let names: Vec<&str> = self
            .names
            .iter()
            .map(|n| n.as_deref().unwrap_or(""))
            .collect();
        names.join("\n")
    }

    /// Reads a part of what is stored of a mailbox: with id 0 [`Keywords::to_text`], else the set with
    /// that id.
    pub(crate) fn load(&mut self, id: u32, value: &[u8]) {
        if id > 0 {
            return self.sets.0.write().put(id, value.into());
        }
        let text = String::from_utf8_lossy(value);
        let lines = text.split('\n').take(MAX_KEYWORDS);
        self.names = lines.map(|n| (!n.is_empty()).then(|| n.into())).collect();
        let named = (0u16..).zip(&self.names).filter(|(_, name)| name.is_some());
        self.order = named.map(|(number, _)| number).collect();
        let names = &self.names;
        let name = |number: u16| names[usize::from(number)].as_deref().unwrap_or("");
        self.order.sort_by(|&a, &b| compare(name(a), name(b)));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn stored(keywords: &Keywords) -> Keywords {
        let mut loaded = Keywords::default();
        for (id, set) in (1..).zip(&keywords.sets.0.read().sets) {
            if let Some(set) = set {
                loaded.load(id, set);
            }
        }
        loaded.load(0, keywords.to_text().as_bytes());
        loaded
    }

    fn set(numbers: impl IntoIterator<Item = u32>) -> KeywordSet {
        let mut set = KeywordSet::default();
        numbers.into_iter().for_each(|number| set.insert(number));
        set
    }

    #[test]
    fn numbers_are_kept_and_freed() {
        let mut keywords = Keywords::default();
        let max = MAX_KEYWORDS;
        assert_eq!(keywords.intern("$Forwarded", max), Some(0));
        assert_eq!(keywords.intern("work", max), Some(1));
        assert_eq!(keywords.intern("WORK", max), Some(1));
        assert_eq!(stored(&keywords), keywords);
        keywords.keep(&set([1]));
        assert_eq!(keywords.names(0b11).collect::<Vec<_>>(), ["work"]);
        assert_eq!(stored(&keywords), keywords);
        assert_eq!(keywords.number("$forwarded"), None);
        assert_eq!(keywords.intern("other", max), Some(0));
        for n in 2..64 {
            assert_eq!(keywords.intern(&format!("k{n}"), 64), Some(n));
        }
        assert_eq!(keywords.intern("one more", 64), None);
        for n in 64..1024 {
            assert_eq!(keywords.intern(&format!("k{n}"), max), Some(n));
            assert_eq!(keywords.number(&format!("K{n}")), Some(n));
        }
        assert_eq!(keywords.intern("one more", max), None);
        assert_eq!(keywords.intern("one more", usize::MAX), None);
        let loaded = stored(&keywords);
        assert_eq!(loaded, keywords);
        assert!((2..1024).all(|n| loaded.number(&format!("k{n}")) == Some(n)));
    }

    #[test]
    fn words_stand_for_any_set() {
        let mut keywords = Keywords::default();
        for n in 0..1024 {
            keywords.intern(&format!("k{n}"), MAX_KEYWORDS).unwrap();
        }
        let sets = [
            vec![],
            vec![0, 39],
            vec![40],
            vec![3, 40],
            vec![63, 64],
            vec![1023],
            (0..1024).collect(),
        ];
        let words: Vec<u64> = sets
            .iter()
            .map(|numbers| keywords.word(&set(numbers.iter().copied())).unwrap().0)
            .collect();
        assert_eq!(words[..2], [0, 1 | 1 << 39]);
        // Those with the same rest share it.
        assert_eq!(keywords.sets(), 4);
        assert_eq!(words[2] | 1 << 3, words[3]);
        let loaded = stored(&keywords);
        for (numbers, word) in sets.iter().zip(&words) {
            for keywords in [&keywords, &loaded] {
                assert_eq!(keywords.set_of(*word), set(numbers.iter().copied()));
                let names: Vec<String> = numbers.iter().map(|n| format!("k{n}")).collect();
                assert!(keywords.names(*word).eq(names.iter().map(String::as_str)));
                for n in [0, 3, 39, 40, 63, 64, 1023] {
                    assert_eq!(keywords.has(*word, n), numbers.contains(&n), "{n}");
                }
                let (again, new) = keywords.word(&set(numbers.iter().copied())).unwrap();
                assert_eq!((again, new), (*word, None));
            }
        }
        // A free id is used again, the others stay what they are.
        let (swept, gone) = keywords.without_unused_sets(&[words[2], words[5], words[6]]);
        assert_eq!(gone, [2]);
        assert_eq!(swept.set_of(words[4]), set([]));
        assert_eq!(keywords.set_of(words[4]), set([63, 64]));
        assert_eq!(swept.set_of(words[5]), set([1023]));
        let loaded = stored(&swept);
        for keywords in [swept, loaded] {
            let (word, new) = keywords.word(&set([500])).unwrap();
            assert_eq!((word >> DIRECT, new.unwrap().0), (2, 2));
        }
    }

    #[test]
    fn words_are_translated_by_name() {
        let mut from = Keywords::default();
        let mut to = Keywords::default();
        for n in 0..100 {
            from.intern(&format!("k{n}"), MAX_KEYWORDS).unwrap();
            to.intern(&format!("k{}", 99 - n), MAX_KEYWORDS).unwrap();
        }
        let (word, _) = from.word(&set([1, 70])).unwrap();
        assert_eq!(to.translate(&from, word), Some(set([98, 29])));
        assert_eq!(from.translate(&from, word), Some(set([1, 70])));
        to.keep(&set([98]));
        assert_eq!(to.translate(&from, word), None);
    }
}
