//! The REFERENCES algorithm (RFC 5256), step by step. Nothing recurses, and all of it is linear
//! in messages and references, sorting and [`MAX_STEPS`] apart.

use std::collections::HashMap;

use murder_imap::ThreadList;

use super::Message;
use super::output::lists;

/// Steps to ancestors in search of loops: far more than any mailbox takes whose threads were not
/// made to be searched. When they are used up, nothing more is linked.
const MAX_STEPS: usize = 50_000_000;
/// No node.
const NONE: u32 = u32::MAX;

/// The tree that is being built. Nodes below `messages.len()` are the messages with that place,
/// all others dummies.
pub(super) struct Tree<'a> {
    pub messages: &'a [Message],
    parent: Vec<u32>,
    /// How many have it for a parent.
    degree: Vec<u32>,
    /// From step 2 on.
    pub children: Vec<Vec<u32>>,
    steps: usize,
}

/// The threads of `messages`, which come in the order of the mailbox.
pub(super) fn references(messages: &[Message]) -> Vec<ThreadList> {
    let mut tree = Tree {
        messages,
        parent: vec![NONE; messages.len()],
        degree: vec![0; messages.len()],
        children: Vec::new(),
        steps: 0,
    };
    tree.link();
    let roots = tree.gather();
    let roots = tree.prune(roots);
    let roots = tree.sorted_roots(roots);
    let mut roots = tree.merge_subjects(roots);
    for node in 0..tree.children.len() {
        tree.sort_children(node);
    }
    roots.sort_by_key(|root| tree.order(*root));
    lists(&tree, &roots)
}

impl Tree<'_> {
    fn is_dummy(&self, node: u32) -> bool {
        node as usize >= self.messages.len()
    }

    fn new_dummy(&mut self) -> u32 {
        // Messages and references of one mailbox: below 2^32, by the bound on references and the
        // memory that they would take.
        let node = self.parent.len() as u32;
        self.parent.push(NONE);
        self.degree.push(0);
        node
    }

    /// Step 1: parents by references.
    fn link(&mut self) {
        let mut nodes: HashMap<u64, u32> = HashMap::with_capacity(self.messages.len());
        for (node, message) in self.messages.iter().enumerate() {
            // Of several messages with one ID, the first has it.
            if let Some(id) = message.id {
                nodes.entry(id).or_insert(node as u32);
            }
        }
        for (node, message) in self.messages.iter().enumerate() {
            let node = node as u32;
            let mut last = NONE;
            for id in &message.references {
                let next = match nodes.get(id) {
                    Some(next) => *next,
                    None => {
                        let dummy = self.new_dummy();
                        nodes.insert(*id, dummy);
                        dummy
                    }
                };
                // A
                let free = self.parent[next as usize] == NONE;
                if last != NONE && free && !self.would_loop(last, next) {
                    self.set_parent(next, last);
                }
                last = next;
            }
            // B. The old link is broken whether or not the right one can be made.
            if self.parent[node as usize] != last {
                self.set_parent(node, NONE);
                if !self.would_loop(last, node) {
                    self.set_parent(node, last);
                }
            }
        }
    }

    fn set_parent(&mut self, node: u32, parent: u32) {
        let old = std::mem::replace(&mut self.parent[node as usize], parent);
        if old != NONE {
            self.degree[old as usize] -= 1;
        }
        if parent != NONE {
            self.degree[parent as usize] += 1;
        }
    }

    /// Whether `parent` is `child` or descends from it.
    fn would_loop(&mut self, parent: u32, child: u32) -> bool {
        if parent != child && self.degree[child as usize] == 0 {
            return false;
        }
        let mut at = parent;
        while at != NONE {
            self.steps += 1;
            if at == child || self.steps > MAX_STEPS {
                return true;
            }
            at = self.parent[at as usize];
        }
        false
    }

    /// Step 2: children from parents. Returns what has no parent.
    fn gather(&mut self) -> Vec<u32> {
        self.children = vec![Vec::new(); self.parent.len()];
        let mut roots = Vec::new();
        for (node, parent) in self.parent.iter().enumerate() {
            match *parent {
                NONE => roots.push(node as u32),
                parent => self.children[parent as usize].push(node as u32),
            }
        }
        roots
    }

    /// Step 3: no dummies but under the root, and there only with several children.
    fn prune(&mut self, roots: Vec<u32>) -> Vec<u32> {
        // Parents before children; the way back is from the leaves up.
        let mut order = roots.clone();
        let mut at = 0;
        while let Some(node) = order.get(at) {
            order.extend_from_slice(&self.children[*node as usize]);
            at += 1;
        }
        for node in order.into_iter().rev() {
            let children = std::mem::take(&mut self.children[node as usize]);
            let mut kept: Vec<u32> = Vec::new();
            for child in children {
                if !self.is_dummy(child) {
                    kept.push(child);
                    continue;
                }
                let mut promoted = std::mem::take(&mut self.children[child as usize]);
                // The order comes later: the shorter list is moved, each child a few times only.
                if promoted.len() > kept.len() {
                    std::mem::swap(&mut promoted, &mut kept);
                }
                kept.append(&mut promoted);
            }
            self.children[node as usize] = kept;
        }
        let alone = |root: u32| match self.children[root as usize].as_slice() {
            _ if !self.is_dummy(root) => Some(root),
            [] => None,
            [child] => Some(*child),
            _ => Some(root),
        };
        roots.into_iter().filter_map(alone).collect()
    }

    /// Step 4.
    fn sorted_roots(&mut self, mut roots: Vec<u32>) -> Vec<u32> {
        for root in &roots {
            if self.is_dummy(*root) {
                self.sort_children(*root as usize);
            }
        }
        roots.sort_by_key(|root| self.order(*root));
        roots
    }

    fn sort_children(&mut self, node: usize) {
        let mut children = std::mem::take(&mut self.children[node]);
        children.sort_by_key(|child| self.order(*child));
        self.children[node] = children;
    }

    /// The message that stands for a node: a dummy's is its first child.
    fn message(&self, node: u32) -> Option<usize> {
        let shown = match self.is_dummy(node) {
            true => *self.children[node as usize].first()?,
            false => node,
        };
        Some(shown as usize)
    }

    /// What siblings are sorted by: the sent date, then the order in the mailbox.
    fn order(&self, node: u32) -> (i64, usize) {
        let message = self.message(node).unwrap_or_default();
        (self.messages.get(message).map_or(0, |m| m.sent), message)
    }

    fn subject(&self, node: u32) -> Option<u32> {
        self.messages.get(self.message(node)?)?.subject
    }

    fn is_reply(&self, node: u32) -> bool {
        let message = self.messages.get(node as usize);
        message.is_some_and(|message| message.is_reply)
    }

    /// Step 5: threads with the same subject are one.
    fn merge_subjects(&mut self, roots: Vec<u32>) -> Vec<u32> {
        // A and B. The subject is that from before anything is merged.
        let subjects: Vec<Option<u32>> = roots.iter().map(|root| self.subject(*root)).collect();
        let mut table: HashMap<u32, u32> = HashMap::new();
        for (root, subject) in roots.iter().zip(&subjects) {
            let Some(subject) = subject else { continue };
            let known = table.entry(*subject).or_insert(*root);
            let better = self.is_dummy(*root) || (self.is_reply(*known) && !self.is_reply(*root));
            if !self.is_dummy(*known) && better {
                *known = *root;
            }
        }
        // C. What is merged into another is no root any more.
        let mut alive = vec![true; self.children.len()];
        let mut dummies = Vec::new();
        for (root, subject) in roots.iter().zip(&subjects) {
            let Some(other) = subject.and_then(|subject| table.get_mut(&subject)) else {
                continue;
            };
            if *other == *root || !alive[*root as usize] {
                continue;
            }
            alive[*root as usize] = false;
            match (self.is_dummy(*other), self.is_dummy(*root)) {
                (true, true) => {
                    let children = std::mem::take(&mut self.children[*root as usize]);
                    self.children[*other as usize].extend(children);
                }
                (true, false) => self.children[*other as usize].push(*root),
                _ if self.is_reply(*root) && !self.is_reply(*other) => {
                    self.children[*other as usize].push(*root);
                }
                _ => {
                    alive[*other as usize] = false;
                    let dummy = self.new_dummy();
                    self.children.push(vec![*other, *root]);
                    alive.push(true);
                    dummies.push(dummy);
                    *other = dummy;
                }
            }
        }
        let mut kept = roots;
        kept.extend(dummies);
        kept.retain(|root| alive[*root as usize]);
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Mailbox {
        messages: Vec<Message>,
        subjects: Vec<String>,
    }

    impl Mailbox {
        fn new() -> Self {
            Self {
                messages: Vec::new(),
                subjects: Vec::new(),
            }
        }

        /// A message with its ID, its references and its subject; an hour after the one before.
        fn add(&mut self, id: u64, references: &[u64], subject: &str) -> &mut Self {
            let base = murder_mime::base_subject(subject.as_bytes());
            let known = self.subjects.iter().position(|s| *s == base.text);
            let number = known.unwrap_or_else(|| {
                self.subjects.push(base.text.clone());
                self.subjects.len() - 1
            });
            let count = self.messages.len() as u32 + 1;
            self.messages.push(Message {
                number: count,
                sent: i64::from(count) * 3600,
                subject: (!base.text.is_empty()).then_some(number as u32),
                is_reply: base.is_reply,
                id: (id != 0).then_some(id),
                references: references.to_vec(),
            });
            self
        }

        fn threads(&self) -> String {
            let mut writer = murder_imap::ResponseWriter::new(Default::default());
            writer.thread(&references(&self.messages));
            let line = String::from_utf8_lossy(&writer.output().take()).into_owned();
            let line = line.trim_end().trim_start_matches("* THREAD");
            line.trim_start().to_owned()
        }
    }

    #[test]
    fn conversations() {
        // Parents and children, whatever comes first.
        let mut mailbox = Mailbox::new();
        mailbox
            .add(1, &[], "one")
            .add(3, &[1, 2], "Re: one")
            .add(2, &[1], "Re: one")
            .add(4, &[1, 2, 3], "Re: one")
            .add(5, &[], "");
        assert_eq!(mailbox.threads(), "(1 3 2 4)(5)");
        // Branches.
        let mut mailbox = Mailbox::new();
        mailbox
            .add(1, &[], "one")
            .add(2, &[1], "a")
            .add(3, &[1], "b")
            .add(4, &[1, 2], "c");
        assert_eq!(mailbox.threads(), "(1 (2 4)(3))");
        // Siblings of a parent that is not there.
        let mut mailbox = Mailbox::new();
        mailbox.add(1, &[9], "a").add(2, &[9], "b");
        assert_eq!(mailbox.threads(), "((1)(2))");
        // A dummy with one child is none; dummies within are spliced.
        let mut mailbox = Mailbox::new();
        mailbox
            .add(1, &[9], "a")
            .add(2, &[1, 8, 7], "b")
            .add(3, &[1, 8, 6], "c");
        assert_eq!(mailbox.threads(), "(1 (2)(3))");
    }

    #[test]
    fn truncated_and_wrong_references() {
        // The link by the message itself is the right one.
        let mut mailbox = Mailbox::new();
        mailbox
            .add(1, &[], "a")
            .add(2, &[1], "b")
            .add(4, &[1, 3], "d")
            .add(3, &[1, 2], "c");
        assert_eq!(mailbox.threads(), "(1 2 4 3)");
        // Loops.
        let mut mailbox = Mailbox::new();
        mailbox.add(1, &[2], "a").add(2, &[1], "b");
        assert_eq!(mailbox.threads(), "(2 1)");
        let mut mailbox = Mailbox::new();
        mailbox.add(1, &[1], "a").add(2, &[2, 1, 2, 1], "b");
        assert_eq!(mailbox.threads(), "(2 1)");
        // The old parent of what would loop is none any more: b refers to a and c, and c to b.
        let mut mailbox = Mailbox::new();
        mailbox
            .add(1, &[], "a")
            .add(2, &[1, 3], "b")
            .add(3, &[2], "c");
        assert_eq!(mailbox.threads(), "(1)(3 2)");
        let mut mailbox = Mailbox::new();
        mailbox
            .add(3, &[2], "c")
            .add(2, &[1, 3], "b")
            .add(1, &[], "a");
        assert_eq!(mailbox.threads(), "(2 1)(3)");
        // The same ID twice, and none.
        let mut mailbox = Mailbox::new();
        mailbox
            .add(1, &[], "a")
            .add(1, &[], "b")
            .add(2, &[1], "c")
            .add(0, &[], "d");
        assert_eq!(mailbox.threads(), "(1 3)(2)(4)");
    }

    #[test]
    fn subjects() {
        // A reply without references goes below what it seems to answer.
        let mut mailbox = Mailbox::new();
        mailbox
            .add(1, &[], "x")
            .add(2, &[], "Re: x")
            .add(3, &[], "Fwd: x");
        assert_eq!(mailbox.threads(), "(1 (2)(3))");
        // Also when it comes first.
        let mut mailbox = Mailbox::new();
        mailbox.add(1, &[], "Re: x").add(2, &[], "x");
        assert_eq!(mailbox.threads(), "(2 1)");
        // Two that are no replies, or both: siblings.
        let mut mailbox = Mailbox::new();
        mailbox
            .add(1, &[], "x")
            .add(2, &[], "x")
            .add(3, &[], "Re: x");
        assert_eq!(mailbox.threads(), "((1)(2)(3))");
        // With a dummy.
        let mut mailbox = Mailbox::new();
        mailbox
            .add(1, &[9], "x")
            .add(2, &[9], "y")
            .add(3, &[], "x")
            .add(4, &[8], "x")
            .add(5, &[8], "z");
        assert_eq!(mailbox.threads(), "((1)(2)(3)(4)(5))");
        // Empty subjects are not alike.
        let mut mailbox = Mailbox::new();
        mailbox.add(1, &[], "").add(2, &[], "Re:");
        assert_eq!(mailbox.threads(), "(1)(2)");
    }

    #[test]
    fn every_message_is_there_once() {
        // Seeded, so that a failure comes again.
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for _ in 0..300 {
            let mut mailbox = Mailbox::new();
            let count = 1 + random(40);
            for _ in 0..count {
                let references: Vec<u64> = (0..random(5)).map(|_| 1 + random(50)).collect();
                let prefix = ["", "Re: "][random(2) as usize];
                let subject = format!("{prefix}{}", ["", "a", "b", "c", "d"][random(5) as usize]);
                mailbox.add(random(50), &references, &subject);
            }
            let text = mailbox.threads();
            let mut numbers: Vec<u64> = text
                .split(|c: char| !c.is_ascii_digit())
                .filter_map(|n| n.parse().ok())
                .collect();
            numbers.sort_unstable();
            let all: Vec<u64> = (1..=count).collect();
            assert_eq!(numbers, all, "{text}");
        }
    }

    #[test]
    fn hostile_mailboxes_take_bounded_time_and_depth() {
        let started = std::time::Instant::now();
        let count = 50_000;
        // A chain.
        let mut mailbox = Mailbox::new();
        for id in 1..=count {
            mailbox.add(id, &[id - 1], "a");
        }
        let chain = mailbox.threads();
        assert_eq!(chain.matches('(').count(), 1, "a chain nests nowhere");
        // The same the other way round, which looks for loops along all of it.
        let mut mailbox = Mailbox::new();
        for id in (1..=count).rev() {
            mailbox.add(id, &[id - 1, 1, id - 1], "a");
        }
        let _ = mailbox.threads();
        // A branch at each message.
        let mut mailbox = Mailbox::new();
        for id in (1..=count).step_by(2) {
            mailbox.add(id, &[id.saturating_sub(2)], "a");
            mailbox.add(id + 1, &[id.saturating_sub(2)], "a");
        }
        let comb = mailbox.threads();
        let mut depth = 0usize;
        let deepest = comb.bytes().map(|b| {
            match b {
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            depth
        });
        assert!(deepest.max() <= Some(super::super::output::MAX_DEPTH + 2));
        // Many dummies in a row, and a star.
        let mut mailbox = Mailbox::new();
        for id in 1..=count {
            let dummies: Vec<u64> = (0..20).map(|n| 1_000_000 + n).collect();
            mailbox.add(id, &dummies, "a");
        }
        let _ = mailbox.threads();
        assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
    }
}
