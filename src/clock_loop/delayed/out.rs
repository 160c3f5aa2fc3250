//! What goes out: from its content to the adapter, and what comes back.

use super::{OURS, Out, render};
use crate::{
    clock_loop::ClockLoop,
    delayed::{DelayedEvent, DelayedInput, DueEvent, trace},
    engine::Answer,
};
use ponos::topology::worker::TASKS;
use tracing::warn;

impl ClockLoop {
    pub(super) fn render_delayed(&mut self, events: Vec<(u64, DueEvent, Option<DelayedEvent>)>) {
        let Some(delayed) = self.delayed.as_mut().filter(|delayed| !delayed.sending.is_draining()) else {
            return;
        };
        let to = (&*self.clock, &self.exchange, self.spans.sampling());
        let now = self.engine.now();
        let mut lost = Vec::new();
        for (token, due, event) in events {
            delayed.reading = delayed.reading.saturating_sub(1);
            let event = event.ok_or_else(|| "it is not in its store any more".to_owned());
            // What it says is read again then.
            if event.as_ref().is_ok_and(|event| event.head.queue.is_some())
                && delayed.tasks.keeps(token, &due)
            {
                continue;
            }
            let rendered = event.and_then(|event| {
                let parent = trace::taken_off(&event.content.headers).1.map(|trace| trace.span_id);
                let (unrouted, is_task) = (render::unrouted(&event), event.head.queue.is_some());
                let publishing = render::publishing(to, token | OURS, event, now)?;
                Ok((publishing, unrouted, is_task, parent))
            });
            match rendered {
                Ok((publishing, unrouted, is_task, parent)) => {
                    let bytes = publishing.message.body.len();
                    delayed.bytes += bytes;
                    delayed.out.insert(token, Out { sent_at: now, bytes, unrouted, is_task, parent });
                    if self.show_events {
                        render::log_sent(&publishing.message, &due, now);
                    }
                    delayed.ready.push_back(publishing);
                }
                Err(why) => {
                    warn!(name = %due.key.name, why, "a delayed event can't be sent; this is a defect, please report it");
                    lost.push(delayed.answer(token, Answer::Refused(why), now));
                }
            }
        }
        if !lost.is_empty() {
            self.step_delayed(DelayedInput::Settled(lost));
        } else if delayed.read().is_err() {
            self.delayed_gone();
        }
        self.post();
    }

    /// Those that waited for it go on; where it can't be declared they are refused, and sent again as others are.
    pub(super) fn on_tasks_declared(&mut self, declared: Result<(), String>) {
        let Some(delayed) = &mut self.delayed else { return };
        let waiting = delayed.tasks.take();
        match declared {
            Ok(()) => {
                waiting.into_iter().rev().for_each(|one| delayed.due.push_front(one));
                if delayed.read().is_err() {
                    self.delayed_gone();
                }
            }
            Err(why) => {
                let why = format!("the exchange '{TASKS}' can't be declared: {why}");
                warn!("{why}; delayed tasks are not sent");
                let refuse = |(token, _)| (token, Answer::Refused(why.clone()));
                self.settle_delayed(waiting.into_iter().map(refuse).collect());
            }
        }
    }

    /// An exchange was not there: if that of tasks, it is declared again before the next one.
    pub(in crate::clock_loop) fn miss_delayed(&mut self, token: u64) {
        if let Some(delayed) = &mut self.delayed
            && delayed.out.get(&token).is_some_and(|out| out.is_task)
        {
            delayed.tasks.is_missing();
        }
    }

    /// The broker answered some of them.
    pub(in crate::clock_loop) fn settle_delayed(&mut self, answers: Vec<(u64, Answer)>) {
        let Some(delayed) = self.delayed.as_mut().filter(|_| !answers.is_empty()) else { return };
        let now = self.engine.now();
        let answers = answers.into_iter().map(|(token, answer)| delayed.answer(token, answer, now)).collect();
        self.step_delayed(DelayedInput::Settled(answers));
    }
}
