//! Names of a mailbox's keywords.

/// The most keywords in a mailbox: one bit each.
pub const MAX_KEYWORDS: usize = 64;

/// The keywords of a mailbox: a name, or nothing, for each bit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keywords {
    names: Vec<Option<Box<str>>>,
}

impl Keywords {
    /// The bit of a keyword; names are compared without regard to case.
    #[must_use]
    pub fn bit(&self, name: &str) -> Option<u32> {
        self.names
            .iter()
            .position(|n| n.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name)))
            .and_then(|at| u32::try_from(at).ok())
    }

    /// The names of the bits in `bits`.
    pub fn names(&self, bits: u64) -> impl Iterator<Item = &str> {
        self.names
            .iter()
            .enumerate()
            .filter(move |(at, _)| bits >> at & 1 == 1)
            .filter_map(|(_, name)| name.as_deref())
    }

    /// All names, for the FLAGS response.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|name| name.as_deref())
    }

    /// The bit of a keyword, given to it when it is new; `None` when there is no room.
    pub(crate) fn intern(&mut self, name: &str) -> Option<u32> {
        if let Some(bit) = self.bit(name) {
            return Some(bit);
        }
        let free = self.names.iter().position(Option::is_none);
        let at = match free {
            Some(at) => at,
            None if self.names.len() < MAX_KEYWORDS => {
                self.names.push(None);
                self.names.len() - 1
            }
            None => return None,
        };
        self.names[at] = Some(name.into());
        u32::try_from(at).ok()
    }

    /// Forgets the keywords whose bits are not in `used`.
    pub(crate) fn keep(&mut self, used: u64) {
        for (at, name) in self.names.iter_mut().enumerate() {
            if used >> at & 1 == 0 {
                *name = None;
            }
        }
    }

    /// As stored: names in order of their bits, a line each, free ones empty.
    pub(crate) fn to_text(&self) -> String {
        let names: Vec<&str> = self
            .names
            .iter()
            .map(|n| n.as_deref().unwrap_or(""))
            .collect();
        names.join("\n")
    }

    /// Reads [`Keywords::to_text`].
    pub(crate) fn from_text(text: &str) -> Self {
        if text.is_empty() {
            return Self::default();
        }
        Self {
            names: text
                .split('\n')
                .take(MAX_KEYWORDS)
                .map(|n| (!n.is_empty()).then(|| n.into()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bits_are_kept_and_freed() {
        let mut keywords = Keywords::default();
        assert_eq!(keywords.intern("$Forwarded"), Some(0));
        assert_eq!(keywords.intern("work"), Some(1));
        assert_eq!(keywords.intern("WORK"), Some(1));
        assert_eq!(Keywords::from_text(&keywords.to_text()), keywords);
        keywords.keep(0b10);
        assert_eq!(keywords.names(0b11).collect::<Vec<_>>(), ["work"]);
        assert_eq!(Keywords::from_text(&keywords.to_text()), keywords);
        assert_eq!(keywords.intern("other"), Some(0));
        for n in 2..64 {
            assert_eq!(keywords.intern(&format!("k{n}")), Some(n));
        }
        assert_eq!(keywords.intern("one more"), None);
    }
}
