//! Character classes of the grammar (RFC 9051 section 9).

/// `ATOM-CHAR`: any 7-bit CHAR except atom-specials.
///
/// ```abnf
/// ATOM-CHAR       = <any CHAR except atom-specials>
/// atom-specials   = "(" / ")" / "{" / SP / CTL / list-wildcards /
///                   quoted-specials / resp-specials
/// ```
pub(crate) const fn is_atom_char(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e)
        && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// `ASTRING-CHAR   = ATOM-CHAR / resp-specials`
pub(crate) const fn is_astring_char(byte: u8) -> bool {
    is_atom_char(byte) || byte == b']'
}

/// What a URL's path may hold as it is, but for `;`, which begins a parameter (RFC 5092 section 11,
/// `bchar` without `pct-encoded`).
///
/// ```abnf
/// unreserved      = ALPHA / DIGIT / "-" / "." / "_" / "~"
/// sub-delims-sh   = "!" / "$" / "'" / "(" / ")" / "*" / "+" / ","
/// ```
pub(crate) const fn is_bchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'\'' | b'(' | b')' | b'*' | b'+' | b','
        )
        || matches!(byte, b'&' | b'=' | b':' | b'@' | b'/')
}

/// `list-char       = ATOM-CHAR / list-wildcards / resp-specials`
pub(crate) const fn is_list_char(byte: u8) -> bool {
    is_astring_char(byte) || matches!(byte, b'%' | b'*')
}

/// `tag             = 1*<any ASTRING-CHAR except "+">`
pub(crate) const fn is_tag_char(byte: u8) -> bool {
    is_astring_char(byte) && byte != b'+'
}

/// What a quoted string may hold: any octet but NUL, CR, LF. (`QUOTED-CHAR` also wants valid
/// UTF-8: who takes the string for text checks that.)
pub(crate) const fn is_quotable(byte: u8) -> bool {
    !matches!(byte, 0 | b'\r' | b'\n')
}
