//! What a node says of its health in its session with the master.
//!
//! Bounded at both ends: the node sends no more, and the master keeps no more of what a node sends.

use murder_net::{Condition, Health};
use murder_proto::v1;

/// The most problems of a node that are told of.
const MAX_PROBLEMS: usize = 16;
/// The most bytes of a condition's name, and of a reason.
const MAX_NAME: usize = 64;
const MAX_REASON: usize = 512;

/// What is wrong with a node; nothing when it is ready.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeHealth {
    /// The first of its problems.
    pub problems: Vec<HealthProblem>,
    /// How many more there are.
    pub more: u32,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthProblem {
    /// The name of the part that it is about, as `partition:default`.
    pub condition: String,
    /// Why; one line.
    pub reason: String,
    /// Somebody should look; otherwise it will pass.
    pub unhealthy: bool,
}

impl NodeHealth {
    /// Of a node, or of the master.
    pub fn of(health: &Health) -> Self {
        let problems = health.troubles().into_iter().filter_map(|(name, is)| {
            let (reason, unhealthy) = match is {
                Condition::Ok => return None,
                Condition::NotReady(reason) => (reason, false),
                Condition::Unhealthy(reason) => (reason, true),
            };
            Some(HealthProblem {
                condition: name,
                reason,
                unhealthy,
            })
        });
        Self::bounded(problems.collect(), 0)
    }

    /// From its wire form, whoever has made it.
    pub fn from_proto(health: v1::NodeHealth) -> Self {
        let problems = health.problems.into_iter().map(|problem| HealthProblem {
            condition: problem.condition,
            reason: problem.reason,
            unhealthy: problem.unhealthy,
        });
        Self::bounded(problems.collect(), health.more)
    }

    fn bounded(mut problems: Vec<HealthProblem>, more: u32) -> Self {
        // What somebody should look at is not to be cut off.
        problems.sort_by_key(|problem| !problem.unhealthy);
        let over = problems.len().saturating_sub(MAX_PROBLEMS);
        problems.truncate(MAX_PROBLEMS);
        for problem in &mut problems {
            cut(&mut problem.condition, MAX_NAME);
            cut(&mut problem.reason, MAX_REASON);
        }
        Self {
            problems,
            more: more.saturating_add(u32::try_from(over).unwrap_or(u32::MAX)),
        }
    }

    /// Its wire form.
    pub fn to_proto(&self) -> v1::NodeHealth {
        let problems = self.problems.iter().map(|problem| v1::HealthProblem {
            condition: problem.condition.clone(),
            reason: problem.reason.clone(),
            unhealthy: problem.unhealthy,
        });
        v1::NodeHealth {
            problems: problems.collect(),
            more: self.more,
        }
    }

    /// Whether clients may be sent there.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.problems.is_empty() && self.more == 0
    }

    /// Each as `condition: reason`.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let problems = self.problems.iter();
        let mut reasons: Vec<String> = problems
            .map(|problem| format!("{}: {}", problem.condition, problem.reason))
            .collect();
        if self.more > 0 {
            reasons.push(format!("and {} more", self.more));
        }
        reasons
    }
}

/// Text for one line of a terminal.
fn cut(text: &mut String, bytes: usize) {
    text.truncate(text.floor_char_boundary(bytes));
    if text.contains(char::is_control) {
        *text = text.replace(char::is_control, " ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_bounded_and_the_worst_comes_first() {
        let health = Health::new();
        for at in 0..40 {
            health.not_ready(&format!("a{at:02}"), "x\u{1b}[2J\n".repeat(1000));
        }
        health.unhealthy("z", "full");
        let told = NodeHealth::of(&health);
        assert_eq!((told.problems.len(), told.more), (MAX_PROBLEMS, 25));
        assert_eq!(told.problems[0].condition, "z");
        let long = &told.problems[1].reason;
        assert!(long.len() == MAX_REASON && !long.contains(char::is_control));
        assert_eq!(
            told.reasons().last().map(String::as_str),
            Some("and 25 more")
        );
        // The master takes no more from a node that does not keep to it.
        let wire = v1::NodeHealth {
            problems: vec![v1::HealthProblem::default(); 1000],
            more: u32::MAX,
        };
        let kept = NodeHealth::from_proto(wire);
        assert_eq!((kept.problems.len(), kept.more), (MAX_PROBLEMS, u32::MAX));
        health.ok("z");
        assert!(!NodeHealth::of(&health).is_ready() && NodeHealth::default().is_ready());
    }
}
