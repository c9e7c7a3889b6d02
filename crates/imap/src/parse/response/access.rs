//! ACLs, quota and annotations (RFC 4314, RFC 9208, RFC 5464).

use super::after_sp;
use crate::parse::metadata::{entry, entry_values};
use crate::parse::quota::root;
use crate::parse::token::{Parsed, list0, mailbox, number64, sp, spaced, text, upper_atom};
use crate::quota::QuotaResource;
use crate::response::Untagged;

/// ```abnf
/// metadata-resp     = "METADATA" SP mailbox SP
///                     (entry-values / entry-list)
/// entry-list        = entry *(SP entry)
/// ```
pub(super) fn metadata(input: &[u8]) -> Parsed<'_, Untagged> {
    let (rest, mailbox) = mailbox(input)?;
    let (rest, ()) = sp(rest)?;
    if rest.first() == Some(&b'(') {
        let (rest, entries) = entry_values(rest)?;
        return Ok((rest, Untagged::Metadata { mailbox, entries }));
    }
    let (rest, entries) = spaced(entry, rest)?;
    Ok((rest, Untagged::MetadataChanged { mailbox, entries }))
}

/// ```abnf
/// quota-response =   "QUOTA" SP quota-root-name SP quota-list
/// quota-list =       "(" quota-resource *(SP quota-resource) ")"
/// quota-resource =   resource-name SP resource-usage SP resource-limit
/// ```
pub(super) fn quota(input: &[u8]) -> Parsed<'_, Untagged> {
    let resource = |input| {
        let (rest, name) = upper_atom(input)?;
        let (rest, usage) = after_sp(number64, rest)?;
        let (rest, limit) = after_sp(number64, rest)?;
        Ok((rest, QuotaResource { name, usage, limit }))
    };
    let (rest, root) = root(input)?;
    let (rest, ()) = sp(rest)?;
    // RFC 2087 let a root have no resource at all.
    let (rest, resources) = list0(resource, rest)?;
    Ok((rest, Untagged::Quota { root, resources }))
}

/// ```abnf
/// quotaroot-response =  "QUOTAROOT" SP mailbox *(SP quota-root-name)
/// ```
pub(super) fn quota_root(input: &[u8]) -> Parsed<'_, Untagged> {
    let (mut rest, mailbox) = mailbox(input)?;
    let mut roots = Vec::new();
    while let [b' ', after @ ..] = rest {
        let name;
        (rest, name) = root(after)?;
        roots.push(name);
    }
    Ok((rest, Untagged::QuotaRoot { mailbox, roots }))
}

/// ```abnf
/// acl-data        = "ACL" SP mailbox *(SP identifier SP
///                     rights)
/// ```
pub(super) fn acl(input: &[u8]) -> Parsed<'_, Untagged> {
    let (mut rest, mailbox) = after_sp(mailbox, input)?;
    let mut entries = Vec::new();
    while let [b' ', after @ ..] = rest {
        let (after, identifier) = text(after)?;
        let (after, ()) = sp(after)?;
        let (after, rights) = text(after)?;
        entries.push((identifier, rights));
        rest = after;
    }
    Ok((rest, Untagged::Acl { mailbox, entries }))
}

/// ```abnf
/// listrights-data = "LISTRIGHTS" SP mailbox SP identifier
///                         SP rights *(SP rights)
/// ```
pub(super) fn list_rights(input: &[u8]) -> Parsed<'_, Untagged> {
    let (rest, mailbox) = mailbox(input)?;
    let (rest, identifier) = after_sp(text, rest)?;
    let (mut rest, required) = after_sp(text, rest)?;
    let mut optional = Vec::new();
    while let [b' ', after @ ..] = rest {
        let rights;
        (rest, rights) = text(after)?;
        optional.push(rights);
    }
    Ok((
        rest,
        Untagged::ListRights {
            mailbox,
            identifier,
            required,
            optional,
        },
    ))
}

/// ```abnf
/// myrights-data   = "MYRIGHTS" SP mailbox SP rights
/// ```
pub(super) fn my_rights(input: &[u8]) -> Parsed<'_, Untagged> {
    let (rest, mailbox) = mailbox(input)?;
    let (rest, rights) = after_sp(text, rest)?;
    Ok((rest, Untagged::MyRights { mailbox, rights }))
}
