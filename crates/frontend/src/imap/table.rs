//! The commands: which there are, where each is legal, who handles it, and what is advertised for it.
//!
//! Dispatch, CAPABILITY and the table in `docs/imap.md` come from here. A command more is a row more.

use std::pin::Pin;

use bytes::Bytes;
use murder_imap::AppendStart;

use crate::imap::arguments::{Arguments, Line};
use crate::imap::errors::OpResult;
use crate::imap::op;
use crate::imap::session::Session;

/// In which states a command is legal (RFC 9051 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum States {
    /// Always.
    Any,
    /// Before login.
    NotAuthenticated,
    /// After login, with a mailbox selected or without.
    Authenticated,
    /// With a mailbox selected.
    Selected,
}

/// Who answers a command.
pub(crate) enum Route {
    /// The frontend.
    Local(Handler),
    /// The backend of the selected mailbox, from which octets pass in both directions.
    Relayed {
        /// What answers it when no mailbox is selected, where that is legal.
        unselected: Option<Handler>,
    },
    /// The backend of the mailbox that it names.
    Mailbox(Handler),
    /// The same; the command brings a message, which streams by.
    Message(MessageHandler),
    /// The backend of the user's INBOX.
    Home(Handler),
    /// The frontend, with what it asks of as many backends as are concerned.
    FanOut(Handler),
}

/// The future of a command, in a box of its own so that the task of a session that waits is small.
pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = OpResult> + Send + 'a>>;
/// What handles a command.
pub(crate) type Handler = for<'a> fn(&'a mut Session, Call<'a>) -> Running<'a>;
/// What handles a command with a message.
pub(crate) type MessageHandler = for<'a> fn(&'a mut Session, Box<AppendStart>) -> Running<'a>;

/// A command as it has come.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    /// Taken apart.
    pub line: &'a Line,
    /// As it has come.
    pub octets: &'a Bytes,
}

impl<'a> Call<'a> {
    /// Its name.
    pub(crate) fn name(self) -> &'a str {
        &self.line.name
    }

    /// Its arguments.
    pub(crate) fn arguments(self) -> Arguments<'a> {
        Arguments::new(&self.line.arguments)
    }
}

/// When a capability is advertised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offered {
    /// Always.
    Always,
    /// Before login.
    LoggingIn,
    /// After login.
    LoggedIn,
}

/// A capability, and when it is advertised.
pub(crate) type Capability = (&'static str, Offered);

/// A command that the frontend knows.
pub(crate) struct Command {
    /// Its name in capitals; `UID FETCH` and the like as one.
    pub name: &'static str,
    /// Where it is legal.
    pub states: States,
    /// Who answers it.
    pub route: Route,
    /// It changes something. When its answer is lost it may have been done, so that NO, after which
    /// clients try again, would be untrue.
    pub changes: bool,
    /// What is advertised for it.
    pub capabilities: &'static [Capability],
}

impl Command {
    /// The command of that name.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        COMMANDS.iter().find(|command| command.name == name)
    }

    /// Whether the frontend answers it by itself.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.route, Route::Local(_))
    }

    /// Whether it goes as octets to the backend of the selected mailbox.
    pub(crate) fn is_relayed(&self) -> bool {
        matches!(self.route, Route::Relayed { .. })
    }

    /// Whether it names messages of the selected mailbox, perhaps by number, and is not relayed: COPY
    /// and MOVE.
    pub(crate) fn names_messages(&self) -> bool {
        self.states == States::Selected && matches!(self.route, Route::Mailbox(_))
    }
}

/// Of those whose answer is read only.
const fn asks(name: &'static str, states: States, route: Route) -> Command {
    Command {
        name,
        states,
        route,
        changes: false,
        capabilities: &[],
    }
}

/// Of those that change something.
const fn changes(name: &'static str, states: States, route: Route) -> Command {
    Command {
        changes: true,
        ..asks(name, states, route)
    }
}

impl Command {
    const fn offers(self, capabilities: &'static [Capability]) -> Self {
        Self {
            capabilities,
            ..self
        }
    }
}

/// Relayed, where it is legal with a mailbox selected only.
const RELAYED: Route = Route::Relayed { unselected: None };

use Offered::{Always, LoggedIn, LoggingIn};
use Route::{FanOut, Home, Local, Mailbox, Message, Relayed};
use States::{Any, Authenticated, NotAuthenticated, Selected};

/// What is advertised for no command of its own.
pub(crate) const OF_NO_COMMAND: &[Capability] = &[("IMAP4rev1", Always), ("LITERAL+", Always)];

/// All commands; those that are most frequent come first, since they are looked for from the front.
pub(crate) const COMMANDS: &[Command] = &[
    asks("UID FETCH", Selected, RELAYED),
    asks("FETCH", Selected, RELAYED),
    changes("UID STORE", Selected, RELAYED),
    changes("STORE", Selected, RELAYED),
    asks(
        "NOOP",
        Any,
        Relayed {
            unselected: Some(|_, call| Box::pin(op::noop(call.arguments()))),
        },
    ),
    asks("UID SEARCH", Selected, RELAYED),
    asks("SEARCH", Selected, RELAYED),
    asks(
        "CAPABILITY",
        Any,
        Local(|session, call| {
            Box::pin(async move { op::capability::capability(session, call.arguments()) })
        }),
    ),
    asks(
        "STARTTLS",
        NotAuthenticated,
        Local(|session, call| Box::pin(op::starttls::starttls(session, call.line))),
    ),
    asks(
        "AUTHENTICATE",
        NotAuthenticated,
        Local(|session, call| Box::pin(op::login::authenticate(session, call.arguments()))),
    )
    .offers(&[("SASL-IR", LoggingIn)]),
    asks(
        "LOGIN",
        NotAuthenticated,
        Local(|session, call| Box::pin(op::login::login(session, call.arguments()))),
    ),
    asks(
        "LOGOUT",
        Any,
        Local(|session, call| {
            Box::pin(async move { op::logout::logout(session, call.arguments()) })
        }),
    ),
    asks(
        "ID",
        Any,
        Local(|session, call| Box::pin(async move { op::id::id(session, call.octets) })),
    )
    .offers(&[("ID", Always)]),
    asks(
        "ENABLE",
        Authenticated,
        Local(|session, call| {
            Box::pin(async move { op::enable::enable(session, call.arguments()) })
        }),
    )
    .offers(&[("ENABLE", Always)]),
    asks(
        "NAMESPACE",
        Authenticated,
        Local(|session, call| {
            Box::pin(async move { op::namespace::namespace(session, call.arguments()) })
        }),
    )
    .offers(&[("NAMESPACE", LoggedIn)]),
    asks(
        "IDLE",
        Authenticated,
        Relayed {
            unselected: Some(|session, call| Box::pin(op::idle::idle(session, call.line))),
        },
    )
    .offers(&[("IDLE", LoggedIn)]),
    asks(
        "SELECT",
        Authenticated,
        Mailbox(|session, call| Box::pin(op::select::select(session, call))),
    ),
    asks(
        "EXAMINE",
        Authenticated,
        Mailbox(|session, call| Box::pin(op::select::select(session, call))),
    ),
    asks(
        "UNSELECT",
        Selected,
        Local(|session, call| Box::pin(op::close::close(session, call))),
    )
    .offers(&[("UNSELECT", LoggedIn)]),
    changes(
        "CLOSE",
        Selected,
        Local(|session, call| Box::pin(op::close::close(session, call))),
    ),
    asks("CHECK", Selected, RELAYED),
    changes("EXPUNGE", Selected, RELAYED),
    changes("UID EXPUNGE", Selected, RELAYED).offers(&[("UIDPLUS", LoggedIn)]),
    changes(
        "COPY",
        Selected,
        Mailbox(|session, call| Box::pin(op::copy::copy(session, call))),
    ),
    changes(
        "UID COPY",
        Selected,
        Mailbox(|session, call| Box::pin(op::copy::copy(session, call))),
    ),
    changes(
        "MOVE",
        Selected,
        Mailbox(|session, call| Box::pin(op::copy::copy(session, call))),
    )
    .offers(&[("MOVE", LoggedIn)]),
    changes(
        "UID MOVE",
        Selected,
        Mailbox(|session, call| Box::pin(op::copy::copy(session, call))),
    ),
    changes(
        "APPEND",
        Authenticated,
        Message(|session, start| Box::pin(op::append::append(session, *start))),
    )
    .offers(&[("BINARY", LoggedIn)]),
    asks(
        "STATUS",
        Authenticated,
        Mailbox(|session, call| Box::pin(op::status::status(session, call.arguments()))),
    ),
    asks(
        "LIST",
        Authenticated,
        FanOut(|session, call| Box::pin(op::list::list(session, call.octets))),
    )
    .offers(&[
        ("CHILDREN", LoggedIn),
        ("LIST-EXTENDED", LoggedIn),
        ("LIST-STATUS", LoggedIn),
        ("SPECIAL-USE", LoggedIn),
    ]),
    asks(
        "LSUB",
        Authenticated,
        Home(|session, call| Box::pin(op::list::list(session, call.octets))),
    ),
    changes(
        "SUBSCRIBE",
        Authenticated,
        Home(|session, call| Box::pin(op::subscribe::subscribe(session, call))),
    ),
    changes(
        "UNSUBSCRIBE",
        Authenticated,
        Home(|session, call| Box::pin(op::subscribe::subscribe(session, call))),
    ),
    changes(
        "CREATE",
        Authenticated,
        Mailbox(|session, call| Box::pin(op::create::create(session, call.octets))),
    )
    .offers(&[("CREATE-SPECIAL-USE", LoggedIn)]),
    changes(
        "DELETE",
        Authenticated,
        Mailbox(|session, call| Box::pin(op::delete::delete(session, call.arguments()))),
    ),
    changes(
        "RENAME",
        Authenticated,
        Mailbox(|session, call| Box::pin(op::rename::rename(session, call.octets))),
    ),
    changes(
        "SETACL",
        Authenticated,
        Mailbox(|session, call| Box::pin(op::acl::acl(session, call))),
    )
    .offers(&[("ACL", LoggedIn), ("RIGHTS=texk", LoggedIn)]),
    changes(
        "DELETEACL",
        Authenticated,
        Mailbox(|session, call| Box::pin(op::acl::acl(session, call))),
    ),
    asks(
        "GETACL",
        Authenticated,
        Mailbox(|session, call| Box::pin(op::acl::acl(session, call))),
    ),
    asks(
        "LISTRIGHTS",
        Authenticated,
        Mailbox(|session, call| Box::pin(op::acl::acl(session, call))),
    ),
    asks(
        "MYRIGHTS",
        Authenticated,
        Mailbox(|session, call| Box::pin(op::acl::acl(session, call))),
    ),
];

/// The capabilities that are the same for every session, before or after login.
pub(crate) fn capabilities(logged_in: bool) -> impl Iterator<Item = &'static str> {
    let not_now = match logged_in {
        true => LoggingIn,
        false => LoggedIn,
    };
    let of_commands = COMMANDS.iter().flat_map(|command| command.capabilities);
    OF_NO_COMMAND
        .iter()
        .chain(of_commands)
        .filter(move |(_, offered)| *offered != not_now)
        .map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The table of `docs/imap.md`.
    fn rendered() -> String {
        let mut out = String::from(
            "| command | legal | answered by | capabilities |\n| --- | --- | --- | --- |\n",
        );
        for command in COMMANDS {
            let legal = match command.states {
                Any => "always",
                NotAuthenticated => "before login",
                Authenticated => "after login",
                Selected => "with a mailbox selected",
            };
            let answered = match &command.route {
                Local(_) => "the frontend",
                Relayed { unselected: None } => "the selected mailbox's backend",
                Relayed {
                    unselected: Some(_),
                } => "the selected mailbox's backend, else the frontend",
                Mailbox(_) | Message(_) => "the backend of the mailbox that it names",
                Home(_) => "the backend of the user's INBOX",
                FanOut(_) => "the frontend, and the backends that it asks",
            };
            let offers: Vec<String> = command
                .capabilities
                .iter()
                .map(|(name, _)| format!("`{name}`"))
                .collect();
            out.push_str(&format!(
                "| `{}` | {legal} | {answered} | {} |\n",
                command.name,
                offers.join(", ")
            ));
        }
        out
    }

    #[test]
    fn the_documentation_has_the_table() {
        let docs = include_str!("../../../../docs/imap.md");
        let table = rendered();
        assert!(docs.contains(&table), "docs/imap.md should have:\n{table}");
        for (name, _) in OF_NO_COMMAND {
            assert!(docs.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn names_and_capabilities_are_there_once() {
        let mut names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
        names.extend(capabilities(true).map(|name| match name {
            // Commands have these names, too.
            "IDLE" | "MOVE" | "UNSELECT" | "ID" | "NAMESPACE" | "ENABLE" => "",
            name => name,
        }));
        names.retain(|name| !name.is_empty());
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn only_copy_and_move_name_messages_and_are_not_relayed() {
        let those = COMMANDS.iter().filter(|command| command.names_messages());
        let names: Vec<_> = those.map(|command| command.name).collect();
        assert_eq!(names, ["COPY", "UID COPY", "MOVE", "UID MOVE"]);
    }
}
