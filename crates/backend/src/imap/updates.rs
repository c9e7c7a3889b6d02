//! Stand-in.
use crate::imap::session::{Session, State};
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expunges {
    Allowed,
    Held,
}
pub(crate) fn report(session: &mut Session, _: Expunges) {
    let State::Selected(selected) = &mut session.state else {
        return;
    };
    let view = selected.handle.view();
    if view.len() != selected.view.len() {
        session.writer.exists(view.len());
    }
    selected.view = view;
}
