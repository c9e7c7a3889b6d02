//! Atoms, strings, numbers, flags, dates: what commands and responses are made of.

use std::borrow::Cow;

use nom::bytes::complete::{tag, take, take_while, take_while_m_n, take_while1};
use nom::error::{ErrorKind, ParseError};
use nom::{IResult, Parser};

use crate::date::{Date, DateTime, month_number};
use crate::flag::{Flag, Keyword};
use crate::lexical::{is_astring_char, is_atom_char, is_list_char, is_quotable, is_tag_char};
use crate::mailbox::MailboxArg;
use crate::sequence::{MAX_RANGES, SequenceSet};
use crate::tag::Tag;

/// What was expected where the input did not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected(pub(crate) &'static str);

impl ParseError<&[u8]> for Expected {
    fn from_error_kind(_: &[u8], _: ErrorKind) -> Self {
        Self("other syntax")
    }

    fn append(_: &[u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// Result of a parser: what follows, and the value.
pub(crate) type Parsed<'a, T> = IResult<&'a [u8], T, Expected>;

/// A mismatch: another rule may fit.
pub(crate) fn mismatch<'a, T>(what: &'static str) -> Parsed<'a, T> {
    Err(nom::Err::Error(Expected(what)))
}

/// An error that no other rule can mend.
pub(crate) fn refuse<'a, T>(what: &'static str) -> Parsed<'a, T> {
    Err(nom::Err::Failure(Expected(what)))
}

/// Names what `parser` parses, for the error.
pub(crate) fn expect<'a, T>(
    what: &'static str,
    mut parser: impl Parser<&'a [u8], Output = T, Error = Expected>,
) -> impl FnMut(&'a [u8]) -> Parsed<'a, T> {
    move |input| {
        parser.parse(input).map_err(|err| match err {
            nom::Err::Error(_) => nom::Err::Error(Expected(what)),
            other => other,
        })
    }
}

/// `parser` if its first octets fit, else nothing.
pub(crate) fn maybe<'a, T>(
    parser: impl Parser<&'a [u8], Output = T, Error = Expected>,
    input: &'a [u8],
) -> Parsed<'a, Option<T>> {
    nom::combinator::opt(parser).parse(input)
}

pub(crate) fn sp(input: &[u8]) -> Parsed<'_, ()> {
    octet(b' ', "a space", input)
}

pub(crate) fn open(input: &[u8]) -> Parsed<'_, ()> {
    octet(b'(', "\"(\"", input)
}

pub(crate) fn close(input: &[u8]) -> Parsed<'_, ()> {
    octet(b')', "\")\"", input)
}

pub(crate) fn octet<'a>(wanted: u8, what: &'static str, input: &'a [u8]) -> Parsed<'a, ()> {
    match input.split_first() {
        Some((first, rest)) if *first == wanted => Ok((rest, ())),
        _ => mismatch(what),
    }
}

/// The end of the line and of the input; a bare LF will do.
pub(crate) fn end(input: &[u8]) -> Parsed<'_, ()> {
    match input {
        b"\r\n" | b"\n" => Ok((&[], ())),
        _ => mismatch("the end of the line"),
    }
}

/// A word in any case, which must not go on.
pub(crate) fn word<'a>(wanted: &'static str) -> impl FnMut(&'a [u8]) -> Parsed<'a, ()> {
    move |input| {
        let (rest, found) = take_while(is_atom_char)(input)?;
        if found.eq_ignore_ascii_case(wanted.as_bytes()) {
            Ok((rest, ()))
        } else {
            mismatch(wanted)
        }
    }
}

/// `tag             = 1*<any ASTRING-CHAR except "+">`
pub(crate) fn command_tag(input: &[u8]) -> Parsed<'_, Tag> {
    let (rest, tag) = expect("a tag", take_while1(is_tag_char))(input)?;
    Ok((rest, Tag::from_checked(tag)))
}

/// `atom            = 1*ATOM-CHAR`
pub(crate) fn atom(input: &[u8]) -> Parsed<'_, &str> {
    let (rest, atom) = expect("an atom", take_while1(is_atom_char))(input)?;
    // Atom characters are ASCII.
    Ok((rest, std::str::from_utf8(atom).unwrap_or_default()))
}

/// An atom in upper case.
pub(crate) fn upper_atom(input: &[u8]) -> Parsed<'_, String> {
    let (rest, atom) = atom(input)?;
    Ok((rest, atom.to_ascii_uppercase()))
}

/// A name of an item, with what atoms and items have in common: letters, digits, `.`, `-`, `_`.
pub(crate) fn item_name(input: &[u8]) -> Parsed<'_, String> {
    let (rest, name) = expect(
        "a name",
        take_while1(|b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')),
    )(input)?;
    Ok((rest, String::from_utf8_lossy(name).to_ascii_uppercase()))
}

/// ```abnf
/// astring         = 1*ASTRING-CHAR / string
/// ```
pub(crate) fn astring(input: &[u8]) -> Parsed<'_, Cow<'_, [u8]>> {
    chars_or_string(is_astring_char, input)
}

fn chars_or_string(is_char: fn(u8) -> bool, input: &[u8]) -> Parsed<'_, Cow<'_, [u8]>> {
    match input.first() {
        Some(b'"' | b'{') => string(input),
        _ => {
            let (rest, chars) = expect("a string", take_while1(is_char))(input)?;
            Ok((rest, Cow::Borrowed(chars)))
        }
    }
}

/// An astring that must be UTF-8.
pub(crate) fn text(input: &[u8]) -> Parsed<'_, String> {
    let (rest, octets) = astring(input)?;
    match String::from_utf8(octets.into_owned()) {
        Ok(text) => Ok((rest, text)),
        Err(_) => refuse("UTF-8"),
    }
}

/// ```abnf
/// mailbox         = "INBOX" / astring
/// ```
pub(crate) fn mailbox(input: &[u8]) -> Parsed<'_, MailboxArg> {
    let (rest, name) = expect("a mailbox name", astring)(input)?;
    Ok((rest, MailboxArg(name.into_owned())))
}

/// ```abnf
/// list-mailbox    = 1*list-char / string
/// ```
pub(crate) fn list_mailbox(input: &[u8]) -> Parsed<'_, MailboxArg> {
    let (rest, name) = expect("a mailbox pattern", |i| chars_or_string(is_list_char, i))(input)?;
    Ok((rest, MailboxArg(name.into_owned())))
}

/// ```abnf
/// string          = quoted / literal
/// ```
pub(crate) fn string(input: &[u8]) -> Parsed<'_, Cow<'_, [u8]>> {
    match input.first() {
        Some(b'"') => quoted(input),
        Some(b'{') => {
            let (rest, octets) = literal(input)?;
            Ok((rest, Cow::Borrowed(octets)))
        }
        _ => mismatch("a string"),
    }
}

/// ```abnf
/// nstring         = string / nil
/// nil             = "NIL"
/// ```
pub(crate) fn nstring(input: &[u8]) -> Parsed<'_, Option<Cow<'_, [u8]>>> {
    match input.first() {
        Some(b'"' | b'{') => {
            let (rest, octets) = string(input)?;
            Ok((rest, Some(octets)))
        }
        _ => {
            let (rest, ()) = expect("a string or NIL", word("NIL"))(input)?;
            Ok((rest, None))
        }
    }
}

/// ```abnf
/// quoted          = DQUOTE *QUOTED-CHAR DQUOTE
/// QUOTED-CHAR     = <any TEXT-CHAR except quoted-specials> /
///                   "\" quoted-specials / UTF8-2 / UTF8-3 / UTF8-4
/// ```
pub(crate) fn quoted(input: &[u8]) -> Parsed<'_, Cow<'_, [u8]>> {
    let (body, ()) = octet(b'"', "a quoted string", input)?;
    let mut unescaped: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(byte) = body.get(at) {
        match byte {
            b'"' => {
                let octets = unescaped.map_or(Cow::Borrowed(&body[..at]), Cow::Owned);
                return Ok((&body[at + 1..], octets));
            }
            b'\\' => match body.get(at + 1) {
                Some(escaped @ (b'"' | b'\\')) => {
                    unescaped
                        .get_or_insert_with(|| body[..at].to_vec())
                        .push(*escaped);
                    at += 2;
                }
                _ => return mismatch("\"\\\" or a quote after a backslash"),
            },
            byte if is_quotable(*byte) => {
                if let Some(octets) = &mut unescaped {
                    octets.push(*byte);
                }
                at += 1;
            }
            _ => break,
        }
    }
    mismatch("the end of a quoted string")
}

/// ```abnf
/// literal         = "{" number64 ["+"] "}" CRLF *CHAR8
/// ```
pub(crate) fn literal(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, ()) = octet(b'{', "a literal", input)?;
    let (rest, len) = number64(rest)?;
    if input.len() - rest.len() > ANNOUNCEMENT_MAX - 5 {
        return mismatch("a shorter number");
    }
    let (rest, _) = maybe(tag(&b"+"[..]), rest)?;
    let (rest, ()) = octet(b'}', "the end of a literal's length", rest)?;
    let (rest, _) = maybe(tag(&b"\r"[..]), rest)?;
    let (rest, ()) = octet(b'\n', "a line break after a literal's length", rest)?;
    match usize::try_from(len) {
        Ok(len) => expect("the octets of a literal", take(len))(rest),
        Err(_) => mismatch("a shorter literal"),
    }
}

/// ```abnf
/// literal8        =  "~{" number64 "}" CRLF *OCTET
/// ```
pub(crate) fn literal8(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, ()) = octet(b'~', "a literal8", input)?;
    literal(rest)
}

/// A literal announced at the end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// Where in the line it starts, with its `~` if it has one.
    pub at: usize,
    /// Its length; `None` if it is above 63 bits.
    pub len: Option<u64>,
    /// Without `+`: its sender waits for a continuation request.
    pub sync: bool,
    /// `~`
    pub binary: bool,
}

/// The most octets that an announcement and its line break may take: `~`, braces, `+`, 19
/// digits, and some leading zeros. A longer one is none: then that much of a line's end is all
/// that a reader must keep of a line that it does not.
pub const ANNOUNCEMENT_MAX: usize = 40;

/// Whether `line`, without its line break, ends with the announcement of a literal. Whoever cuts
/// octets into commands must ask this function: where two of them disagree, one of them takes
/// the octets of a literal for commands.
#[must_use]
pub fn literal_announcement(line: &[u8]) -> Option<Announcement> {
    let body = line.strip_suffix(b"}")?;
    let (body, sync) = match body.strip_suffix(b"+") {
        Some(body) => (body, false),
        None => (body, true),
    };
    let digits = body.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let head = body.len() - digits;
    if !(1..=ANNOUNCEMENT_MAX - 6).contains(&digits) || head == 0 || body[head - 1] != b'{' {
        return None;
    }
    let binary = head >= 2 && body[head - 2] == b'~';
    Some(Announcement {
        at: head - 1 - usize::from(binary),
        len: number64(&body[head..]).ok().map(|(_, len)| len),
        sync,
        binary,
    })
}

/// ```abnf
/// number          = 1*DIGIT
///                     ; Unsigned 32-bit integer
/// ```
pub(crate) fn number(input: &[u8]) -> Parsed<'_, u32> {
    let (rest, value) = number64(input)?;
    match u32::try_from(value) {
        Ok(value) => Ok((rest, value)),
        Err(_) => mismatch("a number below 4294967296"),
    }
}

/// ```abnf
/// nz-number       = digit-nz *DIGIT
///                     ; Non-zero unsigned 32-bit integer
/// ```
pub(crate) fn nz_number(input: &[u8]) -> Parsed<'_, u32> {
    match number(input)? {
        (_, 0) => mismatch("a number above zero"),
        found => Ok(found),
    }
}

/// ```abnf
/// number64        = 1*DIGIT
///                     ; Unsigned 63-bit integer
/// ```
pub(crate) fn number64(input: &[u8]) -> Parsed<'_, u64> {
    let (rest, digits) = expect("a number", take_while1(|b: u8| b.is_ascii_digit()))(input)?;
    let value = digits.iter().try_fold(0u64, |value, digit| {
        value
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))
            .filter(|value| i64::try_from(*value).is_ok())
    });
    match value {
        Some(value) => Ok((rest, value)),
        None => mismatch("a number below 2^63"),
    }
}

/// ```abnf
/// mod-sequence-value  = 1*DIGIT
///                        ;; Positive unsigned 63-bit integer
/// ```
pub(crate) fn mod_sequence(input: &[u8]) -> Parsed<'_, u64> {
    match number64(input)? {
        (_, 0) => mismatch("a mod-sequence above zero"),
        found => Ok(found),
    }
}

/// See [`SequenceSet::parse`].
pub(crate) fn sequence_set(input: &[u8]) -> Parsed<'_, SequenceSet> {
    bounded_set(MAX_RANGES, input)
}

/// A set in a response, which the length of the response bounds.
pub(crate) fn response_set(input: &[u8]) -> Parsed<'_, SequenceSet> {
    bounded_set(usize::MAX, input)
}

fn bounded_set(max: usize, input: &[u8]) -> Parsed<'_, SequenceSet> {
    let (rest, set) = expect(
        "a sequence set",
        take_while1(|b: u8| b.is_ascii_digit() || matches!(b, b':' | b',' | b'*' | b'$')),
    )(input)?;
    match SequenceSet::parse_bounded(set, max) {
        Ok(set) => Ok((rest, set)),
        Err(_) => mismatch("a valid sequence set"),
    }
}

/// ```abnf
/// flag            = "\Answered" / "\Flagged" / "\Deleted" /
///                   "\Seen" / "\Draft" / flag-keyword / flag-extension
/// flag-extension  = "\" atom
/// flag-keyword    = "$MDNSent" / "$Forwarded" / "$Junk" /
///                   "$NotJunk" / "$Phishing" / atom
/// ```
pub(crate) fn flag(input: &[u8]) -> Parsed<'_, Flag> {
    let (rest, backslash) = maybe(tag(&b"\\"[..]), input)?;
    let (rest, name) = expect("a flag", atom)(rest)?;
    let name = Keyword::from_checked(name.as_bytes());
    Ok((
        rest,
        match backslash {
            Some(_) => Flag::system_or_extension(name),
            None => Flag::Keyword(name),
        },
    ))
}

/// ```abnf
/// flag-list       = "(" [flag *(SP flag)] ")"
/// ```
pub(crate) fn flag_list(input: &[u8]) -> Parsed<'_, Vec<Flag>> {
    list0(flag, input)
}

/// `"(" item *(SP item) ")"`
pub(crate) fn list1<'a, T>(
    item: impl Parser<&'a [u8], Output = T, Error = Expected>,
    input: &'a [u8],
) -> Parsed<'a, Vec<T>> {
    let (rest, ()) = open(input)?;
    let (rest, items) = spaced(item, rest)?;
    let (rest, ()) = close(rest)?;
    Ok((rest, items))
}

/// `"(" [item *(SP item)] ")"`
pub(crate) fn list0<'a, T>(
    item: impl Parser<&'a [u8], Output = T, Error = Expected>,
    input: &'a [u8],
) -> Parsed<'a, Vec<T>> {
    match input {
        [b'(', b')', rest @ ..] => Ok((rest, Vec::new())),
        _ => list1(item, input),
    }
}

/// `item *(SP item)`
pub(crate) fn spaced<'a, T>(
    mut item: impl Parser<&'a [u8], Output = T, Error = Expected>,
    input: &'a [u8],
) -> Parsed<'a, Vec<T>> {
    let (mut rest, first) = item.parse(input)?;
    let mut items = vec![first];
    while let [b' ', after @ ..] = rest {
        let (after, next) = item.parse(after)?;
        items.push(next);
        rest = after;
    }
    Ok((rest, items))
}

/// ```abnf
/// date            = date-text / DQUOTE date-text DQUOTE
/// date-text       = date-day "-" date-month "-" date-year
/// date-day        = 1*2DIGIT
/// ```
pub(crate) fn date(input: &[u8]) -> Parsed<'_, Date> {
    let date_text = |input| {
        let (rest, day) = digits(1, 2, input)?;
        month_and_year(day, rest)
    };
    match input.strip_prefix(b"\"") {
        Some(rest) => {
            let (rest, date) = expect("a date", date_text)(rest)?;
            let (rest, ()) = octet(b'"', "the end of a quoted date", rest)?;
            Ok((rest, date))
        }
        None => expect("a date", date_text)(input),
    }
}

/// ```abnf
/// date-month      = "Jan" / "Feb" / "Mar" / "Apr" / "May" / "Jun" /
///                   "Jul" / "Aug" / "Sep" / "Oct" / "Nov" / "Dec"
/// date-year       = 4DIGIT
/// ```
fn month_and_year(day: u32, input: &[u8]) -> Parsed<'_, Date> {
    let (rest, ()) = octet(b'-', "\"-\"", input)?;
    let (rest, month) = take(3usize)(rest)?;
    let (rest, ()) = octet(b'-', "\"-\"", rest)?;
    let (rest, year) = digits(4, 4, rest)?;
    let date = month_number(month)
        .zip(u8::try_from(day).ok())
        .zip(u16::try_from(year).ok())
        .and_then(|((month, day), year)| Date::new(year, month, day));
    match date {
        Some(date) => Ok((rest, date)),
        None => mismatch("a day of the calendar"),
    }
}

/// ```abnf
/// date-time       = DQUOTE date-day-fixed "-" date-month "-" date-year
///                   SP time SP zone DQUOTE
/// date-day-fixed  = (SP DIGIT) / 2DIGIT
/// time            = 2DIGIT ":" 2DIGIT ":" 2DIGIT
/// zone            = ("+" / "-") 4DIGIT
/// ```
pub(crate) fn date_time(input: &[u8]) -> Parsed<'_, DateTime> {
    expect("a date and time", date_time_inner)(input)
}

fn date_time_inner(input: &[u8]) -> Parsed<'_, DateTime> {
    let (rest, ()) = octet(b'"', "a date and time", input)?;
    let (rest, _) = maybe(tag(&b" "[..]), rest)?;
    // One digit without the space that should precede it is let pass.
    let (rest, day) = digits(1, 2, rest)?;
    let (rest, date) = month_and_year(day, rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, hour) = digits(2, 2, rest)?;
    let (rest, ()) = octet(b':', "\":\"", rest)?;
    let (rest, minute) = digits(2, 2, rest)?;
    let (rest, ()) = octet(b':', "\":\"", rest)?;
    let (rest, second) = digits(2, 2, rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, sign) = expect("a zone", take(1usize))(rest)?;
    let (rest, zone_hours) = digits(2, 2, rest)?;
    let (rest, zone_minutes) = digits(2, 2, rest)?;
    let (rest, ()) = octet(b'"', "the end of a date and time", rest)?;
    // A leap second counts as the one before it.
    if hour > 23 || minute > 59 || second > 60 || zone_hours > 23 || zone_minutes > 59 {
        return mismatch("a time of day");
    }
    let offset = i16::try_from(zone_hours * 60 + zone_minutes).unwrap_or(0);
    let offset_minutes = match sign {
        b"+" => offset,
        b"-" => -offset,
        _ => return mismatch("a zone"),
    };
    let seconds = hour * 3_600 + minute * 60 + second.min(59);
    let unix =
        date.days_since_epoch() * 86_400 + i64::from(seconds) - i64::from(offset_minutes) * 60;
    Ok((
        rest,
        DateTime {
            unix,
            offset_minutes,
        },
    ))
}

fn digits(min: usize, max: usize, input: &[u8]) -> Parsed<'_, u32> {
    let (rest, digits) = take_while_m_n(min, max, |b: u8| b.is_ascii_digit())(input)?;
    let value = digits
        .iter()
        .fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    Ok((rest, value))
}

/// The octets of a value of any kind: an atom, a string, or parentheses with such in them. Does
/// not recurse, so nesting is no danger; strings and literals are skipped whole.
pub(crate) fn any_value(input: &[u8]) -> Parsed<'_, &[u8]> {
    let mut depth = 0usize;
    let mut rest = input;
    loop {
        rest = match rest.first() {
            Some(b'(') => {
                depth += 1;
                &rest[1..]
            }
            Some(b')') if depth > 0 => {
                depth -= 1;
                &rest[1..]
            }
            Some(b' ') if depth > 0 => &rest[1..],
            Some(b'"') => quoted(rest)?.0,
            Some(b'{') => literal(rest)?.0,
            Some(b'~') if rest.get(1) == Some(&b'{') => literal8(rest)?.0,
            _ => {
                take_while1(|b: u8| is_astring_char(b) || matches!(b, b'\\' | b'*' | b'%'))(rest)?.0
            }
        };
        if depth == 0 {
            return Ok((rest, &input[..input.len() - rest.len()]));
        }
    }
}
