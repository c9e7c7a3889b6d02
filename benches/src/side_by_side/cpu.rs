//! What a server's processes have used of the processors, by `/proc`.
//!
//! A server is the processes that it is known by and all their descendants. Those that have ended
//! are in the account of the parent that waited for them, so nothing is lost between two looks.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

/// Of `/proc/PID/stat`; fixed for user space on Linux.
const TICKS_PER_SECOND: u64 = 100;
/// Of a socket that listens, in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Time on the processors of `roots` and their descendants, from their start on.
pub fn used(roots: &[i32]) -> anyhow::Result<Duration> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let mut ticks: HashMap<i32, u64> = HashMap::new();
    for pid in processes()? {
        // It may have ended by now.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        if let Some((parent, used)) = read_stat(&stat) {
            children.entry(parent).or_default().push(pid);
            ticks.insert(pid, used);
        }
    }
    let mut counted = HashSet::new();
    let mut open = roots.to_vec();
    let mut sum = 0;
    while let Some(pid) = open.pop() {
        if counted.insert(pid) {
            sum += ticks.get(&pid).copied().unwrap_or_default();
            open.extend(children.get(&pid).into_iter().flatten());
        }
    }
    Ok(Duration::from_millis(sum * 1000 / TICKS_PER_SECOND))
}

fn processes() -> anyhow::Result<Vec<i32>> {
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        pids.extend(
            entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<i32>().ok()),
        );
    }
    Ok(pids)
}

/// The parent, and the ticks of the process and of the children that it has waited for.
fn read_stat(stat: &str) -> Option<(i32, u64)> {
    // The name is in parentheses and may contain some.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |field: usize| -> Option<u64> { fields.get(field)?.parse().ok() };
    // utime, stime, cutime, cstime: fields 14 to 17 of proc(5), of which 3 is the first here.
    let ticks = (11..15).map(number).sum::<Option<u64>>()?;
    Some((fields.get(1)?.parse().ok()?, ticks))
}

/// The processes that listen at one of the addresses.
pub fn listeners(addresses: &[SocketAddr]) -> anyhow::Result<Vec<i32>> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables = tables.map(|file| std::fs::read_to_string(file).unwrap_or_default());
    let mut pids = Vec::new();
    for address in addresses {
        let sockets: HashSet<String> = tables
            .iter()
            .flat_map(|table| table.lines())
            .filter_map(|line| listening(line, *address))
            .map(|inode| format!("socket:[{inode}]"))
            .collect();
        let before = pids.len();
        for pid in processes()? {
            if holds(pid, &sockets) {
                pids.push(pid);
            }
        }
        ensure!(
            pids.len() > before,
            "no process is seen that listens at {address}: is it on this machine, and are you \
             root?"
        );
    }
    Ok(pids)
}

/// The socket's inode if this line of `/proc/net/tcp` is of one that listens at the address, or at
/// any with that port.
fn listening(line: &str, address: SocketAddr) -> Option<&str> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (host, port) = fields.get(1)?.split_once(':')?;
    let SocketAddr::V4(wanted) = address else {
        // Whichever address it is: a port of its own is as good.
        let same = u16::from_str_radix(port, 16).ok()? == address.port();
        return (same && fields.get(3) == Some(&LISTEN)).then_some(*fields.get(9)?);
    };
    let same = u16::from_str_radix(port, 16).ok()? == wanted.port()
        && (host.bytes().all(|digit| digit == b'0')
            || host.len() == 8
                && u32::from_str_radix(host, 16).ok()?.to_ne_bytes() == wanted.ip().octets());
    (same && fields.get(3) == Some(&LISTEN)).then_some(*fields.get(9)?)
}

fn holds(pid: i32, sockets: &HashSet<String>) -> bool {
    // What belongs to somebody else cannot be looked into, unless by root.
    let Ok(files) = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")) else {
        return false;
    };
    files.flatten().any(|file| {
        std::fs::read_link(file.path())
            .is_ok_and(|target| target.to_str().is_some_and(|name| sockets.contains(name)))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_processes_of_a_server_are_found_by_where_it_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = std::process::id().cast_signed();
        let address = listener.local_addr().unwrap();
        assert!(listeners(&[address]).unwrap().contains(&own));
        drop(listener);
        listeners(&[address]).unwrap_err();
    }

    #[test]
    fn work_is_counted_once_also_of_children_that_have_ended() {
        let own = std::process::id().cast_signed();
        let before = used(&[own]).unwrap();
        let mut burn = std::process::Command::new("sh")
            .args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"])
            .spawn()
            .unwrap();
        burn.wait().unwrap();
        let after = used(&[own, own]).unwrap();
        assert!(after > before, "{before:?} {after:?}");
    }

    #[test]
    fn a_name_with_parentheses() {
        let stat = "7 (a) b) S 3 7 7 0 -1 4194304 1 2 3 4 10 20 30 40 20 0 1 0 5";
        assert_eq!(read_stat(stat), Some((3, 100)));
    }
}
