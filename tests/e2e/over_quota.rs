//! Quota (RFC 9208), as clients and mail servers meet it through a frontend.

use murder_mailbox::MailboxName;
use murder_store::{Partition, PartitionConfig, QuotaLimits};
use murder_testkit::Murder;

use crate::{Tested, message};

/// Limits a user of a backend, which is stopped for that.
pub(crate) async fn limit(
    murder: &mut Murder,
    number: usize,
    user: &str,
    limits: QuotaLimits,
) -> Tested {
    let inbox = MailboxName::inbox_of(user)?;
    while_stopped(murder, number, async |partition| {
        Ok(partition.set_quota(&inbox, limits).await?)
    })
    .await
}

/// Does something to a backend's partition while the backend is stopped.
pub(crate) async fn while_stopped(
    murder: &mut Murder,
    number: usize,
    work: impl AsyncFnOnce(&Partition) -> Tested,
) -> Tested {
    murder.kill_backend(number).await;
    let path = murder.dir().join(format!("be{number}/data/default"));
    let config = PartitionConfig::new("default", path);
    let partition = tokio::task::spawn_blocking(|| Partition::open(config)).await??;
    work(&partition).await?;
    partition.shutdown().await?;
    drop(partition);
    murder.start_backend(number).await
}

/// The same for a user of the first backend.
async fn limit_storage(murder: &mut Murder, user: &str, kibibytes: u64) -> Tested {
    let limits = QuotaLimits {
        storage: Some(kibibytes),
        ..QuotaLimits::default()
    };
    limit(murder, 1, user, limits).await
}

/// The message of a client that has been told to go on is taken off its hands whatever the
/// backend says, and the connection stays of use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn append_is_refused_early_and_the_message_passed_over() -> Tested {
    let mut murder = Murder::start().await?;
    limit_storage(&mut murder, "user1", 1024).await?;
    let mut client = murder.imap(1, "user1").await?;
    let mut large = message("large");
    large.resize(4 << 20, b'x');
    for selected in [false, true] {
        if selected {
            client.select("INBOX").await?;
        }
        for len in [4 << 20, 2 << 20] {
            let tag = client.send(&format!("APPEND INBOX {{{len}}}")).await?;
            client.continuation().await?;
            client.send_raw(&large[..len]).await?;
            client.send_raw(b"\r\n").await?;
            assert_eq!(client.finish(&tag).await?.code(), "OVERQUOTA");
            client.ok("NOOP").await?;
        }
        let tag = client
            .send(&format!("APPEND INBOX {{{}+}}", large.len()))
            .await?;
        client.send_raw(&large).await?;
        client.send_raw(b"\r\n").await?;
        assert_eq!(client.finish(&tag).await?.code(), "OVERQUOTA");
        client.append("INBOX", "", &message("small")).await?;
    }
    assert_eq!(client.status("INBOX", "MESSAGES").await?, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lmtp_refuses_who_is_over_quota_alone() -> Tested {
    let mut murder = Murder::start().await?;
    limit_storage(&mut murder, "user1", 2).await?;
    let mut big = message("big");
    big.resize(5000, b'x');
    big.extend_from_slice(b"\r\n");
    let mut lmtp = murder.lmtp(1).await?;
    for size in ["", " SIZE=5002"] {
        let mail = format!("MAIL FROM:<s@example.org>{size}");
        assert_eq!(lmtp.command(&mail).await?.code, 250);
        for user in ["user1", "user2", "user3"] {
            lmtp.rcpt(user).await?;
        }
        let replies = lmtp.data(&big).await?;
        let codes: Vec<u16> = replies.iter().map(|reply| reply.code).collect();
        assert_eq!(codes, [452, 250, 250], "{replies:?}");
        assert!(replies[0].text().starts_with("4.2.2 "), "{replies:?}");
    }
    let replies = lmtp.deliver(&["user1"], &message("small")).await?;
    assert_eq!(replies[0].code, 250);
    Ok(())
}
