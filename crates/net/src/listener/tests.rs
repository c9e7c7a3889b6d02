#![allow(clippy::unwrap_used)]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::*;

fn loopback() -> Listener {
    Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap()
}

/// Sends back what it gets, until the drain.
async fn echo(mut connection: Connection, shutdown: Shutdown) {
    let draining = shutdown.token();
    let mut buffer = [0; 64];
    loop {
        tokio::select! {
            () = draining.cancelled() => {
                connection.stream.write_all(b"bye").await.unwrap();
                return;
            }
            read = connection.stream.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => connection.stream.write_all(&buffer[..length]).await.unwrap(),
            }
        }
    }
}

async fn said(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn sessions_say_goodbye_when_drained() {
    let shutdown = Shutdown::new();
    let listener = loopback();
    let address = listener.local_addr();
    let owner = shutdown.clone();
    listener.spawn(&shutdown, move |connection| echo(connection, owner.clone()));

    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let mut answer = [0; 5];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"hello");
    assert_eq!(shutdown.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(said(&mut client).await, "bye");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn connections_above_the_limit_are_told_and_closed() {
    let config = LimitsConfig {
        max_connections_per_ip: 1,
        ..LimitsConfig::default()
    };
    let limits = ConnectionLimits::new(&config);
    let shutdown = Shutdown::new();
    let listener = loopback()
        .with_limits(limits.clone())
        .with_refusal(b"* BYE Too many\r\n");
    let address = listener.local_addr();
    let (served, mut serving) = mpsc::channel(1);
    listener.spawn(&shutdown, move |mut connection| {
        let served = served.clone();
        async move {
            served.send(()).await.unwrap();
            let _ = connection.stream.read(&mut [0; 1]).await;
            served.send(()).await.unwrap();
        }
    });

    let first = TcpStream::connect(address).await.unwrap();
    serving.recv().await.unwrap();
    assert_eq!(limits.open(), 1);
    let mut second = TcpStream::connect(address).await.unwrap();
    assert_eq!(said(&mut second).await, "* BYE Too many\r\n");
    drop(first);
    serving.recv().await.unwrap();
    while limits.open() > 0 {
        tokio::task::yield_now().await;
    }
    let _third = TcpStream::connect(address).await.unwrap();
    serving.recv().await.unwrap();
}

#[tokio::test]
async fn a_panic_ends_one_connection() {
    let limits = ConnectionLimits::new(&LimitsConfig::default());
    let shutdown = Shutdown::new();
    let listener = loopback().with_limits(limits.clone());
    let address = listener.local_addr();
    listener.spawn(&shutdown, |mut connection| async move {
        let mut first = [0; 1];
        connection.stream.read_exact(&mut first).await.unwrap();
        assert_ne!(&first, b"x", "on purpose");
        connection.stream.write_all(b"fine").await.unwrap();
    });
    let mut bad = TcpStream::connect(address).await.unwrap();
    bad.write_all(b"x").await.unwrap();
    assert_eq!(said(&mut bad).await, "");
    let mut good = TcpStream::connect(address).await.unwrap();
    good.write_all(b"y").await.unwrap();
    assert_eq!(said(&mut good).await, "fine");
    assert_eq!(shutdown.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(limits.open(), 0);
}

#[tokio::test]
async fn an_open_handshake_does_not_hold_up_the_drain() {
    let folder = tempfile::tempdir().unwrap();
    let ca = crate::Ca::generate(folder.path()).unwrap();
    let files = ca
        .issue_into(folder.path(), "be1", &[crate::Role::Backend], &[])
        .unwrap();
    let tls = crate::NodeTls::load(&files).unwrap();
    let limits = ConnectionLimits::new(&LimitsConfig::default());
    let shutdown = Shutdown::new();
    let listener = loopback()
        .with_tls(tls.server())
        .with_limits(limits.clone());
    let address = listener.local_addr();
    listener.spawn(&shutdown, |_| async { panic!("no client gets this far") });
    let mut client = TcpStream::connect(address).await.unwrap();
    while limits.open() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(shutdown.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(said(&mut client).await, "");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let listener = loopback();
    let error = Listener::bind(listener.local_addr()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&listener.local_addr().to_string()),
        "{error}"
    );
}
