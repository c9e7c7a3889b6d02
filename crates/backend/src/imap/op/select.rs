//! SELECT and EXAMINE.
use crate::imap::{
    errors::{OpResult, ok_code},
    selected::Selected,
    session::{Session, State},
};
use murder_imap::{Code, MailboxArg, SelectParam};
use std::sync::Arc;
pub(crate) async fn select(
    session: &mut Session,
    examine: bool,
    mailbox: &MailboxArg,
    _: &[SelectParam],
) -> OpResult {
    session.state = State::Authenticated;
    let name = session.mailbox_name(mailbox)?;
    let found = session.find_with(&name, murder_mailbox::Rights::READ)?;
    let handle = found.partition.open_mailbox(&name).await?;
    let view = handle.view();
    session.writer.exists(view.len());
    let rights = found.rights_of(&session.user()?.identity);
    session.state = State::Selected(Box::new(Selected {
        handle,
        partition: Arc::clone(&found.partition),
        view,
        read_only: examine,
        rights,
    }));
    Ok(ok_code(
        if examine {
            Code::ReadOnly
        } else {
            Code::ReadWrite
        },
        "SELECT completed",
    ))
}
