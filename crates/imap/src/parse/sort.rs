//! SORT and THREAD (RFC 5256).

use super::search::{return_options, search_keys};
use super::token::{Parsed, expect, list1, maybe, mismatch, sp, text, upper_atom, word};
use crate::command::Command;
use crate::sort::{Sort, SortCriterion, SortKey, Thread, ThreadAlgorithm};

/// ```abnf
/// sort            = ["UID" SP] "SORT" SP sort-criteria SP search-criteria
/// sort            =/ ["UID" SP] "SORT" search-return-opts SP sort-criteria SP search-criteria
///                                                                     ; RFC 5267
/// sort-criteria   = "(" sort-criterion *(SP sort-criterion) ")"
/// search-criteria = charset 1*(SP search-key)
/// charset         = atom / quoted
/// ```
pub(super) fn sort(uid: bool, input: &[u8]) -> Parsed<'_, Command> {
    let (rest, returns) = return_options(input)?;
    let (rest, criteria) = list1(sort_criterion, rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, charset) = expect("a charset", text)(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, keys) = search_keys(rest)?;
    Ok((
        rest,
        Command::Sort(Sort {
            uid,
            returns,
            criteria,
            charset,
            keys,
        }),
    ))
}

/// ```abnf
/// sort-criterion  = ["REVERSE" SP] sort-key
/// sort-key        = "ARRIVAL" / "CC" / "DATE" / "FROM" / "SIZE" /
///                   "SUBJECT" / "TO"
/// sort-key        =/ "DISPLAYFROM" / "DISPLAYTO"            ; RFC 5957
/// sort-key        =/ "RELEVANCY"                            ; RFC 6203
/// ```
fn sort_criterion(input: &[u8]) -> Parsed<'_, SortCriterion> {
    let (rest, reverse) = match maybe(word("REVERSE"), input)? {
        (rest, Some(())) => (sp(rest)?.0, true),
        (rest, None) => (rest, false),
    };
    let (rest, name) = expect("a sort key", upper_atom)(rest)?;
    match SortKey::ALL.into_iter().find(|key| key.as_str() == name) {
        Some(key) => Ok((rest, SortCriterion { reverse, key })),
        None => mismatch("a known sort key"),
    }
}

/// ```abnf
/// thread          = ["UID" SP] "THREAD" SP thread-alg SP search-criteria
/// thread-alg      = "ORDEREDSUBJECT" / "REFERENCES" / thread-alg-ext
/// ```
pub(super) fn thread(uid: bool, input: &[u8]) -> Parsed<'_, Command> {
    let (rest, name) = expect("a threading algorithm", upper_atom)(input)?;
    let known = ThreadAlgorithm::ALL
        .into_iter()
        .find(|algorithm| algorithm.as_str() == name);
    let Some(algorithm) = known else {
        return mismatch("a known threading algorithm");
    };
    let (rest, ()) = sp(rest)?;
    let (rest, charset) = expect("a charset", text)(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, keys) = search_keys(rest)?;
    Ok((
        rest,
        Command::Thread(Thread {
            uid,
            algorithm,
            charset,
            keys,
        }),
    ))
}
