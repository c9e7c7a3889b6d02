//! PREVIEW (RFC 8970).

use super::support::{Server, short};

/// The examples of section 5, with what is always at hand.
#[tokio::test]
async fn previews_are_ready() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let lorem = "Lorem ipsum dolor sit amet, consectetur adipiscing elit.\r\n\
                 Curabitur aliquam turpis et ante dictum, et pulvinar dui congue.\r\n\
                 Maecenas hendrerit, lorem non imperdiet pellentesque, nulla\r\n\
                 ligula nullam et cetera, et cetera.\r\n";
    for raw in [
        short("1"),
        "Content-Type: image/png\r\n\r\n...".to_owned(),
        "Content-Type: text/html; charset=utf-8\r\n\r\n<p>Gr\u{fc}\u{df}e &amp;<br>mehr".to_owned(),
        format!("Subject: 4\r\n\r\n{lorem}"),
    ] {
        server.put("user/bob", raw).await;
    }
    bob.select("INBOX").await;
    let want = &lorem.replace("\r\n", " ")[..200];
    bob.play(&format!(
        "C: A2 FETCH 1 (RFC822.SIZE PREVIEW)
         S: * 1 FETCH (RFC822.SIZE 47 PREVIEW \"Text of 1.\")
         S: A2 OK …
         C: B1 FETCH 1:4 (UID PREVIEW (LAZY))
         S: * 1 FETCH (UID 1 PREVIEW \"Text of 1.\")
         S: * 2 FETCH (UID 2 PREVIEW \"\")
         S: * 3 FETCH (UID 3 PREVIEW {{14}}
         S: Gr\u{fc}\u{df}e & mehr)
         S: * 4 FETCH (UID 4 PREVIEW \"{want}\")
         S: B1 OK …
         C: C2 UID SEARCH RETURN (SAVE) LARGER 100
         S: C2 OK …
         C: C3 UID FETCH $ (PREVIEW (LAZY) PREVIEW)
         S: * 4 FETCH (UID 4 PREVIEW \"{want}\")
         S: C3 OK …
         C: C4 FETCH 1 (PREVIEW (EAGER))
         S: C4 BAD …
         C: D FETCH 1:4 (FLAGS)
         S: * 1 FETCH (FLAGS (\\Recent))
         S: * 2 FETCH (FLAGS (\\Recent))
         S: * 3 FETCH (FLAGS (\\Recent))
         S: * 4 FETCH (FLAGS (\\Recent))
         S: D OK …"
    ))
    .await;
    // In UTF-8 as a quoted string, once that is enabled.
    bob.play(
        "C: e UNSELECT
         S: e OK …
         C: f ENABLE UTF8=ACCEPT
         S: * ENABLED UTF8=ACCEPT
         S: f OK …",
    )
    .await;
    bob.select("INBOX").await;
    bob.play(
        "C: g FETCH 3 PREVIEW
         S: * 3 FETCH (PREVIEW \"Gr\u{fc}\u{df}e & mehr\")
         S: g OK …",
    )
    .await;
}

/// Also in another home.
#[tokio::test]
async fn copies_have_it() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    server.put("user/bob", short("1")).await;
    server.create("user/carol/x").await;
    server.allow("user/carol/x", "bob", "lrsi").await;
    bob.select("INBOX").await;
    bob.play(
        "C: a COPY 1 \"Other Users/carol/x\"
         S: a OK …",
    )
    .await;
    bob.select("Other Users/carol/x").await;
    bob.play(
        "C: b FETCH 1 PREVIEW
         S: * 1 FETCH (PREVIEW \"Text of 1.\")
         S: b OK …",
    )
    .await;
}
