//! The audit log: who did what, under the same session on each node.

use murder_testkit::{ImapClient, Processes, wait_until};

use crate::operator::operate_in;
use crate::{MURDER, Tested, message};

/// Waits for an audit event in a node's log whose line has each of these.
async fn event(
    murder: &Processes,
    node: &str,
    name: &str,
    parts: &[&str],
) -> anyhow::Result<String> {
    let config = murder.node(node)?.config;
    let file = config.with_extension("log");
    let wanted = format!("event=\"{name}\"");
    wait_until(
        &format!("{name} {parts:?} in {}", file.display()),
        async || {
            let log = std::fs::read_to_string(&file).ok()?;
            let lines = log.lines().filter(|line| line.contains(&wanted));
            let mut lines = lines.filter(|line| parts.iter().all(|part| line.contains(part)));
            lines.next().map(str::to_owned)
        },
    )
    .await
}

/// The value of a field of a line.
fn field(line: &str, name: &str) -> Option<String> {
    let (_, rest) = line.rsplit_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_what() -> Tested {
    let murder = Processes::builder(MURDER)
        .argument("--backends=1")
        .argument("--frontends=1")
        .users(2)
        .start()
        .await?;
    let topology = murder.topology()?;
    let password = topology.users.password.clone();
    let mut client = murder.imap(1, "user1").await?;
    for command in [
        "CREATE Work",
        "SETACL Work user2 lrs",
        "RENAME Work Done",
        "DELETE Done",
    ] {
        client.ok(command).await?;
    }
    let create = event(
        &murder,
        "be1",
        "mailbox.create",
        &["mailbox=user/user1/Work "],
    )
    .await?;
    let session = field(&create, "session").unwrap();
    let session = format!("session=\"{session}\"");
    anyhow::ensure!(
        create.contains("user=\"user1\"") && create.contains("client=127."),
        "{create}"
    );
    // The frontend calls the session by the same name, in the same field.
    let file = murder.node("fe1")?.config.with_extension("log");
    let log = std::fs::read_to_string(file)?;
    anyhow::ensure!(log.contains(&session.replace('"', "")), "{session}:\n{log}");
    for (name, parts) in [
        ("mailbox.setacl", &["identifier=\"user2\"", "rights="][..]),
        ("mailbox.rename", &["to=user/user1/Done"]),
        ("mailbox.delete", &["mailbox=user/user1/Done"]),
    ] {
        event(&murder, "be1", name, &[parts, &[&*session]].concat()).await?;
    }
    // And so does the master, with who told it.
    for name in [
        "reserve",
        "activate",
        "setacl",
        "rename",
        "begin-delete",
        "delete",
    ] {
        let name = format!("mailbox.{name}");
        let by = [
            "by=\"be1\"",
            "role=\"backend\"",
            "user=\"user1\"",
            &*session,
        ];
        event(&murder, "mu1", &name, &by).await?;
    }

    let mut delivering = murder.lmtp(1).await?;
    delivering.command("XFORWARD IDENT=4XyZ").await?;
    delivering.mail("a@example.org").await?;
    delivering.rcpt("user2").await?;
    delivering.rcpt("nobody").await?;
    delivering.data(&message("Confidential")).await?;
    let mail = [
        "sender=\"a@example.org\"",
        "queue=\"4XyZ\"",
        "result=250 2.1.5",
    ];
    let to_user2 = [&mail[..], &["recipient=\"user2\""]].concat();
    let relayed = event(&murder, "fe1", "mail.relay", &to_user2).await?;
    let session = format!("session=\"{}\"", field(&relayed, "session").unwrap());
    let there = [&to_user2[..], &[&*session, "mailbox=user/user2 ", "size="]].concat();
    event(&murder, "be1", "mail.deliver", &there).await?;
    let refused = ["recipient=\"nobody\"", "result=550 5.1.1", &*session];
    event(&murder, "fe1", "mail.relay", &refused).await?;

    // What operators do, and administrators.
    for words in [
        &[
            "user",
            "add",
            "eve",
            "--password",
            "s3cret",
            "--group",
            "staff",
        ][..],
        &["user", "passwd", "eve", "--password", "s3cret"],
        &["user", "disable", "eve"],
        &["user", "delete", "eve"],
        &["quota", "set", "user/user1", "--storage", "1G"],
    ] {
        let said = operate_in(murder.dir(), words).await?;
        anyhow::ensure!(said.ok, "{words:?}: {}", said.error);
    }
    for name in ["add", "password", "update", "delete"] {
        let name = format!("account.{name}");
        let by = ["by=\"operator\"", "role=\"operator\"", "account=\"eve\""];
        event(&murder, "mu1", &name, &by).await?;
    }
    let root = [
        "operator=\"operator\"",
        "root=user/user1",
        "storage_kib=1048576",
    ];
    event(&murder, "be1", "quota.set", &root).await?;
    let mut client = ImapClient::connect(topology.backends[0].imap).await?;
    let admin = &topology.admin;
    client.login(&admin.user, &admin.password).await?;
    client.ok("SETACL \"Other Users/user2\" admin +lr").await?;
    client.select("Other Users/user2").await?;
    let access = [
        "user=\"admin\"",
        "mailbox=user/user2",
        "action=\"select\"",
        "admin=true",
    ];
    event(&murder, "be1", "mailbox.access", &access).await?;

    for node in ["mu1", "be1", "fe1"] {
        let log = std::fs::read_to_string(murder.node(node)?.config.with_extension("log"))?;
        for secret in ["s3cret", &password, "$argon2", "Confidential"] {
            anyhow::ensure!(!log.contains(secret), "{secret} in the log of {node}");
        }
    }
    Ok(())
}
