//! The client's connection, and what belongs to it whoever has logged in.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use murder_imap::{CommandReader, MailboxArg, NameEncoding, ResponseWriter, server::Limits};
use murder_mailbox::{MailboxName, Rights};
use murder_net::metrics::Counted;
use murder_net::{Actor, Connection, SessionId};
use murder_session::{About, ClientStream, Goodbye, Offer, Protocol, Watch};
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use crate::imap::Imap;
use crate::imap::account::Account;
use crate::imap::enabled::{Enabled, Extension};
use crate::imap::errors::{OpError, no, no_such_mailbox};
use crate::imap::selected::Selected;
use crate::node::{Found, Node};

/// Whose session it is.
pub(crate) struct Origin {
    /// Its name at the node that the client is connected to.
    pub session: String,
    /// The client's address; `None` where a frontend does not say.
    pub client: Option<IpAddr>,
}

/// A client.
pub(crate) struct Client {
    /// What all sessions share.
    pub node: Arc<Node>,
    /// What all IMAP sessions share.
    pub imap: Arc<Imap>,
    /// The connection.
    pub stream: ClientStream,
    /// What it sends.
    pub reader: CommandReader,
    /// What it is sent.
    pub writer: ResponseWriter,
    /// The session's name in logs.
    pub id: SessionId,
    /// What the client has enabled.
    pub enabled: Enabled,
    /// The client's address.
    pub peer: IpAddr,
    /// The connection's span, in which `user` is recorded.
    pub span: Span,
    /// For commands of a frontend: within `span`, which session there it is, and whose.
    pub via: Span,
    /// The client's session: a frontend's where one acts here, else this one.
    pub origin: Box<Origin>,
    /// What ends its waiting.
    pub watch: Watch,
    _open: Counted,
}

impl Client {
    /// Over `connection`, in the current span. Nothing need be waited for beyond `deadline` at
    /// first.
    pub(crate) fn new(
        node: Arc<Node>,
        imap: Arc<Imap>,
        connection: Connection,
        deadline: Instant,
    ) -> Self {
        let patience = node.config.limits.slow_reader();
        let peer = connection.peer_addr.ip().to_canonical();
        let origin = Origin {
            session: connection.session.to_string(),
            client: Some(peer),
        };
        Self {
            peer,
            origin: Box::new(origin),
            stream: ClientStream::new(connection.stream, patience),
            reader: CommandReader::new(limits_before_login(&node)),
            writer: ResponseWriter::new(NameEncoding::default()),
            watch: Watch::new(node.shutdown.token(), deadline),
            id: connection.session,
            enabled: Enabled::default(),
            span: Span::current(),
            via: Span::none(),
            _open: imap.metrics.open_session(),
            imap,
            node,
        }
    }

    /// Sends everything that is queued.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.writer.flush(&mut self.stream).await
    }

    /// Sends what is queued if it is much: to be called between the parts of a long answer.
    pub(crate) async fn make_room(&mut self) -> io::Result<()> {
        if self.writer.output().len() >= self.node.config.limits.slow_reader_bytes {
            return self.flush().await;
        }
        self.writer.flush_if_full(&mut self.stream).await
    }

    /// Reads within a command: its message. The client must go on sending.
    pub(crate) async fn within_command<T>(
        &mut self,
        read: impl AsyncFnOnce(&mut CommandReader, &mut ClientStream) -> io::Result<T>,
    ) -> Result<T, OpError> {
        // As impatient as with one who does not read.
        let limit = Instant::now() + self.node.config.limits.slow_reader();
        self.until(limit, read).await
    }

    /// Reads within a command, until `limit`.
    pub(crate) async fn until<T>(
        &mut self,
        limit: Instant,
        read: impl AsyncFnOnce(&mut CommandReader, &mut ClientStream) -> io::Result<T>,
    ) -> Result<T, OpError> {
        match timeout_at(limit, read(&mut self.reader, &mut self.stream)).await {
            Ok(read) => Ok(read?),
            Err(_) => Err(Goodbye::Silent.into()),
        }
    }

    /// What operators see of the session.
    pub(crate) fn about(&self) -> About {
        About {
            id: self.id,
            protocol: Protocol::Imap,
            peer: self.peer,
            tls: self.stream.is_tls(),
        }
    }

    /// What the client may log in by.
    pub(crate) fn offer(&self) -> Offer {
        let plaintext_loopback = self.node.config.imap.allow_plaintext_loopback;
        let stream = &self.stream;
        Offer::new(
            stream.is_tls(),
            plaintext_loopback,
            self.peer,
            stream.peer(),
        )
    }

    /// Whether the client sends names in UTF-8.
    pub(crate) fn is_utf8(&self) -> bool {
        self.writer.names() == NameEncoding::Utf8
    }

    /// Enables an extension, for the selected mailbox too.
    pub(crate) fn enable(
        &mut self,
        account: &Account,
        selected: Option<&mut Selected>,
        extension: Extension,
    ) {
        // A frontend's connection goes on to serve other clients of the user.
        if !account.is_frontends() {
            self.enabled.add(extension);
        }
        if let Some(selected) = selected {
            selected.enabled.add(extension);
            let condstore = selected.enabled.has(Extension::CondStore);
            selected.modseq.due |= condstore && !selected.condstore;
            selected.condstore |= condstore;
        }
    }

    /// On whose behalf a command does what it does.
    pub(crate) fn actor(&self, account: &Account) -> Actor {
        Actor {
            user: Some(account.user.identity.user.clone()),
            operator: None,
            session: Some(self.origin.session.clone()),
            client: self.origin.client,
        }
    }

    /// Notes for the audit log that an administrator gets at what is in somebody else's mailbox.
    pub(crate) fn audit_access(&self, account: &Account, action: &str, mailbox: &MailboxName) {
        let who = &account.user.identity;
        if who.admin && !mailbox.is_owned_by(&who.user) {
            let actor = self.actor(account);
            murder_net::audit!("mailbox.access", for &actor, admin = true, action, %mailbox);
        }
    }

    /// The canonical name of a mailbox that the client names.
    pub(crate) fn mailbox_name(
        &self,
        account: &Account,
        mailbox: &MailboxArg,
    ) -> Result<MailboxName, OpError> {
        let text = mailbox.to_utf8(self.is_utf8())?;
        Ok(account.user.namespace.parse(&text)?)
    }

    /// A mailbox of this node that the user may know of (right `l`).
    pub(crate) fn find(&self, account: &Account, name: &MailboxName) -> Result<Found, OpError> {
        self.find_with(account, name, Rights::LOOKUP)
    }

    /// A mailbox of this node in which the user has the right `needed`. One who has neither that
    /// nor `l` is not told that it exists (RFC 4314 section 6).
    pub(crate) fn find_with(
        &self,
        account: &Account,
        name: &MailboxName,
        needed: Rights,
    ) -> Result<Found, OpError> {
        let user = &account.user;
        let found = self.node.find(name);
        let here = found.is_some();
        if let Some(found) = found {
            let rights = found.rights_of(&user.identity);
            if rights.contains(needed) {
                return Ok(found);
            }
            if rights.contains(Rights::LOOKUP) {
                return Err(not_permitted());
            }
        }
        Err(no_such_mailbox(user.namespace.is_canonical() && !here))
    }
}

/// What may be sent before login.
pub(crate) fn limits_before_login(node: &Node) -> Limits {
    limits(node).before_login()
}

/// What may be sent after it.
pub(crate) fn limits(node: &Node) -> Limits {
    Limits {
        command: node.config.imap.max_command,
        append: node.config.imap.append_limit,
    }
}

/// The right to do it is missing, and the user may know that the mailbox exists.
pub(crate) fn not_permitted() -> OpError {
    no(murder_imap::Code::NoPerm, "Permission denied")
}
