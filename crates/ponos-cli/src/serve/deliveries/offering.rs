//! The handler's side: it offers its delivery to whoever receives, and waits for the outcome.

use super::{Deliveries, HeldStage, Received, Token, Waiting};
use ponos::worker::{Context, Failure, HandlerResult, Outcome};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{oneshot, watch},
    task,
    time::{Instant, sleep_until, timeout_at},
};

/// How long a delivery waits while no program is there that would take it. Then its queue is paused, and no attempt is spent.
pub(in crate::serve) const WAITING: Duration = Duration::from_secs(60);

/// On which terms the deliveries of a queue are offered.
#[derive(Debug, Clone, Copy)]
pub(in crate::serve) struct Terms {
    /// How long a program has one, unless it extends that.
    pub(in crate::serve) timeout: Duration,
    /// How long one waits while programs are there, and busy.
    pub(in crate::serve) busy: Duration,
    /// Whether their order must be kept.
    pub(in crate::serve) is_exclusive: bool,
}

impl Deliveries {
    /// Offers a delivery to whoever receives, and waits for its outcome.
    pub(in crate::serve) async fn offer(
        &self,
        queue: Arc<str>,
        context: Context,
        terms: Terms,
    ) -> HandlerResult {
        let token = token()?;
        let (decide, decided) = oneshot::channel();
        let deadline = watch::Sender::new(None);
        let mut deadlines = deadline.subscribe();
        {
            let mut state = self.lock();
            if let Some(id) = task::try_id() {
                state.by_task.insert(id, Arc::clone(&token));
            }
            let delivery = Received { queue: Arc::clone(&queue), context };
            let token = Arc::clone(&token);
            state.waiting.push_back(Waiting { token, delivery, timeout: terms.timeout, deadline, decide });
            self.count(&state);
        }
        let _offered = Offered { deliveries: self, token: &token };
        self.0.came.notify_waiters();
        match self.unreceived(&token, &queue, terms, &mut deadlines).await {
            Some(ended) => ended,
            None => self.decided(&token, deadlines, decided).await,
        }
    }

    /// Waits for a program that receives it; how it ends if none does.
    async fn unreceived(
        &self,
        token: &Token,
        queue: &str,
        terms: Terms,
        deadlines: &mut watch::Receiver<Option<Instant>>,
    ) -> Option<HandlerResult> {
        let begun = Instant::now();
        let mut until = begun + WAITING;
        while timeout_at(until, deadlines.changed()).await.is_err() {
            let lost = self.lock().seen(queue).map(|seen| seen + WAITING).filter(|lost| *lost > until);
            let next = lost.map(|lost| lost.min(begun + terms.busy));
            if let Some(next) = next.filter(|next| *next > until) {
                // programs are there, and busy
                until = next;
            } else if self.withdraw(token) {
                let waited = begun.elapsed().as_secs();
                // back to its queue; where the order counts, the pause keeps it
                return Some(if lost.is_some() && !terms.is_exclusive {
                    Ok(Outcome::Release)
                } else {
                    let why = format!("nobody received it within {waited} s");
                    Err(Failure::unavailable("a program that receives from ponos serve", why))
                });
            } else {
                break;
            }
        }
        None
    }

    /// Waits for the outcome of one that a program has.
    async fn decided(
        &self,
        token: &Token,
        mut deadlines: watch::Receiver<Option<Instant>>,
        mut decided: oneshot::Receiver<HandlerResult>,
    ) -> HandlerResult {
        let gone = || Err(Failure::new("its program is gone"));
        loop {
            let deadline = (*deadlines.borrow_and_update()).unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                decision = &mut decided => return decision.unwrap_or_else(|_| gone()),
                changed = deadlines.changed() => if changed.is_err() {
                    return gone();
                },
                () = sleep_until(deadline) => {
                    if self.is_over(token, deadline) {
                        let had = self.had(token).as_secs();
                        return Err(Failure::new(format!("timed out: no program settled it within {had} s")));
                    }
                    // it has its outcome, which may yet be refused, or was extended meanwhile
                    tokio::select! {
                        biased;
                        decision = &mut decided => return decision.unwrap_or_else(|_| gone()),
                        _ = deadlines.changed() => {}
                    }
                },
            }
        }
    }

    /// Takes one back that nobody has; whether that was so.
    fn withdraw(&self, token: &Token) -> bool {
        let mut state = self.lock();
        let before = state.waiting.len();
        state.waiting.retain(|one| one.token != *token);
        self.count(&state);
        state.waiting.len() < before
    }

    /// Whether the deadline stands, and no outcome has come.
    fn is_over(&self, token: &Token, deadline: Instant) -> bool {
        let mut state = self.lock();
        let Some(held) = state.held.get_mut(token) else { return false };
        let is_over = matches!(held.stage, HeldStage::Open(_))
            && held.deadline.borrow().is_none_or(|now| now <= deadline);
        if is_over {
            held.stage = HeldStage::Late;
            self.0.metrics.late.inc();
        }
        is_over
    }

    /// How long a program has had it.
    fn had(&self, token: &Token) -> Duration {
        self.lock().held.get(token).map(|held| held.since.elapsed()).unwrap_or_default()
    }
}

/// Takes one back that its handler does not wait for any more.
struct Offered<'a> {
    deliveries: &'a Deliveries,
    token: &'a Token,
}

impl Drop for Offered<'_> {
    fn drop(&mut self) {
        self.deliveries.withdraw(self.token);
    }
}

/// One that nobody can guess: 32 hexadecimal digits.
fn token() -> Result<Token, Failure> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(format!("the system gives no random number: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
}
