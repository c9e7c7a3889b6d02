//! EXPUNGE and UID EXPUNGE.

use super::support::{Server, short};

#[tokio::test]
async fn expunges_are_told_in_order() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let mut other = server.login("bob").await;
    for n in 1..=6 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    bob.select("INBOX").await;
    other.select("INBOX").await;
    bob.play(
        "C: a STORE 2:3,5 +FLAGS.SILENT \\Deleted
         S: a OK …
         C: b UID EXPUNGE 1:2
         S: * 2 EXPUNGE
         S: b OK …
         C: c EXPUNGE
         S: * 4 EXPUNGE
         S: * 2 EXPUNGE
         S: c OK EXPUNGE completed
         C: d EXPUNGE
         S: d OK …
         C: e UID SEARCH ALL
         S: * SEARCH 1 4 6
         S: e OK …",
    )
    .await;
    other
        .play(
            "C: a SEARCH ALL
             S: * SEARCH 1 4 6
             S: a OK …
             C: b NOOP
             S: * 5 EXPUNGE
             S: * 3 EXPUNGE
             S: * 2 EXPUNGE
             S: b OK …",
        )
        .await;
    let _ = other.ask("EXAMINE INBOX").await;
    other
        .play(
            "C: a EXPUNGE
             S: a NO [READ-ONLY] …",
        )
        .await;
}
