//! Asking a node over HTTP.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wait::within;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Such as 200.
    pub status: u16,
    /// Its text.
    pub body: String,
}

/// Gets `path`, such as `/metrics`.
///
/// # Errors
/// When there is no answer.
pub async fn http_get(address: SocketAddr, path: &str) -> anyhow::Result<HttpAnswer> {
    within(&format!("GET {path} of {address}"), async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text).await?;
        let text = String::from_utf8_lossy(&text);
        let (head, body) = text.split_once("\r\n\r\n").context("no HTTP answer")?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok(HttpAnswer {
            status,
            body: body.to_owned(),
        })
    })
    .await
}

/// The value of a metric, summed over its labels.
///
/// # Errors
/// When the node has no such metric.
pub async fn metric(address: SocketAddr, name: &str) -> anyhow::Result<f64> {
    let text = http_get(address, "/metrics").await?.body;
    let values: Vec<f64> = text
        .lines()
        .filter_map(|line| {
            let (head, value) = line.rsplit_once(' ')?;
            let known = head.split('{').next() == Some(name);
            known.then(|| value.parse().ok())?
        })
        .collect();
    if values.is_empty() {
        bail!("{address} has no metric {name}:\n{text}");
    }
    Ok(values.iter().sum())
}
