//! Annotations that changed (RFC 5465 sections 5.6 and 5.7).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use murder_mailbox::MailboxName;
use murder_store::AnnotationNote;

use super::Notify;
use super::own::Own;
use crate::imap::account::User;
use crate::imap::metadata::{SHARED_SEEN, is_shared};

impl Notify {
    /// The names of the entries that the client is to be told of, by mailbox; the empty name is
    /// the server's.
    pub(super) fn changed_annotations(
        &self,
        user: &User,
        notes: HashSet<(Box<str>, AnnotationNote)>,
    ) -> BTreeMap<Box<str>, BTreeSet<Box<str>>> {
        let mut changed: BTreeMap<Box<str>, BTreeSet<Box<str>>> = BTreeMap::new();
        let server = self.groups.any(|events| events.server);
        for (home, note) in notes {
            let entry = note.entry.unwrap_or_else(|| SHARED_SEEN.into());
            let shown = match note.mailbox {
                // What all share is in one place, what is a user's own in that user's home.
                None => {
                    let inbox = MailboxName::inbox_of(&user.identity.user);
                    let own = inbox.is_ok_and(|inbox| inbox.home_key() == &*home);
                    (server && (own || home.is_empty())).then(|| "".into())
                }
                Some(id) => self.known.get(&id).and_then(|known| {
                    let own = user.seen_in(&known.name).unwrap_or_default();
                    let visible = is_shared(&entry) || *note.user == *own;
                    let told = known.readable && known.events.annotations && visible;
                    told.then(|| known.shown.clone())
                }),
            };
            let Some(shown) = shown else {
                continue;
            };
            let by_client = match &self.own {
                Some(Own::Annotated(mailbox, entries)) => {
                    **mailbox == *shown && entries.contains(&*entry)
                }
                _ => false,
            };
            if !by_client {
                changed.entry(shown).or_default().insert(entry);
            }
        }
        changed
    }
}
