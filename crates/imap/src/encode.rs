//! Writing commands: the client side.
//!
//! Literals are non-synchronising (`{n+}`, RFC 7888), as every server of the murder takes them;
//! mailbox names go out as the octets that they hold, UTF-8 unless the caller has encoded them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;

use crate::command::{AclMode, Command, SelectParam, StoreMode, StoreModifier};
use crate::date::DateTime;
use crate::fetch::{FetchItem, FetchModifier, Partial};
use crate::flag::Flag;
use crate::list::List;
use crate::mailbox::MailboxArg;
use crate::metadata::{GetMetadata, MetadataDepth};
use crate::notify::{MailboxFilter, Notify, NotifyEvent};
use crate::search::{SearchKey, SearchReturn};
use crate::sequence::SequenceSet;
use crate::tag::Tag;
use crate::wire::{Style, put, put_astring, put_string, put_words};
use crate::writer::{put_bracketed, put_id, put_path, put_value};

/// Writes a command with its CRLF.
pub fn command(out: &mut BytesMut, tag: &Tag, command: &Command) {
    put(out, format_args!("{tag} {}", command.name()));
    arguments(out, command);
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of an APPEND command up to the CRLF behind the announcement of its message;
/// `len` octets and CRLF must follow.
pub fn append_head(
    out: &mut BytesMut,
    tag: &Tag,
    mailbox: &MailboxArg,
    flags: &[Flag],
    internal_date: Option<DateTime>,
    len: u64,
    binary: bool,
) {
    append_command(out, tag, mailbox);
    append_message(out, flags, internal_date, len, binary);
}

/// Writes the start of an APPEND command, which its first message follows
/// ([`append_message`], [`catenate`]).
pub fn append_command(out: &mut BytesMut, tag: &Tag, mailbox: &MailboxArg) {
    put(out, format_args!("{tag} APPEND"));
    name(out, mailbox);
}

/// Writes what announces a further message of an APPEND command (RFC 3502), behind the octets
/// of the one before.
pub fn append_message(
    out: &mut BytesMut,
    flags: &[Flag],
    internal_date: Option<DateTime>,
    len: u64,
    binary: bool,
) {
    append_options(out, flags, internal_date);
    let tilde = if binary { "~" } else { "" };
    put(out, format_args!(" {tilde}{{{len}+}}\r\n"));
}

/// A part of a message of APPEND.
#[derive(Debug, Clone, Copy)]
pub enum Piece<'a> {
    /// Octets.
    Text(&'a [u8]),
    /// What a URL stands for, see [`MessageUrl`](crate::url::MessageUrl).
    Url(&'a [u8]),
}

/// Writes a message of APPEND that the server puts together (CATENATE, RFC 4469); at least one
/// piece.
pub fn catenate(
    out: &mut BytesMut,
    flags: &[Flag],
    internal_date: Option<DateTime>,
    pieces: &[Piece<'_>],
) {
    append_options(out, flags, internal_date);
    out.extend_from_slice(b" CATENATE");
    for (at, piece) in pieces.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b" (" } else { b" " });
        match piece {
            Piece::Text(octets) => {
                put(out, format_args!("TEXT {{{}+}}\r\n", octets.len()));
                out.extend_from_slice(octets);
            }
            Piece::Url(url) => {
                out.extend_from_slice(b"URL");
                astring(out, url);
            }
        }
    }
    out.extend_from_slice(b")");
}

fn append_options(out: &mut BytesMut, flags: &[Flag], internal_date: Option<DateTime>) {
    if !flags.is_empty() {
        out.extend_from_slice(b" (");
        put_words(out, flags);
        out.extend_from_slice(b")");
    }
    if let Some(date) = internal_date {
        put(out, format_args!(" \"{date}\""));
    }
}

fn arguments(out: &mut BytesMut, command: &Command) {
    match command {
        Command::Capability
        | Command::Noop
        | Command::Logout
        | Command::StartTls
        | Command::Namespace
        | Command::Unselect
        | Command::Close
        | Command::Check
        | Command::Expunge
        | Command::Idle
        | Command::Unauthenticate => {}
        Command::Id(fields) => {
            out.extend_from_slice(b" ");
            put_id(out, fields.as_deref(), Style::Client);
        }
        Command::Login { user, password } => {
            astring(out, user.as_bytes());
            astring(out, password.expose());
        }
        Command::Authenticate {
            mechanism,
            initial_response,
        } => {
            put(out, format_args!(" {mechanism}"));
            match initial_response.as_deref() {
                None => {}
                Some([]) => out.extend_from_slice(b" ="),
                Some(response) => put(out, format_args!(" {}", STANDARD.encode(response))),
            }
        }
        Command::Enable { capabilities } => {
            out.extend_from_slice(b" ");
            put_words(out, capabilities);
        }
        Command::List(command) => list(out, command),
        Command::Lsub { reference, pattern } => {
            name(out, reference);
            name(out, pattern);
        }
        Command::Subscribe { mailbox }
        | Command::Unsubscribe { mailbox }
        | Command::Delete { mailbox }
        | Command::GetAcl { mailbox }
        | Command::GetQuotaRoot { mailbox }
        | Command::MyRights { mailbox } => name(out, mailbox),
        Command::Create {
            mailbox,
            partition,
            special_use,
        } => create(out, mailbox, partition.as_deref(), special_use),
        Command::Rename {
            from,
            to,
            partition,
        } => {
            name(out, from);
            name(out, to);
            if let Some(partition) = partition {
                astring(out, partition.as_bytes());
            }
        }
        Command::Status { mailbox, items } => {
            name(out, mailbox);
            out.extend_from_slice(b" (");
            put_words(out, items.iter().map(|item| item.as_str()));
            out.extend_from_slice(b")");
        }
        Command::Select { mailbox, params } | Command::Examine { mailbox, params } => {
            name(out, mailbox);
            parenthesised(out, params, select_param);
        }
        Command::UidExpunge { set } => put(out, format_args!(" {set}")),
        Command::Search(command) => {
            return_options(out, command.returns.as_deref());
            program(out, command.charset.as_deref(), &command.keys);
        }
        Command::MultiSearch(command) => {
            for (at, source) in command.sources.iter().flatten().enumerate() {
                out.extend_from_slice(if at == 0 { b" IN (" } else { b" " });
                filter(out, source);
            }
            if command.sources.is_some() {
                out.extend_from_slice(b")");
            }
            return_options(out, command.returns.as_deref());
            program(out, command.charset.as_deref(), &command.keys);
        }
        Command::Sort(command) => {
            return_options(out, command.returns.as_deref());
            parenthesised(out, &command.criteria, |out, criterion| {
                let reverse = if criterion.reverse { "REVERSE " } else { "" };
                put(out, format_args!("{reverse}{}", criterion.key.as_str()));
            });
            astring(out, command.charset.as_bytes());
            keys(out, &command.keys);
        }
        Command::Thread(command) => {
            put(out, format_args!(" {}", command.algorithm.as_str()));
            astring(out, command.charset.as_bytes());
            keys(out, &command.keys);
        }
        Command::CancelUpdate { tags } => {
            for tag in tags {
                put(out, format_args!(" \"{tag}\""));
            }
        }
        Command::Notify(command) => notify(out, command),
        Command::Node(command) => command.put_arguments(out),
        Command::Compress { mechanism } => put(out, format_args!(" {mechanism}")),
        Command::GetMetadata(command) => get_metadata(out, command),
        Command::SetMetadata { mailbox, entries } => {
            name(out, mailbox);
            parenthesised(out, entries, |out, (entry, value)| {
                put_astring(out, entry.as_bytes(), Style::Client);
                out.extend_from_slice(b" ");
                put_value(out, value.as_deref(), Style::Client);
            });
        }
        Command::GetQuota { root } => astring(out, root.as_bytes()),
        Command::SetQuota { root, limits } => {
            astring(out, root.as_bytes());
            out.extend_from_slice(b" (");
            put_words(out, limits.iter().map(|(name, n)| format!("{name} {n}")));
            out.extend_from_slice(b")");
        }
        Command::Fetch {
            set,
            items,
            modifiers,
            ..
        } => {
            put(out, format_args!(" {set}"));
            parenthesised(out, items, fetch_item);
            parenthesised(out, modifiers, |out, modifier| match modifier {
                FetchModifier::ChangedSince(n) => put(out, format_args!("CHANGEDSINCE {n}")),
                FetchModifier::Vanished => out.extend_from_slice(b"VANISHED"),
                FetchModifier::Partial(range) => put(out, format_args!("PARTIAL {range}")),
            });
        }
        Command::Store {
            set,
            modifiers,
            mode,
            silent,
            flags,
            ..
        } => {
            put(out, format_args!(" {set}"));
            parenthesised(out, modifiers, |out, modifier| match modifier {
                StoreModifier::UnchangedSince(n) => put(out, format_args!("UNCHANGEDSINCE {n}")),
            });
            let sign = match mode {
                StoreMode::Replace => "",
                StoreMode::Add => "+",
                StoreMode::Remove => "-",
            };
            let silent = if *silent { ".SILENT" } else { "" };
            put(out, format_args!(" {sign}FLAGS{silent} ("));
            put_words(out, flags);
            out.extend_from_slice(b")");
        }
        Command::Copy { set, mailbox, .. } | Command::Move { set, mailbox, .. } => {
            set_and_name(out, set, mailbox);
        }
        Command::SetAcl {
            mailbox,
            identifier,
            mode,
            rights,
        } => {
            name(out, mailbox);
            astring(out, identifier.as_bytes());
            let sign = match mode {
                AclMode::Replace => "",
                AclMode::Add => "+",
                AclMode::Remove => "-",
            };
            astring(out, format!("{sign}{rights}").as_bytes());
        }
        Command::DeleteAcl {
            mailbox,
            identifier,
        }
        | Command::ListRights {
            mailbox,
            identifier,
        } => {
            name(out, mailbox);
            astring(out, identifier.as_bytes());
        }
    }
}

/// A space and an astring.
fn astring(out: &mut BytesMut, octets: &[u8]) {
    out.extend_from_slice(b" ");
    put_astring(out, octets, Style::Client);
}

/// A space and a name, always as a string.
fn name(out: &mut BytesMut, mailbox: &MailboxArg) {
    out.extend_from_slice(b" ");
    put_string(out, mailbox.as_bytes(), Style::Client);
}

fn set_and_name(out: &mut BytesMut, set: &SequenceSet, mailbox: &MailboxArg) {
    put(out, format_args!(" {set}"));
    name(out, mailbox);
}

/// A space and the values in parentheses, or nothing if there is none.
fn parenthesised<T>(out: &mut BytesMut, values: &[T], write: fn(&mut BytesMut, &T)) {
    for (at, value) in values.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b" (" } else { b" " });
        write(out, value);
    }
    if !values.is_empty() {
        out.extend_from_slice(b")");
    }
}

fn list(out: &mut BytesMut, command: &List) {
    let chosen = |options: &[(bool, &'static str)]| -> Vec<&'static str> {
        options
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, name)| *name)
            .collect()
    };
    let selection = &command.selection;
    let options = chosen(&[
        (selection.subscribed, "SUBSCRIBED"),
        (selection.remote, "REMOTE"),
        (selection.recursive_match, "RECURSIVEMATCH"),
        (selection.special_use, "SPECIAL-USE"),
    ]);
    if !options.is_empty() {
        out.extend_from_slice(b" (");
        put_words(out, options);
        out.extend_from_slice(b")");
    }
    name(out, &command.reference);
    match command.patterns.as_slice() {
        [pattern] => name(out, pattern),
        patterns => {
            for (at, pattern) in patterns.iter().enumerate() {
                out.extend_from_slice(if at == 0 { b" (" } else { b" " });
                put_string(out, pattern.as_bytes(), Style::Client);
            }
            out.extend_from_slice(b")");
        }
    }
    let returns = &command.returns;
    let mut options: Vec<String> = chosen(&[
        (returns.subscribed, "SUBSCRIBED"),
        (returns.children, "CHILDREN"),
        (returns.special_use, "SPECIAL-USE"),
        (returns.myrights, "MYRIGHTS"),
    ])
    .into_iter()
    .map(str::to_owned)
    .collect();
    if !returns.status.is_empty() {
        let items: Vec<_> = returns.status.iter().map(|item| item.as_str()).collect();
        options.push(format!("STATUS ({})", items.join(" ")));
    }
    // An extended LIST answers otherwise than a basic one, even without an option.
    let basic_otherwise =
        command.extended && selection == &Default::default() && command.patterns.len() == 1;
    if !options.is_empty() || !returns.metadata.is_empty() || basic_otherwise {
        out.extend_from_slice(b" RETURN (");
        put_words(out, &options);
        if !returns.metadata.is_empty() {
            out.extend_from_slice(if options.is_empty() {
                b"METADATA"
            } else {
                b" METADATA"
            });
            parenthesised(out, &returns.metadata, |out, entry| {
                put_astring(out, entry.as_bytes(), Style::Client);
            });
        }
        out.extend_from_slice(b")");
    }
}

fn create(
    out: &mut BytesMut,
    mailbox: &MailboxArg,
    partition: Option<&str>,
    special_use: &[String],
) {
    name(out, mailbox);
    if partition.is_none() && special_use.is_empty() {
        return;
    }
    out.extend_from_slice(b" (");
    if let Some(partition) = partition {
        out.extend_from_slice(b"PARTITION ");
        put_string(out, partition.as_bytes(), Style::Client);
    }
    if !special_use.is_empty() {
        out.extend_from_slice(if partition.is_some() {
            b" USE ("
        } else {
            b"USE ("
        });
        put_words(out, special_use);
        out.extend_from_slice(b")");
    }
    out.extend_from_slice(b")");
}

fn select_param(out: &mut BytesMut, param: &SelectParam) {
    match param {
        SelectParam::CondStore => out.extend_from_slice(b"CONDSTORE"),
        SelectParam::QResync {
            uidvalidity,
            modseq,
            known_uids,
            seq_match,
        } => {
            put(out, format_args!("QRESYNC ({uidvalidity} {modseq}"));
            if let Some(uids) = known_uids {
                put(out, format_args!(" {uids}"));
            }
            if let Some((numbers, uids)) = seq_match {
                put(out, format_args!(" ({numbers} {uids})"));
            }
            out.extend_from_slice(b")");
        }
    }
}

fn fetch_item(out: &mut BytesMut, item: &FetchItem) {
    let plain = match item {
        FetchItem::Uid => "UID",
        FetchItem::Flags => "FLAGS",
        FetchItem::InternalDate => "INTERNALDATE",
        FetchItem::Rfc822Size => "RFC822.SIZE",
        FetchItem::Envelope => "ENVELOPE",
        FetchItem::Body => "BODY",
        FetchItem::BodyStructure => "BODYSTRUCTURE",
        FetchItem::Rfc822 => "RFC822",
        FetchItem::Rfc822Header => "RFC822.HEADER",
        FetchItem::Rfc822Text => "RFC822.TEXT",
        FetchItem::ModSeq => "MODSEQ",
        FetchItem::EmailId => "EMAILID",
        FetchItem::ThreadId => "THREADID",
        FetchItem::SaveDate => "SAVEDATE",
        FetchItem::Preview { lazy: false } => "PREVIEW",
        FetchItem::Preview { lazy: true } => "PREVIEW (LAZY)",
        FetchItem::BodySection {
            section,
            partial,
            peek,
        } => {
            out.extend_from_slice(if *peek { b"BODY.PEEK" } else { b"BODY" });
            put_bracketed(out, section, Style::Client);
            return put_partial(out, *partial);
        }
        FetchItem::Binary {
            path,
            partial,
            peek,
        } => {
            out.extend_from_slice(if *peek { b"BINARY.PEEK[" } else { b"BINARY[" });
            put_path(out, path);
            out.extend_from_slice(b"]");
            return put_partial(out, *partial);
        }
        FetchItem::BinarySize { path } => {
            out.extend_from_slice(b"BINARY.SIZE[");
            put_path(out, path);
            "]"
        }
    };
    out.extend_from_slice(plain.as_bytes());
}

fn put_partial(out: &mut BytesMut, partial: Option<Partial>) {
    if let Some(Partial { origin, length }) = partial {
        put(out, format_args!("<{origin}.{length}>"));
    }
}

fn filter(out: &mut BytesMut, filter: &MailboxFilter) {
    let (word, names) = match filter {
        MailboxFilter::Selected => ("selected", None),
        MailboxFilter::SelectedDelayed => ("selected-delayed", None),
        MailboxFilter::Inboxes => ("inboxes", None),
        MailboxFilter::Personal => ("personal", None),
        MailboxFilter::Subscribed => ("subscribed", None),
        MailboxFilter::Subtree(names) => ("subtree", Some(names)),
        MailboxFilter::SubtreeOne(names) => ("subtree-one", Some(names)),
        MailboxFilter::Mailboxes(names) => ("mailboxes", Some(names)),
    };
    out.extend_from_slice(word.as_bytes());
    parenthesised(out, names.map_or(&[], Vec::as_slice), |out, name| {
        put_string(out, name.as_bytes(), Style::Client);
    });
}

fn notify(out: &mut BytesMut, command: &Notify) {
    let Notify::Set { status, groups } = command else {
        out.extend_from_slice(b" NONE");
        return;
    };
    out.extend_from_slice(if *status { b" SET STATUS" } else { b" SET" });
    for group in groups {
        out.extend_from_slice(b" (");
        filter(out, &group.filter);
        if group.events.is_empty() {
            out.extend_from_slice(b" NONE");
        }
        parenthesised(out, &group.events, |out, event| {
            out.extend_from_slice(event.name().as_bytes());
            if let NotifyEvent::MessageNew(items) = event {
                parenthesised(out, items, fetch_item);
            }
        });
        out.extend_from_slice(b")");
    }
}

fn get_metadata(out: &mut BytesMut, command: &GetMetadata) {
    let mut options = Vec::new();
    if let Some(max_size) = command.max_size {
        options.push(format!("MAXSIZE {max_size}"));
    }
    if command.depth != MetadataDepth::Zero {
        options.push(format!("DEPTH {}", command.depth.as_str()));
    }
    parenthesised(out, &options, |out, option| {
        out.extend_from_slice(option.as_bytes());
    });
    name(out, &command.mailbox);
    parenthesised(out, &command.entries, |out, entry| {
        put_astring(out, entry.as_bytes(), Style::Client);
    });
}

fn return_options(out: &mut BytesMut, returns: Option<&[SearchReturn]>) {
    if let Some(returns) = returns {
        out.extend_from_slice(b" RETURN (");
        for (at, option) in returns.iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(b" ");
            }
            let name = match option {
                SearchReturn::Min => "MIN",
                SearchReturn::Max => "MAX",
                SearchReturn::All => "ALL",
                SearchReturn::Count => "COUNT",
                SearchReturn::Save => "SAVE",
                SearchReturn::Update(items) => {
                    out.extend_from_slice(b"UPDATE");
                    parenthesised(out, items, fetch_item);
                    continue;
                }
                SearchReturn::Context => "CONTEXT",
                SearchReturn::Relevancy => "RELEVANCY",
                SearchReturn::Partial(range) => {
                    put(out, format_args!("PARTIAL {range}"));
                    continue;
                }
            };
            out.extend_from_slice(name.as_bytes());
        }
        out.extend_from_slice(b")");
    }
}

fn program(out: &mut BytesMut, charset: Option<&str>, search_keys: &[SearchKey]) {
    if let Some(charset) = charset {
        out.extend_from_slice(b" CHARSET");
        astring(out, charset.as_bytes());
    }
    keys(out, search_keys);
}

fn keys(out: &mut BytesMut, keys: &[SearchKey]) {
    for key in keys {
        out.extend_from_slice(b" ");
        search_key(out, key);
    }
}

fn search_key(out: &mut BytesMut, key: &SearchKey) {
    let string = |out: &mut BytesMut, name: &str, value: &[u8]| {
        out.extend_from_slice(name.as_bytes());
        astring(out, value);
    };
    let plain = match key {
        SearchKey::All => "ALL",
        SearchKey::Answered => "ANSWERED",
        SearchKey::Deleted => "DELETED",
        SearchKey::Draft => "DRAFT",
        SearchKey::Flagged => "FLAGGED",
        SearchKey::New => "NEW",
        SearchKey::Old => "OLD",
        SearchKey::Recent => "RECENT",
        SearchKey::Seen => "SEEN",
        SearchKey::Unanswered => "UNANSWERED",
        SearchKey::Undeleted => "UNDELETED",
        SearchKey::Undraft => "UNDRAFT",
        SearchKey::Unflagged => "UNFLAGGED",
        SearchKey::Unseen => "UNSEEN",
        SearchKey::SaveDateSupported => "SAVEDATESUPPORTED",
        SearchKey::Keyword(keyword) => return put(out, format_args!("KEYWORD {keyword}")),
        SearchKey::Unkeyword(keyword) => return put(out, format_args!("UNKEYWORD {keyword}")),
        SearchKey::Bcc(value) => return string(out, "BCC", value),
        SearchKey::Cc(value) => return string(out, "CC", value),
        SearchKey::From(value) => return string(out, "FROM", value),
        SearchKey::To(value) => return string(out, "TO", value),
        SearchKey::Subject(value) => return string(out, "SUBJECT", value),
        SearchKey::Body(value) => return string(out, "BODY", value),
        SearchKey::Text(value) => return string(out, "TEXT", value),
        SearchKey::Header(field, value) => {
            string(out, "HEADER", field.as_bytes());
            return astring(out, value);
        }
        SearchKey::Before(date) => return put(out, format_args!("BEFORE {date}")),
        SearchKey::On(date) => return put(out, format_args!("ON {date}")),
        SearchKey::Since(date) => return put(out, format_args!("SINCE {date}")),
        SearchKey::SentBefore(date) => return put(out, format_args!("SENTBEFORE {date}")),
        SearchKey::SentOn(date) => return put(out, format_args!("SENTON {date}")),
        SearchKey::SentSince(date) => return put(out, format_args!("SENTSINCE {date}")),
        SearchKey::SavedBefore(date) => return put(out, format_args!("SAVEDBEFORE {date}")),
        SearchKey::SavedOn(date) => return put(out, format_args!("SAVEDON {date}")),
        SearchKey::SavedSince(date) => return put(out, format_args!("SAVEDSINCE {date}")),
        SearchKey::Larger(octets) => return put(out, format_args!("LARGER {octets}")),
        SearchKey::Smaller(octets) => return put(out, format_args!("SMALLER {octets}")),
        SearchKey::Older(seconds) => return put(out, format_args!("OLDER {seconds}")),
        SearchKey::Younger(seconds) => return put(out, format_args!("YOUNGER {seconds}")),
        SearchKey::ModSeq { entry, value } => {
            out.extend_from_slice(b"MODSEQ ");
            if let Some((name, kind)) = entry {
                put_string(out, name.as_bytes(), Style::Client);
                put(out, format_args!(" {kind} "));
            }
            return put(out, format_args!("{value}"));
        }
        SearchKey::EmailId(id) => return put(out, format_args!("EMAILID {id}")),
        SearchKey::ThreadId(id) => return put(out, format_args!("THREADID {id}")),
        SearchKey::Filter(name) => return string(out, "FILTER", name.as_bytes()),
        SearchKey::Uid(set) => return put(out, format_args!("UID {set}")),
        SearchKey::Sequence(set) => return put(out, format_args!("{set}")),
        SearchKey::Not(key) => {
            out.extend_from_slice(b"NOT ");
            return search_key(out, key);
        }
        SearchKey::Fuzzy(key) => {
            out.extend_from_slice(b"FUZZY ");
            return search_key(out, key);
        }
        SearchKey::Or(one, other) => {
            out.extend_from_slice(b"OR ");
            search_key(out, one);
            out.extend_from_slice(b" ");
            return search_key(out, other);
        }
        SearchKey::And(keys) => {
            for (at, key) in keys.iter().enumerate() {
                out.extend_from_slice(if at == 0 { b"(" } else { b" " });
                search_key(out, key);
            }
            ")"
        }
    };
    out.extend_from_slice(plain.as_bytes());
}
