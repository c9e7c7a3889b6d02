//! Writing responses.

mod fetch;

use std::io;

use bytes::{Bytes, BytesMut};
use murder_mailbox::utf7;
use tokio::io::AsyncWrite;

use crate::code::Code;
use crate::flag::Flag;
use crate::list::{ListRow, StatusValue};
use crate::mailbox::NameEncoding;
use crate::node::BLOCK;
use crate::output::Output;
use crate::quota::QuotaResource;
use crate::response::{NamespacePrefix, NamespaceRow, Response, Status, Untagged};
use crate::search::{ContextUpdate, Esearch};
use crate::sequence::SequenceSet;
use crate::sort::ThreadList;
use crate::tag::Tag;
use crate::wire::{
    Style, put, put_astring, put_code, put_nstring, put_number, put_string, put_text, put_words,
};

pub use fetch::FetchWriter;
pub(crate) use fetch::{put_bracketed, put_path, put_section_spec};

/// Writes responses into an [`Output`], each with its CRLF.
///
/// Mailbox names are given in UTF-8 and go out as the [`NameEncoding`] says. Nothing is sent
/// before [`ResponseWriter::flush`].
#[derive(Debug, Default)]
pub struct ResponseWriter {
    out: Output,
    names: NameEncoding,
    /// Quoted strings may hold UTF-8.
    utf8_strings: bool,
}

impl ResponseWriter {
    /// A writer with nothing in hand.
    #[must_use]
    pub fn new(names: NameEncoding) -> Self {
        Self {
            out: Output::new(),
            names,
            utf8_strings: names == NameEncoding::Utf8,
        }
    }

    /// How names go out from now on. Quoted strings hold UTF-8 if names do.
    pub fn set_names(&mut self, names: NameEncoding) {
        self.names = names;
        self.utf8_strings = names == NameEncoding::Utf8;
    }

    /// Names in UTF-8, for a peer that rewrites them and passes other strings on to clients who
    /// have not enabled UTF-8: none of those that is quoted holds any.
    pub fn set_utf8_names_only(&mut self) {
        self.names = NameEncoding::Utf8;
        self.utf8_strings = false;
    }

    /// How names go out.
    #[must_use]
    pub fn names(&self) -> NameEncoding {
        self.names
    }

    /// What was written, to relay octets in between or to take it out.
    pub fn output(&mut self) -> &mut Output {
        &mut self.out
    }

    /// Whether nothing waits to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Sends everything; see [`Output::flush`].
    ///
    /// # Errors
    /// What the stream returns.
    pub async fn flush<W: AsyncWrite + Unpin>(&mut self, stream: &mut W) -> io::Result<()> {
        self.out.flush(stream).await
    }

    /// Sends everything if much waits; see [`Output::flush_if_full`].
    ///
    /// # Errors
    /// What the stream returns.
    pub async fn flush_if_full<W: AsyncWrite + Unpin>(&mut self, stream: &mut W) -> io::Result<()> {
        self.out.flush_if_full(stream).await
    }

    fn tail(&mut self) -> &mut BytesMut {
        self.out.tail()
    }

    fn style(&self) -> Style {
        match self.utf8_strings {
            true => Style::ServerUtf8,
            false => Style::Server,
        }
    }

    fn line(&mut self, args: std::fmt::Arguments<'_>) {
        put(self.tail(), args);
        self.crlf();
    }

    fn crlf(&mut self) {
        self.out.write(b"\r\n");
    }

    fn name(&mut self, name: &str) {
        match self.names {
            NameEncoding::Utf7 => {
                put_string(self.tail(), utf7::encode(name).as_bytes(), Style::Server);
            }
            NameEncoding::Utf8 => put_string(self.tail(), name.as_bytes(), Style::ServerUtf8),
        }
    }

    /// The completion of a command: `tag OK [code] text`.
    pub fn tagged(&mut self, tag: &Tag, status: Status, code: Option<&Code>, text: &str) {
        put(self.tail(), format_args!("{tag} "));
        self.condition(status, code, text);
    }

    /// `tag OK text`
    pub fn ok(&mut self, tag: &Tag, text: &str) {
        self.tagged(tag, Status::Ok, None, text);
    }

    /// `tag NO [code] text`
    pub fn no(&mut self, tag: &Tag, code: Option<&Code>, text: &str) {
        self.tagged(tag, Status::No, code, text);
    }

    /// `tag BAD text`, or `* BAD text` if the tag was not to be made out.
    pub fn bad(&mut self, tag: Option<&Tag>, text: &str) {
        match tag {
            Some(tag) => self.tagged(tag, Status::Bad, None, text),
            None => self.untagged(Status::Bad, None, text),
        }
    }

    /// `* OK [code] text`, or NO, BAD, PREAUTH, BYE.
    pub fn untagged(&mut self, status: Status, code: Option<&Code>, text: &str) {
        self.out.write(b"* ");
        self.condition(status, code, text);
    }

    /// `* BYE text`
    pub fn bye(&mut self, text: &str) {
        self.untagged(Status::Bye, None, text);
    }

    /// `+ text`: a continuation request, or a SASL challenge in base64 already.
    pub fn continuation(&mut self, text: &str) {
        self.out.write(b"+ ");
        put_text(self.tail(), text);
        self.crlf();
    }

    fn condition(&mut self, status: Status, code: Option<&Code>, text: &str) {
        self.out.write(status.as_str().as_bytes());
        self.out.write(b" ");
        let mut text = text;
        if let Some(code) = code {
            put_code(self.tail(), code);
            self.out.write(b" ");
        } else {
            // It would be taken for the start of a code, also behind what `put_text` leaves out.
            text = text.trim_start_matches(['[', '\r', '\n', '\0']);
        }
        put_text(self.tail(), text);
        self.crlf();
    }

    /// `* CAPABILITY …`
    pub fn capability<S: AsRef<str>>(&mut self, capabilities: impl IntoIterator<Item = S>) {
        self.words_line("CAPABILITY", capabilities);
    }

    /// `* ENABLED …`
    pub fn enabled<S: AsRef<str>>(&mut self, capabilities: impl IntoIterator<Item = S>) {
        self.words_line("ENABLED", capabilities);
    }

    fn words_line<S: AsRef<str>>(&mut self, keyword: &str, words: impl IntoIterator<Item = S>) {
        put(self.tail(), format_args!("* {keyword}"));
        for word in words {
            put(self.tail(), format_args!(" {}", word.as_ref()));
        }
        self.crlf();
    }

    /// `* LIST …`
    pub fn list(&mut self, row: &ListRow) {
        self.mailbox_list("LIST", row);
    }

    /// `* LSUB …`
    pub fn lsub(&mut self, row: &ListRow) {
        self.mailbox_list("LSUB", row);
    }

    /// ```abnf
    /// mailbox-list    = "(" [mbx-list-flags] ")" SP
    ///                   (DQUOTE QUOTED-CHAR DQUOTE / nil) SP mailbox
    ///                   [SP mbox-list-extended]
    /// ```
    fn mailbox_list(&mut self, keyword: &str, row: &ListRow) {
        put(self.tail(), format_args!("* {keyword} ("));
        put_words(self.tail(), &row.attributes);
        self.out.write(b") ");
        self.separator(row.separator);
        self.out.write(b" ");
        self.name(&row.name.to_string());
        if !row.child_info.is_empty() || row.old_name.is_some() {
            self.out.write(b" (");
            if !row.child_info.is_empty() {
                self.out.write(b"\"CHILDINFO\" (");
                let style = self.style();
                for (at, option) in row.child_info.iter().enumerate() {
                    if at > 0 {
                        self.out.write(b" ");
                    }
                    put_string(self.tail(), option.as_bytes(), style);
                }
                self.out.write(b")");
            }
            if let Some(old_name) = &row.old_name {
                if !row.child_info.is_empty() {
                    self.out.write(b" ");
                }
                self.out.write(b"\"OLDNAME\" (");
                self.name(&old_name.to_string());
                self.out.write(b")");
            }
            self.out.write(b")");
        }
        self.crlf();
    }

    fn separator(&mut self, separator: Option<char>) {
        match separator {
            Some(c) => {
                let mut octets = [0; 4];
                let style = self.style();
                let text = c.encode_utf8(&mut octets);
                put_string(self.tail(), text.as_bytes(), style);
            }
            None => self.out.write(b"NIL"),
        }
    }

    /// `* STATUS mailbox (…)`
    pub fn status(&mut self, mailbox: &str, items: &[StatusValue]) {
        self.out.write(b"* STATUS ");
        self.name(mailbox);
        self.out.write(b" (");
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.out.write(b" ");
            }
            let out = self.tail();
            match item {
                StatusValue::Messages(n) => put(out, format_args!("MESSAGES {n}")),
                StatusValue::Recent(n) => put(out, format_args!("RECENT {n}")),
                StatusValue::UidNext(n) => put(out, format_args!("UIDNEXT {n}")),
                StatusValue::UidValidity(n) => put(out, format_args!("UIDVALIDITY {n}")),
                StatusValue::Unseen(n) => put(out, format_args!("UNSEEN {n}")),
                StatusValue::Deleted(n) => put(out, format_args!("DELETED {n}")),
                StatusValue::Size(n) => put(out, format_args!("SIZE {n}")),
                StatusValue::HighestModSeq(n) => put(out, format_args!("HIGHESTMODSEQ {n}")),
                StatusValue::AppendLimit(Some(n)) => put(out, format_args!("APPENDLIMIT {n}")),
                StatusValue::AppendLimit(None) => out.extend_from_slice(b"APPENDLIMIT NIL"),
                StatusValue::MailboxId(id) => put(out, format_args!("MAILBOXID ({id})")),
                StatusValue::DeletedStorage(n) => put(out, format_args!("DELETED-STORAGE {n}")),
                StatusValue::Other(name, value) => {
                    put(out, format_args!("{name} "));
                    out.extend_from_slice(value);
                }
            }
        }
        self.out.write(b")\r\n");
    }

    /// `* FLAGS (…)`
    pub fn flags<'a>(&mut self, flags: impl IntoIterator<Item = &'a Flag>) {
        self.out.write(b"* FLAGS (");
        put_words(self.tail(), flags);
        self.out.write(b")\r\n");
    }

    /// `* n EXISTS`
    pub fn exists(&mut self, messages: u32) {
        self.line(format_args!("* {messages} EXISTS"));
    }

    /// `* n RECENT` (RFC 3501)
    pub fn recent(&mut self, messages: u32) {
        self.line(format_args!("* {messages} RECENT"));
    }

    /// `* n EXPUNGE`
    pub fn expunge(&mut self, seq: u32) {
        self.line(format_args!("* {seq} EXPUNGE"));
    }

    /// `* VANISHED uids`, with `(EARLIER)` if `earlier` (RFC 7162 section 3.2.10).
    pub fn vanished(&mut self, earlier: bool, uids: &SequenceSet) {
        let earlier = if earlier { "(EARLIER) " } else { "" };
        self.line(format_args!("* VANISHED {earlier}{uids}"));
    }

    /// `* X-BLOCK ~{n}`: messages for another node (see [`node`](crate::node)).
    pub fn block(&mut self, block: Bytes) {
        let octets = block.len();
        self.line(format_args!("* {BLOCK} ~{{{octets}}}"));
        self.out.push(block);
        self.out.write(b"\r\n");
    }

    /// `* SEARCH …`, with `(MODSEQ n)` if given and anything was found.
    pub fn search(&mut self, numbers: impl IntoIterator<Item = u32>, modseq: Option<u64>) {
        self.numbers("SEARCH", numbers, modseq);
    }

    /// `* SORT …` (RFC 5256), with `(MODSEQ n)` if given and anything was found.
    pub fn sort(&mut self, numbers: impl IntoIterator<Item = u32>, modseq: Option<u64>) {
        self.numbers("SORT", numbers, modseq);
    }

    fn numbers(
        &mut self,
        keyword: &str,
        numbers: impl IntoIterator<Item = u32>,
        modseq: Option<u64>,
    ) {
        put(self.tail(), format_args!("* {keyword}"));
        let mut any = false;
        for number in numbers {
            any = true;
            put(self.tail(), format_args!(" {number}"));
        }
        if let Some(modseq) = modseq.filter(|_| any) {
            put(self.tail(), format_args!(" (MODSEQ {modseq})"));
        }
        self.crlf();
    }

    /// `* THREAD …` (RFC 5256). Recurses as deep as `replies` nest: the caller bounds that.
    pub fn thread(&mut self, threads: &[ThreadList]) {
        self.out.write(b"* THREAD");
        if !threads.is_empty() {
            self.out.write(b" ");
        }
        for thread in threads {
            put_thread(self.tail(), thread);
        }
        self.crlf();
    }

    /// `* METADATA mailbox (entry value …)` (RFC 5464)
    pub fn metadata<'a>(
        &mut self,
        mailbox: &str,
        entries: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) {
        let style = self.style();
        self.out.write(b"* METADATA ");
        self.name(mailbox);
        for (at, (entry, value)) in entries.into_iter().enumerate() {
            let out = self.tail();
            out.extend_from_slice(if at == 0 { b" (" } else { b" " });
            put_astring(out, entry.as_bytes(), style);
            out.extend_from_slice(b" ");
            put_value(out, value, style);
        }
        self.out.write(b")\r\n");
    }

    /// `* METADATA mailbox entry …`: these have changed (RFC 5464 section 4.4.2).
    pub fn metadata_changed<S: AsRef<str>>(
        &mut self,
        mailbox: &str,
        entries: impl IntoIterator<Item = S>,
    ) {
        let style = self.style();
        self.out.write(b"* METADATA ");
        self.name(mailbox);
        for entry in entries {
            self.out.write(b" ");
            put_astring(self.tail(), entry.as_ref().as_bytes(), style);
        }
        self.crlf();
    }

    /// `* QUOTA root (resource usage limit …)` (RFC 9208)
    pub fn quota<'a>(
        &mut self,
        root: &str,
        resources: impl IntoIterator<Item = &'a QuotaResource>,
    ) {
        self.out.write(b"* QUOTA ");
        self.root(root);
        self.out.write(b" (");
        put_words(
            self.tail(),
            resources
                .into_iter()
                .map(|r| format!("{} {} {}", r.name, r.usage, r.limit)),
        );
        self.out.write(b")\r\n");
    }

    /// `* QUOTAROOT mailbox root …` (RFC 9208)
    pub fn quota_root<S: AsRef<str>>(&mut self, mailbox: &str, roots: impl IntoIterator<Item = S>) {
        self.out.write(b"* QUOTAROOT ");
        self.name(mailbox);
        for root in roots {
            self.out.write(b" ");
            self.root(root.as_ref());
        }
        self.crlf();
    }

    /// The name of a quota root: an astring, not encoded like the name of a mailbox.
    fn root(&mut self, root: &str) {
        let style = self.style();
        put_astring(self.tail(), root.as_bytes(), style);
    }

    /// `* ESEARCH (TAG "tag") …`
    pub fn esearch(&mut self, found: &Esearch) {
        let style = self.style();
        self.out.write(b"* ESEARCH");
        let mut separator: &[u8] = b" (";
        if let Some(tag) = &found.tag {
            self.out.write(separator);
            self.out.write(b"TAG ");
            put_string(self.tail(), tag.as_bytes(), style);
            separator = b" ";
        }
        if let Some(mailbox) = &found.mailbox {
            self.out.write(separator);
            self.out.write(b"MAILBOX ");
            self.name(&mailbox.to_string());
            separator = b" ";
        }
        if let Some(uidvalidity) = found.uidvalidity {
            self.out.write(separator);
            put(self.tail(), format_args!("UIDVALIDITY {uidvalidity}"));
            separator = b" ";
        }
        let out = self.tail();
        if separator == b" " {
            out.extend_from_slice(b")");
        }
        if found.uid {
            out.extend_from_slice(b" UID");
        }
        if let Some(min) = found.min {
            put(out, format_args!(" MIN {min}"));
        }
        if let Some(max) = found.max {
            put(out, format_args!(" MAX {max}"));
        }
        if let Some(all) = &found.all {
            put(out, format_args!(" ALL {all}"));
        }
        if let Some(count) = found.count {
            put(out, format_args!(" COUNT {count}"));
        }
        if let Some((range, set)) = &found.partial {
            match set {
                Some(set) => put(out, format_args!(" PARTIAL ({range} {set})")),
                None => put(out, format_args!(" PARTIAL ({range} NIL)")),
            }
        }
        if let Some(modseq) = found.modseq {
            put(out, format_args!(" MODSEQ {modseq}"));
        }
        for update in &found.updates {
            let (name, pairs) = match update {
                ContextUpdate::AddTo(pairs) => ("ADDTO", pairs),
                ContextUpdate::RemoveFrom(pairs) => ("REMOVEFROM", pairs),
            };
            put(out, format_args!(" {name} ("));
            put_words(out, pairs.iter().map(|(at, set)| format!("{at} {set}")));
            out.extend_from_slice(b")");
        }
        if !found.relevancy.is_empty() {
            out.extend_from_slice(b" RELEVANCY (");
            put_words(out, &found.relevancy);
            out.extend_from_slice(b")");
        }
        self.crlf();
    }

    /// `* NAMESPACE …`
    pub fn namespace(&mut self, namespaces: &NamespaceRow) {
        self.out.write(b"* NAMESPACE ");
        self.namespace_kind(&namespaces.personal);
        self.out.write(b" ");
        self.namespace_kind(&namespaces.other_users);
        self.out.write(b" ");
        self.namespace_kind(&namespaces.shared);
        self.crlf();
    }

    fn namespace_kind(&mut self, prefixes: &[NamespacePrefix]) {
        if prefixes.is_empty() {
            self.out.write(b"NIL");
            return;
        }
        self.out.write(b"(");
        for prefix in prefixes {
            self.out.write(b"(");
            self.name(&prefix.prefix.to_string());
            self.out.write(b" ");
            self.separator(prefix.separator);
            self.out.write(b")");
        }
        self.out.write(b")");
    }

    /// `* ID (…)`, or `* ID NIL` without fields (RFC 2971).
    pub fn id(&mut self, fields: Option<&[(String, Option<String>)]>) {
        let style = self.style();
        let out = self.tail();
        out.extend_from_slice(b"* ID ");
        put_id(out, fields, style);
        self.crlf();
    }

    /// `* ACL mailbox identifier rights …` (RFC 4314 section 3.6)
    pub fn acl<I: AsRef<str>, R: AsRef<str>>(
        &mut self,
        mailbox: &str,
        entries: impl IntoIterator<Item = (I, R)>,
    ) {
        let style = self.style();
        self.out.write(b"* ACL ");
        self.name(mailbox);
        for (identifier, rights) in entries {
            self.out.write(b" ");
            put_astring(self.tail(), identifier.as_ref().as_bytes(), style);
            self.out.write(b" ");
            put_astring(self.tail(), rights.as_ref().as_bytes(), style);
        }
        self.crlf();
    }

    /// `* LISTRIGHTS mailbox identifier required optional …` (RFC 4314 section 3.7)
    pub fn list_rights<R: AsRef<str>>(
        &mut self,
        mailbox: &str,
        identifier: &str,
        required: &str,
        optional: impl IntoIterator<Item = R>,
    ) {
        let style = self.style();
        self.out.write(b"* LISTRIGHTS ");
        self.name(mailbox);
        self.out.write(b" ");
        put_astring(self.tail(), identifier.as_bytes(), style);
        self.out.write(b" ");
        put_astring(self.tail(), required.as_bytes(), style);
        for rights in optional {
            self.out.write(b" ");
            put_astring(self.tail(), rights.as_ref().as_bytes(), style);
        }
        self.crlf();
    }

    /// `* MYRIGHTS mailbox rights` (RFC 4314 section 3.8)
    pub fn my_rights(&mut self, mailbox: &str, rights: &str) {
        let style = self.style();
        self.out.write(b"* MYRIGHTS ");
        self.name(mailbox);
        self.out.write(b" ");
        put_astring(self.tail(), rights.as_bytes(), style);
        self.crlf();
    }

    /// Starts `* seq FETCH (`; [`FetchWriter::finish`] ends it.
    pub fn fetch(&mut self, seq: u32) -> FetchWriter<'_> {
        let out = self.tail();
        out.extend_from_slice(b"* ");
        put_number(out, seq.into());
        out.extend_from_slice(b" FETCH (");
        FetchWriter {
            writer: self,
            first: true,
        }
    }

    /// Starts `* uid UIDFETCH (` (RFC 9586); [`FetchWriter::finish`] ends it.
    pub fn uid_fetch(&mut self, uid: u32) -> FetchWriter<'_> {
        put(self.tail(), format_args!("* {uid} UIDFETCH ("));
        FetchWriter {
            writer: self,
            first: true,
        }
    }

    /// Writes a typed response. Names in it are taken as UTF-8 (octets that are not are
    /// replaced) and encoded anew.
    pub fn response(&mut self, response: &Response) {
        match response {
            Response::Continuation { text } => self.continuation(text),
            Response::Tagged {
                tag,
                status,
                code,
                text,
            } => self.tagged(tag, *status, code.as_ref(), text),
            Response::Untagged(untagged) => self.untagged_response(untagged),
        }
    }

    /// Writes a typed untagged response; names as in [`ResponseWriter::response`].
    pub fn untagged_response(&mut self, response: &Untagged) {
        match response {
            Untagged::Status { status, code, text } => self.untagged(*status, code.as_ref(), text),
            Untagged::Capability(capabilities) => self.capability(capabilities),
            Untagged::Enabled(capabilities) => self.enabled(capabilities),
            Untagged::List(row) => self.list(row),
            Untagged::Lsub(row) => self.lsub(row),
            Untagged::MailboxStatus { mailbox, items } => self.status(&mailbox.to_string(), items),
            Untagged::Flags(flags) => self.flags(flags),
            Untagged::Exists(n) => self.exists(*n),
            Untagged::Recent(n) => self.recent(*n),
            Untagged::Expunge(n) => self.expunge(*n),
            Untagged::Vanished { earlier, uids } => self.vanished(*earlier, uids),
            Untagged::Fetch { seq, items } => self.fetch(*seq).all(items),
            Untagged::UidFetch { uid, items } => self.uid_fetch(*uid).all(items),
            Untagged::Search { numbers, modseq } => self.search(numbers.iter().copied(), *modseq),
            Untagged::Esearch(found) => self.esearch(found),
            Untagged::Sort { numbers, modseq } => self.sort(numbers.iter().copied(), *modseq),
            Untagged::Thread(threads) => self.thread(threads),
            Untagged::Metadata { mailbox, entries } => self.metadata(
                &mailbox.to_string(),
                entries
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_deref())),
            ),
            Untagged::MetadataChanged { mailbox, entries } => {
                self.metadata_changed(&mailbox.to_string(), entries);
            }
            Untagged::Quota { root, resources } => self.quota(root, resources),
            Untagged::QuotaRoot { mailbox, roots } => self.quota_root(&mailbox.to_string(), roots),
            Untagged::Namespace(namespaces) => self.namespace(namespaces),
            Untagged::Id(fields) => self.id(fields.as_deref()),
            Untagged::Acl { mailbox, entries } => {
                self.acl(&mailbox.to_string(), entries.iter().map(|(i, r)| (i, r)));
            }
            Untagged::ListRights {
                mailbox,
                identifier,
                required,
                optional,
            } => self.list_rights(&mailbox.to_string(), identifier, required, optional),
            Untagged::MyRights { mailbox, rights } => {
                self.my_rights(&mailbox.to_string(), rights);
            }
            Untagged::Other { keyword, rest } => {
                put(self.tail(), format_args!("* {keyword}"));
                if !rest.is_empty() {
                    self.out.write(b" ");
                    self.out.write(rest);
                }
                self.crlf();
            }
        }
    }
}

/// `thread-list = "(" (thread-members / thread-nested) ")"`
fn put_thread(out: &mut BytesMut, thread: &ThreadList) {
    out.extend_from_slice(b"(");
    put_words(out, &thread.messages);
    if !thread.messages.is_empty() && !thread.replies.is_empty() {
        out.extend_from_slice(b" ");
    }
    for reply in &thread.replies {
        put_thread(out, reply);
    }
    out.extend_from_slice(b")");
}

/// `value = nstring / literal8`
pub(crate) fn put_value(out: &mut BytesMut, value: Option<&[u8]>, style: Style) {
    match value {
        Some(octets) if memchr::memchr(0, octets).is_some() => {
            out.extend_from_slice(b"~");
            put_string(out, octets, style);
        }
        value => put_nstring(out, value, style),
    }
}

/// `id-params-list = "(" *(string SP nstring) ")" / nil`
pub(crate) fn put_id(
    out: &mut BytesMut,
    fields: Option<&[(String, Option<String>)]>,
    style: Style,
) {
    let Some(fields) = fields else {
        out.extend_from_slice(b"NIL");
        return;
    };
    out.extend_from_slice(b"(");
    for (at, (name, value)) in fields.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(b" ");
        }
        put_string(out, name.as_bytes(), style);
        out.extend_from_slice(b" ");
        put_nstring(out, value.as_deref().map(str::as_bytes), style);
    }
    out.extend_from_slice(b")");
}
