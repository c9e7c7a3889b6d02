//! A tree of messages as a THREAD response has it.

use murder_imap::ThreadList;

use super::references::Tree;

/// How deep branches nest in a response. Messages further down are siblings there: no reader and
/// no client's stack has use for more.
pub(super) const MAX_DEPTH: usize = 100;

/// A node that is being written, its children as far as they have not been yet.
struct Open<'a> {
    list: ThreadList,
    children: std::slice::Iter<'a, u32>,
}

/// The threads of these roots.
pub(super) fn lists(tree: &Tree<'_>, roots: &[u32]) -> Vec<ThreadList> {
    roots.iter().map(|root| list(tree, *root)).collect()
}

fn list(tree: &Tree<'_>, root: u32) -> ThreadList {
    let mut open = vec![begin(tree, root, 1)];
    loop {
        let depth = open.len();
        let next = open.last_mut().and_then(|top| top.children.next());
        if let Some(child) = next {
            open.push(begin(tree, *child, depth + 1));
            continue;
        }
        let Some(done) = open.pop() else {
            return ThreadList::default();
        };
        match open.last_mut() {
            Some(parent) => parent.list.replies.push(done.list),
            None => return done.list,
        }
    }
}

/// A thread down to where it branches.
fn begin<'a>(tree: &'a Tree<'_>, node: u32, depth: usize) -> Open<'a> {
    let mut list = ThreadList::default();
    let mut at = node;
    let children = loop {
        if let Some(message) = tree.messages.get(at as usize) {
            list.messages.push(message.number);
        }
        match tree.children[at as usize].as_slice() {
            [only] => at = *only,
            several => break several,
        }
    };
    if depth < MAX_DEPTH {
        return Open {
            list,
            children: children.iter(),
        };
    }
    let mut rest: Vec<u32> = children.iter().rev().copied().collect();
    while let Some(node) = rest.pop() {
        if let Some(message) = tree.messages.get(node as usize) {
            list.replies.push(ThreadList {
                messages: vec![message.number],
                replies: Vec::new(),
            });
        }
        rest.extend(tree.children[node as usize].iter().rev());
    }
    Open {
        list,
        children: [].iter(),
    }
}
