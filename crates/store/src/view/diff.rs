//! What differs between two views of a mailbox.

use std::sync::Arc;

use super::MailboxView;
use super::chunk::Chunk;
use crate::uidset::UidSet;

/// Rows that are compared at once where few are expected to differ.
const BLOCK: usize = 32;

/// The difference of two views.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ViewDiff {
    /// Sequence numbers in the old view of the messages that went, ascending. Send the
    /// EXPUNGEs descending, or subtract those already sent.
    pub expunged: Vec<u32>,
    /// UIDs of the messages that went.
    pub vanished: UidSet,
    /// How many messages came; they are the last ones of the new view.
    pub added: u32,
    /// UIDs, ascending, of messages in both views whose flags, keywords or MODSEQ differ.
    pub changed: Vec<u32>,
    /// Whether the names of keywords differ (a FLAGS response is due).
    pub keywords: bool,
}

impl ViewDiff {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expunged.is_empty() && self.added == 0 && self.changed.is_empty() && !self.keywords
    }
}

pub(super) fn diff(old: &MailboxView, new: &MailboxView) -> ViewDiff {
    let mut out = ViewDiff {
        keywords: !Arc::ptr_eq(&old.keywords, &new.keywords) && old.keywords != new.keywords,
        ..ViewDiff::default()
    };
    // Places in both views: chunk and row. Chunks that are the same memory are skipped whole.
    let (mut a, mut b) = ((0, 0), (0, 0));
    loop {
        match (old.chunks.get(a.0), new.chunks.get(b.0)) {
            (Some(oc), _) if a.1 == oc.len() => a = (a.0 + 1, 0),
            (_, Some(nc)) if b.1 == nc.len() => b = (b.0 + 1, 0),
            (Some(oc), Some(nc)) => {
                if a.1 == 0 && b.1 == 0 && Arc::ptr_eq(&oc.fixed, &nc.fixed) {
                    push_changed(oc, nc, &mut out.changed);
                    a.0 += 1;
                    b.0 += 1;
                    continue;
                }
                let (ou, nu) = (oc.uids()[a.1], nc.uids()[b.1]);
                if ou == nu {
                    if oc.state_of(a.1) != nc.state_of(b.1) {
                        out.changed.push(nu);
                    }
                    a.1 += 1;
                    b.1 += 1;
                } else if ou < nu {
                    out.expunged.push(old.starts[a.0] + a.1 as u32 + 1);
                    out.vanished.insert(ou);
                    a.1 += 1;
                } else {
                    out.added += 1;
                    b.1 += 1;
                }
            }
            (Some(oc), None) => {
                out.expunged.push(old.starts[a.0] + a.1 as u32 + 1);
                out.vanished.insert(oc.uids()[a.1]);
                a.1 += 1;
            }
            (None, Some(nc)) => {
                out.added += (nc.len() - b.1) as u32;
                b = (b.0 + 1, 0);
            }
            (None, None) => return out,
        }
    }
}

/// The UIDs of what differs between two chunks of the same messages.
fn push_changed(old: &Chunk, new: &Chunk, changed: &mut Vec<u32>) {
    if Arc::ptr_eq(&old.state, &new.state) {
        return;
    }
    for start in (0..new.len()).step_by(BLOCK) {
        let rows = start..new.len().min(start + BLOCK);
        let same = old.modseqs()[rows.clone()] == new.modseqs()[rows.clone()]
            && old.flags()[rows.clone()] == new.flags()[rows.clone()]
            && old.keywords()[rows.clone()] == new.keywords()[rows.clone()];
        if !same {
            let differ = rows.filter(|&at| old.state_of(at) != new.state_of(at));
            changed.extend(differ.map(|at| new.uids()[at]));
        }
    }
}
