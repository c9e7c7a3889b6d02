//! One connection: who it is, where it stands, and which command is legal there.

use std::net::IpAddr;
use std::sync::Arc;

use murder_imap::{Code, CommandReader, MailboxArg, NameEncoding, ResponseWriter, server::Limits};
use murder_mailbox::{Identity, MailboxName, Namespace, Rights};
use murder_net::{Connection, Slot, Stream};

use crate::imap::errors::{OpError, no, no_such_mailbox};
use crate::imap::selected::Selected;
use crate::node::{Found, Node};

/// Where a session stands (RFC 9051 section 3).
pub(crate) enum State {
    /// Nobody has logged in.
    NotAuthenticated,
    /// Somebody has.
    Authenticated,
    /// A mailbox is selected.
    Selected(Box<Selected>),
    /// Nothing more is taken.
    Logout,
}

/// Who has logged in.
pub(crate) struct User {
    /// Who it is.
    pub identity: Identity,
    /// How mailbox names look to the client: canonical for a frontend.
    pub namespace: Namespace,
    /// Counts the session among the user's; sessions of frontends are counted there.
    pub _slot: Option<Slot<String>>,
}

/// A session.
pub(crate) struct Session {
    /// What all sessions share.
    pub node: Arc<Node>,
    /// The client.
    pub stream: Stream,
    /// What it sends.
    pub reader: CommandReader,
    /// What it is sent.
    pub writer: ResponseWriter,
    /// Where it stands.
    pub state: State,
    /// Who has logged in.
    pub user: Option<Arc<User>>,
    /// The client's address.
    pub peer: IpAddr,
}

impl Session {
    /// A session over `connection`.
    pub(crate) fn new(node: Arc<Node>, connection: Connection) -> Self {
        let limits = Limits {
            command: node.config.imap.max_command,
            append: node.config.imap.append_limit,
        };
        Self {
            node,
            peer: connection.peer_addr.ip(),
            stream: connection.stream,
            reader: CommandReader::new(limits),
            writer: ResponseWriter::new(NameEncoding::default()),
            state: State::NotAuthenticated,
            user: None,
        }
    }

    /// Serves the client to the end.
    pub(crate) async fn run(self) {
        unimplemented!()
    }

    /// The user; only asked for after login.
    pub(crate) fn user(&self) -> Result<Arc<User>, OpError> {
        self.user
            .clone()
            .ok_or_else(|| crate::imap::errors::bad("Log in first"))
    }

    /// The mailbox that the client names.
    pub(crate) fn mailbox_name(&self, arg: &MailboxArg) -> Result<MailboxName, OpError> {
        let user = self.user()?;
        let text = arg
            .to_utf8(user.namespace.is_canonical())
            .map_err(|error| no(Code::Cannot, error.to_string()))?;
        user.namespace
            .parse(&text)
            .map_err(|error| no(Code::Cannot, error.to_string()))
    }

    /// A mailbox of this node that the user may know of (right `l`).
    pub(crate) fn find(&self, name: &MailboxName) -> Result<Found, OpError> {
        let user = self.user()?;
        match self.node.find(name) {
            None => Err(no_such_mailbox(user.namespace.is_canonical())),
            Some(found) if found.rights_of(&user.identity).contains(Rights::LOOKUP) => Ok(found),
            Some(_) => Err(no_such_mailbox(false)),
        }
    }
}
