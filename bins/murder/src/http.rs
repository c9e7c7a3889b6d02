//! Asking a node's health over HTTP.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A node that listens and says nothing is not ready.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Of an answer; the reasons of a node are a few lines.
const ANSWER: u64 = 64 * 1024;

/// Why the node at `address` (`host:port`) is not ready; empty when it is.
///
/// # Errors
/// When it gives no answer in time.
pub async fn not_ready_reasons(address: &str) -> io::Result<Vec<String>> {
    let answer = timeout(TIMEOUT, get(address, "/readyz")).await??;
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(malformed)?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(Vec::new()),
        Some("503") => Ok(body.lines().map(str::to_owned).collect()),
        _ => Err(malformed()),
    }
}

async fn get(address: &str, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
