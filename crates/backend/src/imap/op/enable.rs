//! ENABLE (RFC 5161, RFC 9051 section 6.3.1).

use murder_imap::NameEncoding;

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::enabled::Extension;
use crate::imap::errors::{OpResult, bad, ok};
use crate::imap::selected::Selected;

/// ENABLE: what there is of `capabilities` is enabled and named, also when it was before; the
/// others are ignored.
///
/// Once a mailbox is selected it is too late for all but CONDSTORE and QRESYNC, of which nothing
/// that was said before depends; clients must not ask for them either (section 3.1), but do.
pub(crate) fn enable(
    client: &mut Client,
    account: &Account,
    mut selected: Option<&mut Selected>,
    capabilities: &[String],
) -> OpResult {
    let asked: Vec<Extension> = Extension::ALL
        .into_iter()
        .filter(|extension| {
            let mut names = capabilities.iter();
            names.any(|name| name.eq_ignore_ascii_case(extension.name()))
        })
        .collect();
    let late =
        |extension: &Extension| !matches!(extension, Extension::CondStore | Extension::QResync);
    if selected.is_some() && asked.iter().any(late) {
        return Err(bad("That must be enabled before a mailbox is selected"));
    }
    for extension in &asked {
        client.enable(account, selected.as_deref_mut(), *extension);
    }
    if client.enabled.has(Extension::Rev2) || client.enabled.has(Extension::Utf8) {
        client.writer.set_names(NameEncoding::Utf8);
    }
    let names = asked.into_iter().map(Extension::name);
    client.writer.enabled(names);
    Ok(ok("ENABLE completed"))
}
