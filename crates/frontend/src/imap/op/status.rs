//! STATUS (RFC 9051 section 6.3.11).

use murder_mailbox::{Namespace, Rights};

use crate::backend::Answer;
use crate::backend::answer::mailbox;
use crate::imap::arguments::{Arguments, Coding, Encoding};
use crate::imap::errors::OpResult;
use crate::imap::session::Session;

/// STATUS mailbox (items)
pub(crate) async fn status(session: &mut Session, mut arguments: Arguments<'_>) -> OpResult {
    let user = session.user()?;
    let name = arguments.mailbox(&user.namespace, session.encoding)?;
    arguments.space()?;
    let items = arguments.parenthesised()?.to_vec();
    arguments.end()?;
    let (completion, answers) = session
        .on_mailbox(&name?, Rights::READ, &|name| {
            [b"STATUS ", name.as_bytes(), b" ", &items].concat()
        })
        .await?;
    for answer in &answers {
        if answer.keyword() == "STATUS"
            && let Some(bytes) = renamed(answer, &user.namespace, session.encoding)
        {
            session.client.wire.put(&bytes);
        }
    }
    Ok(completion)
}

/// An answer whose first argument is a mailbox name, with the name as the client sees it.
/// `None` for a mailbox that the client cannot see.
pub(crate) fn renamed(
    answer: &Answer,
    namespace: &Namespace,
    encoding: Encoding,
) -> Option<Vec<u8>> {
    let (name, rest) = mailbox(answer.arguments())?;
    let name = encoding.encode(&namespace.render(&name)?);
    let mut bytes = format!("* {} {name}", answer.keyword()).into_bytes();
    encoding.put_strings(&mut bytes, rest);
    bytes.extend_from_slice(b"\r\n");
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_shown_as_the_client_sees_them() {
        let bob = Namespace::client(murder_mailbox::NamespaceConfig::default(), "bob", false);
        let show = |text: &str| {
            let answer = Answer {
                bytes: text.as_bytes().to_vec(),
            };
            renamed(&answer, &bob, Encoding::Utf7).map(|bytes| String::from_utf8(bytes).unwrap())
        };
        assert_eq!(
            show("* STATUS \"user/bob\" (MESSAGES 1)\r\n").unwrap(),
            "* STATUS INBOX (MESSAGES 1)\r\n"
        );
        assert_eq!(
            show("* ACL \"user/alice/Entw\u{fc}rfe\" bob {3}\r\nlrs\r\n").unwrap(),
            "* ACL \"Other Users/alice/Entw&APw-rfe\" bob {3}\r\nlrs\r\n"
        );
        assert_eq!(
            show("* MYRIGHTS {8}\r\nuser/bob lrs\r\n").unwrap(),
            "* MYRIGHTS INBOX lrs\r\n"
        );
        assert_eq!(show("* STATUS \"a//b\" ()\r\n"), None);
    }

    #[test]
    fn strings_are_as_the_client_takes_them() {
        let bob = Namespace::client(murder_mailbox::NamespaceConfig::default(), "bob", false);
        let show = |encoding, text: &str| {
            let answer = Answer {
                bytes: text.as_bytes().to_vec(),
            };
            renamed(&answer, &bob, encoding).map(|bytes| String::from_utf8(bytes).unwrap())
        };
        for (answer, utf7) in [
            (
                "* ACL \"user/bob\" \"m\u{fc}ller\" lr \"a\\\"b\" lr {4}\r\n\"\u{fc}\" x\r\n",
                "* ACL INBOX {7}\r\nm\u{fc}ller lr \"a\\\"b\" lr {4}\r\n\"\u{fc}\" x\r\n",
            ),
            (
                "* LISTRIGHTS \"user/bob\" \"\\\"\u{fc}\\\\\" \"\" l\r\n",
                "* LISTRIGHTS INBOX {4}\r\n\"\u{fc}\\ \"\" l\r\n",
            ),
        ] {
            assert_eq!(show(Encoding::Utf7, answer).unwrap(), utf7);
            let utf8 = answer.replacen("\"user/bob\"", "INBOX", 1);
            assert_eq!(show(Encoding::Utf8, answer).unwrap(), utf8);
        }
    }
}
