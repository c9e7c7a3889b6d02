//! The table.

use std::collections::HashMap;

use super::load::{Goal, Load};
use super::window::Sample;
use super::{Arguments, server::OURS};

/// All samples of a load, by server.
pub type Samples = HashMap<String, Vec<Sample>>;

/// The medians of rate and of CPU, each by itself.
fn median(samples: &[Sample]) -> Sample {
    let middle = |of: fn(&Sample) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Sample {
        rate: middle(|sample| sample.rate),
        cpu: middle(|sample| sample.cpu),
    }
}

/// As Markdown.
pub fn table(loads: &[(Load, Samples)], servers: &[&str], arguments: &Arguments) -> String {
    let mut rows = vec![
        [&["load"], servers, &["operations", "CPU", "goal"]]
            .concat()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
    ];
    for (load, samples) in loads {
        let medians: HashMap<&str, Sample> = servers
            .iter()
            .filter_map(|server| Some((*server, median(samples.get(*server)?))))
            .collect();
        let mut row = vec![load.title(arguments)];
        row.extend(servers.iter().map(|server| {
            let known = medians.get(server);
            known.map_or_else(|| "-".to_owned(), |sample| cell(*load, *sample))
        }));
        row.extend(verdict(*load, &medians));
        rows.push(row);
    }
    render(&rows)
}

fn cell(load: Load, sample: Sample) -> String {
    let cpu = match sample.cpu {
        cpu if cpu >= 10.0 => format!("{cpu:.0} ms"),
        cpu if cpu >= 0.1 => format!("{cpu:.2} ms"),
        cpu => format!("{:.2} µs", cpu * 1e3),
    };
    match load.goal() {
        Goal::Milliseconds(_) => format!("{:.1} ms, {cpu}", 1e3 / sample.rate),
        _ => format!("{} /s, {cpu}", thousands(sample.rate)),
    }
}

/// How many times as good ours is as the better of the others, and whether that is enough.
fn verdict(load: Load, medians: &HashMap<&str, Sample>) -> [String; 3] {
    let Some(ours) = medians.get(OURS) else {
        return ["-"; 3].map(str::to_owned);
    };
    let peers = medians.iter().filter(|(name, _)| **name != OURS);
    let (rate, cpu) = peers.fold((f64::NAN, f64::NAN), |(rate, cpu), (_, peer)| {
        (peer.rate.max(rate), peer.cpu.min(cpu))
    });
    let (rate, cpu) = (ours.rate / rate, cpu / ours.cpu);
    let (met, goal) = match load.goal() {
        Goal::Either(times) => (rate >= times || cpu >= times, format!("{times} × either")),
        Goal::Rate(times) => (rate >= times, format!("{times} × operations")),
        Goal::Milliseconds(most) => (1e3 / ours.rate <= most, format!("{most} ms")),
    };
    let times = |ratio: f64| match ratio.is_finite() {
        true => format!("{ratio:.1} ×"),
        false => "-".to_owned(),
    };
    let goal = format!("{goal}: {}", if met { "met" } else { "missed" });
    [times(rate), times(cpu), goal]
}

/// `12,345`
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn render(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths);
        text += &line(
            cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect(),
        );
        if at == 0 {
            text += &line(widths.iter().map(|width| "-".repeat(*width)).collect());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios_to_the_better_peer() {
        let samples = |values: &[(f64, f64)]| -> Vec<Sample> {
            let values = values.iter();
            values.map(|&(rate, cpu)| Sample { rate, cpu }).collect()
        };
        let of = |peer: &[(f64, f64)]| {
            Samples::from([
                (
                    OURS.to_owned(),
                    samples(&[(9000.0, 0.2), (1.0, 9.0), (8000.0, 0.1)]),
                ),
                ("a".to_owned(), samples(&[(2000.0, 0.5)])),
                ("b".to_owned(), samples(peer)),
            ])
        };
        let loads = [
            (Load::Append, of(&[(1000.0, 0.4)])),
            (Load::Large, of(&[(900.0, 0.01)])),
        ];
        let text = table(&loads, &[OURS, "a", "b"], &Arguments::default());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[2].contains("8,000 /s, 0.20 ms"), "{text}");
        assert!(
            lines[2].contains("4.0 ×") && lines[2].contains("2.0 ×"),
            "{text}"
        );
        assert!(lines[2].contains("3 × either: met"), "{text}");
        assert!(lines[3].contains("10 × operations: missed"), "{text}");
    }

    #[test]
    fn groups_of_digits() {
        let numbers = [7.4, 999.0, 1000.0, 1_234_567.0];
        assert_eq!(numbers.map(thousands), ["7", "999", "1,000", "1,234,567"]);
    }
}
