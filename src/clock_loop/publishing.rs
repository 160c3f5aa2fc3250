//! What goes to the adapter, and what comes back from it.

use super::{ClockLoop, Lead, PROBE, delayed, render};
use crate::engine::{Answer, Input};
use ponos::broker::{PublishOutcome, Settlement};

/// Events that are rendered before the adapter is given them.
pub(super) const CHUNK: usize = 256;
/// Events that are rendered ahead before the loop looks at something else again: some tenths of a millisecond.
const RENDERED_AHEAD: usize = 64;
/// Batches of answers that are taken in together at most.
const MERGED: usize = 64;

impl ClockLoop {
    /// Whether something waits for room with the adapter.
    pub(super) fn has_to_post(&self) -> bool {
        !self.outbox.is_empty() || self.delayed.as_ref().is_some_and(delayed::Delayed::is_ready)
    }

    /// Renders what the adapter has room for and hands it over; the loop waits for that where it has not. The adapter writes
    /// the first chunk while the next is rendered.
    pub(super) fn post(&mut self) {
        while !self.outbox.is_empty()
            && let Ok(mut permits) = self.submit.try_reserve_many(self.room)
            && let Some(permit) = permits.next()
        {
            let chunk = self.outbox.drain(..self.outbox.len().min(CHUNK));
            let to = (&*self.clock, &self.exchange, self.spans.sampling());
            let render = |handover| render::ready(to, &handover, &mut self.rendered);
            let mut chunk: Vec<_> = chunk.map(render).collect();
            Lead::stamp(self.lead.as_ref(), &mut chunk);
            self.spans.begin(&chunk, |_| None);
            permit.send(chunk);
        }
        while self.outbox.is_empty()
            && let Some(delayed) = self.delayed.as_mut().filter(|delayed| delayed.is_ready())
            && let Ok(mut permits) = self.submit.try_reserve_many(self.room)
            && let Some(permit) = permits.next()
        {
            let mut chunk = delayed.chunk();
            Lead::stamp(self.lead.as_ref(), &mut chunk);
            self.spans.begin(&chunk, |token| delayed.parent(token));
            permit.send(chunk);
        }
    }

    /// Nothing else is to be done, and something is due soon.
    pub(super) fn render_ahead(&mut self) {
        let to = (&*self.clock, &self.exchange, self.spans.sampling());
        for handover in self.engine.prepare(RENDERED_AHEAD) {
            if let Some(number) = handover.prepared {
                self.rendered.put(number, render::publishing(to, &handover));
            }
        }
    }

    pub(super) fn on_settled(&mut self, mut settlements: Vec<Settlement>) {
        // What came with it is one step and one handing to the store: in a burst answers come in small batches.
        for _ in 0..MERGED {
            let Ok(more) = self.settled.try_recv() else { break };
            settlements.extend(more);
        }
        self.spans.end(&settlements);
        // One that was still under way when this clock began to lead.
        settlements.retain(|settlement| settlement.token != PROBE);
        for settlement in settlements.iter().filter(|one| matches!(one.outcome, PublishOutcome::Missing(_))) {
            delayed::token(settlement.token).into_iter().for_each(|token| self.miss_delayed(token));
        }
        let mut delayed = Vec::new();
        let answers = settlements.into_iter().filter_map(|Settlement { token, outcome }| {
            let answer = match outcome {
                PublishOutcome::Confirmed { returned } => Answer::Confirmed { returned },
                PublishOutcome::Nacked => {
                    Answer::Refused("the broker refused it (nack): a queue is full or failed".into())
                }
                PublishOutcome::Refused(reason) => Answer::Refused(reason),
                // Its exchange is not there: an outage, and no fault of the event's.
                PublishOutcome::Missing(_) | PublishOutcome::Lost => Answer::Lost,
            };
            self.counters.answer(&answer);
            match delayed::token(token) {
                Some(token) => {
                    delayed.push((token, answer));
                    None
                }
                None => Some((token, answer)),
            }
        });
        let answers = answers.collect();
        // Also where none is its own: what is due by schedules goes before what delayed events make room for.
        self.step(Input::Settled(answers));
        self.settle_delayed(delayed);
    }
}
