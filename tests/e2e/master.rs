//! Life without the master, and after its return.

use murder_testkit::{Murder, Status, metric, wait_until};

use crate::{Tested, message};

/// Watch streams of frontend `number` that began with a whole snapshot, and those that did not.
async fn streams(murder: &Murder, number: usize) -> anyhow::Result<(f64, f64)> {
    let http = murder.frontend(number).http;
    Ok((
        metric(http, "murder_frontend_map_snapshots_total").await?,
        metric(http, "murder_frontend_map_resumes_total").await?,
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frontends_go_on_from_where_they_were() -> Tested {
    let mut murder = Murder::start().await?;
    let before = [streams(&murder, 1).await?, streams(&murder, 2).await?];
    assert_eq!(before[0], (1.0, 0.0));
    for round in 1..=2 {
        murder.kill_master().await;
        murder.start_master().await?;
        for number in [1, 2] {
            let counts = wait_until("the frontend follows the master again", async || {
                let counts = streams(&murder, number).await.ok()?;
                (counts.1 >= f64::from(round)).then_some(counts)
            });
            assert_eq!(counts.await?.0, 1.0, "fe{number} took a whole snapshot");
        }
        // And what changes is seen.
        murder.ready().await?;
        let mut one = murder.imap(1, "user1").await?;
        let made = wait_until("the backends have the master again", async || {
            let answer = one.command(&format!("CREATE round{round}")).await.ok()?;
            (answer.status == Status::Ok).then_some(())
        });
        made.await?;
        let mut two = murder.imap(2, "user1").await?;
        two.select(&format!("round{round}")).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_it_mail_flows_and_changes_are_refused() -> Tested {
    let mut murder = Murder::start().await?;
    let mut client = murder.imap(1, "user1").await?;
    client.ok("CREATE Work").await?;
    client.ok("SETACL Work user2 lr").await?;
    murder.kill_master().await;

    for number in [1, 2] {
        for user in ["user1", "user2"] {
            let mut client = murder.imap(number, user).await?;
            assert!(client.list("*").await?.contains(&"INBOX".to_owned()));
            client.append("INBOX", "", &message("appended")).await?;
            murder
                .lmtp(number)
                .await?
                .deliver_one(user, &message("delivered"))
                .await?;
            let selected = client.select("INBOX").await?;
            assert!(selected.exists >= 2);
            client.ok("UID STORE 1 +FLAGS (\\Seen)").await?;
            client.ok("SUBSCRIBE INBOX").await?;
        }
    }
    let mut other = murder.imap(2, "user2").await?;
    assert_eq!(other.list("*Work").await?, ["Other Users/user1/Work"]);
    other.select("Other Users/user1/Work").await?;

    let mut client = murder.imap(1, "user1").await?;
    for line in [
        "CREATE New",
        "DELETE Work",
        "RENAME Work Play",
        "SETACL Work user2 lrs",
        "DELETEACL Work user2",
    ] {
        client.no(line, "UNAVAILABLE").await?;
    }
    // What is not in the map may have been made since: that is not known now.
    let answer = client.command("SELECT nothing").await?;
    assert_eq!(answer.status, Status::No);
    assert_eq!(client.list("*").await?, ["INBOX", "Work"]);

    murder.start_master().await?;
    let made = wait_until("changes are possible again", async || {
        let answer = client.command("CREATE New").await.ok()?;
        (answer.status == Status::Ok).then_some(())
    });
    made.await?;
    murder.imap(2, "user1").await?.select("New").await?;
    other.select("Other Users/user1/Work").await?;
    Ok(())
}

/// A frontend that starts while the master is away serves from its copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frontend_starts_without_it() -> Tested {
    let mut murder = Murder::start().await?;
    let mut client = murder.imap(1, "user2").await?;
    client.ok("CREATE Work").await?;
    client.logout().await?;
    murder.kill_master().await;
    murder.stop_frontend(1).await;
    murder.start_frontend(1).await?;
    let mut client = murder.imap(1, "user2").await?;
    assert_eq!(client.list("*").await?, ["INBOX", "Work"]);
    client.append("Work", "", &message("x")).await?;
    murder
        .lmtp(1)
        .await?
        .deliver_one("user1", &message("x"))
        .await?;
    murder.start_master().await?;
    wait_until("the frontend follows the master", async || {
        let counts = streams(&murder, 1).await.ok()?;
        (counts == (0.0, 1.0)).then_some(())
    })
    .await?;
    Ok(())
}

/// A backend too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_starts_without_it() -> Tested {
    let mut murder = Murder::start().await?;
    murder
        .lmtp(1)
        .await?
        .deliver_one("user1", &message("before"))
        .await?;
    murder.kill_master().await;
    murder.stop_backend(1).await;
    // Whether it calls itself ready then is its own business.
    murder.start_backend_unready(1).await?;
    let mut client = wait_until("its mail is there", async || {
        let mut client = murder.imap(2, "user1").await.ok()?;
        client.select("INBOX").await.ok()?;
        Some(client)
    })
    .await?;
    assert_eq!(client.fetch_body(1).await?, message("before"));
    murder
        .lmtp(1)
        .await?
        .deliver_one("user1", &message("after"))
        .await?;
    murder.start_master().await?;
    let made = wait_until("changes are possible again", async || {
        let answer = client.command("CREATE New").await.ok()?;
        (answer.status == Status::Ok).then_some(())
    });
    made.await
}
