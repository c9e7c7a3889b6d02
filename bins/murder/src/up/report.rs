//! What `murder up` prints: how to connect.

use std::path::Path;

use super::topology::{Topology, file};
use crate::output;

/// Prints it.
///
/// # Errors
/// As [`output::print`].
pub fn print(
    topology: &Topology,
    dir: &Path,
    detached: bool,
    unready: &[String],
) -> anyhow::Result<()> {
    let program = std::env::args_os().next().unwrap_or_default();
    let dir_word = shell(&dir.display().to_string());
    let down = format!(
        "{} down --dir {dir_word}",
        shell(&program.to_string_lossy())
    );
    let stop = if detached {
        format!("Stop it with: {down}\n")
    } else {
        format!("Stop it with Ctrl-C, or with: {down}\n")
    };
    output::print(&(text(topology, dir, unready) + "\n" + &stop))
}

fn text(topology: &Topology, dir: &Path, unready: &[String]) -> String {
    let mut text = match unready {
        [] => String::from("A murder is ready.\n\n"),
        unready => format!("A murder runs; not ready: {}.\n\n", unready.join(", ")),
    };
    text += &format!(
        "  {:<6}{:<17}{:<17}{:<17}{}\n",
        "", "imap", "imaps", "lmtp", "http"
    );
    for node in topology.frontends.iter().chain(&topology.backends) {
        text += &format!(
            "  {:<6}{:<17}{:<17}{:<17}{}\n",
            node.name, node.imap, node.imaps, node.lmtp, node.http
        );
        if let (Some(pop3), Some(pop3s)) = (&node.pop3, &node.pop3s) {
            text += &format!("  {:<6}pop3 {pop3}, pop3s {pop3s}\n", "");
        }
    }
    for node in &topology.masters {
        text += &format!(
            "  {:<6}{:<17}{:<34}{}\n",
            node.name,
            "",
            format!("grpc {}", node.grpc),
            node.http
        );
    }
    let users = &topology.users;
    let name = |number: u32| users.pattern.replace("{}", &number.to_string());
    let (admin, password) = (&topology.admin.user, &users.password);
    text += "\n  Users      ";
    text += &match users.count {
        0 => "none".to_owned(),
        1 => name(users.first),
        count => format!("{} to {}", name(users.first), name(users.first + count - 1)),
    };
    text += &format!(", administrator {admin}; everyone's password is {password}\n");
    text += &format!("  Topology   {}\n", file(dir).display());
    text += &format!("  CA         {}\n", topology.ca.display());
    let (Some(frontend), true) = (topology.frontends.first(), users.count > 0) else {
        return text;
    };
    let other = topology.frontends.last().unwrap_or(frontend);
    let (user, ca) = (name(users.first), shell(&topology.ca.display().to_string()));
    let login = shell(&format!("{user}:{password}"));
    let (imap_host, imap_port) = split(&frontend.imap);
    let (lmtp_host, lmtp_port) = split(&frontend.lmtp);
    text += &format!(
        r#"
Try it:

  # deliver a message by LMTP
  python3 -c 'import smtplib; smtplib.LMTP("{lmtp_host}", {lmtp_port}).sendmail("me@example.org", "{user}", "Subject: hello\r\n\r\nHello, world.\r\n")'
  # read it, in the clear and under TLS
  curl -u {login} 'imap://{imap}/INBOX;MAILINDEX=1'
  curl -u {login} --cacert {ca} 'imaps://{imaps}/INBOX;MAILINDEX=1'
  # the same from Python
  python3 -c 'import imaplib; m = imaplib.IMAP4("{imap_host}", {imap_port}); m.login("{user}", {python_password}); print(m.list(), m.select())'
  # by hand, with STARTTLS
  openssl s_client -quiet -crlf -starttls imap -CAfile {ca} -connect {imap}
"#,
        imap = frontend.imap,
        imaps = other.imaps,
        python_password = python(password),
    );
    text
}

fn split(address: &str) -> (&str, &str) {
    address.rsplit_once(':').unwrap_or((address, ""))
}

/// As one word of a shell's command line.
fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// As a Python string within a single-quoted shell word.
fn python(word: &str) -> String {
    let quoted = word.replace('\\', r"\\").replace('"', "\\\"");
    format!("\"{}\"", quoted.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted() {
        assert_eq!(shell("user1:secret"), "user1:secret");
        assert_eq!(shell("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(shell(""), "''");
        assert_eq!(python(r#"a"b\c'd"#), r#""a\"b\\c'\''d""#);
    }
}
