//! Limits, what they refuse, and whether they count right. What partitions take on disk.

use murder_testkit::{LmtpClient, Murder, metric, wait_until};
use serde_json::{Value, json};

use crate::operator::{done, refused, told};
use crate::{Tested, message};

/// The replies to a message of that many bytes.
async fn deliver(lmtp: &mut LmtpClient, bytes: usize) -> anyhow::Result<Vec<String>> {
    let mut body = message("big");
    body.extend(
        b"x".repeat(78)
            .into_iter()
            .chain(*b"\r\n")
            .cycle()
            .take(bytes / 80 * 80),
    );
    let replies = lmtp.deliver(&["user1", "user2"], &body).await?;
    let line = |reply: &murder_testkit::LmtpReply| format!("{} {}", reply.code, reply.text());
    Ok(replies.iter().map(line).collect())
}

fn used(quota: &Value) -> (u64, u64, u64) {
    let of = |resource: &str| quota[resource]["used"].as_u64().unwrap();
    (of("storage_kib"), of("messages"), of("mailboxes"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_quota_is_refused() -> Tested {
    let murder = Murder::builder().frontends(1).start().await?;
    let mut lmtp = murder.lmtp(1).await?;
    let mut client = murder.imap(1, "user1").await?;
    client.append("INBOX", "", &message("one")).await?;
    let words = [
        "quota",
        "set",
        "user/user1",
        "--storage",
        "9K",
        "--messages=3",
    ];
    let set = told(&murder, &[&words[..], &["--mailboxes", "2"]].concat()).await?;
    assert_eq!(used(&set[0]), (1, 1, 1));
    assert_eq!(set[0]["storage_kib"]["limit"], 9);
    assert_eq!(set[0]["partition"], "be1!default");

    // STORAGE, by APPEND, LMTP and COPY.
    let big = [message("big"), b"x".repeat(10_000)].concat();
    let answer = client.try_append("INBOX", "", &big).await?;
    assert_eq!(
        (answer.code().as_str(), answer.status),
        ("OVERQUOTA", murder_testkit::Status::No)
    );
    let replies = deliver(&mut lmtp, 12_000).await?;
    assert!(replies[0].contains("452 4.2.2"), "{replies:?}");
    assert!(replies[1].contains("250 "), "{replies:?}");
    // MESSAGE.
    for subject in ["two", "three"] {
        client.append("INBOX", "", &message(subject)).await?;
    }
    let answer = client.try_append("INBOX", "", &message("four")).await?;
    assert_eq!(answer.code(), "OVERQUOTA");
    client.select("INBOX").await?;
    client.no("COPY 1 INBOX", "OVERQUOTA").await?;
    let replies = deliver(&mut lmtp, 0).await?;
    assert!(replies[0].contains("452 4.2.2"), "{replies:?}");
    // MAILBOX.
    client.ok("CREATE a").await?;
    client.no("CREATE b", "OVERQUOTA").await?;

    // What is expunged makes room, though it is kept; restoring needs room.
    client.ok("STORE 1 +FLAGS (\\Deleted)").await?;
    client.ok("EXPUNGE").await?;
    client.append("INBOX", "", &message("four")).await?;
    let why = refused(&murder, &["restore", "messages", "user/user1"]).await?;
    assert!(
        why.contains("over quota: MESSAGE of user/user1 is 3, the limit is 3"),
        "{why}"
    );
    client.ok("DELETE a").await?;
    client.ok("CREATE c").await?;
    let why = refused(&murder, &["restore", "mailbox", "user/user1/a"]).await?;
    assert!(why.contains("over quota: MAILBOX"), "{why}");
    // Nothing is left behind at the master.
    assert_eq!(client.list("*").await?, ["INBOX", "c"]);

    // Limits that are not named stay.
    let set = told(
        &murder,
        &["quota", "set", "user/user1", "--messages", "none"],
    )
    .await?;
    assert_eq!(set[0]["messages"]["limit"], Value::Null);
    assert_eq!(set[0]["mailboxes"]["limit"], 2);
    told(&murder, &["restore", "messages", "user/user1"]).await?;
    told(
        &murder,
        &["quota", "set", "user/user2/Lists", "--storage=1G"],
    )
    .await?;
    let listed = told(&murder, &["quota", "list"]).await?;
    let roots: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["root"])
        .collect();
    assert_eq!(roots, ["user/user1", "user/user2/Lists"]);
    assert_eq!(used(&listed[0]), (1, 4, 2));
    let table = done(&murder, &["quota", "list", "user/user2"]).await?;
    assert!(
        table.contains("0 B of 1.0 GiB") && !table.contains("user1"),
        "{table}"
    );
    let checked = told(&murder, &["quota", "check"]).await?;
    assert_eq!(
        checked,
        json!({"homes": 4, "differences": [], "unreadable": []})
    );

    let said = done(&murder, &["quota", "remove", "user/user2/Lists"]).await?;
    assert!(said.contains("no quota root any more"), "{said}");
    for (words, why) in [
        (
            &["quota", "remove", "user/user2/Lists"][..],
            "is no quota root",
        ),
        (&["quota", "set", "user/user1"], "which limit"),
        (
            &["quota", "set", "user/user1", "--storage", "5"],
            "size with its unit",
        ),
        (
            &["quota", "set", "user/none", "--messages", "5"],
            "no mailbox at, above or below",
        ),
        (&["quota", "list", "user/user1/a"], "is no home"),
        (&["quota", "check", "user/none"], "there is no user/none"),
    ] {
        let said = refused(&murder, words).await?;
        assert!(said.contains(why), "{words:?}: {said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_counters_are_found_and_repaired() -> Tested {
    let mut murder = Murder::builder().frontends(1).start().await?;
    told(&murder, &["quota", "set", "user/user1", "--messages=10"]).await?;
    let mut client = murder.imap(1, "user1").await?;
    client.append("INBOX", "", &message("one")).await?;
    client.logout().await?;
    murder.stop_backend(1).await;
    for entry in std::fs::read_dir(murder.dir().join("be1/data/default/homes"))? {
        for file in std::fs::read_dir(entry?.path())? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "db") {
                let home = rusqlite::Connection::open(path)?;
                home.execute("UPDATE quota SET used_messages = 7", [])?;
            }
        }
    }
    murder.start_backend(1).await?;
    let words = ["quota", "check", "user/user1"];
    let why = refused(&murder, &words).await?;
    assert!(why.contains("1 counters are wrong"), "{why}");
    let repaired = told(&murder, &[&words[..], &["--repair"]].concat()).await?;
    let difference = &repaired["differences"][0];
    assert_eq!(
        (
            &difference["recorded"],
            &difference["counted"],
            &difference["repaired"]
        ),
        (&json!(7), &json!(1), &json!(true))
    );
    let checked = told(&murder, &words).await?;
    assert_eq!(checked["differences"], json!([]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_and_homes_say_what_they_take() -> Tested {
    let mut murder = Murder::builder().frontends(1).start().await?;
    let body = [message("big"), b"x".repeat(400_000)].concat();
    let mut client = murder.imap(1, "user1").await?;
    client.append("INBOX", "", &body).await?;
    client.append("INBOX", "", &message("small")).await?;
    client.select("INBOX").await?;
    client.ok("STORE 1 +FLAGS (\\Deleted)").await?;
    client.ok("EXPUNGE").await?;
    let homes = told(&murder, &["partition", "homes", "user/user1"]).await?;
    assert_eq!(homes[0]["home"], "user/user1");
    assert_eq!(homes[0]["message_bytes"], message("small").len());
    assert_eq!(homes[0]["restorable_bytes"], body.len());
    let top = told(&murder, &["partition", "homes", "--top", "1"]).await?;
    assert_eq!(top.as_array().unwrap().len(), 1);
    assert_eq!(top[0]["home"], "user/user1");

    // Figures of bodies are those of the last checkpoint: a stop makes one.
    murder.stop_backend(1).await;
    murder.start_backend(1).await?;
    let partitions = told(&murder, &["partition", "list"]).await?;
    let first = &partitions[0];
    assert_eq!(
        (&first["name"], &first["writable"]),
        (&json!("be1!default"), &json!(true))
    );
    assert_eq!(
        (&first["homes"], &first["mailboxes"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(first["kept_bytes"], body.len());
    assert_eq!(first["living_bytes"], body.len() + message("small").len());
    assert!(first["large_body_bytes"].as_u64().unwrap() >= 400_000);
    assert!(first["bytes_free"].as_u64().unwrap() > 0);
    let table = done(&murder, &["partition", "list"]).await?;
    assert!(
        table.contains("be2!default") && table.contains(" ok"),
        "{table}"
    );
    // The same, measured by the backend itself.
    let http = murder.backend(1).http;
    let kept = wait_until("disk usage is measured", async || {
        let name = "murder_backend_partition_kept_bytes";
        metric(http, name).await.ok().filter(|bytes| *bytes > 0.0)
    });
    assert_eq!(kept.await?, body.len() as f64);

    murder.kill_backend(2).await;
    let why = refused(&murder, &["partition", "list"]).await?;
    assert!(
        why.contains("not everything is shown") && why.contains("be2"),
        "{why}"
    );
    Ok(())
}
