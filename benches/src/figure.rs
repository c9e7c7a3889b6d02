//! What comes out of a measurement.

use std::time::Duration;

use serde::Serialize;

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What it is of.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// What it shall be at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<f64>,
    /// How it came about.
    pub detail: String,
}

impl Figure {
    /// A figure without a goal.
    pub fn new(name: &str, value: f64, unit: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            value: (value * 1000.0).round() / 1000.0,
            unit,
            goal: None,
            detail: detail.into(),
        }
    }

    /// With what it shall be at most.
    pub fn goal(mut self, goal: f64) -> Self {
        self.goal = Some(goal);
        self
    }

    /// The median, with the others in the detail; in milliseconds.
    pub fn median(name: &str, mut times: Vec<Duration>, detail: &str) -> Self {
        times.sort_unstable();
        let at = |share: f64| {
            let index = (times.len() as f64 * share) as usize;
            let time = times.get(index.min(times.len().saturating_sub(1)));
            time.map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        let detail = format!(
            "{detail}; {} times, p90 {:.2} ms, p99 {:.2} ms",
            times.len(),
            at(0.9),
            at(0.99)
        );
        Self::new(name, at(0.5), "ms", detail)
    }

    /// A row of the table.
    pub fn line(&self) -> String {
        let verdict = match self.goal {
            Some(goal) if self.value <= goal => format!("(goal {goal}: met)"),
            Some(goal) => format!("(goal {goal}: MISSED)"),
            None => String::new(),
        };
        format!(
            "{:<34} {:>10.2} {:<10} {verdict:<20} {}",
            self.name, self.value, self.unit, self.detail
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_and_its_goal() {
        let times = (1..=100).map(Duration::from_millis).collect();
        let figure = Figure::median("x", times, "y").goal(60.0);
        assert!((50.0..=52.0).contains(&figure.value));
        assert!(figure.line().contains("met"));
        assert!(figure.detail.contains("p99 100.00 ms"), "{}", figure.detail);
        assert!(figure.goal(1.0).line().contains("MISSED"));
    }
}
