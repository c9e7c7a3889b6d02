//! From the mailboxes that a user may see to the rows of a LIST or LSUB answer.
//!
//! Used by backends over their own mailboxes and by frontends over the location map, so that
//! both answer alike. RFC 9051 section 6.3.9 and RFC 5258.

use crate::pattern::Pattern;
use crate::special_use::SpecialUse;

/// The most octets in the patterns of one LIST, each taken with the reference: with longer ones it
/// would take a core for seconds to match many names.
pub const MAX_PATTERNS: usize = 8 * 1024;

/// A name that LIST may report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name as the client sees it, UTF-8.
    pub name: String,
    /// Whether there is such a mailbox (a subscription may outlive its mailbox).
    pub exists: bool,
    /// Whether the user has subscribed to it.
    pub subscribed: bool,
    /// Its special use, if any.
    pub special_use: Option<SpecialUse>,
}

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Names must match one of these.
    pub patterns: Vec<Pattern>,
    /// Only subscribed names (LSUB, or LIST's SUBSCRIBED selection option).
    pub subscribed_only: bool,
    /// Also names with a matching descendant (RECURSIVEMATCH, RFC 5258 section 3.5).
    pub recursive_match: bool,
    /// Only mailboxes with a special use (RFC 6154 section 5.2).
    pub special_use_only: bool,
}

impl Query {
    /// A name at or below which everything is that is asked for, where there is one: only what is
    /// there need be handed to [`list`].
    #[must_use]
    pub fn root(&self) -> Option<&str> {
        match self.patterns.as_slice() {
            [pattern] => pattern.root(),
            _ => None,
        }
    }

    /// What the names below [`Query::root`] begin with that are asked for, or lead to what is; empty where
    /// they may begin with anything.
    #[must_use]
    pub fn below_root(&self) -> &str {
        match self.patterns.as_slice() {
            [pattern] => pattern.below_root(),
            _ => "",
        }
    }

    /// Whether [`list`] works so long on so many entries, more than some milliseconds, that nobody
    /// else may have to wait for it.
    #[must_use]
    pub fn is_long(&self, entries: usize) -> bool {
        const MUCH: usize = 4096;
        let words: usize = self.patterns.iter().map(Pattern::words).sum();
        entries.saturating_mul(1 + words) > MUCH
    }
}

/// One row of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The name as the client sees it, UTF-8.
    pub name: String,
    /// Whether there is such a mailbox; if not, `\NonExistent` (and `\Noselect`).
    pub exists: bool,
    /// Whether a visible mailbox lies below it: `\HasChildren` or `\HasNoChildren`.
    pub has_children: bool,
    /// Whether the user has subscribed to it.
    pub subscribed: bool,
    /// Its special use, if any.
    pub special_use: Option<SpecialUse>,
    /// Whether RECURSIVEMATCH finds a selected descendant: the `CHILDINFO` extended data item.
    pub child_info: bool,
}

struct Node {
    row: Row,
    end: usize,
}

/// Lists `entries`, which may come in any order, as `query` asks. Parents that do not exist
/// but lead to a mailbox are made up where RFC 9051 wants them.
#[must_use]
pub fn list(mut entries: Vec<Entry>, separator: char, query: &Query) -> Vec<Row> {
    // Component order: everything below a name follows it at once.
    let key = |name: &str| {
        name.chars()
            .map(|c| if c == separator { '\0' } else { c })
            .collect::<String>()
    };
    entries.sort_by_cached_key(|e| key(&e.name));
    entries.dedup_by(|later, first| {
        let same = later.name == first.name;
        if same {
            first.exists |= later.exists;
            first.subscribed |= later.subscribed;
            first.special_use = first.special_use.or(later.special_use);
        }
        same
    });
    let nodes = tree(entries, separator);
    let selected = |row: &Row| {
        let wanted = match query.subscribed_only {
            true => row.subscribed,
            false => row.exists,
        };
        wanted && (!query.special_use_only || row.special_use.is_some())
    };
    let matches = |row: &Row| query.patterns.iter().any(|p| p.matches(&row.name));
    // Of the nodes before each: how many are selected, and how many of these do not match.
    let mut before = Vec::with_capacity(nodes.len() + 1);
    let mut matching = Vec::with_capacity(nodes.len());
    let (mut selected_before, mut hidden_before) = (0_usize, 0_usize);
    for node in &nodes {
        before.push((selected_before, hidden_before));
        let (selected, matches) = (selected(&node.row), matches(&node.row));
        selected_before += usize::from(selected);
        hidden_before += usize::from(selected && !matches);
        matching.push(matches);
    }
    before.push((selected_before, hidden_before));
    let mut rows = Vec::new();
    for (at, node) in nodes.into_iter().enumerate() {
        if !matching[at] {
            continue;
        }
        let (first, end) = (before[at + 1], before[node.end]);
        let (selected_below, hidden_below) = (end.0 > first.0, end.1 > first.1);
        // RFC 5258 section 3.5: not for the sake of rows that are there anyway.
        let of_below = (query.recursive_match || !node.row.exists) && hidden_below;
        if selected(&node.row) || of_below {
            rows.push(Row {
                child_info: query.recursive_match && selected_below,
                ..node.row
            });
        }
    }
    rows
}

/// Puts missing parents in and finds, for each name, where its descendants end.
fn tree(entries: Vec<Entry>, separator: char) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::with_capacity(entries.len());
    // The chain of ancestors of the name looked at, as indexes.
    let mut open: Vec<usize> = Vec::new();
    let below = |name: &str, parent: &str| {
        name.strip_prefix(parent)
            .is_some_and(|r| r.starts_with(separator))
    };
    for entry in entries {
        while let Some(&last) = open.last() {
            if below(&entry.name, &nodes[last].row.name) {
                break;
            }
            nodes[last].end = nodes.len();
            open.pop();
        }
        let known = open
            .last()
            .map_or(0, |&i| nodes[i].row.name.len() + separator.len_utf8());
        let missing: Vec<usize> = entry.name[known..]
            .match_indices(separator)
            .map(|(i, _)| known + i)
            .filter(|&i| i > 0)
            .collect();
        if entry.exists {
            for &ancestor in &open {
                nodes[ancestor].row.has_children = true;
            }
        }
        for end in missing {
            open.push(nodes.len());
            nodes.push(Node {
                row: Row {
                    name: entry.name[..end].to_owned(),
                    exists: false,
                    has_children: entry.exists,
                    subscribed: false,
                    special_use: None,
                    child_info: false,
                },
                end: 0,
            });
        }
        open.push(nodes.len());
        nodes.push(Node {
            row: Row {
                name: entry.name,
                exists: entry.exists,
                has_children: false,
                subscribed: entry.subscribed,
                special_use: entry.special_use,
                child_info: false,
            },
            end: 0,
        });
    }
    for last in open {
        nodes[last].end = nodes.len();
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        Entry {
            name: name.into(),
            exists: true,
            subscribed: false,
            special_use: None,
        }
    }

    fn query(pattern: &str) -> Query {
        Query {
            patterns: vec![Pattern::new("", pattern, '/')],
            ..Query::default()
        }
    }

    fn shown(rows: &[Row]) -> Vec<String> {
        rows.iter()
            .map(|r| {
                let mut text = r.name.clone();
                text.push_str(if r.exists { "" } else { "!" });
                text.push_str(if r.has_children { "+" } else { "" });
                text.push_str(if r.child_info { "~" } else { "" });
                text
            })
            .collect()
    }

    fn mailboxes() -> Vec<Entry> {
        [
            "INBOX",
            "Sent",
            "a/b/c",
            "a/b d",
            "a-b",
            "Other Users/carol/x",
        ]
        .map(entry)
        .to_vec()
    }

    #[test]
    fn star_shows_mailboxes_only() {
        let rows = list(mailboxes(), '/', &query("*"));
        assert_eq!(
            shown(&rows),
            [
                "INBOX",
                "Other Users/carol/x",
                "Sent",
                "a/b/c",
                "a/b d",
                "a-b"
            ]
        );
    }

    #[test]
    fn percent_makes_parents_up() {
        let rows = list(mailboxes(), '/', &query("%"));
        assert_eq!(
            shown(&rows),
            ["INBOX", "Other Users!+", "Sent", "a!+", "a-b"]
        );
        assert_eq!(
            shown(&list(mailboxes(), '/', &query("a/%"))),
            ["a/b!+", "a/b d"]
        );
        assert_eq!(
            shown(&list(mailboxes(), '/', &query("Other Users/%"))),
            ["Other Users/carol!+"]
        );
    }

    #[test]
    fn lsub_shows_the_parent_of_a_subscribed_child() {
        let mut entries = mailboxes();
        entries[2].subscribed = true;
        let lsub = |pattern| Query {
            subscribed_only: true,
            ..query(pattern)
        };
        assert_eq!(shown(&list(entries.clone(), '/', &lsub("*"))), ["a/b/c"]);
        assert_eq!(shown(&list(entries, '/', &lsub("%"))), ["a!+"]);
    }

    #[test]
    fn a_subscription_outlives_its_mailbox() {
        let mut entries = mailboxes();
        entries.push(Entry {
            exists: false,
            subscribed: true,
            ..entry("gone")
        });
        let rows = list(
            entries.clone(),
            '/',
            &Query {
                subscribed_only: true,
                ..query("*")
            },
        );
        assert_eq!(shown(&rows), ["gone!"]);
        assert!(!shown(&list(entries, '/', &query("*"))).contains(&"gone!".to_owned()));
    }

    /// RFC 5258 section 5, example 9; with "*", section 3.5 wants nothing that is redundant.
    #[test]
    fn recursive_match_reports_child_info() {
        let mut entries: Vec<Entry> = [
            "foo2",
            "foo2/bar1",
            "foo2/bar2",
            "baz2",
            "baz2/bar2",
            "baz2/bar22",
            "baz2/bar222",
            "eps2",
            "eps2/mamba",
            "qux2/bar2",
        ]
        .map(entry)
        .to_vec();
        for entry in &mut entries {
            entry.subscribed = !["foo2", "baz2"].contains(&entry.name.as_str());
        }
        let listed = |pattern| {
            let query = Query {
                subscribed_only: true,
                recursive_match: true,
                ..query(pattern)
            };
            shown(&list(entries.clone(), '/', &query)).join(" ")
        };
        assert_eq!(listed("%"), "baz2+~ eps2+~ foo2+~ qux2!+~");
        let below_baz2 = "baz2/bar2 baz2/bar22 baz2/bar222";
        assert_eq!(
            listed("*2"),
            format!("{below_baz2} eps2+~ foo2+~ foo2/bar2 qux2/bar2")
        );
        assert_eq!(
            listed("*"),
            format!("{below_baz2} eps2+~ eps2/mamba foo2/bar1 foo2/bar2 qux2/bar2")
        );
    }
}
