//! Annotations, set at a backend, under what happens to their mailboxes.

use murder_testkit::Murder;

use crate::Tested;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_follow_their_mailbox_and_outlive_a_restart() -> Tested {
    let mut murder = Murder::builder().frontends(1).backends(1).start().await?;
    let mut client = murder.imap(1, "user1").await?;
    client.ok("CREATE old").await?;
    let mut direct = murder.imap_at_backend(1, "user1").await?;
    direct
        .ok("SETMETADATA old (/private/comment \"mine\" /shared/comment \"ours\")")
        .await?;
    direct
        .ok("SETMETADATA \"\" (/private/comment \"server\")")
        .await?;
    client.ok("RENAME old new").await?;
    for restarted in [false, true] {
        if restarted {
            murder.kill_backend(1).await;
            murder.start_backend(1).await?;
            direct = murder.imap_at_backend(1, "user1").await?;
        }
        let answer = direct
            .ok("LIST \"\" new RETURN (METADATA (/private/comment /shared/comment))")
            .await?;
        let told = answer.all("METADATA").next().unwrap().text();
        assert_eq!(
            told,
            "* METADATA \"new\" (/private/comment \"mine\" /shared/comment \"ours\")"
        );
        let answer = direct.ok("GETMETADATA \"\" /private/comment").await?;
        let told = answer.all("METADATA").next().unwrap().text();
        assert_eq!(told, "* METADATA \"\" (/private/comment \"server\")");
    }
    Ok(())
}
