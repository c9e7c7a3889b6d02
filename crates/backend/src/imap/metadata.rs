//! Annotations as clients see them (RFC 5464): names of entries, which are wanted, those whose
//! values are not stored but follow from something else.

use std::collections::BTreeSet;

use murder_imap::{Code, MetadataDepth};
use murder_mailbox::Rights;
use murder_store::{Annotated, Annotation, MAX_ANNOTATION, StoreError};

use crate::imap::account::User;
use crate::imap::errors::{OpError, bad, no};
use crate::node::{Found, Node};

/// Whether `\Seen` is one flag for all users of a mailbox, as in Cyrus: `true` or `false`.
pub(crate) const SHARED_SEEN: &str = "/shared/vendor/cmu/cyrus-imapd/sharedseen";
/// What a mailbox is for (RFC 6154 section 4).
pub(crate) const SPECIAL_USE: &str = "/private/specialuse";
/// How to reach whoever runs the server (RFC 5464 section 3.2.1.1).
pub(crate) const ADMIN: &str = "/shared/admin";

/// The most octets in the name of an entry.
const MAX_NAME: usize = 255;
/// The most names in a command that asks, which LIST answers for each mailbox.
const MAX_ASKED: usize = 256;
/// Components of a name below `/shared/vendor` or `/private/vendor`, at least.
const VENDOR_COMPONENTS: usize = 4;

/// The name of an entry in the one form in which it is compared (RFC 5464 section 3.2); with
/// `above`, also what entries are only below.
///
/// # Errors
/// BAD for what is no name, NO LIMIT for one that is too long.
pub(crate) fn entry_name(text: &str, above: bool) -> Result<String, OpError> {
    let name = text.to_ascii_lowercase();
    let components: Vec<&str> = name.split('/').skip(1).collect();
    let scope = components.first().copied().unwrap_or_default();
    let valid = name.starts_with('/')
        && matches!(scope, "shared" | "private")
        && components.iter().all(|component| !component.is_empty())
        && name
            .bytes()
            .all(|b| (0x1a..0x80).contains(&b) && !matches!(b, b'*' | b'%'));
    let least = match components.get(1) {
        _ if above => 1,
        Some(&"vendor") => VENDOR_COMPONENTS,
        _ => 2,
    };
    if !valid || components.len() < least {
        return Err(bad("That is no name of an entry"));
    }
    match name.len() {
        ..=MAX_NAME => Ok(name),
        _ => Err(no(Code::Limit, "The name of the entry is too long")),
    }
}

/// Whether an entry is everybody's.
pub(crate) fn is_shared(entry: &str) -> bool {
    entry.starts_with("/shared/")
}

/// The most octets that a client can set a value to.
pub(crate) fn largest_value(node: &Node) -> usize {
    // So that a command that sets a larger one can still be read, and answered.
    MAX_ANNOTATION.min(node.config.imap.max_command / 2)
}

/// Which entries a client wants.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    names: BTreeSet<String>,
    depth: MetadataDepth,
    /// Octets of the largest value.
    largest: u32,
}

impl Wanted {
    /// # Errors
    /// As [`entry_name`]; NO LIMIT for too many names.
    pub fn new(
        names: &[String],
        depth: MetadataDepth,
        largest: Option<u32>,
    ) -> Result<Self, OpError> {
        if names.len() > MAX_ASKED {
            return Err(no(Code::Limit, "Too many entries at once"));
        }
        let above = depth != MetadataDepth::Zero;
        let names = names.iter().map(|name| entry_name(name, above));
        Ok(Self {
            names: names.collect::<Result<_, _>>()?,
            depth,
            largest: largest.unwrap_or(u32::MAX),
        })
    }

    fn has(&self, entry: &str) -> bool {
        if self.names.contains(entry) {
            return true;
        }
        let mut above = std::iter::successors(parent(entry), |name| parent(name));
        match self.depth {
            MetadataDepth::Zero => false,
            MetadataDepth::One => above.next().is_some_and(|name| self.names.contains(name)),
            MetadataDepth::Infinity => above.any(|name| self.names.contains(name)),
        }
    }

    /// The names for which `found` has nothing, neither the entry nor one below it.
    pub fn missing<'a>(&'a self, found: &'a [Annotation]) -> impl Iterator<Item = &'a str> {
        let here = |name: &str, entry: &str| match entry.strip_prefix(name) {
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => false,
        };
        let names = self.names.iter().map(String::as_str);
        names.filter(move |name| !found.iter().any(|one| here(name, &one.entry)))
    }

    /// An entry that is not stored, if it is wanted.
    fn computed(&self, entry: &str, value: &str) -> Option<Annotation> {
        // A word, or a URI of the configuration.
        let size = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.has(entry).then(|| Annotation {
            entry: entry.to_owned(),
            size,
            value: (size <= self.largest).then(|| value.as_bytes().to_vec()),
        })
    }
}

fn parent(entry: &str) -> Option<&str> {
    let (parent, _) = entry.rsplit_once('/')?;
    (!parent.is_empty()).then_some(parent)
}

/// Whether these rights open a mailbox's annotations (RFC 5464 section 3.3).
pub(crate) fn are_enough(rights: Rights) -> bool {
    const ANY: Rights = Rights::READ
        .union(Rights::SEEN)
        .union(Rights::WRITE)
        .union(Rights::INSERT)
        .union(Rights::POST);
    rights.contains(Rights::LOOKUP) && rights.intersects(ANY)
}

/// A mailbox's annotations, for a user who may have them.
pub(crate) async fn of_mailbox(
    user: &User,
    found: &Found,
    wanted: &Wanted,
) -> Result<Vec<Annotation>, StoreError> {
    let name = &found.meta.name;
    let own = user.seen_in(name);
    let mut annotations = stored(found, own, wanted).await?;
    let shared_seen = match found.meta.shared_seen {
        true => "true",
        false => "false",
    };
    annotations.extend(wanted.computed(SHARED_SEEN, shared_seen));
    // A special use is its owner's view of a mailbox.
    if let Some(special_use) = found.meta.special_use.filter(|_| own.is_none()) {
        annotations.extend(wanted.computed(SPECIAL_USE, special_use.as_str()));
    }
    Ok(annotations)
}

async fn stored(
    found: &Found,
    user: Option<&str>,
    wanted: &Wanted,
) -> Result<Vec<Annotation>, StoreError> {
    let (has, largest) = (wanted.clone(), wanted.largest);
    let of = Annotated::Mailbox(&found.meta.name);
    let partition = &found.partition;
    partition
        .annotations(of, user, move |entry| has.has(entry), largest)
        .await
}

/// The server's annotations: what all share from this node, what is the user's from the home.
pub(crate) async fn of_server(
    node: &Node,
    user: &User,
    wanted: &Wanted,
) -> Result<Vec<Annotation>, StoreError> {
    let mut annotations = Vec::new();
    let read = async |partition: &murder_store::Partition, of: Annotated<'_>| {
        let has = wanted.clone();
        partition
            .annotations(of, None, move |entry| has.has(entry), wanted.largest)
            .await
    };
    match node.home_of(&user.identity) {
        Ok((partition, home)) => match read(&partition, Annotated::Home(&home)).await {
            Err(StoreError::NoSuchHome) => {}
            found => annotations.extend(found?),
        },
        Err(StoreError::NoSuchHome) => {}
        Err(error) => return Err(error),
    }
    if let Some(partition) = node.server_partition() {
        annotations.extend(read(&partition, Annotated::Server).await?);
    }
    if let Some(contact) = &node.config.imap.contact {
        annotations.extend(wanted.computed(ADMIN, contact));
    }
    Ok(annotations)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_have_one_form() {
        for (text, name) in [
            ("/shared/comment", "/shared/comment"),
            ("/Private/Filters/Values", "/private/filters/values"),
            (
                "/shared/vendor/cmu/cyrus-imapd/x",
                "/shared/vendor/cmu/cyrus-imapd/x",
            ),
            ("/private/vendor/x/y", "/private/vendor/x/y"),
        ] {
            assert_eq!(entry_name(text, false).unwrap(), name);
        }
        for refused in [
            "",
            "/",
            "comment",
            "shared/comment",
            "/shared",
            "/shared/",
            "/shared//comment",
            "/shared/comment/",
            "/other/comment",
            "/shared/vendor",
            "/shared/vendor/x",
            "/shared/com*ment",
            "/shared/com%ment",
            "/shared/kommentär",
            "/shared/a\tb",
            "/shared/a\x19b",
        ] {
            assert!(entry_name(refused, false).is_err(), "{refused:?}");
        }
        // Below these there are entries.
        for above in ["/shared", "/private", "/shared/vendor", "/shared/vendor/x"] {
            assert_eq!(entry_name(above, true).unwrap(), above);
        }
        for refused in ["", "/", "/other", "/shared/"] {
            assert!(entry_name(refused, true).is_err(), "{refused:?}");
        }
        assert!(entry_name(&format!("/shared/{}", "x".repeat(247)), false).is_ok());
        assert!(entry_name(&format!("/shared/{}", "x".repeat(248)), false).is_err());
    }

    /// RFC 5464 section 4.2.2.
    #[test]
    fn what_is_below() {
        let has = |depth, entry| {
            let wanted = Wanted::new(&["/shared/A".to_owned()], depth, None).unwrap();
            wanted.has(entry)
        };
        use MetadataDepth::{Infinity, One, Zero};
        for (entry, depths) in [
            ("/shared/a", &[Zero, One, Infinity][..]),
            ("/shared/a/b", &[One, Infinity]),
            ("/shared/a/b/c", &[Infinity]),
            ("/shared/ab", &[]),
            ("/shared", &[]),
            ("/private/a", &[]),
        ] {
            for depth in MetadataDepth::ALL {
                assert_eq!(
                    has(depth, entry),
                    depths.contains(&depth),
                    "{entry} {depth:?}"
                );
            }
        }
    }
}
