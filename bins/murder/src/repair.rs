//! `murder repair`: what can be salvaged of a damaged journal.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::ensure;
use murder_backend::{BackendConfig, LostRecords, Repaired};
use serde::Serialize;

use crate::output::{print_json, print_line};

/// What `murder repair` can be told.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The backend's TOML file. The backend must not run
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only this partition
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// Forget a damaged home, with all mailboxes in it; needs --partition. What is left of its
    /// files is kept in the partition's directory `damaged`
    #[arg(long, value_name = "NUMBER", requires = "partition")]
    give_up_home: Vec<u64>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// What was found in one partition, and done.
#[derive(Debug, Serialize)]
struct Report {
    partition: String,
    whole: bool,
    /// Why `partition.db` or the identity file was made anew.
    gathered: Option<String>,
    salvaged_records: u64,
    lost: Vec<Lost>,
    corrupt_bodies: Vec<Place>,
    /// Their mailboxes have new UIDVALIDITYs.
    concerned_homes: Vec<String>,
    damaged_homes: BTreeMap<u64, String>,
    damaged_files: BTreeMap<u64, String>,
}

#[derive(Debug, Serialize)]
struct Lost {
    segment: u64,
    offset: u64,
    records: u64,
    home: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Place {
    segment: u64,
    offset: u64,
    octets: u32,
}

/// Repairs the partitions and says what is lost. Without damage nothing is changed.
///
/// # Errors
/// When the backend runs, a file cannot be used, or a partition is still not whole.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = murder_node::load::<BackendConfig>(&arguments.config)?;
    let partitions = match &arguments.partition {
        Some(partition) => vec![partition.clone()],
        None => config.partitions.keys().cloned().collect(),
    };
    let mut reports = Vec::new();
    for partition in partitions {
        let give_up = arguments.give_up_home.iter().copied().collect();
        let repaired = murder_backend::repair(&config, &partition, &give_up)?;
        let report = Report::new(partition, &repaired);
        if !arguments.json {
            report
                .lines()
                .iter()
                .try_for_each(|line| print_line(line))?;
        }
        reports.push(report);
    }
    if arguments.json {
        print_json(&reports)?;
    }
    ensure!(
        reports.iter().all(|report| report.whole),
        "not whole: put the damaged homes back from a backup and repair again, or give them up \
         with --give-up-home"
    );
    Ok(())
}

impl Report {
    fn new(partition: String, repaired: &Repaired) -> Self {
        let lost = |lost: &LostRecords| Lost {
            segment: lost.segment,
            offset: lost.offset,
            records: lost.last_lsn.saturating_sub(lost.first_lsn) + 1,
            home: lost.home,
        };
        let bodies = repaired.corrupt_bodies.iter().map(|body| Place {
            segment: body.segment,
            offset: body.offset,
            octets: body.len,
        });
        Self {
            partition,
            whole: repaired.is_whole(),
            gathered: repaired.gathered.clone(),
            salvaged_records: repaired.salvaged,
            lost: repaired.lost.iter().map(lost).collect(),
            corrupt_bodies: bodies.collect(),
            concerned_homes: repaired.concerned_homes.clone(),
            damaged_homes: repaired.damaged_homes.clone(),
            damaged_files: repaired.damaged_files.clone(),
        }
    }

    fn lines(&self) -> Vec<String> {
        let name = &self.partition;
        let mut lines = Vec::new();
        if let Some(why) = &self.gathered {
            lines.push(format!(
                "{name}: gathered anew from homes and journal, as {why}"
            ));
        }
        if !self.lost.is_empty() || !self.corrupt_bodies.is_empty() {
            let salvaged = self.salvaged_records;
            lines.push(format!(
                "{name}: {salvaged} records salvaged behind the damage"
            ));
        }
        lines.extend(self.lost.iter().map(|lost| {
            let home = match lost.home {
                Some(home) => format!("home {home}"),
                None => "some home".to_owned(),
            };
            format!(
                "{name}: lost {} records of {home} at segment {}, offset {}",
                lost.records, lost.segment, lost.offset
            )
        }));
        lines.extend(self.corrupt_bodies.iter().map(|body| {
            format!(
                "{name}: a message of {} octets at segment {}, offset {} cannot be read",
                body.octets, body.segment, body.offset
            )
        }));
        lines.extend(self.concerned_homes.iter().map(|home| {
            format!("{name}: {home} may miss changes; its mailboxes have new UIDVALIDITYs")
        }));
        lines.extend(
            self.damaged_homes
                .iter()
                .map(|(home, why)| format!("{name}: home {home} is damaged: {why}")),
        );
        lines.extend(self.damaged_files.iter().map(|(file, why)| {
            format!("{name}: file {file} of the journal is damaged: {why}; messages in it cannot be read")
        }));
        if lines.is_empty() {
            lines.push(format!("{name}: nothing to repair"));
        }
        lines
    }
}
