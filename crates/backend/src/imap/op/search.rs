//! SEARCH and UID SEARCH (RFC 9051 section 6.4.4, RFC 3501 for RECENT, NEW and OLD, RFC 4731 for
//! RETURN).

use std::sync::Arc;

use murder_imap::{Esearch, Search, SearchReturn, SequenceSet, Tag};
use murder_mailbox::Rights;

use crate::imap::enabled::Extension;
use crate::imap::errors::{OpError, OpResult, bad, ok};
use crate::imap::search::{Context, Found, Program, Scope, run};
use crate::imap::session::Session;
use crate::imap::updates::refreshed;
use crate::node::now;

/// Finds messages.
pub(crate) async fn search(session: &mut Session, tag: &Tag, search: &Search) -> OpResult {
    let user = session.user()?;
    let selected = refreshed(&mut session.state, &mut session.writer, search.uid)?;
    selected.require(
        &user.identity,
        Rights::READ,
        "You may not read this mailbox",
    )?;
    let enabled = selected.enabled;
    if search.charset.is_some() && enabled.has(Extension::Utf8) {
        // RFC 6855 section 3.
        return Err(bad("With UTF8=ACCEPT enabled, a search names no charset"));
    }
    let returns = match &search.returns {
        // IMAP4rev2 has no SEARCH response.
        None if enabled.has(Extension::Rev2) => Some(&[][..]),
        returns => returns.as_deref(),
    };
    let wanted = returns.map(Returns::of).transpose()?;
    let context = Context {
        view: &selected.view,
        now: now(),
    };
    let program = Program::new(search.charset.as_deref(), &search.keys, &context)?;
    selected.condstore |= program.modseq;
    let program = Arc::new(program);
    let scope = Scope {
        partition: &selected.partition,
        view: &selected.view,
        newest: &selected.newest,
        seen_user: selected.seen_user.as_deref(),
        recent: &selected.recent,
    };
    let found = run(&program, &scope, search.uid).await?;
    let modseq = (program.modseq && !found.numbers.is_empty()).then_some(found.modseq);
    match wanted {
        None => session.writer.search(found.numbers, modseq),
        Some(returns) => {
            let mut answer = returns.answer(&found);
            answer.tag = Some(tag.to_string());
            answer.uid = search.uid;
            answer.modseq = modseq;
            session.writer.esearch(&answer);
        }
    }
    match found.damaged {
        Some(error) => Err(error.into()),
        None => Ok(ok("SEARCH completed")),
    }
}

/// What the client wants to know of the result.
#[derive(Debug, Default)]
struct Returns {
    min: bool,
    max: bool,
    all: bool,
    count: bool,
}

impl Returns {
    fn of(options: &[SearchReturn]) -> Result<Self, OpError> {
        let mut returns = Self {
            all: options.is_empty(),
            ..Self::default()
        };
        for option in options {
            match option {
                SearchReturn::Min => returns.min = true,
                SearchReturn::Max => returns.max = true,
                SearchReturn::All => returns.all = true,
                SearchReturn::Count => returns.count = true,
                SearchReturn::Save
                | SearchReturn::Partial(_)
                | SearchReturn::Update
                | SearchReturn::Context
                | SearchReturn::Relevancy => {
                    return Err(bad("This return option is not supported"));
                }
            }
        }
        Ok(returns)
    }

    fn answer(&self, found: &Found) -> Esearch {
        let numbers = &found.numbers;
        Esearch {
            min: numbers.first().copied().filter(|_| self.min),
            max: numbers.last().copied().filter(|_| self.max),
            all: match self.all {
                true => SequenceSet::from_numbers(numbers.iter().copied()),
                false => None,
            },
            // A mailbox has at most 2^32 - 1 messages.
            count: self.count.then_some(numbers.len() as u32),
            ..Esearch::default()
        }
    }
}
