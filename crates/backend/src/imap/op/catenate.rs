//! CATENATE (RFC 4469): a message that is put together of what the client sends and of octets of
//! messages that are here.

use std::borrow::Cow;
use std::sync::Arc;

use murder_imap::{AppendMessage, AppendNext, CatPart, Code, MessageUrl};
use murder_mailbox::Rights;
use murder_store::{INLINE_LIMIT, MailboxHandle, MailboxView, Partition, StoreError};

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::errors::{OpError, capitalised, no};
use crate::imap::fetch::{PartCache, SectionOctets};
use crate::imap::op::append::{
    Incoming, acceptable, check_room, following, is_worth_asking, receive,
};
use crate::imap::op::intake::Intake;
use crate::imap::selected::Selected;
use crate::node::Found;

/// The most parts of one APPEND: for each URL a message may have to be looked through.
const MAX_PARTS: usize = 1_000;

/// Takes in the parts of a message. Returns the message that follows in the command.
///
/// # Errors
/// NO BADURL for the first URL that cannot be used; NO TOOBIG, and NO OVERQUOTA where that saves
/// anything, before the part that is too much is asked for or copied. What the client sends on is
/// skipped.
pub(super) async fn catenate(
    client: &mut Client,
    account: &Account,
    selected: Option<&Selected>,
    target: &Found,
    incoming: &mut Incoming,
    intake: &mut Intake,
) -> Result<Option<AppendMessage>, OpError> {
    // The rest of a line may be long in coming.
    client.flush().await?;
    loop {
        let part = match following(client).await? {
            AppendNext::Part(part) => part,
            AppendNext::NeedContinuation => {
                client.writer.continuation("Go ahead");
                client.flush().await?;
                continue;
            }
            AppendNext::Message(message) => return Ok(Some(message)),
            // The last two are errors already.
            AppendNext::End | AppendNext::Bad { .. } | AppendNext::Fatal { .. } => return Ok(None),
        };
        incoming.parts += 1;
        if incoming.parts > MAX_PARTS {
            return Err(no(Code::Limit, "Too many parts at once"));
        }
        match part {
            CatPart::Text(literal) => {
                acceptable(client, literal, intake.len())?;
                incoming.octets = incoming.octets.saturating_add(literal.len);
                if is_worth_asking(literal) {
                    check_room(&account.user, target, incoming).await?;
                }
                receive(client, literal, intake, &mut incoming.in_memory).await?;
            }
            CatPart::Url(url) => {
                let named = locate(client, account, selected, &url)?;
                let mut octets = named.open(&url, &mut incoming.part_cache).await?;
                let len = octets.section.len();
                if intake.len() + len > client.node.config.imap.append_limit {
                    return Err(no(Code::TooBig, "Message is too big"));
                }
                incoming.octets = incoming.octets.saturating_add(len);
                if len > INLINE_LIMIT as u64 {
                    check_room(&account.user, target, incoming).await?;
                }
                intake.expect(len, true, &mut incoming.in_memory).await?;
                while let Some(piece) = octets.next(&url).await? {
                    intake.take(piece).await?;
                }
            }
        }
    }
}

/// Where a URL leads.
struct Named {
    url: MessageUrl,
    found: Found,
}

/// The mailbox that a URL means, if the user may read it.
///
/// # Errors
/// NO BADURL. That there is a mailbox is told only to who may know.
fn locate(
    client: &Client,
    account: &Account,
    selected: Option<&Selected>,
    url: &[u8],
) -> Result<Named, OpError> {
    let parsed =
        MessageUrl::parse(url).map_err(|error| bad_url(url, capitalised(&error.to_string())))?;
    let name = match (&parsed.mailbox, selected) {
        (Some(mailbox), _) => account
            .user
            .namespace
            .parse(&mailbox.name)
            .map_err(|error| bad_url(url, capitalised(&error.to_string())))?,
        (None, Some(selected)) => match selected.handle.meta() {
            Some(meta) => meta.name,
            None => return Err(bad_url(url, "Mailbox does not exist")),
        },
        (None, None) => return Err(bad_url(url, "No mailbox is selected")),
    };
    match client.find_with(account, &name, Rights::READ) {
        Ok(found) => {
            client.audit_access(account, "read", &name);
            Ok(Named { url: parsed, found })
        }
        Err(OpError::Refused(completion)) => Err(bad_url(url, completion.text)),
        Err(error) => Err(error),
    }
}

impl Named {
    /// Finds the octets. `text` is the URL as it was sent.
    ///
    /// # Errors
    /// NO BADURL if there are none, and when they cannot be read.
    async fn open(self, text: &[u8], cache: &mut PartCache) -> Result<Opened, OpError> {
        let Self { url, found } = self;
        let partition = found.partition;
        let handle = partition.open_mailbox(&found.meta.name).await;
        let handle = handle.map_err(|error| unusable(text, error))?;
        let view = handle.view();
        let stale = url.mailbox.and_then(|mailbox| mailbox.uidvalidity);
        if stale.is_some_and(|uidvalidity| uidvalidity != view.uidvalidity()) {
            return Err(bad_url(text, "UIDVALIDITY is another"));
        }
        let Some(row) = view.row_by_uid(url.uid) else {
            return Err(bad_url(text, "There is no such message"));
        };
        let section = SectionOctets::find(&partition, row, &url.section, url.partial, cache).await;
        match section.map_err(|error| unusable(text, error))? {
            Some(section) => Ok(Opened {
                section,
                partition,
                _handle: handle,
                _view: view,
            }),
            None => Err(bad_url(text, "The message has no such part")),
        }
    }
}

/// Octets that a URL means. The view and its handle keep them where they are on the disk.
struct Opened {
    section: SectionOctets,
    partition: Arc<Partition>,
    _handle: Arc<MailboxHandle>,
    _view: Arc<MailboxView>,
}

impl Opened {
    async fn next(&mut self, url: &[u8]) -> Result<Option<bytes::Bytes>, OpError> {
        let piece = self.section.next(&self.partition).await;
        piece.map_err(|error| unusable(url, error))
    }
}

/// `NO [BADURL url] text`
fn bad_url(url: &[u8], text: impl Into<Cow<'static, str>>) -> OpError {
    no(Code::bad_url(url), text)
}

/// What the store's refusal means. When it is not the URL's fault, nothing is said of it.
fn unusable(url: &[u8], error: StoreError) -> OpError {
    match error {
        StoreError::NoSuchMailbox | StoreError::NoSuchHome => {
            bad_url(url, "Mailbox does not exist")
        }
        StoreError::NoSuchMessage | StoreError::BodyGone => bad_url(url, "Message was expunged"),
        error => error.into(),
    }
}
