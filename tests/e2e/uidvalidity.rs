//! UIDVALIDITYs that are decades ahead do not end CREATE.

use murder_location::{Activate, MupdateClient, MupdateClientConfig};
use murder_mailbox::MailboxName;
use murder_net::NodeTls;
use murder_net::config::ClusterConfig;
use murder_testkit::{ImapClient, Processes};

use crate::operator::operate_in;
use crate::{MURDER, Tested};

async fn uidvalidity(client: &mut ImapClient, mailbox: &str) -> anyhow::Result<u32> {
    let answer = client
        .ok(&format!("STATUS {mailbox} (UIDVALIDITY)"))
        .await?;
    let row = answer
        .all("STATUS")
        .map(|row| row.text())
        .collect::<String>();
    let number = row.rsplit_once("UIDVALIDITY ").map(|(_, rest)| rest);
    Ok(number.unwrap_or_default().trim_end_matches(')').parse()?)
}

/// Whoever has a backend's key can say of its mailboxes what it likes, but not that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_cannot_use_them_up() -> Tested {
    let dir = tempfile::tempdir()?;
    let murder = Processes::builder(MURDER)
        .users(1)
        .argument("--frontends=1")
        .argument("--backends=1")
        .dir(dir.path())
        .start()
        .await?;
    let mut client = murder.imap(1, "user1").await?;
    client.ok("CREATE first").await?;
    let first = uidvalidity(&mut client, "first").await?;

    let node = dir.path().join("be1");
    let tls = NodeTls::load(&ClusterConfig {
        ca: node.join("ca.pem"),
        cert: node.join("be1.pem"),
        key: node.join("be1.key"),
    })?;
    let config: toml::Table = toml::from_str(&std::fs::read_to_string(node.join("be1.toml"))?)?;
    let master = config["mupdate"]["masters"][0].as_str().unwrap().to_owned();
    let stolen = MupdateClient::new(MupdateClientConfig::new(vec![master], tls.client()));
    let name = MailboxName::parse_canonical("user/user1/first")?;
    let record = stolen.find(&name).await?.mailbox.unwrap();
    for ahead in [u32::MAX, u32::MAX - 1, first + 20 * 365 * 24 * 3600] {
        let mut activate = Activate::new(name.clone(), record.location.id);
        activate.uidvalidity = Some(ahead);
        stolen.activate(activate).await.unwrap_err();
    }

    let mut last = first;
    for number in 0..3 {
        client.ok(&format!("CREATE next{number}")).await?;
        let next = uidvalidity(&mut client, &format!("next{number}")).await?;
        assert!(last < next && next < first + 3600, "{last}, {next}");
        last = next;
    }
    let said = operate_in(dir.path(), &["mailbox", "uidvalidity"]).await?;
    assert_eq!(
        said.output.trim(),
        format!("the greatest UIDVALIDITY is {last}, which is right")
    );
    Ok(())
}
