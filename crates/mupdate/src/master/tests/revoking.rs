//! Certificates that are revoked.

use super::*;
use murder_location::MupdateError;

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(LONG, async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn a_revoked_node_is_cut_off_and_a_new_certificate_lets_it_in() {
    let mut murder = Murder::start().await;
    let operator = murder.client("ops", "operator");
    // With the key of a watching frontend.
    let replica = murder.replica("fe1").await;
    connected(&replica).await;
    let stolen = replica.client().clone();
    stolen.barrier().await.unwrap();
    let other = murder.replica("fe2").await;

    let revoked = operator.revoke("fe1", Vec::new()).await.unwrap().unwrap();
    let mut connection = replica.connection();
    let cut = connection.wait_for(|connected| !connected);
    tokio::time::timeout(LONG, cut).await.unwrap().unwrap();
    until("it is told why", async || {
        let refused = stolen.barrier().await.unwrap_err();
        matches!(&refused, MupdateError::NotSent(why) if why.contains("CertificateRevoked"))
    })
    .await;
    // Everybody knows, also after a restart without a master.
    other.barrier(LONG).await.unwrap();
    assert_eq!(other.revocations(), std::slice::from_ref(&revoked));
    murder.restart().await;
    assert!(stolen.barrier().await.is_err());
    reaches_master(&operator).await;

    until("a certificate of another second", async || {
        let now = murder_net::tls::second_of(std::time::SystemTime::now());
        now > revoked.issued_until
    })
    .await;
    let renewed = murder.client("fe1", "frontend");
    renewed.barrier().await.unwrap();
    // The old one by its number: this one, too.
    let files = murder.files("fe3", "frontend");
    let tls = NodeTls::load(&files).unwrap();
    let by_number = MupdateClient::new(MupdateClientConfig::new(
        vec![murder.address.to_string()],
        tls.client(),
    ));
    by_number.barrier().await.unwrap();
    let serial = tls.own_certificate().unwrap().serial;
    operator.revoke("fe3", vec![serial]).await.unwrap();
    until("it is refused", async || by_number.barrier().await.is_err()).await;
    operator.take_back_revocation("fe3").await.unwrap();
    until("it is let in", async || by_number.barrier().await.is_ok()).await;
    assert!(matches!(
        operator.take_back_revocation("fe3").await,
        Err(MupdateError::NotFound(_))
    ));
}

#[tokio::test]
async fn a_revoked_master_is_left() {
    let murder = Murder::start().await;
    let replica = murder.replica("fe1").await;
    connected(&replica).await;
    let operator = murder.client("ops", "operator");
    operator.revoke("mu1", Vec::new()).await.unwrap();
    let mut connection = replica.connection();
    let left = connection.wait_for(|connected| !connected);
    tokio::time::timeout(LONG, left).await.unwrap().unwrap();
    assert!(replica.client().barrier().await.is_err());
    // Who does not know yet is told, and leaves.
    let late = murder.replica("fe2").await;
    until("it knows", async || !late.revocations().is_empty()).await;
    until("it leaves", async || late.client().barrier().await.is_err()).await;
}
