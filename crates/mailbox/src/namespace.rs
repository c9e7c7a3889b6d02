//! Mailbox names as one client sees them (RFC 2342): rendered and parsed here only.

use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::name::{MailboxName, NameError, Owner};

/// `[namespace]`: how mailbox names look to clients; the same on every node that clients come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NamespaceConfig {
    /// The hierarchy separator: `/` or `.`. Default: `/`.
    pub separator: char,
    /// The name below which users' own mailboxes appear: empty for at top level, or `INBOX`.
    /// Default: empty.
    pub personal: String,
    /// The name below which other users' mailboxes appear. Default: `Other Users`.
    pub other_users: String,
    /// The name below which shared mailboxes appear. Default: `Shared Folders`.
    pub shared: String,
}

impl Default for NamespaceConfig {
    fn default() -> Self {
        Self {
            separator: '/',
            personal: String::new(),
            other_users: "Other Users".into(),
            shared: "Shared Folders".into(),
        }
    }
}

/// A setting of the namespace that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct NamespaceConfigError {
    /// The setting.
    pub key: &'static str,
    /// What is wrong.
    pub why: &'static str,
}

impl NamespaceConfig {
    /// Whether names can be written with these settings, and read back.
    ///
    /// # Errors
    /// One that names the setting.
    pub fn check(&self) -> Result<(), NamespaceConfigError> {
        self.mistakes().into_iter().next().map_or(Ok(()), Err)
    }

    /// All that keeps names from being written with these settings, and read back.
    #[must_use]
    pub fn mistakes(&self) -> Vec<NamespaceConfigError> {
        let mut mistakes = Vec::new();
        let mut refused = |key, why| mistakes.push(NamespaceConfigError { key, why });
        if !matches!(self.separator, '/' | '.') {
            refused("separator", "must be `/` or `.`");
        }
        if !matches!(self.personal.as_str(), "" | INBOX) {
            refused("personal", "must be empty or `INBOX`");
        }
        for (key, name) in [("other_users", &self.other_users), ("shared", &self.shared)] {
            let is_one_name = MailboxName::parse_canonical(&format!("user/x/{name}")).is_ok()
                && !name.contains(['/', '^', self.separator])
                && name.trim() == name
                && is_nfc(name);
            if !is_one_name {
                refused(key, "cannot be the name of one mailbox");
            }
        }
        if self.other_users == self.shared {
            refused("shared", "must not be the same as other_users");
        }
        if self.shared == USER {
            refused("shared", "`user` is for users' mailboxes");
        }
        mistakes
    }

    /// Whether a user's own mailbox, `top` below the INBOX, would look like one of others.
    #[must_use]
    pub fn hides(&self, top: &str) -> bool {
        self.personal.is_empty() && (top == self.other_users || top == self.shared)
    }

    /// A component as clients write it. With `.` as separator they cannot write `.`, which is
    /// written `^`, as Cyrus does, and `^` in turn as `/`, which no component holds.
    fn push_component(&self, out: &mut String, component: &str) {
        if !out.is_empty() {
            out.push(self.separator);
        }
        match self.separator {
            '/' => out.push_str(component),
            _ => out.extend(component.chars().map(|c| match c {
                '.' => '^',
                '^' => '/',
                c => c,
            })),
        }
    }

    /// A component that a client has written.
    fn read_component(&self, component: &str) -> String {
        match self.separator {
            '/' => component.to_owned(),
            _ => component
                .chars()
                .map(|c| match c {
                    '^' => '.',
                    '/' => '^',
                    c => c,
                })
                .collect(),
        }
    }
}

/// The mailbox that every user has, in the one way in which we write it.
const INBOX: &str = "INBOX";
/// Below this canonical name are users' homes; administrators may write it too.
const USER: &str = "user";

/// The three prefixes of the NAMESPACE answer (RFC 2342 section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefixes {
    /// Prefix of the client's own mailboxes.
    pub personal: String,
    /// Prefix of other users' mailboxes.
    pub other_users: String,
    /// Prefix of shared mailboxes.
    pub shared: String,
}

/// One session's view of the names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace(View);

#[derive(Debug, Clone, PartialEq, Eq)]
enum View {
    /// Names between nodes: canonical, as they are.
    Canonical,
    Client {
        config: NamespaceConfig,
        user: String,
        admin: bool,
    },
}

impl Namespace {
    /// The view of a client that has logged in as `user`. Administrators may also write
    /// `user/NAME/…`, Cyrus's form, for `Other Users/NAME/…`.
    #[must_use]
    pub fn client(config: NamespaceConfig, user: &str, admin: bool) -> Self {
        Self(View::Client {
            config,
            user: user.to_owned(),
            admin,
        })
    }

    /// The view of another node: canonical names.
    #[must_use]
    pub const fn canonical() -> Self {
        Self(View::Canonical)
    }

    /// Whether this is the view of another node.
    #[must_use]
    pub const fn is_canonical(&self) -> bool {
        matches!(self.0, View::Canonical)
    }

    /// The hierarchy separator.
    #[must_use]
    pub const fn separator(&self) -> char {
        match &self.0 {
            View::Canonical => '/',
            View::Client { config, .. } => config.separator,
        }
    }

    /// The prefixes of the NAMESPACE answer, each ending in the separator where it has one.
    #[must_use]
    pub fn prefixes(&self) -> Prefixes {
        match &self.0 {
            View::Canonical => Prefixes {
                personal: String::new(),
                other_users: "user/".into(),
                shared: String::new(),
            },
            View::Client { config, .. } => Prefixes {
                personal: match config.personal.as_str() {
                    "" => String::new(),
                    personal => format!("{personal}{}", config.separator),
                },
                other_users: format!("{}{}", config.other_users, config.separator),
                shared: format!("{}{}", config.shared, config.separator),
            },
        }
    }

    /// Reads a name that the client wrote (already decoded to UTF-8) and normalises it (NFC).
    /// One trailing separator is allowed, as in `CREATE foo/` (RFC 3501 section 6.3.3).
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn parse(&self, external: &str) -> Result<MailboxName, NameError> {
        let View::Client {
            config,
            user,
            admin,
        } = &self.0
        else {
            return MailboxName::parse_canonical(external);
        };
        let separator = config.separator;
        let external: String = external.nfc().collect();
        let external = external.strip_suffix(separator).unwrap_or(&external);
        let components: Vec<String> = external
            .split(separator)
            .map(|component| config.read_component(component))
            .collect();
        if components.iter().any(String::is_empty) {
            return Err(NameError::Empty);
        }
        let (own, user_domain) = split_user(user);
        let top = components[0].as_str();
        if top == config.other_users || (*admin && top == USER) {
            let owner = components.get(1).ok_or(NameError::Reserved)?;
            let (owner, domain) = split_user(owner);
            let domain = choose_domain(domain, user_domain)?;
            return canonical(domain, &[USER, owner], &components[2..]);
        }
        if top == config.shared {
            let tree = components.get(1).ok_or(NameError::Reserved)?;
            let (tree, domain) = split_user(tree);
            let domain = choose_domain(domain, user_domain)?;
            if tree == USER {
                return Err(NameError::Reserved);
            }
            return canonical(domain, &[tree], &components[2..]);
        }
        let inbox = top.eq_ignore_ascii_case(INBOX);
        if inbox && components.len() == 1 {
            return MailboxName::inbox_of(user);
        }
        let below_inbox = match (config.personal.is_empty(), inbox) {
            (true, _) => &components[..],
            (false, true) => &components[1..],
            (false, false) => return Err(NameError::NoNamespace),
        };
        canonical(user_domain, &[USER, own], below_inbox)
    }

    /// Reads what a component begins with that the client writes, without its end: names whose last
    /// component begins so are shown with one that begins with `external`.
    #[must_use]
    pub fn parse_start(&self, external: &str) -> String {
        match &self.0 {
            View::Canonical => external.to_owned(),
            View::Client { config, .. } => config.read_component(external),
        }
    }

    /// Writes `name` as the client sees it; `None` when it is in a domain that the client
    /// cannot see.
    #[must_use]
    pub fn render(&self, name: &MailboxName) -> Option<String> {
        let View::Client {
            config,
            user,
            admin,
        } = &self.0
        else {
            return Some(name.as_str().to_owned());
        };
        let (_, user_domain) = split_user(user);
        let foreign_domain = match (name.domain(), user_domain) {
            (a, b) if a == b => None,
            (Some(domain), None) => Some(domain),
            _ => return None,
        };
        let mut out = String::with_capacity(name.as_str().len() + 16);
        let relative = name.relative();
        let first = relative.split('/').next().unwrap_or_default();
        // Such a name would be read as that of a namespace; there is another way to write it.
        let hidden = config.hides(first) || (*admin && first == USER && config.personal.is_empty());
        if name.is_owned_by(user) && !hidden {
            if relative.is_empty() {
                return Some(INBOX.into());
            }
            out.push_str(&config.personal);
        } else {
            let (prefix, top) = match name.owner() {
                Owner::User(owner) => (&config.other_users, owner),
                Owner::Shared(top) => (&config.shared, top),
            };
            out.push_str(prefix);
            match foreign_domain {
                Some(domain) => config.push_component(&mut out, &format!("{top}@{domain}")),
                None => config.push_component(&mut out, top),
            }
        }
        for component in relative.split('/').filter(|c| !c.is_empty()) {
            config.push_component(&mut out, component);
        }
        Some(out)
    }
}

fn split_user(user: &str) -> (&str, Option<&str>) {
    match user.split_once('@') {
        Some((local, domain)) => (local, Some(domain)),
        None => (user, None),
    }
}

fn choose_domain<'a>(
    named: Option<&'a str>,
    own: Option<&'a str>,
) -> Result<Option<&'a str>, NameError> {
    match (named, own) {
        (None, own) => Ok(own),
        (named, None) => Ok(named),
        (Some(named), Some(own)) if named == own => Ok(Some(own)),
        _ => Err(NameError::OtherDomain),
    }
}

fn canonical(
    domain: Option<&str>,
    head: &[&str],
    tail: &[String],
) -> Result<MailboxName, NameError> {
    // It would be read as the end of a domain.
    if head.iter().any(|component| component.contains('!')) {
        return Err(NameError::Character('!'));
    }
    let mut text = String::new();
    if let Some(domain) = domain {
        text.push_str(domain);
        text.push('!');
    }
    text.push_str(&head.join("/"));
    for (nth, component) in tail.iter().enumerate() {
        text.push('/');
        // The INBOX has one spelling, also above what is below it.
        match head[0] == USER && nth == 0 && component.eq_ignore_ascii_case(INBOX) {
            true => text.push_str(INBOX),
            false => text.push_str(component),
        }
    }
    MailboxName::parse_canonical(&text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn ns(user: &str, admin: bool) -> Namespace {
        Namespace::client(NamespaceConfig::default(), user, admin)
    }

    #[track_caller]
    fn both_ways(ns: &Namespace, external: &str, canonical: &str) {
        let name = ns.parse(external).unwrap();
        assert_eq!(name.as_str(), canonical);
        assert_eq!(ns.render(&name).as_deref(), Some(external));
    }

    #[test]
    fn a_users_view() {
        let bob = ns("bob", false);
        both_ways(&bob, "INBOX", "user/bob");
        both_ways(&bob, "Sent/2024", "user/bob/Sent/2024");
        both_ways(&bob, "INBOX/x", "user/bob/INBOX/x");
        both_ways(&bob, "Other Users/alice", "user/alice");
        both_ways(&bob, "Other Users/alice/Sent", "user/alice/Sent");
        both_ways(&bob, "Shared Folders/board/minutes", "board/minutes");
        both_ways(&bob, "user/alice", "user/bob/user/alice");
        assert_eq!(bob.parse("inBox").unwrap().as_str(), "user/bob");
        assert_eq!(bob.parse("Sent/").unwrap().as_str(), "user/bob/Sent");
        assert_eq!(
            bob.parse("Other Users/bob/Sent").unwrap().as_str(),
            "user/bob/Sent"
        );
        assert_eq!(bob.parse("Other Users"), Err(NameError::Reserved));
        assert_eq!(bob.parse("Shared Folders/user/x"), Err(NameError::Reserved));
        assert_eq!(bob.parse(""), Err(NameError::Empty));
        assert_eq!(bob.parse("a//b"), Err(NameError::Empty));
        // Decomposed e + acute becomes one character.
        assert_eq!(
            bob.parse("Caf\u{65}\u{301}").unwrap().as_str(),
            "user/bob/Caf\u{e9}"
        );
    }

    #[test]
    fn an_admins_view() {
        let admin = ns("admin", true);
        both_ways(&admin, "Other Users/bob", "user/bob");
        assert_eq!(
            admin.parse("user/bob/Sent").unwrap().as_str(),
            "user/bob/Sent"
        );
        both_ways(
            &admin,
            "Other Users/bob@example.org/Sent",
            "example.org!user/bob/Sent",
        );
        both_ways(
            &admin,
            "Shared Folders/board@example.org",
            "example.org!board",
        );
    }

    #[test]
    fn domains_do_not_see_each_other() {
        let bob = ns("bob@example.org", false);
        both_ways(&bob, "INBOX", "example.org!user/bob");
        both_ways(&bob, "Other Users/carol", "example.org!user/carol");
        assert_eq!(
            bob.parse("Other Users/carol@other.org"),
            Err(NameError::OtherDomain)
        );
        let other = MailboxName::parse_canonical("other.org!board").unwrap();
        assert_eq!(bob.render(&other), None);
    }

    #[test]
    fn dot_separator() {
        let config = NamespaceConfig {
            separator: '.',
            ..NamespaceConfig::default()
        };
        let bob = Namespace::client(config.clone(), "bob", false);
        both_ways(&bob, "Sent.v1^2", "user/bob/Sent/v1.2");
        both_ways(&bob, "a/b", "user/bob/a^b");
        both_ways(&bob, "Other Users.j^smith.x", "user/j.smith/x");
        assert_eq!(bob.parse("Sent.").unwrap().as_str(), "user/bob/Sent");
        for empty in [".", "..", ".a", "a..b", "a.."] {
            assert_eq!(bob.parse(empty), Err(NameError::Empty), "{empty}");
        }
        let admin = Namespace::client(config, "admin", true);
        both_ways(
            &admin,
            "Other Users.bob@example^org.x",
            "example.org!user/bob/x",
        );
    }

    #[test]
    fn below_inbox() {
        let config = NamespaceConfig {
            separator: '.',
            personal: "INBOX".into(),
            ..NamespaceConfig::default()
        };
        let bob = Namespace::client(config.clone(), "bob", false);
        assert_eq!(bob.prefixes().personal, "INBOX.");
        both_ways(&bob, "INBOX", "user/bob");
        both_ways(&bob, "INBOX.Sent.2024", "user/bob/Sent/2024");
        both_ways(&bob, "INBOX.INBOX.x", "user/bob/INBOX/x");
        both_ways(&bob, "INBOX.Other Users", "user/bob/Other Users");
        both_ways(&bob, "Other Users.alice.Sent", "user/alice/Sent");
        both_ways(&bob, "Shared Folders.board", "board");
        assert_eq!(bob.parse("inbox.a").unwrap().as_str(), "user/bob/a");
        assert_eq!(bob.parse("Inbox.").unwrap().as_str(), "user/bob");
        assert_eq!(bob.parse("INBOX.inbox"), Err(NameError::Reserved));
        assert_eq!(bob.parse("Sent"), Err(NameError::NoNamespace));
        assert_eq!(bob.parse("INBOXES.a"), Err(NameError::NoNamespace));
        let admin = Namespace::client(config, "admin", true);
        both_ways(&admin, "INBOX.user.x", "user/admin/user/x");
    }

    #[test]
    fn odd_names() {
        let bob = ns("bob", false);
        for name in [
            " leading and trailing ",
            "a\"b\\c",
            "Tom & Jerry",
            "&-",
            "#news.x",
            "~peter",
            ".",
            "..",
            "(list)",
            "{3}",
            "a]b[c",
            "台北",
            "\u{1f4ee}",
        ] {
            both_ways(&bob, name, &format!("user/bob/{name}"));
        }
        for (name, c) in [
            ("50%", '%'),
            ("a*", '*'),
            ("a\tb", '\t'),
            ("a\u{0}", '\u{0}'),
            ("a\u{7f}", '\u{7f}'),
            ("a\u{9b}", '\u{9b}'),
            ("a\u{2029}", '\u{2029}'),
            ("Shared Folders/other.org!board", '!'),
            ("Other Users/a b", ' '),
        ] {
            assert_eq!(bob.parse(name), Err(NameError::Character(c)), "{name:?}");
        }
        for empty in ["", "/", "//", "/a", "a//b", "a//"] {
            assert_eq!(bob.parse(empty), Err(NameError::Empty), "{empty}");
        }
        let deep = "a/".repeat(MailboxName::MAX_DEPTH - 2);
        assert!(bob.parse(&deep).is_ok());
        assert_eq!(bob.parse(&format!("{deep}a")), Err(NameError::TooDeep));
        let long = "a".repeat(MailboxName::MAX_COMPONENT);
        assert!(bob.parse(&long).is_ok());
        assert_eq!(bob.parse(&format!("{long}a")), Err(NameError::TooLong));
        assert_eq!(bob.parse(&"x".repeat(100_000)), Err(NameError::TooLong));
    }

    /// A change of the settings, or another user, may have made it.
    #[test]
    fn names_like_a_prefix_have_another_way() {
        let hidden = MailboxName::parse_canonical("user/bob/Other Users/x").unwrap();
        let bob = ns("bob", false);
        let external = bob.render(&hidden).unwrap();
        assert_eq!(external, "Other Users/bob/Other Users/x");
        assert_eq!(bob.parse(&external).unwrap(), hidden);
        let own = MailboxName::parse_canonical("user/admin/user/x").unwrap();
        both_ways(&ns("admin", true), "Other Users/admin/user/x", own.as_str());
        // And what is below an INBOX is below the one INBOX.
        for spelt in ["inbox/x", "Other Users/bob/Inbox/x"] {
            assert_eq!(bob.parse(spelt).unwrap().as_str(), "user/bob/INBOX/x");
        }
    }

    #[test]
    fn settings_that_cannot_be_meant() {
        let with = |change: &dyn Fn(&mut NamespaceConfig)| {
            let mut config = NamespaceConfig::default();
            change(&mut config);
            config.check().map_err(|error| error.key)
        };
        assert_eq!(with(&|_| {}), Ok(()));
        assert_eq!(with(&|c| c.other_users = "user".into()), Ok(()));
        assert_eq!(with(&|c| c.personal = "INBOX".into()), Ok(()));
        assert_eq!(with(&|c| c.shared = "Öffentlich".into()), Ok(()));
        assert_eq!(with(&|c| c.separator = '^'), Err("separator"));
        assert_eq!(with(&|c| c.personal = "inbox".into()), Err("personal"));
        assert_eq!(with(&|c| c.personal = "Mine".into()), Err("personal"));
        for name in [
            "", " ", "a/b", "a.b", "a^b", "a*", "50%", "a\r\nb", "inbox", "INBOX", " a", "o\u{308}",
        ] {
            let dots = |c: &mut NamespaceConfig| {
                c.separator = '.';
                c.other_users = name.into();
            };
            assert_eq!(with(&dots), Err("other_users"), "{name:?}");
        }
        assert_eq!(with(&|c| c.other_users = "a.b".into()), Ok(()));
        assert_eq!(with(&|c| c.shared = "a".repeat(256)), Err("shared"));
        assert_eq!(with(&|c| c.shared = "user".into()), Err("shared"));
        assert_eq!(with(&|c| c.shared = "Other Users".into()), Err("shared"));
    }

    /// Every kind of view.
    fn views() -> Vec<Namespace> {
        let mut views = Vec::new();
        for separator in ['/', '.'] {
            for personal in ["", "INBOX"] {
                for (user, admin) in [("bob", false), ("carol", false), ("bob", true)] {
                    let config = NamespaceConfig {
                        separator,
                        personal: personal.into(),
                        // As Cyrus has it, and so that names collide.
                        other_users: "user".into(),
                        shared: "a".into(),
                    };
                    assert_eq!(config.check(), Ok(()));
                    views.push(Namespace::client(config, user, admin));
                }
            }
        }
        views
    }

    proptest! {
        #[test]
        fn rendered_names_parse_back(
            top in prop_oneof![
                Just("user/bob/".to_owned()),
                Just("example.org!user/bob/".to_owned()),
                Just(String::new())
            ],
            path in "(INBOX/|inbox/|user/|a/)?[a-zA-Z0-9 .&!@é^\"\\\\-]{1,12}(/[a-zA-Z0-9 .&é^-]{1,12}){0,4}",
        ) {
            let text = format!("{top}{path}");
            let Ok(name) = MailboxName::parse_canonical(&text) else { return Ok(()) };
            for view in views() {
                let external = view.render(&name).unwrap();
                prop_assert_eq!(view.parse(&external), Ok(name.clone()), "{}", external);
            }
        }

        #[test]
        fn parsed_names_are_written_as_they_were_read(
            top in prop_oneof![Just(""), Just("INBOX"), Just("user"), Just("a")],
            path in proptest::collection::vec("[a-zA-Z0-9 &!@é^\"\\\\-]{1,12}", 0..5),
        ) {
            for view in views() {
                let separator = view.separator().to_string();
                let mut components: Vec<&str> = path.iter().map(String::as_str).collect();
                if !top.is_empty() {
                    components.insert(0, top);
                }
                let external = components.join(&separator);
                let Ok(name) = view.parse(&external) else { continue };
                let written = view.render(&name).unwrap();
                // Other names for what is one's own are written as that, and an INBOX in capitals.
                let own = top == "user" && name.is_owned_by("bob");
                if !own {
                    prop_assert_eq!(written.to_ascii_lowercase(), external.to_ascii_lowercase());
                }
                prop_assert_eq!(view.parse(&written), Ok(name));
            }
        }

        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            for view in views() {
                if let Ok(name) = view.parse(&text) {
                    let written = view.render(&name).unwrap();
                    prop_assert_eq!(view.parse(&written), Ok(name));
                }
            }
        }
    }
}
