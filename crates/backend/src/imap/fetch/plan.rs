//! What a FETCH command asks for, made ready to be answered for many messages.

use std::ops::Range;

use murder_imap::{FetchItem, FetchModifier, PartWhat, Partial, PartialRange, Section};
use murder_store::MessageRow;

use crate::imap::enabled::{Enabled, Extension};
use crate::imap::errors::{OpError, bad};

/// One item of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Want {
    Uid,
    Flags,
    InternalDate,
    Size,
    ModSeq,
    EmailId,
    ThreadId,
    SaveDate,
    Envelope,
    Body,
    BodyStructure,
    Preview,
    Octets(Octets),
}

/// An item that consists of octets of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Octets {
    /// As the client wrote it; what goes before the octets.
    pub name: Name,
    /// Which octets.
    pub section: murder_mime::Section,
    /// Which of them.
    pub partial: Option<Partial>,
    /// Fields that are all among those that are stored beside the message.
    pub listed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Body(Section),
    Rfc822(&'static str),
    /// `BINARY[path]`, without the part's transfer encoding (RFC 3516).
    Binary(Vec<u32>),
    /// `BINARY.SIZE[path]`
    BinarySize(Vec<u32>),
}

/// What a FETCH command asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(super) wants: Vec<Want>,
    /// It needs precomputed items.
    pub needs_items: bool,
    /// Some of it sets `\Seen`.
    pub sets_seen: bool,
    /// Some of it is octets of the message, unless they are stored beside it.
    pub reads_bodies: bool,
    /// Only messages with a greater MODSEQ (RFC 7162 section 3.1.4.1).
    pub changed_since: Option<u64>,
    /// Of the messages of the set, only those at these places (RFC 9394 section 3.3).
    pub partial: Option<PartialRange>,
    /// Messages of the set that went since [`Plan::changed_since`] are told first (RFC 7162
    /// section 3.2.6).
    pub vanished: bool,
    /// What the client has enabled.
    pub enabled: Enabled,
    /// It asks for mod-sequences, which from now on are told with changes of flags.
    pub condstore: bool,
}

impl Plan {
    /// Reads the items of FETCH, or of UID FETCH, which answers the UID in any case.
    ///
    /// # Errors
    /// BAD for modifiers where they mean nothing.
    pub fn new(
        uid: bool,
        items: &[FetchItem],
        modifiers: &[FetchModifier],
        enabled: Enabled,
    ) -> Result<Self, OpError> {
        let mut plan = Self {
            enabled,
            ..Self::default()
        };
        // UIDFETCH has the UID in its place.
        if uid && !enabled.has(Extension::UidOnly) {
            plan.wants.push(Want::Uid);
        }
        for item in items {
            let want = match item {
                FetchItem::Uid => Want::Uid,
                FetchItem::Flags => Want::Flags,
                FetchItem::InternalDate => Want::InternalDate,
                FetchItem::Rfc822Size => Want::Size,
                FetchItem::ModSeq => Want::ModSeq,
                FetchItem::EmailId => Want::EmailId,
                FetchItem::ThreadId => Want::ThreadId,
                FetchItem::SaveDate => Want::SaveDate,
                FetchItem::Envelope => Want::Envelope,
                FetchItem::Body => Want::Body,
                FetchItem::BodyStructure => Want::BodyStructure,
                FetchItem::BodySection {
                    section, partial, ..
                } => Want::Octets(Octets::of(section, *partial)),
                FetchItem::Rfc822 => rfc822("RFC822", murder_mime::Section::Full),
                FetchItem::Rfc822Header => rfc822("RFC822.HEADER", murder_mime::Section::Header),
                FetchItem::Rfc822Text => rfc822("RFC822.TEXT", murder_mime::Section::Text),
                FetchItem::Binary { path, partial, .. } => Want::Octets(Octets {
                    name: Name::Binary(path.clone()),
                    section: part(path),
                    partial: *partial,
                    listed: false,
                }),
                FetchItem::BinarySize { path } => Want::Octets(Octets {
                    name: Name::BinarySize(path.clone()),
                    section: part(path),
                    partial: None,
                    listed: false,
                }),
                // LAZY asks for no more than what is at hand, which every preview is.
                FetchItem::Preview { .. } => Want::Preview,
            };
            plan.sets_seen |= item.sets_seen();
            plan.want(want);
        }
        for modifier in modifiers {
            match modifier {
                FetchModifier::ChangedSince(modseq) => {
                    plan.changed_since = Some(*modseq);
                    plan.want(Want::ModSeq);
                }
                FetchModifier::Vanished => plan.vanished = true,
                FetchModifier::Partial(range) if uid => plan.partial = Some(*range),
                FetchModifier::Partial(_) => return Err(bad("PARTIAL is for UID FETCH")),
            }
        }
        if plan.vanished {
            if !uid || plan.changed_since.is_none() {
                return Err(bad("VANISHED is for UID FETCH with CHANGEDSINCE"));
            }
            if !enabled.has(Extension::QResync) {
                return Err(bad("QRESYNC is not enabled"));
            }
        }
        Ok(plan)
    }

    /// Adds an item, once.
    fn want(&mut self, want: Want) {
        match &want {
            Want::Envelope | Want::Body | Want::BodyStructure | Want::Preview => {
                self.needs_items = true;
            }
            Want::Octets(octets) => {
                self.needs_items |= octets.listed;
                self.reads_bodies = true;
            }
            Want::ModSeq => self.condstore = true,
            _ => {}
        }
        if !self.wants.contains(&want) {
            self.wants.push(want);
        }
    }

    /// Whether an item is answered.
    pub(super) fn has(&self, want: &Want) -> bool {
        self.wants.contains(want)
    }

    /// The sections that are asked for.
    pub(super) fn octets(&self) -> impl Iterator<Item = &Octets> {
        self.wants.iter().filter_map(|want| match want {
            Want::Octets(octets) => Some(octets),
            _ => None,
        })
    }
}

impl Octets {
    /// `BODY[section]<partial>`
    pub fn of(section: &Section, partial: Option<Partial>) -> Self {
        Self {
            name: Name::Body(section.clone()),
            section: mime_section(section),
            partial,
            listed: is_listed(section),
        }
    }

    /// Whether a transfer encoding is undone, for all that can be told without the message.
    pub fn is_decoded(&self) -> bool {
        match &self.name {
            Name::Binary(path) | Name::BinarySize(path) => !path.is_empty(),
            Name::Body(_) | Name::Rfc822(_) => false,
        }
    }

    /// Where in the message the octets are, if that can be told without reading it.
    pub fn place(&self, row: &MessageRow) -> Option<Range<u32>> {
        let (header, end) = (row.header_len.min(row.location.len), row.location.len);
        let whole = match &self.section {
            murder_mime::Section::Full => 0..end,
            murder_mime::Section::Header => 0..header,
            murder_mime::Section::Text => header..end,
            murder_mime::Section::HeaderFields { .. } | murder_mime::Section::Part { .. } => {
                return None;
            }
        };
        Some(self.cut(whole))
    }

    /// The part of `whole` that is asked for.
    pub fn cut(&self, whole: Range<u32>) -> Range<u32> {
        let Some(partial) = self.partial else {
            return whole;
        };
        // Never more than `whole`, which fits.
        let cut = partial.range((whole.end - whole.start) as usize);
        whole.start + cut.start as u32..whole.start + cut.end as u32
    }
}

/// The body of a part; the whole message if there is no number.
fn part(path: &[u32]) -> murder_mime::Section {
    match path {
        [] => murder_mime::Section::Full,
        path => murder_mime::Section::Part {
            path: path.to_vec(),
            what: murder_mime::PartWhat::Body,
        },
    }
}

fn rfc822(name: &'static str, section: murder_mime::Section) -> Want {
    Want::Octets(Octets {
        name: Name::Rfc822(name),
        section,
        partial: None,
        listed: false,
    })
}

/// Whether a section consists of fields that are stored beside every message.
fn is_listed(section: &Section) -> bool {
    match section {
        Section::HeaderFields { names, not: false } => {
            murder_mime::is_listed(names.iter().map(String::as_str))
        }
        _ => false,
    }
}

fn mime_section(section: &Section) -> murder_mime::Section {
    match section {
        Section::Full => murder_mime::Section::Full,
        Section::Header => murder_mime::Section::Header,
        Section::HeaderFields { names, not } => murder_mime::Section::HeaderFields {
            names: names.clone(),
            not: *not,
        },
        Section::Text => murder_mime::Section::Text,
        Section::Part { path, what } => murder_mime::Section::Part {
            path: path.clone(),
            what: match what {
                PartWhat::Body => murder_mime::PartWhat::Body,
                PartWhat::Header => murder_mime::PartWhat::Header,
                PartWhat::HeaderFields { names, not } => murder_mime::PartWhat::HeaderFields {
                    names: names.clone(),
                    not: *not,
                },
                PartWhat::Text => murder_mime::PartWhat::Text,
                PartWhat::Mime => murder_mime::PartWhat::Mime,
            },
        },
    }
}
