//! Annotations: setting and asking.

use std::sync::Arc;

use super::Partition;
use crate::annotation::{Annotated, Annotation, AnnotationChange, MAX_ANNOTATION, SERVER};
use crate::blocking::blocking;
use crate::command::{self, Annotate, Op};
use crate::error::StoreError;
use crate::shared::Payload;

impl Partition {
    /// Changes annotations, all or none. `user` is whose those are that are not shared, `None`
    /// for the home's owner. A change of a mailbox's annotations gives it a new HIGHESTMODSEQ
    /// (RFC 7162 section 3.2).
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`], [`StoreError::NoSuchHome`], [`StoreError::TooLarge`],
    /// [`StoreError::TooManyAnnotations`], and those of every change.
    pub async fn annotate(
        &self,
        of: Annotated<'_>,
        user: Option<&str>,
        change: AnnotationChange,
    ) -> Result<(), StoreError> {
        let shared = &self.shared;
        let sizes = change
            .entries
            .iter()
            .filter_map(|(_, value)| value.as_ref());
        if let Some(bytes) = sizes.map(Vec::len).find(|size| *size > MAX_ANNOTATION) {
            return Err(StoreError::TooLarge {
                bytes: bytes as u64,
                limit: MAX_ANNOTATION as u64,
            });
        }
        let (home, key, mailbox) = match of {
            Annotated::Mailbox(name) => {
                let (home, mailbox) = self.find(name)?;
                (home, "", mailbox.id.to_bytes().to_vec())
            }
            Annotated::Home(key) => {
                let home = shared.catalogue.home(key).ok_or(StoreError::NoSuchHome)?;
                (home, "", Vec::new())
            }
            Annotated::Server => {
                let home = shared.catalogue.home_or_reserve(SERVER);
                (home, SERVER, Vec::new())
            }
        };
        let entries = change.entries.into_iter();
        let op = Op::Annotate(Annotate {
            home,
            key: key.to_owned(),
            mailbox,
            user: user.unwrap_or_default().to_owned(),
            entries: entries
                .map(|(entry, value)| command::Annotation { entry, value })
                .collect(),
            shared_seen: change.shared_seen,
        });
        shared.submit_one(op, Payload::default()).await?;
        Ok(())
    }

    /// The annotations that are shared or `user`'s (`None`: the home's owner's) and whose
    /// entries are `wanted`, by name; without values that have more than `largest` octets.
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`], [`StoreError::NoSuchHome`], [`StoreError::Io`].
    pub async fn annotations(
        &self,
        of: Annotated<'_>,
        user: Option<&str>,
        wanted: impl Fn(&str) -> bool + Send + 'static,
        largest: u32,
    ) -> Result<Vec<Annotation>, StoreError> {
        let shared = Arc::clone(&self.shared);
        let (home, mailbox) = match of {
            Annotated::Mailbox(name) => {
                let (home, mailbox) = self.find(name)?;
                (home, Some(mailbox.id))
            }
            Annotated::Home(key) => {
                let home = shared.catalogue.home(key).ok_or(StoreError::NoSuchHome)?;
                (home, None)
            }
            Annotated::Server => match shared.catalogue.home(SERVER) {
                Some(home) => (home, None),
                None => return Ok(Vec::new()),
            },
        };
        let user = user.unwrap_or_default().to_owned();
        let read = move || {
            shared
                .readers
                .with(home, |r| r.annotations(mailbox, &user, &wanted, largest))
        };
        blocking(read).await?.ok_or(StoreError::NoSuchMailbox)
    }

    /// Whether the server's annotations that all share are in this partition.
    #[must_use]
    pub fn has_server_annotations(&self) -> bool {
        self.shared.catalogue.home(SERVER).is_some()
    }
}
