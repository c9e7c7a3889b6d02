//! Changes that sessions make at the same time go to the master together: while one call is under
//! way, those that come are gathered for the next. What a call costs by itself, at both ends, is
//! many times what a change costs.

use std::collections::VecDeque;
use std::sync::Arc;

use murder_proto::v1::{self, single_result};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::MupdateClient;
use crate::actor;
use crate::error::MupdateError;

/// Changes in one call; the master takes no more.
pub const MOST_TOGETHER: usize = 256;

/// The changes that wait for the next call.
#[derive(Debug, Clone, Default)]
pub(super) struct Together(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    changes: VecDeque<Change>,
    /// There is a task that sends them.
    sending: bool,
    next_number: u64,
}

#[derive(Debug)]
struct Change {
    number: u64,
    change: v1::SingleChange,
    answer: oneshot::Sender<Result<v1::ChangeResponse, MupdateError>>,
}

impl Together {
    /// Puts a change in line; its number, and whether somebody has to send.
    fn push(
        &self,
        change: v1::SingleChange,
        answer: oneshot::Sender<Result<v1::ChangeResponse, MupdateError>>,
    ) -> (u64, bool) {
        let mut waiting = self.0.lock();
        let number = waiting.next_number;
        waiting.next_number += 1;
        waiting.changes.push_back(Change {
            number,
            change,
            answer,
        });
        (number, !std::mem::replace(&mut waiting.sending, true))
    }

    /// Those for one call; none when nothing waits, and then nobody sends any more.
    fn take(&self) -> Vec<Change> {
        let mut waiting = self.0.lock();
        let most = waiting.changes.len().min(MOST_TOGETHER);
        waiting.sending = most > 0;
        waiting.changes.drain(..most).collect()
    }

    /// Takes a change back; whether it was still there.
    fn take_back(&self, number: u64) -> bool {
        let mut waiting = self.0.lock();
        let at = waiting.changes.iter().position(|c| c.number == number);
        at.is_some_and(|at| waiting.changes.remove(at).is_some())
    }
}

impl MupdateClient {
    /// Makes one change, in a call that others may share. All within the deadline of a call.
    pub(super) async fn change(
        &self,
        operation: v1::Operation,
    ) -> Result<v1::ChangeResponse, MupdateError> {
        let change = v1::SingleChange {
            operation: Some(operation),
            partition: self.metadata.partition.as_ref().map(|p| p.to_proto()),
            actor: actor::current(),
        };
        let (answer, answered) = oneshot::channel();
        let (number, to_send) = self.together.push(change, answer);
        if to_send {
            // A task of its own: who has made the first change may go away.
            let client = self.clone();
            tokio::spawn(async move { client.send_changes().await });
        }
        match timeout(self.call_timeout, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(MupdateError::Unavailable("this node is stopping".into())),
            Err(_) if self.together.take_back(number) => {
                Err(MupdateError::NotSent("no answer to an earlier call".into()))
            }
            Err(_) => Err(MupdateError::Unavailable("no answer in time".into())),
        }
    }

    /// Sends changes for as long as some wait.
    async fn send_changes(&self) {
        loop {
            let group = self.together.take();
            if group.is_empty() {
                return;
            }
            let (answers, changes): (Vec<_>, Vec<_>) =
                group.into_iter().map(|c| (c.answer, c.change)).unzip();
            let results = match self.change_each(changes).await {
                Ok(results) if results.len() == answers.len() => results,
                other => {
                    let error = match other {
                        Ok(_) => MupdateError::Protocol("not one result per change".into()),
                        Err(error) => error,
                    };
                    for answer in answers {
                        // Who has gone meanwhile does not care.
                        let _ = answer.send(Err(error.clone()));
                    }
                    continue;
                }
            };
            for (answer, result) in answers.into_iter().zip(results) {
                let result = match result.outcome {
                    Some(single_result::Outcome::Changed(changed)) => Ok(changed),
                    Some(single_result::Outcome::Error(detail)) => {
                        Err(MupdateError::from_detail(detail))
                    }
                    None => Err(MupdateError::Protocol("a result without outcome".into())),
                };
                let _ = answer.send(result);
            }
        }
    }

    async fn change_each(
        &self,
        changes: Vec<v1::SingleChange>,
    ) -> Result<Vec<v1::SingleResult>, MupdateError> {
        let request = v1::ChangeEachRequest { changes };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.rpc();
                async move { rpc.change_each(request).await }
            })
            .await?;
        Ok(answer.results)
    }
}
