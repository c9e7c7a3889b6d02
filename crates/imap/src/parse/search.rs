//! SEARCH.

use super::MAX_DEPTH;
use super::fetch::{MAX_ITEMS, fetch_att, partial_range};
use super::notify::filter_mailboxes;
use super::token::{
    Parsed, astring, atom, close, date, expect, item_name, list0, list1, maybe, mismatch, number,
    number64, nz_number, open, quoted, refuse, sequence_set, sp, spaced, text, upper_atom, word,
};
use crate::command::Command;
use crate::date::Date;
use crate::flag::Keyword;
use crate::notify::MailboxFilter;
use crate::search::{MultiSearch, Search, SearchKey, SearchReturn};
use crate::tag::Tag;

/// ```abnf
/// search          = "SEARCH" [search-return-opts]
///                   SP search-program
/// search-program     = ["CHARSET" SP charset SP]
///                    search-key *(SP search-key)
/// ```
pub(super) fn search(uid: bool, input: &[u8]) -> Parsed<'_, Command> {
    let (rest, returns) = return_options(input)?;
    let (rest, charset) = charset(rest)?;
    let (rest, keys) = search_keys(rest)?;
    Ok((
        rest,
        Command::Search(Search {
            uid,
            charset,
            keys,
            returns,
        }),
    ))
}

/// ```abnf
/// esearch =  "ESEARCH" [SP esearch-source-opts]
///         [SP search-return-opts] SP search-program          ; RFC 7377
/// esearch-source-opts =  "IN" SP "(" source-mbox [SP
///         "(" scope-options ")"] ")"
/// source-mbox =  filter-mailboxes *(SP filter-mailboxes)
/// ```
pub(super) fn multi_search(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, sources) = match maybe(word("IN"), input)? {
        (rest, Some(())) => {
            let (rest, ()) = sp(rest)?;
            // There are no scope options yet, and so none that are known.
            let (rest, sources) = list1(filter_mailboxes, rest)?;
            if sources.contains(&MailboxFilter::SelectedDelayed) {
                return refuse("a choice of mailboxes of ESEARCH");
            }
            let (rest, ()) = sp(rest)?;
            (rest, Some(sources))
        }
        _ => (input, None),
    };
    let (rest, returns) = return_options(rest)?;
    let (rest, charset) = charset(rest)?;
    let (rest, keys) = search_keys(rest)?;
    Ok((
        rest,
        Command::MultiSearch(MultiSearch {
            sources,
            returns,
            charset,
            keys,
        }),
    ))
}

/// ```abnf
/// command-select      =/ "CANCELUPDATE" 1*(SP quoted)       ; RFC 5267
/// ```
pub(super) fn cancel_update(input: &[u8]) -> Parsed<'_, Command> {
    let tag = |input| {
        let (rest, tag) = quoted(input)?;
        match String::from_utf8(tag.into_owned()).map(Tag::new) {
            Ok(Ok(tag)) => Ok((rest, tag)),
            _ => refuse("a tag"),
        }
    };
    let (rest, tags) = spaced(tag, input)?;
    Ok((rest, Command::CancelUpdate { tags }))
}

/// ```abnf
/// search-return-opts = SP "RETURN" SP "(" [search-return-opt *(SP
///                      search-return-opt)] ")"
/// ```
///
/// With the space behind it instead of the one before.
pub(super) fn return_options(input: &[u8]) -> Parsed<'_, Option<Vec<SearchReturn>>> {
    match maybe(word("RETURN"), input)? {
        (rest, Some(())) => {
            let (rest, ()) = sp(rest)?;
            let (rest, returns) = list0(search_return_opt, rest)?;
            let (rest, ()) = sp(rest)?;
            Ok((rest, Some(returns)))
        }
        _ => Ok((input, None)),
    }
}

/// `["CHARSET" SP charset SP]`
fn charset(input: &[u8]) -> Parsed<'_, Option<String>> {
    match maybe(word("CHARSET"), input)? {
        (after, Some(())) => {
            let (after, ()) = sp(after)?;
            let (after, charset) = expect("a charset", text)(after)?;
            let (after, ()) = sp(after)?;
            Ok((after, Some(charset)))
        }
        _ => Ok((input, None)),
    }
}

/// `search-key *(SP search-key)`
pub(super) fn search_keys(input: &[u8]) -> Parsed<'_, Vec<SearchKey>> {
    spaced(|i| search_key(0, i), input)
}

/// ```abnf
/// search-return-opt  = "MIN" / "MAX" / "ALL" / "COUNT" /
///                      "SAVE" /
///                      search-ret-opt-ext
/// search-return-opt  =/ "PARTIAL" SP partial-range          ; RFC 9394
/// search-return-opt  =/ "CONTEXT" / modifier-update         ; RFC 5267
/// modifier-update    = "UPDATE"
///                      [ "(" fetch-att *(SP fetch-att) ")" ]    ; RFC 5465
/// search-return-opt  =/ "RELEVANCY"                         ; RFC 6203
/// ```
///
/// The example of RFC 5465 section 7 has a space behind UPDATE, the rule has none.
fn search_return_opt(input: &[u8]) -> Parsed<'_, SearchReturn> {
    let (rest, name) = expect("a return option", item_name)(input)?;
    let option = match name.as_str() {
        "MIN" => SearchReturn::Min,
        "MAX" => SearchReturn::Max,
        "ALL" => SearchReturn::All,
        "COUNT" => SearchReturn::Count,
        "SAVE" => SearchReturn::Save,
        "CONTEXT" => SearchReturn::Context,
        "RELEVANCY" => SearchReturn::Relevancy,
        "UPDATE" => {
            let (rest, items) = match rest {
                [b'(', ..] => list1(fetch_att, rest)?,
                [b' ', items @ ..] if items.first() == Some(&b'(') => list1(fetch_att, items)?,
                _ => (rest, Vec::new()),
            };
            if items.len() > MAX_ITEMS {
                return refuse("at most 1000 items");
            }
            return Ok((rest, SearchReturn::Update(items)));
        }
        "PARTIAL" => {
            let (rest, ()) = sp(rest)?;
            let (rest, range) = partial_range(rest)?;
            return Ok((rest, SearchReturn::Partial(range)));
        }
        _ => return refuse("a known return option"),
    };
    Ok((rest, option))
}

/// ```abnf
/// search-key      = "ALL" / "ANSWERED" / "BCC" SP astring /
///                   "BEFORE" SP date / "BODY" SP astring /
///                   "CC" SP astring / "DELETED" / "FLAGGED" /
///                   "FROM" SP astring / "KEYWORD" SP flag-keyword /
///                   "ON" SP date / "SEEN" /
///                   "SINCE" SP date / "SUBJECT" SP astring /
///                   "TEXT" SP astring / "TO" SP astring /
///                   "UNANSWERED" / "UNDELETED" / "UNFLAGGED" /
///                   "UNKEYWORD" SP flag-keyword / "UNSEEN" /
///                   "DRAFT" / "HEADER" SP header-fld-name SP astring /
///                   "LARGER" SP number64 / "NOT" SP search-key /
///                   "OR" SP search-key SP search-key /
///                   "SENTBEFORE" SP date / "SENTON" SP date /
///                   "SENTSINCE" SP date / "SMALLER" SP number64 /
///                   "UID" SP sequence-set / "UNDRAFT" / sequence-set /
///                   "(" search-key *(SP search-key) ")"
/// search-key      =/ "NEW" / "OLD" / "RECENT"               ; RFC 3501
/// search-key      =/ ("OLDER" / "YOUNGER") SP nz-number     ; RFC 5032
/// search-key      =/ "FILTER" SP filter-name                ; RFC 5466
/// search-key      =/ "FUZZY" SP search-key                  ; RFC 6203
/// search-key      =/ search-modsequence                     ; RFC 7162
/// search-key      =/ "EMAILID" SP objectid / "THREADID" SP objectid   ; RFC 8474
/// search-key      =/ "SAVEDBEFORE" SP date / "SAVEDON" SP date /
///                    "SAVEDSINCE" SP date / "SAVEDATESUPPORTED"       ; RFC 8514
/// ```
fn search_key(depth: usize, input: &[u8]) -> Parsed<'_, SearchKey> {
    if depth > MAX_DEPTH {
        return refuse("less nesting");
    }
    match input.first() {
        Some(b'(') => {
            let (rest, ()) = open(input)?;
            let (rest, keys) = spaced(|i| search_key(depth + 1, i), rest)?;
            let (rest, ()) = close(rest)?;
            return Ok((rest, SearchKey::And(keys)));
        }
        Some(b'0'..=b'9' | b'*' | b'$') => {
            let (rest, set) = sequence_set(input)?;
            return Ok((rest, SearchKey::Sequence(set)));
        }
        _ => {}
    }
    let (rest, name) = expect("a search key", upper_atom)(input)?;
    let flag_key = match name.as_str() {
        "ALL" => Some(SearchKey::All),
        "ANSWERED" => Some(SearchKey::Answered),
        "DELETED" => Some(SearchKey::Deleted),
        "DRAFT" => Some(SearchKey::Draft),
        "FLAGGED" => Some(SearchKey::Flagged),
        "NEW" => Some(SearchKey::New),
        "OLD" => Some(SearchKey::Old),
        "RECENT" => Some(SearchKey::Recent),
        "SAVEDATESUPPORTED" => Some(SearchKey::SaveDateSupported),
        "SEEN" => Some(SearchKey::Seen),
        "UNANSWERED" => Some(SearchKey::Unanswered),
        "UNDELETED" => Some(SearchKey::Undeleted),
        "UNDRAFT" => Some(SearchKey::Undraft),
        "UNFLAGGED" => Some(SearchKey::Unflagged),
        "UNSEEN" => Some(SearchKey::Unseen),
        _ => None,
    };
    if let Some(key) = flag_key {
        return Ok((rest, key));
    }
    let nested = |input| search_key(depth + 1, input);
    match name.as_str() {
        "BCC" => string_key(SearchKey::Bcc, rest),
        "BODY" => string_key(SearchKey::Body, rest),
        "CC" => string_key(SearchKey::Cc, rest),
        "FROM" => string_key(SearchKey::From, rest),
        "SUBJECT" => string_key(SearchKey::Subject, rest),
        "TEXT" => string_key(SearchKey::Text, rest),
        "TO" => string_key(SearchKey::To, rest),
        "BEFORE" => date_key(SearchKey::Before, rest),
        "ON" => date_key(SearchKey::On, rest),
        "SINCE" => date_key(SearchKey::Since, rest),
        "SENTBEFORE" => date_key(SearchKey::SentBefore, rest),
        "SENTON" => date_key(SearchKey::SentOn, rest),
        "SENTSINCE" => date_key(SearchKey::SentSince, rest),
        "SAVEDBEFORE" => date_key(SearchKey::SavedBefore, rest),
        "SAVEDON" => date_key(SearchKey::SavedOn, rest),
        "SAVEDSINCE" => date_key(SearchKey::SavedSince, rest),
        "KEYWORD" => argument(keyword, SearchKey::Keyword, rest),
        "UNKEYWORD" => argument(keyword, SearchKey::Unkeyword, rest),
        "LARGER" => argument(number64, SearchKey::Larger, rest),
        "SMALLER" => argument(number64, SearchKey::Smaller, rest),
        "OLDER" => argument(nz_number, SearchKey::Older, rest),
        "YOUNGER" => argument(nz_number, SearchKey::Younger, rest),
        "EMAILID" => argument(object_id, SearchKey::EmailId, rest),
        "THREADID" => argument(object_id, SearchKey::ThreadId, rest),
        "FILTER" => argument(text, SearchKey::Filter, rest),
        "UID" => argument(sequence_set, SearchKey::Uid, rest),
        "HEADER" => {
            let (rest, ()) = sp(rest)?;
            let (rest, field) = expect("a header field name", text)(rest)?;
            let (rest, ()) = sp(rest)?;
            let (rest, value) = astring(rest)?;
            Ok((rest, SearchKey::Header(field, value.into_owned())))
        }
        "MODSEQ" => {
            let (rest, ()) = sp(rest)?;
            search_modsequence(rest)
        }
        "NOT" => argument(nested, |key| SearchKey::Not(Box::new(key)), rest),
        "FUZZY" => argument(nested, |key| SearchKey::Fuzzy(Box::new(key)), rest),
        "OR" => {
            let (rest, ()) = sp(rest)?;
            let (rest, one) = nested(rest)?;
            let (rest, ()) = sp(rest)?;
            let (rest, other) = nested(rest)?;
            Ok((rest, SearchKey::Or(Box::new(one), Box::new(other))))
        }
        _ => mismatch("a known search key"),
    }
}

fn argument<'a, T>(
    parser: impl Fn(&'a [u8]) -> Parsed<'a, T>,
    make: fn(T) -> SearchKey,
    input: &'a [u8],
) -> Parsed<'a, SearchKey> {
    let (rest, ()) = sp(input)?;
    let (rest, value) = parser(rest)?;
    Ok((rest, make(value)))
}

fn string_key(make: fn(Vec<u8>) -> SearchKey, input: &[u8]) -> Parsed<'_, SearchKey> {
    let (rest, ()) = sp(input)?;
    let (rest, value) = astring(rest)?;
    Ok((rest, make(value.into_owned())))
}

fn date_key(make: fn(Date) -> SearchKey, input: &[u8]) -> Parsed<'_, SearchKey> {
    argument(date, make, input)
}

fn keyword(input: &[u8]) -> Parsed<'_, Keyword> {
    let (rest, name) = expect("a keyword", atom)(input)?;
    Ok((rest, Keyword::from_checked(name.as_bytes())))
}

/// ```abnf
/// objectid = 1*255(ALPHA / DIGIT / "_" / "-")     ; RFC 8474
/// ```
pub(super) fn object_id(input: &[u8]) -> Parsed<'_, String> {
    let (rest, id) = expect("an object id", atom)(input)?;
    let valid = id
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if !valid || id.len() > 255 {
        return mismatch("an object id");
    }
    Ok((rest, id.to_owned()))
}

/// ```abnf
/// search-modsequence  = "MODSEQ" [search-modseq-ext] SP
///                       mod-sequence-valzer
/// search-modseq-ext   = SP entry-name SP entry-type-req
/// entry-type-req      = entry-type-resp / "all"
/// ```
fn search_modsequence(input: &[u8]) -> Parsed<'_, SearchKey> {
    let (rest, entry) = match input.first() {
        Some(b'"') => {
            let (rest, name) = quoted(input)?;
            let Ok(name) = String::from_utf8(name.into_owned()) else {
                return refuse("UTF-8");
            };
            let (rest, ()) = sp(rest)?;
            let (rest, kind) = expect("priv, shared or all", atom)(rest)?;
            let kind = kind.to_ascii_lowercase();
            if !matches!(kind.as_str(), "priv" | "shared" | "all") {
                return mismatch("priv, shared or all");
            }
            let (rest, ()) = sp(rest)?;
            (rest, Some((name, kind)))
        }
        _ => (input, None),
    };
    let (rest, value) = number64(rest)?;
    Ok((rest, SearchKey::ModSeq { entry, value }))
}

/// A count in an ESEARCH response.
pub(super) fn count(input: &[u8]) -> Parsed<'_, u32> {
    number(input)
}
