//! SEARCH, SORT, THREAD and ESEARCH responses.

use super::after_sp;
use crate::parse::MAX_DEPTH;
use crate::parse::fetch::partial_range;
use crate::parse::search::count;
use crate::parse::token::{
    Parsed, any_value, close, item_name, list1, mailbox, maybe, mismatch, mod_sequence, number,
    number64, nz_number, open, refuse, response_set, sp, text, upper_atom, word,
};
use crate::response::Untagged;
use crate::search::{ContextUpdate, Esearch};
use crate::sequence::SequenceSet;
use crate::sort::ThreadList;

/// ```abnf
/// obsolete-search-response = "SEARCH" *(SP nz-number)
/// mailbox-data        =/ "SEARCH" [1*(SP nz-number) SP
///                        search-sort-mod-seq]
/// search-sort-mod-seq = "(" "MODSEQ" SP mod-sequence-value ")"
/// ```
pub(super) fn search(input: &[u8]) -> Parsed<'_, Untagged> {
    let (rest, (numbers, modseq)) = numbers(input)?;
    Ok((rest, Untagged::Search { numbers, modseq }))
}

/// ```abnf
/// sort-data       = "SORT" *(SP nz-number)
/// mailbox-data        =/ "SORT" [1*(SP nz-number) SP
///                        search-sort-mod-seq]                ; RFC 7162
/// search-sort-mod-seq = "(" "MODSEQ" SP mod-sequence-value ")"
/// ```
pub(super) fn numbers(input: &[u8]) -> Parsed<'_, (Vec<u32>, Option<u64>)> {
    let mut numbers = Vec::new();
    let mut modseq = None;
    let mut rest = input;
    while let [b' ', after @ ..] = rest {
        match after.first() {
            Some(b'(') => {
                let (after, ()) = open(after)?;
                let (after, ()) = word("MODSEQ")(after)?;
                let (after, ()) = sp(after)?;
                let (after, value) = mod_sequence(after)?;
                (rest, ()) = close(after)?;
                modseq = Some(value);
                break;
            }
            Some(b'0'..=b'9') => {
                let number;
                (rest, number) = nz_number(after)?;
                numbers.push(number);
            }
            _ => break,
        }
    }
    Ok((rest, (numbers, modseq)))
}

/// ```abnf
/// thread-data     = "THREAD" [SP 1*thread-list]
/// ```
pub(super) fn thread(input: &[u8]) -> Parsed<'_, Untagged> {
    let mut threads = Vec::new();
    let mut rest = match input {
        [b' ', rest @ ..] if rest.first() == Some(&b'(') => rest,
        _ => input,
    };
    while rest.first() == Some(&b'(') {
        let thread;
        (rest, thread) = thread_list(0, rest)?;
        threads.push(thread);
    }
    Ok((rest, Untagged::Thread(threads)))
}

/// ```abnf
/// thread-list     = "(" (thread-members / thread-nested) ")"
/// thread-members  = nz-number *(SP nz-number) [SP thread-nested]
/// thread-nested   = 2*thread-list
/// ```
fn thread_list(depth: usize, input: &[u8]) -> Parsed<'_, ThreadList> {
    if depth > MAX_DEPTH {
        return refuse("less nesting");
    }
    let (mut rest, ()) = open(input)?;
    let mut list = ThreadList::default();
    while rest.first().is_some_and(u8::is_ascii_digit) {
        let number;
        (rest, number) = nz_number(rest)?;
        list.messages.push(number);
        rest = match rest {
            [b' ', after @ ..] => after,
            _ => rest,
        };
    }
    while rest.first() == Some(&b'(') {
        let reply;
        (rest, reply) = thread_list(depth + 1, rest)?;
        list.replies.push(reply);
    }
    let (rest, ()) = close(rest)?;
    Ok((rest, list))
}

/// ```abnf
/// esearch-response  = "ESEARCH" [search-correlator] [SP "UID"]
///                     *(SP search-return-data)
/// search-return-data = "MIN" SP nz-number /
///                     "MAX" SP nz-number /
///                     "ALL" SP sequence-set /
///                     "COUNT" SP number /
///                     search-ret-data-ext
/// ```
pub(super) fn esearch(input: &[u8]) -> Parsed<'_, Esearch> {
    let mut found = Esearch::default();
    let mut rest = input;
    if let [b' ', after @ ..] = rest
        && after.first() == Some(&b'(')
    {
        (rest, _) = list1(|i| correlator(&mut found, i), after)?;
    }
    if let (after, Some(())) = maybe(|i| after_sp(word("UID"), i), rest)? {
        found.uid = true;
        rest = after;
    }
    while let [b' ', after @ ..] = rest {
        if matches!(after.first(), Some(b'\r' | b'\n')) {
            break;
        }
        let (after, name) = item_name(after)?;
        let (after, ()) = sp(after)?;
        rest = match name.as_str() {
            "MIN" => {
                let (rest, n) = nz_number(after)?;
                found.min = Some(n);
                rest
            }
            "MAX" => {
                let (rest, n) = nz_number(after)?;
                found.max = Some(n);
                rest
            }
            "ALL" => {
                let (rest, set) = response_set(after)?;
                found.all = Some(set);
                rest
            }
            "COUNT" => {
                let (rest, n) = count(after)?;
                found.count = Some(n);
                rest
            }
            "MODSEQ" => {
                let (rest, n) = number64(after)?;
                found.modseq = Some(n);
                rest
            }
            "RELEVANCY" => {
                let (rest, scores) = list1(nz_number, after)?;
                found.relevancy = scores;
                rest
            }
            "PARTIAL" => {
                let (rest, ()) = open(after)?;
                let (rest, range) = partial_range(rest)?;
                let (rest, ()) = sp(rest)?;
                let (rest, set) = match maybe(word("NIL"), rest)? {
                    (rest, Some(())) => (rest, None),
                    (rest, None) => {
                        let (rest, set) = response_set(rest)?;
                        (rest, Some(set))
                    }
                };
                found.partial = Some((range, set));
                close(rest)?.0
            }
            "ADDTO" => {
                let (rest, pairs) = context_pairs(after)?;
                found.updates.push(ContextUpdate::AddTo(pairs));
                rest
            }
            "REMOVEFROM" => {
                let (rest, pairs) = context_pairs(after)?;
                found.updates.push(ContextUpdate::RemoveFrom(pairs));
                rest
            }
            _ => any_value(after)?.0,
        };
    }
    Ok((rest, found))
}

/// ```abnf
/// ret-data-addto      = "ADDTO"
///                        SP "(" context-position SP sequence-set
///                        *(SP context-position SP sequence-set)
///                        ")"                                 ; RFC 5267
/// ```
///
/// And `ret-data-removefrom`; without the names and the spaces behind them.
fn context_pairs(input: &[u8]) -> Parsed<'_, Vec<(u32, SequenceSet)>> {
    let pair = |input| {
        let (rest, position) = number(input)?;
        let (rest, ()) = sp(rest)?;
        let (rest, set) = response_set(rest)?;
        Ok((rest, (position, set)))
    };
    list1(pair, input)
}

/// ```abnf
/// search-correlator =  SP "(" one-correlator *(SP one-correlator) ")"
/// one-correlator =  ("TAG" SP tag-string) / ("MAILBOX" SP astring) /
///         ("UIDVALIDITY" SP nz-number)                       ; RFC 7377
/// ```
fn correlator<'a>(found: &mut Esearch, input: &'a [u8]) -> Parsed<'a, ()> {
    let (rest, name) = upper_atom(input)?;
    let (rest, ()) = sp(rest)?;
    match name.as_str() {
        "TAG" => {
            let (rest, tag) = text(rest)?;
            found.tag = Some(tag);
            Ok((rest, ()))
        }
        "MAILBOX" => {
            let (rest, name) = mailbox(rest)?;
            found.mailbox = Some(name);
            Ok((rest, ()))
        }
        "UIDVALIDITY" => {
            let (rest, n) = nz_number(rest)?;
            found.uidvalidity = Some(n);
            Ok((rest, ()))
        }
        _ => mismatch("a known correlator"),
    }
}
