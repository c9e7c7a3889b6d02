//! Mailbox names as one client sees them (RFC 2342): rendered and parsed here only.

use unicode_normalization::UnicodeNormalization;

use crate::name::{MailboxName, NameError, Owner};

/// How the murder's names look to clients; the same on every frontend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceConfig {
    /// The hierarchy separator that clients see: `/` or `.`.
    pub separator: char,
    /// The name below which other users' mailboxes appear.
    pub other_users: String,
    /// The name below which shared mailboxes appear.
    pub shared: String,
}

impl Default for NamespaceConfig {
    fn default() -> Self {
        Self {
            separator: '/',
            other_users: "Other Users".into(),
            shared: "Shared Folders".into(),
        }
    }
}

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
                personal: String::new(),
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
        if external.is_empty() {
            return Err(NameError::Empty);
        }
        if separator != '/' && external.contains('/') {
            return Err(NameError::Character('/'));
        }
        // With another separator than `/`, a component may hold the separator itself; it is
        // shown as `^`, as Cyrus does.
        let mut components: Vec<String> = external
            .split(separator)
            .map(|c| match separator {
                '/' => c.to_owned(),
                _ => c.replace('^', &separator.to_string()),
            })
            .collect();
        if components.iter().any(String::is_empty) {
            return Err(NameError::Empty);
        }
        let (_, user_domain) = split_user(user);
        let top = components[0].as_str();
        if top == config.other_users || (*admin && top == "user") {
            let owner = components.get(1).ok_or(NameError::Reserved)?;
            let (owner, domain) = split_user(owner);
            let domain = choose_domain(domain, user_domain)?;
            return canonical(domain, &["user", owner], &components[2..]);
        }
        if top == config.shared {
            let tree = components.get(1).ok_or(NameError::Reserved)?;
            let (tree, domain) = split_user(tree);
            let domain = choose_domain(domain, user_domain)?;
            if tree == "user" {
                return Err(NameError::Reserved);
            }
            return canonical(domain, &[tree], &components[2..]);
        }
        if top.eq_ignore_ascii_case("INBOX") {
            if components.len() == 1 {
                return MailboxName::inbox_of(user);
            }
            components[0] = "INBOX".into();
        }
        let (owner, domain) = split_user(user);
        canonical(domain, &["user", owner], &components)
    }

    /// Writes `name` as the client sees it; `None` when it is in a domain that the client
    /// cannot see.
    #[must_use]
    pub fn render(&self, name: &MailboxName) -> Option<String> {
        let View::Client { config, user, .. } = &self.0 else {
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
        if name.is_owned_by(user) {
            if relative.is_empty() {
                return Some("INBOX".into());
            }
        } else {
            let (prefix, top) = match name.owner() {
                Owner::User(owner) => (&config.other_users, owner),
                Owner::Shared(top) => (&config.shared, top),
            };
            out.push_str(prefix);
            out.push(config.separator);
            push_component(&mut out, top, config.separator);
            if let Some(domain) = foreign_domain {
                out.push('@');
                push_component(&mut out, domain, config.separator);
            }
        }
        for component in relative.split('/').filter(|c| !c.is_empty()) {
            if !out.is_empty() {
                out.push(config.separator);
            }
            push_component(&mut out, component, config.separator);
        }
        Some(out)
    }
}

fn push_component(out: &mut String, component: &str, separator: char) {
    if separator == '/' {
        out.push_str(component);
    } else {
        out.extend(
            component
                .chars()
                .map(|c| if c == separator { '^' } else { c }),
        );
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
    // A component that holds `/` can only come from a separator mapping and names nothing.
    if head
        .iter()
        .copied()
        .chain(tail.iter().map(String::as_str))
        .any(|c| c.contains('/'))
    {
        return Err(NameError::Character('/'));
    }
    let mut text = String::new();
    if let Some(domain) = domain {
        text.push_str(domain);
        text.push('!');
    }
    text.push_str(&head.join("/"));
    for component in tail {
        text.push('/');
        text.push_str(component);
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
        let bob = Namespace::client(config, "bob", false);
        both_ways(&bob, "Sent.v1^2", "user/bob/Sent/v1.2");
        assert_eq!(bob.parse("a/b"), Err(NameError::Character('/')));
    }

    proptest! {
        #[test]
        fn rendered_names_parse_back(path in "[a-zA-Z0-9 .&!@é^-]{1,12}(/[a-zA-Z0-9 .&é-]{1,12}){0,4}",
                                     shared in any::<bool>()) {
            let text = if shared { path } else { format!("user/bob/{path}") };
            let Ok(name) = MailboxName::parse_canonical(&text) else { return Ok(()) };
            for viewer in ["bob", "carol"] {
                let ns = ns(viewer, false);
                let external = ns.render(&name).unwrap();
                // A personal mailbox named like a namespace prefix is never created.
                prop_assume!(!external.starts_with("inbox"));
                prop_assert_eq!(ns.parse(&external).unwrap(), name.clone());
            }
        }

        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            let _ = ns("bob", true).parse(&text);
        }
    }
}
