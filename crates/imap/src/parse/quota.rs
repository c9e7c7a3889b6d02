//! GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208).

use super::token::{Parsed, expect, list0, number64, sp, text, upper_atom};
use crate::command::Command;

/// ```abnf
/// getquota =         "GETQUOTA" SP quota-root-name
/// quota-root-name =  astring
/// ```
pub(super) fn get_quota(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, root) = root(input)?;
    Ok((rest, Command::GetQuota { root }))
}

/// ```abnf
/// setquota =         "SETQUOTA" SP quota-root-name SP setquota-list
/// setquota-list =    "(" [setquota-resource *(SP setquota-resource)]
///                    ")"
/// setquota-resource =  resource-name SP resource-limit
/// ```
pub(super) fn set_quota(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, root) = root(input)?;
    let (rest, ()) = sp(rest)?;
    let resource = |input| {
        let (rest, name) = expect("a resource", upper_atom)(input)?;
        let (rest, ()) = sp(rest)?;
        let (rest, limit) = number64(rest)?;
        Ok((rest, (name, limit)))
    };
    let (rest, limits) = list0(resource, rest)?;
    Ok((rest, Command::SetQuota { root, limits }))
}

pub(super) fn root(input: &[u8]) -> Parsed<'_, String> {
    expect("a quota root", text)(input)
}
