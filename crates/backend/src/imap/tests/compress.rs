//! COMPRESS (RFC 4978).

use super::support::{Server, short};

#[tokio::test]
async fn everything_behind_it_is_compressed() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a COMPRESS LZMA
         S: a BAD …
         C: b COMPRESS DEFLATE
         S: b OK DEFLATE active",
    )
    .await;
    let mut bob = bob.compress();
    bob.play(
        "C: c compress deflate
         S: c NO [COMPRESSIONACTIVE] DEFLATE is active already",
    )
    .await;
    for n in 0..50 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    bob.select("INBOX").await;
    let (fetched, done) = bob.get("FETCH 1:* (FLAGS BODY.PEEK[])").await;
    assert_eq!(fetched.len(), 50);
    assert!(done.contains("OK"), "{done}");
    // News come through while it idles.
    bob.send("d IDLE\r\n").await;
    assert_eq!(bob.line().await, "+ idling");
    server.put("user/bob", short("new")).await;
    assert_eq!(bob.line().await, "* 51 EXISTS");
    let _ = bob.line().await;
    bob.send("DONE\r\n").await;
    assert!(bob.line().await.starts_with("d OK"));
}

#[tokio::test]
async fn what_follows_without_waiting_ends_the_session() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    bob.send("a COMPRESS DEFLATE\r\nb NOOP\r\n").await;
    assert_eq!(bob.ends().await, ["* BYE Data behind COMPRESS"]);
    // Nor is what is not compressed taken for a command.
    let mut carol = server.login("carol").await;
    carol.send("a COMPRESS DEFLATE\r\n").await;
    assert!(carol.line().await.starts_with("a OK"));
    carol.send("\x07b CREATE x\r\nc CREATE y\r\n").await;
    carol.ends().await;
    assert!(server.login("carol").await.ask("LIST \"\" x").await.len() == 1);
}

#[tokio::test]
async fn not_before_login() {
    let server = Server::start();
    let mut client = server.connect().await;
    client
        .play(
            "C: a COMPRESS DEFLATE
             S: a BAD Log in first",
        )
        .await;
}
