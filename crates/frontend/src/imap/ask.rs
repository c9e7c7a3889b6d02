//! Short commands of the frontend's own to backends, on whichever connection there is.

use murder_imap::NodeId;
use murder_mailbox::{MailboxName, Rights};

use crate::backend::connection::Said;
use crate::backend::{Answer, BackendError, Completion, Connection};
use crate::imap::arguments::quote_always;
use crate::imap::client::Client;
use crate::imap::errors::Refusal;
use crate::imap::selected::{Selected, write_status};
use crate::imap::session::{Session, State};
use crate::route::{Lookup, RouteError};

impl Session {
    /// Runs a short command on `node`: on the selected mailbox's connection when that is the
    /// same backend, else on one from the pool. News of the selected mailbox go to the
    /// client, the other answers come back.
    pub(crate) async fn on_backend(
        &mut self,
        node: &str,
        command: &[u8],
    ) -> Result<(Completion, Vec<Answer>), BackendError> {
        self.on_backend_making(node, None, command).await
    }

    /// The same for a command that makes something with that id.
    pub(crate) async fn on_backend_making(
        &mut self,
        node: &str,
        id: Option<NodeId>,
        command: &[u8],
    ) -> Result<(Completion, Vec<Answer>), BackendError> {
        let mut answers = Vec::new();
        if let State::Selected(selected) = &mut self.state
            && selected.node == node
            && let Some(connection) = selected.connection()
        {
            if let Some(id) = id {
                connection.name_next(id);
            }
            return on_selected(selected, &mut self.client, command).await;
        }
        let acting = match &self.user {
            Some(user) => user.acting.clone(),
            None => {
                return Err(crate::backend::connect::unreachable(
                    node,
                    "nobody logged in",
                ));
            }
        };
        let mut connection = self.shared.pool.checkout(node, &acting).await?;
        if let Some(id) = id {
            connection.name_next(id);
        }
        let completion = connection
            .command(command, &mut |said| {
                if let Said::Answer(answer) = said {
                    answers.push(answer);
                }
            })
            .await?;
        self.shared.pool.checkin(connection);
        Ok((completion, answers))
    }

    /// The same for a command about mailbox `name`, wherever it is, if it is known to the user by
    /// one of the rights `by`: `command` is given the name as backends take it. One that is not
    /// there any more is looked for once more.
    pub(crate) async fn on_mailbox(
        &mut self,
        name: &MailboxName,
        by: Rights,
        command: &(dyn Fn(&str) -> Vec<u8> + Sync),
    ) -> Result<(Completion, Vec<Answer>), Refusal> {
        let router = self.shared.router.clone();
        let command = command(&quote_always(name.as_str()));
        let user = self.user()?;
        let viewer = user.viewer(by);
        let mut lookup = Lookup::default();
        loop {
            let found = lookup.next_as(&router, viewer, name).await;
            let place = found.map_err(|error| self.missing(name, error))?;
            let (completion, answers) = self.on_backend(&place.node, &command).await?;
            if !completion.is_not_here() {
                return Ok((completion, answers));
            }
        }
    }

    /// The refusal for a mailbox that the map does not lead to. A user's own INBOX is made at
    /// login; where that could not be, as the master is away, it may be in a moment.
    pub(crate) fn missing(&self, name: &MailboxName, error: RouteError) -> Refusal {
        let own = self.user.as_ref().is_some_and(|user| {
            name.is_inbox() && name.is_owned_by(&user.identity.user) && !user.identity.admin
        });
        let away = !self.shared.router.replica().connected();
        match error {
            RouteError::NotFound if own && away => {
                Refusal::Unavailable("The INBOX cannot be made just now, try again later".into())
            }
            error => error.into(),
        }
    }

    /// A connection for a longer business, with nothing selected.
    pub(crate) async fn checkout(&self, node: &str) -> Result<Connection, Refusal> {
        let user = self.user()?;
        Ok(self.shared.pool.checkout(node, &user.acting).await?)
    }
}

/// Runs a command on the selected mailbox's connection; its news go to the client.
pub(crate) async fn on_selected(
    selected: &mut Selected,
    client: &mut Client,
    command: &[u8],
) -> Result<(Completion, Vec<Answer>), BackendError> {
    let mut answers = Vec::new();
    selected.touch();
    let Some(connection) = selected.connection() else {
        return Err(crate::backend::connect::unreachable(
            &selected.node,
            "lost before",
        ));
    };
    let result = connection
        .command(command, &mut |said| match said {
            Said::Answer(answer) if answer.is_of_selected_mailbox() => {
                client.wire.put(&answer.bytes);
            }
            Said::Answer(answer) => answers.push(answer),
            Said::Status(status) => write_status(client, &status),
        })
        .await;
    match result {
        Ok(completion) => Ok((completion, answers)),
        Err(error) => {
            selected.forget_connection();
            Err(error)
        }
    }
}
