//! A partition on a disk that is full to the last byte: it opens, is read, says why it takes
//! nothing, and works again when there is room.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use murder_store::{Partition, PartitionConfig, StoreError};
use tempfile::TempDir;

use crate::support::*;

/// Where the test runs itself again, on a small file system of its own.
const INSIDE: &str = "MURDER_FULL_DISK";

fn full_config(dir: &Path) -> PartitionConfig {
    PartitionConfig {
        path: dir.join("partition"),
        reserve_bytes: 2 << 20,
        ..config(&TempDir::new().unwrap())
    }
}

/// Fills the file system to the last byte.
fn fill(dir: &Path) -> PathBuf {
    let path = dir.join("ballast");
    let mut file = File::create(&path).unwrap();
    for size in [1 << 20, 4096, 1] {
        let zeros = vec![1; size];
        while file.write_all(&zeros).is_ok() {}
    }
    path
}

/// Whether a mount namespace can be made here; elsewhere there is nothing to test with.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let dir = TempDir::new().unwrap();
    let script = format!(
        "mount -t tmpfs -o size=64m none {0} || exit 77; {INSIDE}={0} exec {1} --exact {test} --nocapture",
        dir.path().display(),
        std::env::current_exe().unwrap().display()
    );
    let run = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &script])
        .output();
    match run {
        Ok(output) if output.status.code() == Some(77) => eprintln!("no tmpfs can be mounted here"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let unable = said.contains("unshare:");
            assert!(output.status.success() || unable, "{said}");
        }
        Err(e) => eprintln!("there is no unshare here: {e}"),
    }
    false
}

async fn read_all(partition: &Partition) -> usize {
    let mut read = 0;
    for meta in partition.mailboxes() {
        let view = partition.open_mailbox(&meta.name).await.unwrap().view();
        for row in view.rows(1, view.len()) {
            partition.read_body(row.location).await.unwrap();
            read += 1;
        }
    }
    read
}

#[tokio::test]
async fn a_full_disk_is_read() {
    if !inside("full::a_full_disk_is_read") {
        return;
    }
    let dir = PathBuf::from(std::env::var_os(INSIDE).unwrap());
    let users: Vec<String> = (0..20).map(|n| format!("user/u{n}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let partition = Partition::open(full_config(&dir)).unwrap();
    create(&partition, &users).await;
    for user in &users {
        for n in 0..3 {
            let message = message(&n.to_string());
            partition.append(&name(user), vec![message]).await.unwrap();
        }
    }
    // After a clean close, and after a kill with records to replay.
    for killed in [false, true] {
        let killed_dir = dir.join("killed");
        let at: &Path = match killed {
            true => &killed_dir,
            false => &dir,
        };
        if killed {
            let partition = Partition::open(full_config(&dir)).unwrap();
            for user in &users {
                partition
                    .append(&name(user), vec![message("4")])
                    .await
                    .unwrap();
            }
            copy_dir(&dir.join("partition"), &killed_dir.join("partition"));
            partition.shutdown().await.unwrap();
            fs::remove_dir_all(dir.join("partition")).unwrap();
        } else {
            partition.shutdown().await.unwrap();
        }
        let ballast = fill(&dir);
        let partition = Partition::open(full_config(at)).unwrap();
        let messages = if killed { 4 } else { 3 };
        // The first user got one more when there was room again.
        let more = usize::from(killed);
        let all = users.len() * messages + more;
        assert_eq!(read_all(&partition).await, all);
        fill_again(&dir);
        let refused = partition.append(&name(users[0]), vec![message("x")]).await;
        assert!(matches!(refused, Err(StoreError::DiskFull)), "{refused:?}");
        // Room comes back: without a restart all works again.
        fs::remove_file(ballast).unwrap();
        let _ = fs::remove_file(dir.join("more"));
        let appended = until_done(&partition, users[0]).await;
        assert_eq!(appended as usize, messages + more + 1);
        Arc::clone(&partition).shutdown().await.unwrap();
    }
}

/// What the partition did not need of its reserve.
fn fill_again(dir: &Path) {
    let ballast = dir.join("ballast");
    fs::rename(&ballast, dir.join("more")).unwrap();
    fill(dir);
}

async fn until_done(partition: &Partition, user: &str) -> u32 {
    loop {
        match partition.append(&name(user), vec![message("y")]).await {
            Ok(appended) => return appended.uids[0],
            Err(StoreError::HomeDamaged { why, .. }) => panic!("{why}"),
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
